"""Metrics of lottery experiments, made up by a formula."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any


def value(trial: int, arm: str, number: int, epoch: int) -> float:
    """An accuracy that differs everywhere."""
    return 0.9 - 0.02 * number - 0.1 * len(arm) / 10 + 0.01 * epoch + 0.003 * trial**2


def lines(trials: int = 3, epochs: int = 4, arms: Sequence[str] = ("rewind", "randomize")) -> list[dict[str, Any]]:
    """An experiment's metrics: a dense network, and arms of three rounds each."""
    found = []
    for trial, (arm, number) in product(range(1, trials + 1), [("dense", 0), *product(arms, (1, 2, 3))]):
        for epoch in range(1, epochs + 1):
            score = value(trial, arm, number, epoch)
            metrics = {"loss": 2 - score, "accuracy": 1.0, "val_loss": 3 - score, "val_accuracy": score}
            left = 0.8**number
            where = {"trial": trial, "arm": arm, "round": number, "sparsity": 1 - left, "remaining": left}
            found.append({**where, "epoch": epoch, "metrics": metrics})
    return found


def written(folder: Path, records: list[dict[str, Any]], end: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records) + end)
    return folder
