"""The lottery experiment: its plan by hand, its results against the same operations one by one, stops and kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.steps import Steps
from tests.training.lottery_files import QUIET, WORDS, assert_same, assert_same_folders, make_files, state
from wtool.training.lottery import folder as lottery_folder
from wtool.training.lottery import plan as lottery_plan
from wtool.training.lottery import summaries
from wtool.training.lottery.plan import Experiment, Step

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and an initial model, whose learning rate and Dropout depend on the step."""
    folder = tmp_path_factory.mktemp("lottery")
    make_files(folder)
    return folder


@pytest.fixture(scope="module")
def whole(first: Path) -> wtool.Lottery:
    """Two trials of two arms and two rounds, of which tickets begin after the first epoch."""
    before = Path.cwd()
    os.chdir(first)
    try:
        more: dict[str, Any] = {"arms": ["rewind", "randomize"], "same_sign": False, "trials": 2, "rewind_to": 1}
        return wtool.lottery("init.keras", out="whole", rounds=2, criterion="movement", **more, **WORDS)
    finally:
        os.chdir(before)


@pytest.fixture
def here(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("init.keras", "digits.npz"):
        shutil.copy(first / name, tmp_path)
    return tmp_path


# The plan.


def test_schedules() -> None:
    """Half of what is left in each round, or the same share of all."""
    geometric = lottery_plan.sparsities(Experiment(1, 0, sparsity=0.875, rounds=3))
    assert geometric == pytest.approx([0.5, 0.75, 0.875], abs=1e-15)
    linear = lottery_plan.sparsities(Experiment(1, 0, sparsity=0.9, rounds=3, schedule="linear"))
    assert linear == pytest.approx([0.3, 0.6, 0.9], abs=1e-15)
    assert (geometric[-1], linear[-1]) == (0.875, 0.9)
    assert lottery_plan.sparsities(Experiment(1, 0, sparsity=1.0)) == (1.0,)
    first, second = lottery_plan.sparsities(Experiment(1, 0, sparsity=0.8, rounds=2, schedule="polynomial"))
    assert (first, second) == (pytest.approx(0.7), 0.8)


def test_steps() -> None:
    experiment = Experiment(5, 7, sparsity=0.75, rounds=2, arms=("none",), rewind_to=2, criterion="mov", trials=2)
    first, second = "trial-2/none/round-1", "trial-2/none/round-2"
    half = {"trial": 2, "arm": "none", "round": 1, "sparsity": 0.5}
    rest = {"trial": 2, "arm": "none", "round": 2, "sparsity": 0.75}
    assert lottery_plan.steps(experiment, ".h5")[9:] == [
        Step("draw", "trial-2/initial.h5", None, None, 1007, 2),
        Step("resume", "trial-2/early.h5", "trial-2/initial.h5", None, 1007, 2, stop=2),
        Step("resume", "trial-2/trained.h5", "trial-2/early.h5", None, 1007, 2, start=2, stop=5),
        Step("prune", f"{first}/pruned.h5", "trial-2/trained.h5", "trial-2/initial.h5", 1008, **half),
        Step("none", f"{first}/ticket.h5", f"{first}/pruned.h5", "trial-2/early.h5", 1008, **half),
        Step("resume", f"{first}/trained.h5", f"{first}/ticket.h5", None, 1007, **half, start=2, stop=5),
        Step("prune", f"{second}/pruned.h5", f"{first}/trained.h5", f"{first}/ticket.h5", 1009, **rest),
        Step("none", f"{second}/ticket.h5", f"{second}/pruned.h5", "trial-2/early.h5", 1009, **rest),
        Step("resume", f"{second}/trained.h5", f"{second}/ticket.h5", None, 1007, **rest, start=2, stop=5),
    ]


def test_one_shot_without_late_rewinding_is_the_paper() -> None:
    plan = lottery_plan.steps(Experiment(3, 0, arms=("rewind", "reshuffle")))
    assert [(step.operation, step.model, step.initial) for step in plan] == [
        ("copy", None, None),
        ("resume", "trial-1/initial.keras", None),
        ("prune", "trial-1/trained.keras", None),
        ("rewind", "trial-1/rewind/round-1/pruned.keras", "trial-1/initial.keras"),
        ("resume", "trial-1/rewind/round-1/ticket.keras", None),
        ("prune", "trial-1/trained.keras", None),
        ("reshuffle", "trial-1/reshuffle/round-1/pruned.keras", "trial-1/initial.keras"),
        ("resume", "trial-1/reshuffle/round-1/ticket.keras", None),
    ]


def test_what_is_wanted() -> None:
    """As make has it: what is to stay or to be told, and what these read; nothing else."""
    plan = lottery_plan.steps(Experiment(3, 0, rounds=2))
    every = [step.output for step in plan]
    trained = {step.output for step in plan if step.operation == "resume"}

    def numbers(there: set[int], recorded: set[str], kept: set[int]) -> list[int]:
        found = lottery_plan.wanted(plan, {every[at] for at in there}, recorded, {every[at] for at in kept})
        return [plan.index(step) for step in found]

    everything = set(range(8))
    assert numbers(set(), set(), {7}) == list(range(8))
    assert numbers(everything, trained, everything) == []
    assert numbers({0, 6, 7}, trained, {0, 6, 7}) == []
    assert numbers({0, 1, 4}, {every[1], every[4]}, {0, 6, 7}) == [5, 6, 7]
    assert numbers({0, 6}, trained, {0, 6, 7}) == [7]
    assert numbers({0, 1, 2, 3, 4, 5, 6, 7}, {every[1], every[4]}, {7}) == [7]
    assert numbers({0, 3, 6, 7}, trained - {every[4]}, {0, 3, 6, 7}) == [4]


def test_what_is_kept() -> None:
    plan = lottery_plan.steps(Experiment(3, 0, rounds=2, rewind_to=1))
    names = {
        keep: [step.output.removeprefix("trial-1/").removesuffix(".keras") for step in plan if found[step]]
        for keep in ("all", "tickets", "last")
        if (found := {step: lottery_plan.is_kept(step, keep, 2) for step in plan})
    }
    assert len(names["all"]) == 9
    last = ["rewind/round-2/ticket", "rewind/round-2/trained"]
    assert names["tickets"] == ["initial", "rewind/round-1/ticket", *last]
    assert names["last"] == ["initial", *last]


# The experiment.


@pytest.mark.parametrize(("trial", "seed"), [(1, 3), (2, 1003)])
def test_the_loop_by_hand_is_the_same(trial: int, seed: int, whole: wtool.Lottery, first: Path, here: Path) -> None:
    """What a script of the single operations makes, in both trials and both arms."""
    data = first / "digits.npz"
    run = first / "whole" / f"trial-{trial}"
    if trial == 1:
        assert (run / "initial.keras").read_bytes() == Path("init.keras").read_bytes()
    shutil.copy(run / "initial.keras", "start.keras")
    wtool.resume("start.keras", data=data, epochs=1, seed=seed, output="early.keras", force=True)
    wtool.resume("early.keras", data=data, epochs=1, seed=seed, output="dense.keras", force=True)
    assert_same("dense.keras", run / "trained.keras")
    for arm in ("rewind", "randomize"):
        trained, began = "dense.keras", "start.keras"
        for number, sparsity in ((1, 0.5), (2, 0.75)):
            how = {"sparsity": sparsity, "criterion": "movement", "last_layer_scale": 0.5, "initial": began}
            wtool.prune(trained, **how, output="pruned.keras", force=True)
            ticket, result = f"ticket-{number}.keras", f"trained-{number}.keras"
            made = {"initial": "early.keras", "output": ticket, "force": True}
            if arm == "rewind":
                wtool.rewind("pruned.keras", **made)
            else:
                wtool.randomize("pruned.keras", **made, same_sign=False, seed=seed + number)
            wtool.resume(ticket, data=data, epochs=1, seed=seed, output=result, force=True)
            for name in ("pruned", "ticket", "trained"):
                mine = f"{name}.keras" if name == "pruned" else f"{name}-{number}.keras"
                assert_same(mine, run / arm / f"round-{number}" / f"{name}.keras")
            trained, began = result, ticket


def test_metrics_are_those_of_the_models(whole: wtool.Lottery, first: Path) -> None:
    lines = summaries.read_metrics(first / "whole")
    where = [(line.trial, line.arm, line.round, line.epoch) for line in lines]
    assert where == [
        (trial, *rest)
        for trial in (1, 2)
        for rest in (
            ("dense", 0, 1), ("dense", 0, 2),
            ("rewind", 1, 2), ("rewind", 2, 2), ("randomize", 1, 2), ("randomize", 2, 2),
        )
    ]  # fmt: skip
    for line in lines[1:6]:
        folder = first / "whole" / "trial-1" / ("." if line.round == 0 else f"{line.arm}/round-{line.round}")
        found = wtool.evaluate(folder / "trained.keras", data=first / "digits.npz")[0].metrics
        assert {name: line.metrics[f"val_{name}"] for name in found} == pytest.approx(found, rel=1e-6)
        weights = state(folder / "trained.keras")
        kernels = [weights["hidden/kernel"], weights["out/kernel"]]
        pruned = round(line.sparsity * 1024) + round(line.sparsity * 80)  # half of the share in the last layer
        assert line.remaining == 1 - pruned / 1184
        assert sum(np.count_nonzero(kernel) for kernel in kernels) == 1184 - pruned


def test_arms_share_the_dense_training_and_nothing_else(whole: wtool.Lottery, first: Path) -> None:
    assert whole.trained == 2 * (2 + 2 * 2)
    run = first / "whole" / "trial-1"
    masks = [state(run / arm / "round-1" / "ticket.keras")["hidden/kernel"] for arm in ("rewind", "randomize")]
    assert np.array_equal(masks[0] != 0, masks[1] != 0)
    kept = masks[0] != 0
    assert np.array_equal(masks[0][kept], state(run / "early.keras")["hidden/kernel"][kept])
    assert not np.isin(masks[1][kept], masks[0]).any()
    later = state(run / "randomize" / "round-2" / "ticket.keras")["hidden/kernel"]
    assert not np.isin(later[later != 0], masks[1]).any()  # or it would be rewound to its own initial weights


def test_trials_begin_with_new_weights_of_the_same_initializers(whole: wtool.Lottery, first: Path) -> None:
    one, two = (state(first / "whole" / f"trial-{trial}" / "initial.keras") for trial in (1, 2))
    for path, fan in (("hidden/kernel", 64 + 16), ("out/kernel", 16 + 10)):
        assert not np.isin(two[path], one[path]).any()
        limit = (6 / fan) ** 0.5  # Glorot's uniform
        assert np.abs(two[path]).max() <= limit
        assert np.std(two[path]) == pytest.approx(limit / 3**0.5, rel=0.15)
        assert 0.3 < np.mean(np.sign(two[path]) == np.sign(one[path])) < 0.7
    others = one.keys() - {"hidden/kernel", "out/kernel"}
    assert all(one[path].tobytes() == two[path].tobytes() for path in others)


def test_summaries_are_numpy(whole: wtool.Lottery, first: Path) -> None:
    lines = [json.loads(line) for line in (first / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert len(whole.summary) == 6
    for each in whole.summary:
        same = [
            line for line in lines if (line["arm"], line["round"], line["epoch"]) == (each.arm, each.round, each.epoch)
        ]
        assert each.trials == len(same) == 2
        for name, spread in each.metrics.items():
            values = [line["metrics"][name] for line in same]
            wanted = [np.mean(values), np.median(values), np.min(values), np.max(values), np.std(values, ddof=1)]
            assert [spread.mean, spread.median, spread.min, spread.max, spread.std] == pytest.approx(wanted, rel=1e-12)
    last = summaries.last_epochs(whole.summary)
    assert [(each.arm, each.round, each.epoch) for each in last] == [
        ("dense", 0, 2), ("rewind", 1, 2), ("rewind", 2, 2), ("randomize", 1, 2), ("randomize", 2, 2)
    ]  # fmt: skip
    three = [
        summaries.Line(trial, "rewind", 1, 0.5, 0.5, 4, {"loss": loss}) for trial, loss in ((1, 1), (2, 2), (3, 6))
    ]
    assert summaries.summarise(three)[0].metrics["loss"] == summaries.Spread(3.0, 2, 1, 6, pytest.approx(7**0.5))
    assert summaries.summarise(three[:1])[0].metrics["loss"] == summaries.Spread(1.0, 1, 1, 1, None)


def test_early_stops_have_the_lowest_validation_loss(whole: wtool.Lottery, first: Path) -> None:
    lines = [json.loads(line) for line in (first / "whole" / "metrics.jsonl").read_text().splitlines()]
    for found in whole.early_stops:
        own = [line for line in lines if (line["arm"], line["round"]) == (found.arm, found.round)]
        best = [
            min((line for line in own if line["trial"] == trial), key=lambda line: line["metrics"]["val_loss"])
            for trial in (1, 2)
        ]
        assert (found.trials, found.sparsity) == (2, best[0]["sparsity"])
        assert found.epoch.mean == np.mean([line["epoch"] for line in best])
        assert found.metrics["accuracy"].mean == pytest.approx(np.mean([line["metrics"]["accuracy"] for line in best]))
    assert [(each.arm, each.round) for each in whole.early_stops] == [
        ("dense", 0), ("rewind", 1), ("rewind", 2), ("randomize", 1), ("randomize", 2)
    ]  # fmt: skip


def test_the_first_of_equal_losses_is_the_early_stop() -> None:
    lines = [summaries.Line(1, "rewind", 1, 0.5, 0.5, epoch, {"loss": 1.0, "val_loss": loss}) for epoch, loss in LOSSES]
    (found,) = summaries.summarise_early_stops(lines)
    assert (found.epoch.mean, found.epoch.std, found.metrics["val_loss"].mean) == (2, None, 0.25)
    assert not summaries.summarise_early_stops([summaries.Line(1, "rewind", 1, 0.5, 0.5, 1, {"loss": 1.0})])


LOSSES = ((3, 0.25), (1, 0.5), (2, 0.25), (4, 0.75))


def test_a_model_that_is_not_compiled(full: Path, here: Path) -> None:
    """Loss, metric and optimizer are those of resume, wherever a training begins without those of another one."""
    shutil.copy(full / "bare.keras", "bare.keras")
    how: dict[str, Any] = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "new_optimizer": "sgd"}
    arms = ["rewind", "none,rewind_to=1"]
    done = wtool.lottery("bare.keras", out="run", arms=arms, **how, **WORDS)
    run = Path("run/trial-1")
    by_hand: dict[str, Any] = {"data": "digits.npz", "seed": 3, "force": True}
    wtool.resume("bare.keras", **by_hand, **how, epochs=2, output="dense.keras")
    assert_same("dense.keras", run / "trained.keras")
    wtool.resume(run / "rewind/round-1/ticket.keras", **by_hand, **how, epochs=2, output="ticket.keras")
    assert_same("ticket.keras", run / "rewind/round-1/trained.keras")
    wtool.resume(run / "none,rewind_to=1/round-1/ticket.keras", **by_hand, epochs=1, output="other.keras")
    assert_same("other.keras", run / "none,rewind_to=1/round-1/trained.keras")
    assert "val_accuracy" in done.summary[0].metrics
    told = json.loads(Path("run/experiment.json").read_text())
    assert {name: told[name] for name in how} == how
    with pytest.raises(wtool.WtoolError, match='with new_optimizer "sgd", not "adam"'):
        wtool.lottery("bare.keras", out="run", arms=arms, **{**how, "new_optimizer": "adam"}, **WORDS)
    with pytest.raises(wtool.WtoolError, match="--loss and --new-optimizer compile it"):
        wtool.lottery("bare.keras", out="run", arms=arms, loss=how["loss"], **WORDS)
    with pytest.raises(wtool.WtoolError, match='with metrics \\["accuracy"\\], not null'):
        wtool.lottery("bare.keras", out="run", arms=arms, **{**how, "metrics": ()}, **WORDS)


def test_a_budget_is_that_of_prune(here: Path) -> None:
    wtool.lottery("init.keras", out="run", budget="erk", last_layer_scale=1.0, **WORDS)
    run = Path("run/trial-1")
    pruned = state(run / "rewind/round-1/pruned.keras")
    (done,) = wtool.prune(run / "trained.keras", sparsity=0.75, budget="erk", output="by-hand.keras")
    assert all(np.array_equal(value, pruned[path]) for path, value in state(Path("by-hand.keras")).items())
    counts = [np.count_nonzero(pruned[path] == 0) for path in ("hidden/kernel", "out/kernel")]
    assert sum(counts) == round(0.75 * (1024 + 160)) == done.zeros
    assert counts[1] < 0.75 * 160


def test_learning_rate_rewinding(here: Path) -> None:
    """Weights as they were trained; optimizer, step, epoch and Dropout as they were at the end of the first epoch."""
    wtool.lottery("init.keras", out="run", arms=["none"], rewind_to=1, **WORDS)
    run = Path("run/trial-1")
    early, pruned, ticket = (
        state(run / name) for name in ("early.keras", "none/round-1/pruned.keras", "none/round-1/ticket.keras")
    )
    with wtool.open_checkpoint(run / "early.keras") as found:
        weights = {tensor.path for tensor in found.weights}
    for path, value in ticket.items():
        assert value.tobytes() == (pruned if path in weights else early)[path].tobytes()
    steps = [wtool.inspect(run / name)["optimizer"]["step"] for name in ("early.keras", "none/round-1/ticket.keras")]
    assert steps == [3, 3]
    trained = wtool.inspect(run / "none/round-1/trained.keras")
    assert trained["optimizer"]["step"] == wtool.inspect(run / "trained.keras")["optimizer"]["step"] == 6
    assert trained["lineage"][-1]["epoch"] == 2
    states = [
        wtool.inspect(run / name)["lineage"][-1]["random_states"]
        for name in ("trained.keras", "none/round-1/trained.keras")
    ]
    assert states[0] == states[1]
    assert np.array_equal(state(run / "none/round-1/trained.keras")["hidden/kernel"] == 0, ticket["hidden/kernel"] == 0)
    assert np.count_nonzero(ticket["hidden/kernel"]) == 256


# Stops.


class Stopped(BaseException):
    """What a test ends a run with, in the middle of everything."""


def test_stopped_anywhere_it_goes_on_to_the_same(here: Path) -> None:
    """After every epoch of every training: before its checkpoint is written, so that it is done again."""
    words = {**WORDS, "epochs": 3, "keep": "tickets"}
    wtool.lottery("init.keras", out="whole", **words)
    places: list[int] = []
    left: list[int] = []

    def stop(done: int, total: int) -> None:
        assert total == (6 if len(left) < 3 else 3)
        places.append(done)
        if len(places) == 2:
            raise Stopped

    for _ in range(6):
        places.clear()
        try:
            done = wtool.lottery("init.keras", out="run", **words, progress=stop)
        except Stopped:
            left.append(len(list(Path("run").rglob(".epochs/ckpt-*"))))
    assert left == [1, 1, 0, 1, 1]  # of six epochs each run goes one on: the one that is stopped at is done again
    assert (done.trained, places) == (1, [3])
    assert_same_folders("whole", "run")
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}
    assert wtool.lottery("init.keras", out="run", **{**words, "seed": None}).trained == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}


