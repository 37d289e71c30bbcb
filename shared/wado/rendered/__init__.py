"""Pictures of frames, and documents as they are."""
