"""Search transactions (QIDO-RS): PS3.18 section 10.6, API rules section 8."""
