"""Why bytes are not a DICOM file."""


class NotDicom(ValueError):
    """The bytes are no readable Part 10 file; the message says why and holds no value of the dataset."""
