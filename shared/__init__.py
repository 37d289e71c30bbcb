"""What the archive does, keeps and knows; `functions/` only calls it."""
