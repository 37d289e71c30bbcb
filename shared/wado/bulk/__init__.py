"""Bulk data: one value, or all of a resource."""
