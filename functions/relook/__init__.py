"""Relook: visual inspection as a serverless, event-driven function."""
