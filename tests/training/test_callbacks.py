"""The callbacks against NumPy, Keras and the commands for files of the same names."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
callbacks = pytest.importorskip("wtool.callbacks")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(48, 6, 6, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 48)


def values(variable: Any) -> Array:
    return np.asarray(variable).copy()


def deep(optimizer: Any = "sgd", policy: str | None = None, constraint: Any = None, recurrent: bool = True) -> Any:
    """A model of several layer types, none of which the original callbacks could take."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((6, 6, 2)),
        keras.layers.Conv2D(4, 3, activation="relu", name="conv", dtype=policy),
        keras.layers.BatchNormalization(name="bn", dtype=policy),
        keras.layers.Reshape((4, 16)),
        keras.layers.LSTM(5, name="lstm") if recurrent else keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu", name="hidden", kernel_constraint=constraint, dtype=policy),
        keras.layers.Dense(3, name="out", dtype="float32"),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def still() -> Any:
    """A model that training does not change: what callbacks do is all that happens."""
    return deep(keras.optimizers.SGD(0.0))


def fit(model: Any, *used: Any, epochs: int = 1) -> None:
    model.fit(X, Y, epochs=epochs, batch_size=16, callbacks=list(used), verbose=0, shuffle=False)


def weights(model: Any) -> dict[str, Array]:
    return {f"{layer.name}/{w.path.split('/')[-1]}": values(w) for layer in model.layers for w in layer.weights}


def is_kernel(name: str) -> bool:
    return name.endswith("kernel")


def test_parameters_and_defaults_are_kerastrokes() -> None:
    expected = {
        "Stroke": {"set_value": None, "low_bound": -0.05, "high_bound": 0.05, "volatility_ratio": 0.05, "cutoff": -1,
                   "decay": None, "do_weights": True, "do_biases": False},
        "Pruning": {"set_value": 0.0, "min_value": -0.2, "max_value": 0.2, "cutoff": -1, "do_weights": True,
                    "do_biases": False},
        "NeuroPlast": {"set_value": None, "min_value": -0.01, "max_value": 0.01, "low_bound": -0.05,
                       "high_bound": 0.05, "cutoff": -1, "do_weights": True, "do_biases": False},
    }  # fmt: skip
    for name, parameters in expected.items():
        found = {each.name: each.default for each in inspect.signature(getattr(callbacks, name)).parameters.values()}
        assert list(found)[-3:] == ["include", "exclude", "seed"]
        assert list(found.items())[: len(parameters)] == list(parameters.items())


def test_stroke_strikes_its_share_of_every_kernel() -> None:
    model = still()
    before = weights(model)
    fit(model, callbacks.Stroke(low_bound=2.0, high_bound=3.0, volatility_ratio=0.25, seed=5))
    for name, new in weights(model).items():
        struck = new != before[name]
        if name.startswith("bn"):
            continue
        assert np.count_nonzero(struck) == (round(0.25 * new.size) if is_kernel(name) else 0), name
        assert ((new[struck] >= 2.0) & (new[struck] <= 3.0)).all()


def test_pruning_and_neuroplast_are_their_formulas() -> None:
    model = still()
    before = weights(model)
    fit(model, callbacks.Pruning(min_value=-0.1, max_value=0.2, do_biases=True))
    for name, new in weights(model).items():
        if is_kernel(name) or name.endswith("bias"):
            inside = (before[name] >= np.float32(-0.1)) & (before[name] <= np.float32(0.2))
            assert np.array_equal(new, np.where(inside, 0, before[name])), name
    pruned = weights(model)
    fit(model, callbacks.NeuroPlast(low_bound=1.0, high_bound=2.0, exclude=["conv/*"], seed=0))
    for name, new in weights(model).items():
        if is_kernel(name):
            near = np.abs(pruned[name]) <= np.float32(0.01)
            assert np.array_equal(new[~near], pruned[name][~near])
            assert ((new[near] >= 1) & (new[near] <= 2)).all() != name.startswith("conv")


