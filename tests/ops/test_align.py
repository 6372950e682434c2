"""`wtool align` on files whose channels were put in another order by hand, with NumPy alone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, ZOO, arrays, changed
from wtool.checkpoint.opener import open_checkpoint
from wtool.ops import aligning

Array = np.ndarray[Any, Any]
ORDER = np.roll(np.arange(25).reshape(5, 5).T.ravel(), 1)
MOVED = int((np.arange(25) != ORDER).sum())


def in_order(order: Array) -> Callable[[str, Array], Array]:
    """Puts the hidden units of a model like `BLOBS` in another order, in the weights and in the momenta."""

    def change(name: str, values: Array) -> Array:
        if values.shape in ((2, len(order)), (len(order),)):
            return values[..., order]
        return values[order] if values.shape == (len(order), 3) else values

    return change


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return changed(BLOBS[0], tmp_path / "planted.keras", in_order(ORDER))


def same_arrays(left: Path, right: Path) -> bool:
    first, second = arrays(left), arrays(right)
    return first.keys() == second.keys() and all(first[each].tobytes() == second[each].tobytes() for each in first)


def test_a_planted_order_is_undone_with_the_momenta(planted: Path, tmp_path: Path) -> None:
    (done,) = wtool.align(planted, to=BLOBS[0], seed=1, output=tmp_path / "out.keras")
    assert not same_arrays(planted, BLOBS[0])
    assert same_arrays(tmp_path / "out.keras", BLOBS[0])
    assert done.groups == {"hidden": wtool.Reordered(("hidden",), 25, 0, MOVED, tuple(np.argsort(ORDER).tolist()))}
    assert done.similarity is not None
    assert done.similarity[1] == pytest.approx(1)
    assert (done.seed, done.notes, done.skipped) == (1, (), False)


def test_the_similarity_is_that_of_the_weights_that_channels_belong_to(planted: Path) -> None:
    (done,) = wtool.align(planted, to=BLOBS[3], dry_run=True)
    named = ("dense/vars/0", "dense/vars/1", "dense_1/vars/0")
    parts = [[arrays(path)[f"layers/{name}"].astype(float).ravel() for name in named] for path in (BLOBS[3], planted)]
    back = [arrays(BLOBS[0])[f"layers/{name}"].astype(float).ravel() for name in named]
    reference, model, best = (np.concatenate(each) for each in (*parts, back))
    norms = np.linalg.norm(reference) * np.linalg.norm(model)
    assert done.similarity == pytest.approx((reference @ model / norms, reference @ best / norms))


def test_nothing_else_in_the_file_changes(planted: Path, tmp_path: Path) -> None:
    wtool.align(planted, to=BLOBS[0], seed=1, output=tmp_path / "out.keras")
    with open_checkpoint(str(planted)) as before, open_checkpoint(str(tmp_path / "out.keras")) as after:
        assert before.config == after.config
        assert [(each.path, each.offset, each.shape) for each in before.tensors] == [
            (each.path, each.offset, each.shape) for each in after.tensors
        ]
        (record,) = [each for each in after.lineage if each.operation == "align"]
    told = record.to_json()
    assert told["parameters"] == {"restarts": 1, "iterations": 100, "optimizer": "keep"}
    assert [(each["name"], each["as"]) for each in told["inputs"]] == [
        ("planted.keras", "model"),
        (BLOBS[0].name, "reference"),
    ]
    assert told["seed"] == 1
    assert told["permutations"].startswith("blake3:")


@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_statistics_go_along_and_do_not_count(kind: str, tmp_path: Path) -> None:
    """The moving mean and variance of every unit are others in the reference, and much larger than the weights."""
    order, model = np.random.default_rng(1).permutation(8), FIXTURES / "bn" / f"ckpt-9{kind}"
    numbered = {".keras": ("batch_normalization/vars/2", "batch_normalization/vars/3"), ".h5": ("moving_",)}[kind]

    def disturb(name: str, values: Array) -> Array:
        is_statistic = values.shape == (8,) and any(word in name for word in numbered)
        return 1000 * values[::-1] if is_statistic else values

    reference = changed(model, tmp_path / f"reference{kind}", disturb)
    assert not same_arrays(reference, model)
    planted = changed(model, tmp_path / f"planted{kind}", in_order(order))
    (done,) = wtool.align(planted, to=reference, output=tmp_path / f"out{kind}")
    assert same_arrays(tmp_path / f"out{kind}", model)
    assert done.groups["hidden"].order == tuple(np.argsort(order).tolist())
    assert "wtool recalibrate" in done.notes[0]


def test_layers_of_both_models_may_have_other_names(tmp_path: Path) -> None:
    def renamed(text: str) -> str:
        return text.replace('"hidden"', '"dense_7"').replace('"output"', '"dense_8"')

    first = changed(BLOBS[0], tmp_path / "first.keras", lambda name, values: values, renamed)
    other = changed(BLOBS[0], tmp_path / "other.keras", in_order(ORDER), lambda text: renamed(text).replace("_7", "_9"))
    (done,) = wtool.align(other, to=first, output=tmp_path / "out.keras")
    assert same_arrays(tmp_path / "out.keras", BLOBS[0])
    assert any("matched by position" in note for note in done.notes)


def test_other_formats_are_aligned_to_one_another(planted: Path, tmp_path: Path) -> None:
    wtool.convert(planted, output=tmp_path / "planted.safetensors")
    wtool.align(tmp_path / "planted.safetensors", to=BLOBS[0], output=tmp_path / "out.safetensors")
    with open_checkpoint(str(tmp_path / "out.safetensors")) as made, open_checkpoint(str(BLOBS[0])) as first:
        named = {each.path: each for each in made.weights}
        assert all(np.array_equal(made.read(named[each.path]), first.read(each)) for each in first.weights)


def test_packed_models_are_aligned_and_packed_again(planted: Path, tmp_path: Path) -> None:
    wtool.pack(planted, output=tmp_path / "packed.keras")
    wtool.align(tmp_path / "packed.keras", to=BLOBS[0], output=tmp_path / "out.keras")
    assert same_arrays(tmp_path / "out.keras", BLOBS[0])


def test_a_folder_is_aligned_to_one_of_its_models(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        order = np.random.default_rng(number).permutation(25)
        changed(BLOBS[number], tmp_path / "in" / f"{number}.keras", in_order(order))
    done = wtool.align(tmp_path / "in", to=tmp_path / "in" / "0.keras", seed=1, output=f"{tmp_path}/out/")
    assert [each.groups["hidden"].moved > 0 for each in done] == [False, True, True]
    first = changed(BLOBS[1], tmp_path / "expected.keras", in_order(np.random.default_rng(0).permutation(25)))
    assert same_arrays(tmp_path / "out" / "1.keras", first)
    assert same_arrays(tmp_path / "out" / "0.keras", tmp_path / "in" / "0.keras")


def test_done_before_is_skipped(planted: Path, tmp_path: Path) -> None:
    first, second = (wtool.align(planted, to=BLOBS[0], output=tmp_path / "out.keras")[0] for _ in range(2))
    assert (first.skipped, second.skipped, second.seed) == (False, True, first.seed)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.align(planted, to=BLOBS[1], output=tmp_path / "out.keras")


def test_a_dry_run_says_the_same_and_writes_nothing(planted: Path, tmp_path: Path) -> None:
    (tried,) = wtool.align(planted, to=BLOBS[0], seed=1, dry_run=True)
    (done,) = wtool.align(planted, to=BLOBS[0], seed=1, in_place=True)
    assert (tried.groups, tried.similarity, tried.output) == (done.groups, done.similarity, None)
    assert [each.name for each in tmp_path.iterdir()] == ["planted.keras"]


def test_locked_layers_stay(planted: Path) -> None:
    (done,) = wtool.align(planted, to=BLOBS[0], lock=["hid*"], dry_run=True)
    assert done.groups["hidden"].moved == 0
    with pytest.raises(wtool.Usage, match="no layer with channels that may change places has a path like 'out"):
        wtool.align(planted, to=BLOBS[0], lock=["output"], dry_run=True)


def test_the_optimizer_may_be_left_out(planted: Path, tmp_path: Path) -> None:
    wtool.align(planted, to=BLOBS[0], optimizer="drop", output=tmp_path / "out.keras")
    left, whole = arrays(tmp_path / "out.keras"), arrays(BLOBS[0])
    assert {each for each in whole if not each.startswith("optimizer")} == set(left)
    assert all(np.array_equal(left[each], whole[each]) for each in left)


def test_state_that_is_not_understood_is_refused(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(base: Any, edits: Any) -> Any:
        (slot,) = [each for each in base.slots if each.slot.weight == "hidden/kernel"]
        tensors = [replace(each, shape=(5, 10)) if each is slot else each for each in base.tensors]
        return known(replace(base, contents=replace(base.contents, tensors=tuple(tensors))), edits)

    known = aligning.slot_edits
    monkeypatch.setattr(aligning, "slot_edits", odd)
    with pytest.raises(wtool.Refused, match="momentum/hidden/kernel goes with the weights; --optimizer drop"):
        wtool.align(planted, to=BLOBS[0], dry_run=True)


def test_files_that_cannot_be_aligned_are_refused(tmp_path: Path) -> None:
    weights = FIXTURES / "bn" / "ckpt-9.weights.h5"
    with pytest.raises(wtool.Refused, match="weights only does not say which layers there are"):
        wtool.align(weights, to=weights, output=tmp_path / "out.weights.h5")
    with pytest.raises(wtool.Refused, match="does not match"):
        wtool.align(BLOBS[0], to=FIXTURES / "bn" / "ckpt-9.keras", output=tmp_path / "out.keras")
    wrong = changed(BLOBS[0], tmp_path / "nan.keras", lambda name, values: values * np.float32("nan"))
    with pytest.raises(wtool.Refused, match="hidden/kernel, hidden/bias, output/kernel: NaN or infinite values"):
        wtool.align(BLOBS[0], to=wrong, output=tmp_path / "out.keras")
    with pytest.raises(wtool.Usage, match="verifying needs"):
        wtool.align(BLOBS[0], to=BLOBS[1], verify=True, dry_run=True)
    with pytest.raises(wtool.WtoolError, match="missing"):
        wtool.align(BLOBS[0], to="missing.keras", dry_run=True)


REASONS = "|".join(("weights only", "no hidden channels", "does not fit the model's graph", "its author's code"))


def test_models_of_the_zoo_are_aligned_to_themselves(tmp_path: Path) -> None:
    """Every channel stays; what has no hidden channels, or no layers, is refused with the reason."""
    failed: list[Any] = []
    done = []
    for path in sorted(each for each in ZOO.glob("*/*") if each.suffix in (".keras", ".h5")):
        try:
            done += wtool.align(path, to=path, output=tmp_path / f"{path.parent.name}-{path.name}")
        except wtool.WtoolError as error:
            failed.append(error)
    assert len(done) > 5
    assert all(each.moved == 0 for one in done for each in one.groups.values())
    assert [each for each in failed if not re.search(REASONS, each.message)] == []


def test_commands_with_an_initial_checkpoint_tell_of_another_order(planted: Path, tmp_path: Path) -> None:
    wtool.align(planted, to=BLOBS[0], output=tmp_path / "moved.keras")
    wtool.align(BLOBS[1], to=BLOBS[0], output=tmp_path / "still.keras")
    moved, still, first = (str(path) for path in (tmp_path / "moved.keras", tmp_path / "still.keras", planted))
    told = f"{moved} has its channels in another order, by wtool align, than {first}"
    for model, initial, has_note in ((moved, first, True), (still, first, False), (moved, moved, False)):
        (done,) = wtool.prune(model, criterion="movement", initial=initial, sparsity=0.5, dry_run=True)
        (ticket,) = wtool.rewind(model, initial=initial, dry_run=True)
        assert [any(told in note for note in each.notes) for each in (done, ticket)] == [has_note] * 2


def test_the_command_tells_what_moved(planted: Path, tmp_path: Path) -> None:
    command = forkserver.wtool("align", planted, "--to", BLOBS[0], "--seed", 3, "-o", tmp_path / "out.keras")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert done.stdout == ""
    assert lines[1].split() == ["channels", "of", "layers", "channels", "bound", "moved"]
    assert lines[2].split() == ["hidden", "1", "25", "0", str(MOVED)]
    assert f"{MOVED} of 25 channels moved; cosine to the reference " in lines[3]
    assert "1.000 after; the model computes the same; seed 3; written to " in lines[3]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is there already" in again.stderr
    dry = subprocess.run([*command, "-n", "-f"], capture_output=True, text=True, check=True)
    assert "hidden" in dry.stdout
    assert "nothing written" in dry.stderr
    told = subprocess.run([*command, "-n", "-f", "--json", "-q"], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["groups"]["hidden"]["moved"] == MOVED
    assert told.stderr == ""


def test_models_come_and_go_through_pipes(planted: Path, tmp_path: Path) -> None:
    command = forkserver.wtool("align", "-", "--to", BLOBS[0], "--seed", 3, "-o", "-", "-q")
    done = subprocess.run(command, input=planted.read_bytes(), capture_output=True, check=True)
    (tmp_path / "out.keras").write_bytes(done.stdout)
    assert same_arrays(tmp_path / "out.keras", BLOBS[0])
