"""Bytes and paths: files read, files published whole or not at all, zip archives, JSON. Nothing of Keras."""
