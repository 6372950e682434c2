"""Progress: parts of passes over one model, and models among others, which count by their bytes."""

from __future__ import annotations

from pathlib import Path

import wtool
from tests.models import BLOBS, FIXTURES
from wtool.run.progress import Passes


def test_looking_takes_the_first_half_and_writing_the_rest() -> None:
    told: list[tuple[int, int]] = []
    passes = Passes(lambda done, total: told.append((done, total)), 200)
    passes.look(1, 2)
    passes.look(2, 2)
    passes.look(1, 2)
    passes.write(1, 2)
    passes.write(2, 2)
    assert told == [(50, 200), (100, 200), (100, 200), (150, 200), (200, 200)]


def test_writing_alone_takes_all() -> None:
    told: list[tuple[int, int]] = []
    passes = Passes(lambda done, total: told.append((done, total)), 200)
    passes.write(1, 4)
    passes.write(4, 4)
    assert told == [(50, 200), (200, 200)]


def test_models_count_by_their_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    models = [BLOBS[0], FIXTURES / "bn" / "ckpt-9.h5"]
    wtool.prune(models, sparsity=0.5, output=f"{tmp_path}/out/", progress=lambda *each: told.append(each))
    sizes = [model.stat().st_size for model in models]
    assert told[-1] == (sum(sizes), sum(sizes))
    assert (sizes[0], sum(sizes)) in told
