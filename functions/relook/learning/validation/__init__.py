"""Whether a model is any good, asked of images it did not learn from."""
