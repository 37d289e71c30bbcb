"""What the DICOM standard says: files, frames, tags, UIDs. Pure: no input or output, no HTTP, no clock."""
