"""Structured tickets: the channels that an experiment takes out, against the same steps by hand and NumPy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.training.lottery_files import WORDS, assert_same, assert_same_folders, make_files, state
from wtool.training.lottery.summaries import read_metrics

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
keras = pytest.importorskip("keras")
pytest.importorskip("sklearn.datasets")

ARMS = (
    "rewind,structured=yes",
    "randomize,masks=rewind+structured=yes,same_sign=no",
    "none,structured=yes,criterion=random",
    "jitter,rewind_to=1,round_to=4,sd=0.1,structured=yes",
)
SHRINKS: dict[str, dict[str, Any]] = {ARMS[0]: {}, ARMS[2]: {"criterion": "random"}, ARMS[3]: {"round_to": 4}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, an initial model, and in `run` two rounds that each take half of the units."""
    made = tmp_path_factory.mktemp("channels")
    make_files(made)
    before = Path.cwd()
    os.chdir(made)
    try:
        wtool.lottery("init.keras", out="run", rounds=2, arms=[named(arm) for arm in ARMS], **WORDS)
    finally:
        os.chdir(before)
    return made


def named(arm: str) -> str:
    """Returns the arm in a spelling that is not its name."""
    return arm.replace("sd=0.1", "sd=.1")


@pytest.mark.parametrize("arm", ARMS)
def test_both_rounds_by_hand(arm: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, data = folder / "run" / "trial-1", folder / "digits.npz"
    initial, trained, epochs = run / "initial.keras", run / "trained.keras", 2
    if "rewind_to" in arm:
        initial, epochs = run / "early-1.keras", 1
    for number in (1, 2):
        of_round = run / name_of(arm) / f"round-{number}"
        again: dict[str, Any] = {"seed": 3 + number, "force": True}
        if arm in SHRINKS:
            wtool.shrink(trained, sparsity=0.5, **SHRINKS[arm], output="shrunk.keras", **again)
            assert_same("shrunk.keras", of_round / "pruned.keras")
        else:
            shutil.copy(run / ARMS[0] / f"round-{number}" / "pruned.keras", "shrunk.keras")
        wtool.shrink(initial, like="shrunk.keras", output="ticket.keras", force=True)
        if arm.startswith("randomize"):
            how: dict[str, Any] = {"initial": "ticket.keras", "same_sign": False}
            wtool.randomize("shrunk.keras", **how, output="ticket.keras", **again)
        elif arm.startswith("jitter"):
            wtool.jitter("shrunk.keras", initial="ticket.keras", sd=0.1, output="ticket.keras", **again)
        elif arm.startswith("none"):
            assert_learning_rate_is_rewound(of_round / "ticket.keras", "shrunk.keras", "ticket.keras")
            shutil.copy(of_round / "ticket.keras", "ticket.keras")
        assert_same("ticket.keras", of_round / "ticket.keras")
        wtool.resume("ticket.keras", data=data, epochs=epochs, seed=3, output="trained.keras", force=True)
        assert_same("trained.keras", of_round / "trained.keras")
        trained = of_round / "trained.keras"


def name_of(arm: str) -> str:
    return "none,criterion=random,structured=yes" if arm.startswith("none") else arm


def assert_learning_rate_is_rewound(ticket: Path, shrunk: str, smaller: str) -> None:
    """The weights are those of the smaller trained model, and all else is that of the smaller initial model."""
    found, weights, rest = state(ticket), state(shrunk), state(smaller)
    with wtool.open_checkpoint(ticket) as opened:
        paths = {tensor.path for tensor in opened.weights}
    for path, value in found.items():
        assert value.tobytes() == (weights if path in paths else rest)[path].tobytes()


def test_a_ticket_has_the_initial_values_of_the_channels_that_matter(folder: Path) -> None:
    """Kept are the units with the largest sum of squares: of each kernel, divided by the mean over the units."""
    run = folder / "run" / "trial-1"
    first, last = state(run / "initial.keras"), state(run / "trained.keras")
    scores = (last["hidden/kernel"] ** 2).sum(0), (last["out/kernel"] ** 2).sum(1)
    kept = np.sort(np.argsort(scores[0] + scores[1])[8:])
    ticket = keras.models.load_model(run / ARMS[0] / "round-1" / "ticket.keras")
    hidden, out = (layer.get_weights() for layer in ticket.layers if layer.weights and layer.name != "dropout")
    assert np.array_equal(hidden[0], first["hidden/kernel"][:, kept])
    assert np.array_equal(hidden[1], first["hidden/bias"][kept])
    assert np.array_equal(out[0], first["out/kernel"][kept])


def test_the_metrics_tell_which_share_of_the_weights_is_left(folder: Path) -> None:
    run = folder / "run"
    lines = {(line.arm, line.round): line for line in read_metrics(run)}
    for number, units in ((1, 8), (2, 4)):
        line, path = lines[ARMS[0], number], run / "trial-1" / ARMS[0] / f"round-{number}" / "trained.keras"
        layers = [layer for layer in keras.models.load_model(path).layers if hasattr(layer, "kernel")]
        assert sum(layer.kernel.shape.num_elements() for layer in layers) == units * (64 + 10)
        assert (line.remaining, line.sparsity) == (units / 16, 1 - units / 16)
        accuracy = wtool.evaluate(path, data=folder / "digits.npz")[0].metrics["accuracy"]
        assert line.metrics["val_accuracy"] == pytest.approx(accuracy)


def test_nothing_is_left_to_do_and_what_is_gone_is_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words: dict[str, Any] = {"rounds": 2, "arms": [named(arm) for arm in ARMS], **WORDS}
    shutil.copytree("run", tmp_path / "run")
    for name in ("ticket", "pruned"):
        (tmp_path / "run" / "trial-1" / ARMS[0] / "round-2" / f"{name}.keras").unlink()
    (tmp_path / "run" / "trial-1" / ARMS[3] / "round-1" / "ticket.keras").unlink()
    for out in ("run", tmp_path / "run"):
        assert wtool.lottery("init.keras", out=out, **words).trained == 0
    assert_same_folders("run", str(tmp_path / "run"))
