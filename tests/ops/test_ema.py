"""Averages that optimizers keep become the weights: against h5py, NumPy, and Keras's own optimizers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, ZOO, Array, arrays, changed

VERSIONS = ("k3.0.5", "k3.6.0", "k3.12.4", "k3.15.1")


def trained(folder: Path, suffix: str = ".keras", version: str = "k3.6.0") -> Path:
    """A model of which every value of weights and optimizer is another, as in the midst of training."""
    source = FIXTURES / "zoo" / version / f"ema_adamw{suffix}"
    if not source.exists():
        source = ZOO / version / f"ema_adamw{suffix}"
    if not source.exists():
        pytest.skip(f"the small collection has no ema_adamw{suffix} of {version}")
    rng = np.random.default_rng(4)
    return changed(
        source,
        folder / f"trained{suffix}",
        lambda name, a: a + rng.random(a.shape) if a.shape and a.dtype.kind == "f" else a,
    )


def slots(path: Path, name: str) -> dict[str, Array]:
    """Path of a weight -> its slot of a name."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        found = [each for each in checkpoint.slots if each.slot and each.slot.name == name]
        return {str(each.slot.weight): checkpoint.read(each) for each in found if each.slot}


def weights(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each) for each in checkpoint.weights}


def same_values(some: dict[str, Array], others: dict[str, Array]) -> bool:
    return {path: each.tobytes() for path, each in some.items()} == {
        path: each.tobytes() for path, each in others.items()
    }


def everything(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each) for each in checkpoint.tensors}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("version", VERSIONS)
def test_averages_become_weights(version: str, suffix: str, tmp_path: Path) -> None:
    """Read by h5py: the file says which arrays the averages are by its order alone (average first, in weight order)."""
    source = trained(tmp_path, suffix, version)
    target = tmp_path / f"out{suffix}"
    (done,) = wtool.ema(source, output=target)
    before, after = everything(source), everything(target)
    own = weights(source)
    assert len(own) == 4
    assert done.selected == sum(each.size for each in own.values())
    assert done.rewritten == done.selected
    for path in own:
        assert after[path].tobytes() == before[f"optimizer/average/{path}"].tobytes()
        assert after[f"optimizer/average/{path}"].tobytes() == before[f"optimizer/average/{path}"].tobytes()
        assert not after[f"optimizer/momentum/{path}"].any()
        assert before[f"optimizer/momentum/{path}"].any()
    same = before.keys() - own.keys() - {f"optimizer/momentum/{path}" for path in own}
    assert all(after[path].tobytes() == before[path].tobytes() for path in same)


def test_the_averages_are_those_that_keras_stores_first(tmp_path: Path) -> None:
    source = trained(tmp_path)
    wtool.ema(source, output=tmp_path / "out.keras")
    before, after = arrays(source), arrays(tmp_path / "out.keras")
    places = [name for name in before if not name.startswith("optimizer")]
    own = sorted((name for name in places if "vars" in name), key=lambda name: (name.split("/")[:-2], name))
    first = 1 if before["optimizer/vars/1"].shape else 2
    for number, name in enumerate(own):
        assert after[name].tobytes() == before[f"optimizer/vars/{first + number}"].tobytes(), name


FORMATS = {
    "folder": {"to": "keras", "unzipped": True},
    "model.h5": {},
    "model.safetensors": {},
}
"""Name of a model -> how it is made of a `.keras` file."""


@pytest.mark.parametrize("name", FORMATS)
def test_formats_that_are_made_of_it(name: str, tmp_path: Path) -> None:
    source, model = trained(tmp_path), tmp_path / name
    wtool.convert(source, output=model, **FORMATS[name])
    (done,) = wtool.ema(model, output=tmp_path / f"out-{name}")
    assert same_values(weights(Path(str(done.output))), slots(source, "average"))


