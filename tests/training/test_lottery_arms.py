"""Arms with words of their own: how they are read, what their steps are, and their results against steps by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from tests.training.lottery_files import QUIET, WORDS, assert_same, assert_same_folders, make_files
from wtool.training.lottery import plan as lottery_plan
from wtool.training.lottery.arms import read_arm
from wtool.training.lottery.experiment import check_lottery
from wtool.training.lottery.grid import read_grid
from wtool.training.lottery.options import LotteryOptions
from wtool.training.lottery.plan import Experiment
from wtool.training.lottery.summaries import ends, read_metrics

# Words.


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rewind", "rewind"),
        ("randomize,same_sign=no", "randomize,same_sign=no"),
        ("jitter, sd=.1,sign=No", "jitter,same_sign=no,sd=0.1"),
        ("jitter,same-sign=no,sd=1e-1", "jitter,same_sign=no,sd=0.1"),
        ("constant,value=1", "constant,value=1.0"),
        ("rewind,criterion=mov", "rewind,criterion=movement"),
        ("rewind,rewind_to=3,scope=global", "rewind,rewind_to=3,scope=global"),
        ("none,budget=uniform+,last_layer_scale=1", "none,budget=uniform+,last_layer_scale=1.0"),
        ("randomize,masks=rewind", "randomize,masks=rewind"),
        (
            "randomize,masks=rewind+scale=1+budget=uniform++criterion=lf",
            "randomize,masks=rewind+budget=uniform++criterion=large-final+last_layer_scale=1.0",
        ),
        ("rewind,counts=layer,criterion=random", "rewind,counts=layer,criterion=random"),
        ("dense-new", "dense-new"),
        ("rewind,structured=yes", "rewind,structured=yes"),
        (
            "none, structured=Yes, max_layer_sparsity=1, criterion=l1, scope=global, members=producer, round_to=8",
            "none,criterion=l1,max_layer_sparsity=1.0,members=producer,round_to=8,scope=global,structured=yes",
        ),
        (
            "randomize,masks=rewind+criterion=lamp+structured=yes",
            "randomize,masks=rewind+criterion=lamp+structured=yes",
        ),
    ],
)
def test_every_spelling_of_an_arm_has_one_name(text: str, name: str) -> None:
    assert read_arm(text).name == name
    assert read_arm(name) == read_arm(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rewinds", "'rewinds' is no re-initialisation; choose rewind, "),
        ("rewind,sd=1", "--arm has no word 'sd'; "),
        ("randomize,same_sing=no", "--arm has no word 'same_sing'; did you mean same_sign?"),
        ("randomize,same_sign=never", "--arm: same_sign is yes or no, not 'never'"),
        ("randomize,same_sign", "--arm: 'same_sign' is no word with a value"),
        ("jitter,sd=-1", "a standard deviation of -1.0 is not a number from 0 up"),
        ("constant,value=0", "0.0 is not a positive number"),
        ("rewind,criterion=size", "'size' is no criterion; choose "),
        ("rewind,rewind_to=-1", "no epoch is -1"),
        ("rewind,counts=each,criterion=random", "'each' is no choice of counts; choose layer"),
        ("rewind,counts=layer", "--arm rewind: counts=layer goes with criterion=random"),
        ("rewind,counts=layer,criterion=random,scope=global", "--arm rewind: how many weights are pruned, scope says"),
        ("jitter,masks=rewind,criterion=mov", "--arm jitter: the masks are those of another arm; criterion says how"),
        ("jitter,masks=rewind+masks=none", "--arm jitter: name the arm that makes the masks, and not one that has"),
        ("none,masks=rewind", "--arm none: its weights stay as it trained them"),
        ("dense-new,sd=1", "--arm dense-new prunes nothing and takes no words"),
        ("randomize,masks=rewinds", "'rewinds' is no re-initialisation"),
        ("rewind,structured=maybe", "--arm: structured is yes or no, not 'maybe'"),
        ("rewind,structured=yes,criterion=mov", "'mov' is no criterion; choose l2, l1, "),
        ("rewind,structured=yes,scope=tensor", "'tensor' is no scope; choose layer, global"),
        ("rewind,structured=yes,max_layer_sparsity=2", "the largest share that a layer loses is above 0 and at most 1"),
        ("rewind,structured=yes,budget=erk", "--arm rewind: structured=yes takes out channels, and budget says how to"),
        ("rewind,structured=yes,scale=1", "--arm rewind: structured=yes takes out channels, and last_layer_scale says"),
        ("rewind,structured=yes,counts=layer", "--arm rewind: structured=yes takes out channels, and counts says how"),
        ("rewind,structured=yes,pruned=initial", "--arm rewind: channels are taken out whole; pruned says what single"),
        (
            "jitter,masks=rewind+structured=yes,pruned=initial",
            "--arm jitter: channels are taken out whole; pruned says",
        ),
        ("jitter,masks=rewind,structured=yes", "--arm jitter: the masks are those of another arm; structured says how"),
        ("jitter,masks=rewind,round_to=2", "--arm jitter: round_to goes with structured=yes"),
        ("rewind,members=producer", "--arm rewind: members goes with structured=yes"),
        ("rewind,structured=no,round_to=2", "--arm rewind: round_to goes with structured=yes"),
        ("dense-new,structured=yes", "--arm dense-new prunes nothing and takes no words"),
    ],
)
def test_what_is_wrong_with_an_arm_is_told(text: str, told: str) -> None:
    with pytest.raises(wtool.Usage) as raised:
        read_arm(text)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (("rewind,criterion=mov", "rewind,criterion=movement"), "one arm or more, each of them once"),
        (("rewind,rewind_to=5",), "cannot be rewound to epoch 5 of 5"),
        (("jitter,masks=rewind",), "arm jitter,masks=rewind needs the masks of an arm rewind; there are jitter,"),
        (("rewind,budget=uniform+",), "says how much of the last layer stays"),
        (("rewind,budget=lamp,criterion=mov",), "compares single weights by magnitude"),
        (
            ("rewind,structured=yes,criterion=random,members=producer",),
            "what makes the channels plays no part in random",
        ),
    ],
)
def test_arms_that_do_not_go_with_the_experiment(arms: tuple[str, ...], told: str) -> None:
    with pytest.raises(wtool.Usage, match=told):
        Experiment(5, 0, arms=arms)
    with pytest.raises(wtool.Usage, match="which is random too"):
        Experiment(5, 0, arms=("rewind,criterion=random,counts=layer",), criterion="random")
    with pytest.raises(wtool.Usage, match=r"arm rewind,structured=yes takes out channels of all layers; --include"):
        Experiment(5, 0, arms=("rewind,structured=yes",), exclude=("out/kernel",))
    with pytest.raises(wtool.Usage, match="a sparsity of channels is between 0 and 1, and not 1"):
        Experiment(5, 0, arms=("rewind,structured=yes",), sparsity=1.0)


# Steps.


def test_tickets_with_epochs_of_their_own() -> None:
    def ends(more: int | None) -> tuple[str, int, int]:
        steps = lottery_plan.steps(Experiment(5, 7, rewind_to=2, epochs_of_tickets=more))
        assert [step.stop for step in steps if step.arm == "dense"] == [0, 2, 5]
        return steps[-1].operation, steps[-1].start, steps[-1].stop

    assert (ends(None), ends(7), ends(0)) == (("resume", 2, 5), ("resume", 2, 9), ("evaluate", 2, 2))
    with pytest.raises(wtool.Usage, match="are pruned in one round"):
        Experiment(5, 7, rounds=2, epochs_of_tickets=0)


def test_arms_with_other_epochs_and_masks() -> None:
    """The dense training stops where tickets of any arm begin, and masks are made before another arm has them."""
    arms = ("randomize,masks=rewind", "rewind", "rewind,rewind_to=3", "dense-new")
    steps = lottery_plan.steps(Experiment(5, 7, arms=arms, rewind_to=2, trials=2))
    one, two = "trial-1/rewind/round-1", "trial-1/rewind,rewind_to=3/round-1"
    fresh, new = "trial-1/randomize,masks=rewind/round-1", "trial-1/dense-new"
    found = [(step.operation, step.output, step.model, step.initial, step.start, step.stop) for step in steps]
    assert found[: len(found) // 2] == [
        ("copy", "trial-1/initial.keras", None, None, 0, 0),
        ("resume", "trial-1/early.keras", "trial-1/initial.keras", None, 0, 2),
        ("resume", "trial-1/early-3.keras", "trial-1/early.keras", None, 2, 3),
        ("resume", "trial-1/trained.keras", "trial-1/early-3.keras", None, 3, 5),
        ("prune", f"{one}/pruned.keras", "trial-1/trained.keras", None, 0, 0),
        ("rewind", f"{one}/ticket.keras", f"{one}/pruned.keras", "trial-1/early.keras", 0, 0),
        ("resume", f"{one}/trained.keras", f"{one}/ticket.keras", None, 2, 5),
        ("prune", f"{two}/pruned.keras", "trial-1/trained.keras", None, 0, 0),
        ("rewind", f"{two}/ticket.keras", f"{two}/pruned.keras", "trial-1/early-3.keras", 0, 0),
        ("resume", f"{two}/trained.keras", f"{two}/ticket.keras", None, 3, 5),
        ("draw", f"{new}/initial.keras", None, None, 0, 0),
        ("resume", f"{new}/trained.keras", f"{new}/initial.keras", None, 0, 5),
        ("randomize", f"{fresh}/ticket.keras", f"{one}/pruned.keras", "trial-1/early.keras", 0, 0),
        ("resume", f"{fresh}/trained.keras", f"{fresh}/ticket.keras", None, 2, 5),
    ]
    draws = [step.seed for step in steps if step.operation == "draw"]
    assert draws == [7 + 999, 1007, 1007 + 999]


def test_the_words_of_an_arm_come_before_those_of_the_experiment() -> None:
    told: dict[str, Any] = {"criterion": "mov", "scope": "global", "same_sign": False}
    experiment = Experiment(5, 0, arms=("randomize",), **told)
    assert experiment.start(read_arm("randomize")) == {"same_sign": False}
    assert experiment.start(read_arm("jitter,sd=.1,same_sign=yes")) == {"same_sign": True, "sd": 0.1}
    assert experiment.start(read_arm("rewind,criterion=lf")) == {}
    own = experiment.pruning(read_arm("rewind,criterion=lf,budget=erk"))
    assert own == {"criterion": "large-final", "budget": "erk", "last_layer_scale": 0.5}
    assert experiment.pruning(read_arm("rewind")) == experiment.pruning() == {
        "criterion": "movement", "scope": "global", "budget": None, "last_layer_scale": 0.5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "patience", "is_over"),
    [
        ([], 1, False),
        ([3.0], 1, False),
        ([3.0, 3.0], 1, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.0], 2, True),
        ([float("nan"), 2.0, 1.0], 2, True),
    ],
)
def test_where_patience_ends(losses: list[float], patience: int, is_over: bool) -> None:
    assert ends(losses, patience) == is_over


def test_patience_needs_validation_data(tmp_path: Path) -> None:
    """It is told before anything is read or written, in the option that was given."""
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 2)), y=np.zeros(4))
    words: dict[str, Any] = {"data": tmp_path / "data.npz", "epochs": 1, "sparsity": 0.5, "patience": 2}
    options = LotteryOptions(out=tmp_path / "run", **words)
    with pytest.raises(wtool.Usage, match=r"^--patience waits for .*; add --validation-data, --validation-split, or"):
        check_lottery(str(BLOBS[0]), options)
    check_lottery(str(BLOBS[0]), replace(options, validation_split=0.5))
    check_lottery(str(BLOBS[0]), replace(options, validation_data=tmp_path / "data.npz"))
    np.savez(tmp_path / "parts.npz", x_train=np.zeros((4, 2)), y_train=np.zeros(4), x_test=np.zeros((1, 2)))
    check_lottery(str(BLOBS[0]), replace(options, data=tmp_path / "parts.npz"))


def test_each_round_takes_out_a_share_of_the_channels_that_are_left() -> None:
    arm = read_arm("rewind,structured=yes,criterion=l1")
    geometric = Experiment(5, 0, sparsity=0.875, rounds=3, arms=(arm.name,))
    assert [geometric.channels(arm, each) for each in (1, 2, 3)] == 3 * [{"sparsity": 0.5, "criterion": "l1"}]
    linear = Experiment(5, 0, sparsity=0.75, rounds=3, schedule="linear", arms=(arm.name,))
    assert [linear.channels(arm, each)["sparsity"] for each in (1, 2, 3)] == [0.25, 0.333333333333, 0.5]


# Files of arms.


@pytest.mark.parametrize(
    "text",
    [
        "- rewind\n- 'randomize,same_sign=no'\n- jitter,sd=.1\n",
        '# a grid\n---\n\n  - rewind  # the ticket\n  - randomize,same_sign=no\n  - "jitter, sd=.1"',
        "rewind\nrandomize,same_sign=no\njitter,sd=.1",
    ],
)
def test_a_grid_is_a_list_of_arms(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    assert read_grid(tmp_path / "grid.yaml") == ("rewind", "randomize,same_sign=no", "jitter,sd=0.1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- rewind\n- rewinds", "grid.yaml: line 2 is no arm: 'rewinds' is no re-initialisation"),
        ("arms:\n- rewind", "grid.yaml: line 1 is no arm: 'arms:' is no re-initialisation"),
        ("[rewind, jitter]", "grid.yaml: line 1 is no arm: '\\[rewind' is no re-initialisation"),
        ("- rewind,sd=1", "grid.yaml: line 1 is no arm: --arm has no word 'sd'"),
        ("# nothing\n", "grid.yaml: lists no arm"),
        ((1 << 20) * "#" + "\n", "grid.yaml: is too large"),
    ],
)
def test_a_file_that_is_no_grid(text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(text)
    with pytest.raises(wtool.WtoolError, match=f"^{told}"):
        read_grid("grid.yaml")


# The experiment.

GRID = (
    "rewind",
    "randomize,masks=rewind,same_sign=no",
    "jitter,criterion=mov,sd=.1",
    "rewind,criterion=random,counts=layer",
    "constant,rewind_to=1,value=.1,keep_biases=yes",
    "dense-new",
    "reshuffle,structured=yes,criterion=l1",
)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, an initial model, and in `run` a grid of arms."""
    pytest.importorskip("keras")
    pytest.importorskip("sklearn.datasets")
    folder = tmp_path_factory.mktemp("grid")
    make_files(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        (folder / "grid.yaml").write_text("".join(f"- '{arm}'\n" for arm in GRID[1:]))
        wtool.lottery("init.keras", out="run", scope="global", arms=GRID[:1], arms_from="grid.yaml", **WORDS)
    finally:
        os.chdir(before)
    return folder


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_grid_of_arms_by_hand(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each arm is what the single operations make, with the words of the arm as their options."""
    monkeypatch.chdir(tmp_path)
    data, run = grid / "digits.npz", grid / "run" / "trial-1"
    init, dense = run / "initial.keras", run / "trained.keras"
    how: dict[str, Any] = {"sparsity": 0.75, "scope": "global", "last_layer_scale": 0.5, "force": True}
    again: dict[str, Any] = {"initial": init, "seed": 4, "output": "ticket.keras", "force": True}

    def compare(arm: str, pruned: Path | str, epochs: int = 2) -> None:
        folder = run / arm / "round-1"
        same(pruned, folder / "pruned.keras" if (folder / "pruned.keras").exists() else pruned)
        same("ticket.keras", folder / "ticket.keras")
        wtool.resume("ticket.keras", data=data, epochs=epochs, seed=3, output="trained.keras", force=True)
        same("trained.keras", folder / "trained.keras")

    wtool.prune(dense, **how, output="pruned.keras")
    wtool.rewind("pruned.keras", **again)
    compare("rewind", "pruned.keras")
    wtool.randomize("pruned.keras", same_sign=False, **again)
    compare("randomize,masks=rewind,same_sign=no", "pruned.keras")
    wtool.prune(dense, **how, criterion="movement", initial=init, output="moved.keras")
    wtool.jitter("moved.keras", sd=0.1, **again)
    compare("jitter,criterion=movement,sd=0.1", "moved.keras")

    zeros = {path: int(np.count_nonzero(value == 0)) for path, value in kernels("pruned.keras").items()}
    shutil.copy(dense, "random.keras")
    for path, value in kernels("pruned.keras").items():
        chance: dict[str, Any] = {"criterion": "random", "include": [path], "seed": 4, "in_place": True}
        wtool.prune("random.keras", sparsity=zeros[path] / value.size, **chance)
    assert {path: np.count_nonzero(value == 0) for path, value in kernels("random.keras").items()} == zeros
    wtool.rewind("random.keras", **again)
    compare("rewind,counts=layer,criterion=random", "random.keras")

    wtool.resume(init, data=data, epochs=1, seed=3, output="early.keras")
    wtool.constant("pruned.keras", value=0.1, keep_biases=True, **{**again, "initial": "early.keras"})
    compare("constant,keep_biases=yes,rewind_to=1,value=0.1", "pruned.keras", epochs=1)

    wtool.shrink(dense, sparsity=0.75, criterion="l1", output="shrunk.keras")
    wtool.shrink(init, like="shrunk.keras", output="smaller.keras")
    wtool.reshuffle("shrunk.keras", **{**again, "initial": "smaller.keras"})
    compare("reshuffle,criterion=l1,structured=yes", "shrunk.keras")

    drawn: dict[str, Any] = {"same_sign": False, "keep_biases": True, "seed": 3 + 999, "output": "new.keras"}
    wtool.randomize(init, initial=init, include=["hidden/kernel", "out/kernel"], **drawn)
    same("new.keras", run / "dense-new" / "initial.keras")
    wtool.resume("new.keras", data=data, epochs=2, seed=3, output="new-trained.keras")
    same("new-trained.keras", run / "dense-new" / "trained.keras")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_what_a_grid_has_measured(grid: Path) -> None:
    lines = read_metrics(grid / "run")
    last = {line.arm: line for line in lines}
    assert [*last] == ["dense", *(read_arm(arm).name for arm in (GRID[0], *GRID[2:], GRID[1]))]
    assert (last["dense-new"].round, last["dense-new"].remaining) == (0, 1.0)
    assert last["rewind"].remaining == last["randomize,masks=rewind,same_sign=no"].remaining
    assert last["rewind"].remaining == last["rewind,counts=layer,criterion=random"].remaining
    assert {line.epoch for line in lines if line.arm.startswith("constant")} == {2}


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_killed_grid_goes_on_to_the_same(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL after the first arm and after the third one, in the middle of whatever came then."""
    monkeypatch.chdir(tmp_path)
    for name in ("init.keras", "digits.npz", "grid.yaml"):
        shutil.copy(grid / name, tmp_path)
    argv = ["lottery", "init.keras", "--data", "digits.npz", "--epochs", 2, "--seed", 3, "--sparsity", 0.75]
    argv += ["--scope", "global", "--arm", "rewind", "--arms-from", "grid.yaml", "--out", "run"]
    for lines in (4, 7):
        process = subprocess.Popen(forkserver.wtool(*argv, training=True), env=QUIET, stderr=subprocess.PIPE, text=True)
        path = Path("run/metrics.jsonl")
        while not path.exists() or len(path.read_text().splitlines()) < lines:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        process.kill()
        process.communicate()
    words: dict[str, Any] = {**WORDS, "arms": GRID[:1], "arms_from": "grid.yaml", "scope": "global"}
    assert 1 < wtool.lottery("init.keras", out="run", **words).trained < 7
    assert_same_folders(str(grid / "run"), "run")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_dense_training_of_another_experiment(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by content, whatever the files are called, and the rest is as if it had been done here."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(grid / "init.keras", "mine.keras")
    shutil.copy(grid / "digits.npz", "data.npz")
    Path("grid.txt").write_text("rewind\nconstant,rewind_to=1,value=.1,keep_biases=yes\n")
    words: dict[str, Any] = {**WORDS, "data": "data.npz", "arms_from": "grid.txt", "dense_from": grid / "run"}
    done = wtool.lottery("mine.keras", out="own", scope="global", **words)
    assert done.trained == 2
    names = ["trained.keras", "early-1.keras", "rewind/round-1/trained.keras"]
    for name in (*names, "constant,keep_biases=yes,rewind_to=1,value=0.1/round-1/trained.keras"):
        same(f"own/trial-1/{name}", grid / "run" / "trial-1" / name)
    theirs = {(line.arm, line.epoch): line for line in read_metrics(grid / "run")}
    assert all(theirs[line.arm, line.epoch] == line for line in read_metrics("own"))
    assert wtool.lottery("mine.keras", out="own", scope="global", **{**words, "seed": None}).trained == 0
    for other, told in [
        ({"seed": 4}, "run: holds an experiment with seed 3, not 4; its dense training is another one"),
        ({"epochs": 3}, "with epochs 2, not 3"),
        ({"batch_size": 16}, "with batch_size 32, not 16"),
        ({"validation_data": "data.npz"}, "with data_hashes "),
        ({"dense_from": "."}, "holds no experiment whose dense training"),
        ({"data": np.zeros((1, 64))}, "data without a name"),
    ]:
        with pytest.raises(wtool.WtoolError, match=told):
            wtool.lottery("mine.keras", out="more", **{**words, **other})
    shutil.copytree(grid / "run", "run")
    os.unlink("run/trial-1/trained.keras")
    with pytest.raises(wtool.WtoolError, match=r"^run: has not kept trial-1/trained.keras \(--keep\)"):
        wtool.lottery("mine.keras", out="more", **{**words, "dense_from": "run"})


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_dense_training_of_another_experiment_that_did_not_stop_there(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where tickets begin at the end of an epoch whose checkpoint the other has not kept, it is made again."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(grid / "run", "run")
    os.unlink("run/trial-1/early-1.keras")
    words: dict[str, Any] = {**WORDS, "data": grid / "digits.npz", "scope": "global", "seed": None}
    arm = "constant,keep_biases=yes,rewind_to=1,value=0.1"
    done = wtool.lottery(grid / "init.keras", out="own", arms=[arm], dense_from="run", **words)
    assert done.trained == 2
    for name in ("trained.keras", "early-1.keras", f"{arm}/round-1/trained.keras"):
        same(f"own/trial-1/{name}", grid / "run" / "trial-1" / name)
    lines = {(line.arm, line.epoch): line for line in read_metrics(grid / "run")}
    assert sorted(read_metrics("own"), key=str) == sorted(
        (line for (name, _), line in lines.items() if name in ("dense", arm)), key=str
    )


@pytest.mark.slow
@pytest.mark.tensorflow
def test_pruned_weights_that_stay_at_their_initial_values(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second round prunes what the first one has left, and the metrics tell the share that is trained."""
    monkeypatch.chdir(tmp_path)
    words: dict[str, Any] = {**WORDS, "data": grid / "digits.npz", "epochs": 1, "rounds": 2}
    wtool.lottery(grid / "init.keras", out="run", arms=["rewind,pruned=initial"], **words)
    run = Path("run/trial-1")
    trained = run / "trained.keras"
    for number, sparsity in ((1, 0.5), (2, 0.75)):
        folder = run / "rewind,pruned=initial" / f"round-{number}"
        wtool.prune(trained, sparsity=sparsity, last_layer_scale=0.5, output="pruned.keras", force=True)
        how: dict[str, Any] = {"initial": run / "initial.keras", "pruned": "initial", "force": True}
        wtool.rewind("pruned.keras", **how, output="ticket.keras")
        same("ticket.keras", folder / "ticket.keras")
        trained = folder / "trained.keras"
        first, last, mask = (kernels(path) for path in (run / "initial.keras", trained, folder / "pruned.keras"))
        for path, value in first.items():
            assert np.array_equal((last[path] == value) | (mask[path] != 0), np.ones(value.shape, bool))
            assert (last[path] != value)[mask[path] != 0].mean() > 0.5
        kept = sum(np.count_nonzero(value) for value in mask.values())
        line = read_metrics("run")[number]
        assert line.remaining == kept / sum(value.size for value in mask.values()) < 1


@pytest.mark.slow
@pytest.mark.tensorflow
def test_supermasks(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets that are not trained are measured as `evaluate` measures them, and the dense training is as ever."""
    monkeypatch.chdir(tmp_path)
    data = grid / "digits.npz"
    words: dict[str, Any] = {**WORDS, "data": data, "epochs_of_tickets": 0, "dense_from": grid / "run"}
    arms = ["rewind", "constant,criterion=lfss"]
    told: list[str] = []
    more: dict[str, Any] = {"out": "run", "arms": arms, "report": lambda done: told.append(done.last.arm)}
    done = wtool.lottery(grid / "init.keras", **more, **words)
    assert (done.trained, told) == (0, ["rewind", "constant,criterion=large-final-same-sign"])
    lines = {line.arm: line for line in read_metrics("run")}
    with np.load(data) as arrays:
        np.savez("train.npz", x=arrays["x_train"], y=arrays["y_train"])
    for arm in told:
        ticket = Path("run/trial-1", arm, "round-1", "ticket.keras")
        assert not (ticket.parent / "trained.keras").exists()
        found = wtool.evaluate(ticket, data=data)[0].metrics
        own = wtool.evaluate(ticket, data="train.npz")[0].metrics
        assert lines[arm].epoch == 0
        assert lines[arm].metrics == pytest.approx({**own, **{f"val_{name}": found[name] for name in found}})
    before = Path("run/metrics.jsonl").read_bytes()
    wtool.lottery(grid / "init.keras", **more, **words)
    assert (Path("run/metrics.jsonl").read_bytes(), len(told)) == (before, 2)
    with pytest.raises(wtool.WtoolError, match="with epochs_of_tickets 0, not null"):
        wtool.lottery(grid / "init.keras", **more, **{**words, "epochs_of_tickets": None})


@pytest.mark.slow
@pytest.mark.tensorflow
def test_patience_ends_trainings(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the early stopping of resume does, also where a run was stopped before."""
    monkeypatch.chdir(tmp_path)
    data = dict(np.load(grid / "digits.npz"))
    np.savez("other.npz", x_test=data["x_test"], y_test=(data["y_test"] + 1) % 10)  # what is learned makes it worse
    how: dict[str, Any] = {"data": grid / "digits.npz", "validation_data": "other.npz", "epochs": 9, "seed": 3}
    words: dict[str, Any] = {**how, "sparsity": 0.75, "patience": 2}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    done = wtool.lottery(grid / "init.keras", out="whole", **words)
    by_hand = wtool.resume(
        grid / "init.keras", **how, early_stopping="monitor=val_loss,patience=2", output="dense.keras", force=True
    )
    same("dense.keras", "whole/trial-1/trained.keras")
    assert by_hand.epochs < 9
    assert done.ends[0].epoch == by_hand.epochs == done.early_stops[0].epoch.mean + 2
    ticket = "whole/trial-1/rewind/round-1/ticket.keras"
    wtool.resume(ticket, **how, early_stopping="monitor=val_loss,patience=2", output="ticket.keras")
    same("ticket.keras", "whole/trial-1/rewind/round-1/trained.keras")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            wtool.lottery(grid / "init.keras", out="run", **words, progress=stop)
    wtool.lottery(grid / "init.keras", out="run", **words)
    assert_same_folders("whole", "run")
    assert wtool.lottery(grid / "init.keras", out="run", **words).trained == 0
    with pytest.raises(wtool.WtoolError, match="with patience 2, not null"):
        wtool.lottery(grid / "init.keras", out="run", **{**words, "patience": None})
    with pytest.raises(wtool.Usage, match="may end before the epoch"):
        wtool.lottery(grid / "init.keras", out="more", arms=["rewind,rewind_to=1"], **words)


def kernels(path: Path | str) -> dict[str, Any]:
    with wtool.open_checkpoint(path) as found:
        return {tensor.path: found.read(tensor).copy() for tensor in found.weights if tensor.role == "kernel"}


def same(one: Path | str, other: Path | str) -> None:
    assert_same(one, other)
