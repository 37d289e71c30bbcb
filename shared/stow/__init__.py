"""Store transactions (STOW-RS): PS3.18 section 10.5, API rules section 3."""