@pytest.mark.parametrize("mode", ["keep", "reset", "drop", "follow"])
def test_what_becomes_of_the_optimizer(mode: str, tmp_path: Path) -> None:
    source, target = trained(tmp_path), tmp_path / "out.keras"
    wtool.ema(source, output=target, optimizer=mode)
    before, after = everything(source), everything(target)
    averages = slots(source, "average")
    assert all(after[path].tobytes() == each.tobytes() for path, each in averages.items())
    if mode == "drop":
        assert after.keys() == averages.keys()
        return
    for path, average in averages.items():
        assert after[f"optimizer/average/{path}"].tobytes() == average.tobytes()
        momentum, velocity = (f"optimizer/{name}/{path}" for name in ("momentum", "velocity"))
        assert after[momentum].any() == (mode == "keep")
        assert (after[velocity].tobytes() == before[velocity].tobytes()) == (mode != "reset")
    assert (after["optimizer/iteration"] == before["optimizer/iteration"]) == (mode != "reset")


def test_momentum_stays_where_nothing_changes(tmp_path: Path) -> None:
    """The state of a file that Keras wrote at the end of `fit`, whose weights equal their averages."""
    source = FIXTURES / "zoo" / "k3.6.0" / "ema_adamw.keras"
    (done,) = wtool.ema(source, output=tmp_path / "out.keras")
    assert done.rewritten == 0
    assert any("the weights equal their averages already" in note for note in done.notes)
    before, after = everything(source), everything(tmp_path / "out.keras")
    assert all(after[path].tobytes() == before[path].tobytes() for path in before)


def test_a_result_is_not_made_twice_and_has_its_record(tmp_path: Path) -> None:
    source, target = trained(tmp_path), tmp_path / "out.keras"
    wtool.ema(source, output=target)
    first = target.read_bytes()
    (again,) = wtool.ema(source, output=target)
    assert again.skipped
    assert target.read_bytes() == first
    record = wtool.inspect(target)["lineage"][-1]
    assert (record["operation"], record["parameters"]) == ("ema", {"optimizer": "follow"})
    assert record["inputs"][0]["name"] == "trained.keras"
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.ema(source, output=target, optimizer="keep")


def test_many_models_in_place_and_from_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for suffix in (".keras", ".h5"):
        trained(tmp_path / "zoo", suffix)
    results = wtool.ema(tmp_path / "zoo", output=tmp_path / "out", jobs=2)
    assert sorted(Path(str(each.output)).name for each in results) == ["trained.h5", "trained.keras"]
    averages = {each: slots(tmp_path / "zoo" / f"trained{each}", "average") for each in (".keras", ".h5")}
    piped = subprocess.run(
        forkserver.python("-m", "wtool", "ema", "-", "-o", "-"),
        input=(tmp_path / "zoo" / "trained.h5").read_bytes(),
        capture_output=True,
        check=True,
    )
    (tmp_path / "piped.h5").write_bytes(piped.stdout)
    wtool.ema(tmp_path / "zoo", in_place=True)
    for path in (*(tmp_path / "zoo").iterdir(), *(tmp_path / "out").iterdir(), tmp_path / "piped.h5"):
        assert same_values(weights(path), averages[path.suffix])


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    (done,) = wtool.ema(trained(tmp_path), dry_run=True)
    assert done.output is None
    assert done.rewritten == done.selected > 0
    assert [each.name for each in tmp_path.iterdir()] == ["trained.keras"]


def test_what_the_command_says(tmp_path: Path) -> None:
    source = trained(tmp_path)
    told = subprocess.run(
        forkserver.python("-m", "wtool", "ema", str(source), "--json"), capture_output=True, text=True, check=True
    )
    result = json.loads(told.stdout)
    assert (result["output"], result["rewritten"]) == (str(tmp_path / "trained-ema.keras"), result["selected"])
    assert f"{result['rewritten']} of {result['selected']} weights differed from their averages" in told.stderr


def test_an_average_that_is_no_number_is_refused(tmp_path: Path) -> None:
    source = trained(tmp_path)
    broken = changed(
        source,
        tmp_path / "broken.keras",
        lambda name, a: np.full(a.shape, np.nan) if name.startswith("optimizer") and a.shape == (6,) else a,
    )
    with pytest.raises(wtool.Refused, match="the average of a/bias holds NaN or infinite values"):
        wtool.ema(broken, output=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_models_without_averages_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match=r"SGD keeps no moving averages .* use_ema=True; `wtool average`"):
        wtool.ema(BLOBS[0], output=tmp_path / "out.keras")
    wtool.convert(BLOBS[0], optimizer="drop", output=tmp_path / "bare.keras")
    with pytest.raises(wtool.Refused, match=r"has no state of an optimizer, .* PowerEMA"):
        wtool.ema(tmp_path / "bare.keras", output=tmp_path / "out.keras")


