"""What options may say: one list for the command line and for Python, cheap to import."""

from __future__ import annotations

ORDERS = ("natural", "given", "mtime")
"""From oldest to newest: by path with numbers as numbers, as given, or by time of change."""

OPTIMIZER_MODES = ("keep", "follow", "reset", "drop")
"""What becomes of an optimizer when weights were rewritten."""
