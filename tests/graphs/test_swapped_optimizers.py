"""The optimizer's state of swapped models, as Keras loads it: the step, and every slot of every weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array
from wtool.schema.optimizers import TABLE

pytestmark = pytest.mark.tensorflow

STEP = 3
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda optimizers: optimizers.SGD(),
    "SGD momentum": lambda optimizers: optimizers.SGD(momentum=0.9),
    "RMSprop": lambda optimizers: optimizers.RMSprop(),
    "RMSprop momentum centered": lambda optimizers: optimizers.RMSprop(momentum=0.9, centered=True),
    "Adam": lambda optimizers: optimizers.Adam(),
    "Adam amsgrad": lambda optimizers: optimizers.Adam(amsgrad=True),
    "Adam averaged": lambda optimizers: optimizers.Adam(use_ema=True),
    "Adam accumulating": lambda optimizers: optimizers.Adam(use_ema=True, gradient_accumulation_steps=2),
    "Adam scheduled": lambda optimizers: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 100)),
    "AdamW": lambda optimizers: optimizers.AdamW(),
    "Adadelta": lambda optimizers: optimizers.Adadelta(),
    "Adagrad": lambda optimizers: optimizers.Adagrad(),
    "Adamax": lambda optimizers: optimizers.Adamax(),
    "Adafactor": lambda optimizers: optimizers.Adafactor(),
    "Nadam": lambda optimizers: optimizers.Nadam(),
    "Ftrl": lambda optimizers: optimizers.Ftrl(),
    "Lion": lambda optimizers: optimizers.Lion(),
    "Lamb": lambda optimizers: optimizers.Lamb(),
    "Muon": lambda optimizers: optimizers.Muon(),
    "Muon averaged": lambda optimizers: optimizers.Muon(use_ema=True),
    "Muon but for one": lambda optimizers: optimizers.Muon(exclude_layers=["last"]),
    "ScheduleFreeAdamW": lambda optimizers: optimizers.ScheduleFreeAdamW(),
    "LossScaleOptimizer": lambda optimizers: optimizers.LossScaleOptimizer(optimizers.Adam()),
    "LossScaleOptimizer Muon": lambda optimizers: optimizers.LossScaleOptimizer(optimizers.Muon()),
}
ZERO = ("momentum", "gradient_accumulator")
SCALARS = ("iteration", "learning_rate", "step_counter", "dynamic_scale")


def test_every_class_of_the_table_is_swapped() -> None:
    assert {name.partition(" ")[0] for name in OPTIMIZERS} | {"MultiOptimizer"} == set(TABLE)


def projected(keras: Any) -> Any:
    """A model that gets a new kernel before its GroupNormalization, and whose other weights stay."""
    layers = keras.layers
    parts = [layers.Dense(8, "relu", name="first"), layers.GroupNormalization(2, name="norm")]
    return keras.Sequential([keras.Input((6,)), *parts, layers.Dense(2, name="last")])


def widened(keras: Any) -> Any:
    """A model whose last kernel gets twice as many rows; all of whose trained weights are matrices, but for one."""
    layers = keras.layers
    first = layers.Dense(4, "relu", use_bias=False, name="first")
    return keras.Sequential([keras.Input((6,)), first, layers.Dense(2, name="last")])


def compiled(keras: Any, model: Any, optimizer: Any) -> Any:
    """A model whose optimizer took steps, and whose slots all have values of their own."""
    model.compile(optimizer, "mean_squared_error")
    optimizer.build(model.trainable_variables)
    generator = np.random.default_rng(1)
    for variable in {id(each): each for each in optimizer.variables}.values():
        if len(variable.shape):
            variable.assign(generator.random(variable.shape) + 1)
        elif variable.path.endswith("iteration"):
            variable.assign(STEP)
    return model


def state(model: Any) -> dict[tuple[str, str], Array]:
    """Path of a weight and name of a slot -> values; ("", name) -> a number."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    paths = {
        each.path.replace("/", "_"): each.path.removeprefix(f"{model.name}/") for each in model.trainable_variables
    }
    found: dict[tuple[str, str], Array] = {}
    unnamed = []
    for variable in optimizer.variables:
        name = variable.path.rpartition("/")[2]
        stem = max((each for each in paths if name.startswith(f"{each}_")), key=len, default=None)
        if stem is not None:
            found[paths[stem], name.removeprefix(f"{stem}_")] = np.asarray(variable)
        elif name in SCALARS:
            found["", name] = np.asarray(variable)
        elif name.startswith("variable"):
            found["", "u_product"] = np.asarray(variable)  # Nadam gives it no name
        else:
            unnamed.append(np.asarray(variable))  # Adafactor's sums over rows and columns: two for each weight
    for weight, rows, columns in zip(paths.values(), unnamed[::2], unnamed[1::2], strict=False):
        found[weight, "r"], found[weight, "c"] = rows, columns
    return found


