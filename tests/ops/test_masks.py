"""Recorded masks through operations on files: pruned weights that keep their values, and kept weights that are zero."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, ZOO, Array, changed
from tests.ops.test_operations import lineage
from wtool.checkpoint import masks
from wtool.checkpoint.opener import open_checkpoint
from wtool.training.lottery.counts import prune_as_many
from wtool.transforms.change import on_arrays
from wtool.transforms.pruning import Prune

TICKETS = ("rewind", "jitter", "randomize", "reshuffle", "constant")
INIT, TRAINED = BLOBS[0], BLOBS[5]


def run(words: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(forkserver.wtool(*words), input=stdin, capture_output=True, check=False)


def weights(path: Path) -> dict[str, Array]:
    with open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each) for each in checkpoint.weights}


def kept_of(path: Path) -> dict[str, Array]:
    """The masks of the last record, by base64, zlib and NumPy alone."""
    found = {}
    for name, told in lineage(path)[-1].get("masks", {}).items():
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(told["kept"])), np.uint8))
        found[name] = bits[: np.prod(told["shape"])].reshape(told["shape"]) == 1
    return found


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    return pruned_to(tmp_path / "pruned.keras", 0.8)


def pruned_to(path: Path, sparsity: float, **more: Any) -> Path:
    wtool.prune(TRAINED, sparsity=sparsity, output=path, **more)
    return path


@pytest.mark.parametrize("operation", TICKETS)
def test_pruned_weights_keep_their_initial_values(operation: str, pruned: Path, tmp_path: Path) -> None:
    ticket, zeros = tmp_path / "ticket.keras", tmp_path / "zeros.keras"
    how: dict[str, Any] = {"initial": INIT, "seed": 3}
    (done,) = getattr(wtool, operation)(pruned, pruned="initial", output=ticket, **how)
    getattr(wtool, operation)(pruned, output=zeros, **how)
    mask, initial, same, usual = map(weights, (pruned, INIT, ticket, zeros))
    for path in ("hidden/kernel", "output/kernel"):
        kept = mask[path] != 0
        assert np.array_equal(same[path], np.where(kept, usual[path], initial[path])), path
        assert np.array_equal(kept_of(ticket)[path], kept)
    assert np.array_equal(same["hidden/bias"], usual["hidden/bias"])
    assert any("100 of 125 weights are pruned, and are held at their values" in note for note in done.notes)
    assert lineage(ticket)[-1]["parameters"]["pruned"] == "initial"
    assert "masks" not in lineage(zeros)[-1]
    assert "pruned" not in lineage(zeros)[-1]["parameters"]


def test_a_mask_goes_through_pipes_formats_and_averages(pruned: Path, tmp_path: Path) -> None:
    first = run(["prune", str(TRAINED), "--sparsity", ".8", "-o", "-"])
    words = ["rewind", "-", "--initial", str(INIT), "--pruned", "initial", "-o", "-"]
    ticket = tmp_path / "ticket.keras"
    ticket.write_bytes(run(words, stdin=first.stdout).stdout)
    kept = weights(pruned)["hidden/kernel"] != 0
    assert np.array_equal(kept_of(ticket)["hidden/kernel"], kept)
    (told,) = [each for each in lineage(ticket)[-1]["inputs"] if each["as"] == "mask"]
    assert told["pruned"]["parameters"]["sparsity"] == 0.8
    for name in ("ticket.h5", "ticket.weights.h5", "ticket.safetensors"):
        wtool.convert(ticket, output=tmp_path / name)
    wtool.average([ticket, tmp_path / "ticket.h5"], output=tmp_path / "mean.keras")
    for name in ("ticket.h5", "ticket.weights.h5", "ticket.safetensors", "mean.keras"):
        again = tmp_path / f"{name}-again.keras"
        wtool.reshuffle(tmp_path / name, initial=INIT, seed=1, output=again)
        assert np.array_equal(weights(again)["hidden/kernel"] != 0, kept), name


def test_a_mask_goes_from_keras_2_to_keras_3(tmp_path: Path) -> None:
    source = ZOO / "tf2.10" / "mlp.h5"
    pruned, ticket, new = (tmp_path / name for name in ("pruned.h5", "ticket.h5", "new.keras"))
    wtool.prune(source, sparsity=0.7, output=pruned)
    wtool.rewind(pruned, initial=source, pruned="initial", output=ticket)
    wtool.convert(ticket, output=new)
    wtool.rewind(new, initial=new, output=tmp_path / "zeros.keras")
    old, values, zeros = map(weights, (pruned, ticket, tmp_path / "zeros.keras"))
    kernels = [path for path in old if path.endswith("kernel")]
    assert kernels
    for path in kernels:
        assert np.array_equal(zeros[path], old[path])
        assert np.count_nonzero(values[path]) > np.count_nonzero(zeros[path])


def test_pruning_goes_on_behind_pruned_weights_that_have_values(pruned: Path, tmp_path: Path) -> None:
    """Pruned weights come first whatever they are: as if they were zero, written out in NumPy."""
    ticket, further = tmp_path / "ticket.keras", tmp_path / "further.keras"
    wtool.rewind(pruned, initial=INIT, pruned="initial", output=ticket)
    wtool.prune(ticket, sparsity=0.9, output=further)
    mask, values, result = map(weights, (pruned, ticket, further))
    for path in ("hidden/kernel", "output/kernel"):
        seen = np.where(mask[path] != 0, values[path], 0).astype(np.float32)
        expected = on_arrays(Prune(sparsity=0.9), {path: seen})[path]
        assert np.array_equal(result[path], expected), path
    assert lineage(further)[-1]["masks"] == {"hidden/kernel": None, "output/kernel": None}
    some = tmp_path / "some.keras"
    wtool.prune(ticket, sparsity=0.9, include=["output/*"], output=some)
    wtool.rewind(some, initial=INIT, output=tmp_path / "again.keras")
    again = weights(tmp_path / "again.keras")
    assert np.array_equal(again["hidden/kernel"] != 0, mask["hidden/kernel"] != 0)
    assert np.array_equal(again["output/kernel"] != 0, result["output/kernel"] != 0)


def test_pruning_tensor_by_tensor_reads_each_mask_once(
    pruned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one pass over all tensors, and to the file that one pruning after the other makes."""
    ticket, counted = tmp_path / "ticket.keras", pruned_to(tmp_path / "counted.keras", 0.9)
    together, single = tmp_path / "together.keras", tmp_path / "single.keras"
    wtool.rewind(pruned, initial=INIT, pruned="initial", output=ticket)
    read: list[str] = []
    original = masks._mask
    monkeypatch.setattr(masks, "_mask", lambda tensor, told: read.append(tensor.path) or original(tensor, told))
    prune_as_many(str(ticket), str(counted), str(together), 3, (), ())
    assert read == ["hidden/kernel", "output/kernel"]
    monkeypatch.undo()
    shutil.copy(ticket, single)
    for path, values in weights(counted).items():
        if path.endswith("kernel"):
            how: dict[str, Any] = {"sparsity": np.mean(values == 0), "criterion": "random", "seed": 3}
            wtool.prune(single, include=[path], in_place=True, **how)
    old, new = weights(single), weights(together)
    assert all(np.array_equal(old[path], new[path]) for path in old)
    assert [each["masks"] for each in lineage(together)[-2:]] == [each["masks"] for each in lineage(single)[-2:]]


