"""Names of results: every command completes, refuses, and makes folders by one rule."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from wtool.cli import COMMANDS
from wtool.errors import Usage
from wtool.run.result_names import named, result_name
from wtool.run.target import Goal

SINGLE = {
    "align": "align b.keras --to a.keras",
    "constant": "constant p.keras --initial a.keras",
    "convert": "convert a.h5",
    "jitter": "jitter p.keras --initial a.keras --seed 1",
    "neuroplast": "neuroplast a.keras --seed 1",
    "pack": "pack a.keras",
    "patch": "patch a.keras --set hidden/bias=1",
    "prune": "prune a.keras --sparsity .5",
    "randomize": "randomize p.keras --initial a.keras",
    "reshuffle": "reshuffle p.keras --initial a.keras",
    "rewind": "rewind p.keras --initial a.keras",
    "shrink": "shrink a.keras --sparsity .5",
    "stroke": "stroke a.keras --seed 1",
    "swap": "swap a.keras --to linked",
}
"""Commands that make one model of one, with their words."""

SEVERAL = {"average": "average a.keras b.keras", "merge": "merge a.keras b.keras --method linear"}
"""Commands that make one model of several."""

TRAINING = {
    "recalibrate": "recalibrate bn.keras --data data.npz",
    "resume": "resume a.keras --data data.npz --epochs 1",
    "soup": "soup a.keras b.keras --data data.npz --metric loss",
}
AGAIN = {"run": "run r.yaml a.keras", "replay": "replay p.keras"}
"""Commands that do operations of other commands."""

MADE = {**SINGLE, **SEVERAL, **TRAINING, **AGAIN}
OTHERS = {"inspect", "check", "diff", "plot", "evaluate", "lottery", "ema", "help", "completion", "report"}
OTHERS |= {"history", "index"}
"""Commands that write no model, or whose models need more than the fixtures have (ema), or have names of their own."""

TAUGHT = [pytest.mark.tensorflow]
ROWS = [pytest.param(name, marks=TAUGHT if name in TRAINING else ()) for name in MADE]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for number, name in ((0, "a"), (3, "b")):
        shutil.copy(BLOBS[number], tmp_path / f"{name}.keras")
    wtool.prune(tmp_path / "a.keras", sparsity=0.5, output=tmp_path / "p.keras")
    (tmp_path / "r.yaml").write_text("- prune: {sparsity: 0.5}\n- stroke: {seed: 1}\n")
    shutil.copy(BLOBS[0].parents[1] / "bn" / "ckpt-9.keras", tmp_path / "bn.keras")
    shutil.copy(BLOBS[0].parents[1] / "zoo" / "tf2.10" / "mlp.h5", tmp_path / "a.h5")
    with np.load(BLOBS[0].parent / "data.npz") as data:
        np.savez(tmp_path / "data.npz", x=data["test_x"], y=data["test_y"])
    return tmp_path


def command(words: str, here: Path, *more: str) -> subprocess.CompletedProcess[str]:
    name = words.split()[0]
    argv = forkserver.wtool(*words.split(), *more, training=name in TRAINING)
    return subprocess.run(argv, cwd=here, capture_output=True, text=True, check=False)


def test_every_command_is_here() -> None:
    assert {*MADE} | OTHERS >= {*COMMANDS}


@pytest.mark.parametrize("name", ROWS)
def test_a_name_without_an_extension_gets_that_of_the_format(name: str, here: Path) -> None:
    done = command(MADE[name], here, "-o", "new", "-q")
    assert done.returncode == 0, done.stderr
    assert (here / "new.keras").is_file()
    assert not (here / "new").exists()


@pytest.mark.parametrize("name", ROWS)
def test_another_extension_is_refused(name: str, here: Path) -> None:
    before = sorted(os.listdir(here))
    done = command(MADE[name], here, "-o", "new.bin", "-q")
    assert done.returncode == 2, done.stderr
    assert "its name has to end in .keras" in done.stderr
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize("name", ROWS)
def test_a_name_with_a_slash_is_a_folder(name: str, here: Path) -> None:
    done = command(MADE[name], here, "-o", "new/", "-q")
    assert done.returncode == 0, done.stderr
    assert len(list((here / "new").glob("*.keras"))) == 1


@pytest.mark.parametrize("name", SINGLE)
def test_several_models_need_a_folder(name: str, here: Path) -> None:
    """They make the folder, where its name is not that of a model."""
    words = SINGLE[name].split()
    first = words[1]
    shutil.copy(here / first, here / f"other-{first}")
    both = " ".join([words[0], first, f"other-{first}", *words[2:]])
    refused = command(both, here, "-o", "new.keras")
    assert refused.returncode == 2
    assert "new.keras: called like a file, but a folder may hold many models" in refused.stderr
    done = command(both, here, "-o", "new", "-q")
    assert done.returncode == 0, done.stderr
    assert len(list((here / "new").iterdir())) == 2


@pytest.mark.parametrize("name", [each for each in ROWS if each.values[0] not in ("resume", "recalibrate", "replay")])
def test_a_dry_run_looks_at_nothing_that_it_would_not_write(name: str, here: Path) -> None:
    shutil.copy(here / "b.keras", here / "new.keras")
    done = command(MADE[name], here, "-o", "new.keras", "-n", "-q")
    assert done.returncode == 0, done.stderr
    assert (here / "new.keras").read_bytes() == (here / "b.keras").read_bytes()


@pytest.mark.parametrize(
    ("output", "kind", "base", "made"),
    [
        ("m.keras", "keras", "a.keras", "m.keras"),
        ("m.KERAS", "keras", "a.keras", "m.KERAS"),
        ("-", "keras", "a.keras", "-"),
        ("m.bin", "keras", "a.bin", "m.bin"),
        ("m", "keras", "a.keras", "m.keras"),
        ("m", "keras", "a", "m.keras"),
        ("m", "h5", "a.h5", "m.h5"),
        ("m.hdf5", "h5", "a.h5", "m.hdf5"),
        ("m.keras", "h5", "a.keras", "m.keras"),
        ("m", "weights.h5", "a.weights.h5", "m.weights.h5"),
        ("m.lora.h5", "weights.h5", "a.weights.h5", "m.lora.h5"),
        ("m.lora.h5", "h5-weights", "a.h5", "m.lora.h5"),
        ("m.weights.h5", "weights.h5", "a.lora.h5", "m.weights.h5"),
        ("m", "weights.json", "a.weights.json", "m.weights.json"),
        ("m", "safetensors", "a.safetensors", "m.safetensors"),
        ("/dev/null", "keras", "a.keras", "/dev/null"),
    ],
)
def test_names_that_fit(output: str, kind: str, base: str, made: str) -> None:
    assert named(Goal(output), kind, base) == Goal(made)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("m.h5", "keras"),
        ("m.H5", "keras"),
        ("m.bin", "keras"),
        ("m.keras", "weights.h5"),
        ("m.h5", "weights.h5"),
        ("m.lora.h5", "h5"),
        ("m.bin", "weights.json"),
        ("model-0.5", "keras"),
    ],
)
def test_names_of_another_format(output: str, kind: str) -> None:
    with pytest.raises(Usage, match=f"the format of its input, {kind}; its name has to end in"):
        named(Goal(output), kind)


def test_a_result_in_another_format_has_no_name_of_its_input() -> None:
    with pytest.raises(Usage, match="the output has the format keras; its name"):
        named(Goal("m.h5"), "keras", "a.h5", keeps_format=False)


def test_a_link_is_called_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("m.keras")
    (tmp_path / "older").symlink_to("m.h5")
    assert named(Goal(f"{tmp_path}/latest"), "keras") == Goal(f"{tmp_path}/latest")
    with pytest.raises(Usage):
        named(Goal(f"{tmp_path}/older"), "keras")


def test_a_model_that_is_its_own_result_keeps_its_name(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copy(BLOBS[0], model)
    before = model.read_bytes()
    wtool.prune(model, sparsity=0.5, in_place=True)
    assert os.listdir(tmp_path) == ["model"]
    assert model.read_bytes() != before


def test_names_of_results() -> None:
    assert result_name("out", "keras", "a.keras") == "out.keras"
    assert result_name("out", "h5", "a.keras") == "out.keras", "TensorFlow 2 called HDF5 so"
    assert result_name("out", "h5", "a.bin") == "out.h5"
    assert result_name("out", "keras", "-") == "out.keras"


def test_an_average_leaves_its_own_output_out(tmp_path: Path) -> None:
    for each in BLOBS[:2]:
        shutil.copy(each, tmp_path)
    first = wtool.average([tmp_path], output=tmp_path / "mean")
    again = wtool.average([tmp_path], output=tmp_path / "mean")
    assert first.output == again.output == f"{tmp_path}/mean.keras"
    assert again.skipped
