"""Models saved by real Keras versions, with what those versions reported of them."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wtool.checkpoint.model import Contents
from wtool.checkpoint.opener import open_checkpoint

ZOO = Path(os.environ.get("WTOOL_ZOO") or Path(__file__).parent.parent / "fixtures" / "zoo")
AUTHORS_OWN = ("custom_layer", "subclassed_model")  # with classes that only their author knows


@dataclass(frozen=True)
class Saved:
    """A saved file: `k3.15.1/mlp.keras`."""

    path: Path
    model: str
    report: dict[str, Any]
    weight_places: list[list[str]]  # for each reported weight the datasets with its values
    slot_places: list[list[str]]

    def __str__(self) -> str:
        return f"{self.version}/{self.path.name}"

    @property
    def version(self) -> str:
        return self.path.parent.name

    @property
    def keras2(self) -> bool:
        return not self.version.startswith("k3")

    @property
    def only_weights(self) -> bool:
        return self.path.name.endswith((".weights.h5", "_weights_only.h5", ".weights.json"))

    @property
    def told_names(self) -> bool:
        """Whether the file tells what its layers are called: by a configuration, by itself, or by older layouts."""
        number = tuple(map(int, re.findall(r"\d+", self.version)))
        return not self.path.name.endswith((".weights.h5", ".weights.json")) or (not self.keras2 and number >= (3, 6))

    @property
    def contents(self) -> Contents:
        return _contents(self.path)


@cache
def _contents(path: Path) -> Contents:
    with open_checkpoint(str(path)) as checkpoint:
        return checkpoint.contents


@cache
def saved_files() -> tuple[Saved, ...]:
    """Every file that there is."""
    return tuple(_saved_files())


def _saved_files() -> Iterator[Saved]:
    for path in sorted(ZOO.glob("*/*")):
        match = re.fullmatch(r"(.*?)(_weights_only|_full)?\.(keras|weights\.h5|weights\.json|h5)", path.name)
        if match is None or re.search(r"_\d{5}\.weights\.h5$", path.name):
            continue
        stem = path.name.removesuffix(".weights.json")
        sharded = path.name.endswith(".weights.json")
        layouts = sorted(path.parent.glob(f"{stem}_0*.layout.json")) if sharded else [Path(f"{path}.layout.json")]
        report = json.loads((path.parent / f"{match[1]}.json").read_text())
        parts = [json.loads(layout.read_text()) for layout in layouts]
        yield Saved(
            path,
            match[1],
            report,
            _places([part.get("weight_to_dataset") for part in parts], len(report["weights"])),
            _places([part.get("optimizer_to_dataset") for part in parts], len(report.get("optimizer_variables") or ())),
        )


def _places(parts: list[list[Any] | None], count: int) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(count)]
    for part in parts:
        for number, place in enumerate(part or ()):
            found[number] += [place] if isinstance(place, str) else place or []
    return found


def keras_path(entry: dict[str, Any]) -> str:
    """The path of a weight as Keras reported it, without Keras 2's output number."""
    return re.sub(r":\d+$", "", entry.get("path") or entry["name"])


STEMS = (".weights.h5", ".weights.json", "_weights_only.h5", "_full.keras", ".keras", ".h5")


def _reported(path: Path) -> list[dict[str, Any]]:
    stem = next(path.name.removesuffix(end) for end in STEMS if path.name.endswith(end))
    weights: list[dict[str, Any]] = json.loads((path.parent / f"{stem}.json").read_text())["weights"]
    return weights


def assert_as_reported(found: dict[str, Any], path: Path) -> None:
    """The variables that `inspect` found are those that Keras reported: shapes, dtypes and sums."""
    weights = _reported(path)
    lora = path.suffix != ".h5" or path.name.endswith(".weights.h5")  # merged there, apart in a whole .h5
    merged = {"kernel", "kernel_scale"} if any("lora" in str(each["name"]) for each in weights) and lora else set()
    weights = [each for each in weights if not (lora and "lora_kernel" in str(each["name"]))]
    weights = [each for each in weights if each["np_dtype"] != "object"]  # a vocabulary, which is an asset
    stored = {(tuple(tensor["shape"]), tensor["dtype"]) for tensor in found["tensors"]}
    assert len(found["tensors"]) >= len(weights)
    assert found["parameters"] >= sum(math.prod(each["shape"]) for each in weights)
    for each in weights:
        shape, dtype = tuple(each["shape"]), each["np_dtype"]
        assert (shape, dtype) in stored
        if str(each["name"]) in merged:
            continue
        scale = max(1.0, math.prod(shape))
        assert any(
            tuple(tensor["shape"]) == shape
            and math.isclose(tensor["sum"], each["sum"], rel_tol=1e-6, abs_tol=1e-7 * scale)
            for tensor in found["tensors"]
        ), each["name"]
