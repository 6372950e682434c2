"""Tensors in files: from a path to an open checkpoint, and from a checkpoint to a new file."""
