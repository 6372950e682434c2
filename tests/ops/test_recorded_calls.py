"""Every operation's record tells the call that made the result: the options, and what each input was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ops import repeatable
from tests.ops.repeatable import CASES
from wtool.checkpoint.lineage import KEY, Record, last_record, lineage_in
from wtool.checkpoint.opener import open_checkpoint
from wtool.cli.call_words import call_words
from wtool.cli.commands import GROUPS
from wtool.ops.calls import Call, with_paths
from wtool.ops.recorded_calls import READERS, TRAINED, Unrepeatable, call_of
from wtool.run.piped import DETERMINED
from wtool.transforms.registry import REGISTRY

FILES = ("architecture", "map", "patch", "set")
"""Options that name files, for which the record has content hashes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("repeatable")
    repeatable.fill(found)
    return found


def test_every_command_that_makes_models_is_tried_or_known_not_to_be_repeatable() -> None:
    tried = {operation for operation, _, _ in CASES}
    looking = {*GROUPS["Look at models"], *GROUPS["wtool itself"]}
    makes = {name for group in GROUPS.values() for name in group} - looking - {"evaluate", "lottery", "run"}
    assert tried == {*REGISTRY, *READERS} == DETERMINED
    assert makes == tried | ({*TRAINED} - {"power-ema", "rewind-schedule"})


@pytest.mark.parametrize(("operation", "models", "options"), CASES, ids=str)
def test_the_record_tells_the_call(
    operation: str, models: Any, options: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    made = repeatable.do(folder, operation, models, options, tmp_path)
    with open_checkpoint(str(made)) as checkpoint:
        record = last_record(checkpoint.lineage)
    call = call_of(record)
    assert call.operation == operation
    named = {argument: record.inputs[index].name for argument, index in call.others.items()}
    wanted = {name: value for name, value in options.items() if name not in (*named, *FILES)}
    assert {name: call.options[name] for name in wanted} == wanted
    assert named == {name: value for name, value in options.items() if name in named}
    own = models if isinstance(models, list) else [models]
    assert [record.inputs[index].name for index in call.models] == own
    assert len(call.files) == sum(name in options for name in FILES)
    assert call_words(operation, call.chosen).startswith(operation)


def record_of(**told: Any) -> Record:
    (record,) = lineage_in({KEY: [{"inputs": [{"name": "m.keras", "as": "model", "hash": HASH}], **told}]})
    return record


HASH = f"blake3:{64 * '1'}"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, "a record without an operation is no operation"),
        ({"operation": "exec"}, "'exec' is no operation that wtool does again"),
        ({"operation": "inspect"}, "'inspect' is no operation that wtool does again"),
        ({"operation": "resume", "parameters": {"epochs": 3}}, "resume cannot be done again: training again gives"),
        ({"operation": "prune", "inputs": []}, "prune cannot be done again: its record names no inputs"),
        ({"operation": "prune", "parameters": {"output": "/etc/passwd"}}, "the record of prune tells of output, not"),
        ({"operation": "prune", "parameters": {"in_place": True}}, "the record of prune tells of in_place, not known"),
        ({"operation": "average", "parameters": {"coefficients": "mean"}}, "none that this version of wtool writes"),
        ({"operation": "average", "parameters": {"coefficients": {}}}, "none that this version of wtool writes"),
        ({"operation": "average", "parameters": {"coefficients": "equal", "log": "/etc/x"}}, "tells of log, not known"),
        ({"operation": "rewind"}, "the record of rewind is none that this version of wtool writes (KeyError('mask'))"),
        ({"operation": "convert", "parameters": {"replace": 3}}, "none that this version of wtool writes"),
        (
            {"operation": "convert", "parameters": {"replace": {"a": {"class_name": "/etc/x.json", "config": {}}}}},
            "give",
        ),
        (
            {"operation": "convert", "parameters": {"replace": {"a": {"class_name": "A", "config": {"k": "a,b=c]"}}}}},
            "",
        ),
        ({"operation": "convert", "parameters": {"architecture": "/etc/x"}}, "none that this version of wtool writes"),
        ({"operation": "patch", "parameters": {"patch": "/etc/x"}}, "none that this version of wtool writes"),
        ({"operation": "patch", "parameters": {"set": {"b=@/etc/x": 1.0}}}, "none that this version of wtool writes"),
        ({"operation": "patch", "parameters": {"set": {"b": "@/etc/x"}}}, "none that this version of wtool writes"),
    ],
    ids=str,
)
def test_records_of_strangers_are_refused_in_a_line(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unrepeatable) as raised:
        call_of(record_of(**told))
    assert reason in raised.value.message
    assert len(raised.value.message) < 200


def test_paths_take_the_place_of_content_hashes() -> None:
    record = record_of(operation="patch", parameters={"set": {"a": HASH, "b": 1}, "optimizer": "keep"})
    call = call_of(record)
    assert call.files == [HASH]
    assert with_paths(call.options, {HASH: "/x/y.npy"}) == {"set": ["a=@/x/y.npy", "b=1.0"], "optimizer": "keep"}
    assert isinstance(call, Call)
