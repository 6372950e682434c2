"""Lineage records: what this and other tools wrote stays as it was, and what is understood is typed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.checkpoint.lineage import (
    KEY,
    UNHASHED,
    Input,
    Record,
    Result,
    carried,
    lineage_in,
    lineage_text,
    mask_origin,
    own_records,
    with_result,
)
from wtool.version import __version__

PRUNED = {
    "operation": "prune",
    "parameters": {"sparsity": 0.5, "include": ["a*"]},
    "wtool": "0.1",
    "inputs": [{"name": "a.keras", "as": "model", "hash": "blake3:01"}],
    "result": {"selected": 4, "rewritten": 2, "zeros": 2, "hash": "blake3:02"},
}
TRAINED = {
    "operation": "resume",
    "parameters": {"epochs": 2},
    "inputs": [{"name": "a.weights.json", "as": "model", "hash": ["blake3:01", "blake3:02"]}],
    "seed": 7,
    "epoch": 2,
    "wtool": "0.1",
    "random_states": [[1, 2]],
    "result": {"hash": "blake3:03"},
}
STRANGE: list[dict[str, Any]] = [
    {},
    {"by": "another tool", "of": 3, "operation": ["merge"]},
    {"operation": "merge", "inputs": [{"hash": "x", "name": "a"}, "b", {"name": 3}], "parameters": [1]},
    {"result": {"hash": 5, "zeros": 1}, "seed": True, "operation": None, "wtool": 4},
    {"result": {"hash": "x", "zeros": 1.0}, "seed": 1.0, "parameters": {}},
    {"inputs": [], "seed": float("inf"), "of": None},
    {"inputs": [{"name": "a", "hash": ["one"]}, {"name": "b", "hash": [1, "two"]}]},
    {"wtool": "9", "operation": "pack", "of": "mask", "more": {"b": 1, "a": 2}},
]

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "a", "prune"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "hash", "as", "x"]), inner),
    max_leaves=6,
)
names = st.sampled_from(["operation", "parameters", "seed", "inputs", "result", "of", "wtool", "new", "epoch", "x"])


def read(records: list[dict[str, Any]]) -> tuple[Record, ...]:
    return lineage_in({KEY: records})


@pytest.mark.parametrize("record", [PRUNED, TRAINED, *STRANGE], ids=range(2 + len(STRANGE)))
def test_a_record_is_written_as_it_was_read(record: dict[str, Any]) -> None:
    assert lineage_text(read([record])) == json.dumps([record])
    assert lineage_text(lineage_in({KEY: json.dumps([record])})) == json.dumps([record])  # an HDF5 attribute


@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=3))
def test_any_record_is_written_as_it_was_read(records: list[dict[str, Any]]) -> None:
    assert lineage_text(read(records)) == json.dumps(records)


def test_what_is_understood_is_typed() -> None:
    pruned, trained = read([PRUNED, TRAINED])
    assert (pruned.operation, pruned.seed, trained.seed, trained.more["epoch"]) == ("prune", None, 7, 2)
    assert pruned.inputs == (Input("a.keras", ("blake3:01",), {"as": "model"}),)
    assert trained.inputs[0].hash == ["blake3:01", "blake3:02"]
    assert pruned.result == Result({"selected": 4, "rewritten": 2, "zeros": 2}, "blake3:02")
    assert not pruned.more
    odd = read(STRANGE)[1]
    assert (odd.operation, odd.of, odd.is_own) == (None, None, False)


def test_a_new_record_has_its_keys_in_order() -> None:
    record = Record("swap", {"to": "linked"}, (Input.at("x/m.keras", ["h"], {"as": "model"}),), 3, more={"new": ["a"]})
    (written,) = json.loads(lineage_text(with_result([record], UNHASHED)))
    assert written == {
        "operation": "swap",
        "parameters": {"to": "linked"},
        "seed": 3,
        "wtool": __version__,
        "new": ["a"],
        "inputs": [{"name": "m.keras", "as": "model", "hash": "h"}],
        "result": {"hash": UNHASHED},
    }
    assert list(written) == ["operation", "parameters", "seed", "wtool", "new", "inputs", "result"]


def test_records_of_a_pipe_come_along_once() -> None:
    pruned, trained, odd = read([PRUNED, TRAINED, {"of": "mask", "operation": "stroke"}])
    assert carried("a.keras", "mask", [pruned], []) == []
    brought = carried("-", "initial", [pruned, trained, odd], [trained])
    assert json.loads(lineage_text(brought)) == [{"of": "initial", **PRUNED}, {"of": "mask", "operation": "stroke"}]
    assert lineage_text(brought).startswith('[{"of": "initial", "operation"')
    assert own_records([pruned, *brought]) == [pruned]


def test_the_origin_of_a_mask() -> None:
    origin = {"pruned": {"parameters": PRUNED["parameters"], "model": "blake3:01"}}
    assert mask_origin(read([PRUNED, TRAINED])) == origin
    ticket = {"operation": "rewind", "inputs": [{"name": "m", "as": "mask", **origin, "hash": "x"}]}
    assert mask_origin(read([ticket])) == origin
    assert mask_origin(read([{"operation": "prune"}])) == {"pruned": {"parameters": None, "model": None}}
    assert mask_origin(read([TRAINED])) == {}