def weights(model: Any) -> dict[str, Array]:
    return {each.path.removeprefix(f"{model.name}/"): np.asarray(each) for each in model.trainable_variables}


def loaded(keras: Any, path: Path) -> Any:
    """A model as Keras loads it; from `.h5`, where Keras has no state of the optimizer, as wtool does."""
    if path.suffix == ".keras":
        return keras.models.load_model(path)
    from wtool.training.loading.load import load

    found = load(str(path))
    assert found.lost == ""
    return found.model


def same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", [projected, widened])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_follow_the_rule(name: str, build: Callable[[Any], Any], suffix: str, tmp_path: Path) -> None:
    keras: Any = pytest.importorskip("keras")
    pytest.importorskip("wtool.layers")
    if suffix == ".h5" and name.partition(" ")[0] in ("Adafactor", "Lamb"):
        pytest.skip("Keras does not save it as .h5, or does not load that again")
    model = compiled(keras, build(keras), OPTIMIZERS[name](keras.optimizers))
    source, linked, plain = (tmp_path / f"{each}{suffix}" for each in ("source", "linked", "plain"))
    model.save(source)
    old, values = state(model), weights(model)
    done = wtool.swap(source, to="linked", output=linked)[0]
    back = wtool.swap(linked, to="plain", output=plain)[0]
    if name == "Adafactor" and build is widened:
        assert any("optimizer's state is left out" in note for note in done.notes)
        return
    assert [note for note in (*done.notes, *back.notes) if "optimizer" in note] == []
    new_model = loaded(keras, linked)
    new, new_values = state(new_model), weights(new_model)
    assert {key for key in new if key[0] in values or not key[0]} == set(old)
    for (path, keras_slot), value in new.items():
        slot = "sequence" if (name, keras_slot) == ("ScheduleFreeAdamW", "momentum") else keras_slot
        if path in ("first_linked_project/kernel",):
            assert_new(slot, value, new_values[path], new, old)
        elif path == "last/kernel" and build is widened and value.shape:
            assert_widened(slot, value, old[path, keras_slot], new_values[path])
        else:
            assert same(value, old[path, keras_slot]), (path, slot)
    assert int(new["", "iteration"]) == STEP
    restored = state(loaded(keras, plain))
    assert set(restored) == set(old)
    for key, value in restored.items():
        assert same(value, old[key]), key


def assert_widened(slot: str, value: Array, old: Array, weight: Array) -> None:
    """The last kernel's rows stand twice: those behind are new."""
    rows = len(old)
    assert same(value[:rows], old)
    if slot in ZERO:
        assert not value[rows:].any()
    elif slot in ("average", "sequence"):
        assert same(np.abs(value[rows:]), np.abs(old)) or not value[rows:].any()
    else:
        assert same(value[rows:], old)
    assert value.shape == weight.shape


def assert_new(slot: str, value: Array, weight: Array, new: dict[Any, Array], old: dict[Any, Array]) -> None:
    """The projection's kernel: no momentum, and sums of squares like those of the weight before it."""
    if slot in ("average", "sequence"):
        assert same(value, weight)
    elif slot in ZERO:
        assert value.shape == weight.shape
        assert not value.any()
    else:
        shapes = {"r": weight.shape[:-1], "c": weight.shape[1:]}
        near = "first/kernel" if slot in shapes else "first/bias"
        assert value.shape == shapes.get(slot, weight.shape)
        np.testing.assert_allclose(value, old[near, slot].mean(), rtol=1e-6)