def test_zero_is_a_value_and_decay_and_cutoff_count_epochs() -> None:
    model = still()
    sizes = []

    class Count(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            sizes.append(np.count_nonzero(self.model.get_layer("hidden").kernel.numpy() == 0))
            self.model.get_layer("hidden").kernel.assign(np.ones((5, 8)))

    model.get_layer("hidden").kernel.assign(np.ones((5, 8)))
    stroke = callbacks.Stroke(set_value=0.0, volatility_ratio=0.5, decay=0.5, cutoff=3, include=["hidden/kernel"])
    fit(model, stroke, Count(), epochs=4)
    assert sizes == [20, 10, 5, 0]
    assert stroke.epochs_completed == 4


def test_files_and_callbacks_draw_the_same(tmp_path: Path) -> None:
    model = still()
    model.save(tmp_path / "model.keras")
    fit(model, callbacks.Stroke(volatility_ratio=0.3, seed=11), epochs=2)
    wtool.stroke(tmp_path / "model.keras", volatility_ratio=0.3, seed=11, output=tmp_path / "once.keras")
    wtool.stroke(tmp_path / "once.keras", volatility_ratio=0.3, seed=12, output=tmp_path / "twice.keras")
    twice = weights(keras.models.load_model(tmp_path / "twice.keras"))
    for name, new in weights(model).items():
        if is_kernel(name):
            assert np.array_equal(new, twice[name]), name


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "accumulated": lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize(
    ("name", "policy"), [*((name, None) for name in OPTIMIZERS), ("adamw", "mixed_float16"), ("adam", "mixed_bfloat16")]
)
def test_zeros_are_held(name: str, policy: str | None) -> None:
    """Momentum from a training without zeros pulls at them, and they stay exactly zero, signs included."""
    optimizer = OPTIMIZERS[name]()
    scaled = keras.optimizers.LossScaleOptimizer(optimizer) if policy == "mixed_float16" else optimizer
    model = deep(scaled, policy, recurrent=False)
    fit(model)  # the train step is traced before zeros are held
    masks = {}
    for layer in ("conv", "hidden", "out"):
        kernel = model.get_layer(layer).kernel
        masks[layer] = RNG.random(kernel.shape) < 0.5
        kernel.assign(np.where(masks[layer], 0, values(kernel)))
    before = weights(model)
    fit(model, callbacks.HoldZeros(), epochs=2)
    for layer, mask in masks.items():
        new = values(model.get_layer(layer).kernel)
        assert (new[mask] == 0).all()
        assert not np.signbit(new[mask]).any()
        assert (new[~mask] != before[f"{layer}/kernel"][~mask]).mean() > 0.5
        assert model.get_layer(layer).kernel.constraint is None
    if name == "momentum":
        fit(model)
        assert any((values(model.get_layer(layer).kernel)[mask] != 0).any() for layer, mask in masks.items())


def test_held_zeros_go_with_other_constraints_and_other_callbacks() -> None:
    model = deep(keras.optimizers.SGD(0.5), constraint=keras.constraints.UnitNorm(axis=0))
    kernel = model.get_layer("hidden").kernel
    mask = np.arange(40).reshape(5, 8) % 3 == 0
    kernel.assign(np.where(mask, 0, values(kernel)))
    fit(model, callbacks.HoldZeros(), epochs=2)
    new = values(kernel)
    assert (new[mask] == 0).all()
    assert np.linalg.norm(new, axis=0) == pytest.approx(np.ones(8), abs=1e-5)
    assert isinstance(kernel.constraint, keras.constraints.UnitNorm)
    hold = callbacks.HoldZeros()
    fit(model, hold, callbacks.Stroke(set_value=7.0, volatility_ratio=1.0))
    assert np.array_equal(values(kernel), np.where(mask, 0, 7).astype(np.float32))
    assert [each.path for each in hold.held] == ["hidden/kernel"]
    assert hold.held[0].count == np.count_nonzero(mask)


def test_held_zeros_are_asserted() -> None:
    model = deep("adam")
    kernel = model.get_layer("hidden").kernel
    kernel.assign(np.zeros(kernel.shape))

    class Meddler(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kernel.assign(np.ones(kernel.shape))

    with pytest.raises(wtool.WtoolError, match="held values of hidden/kernel did not stay"):
        fit(model, callbacks.HoldZeros(), Meddler())
    assert kernel.constraint is None


@pytest.mark.parametrize(
    ("options", "coefficients"),
    [({}, [1, 1, 1]), ({"linear": True}, [1, 2, 3]), ({"decay": 0.5}, [0.25, 0.5, 1])],
)
def test_averages(options: dict[str, Any], coefficients: list[float], tmp_path: Path) -> None:
    model = deep(keras.optimizers.Adam(0.01))
    epochs: list[dict[str, Array]] = []

    class Keep(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            epochs.append(weights(self.model))
            self.model.save(tmp_path / f"ckpt{epoch}.keras")

    fit(model, callbacks.AverageCheckpoints(tmp_path / "mean.keras", last=3, **options), Keep(), epochs=4)
    mean = keras.models.load_model(tmp_path / "mean.keras")
    for name, new in weights(mean).items():
        each = np.stack([epoch[name].astype(np.float64) for epoch in epochs[1:]])
        assert np.array_equal(new, np.average(each, axis=0, weights=coefficients).astype(np.float32)), name
        assert np.array_equal(weights(model)[name], epochs[-1][name])
    assert int(mean.optimizer.iterations) == 0
    assert not any(np.any(values(variable)) for variable in mean.optimizer.variables[2:])
    wtool.average([tmp_path / f"ckpt{n}.keras" for n in (1, 2, 3)], output=tmp_path / "files.keras", **options)
    files = keras.models.load_model(tmp_path / "files.keras")
    assert all(np.array_equal(a, b) for a, b in zip(mean.get_weights(), files.get_weights(), strict=True))
    assert wtool.inspect(tmp_path / "mean.keras")["lineage"][0]["operation"] == "average"


def test_an_average_in_hdf5_leaves_the_model_compiled(tmp_path: Path) -> None:
    """Keras's own saving takes the optimizer out of the model's compile configuration."""
    model = still()
    fit(model, callbacks.AverageCheckpoints(tmp_path / "mean.h5"))
    model.save(tmp_path / "after.keras")
    again = keras.models.load_model(tmp_path / "after.keras")
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations) > 0


def test_misuse_is_told(tmp_path: Path) -> None:
    for wrong in (
        lambda: callbacks.Stroke(volatility_ratio=2.0),
        lambda: callbacks.Pruning(min_value=1.0, max_value=0.0),
        lambda: callbacks.NeuroPlast(low_bound=1.0, high_bound=0.0),
        lambda: callbacks.AverageCheckpoints(tmp_path / "x.keras", linear=True, decay=0.9),
        lambda: callbacks.AverageCheckpoints(tmp_path / "x.keras", last=0),
        lambda: callbacks.AverageCheckpoints(tmp_path / "x.keras", decay=2.0),
        lambda: fit(still(), callbacks.Stroke(include=["nothing/*"])),
        lambda: fit(still(), callbacks.AverageCheckpoints(tmp_path / "x.txt")),
    ):
        with pytest.raises(wtool.Usage):
            wrong()
    (tmp_path / "there.keras").write_text("")
    with pytest.raises(wtool.WtoolError, match="--force replaces it"):
        fit(still(), callbacks.AverageCheckpoints(tmp_path / "there.keras"))
