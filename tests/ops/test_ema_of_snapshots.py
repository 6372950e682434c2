"""Averages out of snapshots: against NumPy, and what is refused. The snapshots are written here, without wtool."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, Array, changed
from wtool.run.input_model import InputModel

STEPS = (20, 40, 60, 80, 100)
WIDTHS = (0.05, 0.1)


def with_lineage(path: Path, records: Any) -> Path:
    """A model with records in its metadata."""
    with zipfile.ZipFile(path) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    members["metadata.json"] = json.dumps({**json.loads(members["metadata.json"]), "wtool_lineage": records}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def record(width: Any, step: Any, training: Any = "a", **more: Any) -> dict[str, Any]:
    parameters = {"sigma_rel": width, "exponent": 1.0, "step": step}
    return {"operation": "power-ema", "parameters": parameters, "training": training, **more}


def snapshot(path: Path, width: float, step: int, seed: int, source: Path = BLOBS[0], training: str = "a") -> Path:
    rng = np.random.default_rng(seed)
    changed(source, path, lambda name, a: rng.normal(size=a.shape) if a.dtype.kind == "f" else a)
    return with_lineage(path, [record(width, step, training)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snapshots of two widths at five steps; names tell nothing."""
    found = tmp_path_factory.mktemp("snapshots")
    for number, (width, step) in enumerate((width, step) for step in STEPS for width in WIDTHS):
        snapshot(found / f"{(number * 7) % 10}.keras", width, step, number)
    return found


def weights(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each) for each in checkpoint.weights}


def test_the_average_is_the_sum_of_the_snapshots(folder: Path, tmp_path: Path) -> None:
    """With the reference coefficients of steps 2, 4, ..., 10, which scale with time; narrow ones before wide ones."""
    reference = json.loads((FIXTURES.parent / "tests" / "transforms" / "posthoc_ema.json").read_text())
    (done,) = wtool.ema(folder, sigma_rel=0.15, output=tmp_path / "out.keras")
    shares = np.reshape(reference["coef out=10 std=0.15"], (2, 5)).T.reshape(-1)
    assert np.abs([each.coefficient for each in done.inputs] - shares).max() < 1e-9
    assert [Path(each.path).name for each in done.inputs] == [f"{(number * 7) % 10}.keras" for number in range(10)]
    parts = [weights(Path(each.path)) for each in done.inputs]
    new = weights(tmp_path / "out.keras")
    for path, value in new.items():
        exact = sum(
            one.coefficient * part[path].astype(np.float64) for one, part in zip(done.inputs, parts, strict=True)
        )
        assert np.array_equal(value, exact.astype(np.float32)), path
    assert done.selected == sum(each.size for each in new.values())
    assert done.error == pytest.approx(0.07500388805)
    record = wtool.inspect(tmp_path / "out.keras")["lineage"][-1]
    assert record["parameters"] == {"sigma_rel": 0.15, "step": 100, "optimizer": "follow"}
    assert [each["coefficient"] for each in record["inputs"]] == [each.coefficient for each in done.inputs]
    (again,) = wtool.ema(folder, sigma_rel=0.15, output=tmp_path / "out.keras")
    assert again.skipped


@pytest.mark.parametrize(("width", "step"), [(0.05, 100), (0.1, 60), (0.05, 20)])
def test_a_tracked_average_is_given_to_the_bit(width: float, step: int, folder: Path, tmp_path: Path) -> None:
    (done,) = wtool.ema(folder, sigma_rel=width, step=step, output=tmp_path / "out.keras")
    (only,) = done.inputs
    assert only.coefficient == 1.0
    assert done.error == 0.0
    with wtool.open_checkpoint(only.path) as checkpoint:
        assert checkpoint.lineage[0].parameters["sigma_rel"] == width
        assert checkpoint.lineage[0].parameters["step"] == step
    new, own = weights(tmp_path / "out.keras"), weights(Path(only.path))
    assert {path: each.tobytes() for path, each in new.items()} == {path: each.tobytes() for path, each in own.items()}


def test_an_earlier_step_takes_the_snapshots_up_to_there(folder: Path) -> None:
    (done,) = wtool.ema(folder, sigma_rel=0.12, step=60, dry_run=True)
    assert len(done.inputs) == 6
    (other,) = wtool.ema(folder, sigma_rel=0.12, step=70, dry_run=True)
    assert len(other.inputs) == 6
    assert other.error is not None
    assert done.error is not None
    assert other.error > 3 * done.error
    with pytest.raises(wtool.Usage, match="newest snapshot is of step 100: an average up to step 101"):
        wtool.ema(folder, sigma_rel=0.12, step=101)
    with pytest.raises(wtool.Usage, match="oldest snapshot is of step 20, which is after step 19"):
        wtool.ema(folder, sigma_rel=0.12, step=19)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (0.25, ["a relative width above 0.2 counts the first steps much", "do not give this average: .* 31.0% off"]),
        (0.01, ["do not give this average", "rounding errors of the snapshots become up to 10 times larger"]),
        (0.07, []),
    ],
)
def test_wishes_that_snapshots_do_not_give_are_told(width: float, words: list[str], folder: Path) -> None:
    (done,) = wtool.ema(folder, sigma_rel=width, dry_run=True)
    told = [note for note in done.notes if "batch norm" not in note]
    assert len(told) == len(words)
    for note, pattern in zip(told, words, strict=True):
        assert re.search(pattern, note), note


