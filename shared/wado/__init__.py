"""Retrieve transactions (WADO-RS): PS3.18 section 10.4, API rules sections 4, 5 and 7."""
