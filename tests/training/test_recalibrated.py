"""Statistics of live models against NumPy's mean and variance of each layer's inputs, and against formulae."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from wtool.dtypes import Array
from wtool.errors import WtoolError
from wtool.training.recalibrate_options import Recalibration

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")

SAMPLES = 70
"""Two batches of 32, and a smaller one."""


def numbers(*shape: int, seed: int = 0) -> Array:
    """Float32 inputs whose mean is not 0."""
    return np.random.default_rng(seed).normal(2, 3, (SAMPLES, *shape)).astype(np.float32)


def by_path(model: Any) -> dict[str, Any]:
    from wtool.training.variables import variables_by_path

    return {path: variable for path, (_, variable) in variables_by_path(model).items()}


def recalibrate(model: Any, x: Any, **how: Any) -> Any:
    from wtool.training.data.samples import of_arrays
    from wtool.training.recalibration.recalibrated import recalibrated

    return recalibrated(model, by_path(model), of_arrays((x,)), Recalibration(**how))


def state(model: Any) -> dict[str, Array]:
    """Path -> values of every variable, seeds included."""
    return {variable.path: np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables}


def check_chain(layers: list[Any], x: Any, found: Mapping[str, Array], tolerance: float = 1e-5) -> None:
    """Hold the statistics of a chain of layers against NumPy's of what Keras computes up to each layer."""
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            inputs = keras.ops.convert_to_numpy(x).astype(np.float64)
            axes = tuple(axis for axis in range(inputs.ndim) if axis != layer.axis % inputs.ndim)
            np.testing.assert_allclose(found[f"{layer.name}/moving_mean"], inputs.mean(axes), rtol=tolerance, atol=1e-6)
            np.testing.assert_allclose(found[f"{layer.name}/moving_variance"], inputs.var(axes), rtol=tolerance)
        x = layer(x, training=False) if "training" in layer._call_signature.parameters else layer(x)


def convolutions(depth: int, axis: int = -1) -> list[Any]:
    keras.utils.set_random_seed(depth)
    chain: list[Any] = []
    for _ in range(depth):
        chain += [keras.layers.Conv2D(4, 3, padding="same"), keras.layers.BatchNormalization(axis=axis)]
        chain += [keras.layers.ReLU(), keras.layers.Dropout(0.5)]
    return [*chain, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 1])
def test_exact_statistics_of_levels(depth: int, axis: int) -> None:
    chain = convolutions(depth, axis)
    x = numbers(6, 6, 2)
    model = keras.Sequential([keras.Input((6, 6, 2)), *chain])
    before = state(model)
    found = recalibrate(model, x, exact=True)
    assert (found.passes, found.samples, found.notes) == (depth, SAMPLES, ())
    assert len(found.values) == 2 * depth == 2 * len(found.layers)
    check_chain(chain, x, found.values)
    for path, value in state(model).items():
        assert ("moving" in path) != np.array_equal(value, before[path]), path


@pytest.mark.parametrize("size", [1, 7, 32, 1000])
def test_one_pass_is_exact_for_the_first_level_whatever_the_batches(size: int) -> None:
    chain = convolutions(2)
    x = numbers(6, 6, 2)
    found = recalibrate(keras.Sequential([keras.Input((6, 6, 2)), *chain]), x, batch_size=size)
    assert found.passes == 1
    check_chain(chain[:2], x, found.values)
    if size >= SAMPLES:
        check_chain(chain, x, found.values)
        return
    exact = recalibrate(keras.Sequential([keras.Input((6, 6, 2)), *chain]), x, exact=True).values
    second = chain[5].name
    variance, mean = exact[f"{second}/moving_variance"], exact[f"{second}/moving_mean"]
    assert (np.abs(found.values[f"{second}/moving_mean"] - mean) < 0.1 * np.sqrt(variance)).all()
    assert (np.abs(found.values[f"{second}/moving_variance"] / variance - 1) < 0.2).all()


def test_how_far_off_statistics_were() -> None:
    layer = keras.layers.BatchNormalization(epsilon=1e-3)
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.moving_mean.assign([1.0, 2.0])
    layer.moving_variance.assign([4.0, 9.0])
    x = numbers(2)
    found = recalibrate(model, x)
    mean, variance = x.astype(np.float64).mean(0), x.astype(np.float64).var(0)
    (drift,) = found.layers.values()
    assert drift.mean == pytest.approx(np.sqrt(np.mean((np.array([1, 2]) - mean) ** 2 / (variance + 1e-3))))
    assert drift.variance == pytest.approx(np.exp(np.mean(np.log((variance + 1e-3) / (np.array([4, 9]) + 1e-3)))))


def test_the_mean_is_large_beside_the_deviations() -> None:
    x = (1e4 + np.random.default_rng(0).normal(0, 0.5, (SAMPLES, 3))).astype(np.float32)
    found = recalibrate(keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="bn")]), x)
    np.testing.assert_allclose(found.values["bn/moving_variance"], x.astype(np.float64).var(0), rtol=1e-6)


