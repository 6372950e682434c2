"""What the record of a transform tells of the checkpoints that took part."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from blake3 import blake3

import wtool
from tests import forkserver
from tests.models import BLOBS
from tests.ops.test_operations import lineage


def hash_of(path: Path) -> str:
    return f"blake3:{blake3(path.read_bytes()).hexdigest()}"


def test_a_ticket_tells_where_its_mask_comes_from(tmp_path: Path) -> None:
    """The mask is a pruned model: its pruning and its hash; the initial checkpoint has no such origin."""
    mask, ticket = tmp_path / "mask.keras", tmp_path / "ticket.keras"
    wtool.prune(BLOBS[5], sparsity=0.5, output=mask)
    wtool.rewind(mask, initial=BLOBS[0], output=ticket)
    initial, told = lineage(ticket)[-1]["inputs"]
    assert (initial["as"], initial["hash"], "pruned" in initial) == ("initial", hash_of(BLOBS[0]), False)
    assert (told["as"], told["hash"]) == ("mask", hash_of(mask))
    assert told["pruned"]["model"] == hash_of(BLOBS[5])
    assert told["pruned"]["parameters"]["sparsity"] == 0.5


def test_a_random_mask_tells_its_seed_through_a_pipe_and_in_the_summary(tmp_path: Path) -> None:
    first = wtool_run(["prune", BLOBS[5], "--sparsity", ".5", "--criterion", "random", "--seed", "4", "-o", "-"])
    wtool_run(["rewind", "-", "--initial", BLOBS[0], "-o", tmp_path / "ticket.keras"], first)
    told = lineage(tmp_path / "ticket.keras")[-1]["inputs"][1]["pruned"]
    assert (told["parameters"]["criterion"], told["seed"], told["model"]) == ("random", 4, hash_of(BLOBS[5]))
    shown = wtool_run(["inspect", tmp_path / "ticket.keras"]).decode()
    (line,) = [each for each in shown.splitlines() if each.startswith("lineage: the mask of - is by prune")]
    assert '"criterion": "random"' in line
    assert line.endswith(f", seed 4 of {hash_of(BLOBS[5])}")


def wtool_run(words: list[object], piped: bytes = b"") -> bytes:
    return subprocess.run(forkserver.wtool(*words), input=piped, capture_output=True, check=True).stdout


def test_an_initial_checkpoint_that_was_pruned_is_no_mask(tmp_path: Path) -> None:
    initial, pruned = tmp_path / "initial.keras", tmp_path / "pruned.keras"
    wtool.prune(BLOBS[0], sparsity=0.25, output=initial)
    wtool.prune(BLOBS[5], sparsity=0.5, criterion="large-init-large-final", initial=initial, output=pruned)
    model, told = lineage(pruned)[-1]["inputs"]
    assert (model["as"], model["hash"]) == ("model", hash_of(BLOBS[5]))
    assert (told["as"], told["hash"], "pruned" in told) == ("initial", hash_of(initial), False)


def test_what_is_done_is_made_again_where_that_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "out.keras"
    wtool.prune(BLOBS[0], sparsity=0.5, output=target)
    before, number = target.read_bytes(), target.stat().st_ino
    assert [each.skipped for each in wtool.prune(BLOBS[0], sparsity=0.5, output=target)] == [True]
    assert [each.skipped for each in wtool.prune(BLOBS[0], sparsity=0.5, output=target, dry_run=True)] == [False]
    assert target.stat().st_ino == number
    assert [each.skipped for each in wtool.prune(BLOBS[0], sparsity=0.5, output=target, force=True)] == [False]
    assert (target.read_bytes(), target.stat().st_ino == number) == (before, False)


def test_standard_input_is_one_model(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match="only one of the inputs"):
        wtool.rewind("-", initial="-", output=tmp_path / "out.keras")