@pytest.mark.parametrize("name", ["model.weights.h5", "model.weights.json"])
def test_slots_that_a_file_does_not_tell_are_refused(name: str, tmp_path: Path) -> None:
    """A file of weights alone does not say whether the optimizer keeps averages, or the squares of `amsgrad`."""
    wtool.convert(trained(tmp_path), output=tmp_path / name)
    with pytest.raises(wtool.Refused, match=r"does not tell what optimizer/slot0/.* are to the optimizer; a .keras or"):
        wtool.ema(tmp_path / name, output=tmp_path / f"out-{name}")


# Keras's optimizers, while they train


def network(keras: Any) -> Any:
    keras.utils.set_random_seed(3)
    dense = keras.layers.Dense
    layers = [keras.Input((4,)), dense(5, activation="tanh", name="first"), keras.layers.BatchNormalization(name="bn")]
    return keras.Sequential([*layers, dense(2, name="last")])


RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(16, 4)).astype(np.float32), RNG.normal(size=(16, 2)).astype(np.float32)

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda keras: keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.7),
    "Adam": lambda keras: keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.7),
    "Adafactor": lambda keras: keras.optimizers.Adafactor(0.1, use_ema=True, ema_momentum=0.7),
    "scaled": lambda keras: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.RMSprop(0.1, use_ema=True, ema_momentum=0.7), initial_scale=4.0
    ),
}


def doubles(variables: Any) -> list[Array]:
    return [np.asarray(each).astype(np.float64) for each in variables]


def train(model: Any, steps: int = 7) -> Iterator[None]:
    for _ in range(steps):
        model.train_on_batch(X, Y)
        yield


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "suffix"),
    [(name, suffix) for name in OPTIMIZERS for suffix in (".keras", ".h5") if (name, suffix) != ("Adafactor", ".h5")],
)  # Keras gives two arrays of an Adafactor one name in .h5
def test_averages_of_every_step_that_keras_trained(name: str, suffix: str, tmp_path: Path) -> None:
    """Worked out beside the training: m*average + (1-m)*weights after each step, the first one being copied."""
    keras = pytest.importorskip("keras")
    model = network(keras)
    model.compile(OPTIMIZERS[name](keras), "mse", jit_compile=False, run_eagerly=True)
    expected: list[Array] = []
    for _ in train(model):
        now = doubles(model.trainable_variables)
        expected = [0.7 * old + 0.3 * new for old, new in zip(expected, now, strict=True)] if expected else now
    model.save(tmp_path / f"trained{suffix}")
    (done,) = wtool.ema(tmp_path / f"trained{suffix}", output=tmp_path / f"out{suffix}")
    assert [note for note in done.notes if "wtool recalibrate" in note]
    assert not [note for note in done.notes if "no average" in note]
    found = keras.models.load_model(tmp_path / f"out{suffix}", compile=False)
    for variable, value in zip(found.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(np.asarray(variable), value, rtol=2e-5, atol=1e-6)
    for variable, own in zip(found.non_trainable_variables, model.non_trainable_variables, strict=True):
        assert np.array_equal(np.asarray(variable), np.asarray(own))


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("is_scaled", [False, True], ids=["plain", "scaled"])
def test_the_average_of_a_schedule_free_optimizer(is_scaled: bool, suffix: str, tmp_path: Path) -> None:
    """Worked out beside the training, from the weights y and the sequence z, which Keras calls momentum.

    After step t the average is (1 - 1/t) x + z/t, where x follows from y and z before the step; under TensorFlow, Keras
    3.15 takes z after it, since it keeps the variable and not its value.
    """
    keras = pytest.importorskip("keras")
    model = network(keras)
    inner = keras.optimizers.ScheduleFreeAdamW(0.05, beta_1=0.8)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0) if is_scaled else inner
    model.compile(optimizer, "mse", jit_compile=False, run_eagerly=True)
    optimizer.build(model.trainable_variables)
    beta = np.float64(np.float32(0.8))
    ways: list[list[Array]] = []
    for step in range(1, 8):
        y, before = doubles(model.trainable_variables), doubles(inner._momentums)
        model.train_on_batch(X, Y)
        after = doubles(inner._momentums)
        ways = [
            [
                ((1 - 1 / step) * (own - (1 - beta) * used) / beta + new / step)
                for own, used, new in zip(y, z, after, strict=True)
            ]
            for z in (before, after)
        ]
    model.save(tmp_path / f"trained{suffix}")
    (done,) = wtool.ema(tmp_path / f"trained{suffix}", output=tmp_path / f"out{suffix}")
    assert done.rewritten
    found = doubles(keras.models.load_model(tmp_path / f"out{suffix}", compile=False).trainable_variables)
    errors = [max(np.abs(a - b).max() for a, b in zip(found, way, strict=True)) for way in ways]
    assert min(errors) < 1e-6 < max(errors)
    (again,) = wtool.ema(tmp_path / f"out{suffix}", output=tmp_path / f"again{suffix}")
    assert again.rewritten == 0  # the sequence begins anew at the average