def test_branches_and_nested_models() -> None:
    """Two layers of one level, one of them in a nested model, before a third."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.BatchNormalization(name="in")])
    start = keras.Input((4,))
    left, right = keras.layers.BatchNormalization(name="left")(start), inner(start)
    both = keras.layers.Dense(5)(keras.layers.Add()([keras.layers.ReLU()(left), right]))
    model = keras.Model(start, keras.layers.BatchNormalization(name="last")(both))
    x = numbers(4)
    found = recalibrate(model, x, exact=True)
    assert list(found.layers) == ["left", f"{inner.name}/in", "last"]
    check_chain([model.get_layer("left")], x, found.values)
    before = keras.ops.convert_to_numpy(inner.layers[0](x)).astype(np.float64)
    np.testing.assert_allclose(found.values[f"{inner.name}/in/moving_variance"], before.var(0), rtol=1e-5)
    last = keras.ops.convert_to_numpy(keras.Model(start, both)(x)).astype(np.float64)
    np.testing.assert_allclose(found.values["last/moving_mean"], last.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.values["last/moving_variance"], last.var(0), rtol=1e-5)


def test_a_shared_layer_gets_the_inputs_of_all_calls() -> None:
    shared = keras.layers.BatchNormalization(name="bn")
    first, second = keras.Input((3,)), keras.Input((5, 3))
    model = keras.Model([first, second], [shared(first), shared(keras.layers.Flatten()(second)[:, :3])])
    xs = (numbers(3), 5 + numbers(5, 3, seed=1))
    found = recalibrate(model, xs, exact=True)
    pooled = np.concatenate([xs[0], xs[1][:, 0]]).astype(np.float64)
    np.testing.assert_allclose(found.values["bn/moving_mean"], pooled.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.values["bn/moving_variance"], pooled.var(0), rtol=1e-6)


def test_a_layer_behind_itself_ends_at_its_own_fixed_point() -> None:
    shared = keras.layers.BatchNormalization(name="bn")
    start = keras.Input((3,))
    model = keras.Model(start, shared(keras.layers.ReLU()(shared(start))))
    x = numbers(3)
    found = recalibrate(model, x, exact=True)
    mean, variance = found.values["bn/moving_mean"], found.values["bn/moving_variance"]
    inner = np.maximum((x - mean) / np.sqrt(variance + 1e-3), 0)
    pooled = np.concatenate([x, inner]).astype(np.float64)
    np.testing.assert_allclose(mean, pooled.mean(0), rtol=1e-4)
    np.testing.assert_allclose(variance, pooled.var(0), rtol=1e-4)


def test_masked_values_do_not_count() -> None:
    x = numbers(6, 3)
    x[:, 4:] = -1.0
    x[5, 2:] = -1.0
    model = keras.Sequential(
        [keras.Input((6, 3)), keras.layers.Masking(-1.0), keras.layers.BatchNormalization(name="bn")]
    )
    found = recalibrate(model, x)
    shown = x[(x != -1).any(-1)].astype(np.float64)
    np.testing.assert_allclose(found.values["bn/moving_mean"], shown.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.values["bn/moving_variance"], shown.var(0), rtol=1e-6)


def test_wrapped_layers() -> None:
    wrapped = keras.layers.TimeDistributed(keras.layers.BatchNormalization(), name="each")
    x = numbers(4, 3)
    found = recalibrate(_sequential((4, 3), wrapped), x)
    rows = x.reshape(-1, 3).astype(np.float64)
    (path,) = found.layers
    np.testing.assert_allclose(found.values[f"{path}/moving_mean"], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.values[f"{path}/moving_variance"], rows.var(0), rtol=1e-6)


def _sequential(shape: tuple[int, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_dtypes(policy: str) -> None:
    chain = [keras.layers.Dense(4, dtype=policy), keras.layers.BatchNormalization(name="bn", dtype=policy)]
    model = _sequential((3,), *chain)
    x = numbers(3)
    found = recalibrate(model, x)
    inputs = keras.ops.convert_to_numpy(chain[0](x)).astype(np.float64)
    np.testing.assert_allclose(found.values["bn/moving_mean"], inputs.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.values["bn/moving_variance"], inputs.var(0), rtol=1e-5)
    assert found.values["bn/moving_mean"].dtype == ("float64" if policy == "float64" else "float32")


class Behind(keras.layers.BatchNormalization):
    """A subclass that does more than Keras's own, and hands `training` on by its position."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, training, mask) + 1.0


class Own(keras.Model):
    """A subclassed model that calls its layer in a function of TensorFlow."""

    def __init__(self) -> None:
        import tensorflow

        super().__init__()
        self.first, self.dense, self.second = Behind(name="first"), keras.layers.Dense(3), Behind(name="second")
        self.compiled = tensorflow.function(self.first)

    def call(self, inputs: Any, training: Any = None) -> Any:
        return self.second(self.dense(self.compiled(inputs)), training=training)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="needs functions of TensorFlow")
