"""The change feed: every committed change has one entry, numbered without gaps."""
