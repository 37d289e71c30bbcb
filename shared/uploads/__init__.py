"""Uploads past the service: an address to write to, and the store of what was written there."""
