"""What is fitted to images: what is normal, where things lie, verdicts, types."""
