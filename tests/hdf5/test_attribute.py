"""A text added to the root group, against h5py and the reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hdf5.test_reader import (
    ZOO,
    attribute_values,
    compare,
    file_of,
    files_in,
    hdf5_in,
    index_of,
    small_model,
    texts,
    truth_of,
)
from wtool.hdf5.attribute_writer import with_root_attribute
from wtool.hdf5.reader import NotPlain


def changed(data: bytes, name: str, text: str) -> bytes:
    stays, tail, patches = with_root_attribute(
        lambda offset, count: data[offset : offset + count], len(data), name, text
    )
    made = bytearray(data[:stays] + tail)
    for offset, patch in patches:
        made[offset : offset + len(patch)] = patch
    different = [i for i, (a, b) in enumerate(zip(data[:stays], made, strict=False)) if a != b]
    assert all(24 <= i < 96 + 4 for i in different)
    return bytes(made)


def check(data: bytes, name: str, text: str) -> bytes:
    """Only that attribute changed, for both readers."""
    made = changed(data, name, text)
    index = compare(made)
    groups, datasets = truth_of(data)
    groups[""] = dict(sorted({**groups[""], name: text}.items()))
    assert repr({path: dict(sorted(found.items())) for path, found in index.groups.items()}) == repr(groups)
    assert list(index.datasets) == list(datasets)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))  # four tests of 25 examples, so that none takes long
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(texts.filter(len), attribute_values, max_size=8),
    texts.filter(len),
    st.one_of(texts, texts.map(lambda text: text * 3000)),
    texts,
)
def test_adds_and_replaces(part: int, before: dict[str, Any], name: str, first: str, second: str) -> None:
    def write(file: h5py.File) -> None:
        small_model(file)
        for key, value in before.items():
            file.attrs[key] = value

    data = file_of(write)
    check(check(data, name, first), name, second)
    for other in before:
        check(data, other, first)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 4030, 4032, 4040, 4048, 4049, 4056, 65_535, 65_536, 3_000_000])
def test_texts_of_all_lengths(length: int) -> None:
    made = check(file_of(small_model), "wtool", "x" * length)
    with h5py.File(io.BytesIO(made), "r") as file:
        assert type(file.attrs["wtool"]) is str


def test_files_of_odd_sizes() -> None:
    check(file_of(small_model) + b"odd", "wtool", "text")


def test_h5py_can_go_on_writing() -> None:
    buffer = io.BytesIO(changed(file_of(small_model), "wtool", "ä" * 5000))
    with h5py.File(buffer, "r+") as file:
        for i in range(50):
            file[f"more_{i}/x"] = np.arange(i)
            file.attrs[f"note_{i}"] = "n" * i
        file.attrs["wtool"] = "short"
    compare(check(buffer.getvalue(), "note_3", "other"))
    with h5py.File(buffer, "r+") as file:
        del file.attrs["wtool"]
        file["layers/dense_0/vars/0"][...] = 7
        assert np.all(file["layers/dense_1/vars/0"][()] == 1)
        assert [file.attrs[f"note_{i}"] for i in range(50)] == ["n" * i for i in range(50)]
        assert [len(file[f"more_{i}/x"]) for i in range(50)] == list(range(50))
    compare(buffer.getvalue())


def test_many_rounds() -> None:
    data = file_of(small_model)
    for i in range(30):
        data = changed(data, "wtool", "x" * i * 100)
    assert index_of(data).groups[""]["wtool"] == "x" * 2900
    compare(data)


def test_leaves_other_files_alone() -> None:
    with pytest.raises(NotPlain):
        changed(file_of(small_model, libver="latest"), "wtool", "text")


@pytest.mark.skipif(not files_in(ZOO), reason="no real files")
def test_real_files() -> None:
    for path in files_in(Path(ZOO))[::7]:
        check(hdf5_in(path), "wtool", '{"operation": "prune"}')


@pytest.mark.parametrize("behind", [b"", b"odd"])
def test_a_replaced_text_leaves_no_trace(behind: bytes) -> None:
    data = file_of(small_model) + behind
    once = check(data, "a", "one" * 3000)
    assert changed(once, "a", "two") == changed(data, "a", "two")
    assert len(changed(changed(once, "a", ""), "a", "six")) > len(changed(data, "a", "six"))  # no heap, no end to know


def test_what_stands_behind_a_text_stays() -> None:
    once = changed(file_of(small_model), "a", "one")
    twice = changed(once + b"something else", "a", "two")
    assert twice.startswith(once[96:], 96)
    assert len(twice) > len(once)
