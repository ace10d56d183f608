"""The engine: arrays and bytes in, verdicts out. Knows no AWS, no environment and no network."""
