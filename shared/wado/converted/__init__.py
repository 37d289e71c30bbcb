"""Instances and frames in another transfer syntax."""
