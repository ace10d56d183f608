"""Measurements behind the README's numbers. Each module is a command that prints them with its protocol."""
