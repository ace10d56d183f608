"""The `relook` command."""
