"""What happens without a client waiting: bytes are purged, and what a crash left is finished."""
