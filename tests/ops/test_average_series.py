"""Averages of the newest, of the best, and by a power of the step."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, arrays, hdf5_bytes

STEPS = [364 + 4 * number for number in range(10)]
"""What the optimizers of the checkpoints have counted."""


def series(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        shutil.copy(BLOBS[number], folder / name)
    return [folder / name for name in names]


def taken(done: wtool.Averaged) -> list[str]:
    return [Path(each.path).name for each in done.inputs]


def test_the_last_are_the_newest_in_the_order(tmp_path: Path) -> None:
    paths = series(tmp_path / "run", *(f"e{number}.keras" for number in range(1, 11)))
    done = wtool.average([tmp_path / "run"], last=3, output=tmp_path / "last.keras")
    assert taken(done) == ["e8.keras", "e9.keras", "e10.keras"]
    assert [each.is_taken for each in done.considered] == [False] * 7 + [True] * 3
    wtool.average(paths[7:], output=tmp_path / "same.keras")
    assert hdf5_bytes(tmp_path / "last.keras") == hdf5_bytes(tmp_path / "same.keras")
    assert taken(wtool.average(list(reversed(paths)), last=2, order="given", dry_run=True)) == ["e2.keras", "e1.keras"]
    more = wtool.average(paths, last=11, dry_run=True)
    assert len(more.inputs) == 10
    assert "10 checkpoints instead of 11: there are no more" in more.notes


VALUES = [0.9, 0.7, 0.8, 0.7, 0.95]


def test_the_best_by_values_in_names(tmp_path: Path) -> None:
    series(tmp_path, *(f"ckpt-{at}-{value:.2f}.keras" for at, value in enumerate(VALUES, 1)))
    done = wtool.average([tmp_path], best=2, by="val_loss", dry_run=True)
    assert taken(done) == ["ckpt-2-0.70.keras", "ckpt-4-0.70.keras"]
    assert [each.value for each in done.considered] == VALUES
    assert "lower val_loss is better, as its name tells" in done.notes
    assert any("names do not say what the number is" in note for note in done.notes)
    highest = wtool.average([tmp_path], best=2, by="val_accuracy", dry_run=True)
    assert taken(highest) == ["ckpt-1-0.90.keras", "ckpt-5-0.95.keras"]
    only = wtool.average([tmp_path], best=1, by="val_loss", dry_run=True)
    assert taken(only) == ["ckpt-2-0.70.keras"]  # of equal ones the older, as ModelCheckpoint keeps it
    assert taken(wtool.average([tmp_path], best=1, by="val_loss", mode="max", dry_run=True)) == ["ckpt-5-0.95.keras"]


def keras_log(path: Path, epochs: int = 5) -> Path:
    """A log as Keras's CSVLogger writes it: counted from 0, and with the line ends of DOS."""
    rows = ["epoch,loss,val_loss", *(f"{at},0.1,{value}" for at, value in enumerate(VALUES[:epochs]))]
    path.write_bytes("".join(f"{row}\r\n" for row in rows).encode())
    return path


def own_log(path: Path, first: int = 1) -> Path:
    rows = [{"epoch": at, "loss": 0.1, "val_loss": value} for at, value in enumerate(VALUES, first)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("epoch,loss,val_loss\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("make", [lambda at: keras_log(at / "log.csv"), lambda at: own_log(at / "log.csv"),
                                  lambda at: own_log(at / "log.jsonl")])  # fmt: skip
def test_the_best_by_a_log(make: Any, tmp_path: Path) -> None:
    series(tmp_path / "run", *(f"ckpt-{at:04d}.keras" for at in range(1, 6)))
    log = make(tmp_path)
    done = wtool.average([tmp_path / "run"], best=3, by="val_loss", log=log, dry_run=True)
    assert taken(done) == ["ckpt-0002.keras", "ckpt-0003.keras", "ckpt-0004.keras"]
    told = any("counts epochs from 0, as CSVLogger does: its epoch 4 is that of" in note for note in done.notes)
    assert told is (b"\r\n" in log.read_bytes())


