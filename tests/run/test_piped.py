"""What comes through a pipe from one command into the next one: the bytes of a single pass, and results known again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, OF_EACH_KIND
from wtool.checkpoint.lineage import Input, Record, Result
from wtool.checkpoint.opener import open_checkpoint
from wtool.run import piped
from wtool.run.derive import derive
from wtool.run.plan import Plan
from wtool.run.target import Goal
from wtool.run.transform import Transforming
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import Stroke

STEPS: list[tuple[Any, list[str]]] = [
    (Prune(sparsity=0.3), ["prune", "--sparsity", ".3"]),
    (Stroke(volatility_ratio=0.1), ["stroke", "--volatility-ratio", ".1", "--seed", "3"]),
    (Prune(sparsity=0.6, scope="global"), ["prune", "--sparsity", ".6", "--scope", "global"]),
]


def through(data: bytes, *commands: list[str]) -> bytes:
    """What comes out of a pipeline of commands."""
    for name, *words in commands:
        data = subprocess.run(forkserver.wtool(name, "-", *words, "-o", "-"), input=data, capture_output=True).stdout
    return data


def records_of(path: Path) -> list[dict[str, Any]]:
    return list(wtool.inspect(path)["lineage"])


@pytest.mark.parametrize("model", OF_EACH_KIND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_pipeline_has_the_bytes_of_one_pass(model: Path, tmp_path: Path) -> None:
    one_pass, piped_ = (tmp_path / f"{name}{''.join(model.suffixes[-2:])}" for name in ("pass", "piped"))
    with open_checkpoint(str(model)) as base:
        first, *rest = [Transforming(each, seed=3).plan_of(base) for each, _ in STEPS]
        plan: Plan = first
        for each in rest:
            plan = plan.then(each)
        derive(plan, Goal(str(one_pass)))
    made = subprocess.run(
        forkserver.wtool(STEPS[0][1][0], str(model), *STEPS[0][1][1:], "-o", "-"), capture_output=True
    ).stdout
    piped_.write_bytes(through(made, *(words for _, words in STEPS[1:])))
    assert piped_.read_bytes() == one_pass.read_bytes()
    first_record, *others = records_of(piped_)
    assert first_record["inputs"][0]["hash"].startswith("blake3:")
    assert [each["inputs"] for each in others] == [[{"name": "-", "as": "model"}]] * 2
    assert ["hash" in each["result"] for each in (first_record, *others)] == [False, False, True]


def test_what_wtool_did_not_write_keeps_its_hash(tmp_path: Path) -> None:
    """A model of Keras, and one that another tool has changed since wtool wrote it."""
    changed = tmp_path / "changed.h5"
    changed.write_bytes(through(OF_EACH_KIND[1].read_bytes(), STEPS[0][1]))
    with h5py.File(changed, "r+") as file:
        file.attrs["note"] = "changed"
    for number, model in enumerate([BLOBS[0], changed]):
        out = tmp_path / f"{number}{model.suffix}"
        out.write_bytes(through(model.read_bytes(), STEPS[1][1]))
        assert records_of(out)[-1]["inputs"][0]["hash"].startswith("blake3:")


def test_a_result_of_a_pipeline_is_there_already(tmp_path: Path) -> None:
    """It is known by the records before, since no hash tells what came through the pipe."""
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    first = forkserver.wtool("prune", "m.keras", "--sparsity", ".3", "-o", "-")
    second = forkserver.wtool("stroke", "-", "--seed", "3", "-o", "out.keras")

    def done(first: list[str]) -> bytes:
        made = subprocess.run(first, capture_output=True, cwd=tmp_path).stdout
        return subprocess.run(second, input=made, capture_output=True, cwd=tmp_path).stderr

    assert b"written to out.keras" in done(first)
    assert b"skipped" in done(first)
    other = forkserver.wtool("prune", "m.keras", "--sparsity", ".4", "-o", "-")
    assert b"exists already" in done(other)
    shutil.copy(BLOBS[1], tmp_path / "m.keras")
    assert b"exists already" in done(first)


def test_operations_that_run_models_are_no_part_of_it() -> None:
    file, stream = Input("m.keras", ("blake3:1",)), Input("-", ())
    prune = Record("prune", inputs=(file,))
    assert piped._follows([prune, Record("stroke", inputs=(stream,))])
    assert piped._follows([Record("resume", inputs=(file,)), prune, Record("stroke", inputs=(stream,))])
    assert not piped._follows([Record("resume", inputs=(file,))])
    assert not piped._follows([Record("resume", inputs=(file,)), Record("stroke", inputs=(stream,))])
    assert not piped._follows([Record("stroke", inputs=(stream,))])
    assert not piped._follows([Record("prune")])
    assert not piped._follows([])


def test_room_for_counts() -> None:
    """Only the records at the end that have no hash get room; those of other checkpoints are none of them."""
    counts = {"selected": 1000, "rewritten": 1, "zeros": 2, "told": "x"}
    sealed, open_ = Record("prune", result=Result(counts, "blake3:1")), Record("prune", result=Result(counts))
    brought = Record("prune", result=Result(counts), of="mask")
    wide = Record("prune", result=Result({"selected": 1000, "rewritten": 1000, "zeros": 1000, "told": "x"}))
    assert piped.widened([open_, sealed, open_, brought, open_]) == [open_, sealed, wide, brought, wide]


def test_an_initial_checkpoint_through_a_pipe(tmp_path: Path) -> None:
    """It is the base of a ticket; the mask is a file."""
    wtool.prune(BLOBS[-1], sparsity=0.5, output=tmp_path / "mask.keras")
    initial = through(BLOBS[0].read_bytes(), STEPS[1][1])
    words = ["rewind", str(tmp_path / "mask.keras"), "--initial", "-", "-o", "-"]
    made = subprocess.run(forkserver.wtool(*words), input=initial, capture_output=True).stdout
    (tmp_path / "ticket.keras").write_bytes(made)
    last = records_of(tmp_path / "ticket.keras")[-1]["inputs"]
    assert last[0] == {"name": "-", "as": "initial"}
    assert last[1]["hash"].startswith("blake3:")
