"""What options may say: one list for the command line and for Python, cheap to import."""

from __future__ import annotations

ORDERS = ("natural", "given", "mtime")
"""From oldest to newest: by path with numbers as numbers, as given, or by time of change."""

OPTIMIZER_MODES = ("keep", "follow", "reset", "drop")
"""What becomes of an optimizer when weights were rewritten."""

SCOPES = ("tensor", "global")
"""What a sparsity is a share of: each tensor, or all selected ones together."""

CRITERIA = (
    "large-final", "large-init-large-final", "magnitude-increase", "movement", "large-final-same-sign", "random",
    "lf", "lilf", "mi", "mov", "lfss",
)  # fmt: skip
"""What makes a weight matter: `transforms.criteria.CRITERIA` and its short names, without importing NumPy for them."""
