"""What runs when a model is trained, from labelled images to a package; nothing that inspects an image imports it."""
