"""Metadata as JSON and XML."""
