"""The training job: a queue's message to a trained, evaluated model version. It alone imports `learning`."""
