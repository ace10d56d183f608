"""What runs when an image is inspected: bytes in, a verdict out. Knows no AWS, no environment and no network."""
