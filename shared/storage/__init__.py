"""What the archive keeps: blobs, tables and queues. SDK types and SDK errors end here."""
