"""Soups of real models: their values against NumPy, their scores against Keras."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES
from wtool.ops.soup import check_soup
from wtool.training.soups.options import Soup

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")

WTOOL = [sys.executable, "-m", "wtool"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blobs' data, some of it held out."""
    folder = tmp_path_factory.mktemp("data")
    with np.load(FIXTURES / "blobs" / "data.npz") as old:
        test = {"x_test": old["test_x"][500:], "y_test": old["test_y"][500:]}
        np.savez(folder / "data.npz", x_val=old["test_x"][:500], y_val=old["test_y"][:500], **test)
        np.savez(folder / "tested.npz", x_train=old["train_x"], y_train=old["train_y"], **test)
    return folder / "data.npz"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models on either side of a good one, a bad one, and one that diverged."""
    folder = tmp_path_factory.mktemp("models")
    model = keras.models.load_model(BLOBS[0])
    good = model.get_weights()
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.5, each.shape) for each in good]
    made = {"a": noise, "b": [-each for each in noise], "c": [-40 * each for each in good], "d": [np.nan * noise[0]]}
    for name, more in made.items():
        more = [*more, *([0.0] * len(good))][: len(good)]
        model.set_weights([(old + new).astype(np.float32) for old, new in zip(good, more, strict=True)])
        model.save(folder / f"{name}.keras")
    return sorted(folder.iterdir())


def evaluated(path: Any, data: Path) -> dict[str, float]:
    with np.load(data) as arrays:
        model = keras.models.load_model(path)
        found: dict[str, float] = model.evaluate(arrays["x_val"], arrays["y_val"], verbose=0, return_dict=True)
    return found


def weights(path: Any) -> list[np.ndarray[Any, Any]]:
    found: list[np.ndarray[Any, Any]] = keras.models.load_model(path).get_weights()
    return found


def test_a_greedy_soup_takes_what_makes_it_better(models: list[Path], data: Path, tmp_path: Path) -> None:
    output = tmp_path / "soup.keras"
    done = wtool.soup(models, data=data, metric="loss", output=output)
    a, b, *_ = map(str, models)
    assert done.soup == (a, b)
    assert (done.metric, done.mode) == ("loss", "min")
    assert done.score < min(done.alone[a], done.alone[b])
    for path in models[:3]:
        assert done.alone[str(path)] == pytest.approx(evaluated(path, data)["loss"], rel=1e-6)
    assert np.isnan(done.alone[str(models[3])])
    assert done.score == pytest.approx(evaluated(output, data)["loss"], rel=1e-6)
    for new, *old in zip(weights(output), weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(new, np.mean(np.float64(old), axis=0).astype(np.float32))
    last = wtool.inspect(output)["lineage"][-1]
    assert last["operation"] == "soup"
    assert last["parameters"]["method"] == "greedy"
    assert [each["name"] for each in last["inputs"]] == ["data.npz", "a.keras", "b.keras"]


def test_a_uniform_soup_is_the_average(models: list[Path], data: Path, tmp_path: Path) -> None:
    done = wtool.soup(models[:3], data=data, uniform=True, output=tmp_path / "soup.keras")
    wtool.average(models[:3], output=tmp_path / "average.keras")
    for new, old in zip(weights(tmp_path / "soup.keras"), weights(tmp_path / "average.keras"), strict=True):
        np.testing.assert_array_equal(new, old)
    assert (done.metric, done.mode) == ("accuracy", "max")
    assert done.score == pytest.approx(evaluated(tmp_path / "soup.keras", data)["accuracy"], rel=1e-6)
    assert [each.candidate for each in done.tried] == [*map(str, models[:3]), None]


def test_names_do_not_tell_the_age_of_models(
    models: list[Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an average, a note says that a name without a number comes as the newest."""
    monkeypatch.chdir(tmp_path)
    for name in ("run-10.keras", "tuned.keras", "run-2.keras"):
        (tmp_path / name).symlink_to(models[0])
    names, notes = check_soup(["run-10.keras", "tuned.keras", "run-2.keras"], Soup(data=data))
    assert (names, notes) == (["run-2.keras", "run-10.keras", "tuned.keras"], [])


def test_models_without_a_score_are_named(models: list[Path], data: Path, tmp_path: Path) -> None:
    words = r"d.keras: the accuracy of this model is no number, and so is the soup's; leave it out$"
    with pytest.raises(wtool.WtoolError, match=words):
        wtool.soup([models[0], models[3], models[1]], data=data, uniform=True, output=tmp_path / "soup.keras")
    with pytest.raises(wtool.WtoolError, match=r"d.keras: the accuracy of this model is no number"):
        wtool.soup(models[3:], data=data, output=tmp_path / "soup.keras")
    assert not (tmp_path / "soup.keras").exists()


