"""Where the experiments are."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "experiments"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if '\nif __name__ == "__main__":\n' in path.read_text("utf-8"))
"""The experiments; the other modules in the folder are what they share."""