def test_lines_of_json_are_counted_from_1_whatever_their_ends(tmp_path: Path) -> None:
    series(tmp_path / "run", *(f"ckpt-{at}.keras" for at in range(1, 6)))
    log = own_log(tmp_path / "log.jsonl")
    log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))
    done = wtool.average([tmp_path / "run"], best=2, by="val_loss", log=log, dry_run=True)
    assert taken(done) == ["ckpt-2.keras", "ckpt-4.keras"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss\n1,.5\n2,.5\n", "has no val_loss, but loss"),
        ("epoch,val_loss\n1,.5\n", "has no val_loss of its epoch 2, which is that of .*ckpt-2.keras"),
        ("epoch,val_loss\n1,.5\n2,NA\n", "has no val_loss of its epoch 2"),
        ("epoch,val_loss\n1,.5\n2,.4", "has no val_loss of its epoch 2"),  # half a line
        ("epoch,val_loss\n1,.5\n2,.4\n2,.3\n", "has 0.3 and 0.4 as the val_loss of its epoch 2"),
        ("epoch,val_loss\n1,nan\n2,nan\n", "the val_loss of every checkpoint is NaN"),
        ("epochs,val_loss\n1,.5\n2,.4\n", "is no log of training"),
        ("step;val_loss\n1;.5\n", "is no log of training"),
        ("epoch,val_loss\none,.5\n", "is no log of training"),
        ('{"epoch": 1, "val_loss": .5}\n', "is no log of training"),
        ("", "is no log of training"),
        ("\0\xff", "is no text, and so no log of training"),
        (None, "No such file"),
    ],
)
def test_logs_that_do_not_tell(text: str | None, message: str, tmp_path: Path) -> None:
    paths = series(tmp_path, "ckpt-1.keras", "ckpt-2.keras")
    if text is not None:
        (tmp_path / "log.csv").write_text(text, encoding="latin-1")
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.average(paths, best=1, by="val_loss", log=tmp_path / "log.csv", dry_run=True)


def test_values_that_are_nan_are_never_the_best(tmp_path: Path) -> None:
    paths = series(tmp_path, "ckpt-1.keras", "ckpt-2.keras", "ckpt-3.keras")
    (tmp_path / "log.csv").write_text("epoch;val_loss\n1;nan\n2;0.5\n3;0.4\n")
    done = wtool.average(paths, best=3, by="val_loss", log=tmp_path / "log.csv", dry_run=True)
    assert taken(done) == ["ckpt-2.keras", "ckpt-3.keras"]
    assert [each.value for each in done.considered] == [None, 0.5, 0.4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last": 2, "best": 2, "by": "val_loss"}, "last and best contradict"),
        ({"best": 2}, "the best by which metric"),
        ({"by": "val_loss"}, "--by is for the best"),
        ({"mode": "min"}, "--mode is for the best"),
        ({"log": "x.csv"}, "--log is for the best"),
        ({"last": 0}, "at least one checkpoint"),
        ({"best": 1, "by": "score"}, "say --mode max or --mode min"),
        ({"best": 1, "by": "val_loss"}, "no number in names like .*--log FILE tells values by epoch"),
        ({"power": 1.0, "sigma_rel": 0.1}, "power and sigma_rel contradict"),
        ({"power": 1.0, "linear": True}, "linear and power contradict"),
        ({"power": -1.0}, "an exponent of -1.0 is not above -1"),
        ({"sigma_rel": 0.31}, "a relative width of 0.31 is not between"),
    ],
)
def test_words_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.average(BLOBS[:2], dry_run=True, **options)


def test_unnumbered_checkpoints_cannot_be_ranked(tmp_path: Path) -> None:
    series(tmp_path, "ckpt-1-0.50.keras", "ckpt-2-0.40.keras", "final.keras")
    with pytest.raises(wtool.Usage, match=r"final.keras: its name has no number"):
        wtool.average([tmp_path], best=1, by="val_loss", dry_run=True)


@pytest.mark.parametrize("options", [{"power": 8.0}, {"power": 0.0}, {"power": -0.5}, {"sigma_rel": 0.1}])
def test_powers_weigh_by_steps(options: dict[str, float], tmp_path: Path) -> None:
    done = wtool.average(BLOBS, output=tmp_path / "out.keras", **options)  # type: ignore[arg-type]
    exponent = options.get("power", 6.937203937601808)
    weights = np.diff([0.0, *((step / STEPS[-1]) ** (exponent + 1) for step in STEPS)])
    assert [each.coefficient for each in done.inputs] == pytest.approx(weights, rel=1e-9)
    kernel = next(name for name in arrays(BLOBS[0]) if name.startswith("layers/"))
    wanted = np.average([arrays(path)[kernel].astype(np.float64) for path in BLOBS], axis=0, weights=weights)
    assert arrays(tmp_path / "out.keras")[kernel] == pytest.approx(wanted, rel=3e-7)
    assert "times are the optimizers' step counts: 364 to 400" in done.notes
    with wtool.open_checkpoint(tmp_path / "out.keras") as made:
        assert made.lineage[-1].parameters["power"]["times"] == STEPS
    assert wtool.average(BLOBS, output=tmp_path / "out.keras", **options).skipped  # type: ignore[arg-type]


def test_the_power_0_is_the_mean_weighted_by_steps(tmp_path: Path) -> None:
    done = wtool.average([BLOBS[0], BLOBS[2], BLOBS[9]], power=0.0, dry_run=True)
    assert [each.coefficient for each in done.inputs] == pytest.approx([364 / 400, 8 / 400, 28 / 400])
    assert any("ckpt-91.keras stands for all the time before it too, up to 364" in note for note in done.notes)


