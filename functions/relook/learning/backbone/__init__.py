"""What turns pixels into features: the pretrained network, or a feature ONNX that a user brings."""
