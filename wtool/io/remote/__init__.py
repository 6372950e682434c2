"""Files in stores elsewhere: found, read by ranges, written whole or not at all. The only room of fsspec."""