def stripped(folder: Path, *names: str) -> list[Path]:
    """Checkpoints without optimizers."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        wtool.average([BLOBS[number]], optimizer="drop", output=folder / name)
    return [folder / name for name in names]


def test_times_are_never_of_two_kinds(tmp_path: Path) -> None:
    numbered = stripped(tmp_path / "n", "e10.keras", "e20.keras", "e40.keras")
    done = wtool.average(numbered, power=0.0, dry_run=True)
    assert [each.coefficient for each in done.inputs] == pytest.approx([0.25, 0.25, 0.5])
    assert any("times are the numbers in the names: 10 to 40; " in note for note in done.notes)
    lettered = stripped(tmp_path / "l", "a.keras", "b.keras")
    done = wtool.average(lettered, power=0.0, dry_run=True)
    assert [each.coefficient for each in done.inputs] == pytest.approx([0.5, 0.5])
    assert any("times are the positions: 1 to 2; " in note for note in done.notes)
    mixed = [*series(tmp_path / "m", "e1.keras"), *stripped(tmp_path / "m", "e3.keras")]
    done = wtool.average(mixed, power=0.0, dry_run=True)
    assert [each.coefficient for each in done.inputs] == pytest.approx([1 / 3, 2 / 3])
    assert any("e3.keras holds no step count" in note for note in done.notes)


def test_times_that_fall_are_refused(tmp_path: Path) -> None:
    newer, older = series(tmp_path, "b.keras", "a.keras")
    with pytest.raises(wtool.Usage, match=r"step counts do not grow \(.*a.keras: 368, .*b.keras: 364\); see --order"):
        wtool.average([newer, older], power=1.0, dry_run=True)
    first, second = stripped(tmp_path / "n", "e0.keras", "e1.keras")
    with pytest.raises(wtool.Usage, match=r"do not grow from above 0 \(.*e0.keras: 0\)"):
        wtool.average([first, second], power=1.0, dry_run=True)
    with pytest.raises(wtool.Usage, match=r"do not grow from above 0 \(.*e1.keras: 1, .*e0.keras: 0\)"):
        wtool.average([second, first], power=1.0, order="given", dry_run=True)


def test_what_was_taken_is_told(tmp_path: Path) -> None:
    series(tmp_path / "run", *(f"ckpt-{at}.keras" for at in range(1, 6)))
    words = ["average", "run", "--best", "2", "--by", "val_loss", "--log", str(keras_log(tmp_path / "log.csv")), "-n"]
    done = subprocess.run(forkserver.wtool(*words), capture_output=True, cwd=tmp_path, check=True, text=True)
    rows = [line.split() for line in done.stderr.splitlines()[:6]]
    assert rows[0] == ["checkpoint", "val_loss", "taken"]
    assert rows[1:3] == [["run/ckpt-1.keras", "0.900000"], ["run/ckpt-2.keras", "0.700000", "yes"]]
    told = subprocess.run(forkserver.wtool(*words, "--json"), capture_output=True, cwd=tmp_path, check=True, text=True)
    found = json.loads(told.stdout)["considered"]
    assert found[1] == {"path": "run/ckpt-2.keras", "value": 0.7, "is_taken": True}


@pytest.mark.tensorflow
def test_the_best_is_the_one_that_keras_keeps(tmp_path: Path) -> None:
    """Of a real run, by its names, by the log of CSVLogger, and by what ModelCheckpoint saves as the best."""
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)), rng.normal(size=(64, 1))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")  # so fast that the best epoch is not the last one
    run = tmp_path / "run"
    run.mkdir()
    kept = [
        keras.callbacks.ModelCheckpoint(run / "ckpt-{epoch}-{val_loss:.6f}.keras"),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    model.fit(x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=6, callbacks=kept, verbose=0)
    for options in ({}, {"log": tmp_path / "log.csv"}):
        done = wtool.average([run], best=1, by="val_loss", dry_run=True, **options)  # type: ignore[arg-type]
        (chosen,) = (Path(each.path) for each in done.inputs)
        best = arrays(tmp_path / "best.keras")
        assert all(np.array_equal(value, best[name]) for name, value in arrays(chosen).items())
        assert not chosen.name.startswith("ckpt-6"), "the best is not the last, so an epoch too far would be seen"


@pytest.mark.tensorflow
def test_the_log_and_the_checkpoints_of_resume(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(32, 2)), y=np.eye(3)[rng.integers(0, 3, 32)])
    options: dict[str, Any] = {"data": tmp_path / "data.npz", "validation_split": 0.25, "epochs": 3, "seed": 0}
    where = {"checkpoints": tmp_path / "run", "log": tmp_path / "log.csv", "output": tmp_path / "trained.keras"}
    wtool.resume(BLOBS[0], **options, **where)
    done = wtool.average([tmp_path / "run"], best=2, by="val_loss", log=tmp_path / "log.csv", dry_run=True)
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    at, epoch = rows[0].index("val_loss"), rows[0].index("epoch")
    wanted = {f"ckpt-{int(row[epoch]):04d}.keras": float(row[at]) for row in rows[1:]}
    assert {Path(each.path).name: each.value for each in done.considered} == wanted