def test_what_is_broken_or_missing_is_made_again(here: Path) -> None:
    words = {**WORDS, "epochs": 1}
    wtool.lottery("init.keras", out="run", **words)
    shutil.copytree("run", "whole")
    ticket = Path("run/trial-1/rewind/round-1/ticket.keras")
    content = bytearray(ticket.read_bytes())
    content[len(content) // 2] ^= 255
    ticket.write_bytes(content)
    os.unlink("run/trial-1/initial.keras")
    shutil.copy("init.keras", "run/trial-1/trained.keras")
    assert wtool.lottery("init.keras", out="run", **words).trained == 1
    assert_same_folders("whole", "run")


def test_a_model_that_is_exchanged_after_it_was_looked_at(here: Path) -> None:
    """The experiment is that of the model that was looked at; steps that read another one leave nothing."""
    lottery_steps = pytest.importorskip("wtool.training.lottery.steps")
    experiment = lottery_plan.Experiment(1, seed=3, trials=2)
    base = lottery_folder.looked_at("init.keras", experiment)
    made = keras.models.load_model("init.keras")
    made.layers[0].kernel.assign(made.layers[0].kernel * 2)
    made.save("init.keras")
    folder = lottery_folder.Folder("run", base, experiment)
    steps = [step for step in lottery_plan.steps(experiment, ".keras") if step.model is None]
    assert len(steps) == 2
    for step in steps:
        with pytest.raises(wtool.WtoolError, match=r"^init\.keras: changed since the experiment began"):
            lottery_steps.transform(folder, step)
    assert not [path for path in Path("run").rglob("*") if path.is_file()]


ARGV = ("lottery", "init.keras", "--data", "digits.npz", "--epochs", 12, "--batch-size", 8, "--seed", 3, "--out", "run")


def started(out: str) -> subprocess.Popen[str]:
    argv = forkserver.wtool(*ARGV[:-1], out, training=True)
    return subprocess.Popen(argv, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(pattern: str, lines: int, process: subprocess.Popen[str]) -> None:
    while sum(len(path.read_text().splitlines()) for path in Path().glob(pattern)) < lines:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def interrupted() -> None:
    process = started("run")
    wait_for("run/trial-1/.epochs/log.jsonl", 2, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert (process.returncode, "Traceback" in told) == (130, False), told
    assert not Path("run/trial-1/trained.keras").exists()


def killed() -> None:
    process = started("run")
    wait_for("run/trial-1/.epochs/log.jsonl", 5, process)
    process.kill()
    process.communicate()


def terminated() -> None:
    process = started("run")
    wait_for("run/trial-1/rewind/round-1/.epochs/log.jsonl", 2, process)
    process.terminate()
    told = process.communicate()[1]
    assert (process.returncode, "Traceback" in told) == (143, False), told


def finished() -> None:
    process = started("run")
    table, told = process.communicate()
    assert process.returncode == 0, told
    heads = ["best", "epoch", "val_accuracy", "val_loss"]  # and no deviation of one trial
    assert table.splitlines()[0].split() == ["arm", "round", "weights", "trials", *heads]
    assert table.splitlines()[2].split()[:4] == ["rewind", "1", "25.42%", "1"]  # 205 of 1024, and 96 of 160
    assert [line.split(", ")[1] for line in told.splitlines() if ", " in line] == ["rewind round 1"]


def compared() -> None:
    started("whole").communicate()
    assert_same_folders("whole", "run")


STOPS = (interrupted, killed, terminated, finished, compared)


@pytest.fixture(scope="module")
def stops(first: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Steps]:
    folder = tmp_path_factory.mktemp("stops")
    for name in ("init.keras", "digits.npz"):
        shutil.copy(first / name, folder)
    return folder, Steps(STOPS)


@pytest.mark.slow
@pytest.mark.parametrize("count", range(1, len(STOPS) + 1), ids=lambda count: STOPS[count - 1].__name__)
def test_signals_and_kills(count: int, stops: tuple[Path, Steps], monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT in the dense training, SIGKILL in it, SIGTERM in the ticket's, then to the end."""
    folder, steps = stops
    monkeypatch.chdir(folder)
    steps.run(count)


# Words.


def test_the_command_prints_json(whole: wtool.Lottery, first: Path, here: Path) -> None:
    words = ["--sparsity", ".75", "--rounds", "2", "--arm", "rewind", "--arm", "randomize", "--no-same-sign"]
    words += ["--trials", "2", "--rewind-to", "1", "--criterion", "mov", "--epochs", "2", "--seed", "3"]
    argv = forkserver.wtool("lottery", "init.keras", "--data", "digits.npz", "--json", "--out", "whole", training=True)
    done = subprocess.run([*argv, *words], env=QUIET, capture_output=True, text=True, check=True, cwd=first)
    found = json.loads(done.stdout)
    assert (found["seed"], found["trained"], found["signal"]) == (3, 0, None)
    assert found["summary"][2]["metrics"]["val_loss"]["mean"] == whole.summary[2].metrics["val_loss"].mean


def test_more_trials_and_arms_are_added(whole: wtool.Lottery, first: Path, here: Path) -> None:
    words: dict[str, Any] = {**WORDS, "same_sign": False, "rewind_to": 1, "rounds": 2, "criterion": "movement"}
    assert wtool.lottery("init.keras", out="run", arms=["rewind"], **words).trained == 4
    before = state("run/trial-1/rewind/round-2/trained.keras")
    more = wtool.lottery("init.keras", out="run", arms=["rewind", "randomize"], trials=2, **words)
    assert more.trained == 8
    assert {key: value.tobytes() for key, value in before.items()} == {
        key: value.tobytes() for key, value in state("run/trial-1/rewind/round-2/trained.keras").items()
    }
    for one, other in ((here / "run", first / "whole"), (first / "whole", here / "run")):
        for path in (path.relative_to(one) for path in one.rglob("*.keras")):
            assert_same(one / path, other / path)
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (here / "run", first / "whole")]
    assert sorted(lines[0]) == sorted(lines[1])
    assert more.summary[-1].trials == 2
    assert json.loads(Path("run/experiment.json").read_text())["arms"] == ["rewind", "randomize"]


def test_another_experiment_is_refused(whole: wtool.Lottery, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(first)
    words: dict[str, Any] = {**WORDS, "arms": ["rewind", "randomize"], "same_sign": False, "trials": 2, "rewind_to": 1}
    words |= {"rounds": 2, "criterion": "movement", "out": "whole"}
    others: list[tuple[dict[str, Any], str]] = [
        ({"sparsity": 0.8}, "whole: holds an experiment with sparsity 0.75, not 0.8; name another folder with --out"),
        ({"seed": 4}, "with seed 3, not 4"),
        ({"arms": ["rewind"]}, r'with arms \["rewind", "randomize"\], not \["rewind"\]'),
        ({"trials": 1}, "with trials 2, not 1"),
        ({"batch_size": 16}, "with batch_size 32, not 16"),
        ({"data": "other.npz"}, r'with data \["digits.npz"\], not \["other.npz"\]'),
    ]
    for other, message in others:
        with pytest.raises(wtool.WtoolError, match=message):
            wtool.lottery("init.keras", **{**words, **other})
    keras.models.load_model("init.keras").save("again.keras")
    with pytest.raises(wtool.WtoolError, match=r'with model {"name": "init.keras", .* not {"name": "again.keras"'):
        wtool.lottery("again.keras", **words)
    assert wtool.lottery("init.keras", **words).trained == 0
    before = Path("digits.npz").read_bytes()
    np.savez("digits.npz", **{name: values[::-1] for name, values in np.load("digits.npz").items()})
    with pytest.raises(wtool.WtoolError, match=r'with data_hashes \["blake3:'):
        wtool.lottery("init.keras", **words)
    Path("digits.npz").write_bytes(before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sparsity": 0.0}, "a sparsity of 0.0 is not above 0"),
        ({"sparsity": 1.0, "rounds": 2}, "never reaches a sparsity of 1"),
        ({"rounds": 0}, "counted from 1 up"),
        ({"rewind_to": 2}, "cannot be rewound to epoch 2 of 2"),
        ({"arms": ["rewind", "rewind"]}, "each of them once"),
        ({"arms": "rewind"}, "arms is a list of texts"),
        ({"arms": ["rewinds"]}, "'rewinds' is no re-initialisation"),
        ({"schedule": "cubic"}, "'cubic' is no schedule"),
        ({"criterion": "size"}, "'size' is no criterion"),
        ({"budget": "uniform+"}, "says how much of the last layer stays"),
        ({"budget": "lamp", "criterion": "mov"}, "compares single weights by magnitude"),
        ({"budget": "erk", "scope": "global"}, "contradict each other"),
        ({"keep": "some"}, "'some' is no choice of what to keep"),
        ({"include": ["nothing*"]}, "no tensor that could change has a path like 'nothing"),
        ({"out": "full"}, "full: is not empty, and holds no experiment"),
        ({"out": "odd"}, "experiment.json: is no description of an experiment"),
        ({"model": "-"}, "not standard input"),
        ({"model": "bare.keras"}, "bare.keras: an experiment needs a whole model that is compiled"),
        ({"model": "trained.keras", "trials": 2}, r"trained.keras: is trained already \(3 steps\)"),
        ({"data": "missing.npz"}, "missing.npz: no such file"),
    ],
)
def test_misuse_is_told(words: dict[str, Any], message: str, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(full)
    chosen = {"model": "init.keras", "out": "run", **WORDS, **words}
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.lottery(chosen.pop("model"), **chosen)
    assert not list(Path("run").rglob("trained.keras"))


@pytest.fixture(scope="module")
def full(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    for name in ("init.keras", "digits.npz"):
        shutil.copy(first / name, folder)
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    (folder / "odd").mkdir()
    (folder / "odd" / "experiment.json").write_text("[]")
    keras.models.load_model(folder / "init.keras", compile=False).save(folder / "bare.keras")
    wtool.resume(folder / "init.keras", data=folder / "digits.npz", epochs=1, output=folder / "trained.keras")
    return folder
