"""What HTTP says: media types, multipart, Accept, queries, links. Pure: no I/O, no storage, no clock."""
