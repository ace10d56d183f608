"""Labelled images, masks and altered copies: what a training learns from."""
