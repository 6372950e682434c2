"""Which tensors a merge is about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wtool.checkpoint.model import Tensor
from wtool.run.by_method import WORDS
from wtool.run.merging import Merging, parts_of


def weight(path: str, dtype: str) -> Tensor:
    layer, _, role = path.partition("/")
    return Tensor(path, role, layer, None, None, (4,), dtype, role, 0, 16)


def parts(**options: Any) -> dict[str, list[str]]:
    paths = {
        "dense/kernel": "float32",
        "dense/mask": "float32",
        "dense/pruning_step": "int64",
        "dropout/seed_generator_state": "uint32",
        "table/keys": "int64",
        "coded/kernel": "int8",
        "coded/kernel_scale": "float32",
    }
    base: Any = SimpleNamespace(weights=[weight(path, dtype) for path, dtype in paths.items()])
    work = Merging(prepare=None, words=WORDS, **options)  # type: ignore[arg-type]
    found = parts_of(work, base)
    kinds = {"merged": found.merged, "equal": found.equal, "watched": found.watched}
    return {name: [each.path for each in tensors] for name, tensors in kinds.items()}


def test_whole_numbers_must_agree_but_for_the_state_of_a_run() -> None:
    assert parts(must_agree=True) == {
        "merged": ["dense/kernel"],
        "equal": ["table/keys", "coded/kernel", "coded/kernel_scale"],
        "watched": ["dense/mask", "dense/pruning_step", "dropout/seed_generator_state"],
    }


def test_what_is_excluded_need_not_agree() -> None:
    assert parts(must_agree=True, exclude=["coded/*", "dense/mask"]) == {
        "merged": ["dense/kernel"],
        "equal": ["table/keys"],
        "watched": ["dense/pruning_step", "dropout/seed_generator_state"],
    }


def test_averages_keep_whole_numbers_and_tell_of_them() -> None:
    found = parts(include=["dense/*"])
    assert found["merged"] == ["dense/kernel"]
    assert found["equal"] == []
    assert len(found["watched"]) == 6