@pytest.mark.parametrize("width", [0, -0.1, 0.3004, float("nan"), float("inf"), 1e-9])
def test_widths_that_no_power_function_has_are_refused(width: float, folder: Path) -> None:
    with pytest.raises(wtool.Usage, match=r"relative width of .* is not between"):
        wtool.ema(folder, sigma_rel=width)


def test_statistics_are_those_of_the_newest(tmp_path: Path) -> None:
    """Sums with negative coefficients are no variances."""
    source = FIXTURES / "bn" / "ckpt-9.keras"
    for number, step in enumerate(STEPS):
        snapshot(tmp_path / f"{number}.keras", 0.05, step, number, source)
    (done,) = wtool.ema(tmp_path, sigma_rel=0.07, output=tmp_path / "out.keras")
    new, newest = weights(tmp_path / "out.keras"), weights(tmp_path / "4.keras")
    statistics = [path for path in new if "moving" in path]
    assert statistics
    assert all(np.array_equal(new[path], newest[path]) == (path in statistics) for path in new)
    assert all(str(done.actions[path]) == "kept from the newest" for path in statistics)
    assert any("wtool recalibrate" in note for note in done.notes)


def test_snapshots_of_several_trainings_are_refused(folder: Path, tmp_path: Path) -> None:
    other = snapshot(tmp_path / "other.keras", 0.05, 120, 1, training="b")
    with pytest.raises(wtool.Refused, match=r"other.keras: is of another training than .*0.keras"):
        wtool.ema([folder, other], sigma_rel=0.12)
    twice = snapshot(tmp_path / "twice.keras", 0.05, 100, 1)
    with pytest.raises(wtool.Refused, match="is of the same average and step as"):
        wtool.ema([folder, twice], sigma_rel=0.12)


def test_other_models_are_passed_by_in_a_folder_and_refused_by_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.keras"
    other.write_bytes(BLOBS[0].read_bytes())
    snapshot(tmp_path / "0.keras", 0.05, 20, 1)
    (done,) = wtool.ema(tmp_path, sigma_rel=0.06, dry_run=True)
    assert f"{other} is no snapshot, and is no input" in done.notes
    with pytest.raises(wtool.Refused, match="is no snapshot of the callback PowerEMA"):
        wtool.ema([folder, other], sigma_rel=0.06)
    (tmp_path / "0.keras").unlink()
    with pytest.raises(wtool.Refused, match="no model is a snapshot"):
        wtool.ema(tmp_path, sigma_rel=0.06)


STRANGE: dict[str, Any] = {
    "text for a width": [record("0.05", 20)],
    "width of nothing": [record(None, 20)],
    "too wide": [record(0.9, 20)],
    "no number": [record(float("nan"), 20)],
    "step 0": [record(0.05, 0)],
    "half a step": [record(0.05, 1.5)],
    "true": [record(0.05, True)],
    "huge": [record(0.05, 10**400)],
    "no training": [record(0.05, 20, None)],
    "a list": [record([0.05], [20])],
    "parameters of another type": [{"operation": "power-ema", "parameters": 3}],
    "nothing": [],
    "pruned later": [record(0.05, 20), {"operation": "prune", "parameters": {}}],
    "of another input": [record(0.05, 20, of="initial")],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_records_make_no_snapshot(name: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.keras"
    path.write_bytes(BLOBS[0].read_bytes())
    with_lineage(path, STRANGE[name])
    with pytest.raises(wtool.WtoolError) as caught:
        wtool.ema(path, sigma_rel=0.05)
    assert isinstance(caught.value, wtool.Refused)
    assert "\n" not in str(caught.value)


def test_a_converted_snapshot_is_one(tmp_path: Path) -> None:
    wtool.convert(snapshot(tmp_path / "one.keras", 0.05, 20, 1), output=tmp_path / "one.safetensors")
    (done,) = wtool.ema(tmp_path / "one.safetensors", sigma_rel=0.05, output=tmp_path / "out.safetensors")
    assert done.inputs == (InputModel(str(tmp_path / "one.safetensors"), "averaged", 1.0),)


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    for step in (20, 40):
        changed(BLOBS[0], tmp_path / f"{step}.keras", lambda name, a: np.full(a.shape, np.inf) if a.ndim == 2 else a)
        with_lineage(tmp_path / f"{step}.keras", [record(0.05, step)])
    with pytest.raises(wtool.Refused, match="NaN or infinite values; the training that it is of diverged"):
        wtool.ema(tmp_path, sigma_rel=0.06, output=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_what_the_command_says(folder: Path, tmp_path: Path) -> None:
    command = forkserver.python("-m", "wtool", "ema", "--sigma-rel", ".15", str(folder), "-o", "out.keras")
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stderr
    assert "1.0491731" in told
    assert "153 numbers averaged; the weighting of steps is 0.075 off; written to out.keras" in told
    as_json = subprocess.run([*command, "--json", "-q"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(as_json.stdout)["skipped"] is True


def test_options_that_do_not_go_together(folder: Path) -> None:
    with pytest.raises(wtool.Usage, match="--step is the end of an average out of snapshots"):
        wtool.ema(folder, step=20)
    with pytest.raises(wtool.Usage, match="name an --output, not in place"):
        wtool.ema(folder, sigma_rel=0.12, in_place=True)
    with pytest.raises(wtool.Usage, match="from 1 up"):
        wtool.ema(folder, sigma_rel=0.12, step=0)