def test_subclasses_and_compiled_functions() -> None:
    model = Own()
    x = numbers(3)
    model(x[:2])
    found = recalibrate(model, x, exact=True, frozen=True)
    assert list(found.layers) == ["first", "second"]
    inputs = keras.ops.convert_to_numpy(model.dense(model.first(x))).astype(np.float64)
    np.testing.assert_allclose(found.values["second/moving_variance"], inputs.var(0), rtol=1e-5)


def _frozen() -> Any:
    model = _sequential((3,), keras.layers.BatchNormalization(name="ice"), keras.layers.BatchNormalization(name="bn"))
    model.get_layer("ice").trainable = False
    return model


def _in_inference() -> Any:
    """The usual way to tune a trained model: its layers may train, and normalise as in prediction."""
    inner = _sequential((3,), keras.layers.BatchNormalization())
    start = keras.Input((3,))
    return keras.Model(start, keras.layers.BatchNormalization(name="bn")(inner(start, training=False)))


@pytest.mark.parametrize("make", [_frozen, _in_inference])
def test_frozen_layers_are_kept_unless_asked_for(make: Callable[[], Any]) -> None:
    model = make()
    before = state(model)
    found = recalibrate(model, numbers(3))
    assert list(found.layers) == ["bn"]
    assert found.notes[0].endswith(" are kept: frozen, or run in inference mode in training")
    kept = [path for path, value in state(model).items() if np.array_equal(value, before[path])]
    assert sum("moving" in path for path in kept) == 2
    assert len(recalibrate(model, numbers(3), frozen=True).layers) == 2


def test_renormalisation_keeps_all_its_averages() -> None:
    if "renorm" not in keras.layers.BatchNormalization().get_config():
        pytest.skip("this Keras has no renormalisation")
    x = numbers(3)
    found = recalibrate(_sequential((3,), keras.layers.BatchNormalization(renorm=True, name="bn")), x)
    mean, variance = x.astype(np.float64).mean(0), x.astype(np.float64).var(0)
    expected = {"moving_mean": mean, "moving_variance": variance, "renorm_mean": mean}
    expected |= dict.fromkeys(("moving_stddev", "renorm_stddev"), np.sqrt(variance + 1e-3))
    assert sorted(found.values) == sorted(f"bn/{name}" for name in expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found.values[f"bn/{name}"], value, rtol=1e-6)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="only TensorFlow synchronizes")
def test_synchronized_layers_and_the_model_afterwards() -> None:
    layer = keras.layers.BatchNormalization(name="bn", synchronized=True)
    model = _sequential((3,), layer)
    x = numbers(3)
    found = recalibrate(model, x)
    np.testing.assert_allclose(found.values["bn/moving_variance"], x.astype(np.float64).var(0), rtol=1e-6)
    assert "call" not in vars(layer)
    normal = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-3)


def test_some_batches() -> None:
    x = numbers(3)
    found = recalibrate(_sequential((3,), keras.layers.BatchNormalization(name="bn")), x, batches=2, batch_size=16)
    assert found.samples == 32
    ordered = np.sort(x[:32, 0])
    mean = found.values["bn/moving_mean"][0]
    assert mean != pytest.approx(ordered.mean())  # not the first samples of the file, which may be of one class
    assert abs(mean - x[:, 0].mean()) < 3


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.full((4, 3), np.nan, np.float32), "inputs of bn are NaN or infinite with this data"),
        (np.zeros((4, 2), np.float32), r"Keras cannot run it with this data \(.*\)"),
    ],
)
def test_data_that_does_not_do(x: Array, reason: str) -> None:
    model = _sequential((3,), keras.layers.BatchNormalization(name="bn"))
    with pytest.raises(WtoolError, match=f"^{reason}$"):
        recalibrate(model, x)


def test_statistics_that_a_narrow_variable_cannot_hold() -> None:
    model = _sequential((3,), keras.layers.BatchNormalization(name="bn", dtype="float16"))
    with pytest.raises(WtoolError, match="bn/moving_variance of this data is too large for float16"):
        recalibrate(model, 300 * numbers(3))


class Idle(keras.Model):
    """A model with a layer that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = (keras.layers.BatchNormalization(name=name) for name in ("used", "idle"))
        self.idle.build((None, 3))

    def call(self, inputs: Any) -> Any:
        return self.used(inputs)


def test_layers_without_inputs_and_models_without_layers() -> None:
    model = Idle()
    model(numbers(3))
    found = recalibrate(model, numbers(3))
    assert list(found.layers) == ["used"]
    assert found.notes == ("the statistics of idle are kept: no value of the data comes there",)
    assert recalibrate(_sequential((3,), keras.layers.Dense(1)), numbers(3), exact=True).passes == 0


def test_data_without_any_variance_is_told() -> None:
    model = _sequential((4,), keras.layers.BatchNormalization(name="bn"))
    (note,) = recalibrate(model, numbers(4)[:1]).notes
    assert note.startswith("bn: all values of a channel are the same with this data, so that variances are 0")
    assert recalibrate(model, numbers(4)[:2]).notes == ()
