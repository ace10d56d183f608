"""Projects, datasets, model versions and packages: what exists, in which state. DynamoDB items and S3 objects."""