def test_a_killed_soup_goes_on_from_its_log(
    models: list[Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wtool.training.soups import tasting

    log, whole = tmp_path / "soup.jsonl", tmp_path / "whole.jsonl"
    options = {"data": data, "metric": "loss", "dry_run": True}
    first = wtool.soup(models, log=whole, **options)
    lines = whole.read_text().splitlines(keepends=True)
    assert [json.loads(line)["kept"] for line in lines[:5]] == [None, None, None, None, True]
    assert json.loads(lines[-1])["soup"] == list(first.soup)
    log.write_text("".join(lines[:5]) + lines[5][:30])
    scored = []
    monkeypatch.setattr(tasting, "score", lambda *words: scored.append(words) or {"loss": 1e9})
    again = wtool.soup(models, log=log, **options)
    assert len(scored) == 1 + len(lines) - 5  # the first one tells the metric's name
    assert again.alone.keys() == first.alone.keys()
    assert log.read_text().startswith("".join(lines[:5]))
    scored.clear()
    done = wtool.soup(models, log=whole, **options)
    assert (done.soup, done.score, len(scored)) == (first.soup, first.score, 1)
    assert whole.read_text() == "".join(lines)


def test_another_soup_takes_nothing_from_a_log(models: list[Path], data: Path, tmp_path: Path) -> None:
    log = tmp_path / "soup.jsonl"
    by_loss = wtool.soup(models[:2], data=data, metric="loss", log=log, dry_run=True)
    by_accuracy = wtool.soup(models[:2], data=data, metric="accuracy", log=log, dry_run=True)
    assert by_accuracy.alone != by_loss.alone
    assert by_accuracy.alone[str(models[0])] == pytest.approx(evaluated(models[0], data)["accuracy"])


def test_the_command(models: list[Path], data: Path, tmp_path: Path) -> None:
    words = [*WTOOL, "soup", *map(str, models[:3]), "--data", str(data.with_name("tested.npz")), "--metric", "mse"]
    done = subprocess.run([*words, "-o", "soup.keras"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "note: models are chosen by the test part of the data" in done.stderr
    assert done.stdout == ""
    assert (tmp_path / "soup.keras").exists()
    again = subprocess.run([*words, "-o", "soup.keras"], cwd=tmp_path, capture_output=True, text=True)
    assert again.stderr.splitlines()[-1] == (
        "wtool: soup.keras is there already, made of the same models in the same way: skipped"
    )
    other = [*words, "--uniform", "-o", "soup.keras"]
    refused = subprocess.run(other, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, "wtool: soup.keras: exists already; --force replaces it\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uniform": True, "greedy": True}, "contradict"),
        ({"uniform": True, "rounds": 2}, "all models are in"),
        ({"metric": "nothing"}, "nothing"),
        ({"log": "soup.csv"}, "called .jsonl"),
    ],
)
def test_words_that_do_not_go_together(models: list[Path], data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.soup(models[:2], data=data, dry_run=True, **options)


def test_a_mean_is_recalibrated_before_it_is_scored(data: Path, tmp_path: Path) -> None:
    """Two models on either side of a good one, whose statistics of batch normalisation are anything."""
    with np.load(data) as arrays:
        x, y = arrays["x_val"], arrays["y_val"]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(25)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.ReLU()(hidden)))
    model.compile(keras.optimizers.Adam(0.05), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=100, epochs=5, verbose=0)
    good = model.get_weights()
    for number, sign in enumerate((1, -1)):
        new = [each.copy() for each in good]
        new[0] += sign * 3.0
        new[4], new[5] = new[4] + 50.0, new[5] * 100
        model.set_weights(new)
        model.save(tmp_path / f"model-{number}.keras")
    paths = sorted(tmp_path.glob("*.keras"))
    before = wtool.soup(paths, data=data, metric="loss", dry_run=True, uniform=True)
    output = tmp_path / "out" / "soup.keras"
    output.parent.mkdir()
    np.savez(tmp_path / "x.npz", x_train=x)
    options = {"data": data, "metric": "loss", "recalibrate": tmp_path / "x.npz", "log": tmp_path / "log.jsonl"}
    done = wtool.soup(paths, output=output, **options)
    assert done.soup == tuple(map(str, paths))
    assert done.score < min(done.alone.values()) < before.score
    assert done.score == pytest.approx(evaluated(output, data)["loss"], rel=1e-5)
    mean = np.mean(np.float64([weights(path)[0] for path in paths]), axis=0).astype(np.float32)
    expected = np.mean(np.float64(x) @ np.float64(mean), axis=0) + np.float64(weights(output)[1])
    np.testing.assert_allclose(weights(output)[4], expected, rtol=1e-4, atol=1e-5)
    assert [each["operation"] for each in wtool.inspect(output)["lineage"][-2:]] == ["soup", "recalibrate"]
    assert wtool.soup(paths, output=output, **options).skipped


def test_a_look_at_the_models_comes_first(models: list[Path], data: Path) -> None:
    seen: list[Any] = []
    options: dict[str, Any] = {"data": data, "dry_run": True, "doctor": True}
    done = wtool.soup(models[:2], diagnosed=seen.append, report=seen.append, **options)
    assert seen[0] is done.diagnosis
    assert {each.path for each in done.diagnosis.kernels} == {"hidden/kernel", "output/kernel"}
