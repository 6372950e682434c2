"""The registry of layouts: a format that the opener has never seen takes one layout, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import wtool
from wtool.checkpoint import opener
from wtool.checkpoint.indexing import indexed
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.layout import Layout, Opening
from wtool.checkpoint.layouts.registry import ALL, EXTENSIONS, LAYOUTS
from wtool.checkpoint.model import Checkpoint
from wtool.io.source import Region, Source

MAGIC = b"WRAPPED\n"


def recognises(source: Source) -> bool:
    return source.read(0, min(len(MAGIC), source.size)) == MAGIC


def open_wrapped(source: Source, opening: Opening) -> Checkpoint:
    region, index = indexed(Region(source, len(MAGIC), source.size - len(MAGIC)), opening)
    contents = keras3.contents(index, None, None)
    return Checkpoint(
        source.name,
        "wrapped",
        None,
        None,
        contents,
        (),
        (source,),
        (region,),
        (index,),
        closing=opening.stack.pop_all(),
    )


def test_a_new_format_is_one_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.arange(6, dtype="f4").reshape(2, 3)
    plain, wrapped = tmp_path / "plain.weights.h5", tmp_path / "model.wrapped"
    with h5py.File(plain, "w", libver="earliest") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = kernel, np.ones(3, "f4")
    wrapped.write_bytes(MAGIC + plain.read_bytes())
    with pytest.raises(wtool.WtoolError, match="not a Keras model: it starts with b'WRAPPED"):
        opener.open_checkpoint(str(wrapped))
    module = SimpleNamespace(opened=open_wrapped, configurations=lambda source, opening: [])
    monkeypatch.setitem(sys.modules, "wtool.checkpoint.layouts.wrapped", module)
    layout = Layout("wrapped", {"wrapped": (".wrapped",)}, recognises)
    monkeypatch.setattr(opener, "LAYOUTS", (*LAYOUTS, layout))
    monkeypatch.setattr(opener, "EXTENSIONS", {**EXTENSIONS, **layout.extensions})
    with opener.open_checkpoint(str(wrapped)) as checkpoint:
        assert checkpoint.format == "wrapped"
        values = {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.tensors}
    assert np.array_equal(values["dense/kernel"], kernel)
    assert np.array_equal(values["dense/bias"], np.ones(3))


def test_every_format_has_an_extension_that_a_search_takes() -> None:
    assert sorted(EXTENSIONS) == ["h5", "h5-weights", "keras", "safetensors", "weights.h5", "weights.json"]
    assert {ending for endings in EXTENSIONS.values() for ending in endings} <= ALL


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.home)
def test_every_layout_has_a_module_that_opens_its_files(layout: Layout) -> None:
    module = importlib.import_module(f"wtool.checkpoint.layouts.{layout.home}")
    assert [*inspect.signature(module.opened).parameters] == ["source", "opening"]
    assert [*inspect.signature(module.configurations).parameters] == ["source", "opening"]