def test_muon_goes_on_where_it_was(tmp_path: Path) -> None:
    """Trained for three steps, swapped, and resumed: with the momentum alone for the new kernel, as Keras has it."""
    keras: Any = pytest.importorskip("keras")
    generator = np.random.default_rng(2)
    x, y = generator.random((24, 6)), generator.random((24, 2))
    model = projected(keras)
    model.compile(keras.optimizers.Muon(), "mean_squared_error")
    model.fit(x, y, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    wtool.swap(tmp_path / "model.keras", to="linked", output=tmp_path / "linked.keras")
    done = wtool.resume(
        tmp_path / "linked.keras", data=(x, y), epochs=1, batch_size=8, output=tmp_path / "more.keras", seed=1
    )
    assert done.notes == ()
    assert int(keras.models.load_model(tmp_path / "linked.keras").optimizer.iterations) == 3
    assert int(keras.models.load_model(tmp_path / "more.keras").optimizer.iterations) == 6


MULTI: dict[str, Callable[[Any], Any]] = {
    "by kernel": lambda o: o.MultiOptimizer(o.OptimizerMap(o.Adagrad(), {".*kernel": o.Adam()})),
    "one class twice": lambda o: o.MultiOptimizer(o.OptimizerMap(o.Adam(), {".*kernel": o.Adam()})),
}


@pytest.mark.parametrize("build", [projected, widened])
@pytest.mark.parametrize("name", MULTI)
def test_several_optimizers_are_left_out_for_new_weights(
    name: str, build: Callable[[Any], Any], tmp_path: Path
) -> None:
    """Patterns tell Keras which of them trains a weight."""
    keras: Any = pytest.importorskip("keras")
    pytest.importorskip("wtool.layers")
    model = compiled(keras, build(keras), MULTI[name](keras.optimizers))
    model.save(tmp_path / "model.keras")
    done = wtool.swap(tmp_path / "model.keras", to="linked", output=tmp_path / "linked.keras")[0]
    assert any("optimizer's state is left out" in note for note in done.notes) == (build is projected)
    new = keras.models.load_model(tmp_path / "linked.keras").optimizer
    assert int(new.iterations) == (0 if build is projected else STEP)


def test_a_pattern_of_muon_is_not_guessed(tmp_path: Path) -> None:
    """Keras matches regular expressions; wtool does not, and so does not know which slots a new kernel gets."""
    keras: Any = pytest.importorskip("keras")
    model = compiled(keras, projected(keras), keras.optimizers.Muon(exclude_layers=["fir.*project"]))
    model.save(tmp_path / "model.keras")
    done = wtool.swap(tmp_path / "model.keras", to="linked", output=tmp_path / "linked.keras")[0]
    assert any("its settings do not tell what it keeps for first_linked_project/kernel" in note for note in done.notes)


def test_a_file_whose_optimizer_would_be_misread_is_not_written(tmp_path: Path) -> None:
    """With a single weight, a file does not show that the averages of all weights come before all momenta."""
    keras: Any = pytest.importorskip("keras")
    layers = keras.layers
    first = layers.Dense(8, "relu", use_bias=False, name="first")
    norm = layers.GroupNormalization(2, center=False, scale=False, name="norm")
    model = compiled(keras, keras.Sequential([keras.Input((6,)), first, norm]), keras.optimizers.Adam(use_ema=True))
    model.save(tmp_path / "model.keras")
    options: dict[str, Any] = {"to": "linked", "layers": ["first"], "output": tmp_path / "linked.keras"}
    for dry_run in (True, False):
        with pytest.raises(wtool.Refused, match=r"would not tell what is .* of first.*--optimizer drop leaves"):
            wtool.swap(tmp_path / "model.keras", dry_run=dry_run, **options)
    assert not (tmp_path / "linked.keras").exists()
    wtool.swap(tmp_path / "model.keras", optimizer="drop", **options)
