"""Which architectures belong together, and the differences that a refusal lists."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import BLOBS
from wtool.run.matching import match

Change = Callable[[list[dict[str, Any]]], object]


def changed(folder: Path, change: Change) -> Path:
    """A copy of a model whose layers' settings were changed: those of the input, of `hidden` and of `output`."""
    path = folder / "changed.keras"
    with zipfile.ZipFile(BLOBS[0]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change([layer["config"] for layer in config["config"]["layers"]])
                data = json.dumps(config).encode()
            new.writestr(name, data)
    return path


def many(layers: list[dict[str, Any]]) -> None:
    layers[1].update({f"more_{number:02}": number for number in range(10)})


LISTED = ", ".join(f"layers[1].more_{number:02} is {number} instead of None" for number in range(8)).replace(",", ";")
DIFFERENT: dict[str, Change] = {
    "layers[1].activation is 'tanh' instead of 'relu'": lambda layers: layers[1].update(activation="tanh"),
    "layers[1].activation is {} instead of 'relu'": lambda layers: layers[1].update(activation={}),
    "layers[0].batch_shape has 3 entries instead of 2": lambda layers: layers[0]["batch_shape"].append(2),
    "layers[0].batch_shape is 2 instead of [None, 2]": lambda layers: layers[0].update(batch_shape=2),
    "layers[1].limit is nan instead of None": lambda layers: layers[1].update(limit=float("nan")),
    f"{LISTED}; and 2 more": many,
}


@pytest.mark.parametrize("words", DIFFERENT)
def test_the_differences_of_two_architectures_are_listed(words: str, tmp_path: Path) -> None:
    path = changed(tmp_path, DIFFERENT[words])
    with (
        wtool.open_checkpoint(str(BLOBS[0])) as base,
        wtool.open_checkpoint(str(path)) as other,
        pytest.raises(wtool.Refused) as refused,
    ):
        match(base, other)
    assert str(refused.value).endswith(f"does not match {BLOBS[0]}: {words}")


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[1].update(trainable=False, seed=3),
        lambda layers: layers[1].update(kernel_initializer="zeros", bias_constraint="non_neg"),
    ],
    ids=["settings of training", "initializers and constraints"],
)
def test_what_does_not_change_the_computation_may_differ(change: Change, tmp_path: Path) -> None:
    with wtool.open_checkpoint(str(BLOBS[0])) as base, wtool.open_checkpoint(str(changed(tmp_path, change))) as other:
        found = match(base, other)
    assert [each.path for each in found.tensors] == [each.path for each in base.weights]
    assert found.note == ""


def test_layers_with_other_automatic_names_are_matched_by_position(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda layers: layers[2].update(name="output_7"))
    with wtool.open_checkpoint(str(BLOBS[0])) as base, wtool.open_checkpoint(str(path)) as other:
        found = match(base, other)
    assert [each.path for each in found.tensors][-2:] == ["output_7/kernel", "output_7/bias"]
    assert found.note == "layer names differ (output_7 against output): matched by position"


def test_not_a_number_is_the_same_setting_twice(tmp_path: Path) -> None:
    """A setting that is NaN is not equal to itself, and yet no difference."""
    path = changed(tmp_path, lambda layers: layers[1].update(limit=float("nan")))
    with wtool.open_checkpoint(str(path)) as base, wtool.open_checkpoint(str(path)) as other:
        assert match(base, other).note == ""
