"""A small host for Python function apps: what the Functions host does, on one machine, without Core Tools."""