def test_kept_weights_that_are_zero_are_recorded(tmp_path: Path) -> None:
    """Initial biases are zero, and those that the mask keeps are not pruned for that."""
    init = changed(INIT, tmp_path / "init.keras", lambda name, values: 0 * values if values.ndim == 1 else values)
    pruned = pruned_to(tmp_path / "pruned.keras", 0.4, biases=True)
    ticket, again = tmp_path / "ticket.keras", tmp_path / "again.keras"
    wtool.rewind(pruned, initial=init, biases=True, output=ticket)
    kept = weights(pruned)["hidden/bias"] != 0
    assert kept.any()
    assert not kept.all()
    assert not weights(ticket)["hidden/bias"].any()
    assert np.array_equal(kept_of(ticket)["hidden/bias"], kept)
    assert "hidden/kernel" not in kept_of(ticket)
    wtool.rewind(ticket, initial=TRAINED, biases=True, output=again)
    assert np.array_equal(weights(again)["hidden/bias"] != 0, kept)


def test_a_damaged_mask_is_refused_in_a_line(pruned: Path, tmp_path: Path) -> None:
    ticket, bad = tmp_path / "ticket.keras", tmp_path / "bad.keras"
    wtool.rewind(pruned, initial=INIT, pruned="initial", output=ticket)
    with zipfile.ZipFile(ticket) as old, zipfile.ZipFile(bad, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "metadata.json":
                told = json.loads(content)
                told["wtool_lineage"][-1]["masks"]["hidden/kernel"]["kept"] = "eJw="
                content = json.dumps(told).encode()
            new.writestr(member, content)
    done = run(["rewind", str(bad), "--initial", str(INIT), "-o", str(tmp_path / "x.keras")])
    assert done.returncode == 1
    assert b"a mask of hidden/kernel that is not 50 bits" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_jitter_may_empty_biases(pruned: Path, tmp_path: Path) -> None:
    """As in the API of the lottery ticket hypothesis, which also ignores signs there."""
    kept, emptied = tmp_path / "kept.keras", tmp_path / "emptied.keras"
    wtool.jitter(pruned, initial=INIT, seed=1, sd=0.1, output=kept)
    words = f"jitter {pruned} --initial {INIT} --seed 1 --sd .1 --no-keep-biases -o {emptied}"
    done = run(words.split())
    assert done.returncode == 0
    first, second, initial = map(weights, (kept, emptied, INIT))
    assert np.array_equal(first["hidden/bias"], initial["hidden/bias"])
    assert not second["hidden/bias"].any()
    assert np.array_equal(first["hidden/kernel"], second["hidden/kernel"])
    assert "keep_biases" not in lineage(kept)[-1]["parameters"]
