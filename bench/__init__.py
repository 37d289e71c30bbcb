"""Measures the service beside raw storage calls, and beside any other DICOMweb server: `python -m bench`."""
