"""Stores as wtool reads and writes them."""