@pytest.mark.tensorflow
def test_weights_without_averages_are_told(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = network(keras)
    model.get_layer("last").trainable = False
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    list(train(model, 2))
    model.get_layer("last").trainable = True
    model.save(tmp_path / "trained.keras")
    (done,) = wtool.ema(tmp_path / "trained.keras", output=tmp_path / "out.keras")
    (note,) = [each for each in done.notes if "keeps no average of" in each]
    assert "last/kernel, last/bias, which stay" in note
    before, after = weights(tmp_path / "trained.keras"), weights(tmp_path / "out.keras")
    assert after["last/kernel"].tobytes() == before["last/kernel"].tobytes()
    assert after["first/kernel"].tobytes() != before["first/kernel"].tobytes()


@pytest.mark.tensorflow
def test_a_weight_that_is_stored_twice_is_averaged_twice(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    dense = keras.layers.SpectralNormalization(keras.layers.Dense(3, name="inner"), name="outer")
    model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(2, name="last")])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    list(train(model, 3))
    model.save(tmp_path / "trained.keras")
    (done,) = wtool.ema(tmp_path / "trained.keras", output=tmp_path / "out.keras")
    new, average = weights(tmp_path / "out.keras"), slots(tmp_path / "trained.keras", "average")
    for path in ("outer/kernel", "outer/inner/kernel"):
        assert new[path].tobytes() == average["outer/inner/kernel"].tobytes()
    assert not done.notes


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_averages_of_keras_2(suffix: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras")
    model = network(keras)
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.7, jit_compile=False), "mse")
    list(train(model, 4))
    expected = [np.asarray(each) for each in model.optimizer._model_variables_moving_average]
    model.save(tmp_path / f"trained{suffix}")
    (done,) = wtool.ema(tmp_path / f"trained{suffix}", output=tmp_path / f"out{suffix}")
    assert done.rewritten
    found = keras.models.load_model(tmp_path / f"out{suffix}", compile=False)
    for variable, value in zip(found.trainable_variables, expected, strict=True):
        assert np.array_equal(variable.numpy(), value)


@pytest.mark.tensorflow
def test_several_optimizers_with_averages(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = network(keras)
    several = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7))
    several[".*last.*"] = keras.optimizers.ScheduleFreeAdamW(0.05)
    model.compile(keras.optimizers.MultiOptimizer(several), "mse")
    list(train(model, 3))
    model.save(tmp_path / "trained.keras")
    wtool.ema(tmp_path / "trained.keras", output=tmp_path / "out.keras")
    before, after = everything(tmp_path / "trained.keras"), weights(tmp_path / "out.keras")
    (average,) = [path for path in before if path.endswith("average/first/kernel") and path.count("/") > 3]
    (sequence,) = [path for path in before if path.endswith("sequence/last/kernel") and path.count("/") > 3]
    assert after["first/kernel"].tobytes() == before[average].tobytes()
    x = (before["last/kernel"] - (1 - 0.9) * before[sequence].astype(np.float64)) / 0.9
    np.testing.assert_allclose(after["last/kernel"], x, rtol=1e-5)
