"""Initializers without Keras against their formulae, and against Keras's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import FIXTURES, ZOO, Array
from wtool.checkpoint.initializers import initializers, output_kernels
from wtool.transforms.initializers import Initializer, from_config
from wtool.transforms.streams import stream

SHAPES = [(400, 300), (5, 5, 40, 60), (40, 3, 60)]
ENTRIES: list[Any] = [
    *("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"),
    *("random_normal", "random_uniform", "truncated_normal", "variance_scaling", "orthogonal", "zeros", "ones"),
    {"class_name": "RandomNormal", "config": {"mean": 0.5, "stddev": 2.0, "seed": 1}},
    {"class_name": "RandomUniform", "config": {"minval": -0.1, "maxval": 0.4, "seed": None}},
    {"class_name": "TruncatedNormal", "config": {"mean": -1.0, "stddev": 0.3, "seed": None}},
    {"class_name": "Orthogonal", "config": {"gain": 1.7, "seed": None}},
    {"class_name": "Constant", "config": {"value": 0.3}},
    *(
        {"class_name": "VarianceScaling", "config": {"scale": 3.0, "mode": mode, "distribution": distribution}}
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "untruncated_normal", "uniform")
    ),
]


def made(initializer: Initializer, shape: tuple[int, ...], seed: int = 0) -> Array:
    generator = stream(seed, "randomize", "w").chunk(0)
    if initializer.draw is not None:
        return initializer.draw(generator, math.prod(shape))
    assert initializer.whole is not None
    return initializer.whole(generator)


def known(entry: Any, shape: tuple[int, ...]) -> Initializer:
    found = from_config(entry, shape)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("entry", "shape", "deviation", "limit"),
    [
        ("glorot_uniform", (300, 500), math.sqrt(2 / 800), math.sqrt(6 / 800)),
        ("GlorotUniform", (3, 3, 20, 50), math.sqrt(2 / (9 * 70)), math.sqrt(6 / (9 * 70))),
        ("he_normal", (300, 500), math.sqrt(2 / 300), 2 * math.sqrt(2 / 300) / 0.87962566103423978),
        ("lecun_uniform", (3, 3, 20, 50), math.sqrt(1 / 180), math.sqrt(3 / 180)),
        ("truncated_normal", (300, 500), 0.05 * 0.87962566103423978, 0.1),
        ("random_uniform", (300, 500), 0.1 / math.sqrt(12), 0.05),
        ("uniform", (300, 500), 0.1 / math.sqrt(12), 0.05),
    ],
)
def test_formulae(entry: Any, shape: tuple[int, ...], deviation: float, limit: float) -> None:
    initializer = known(entry, shape)
    values = made(initializer, shape)
    assert initializer.deviation == pytest.approx(deviation)
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert values.mean() == pytest.approx(0, abs=5 * deviation / math.sqrt(values.size))
    assert 0.98 * limit < abs(values).max() <= limit


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (3, 3, 4, 50)])
def test_orthogonal_matrices(shape: tuple[int, ...]) -> None:
    matrix = made(known({"class_name": "Orthogonal", "config": {"gain": 2.0}}, shape), shape).reshape(-1, shape[-1])
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    assert product == pytest.approx(4 * np.eye(len(product)), abs=1e-12)
    assert known("orthogonal", shape).deviation == pytest.approx(1 / math.sqrt(max(matrix.shape)))


def test_identity_and_constants() -> None:
    assert made(known("identity", (3, 4)), (3, 4)).reshape(3, 4).tolist() == np.eye(3, 4).tolist()
    assert known("identity", (3, 4)).deviation == pytest.approx(np.eye(3, 4).std())
    assert made(known({"class_name": "Constant", "config": {"value": 0.3}}, (4,)), (4,)).tolist() == [0.3] * 4


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "my_initializer",
        {"class_name": "GlorotUniform", "config": None},
        {"class_name": "GlorotUniform", "config": {}, "registered_name": "theirs>GlorotUniform"},
        {"class_name": "Identity", "config": {}},
    ],
)
def test_what_is_not_kerass_own_is_nobodys(entry: Any) -> None:
    assert from_config(entry, (3, 4, 5)) is None


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("RandomNormal", {"stddev": "1"}),
        ("RandomNormal", {"stddev": -1}),
        ("RandomNormal", {"mean": float("nan")}),
        ("Constant", {"value": [1, 2]}),
        ("RandomUniform", {"minval": 1, "maxval": -1}),
        ("RandomUniform", {"minval": -1.7e308, "maxval": 1.7e308}),
        ("Constant", {"value": True}),
        ("VarianceScaling", {"scale": -2}),
        ("GlorotUniform", {"input_axes": [7], "output_axes": [0]}),
        ("GlorotUniform", {"input_axes": ["a"], "output_axes": [0]}),
    ],
)
def test_settings_that_are_no_numbers_are_refused(name: str, config: dict[str, Any]) -> None:
    with pytest.raises(wtool.Refused, match=name):
        from_config({"class_name": name, "config": config}, (3, 4))


@pytest.mark.tensorflow
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_equal_in_distribution_to_keras(entry: Any) -> None:
    """Deciles, mean and deviation of what Keras draws, within what chance allows."""
    keras = pytest.importorskip("keras")
    for number, shape in enumerate(SHAPES):
        theirs = keras.initializers.get(entry)
        if getattr(theirs, "seed", 0) is not None:
            theirs = type(theirs)(
                **{**theirs.get_config(), **({"seed": 11 + number} if hasattr(theirs, "seed") else {})}
            )
        expected = np.sort(np.asarray(theirs(shape, "float32")).ravel().astype(np.float64))
        found = np.sort(made(known(entry, shape), shape, seed=number))
        spread = max(expected.std(), 1e-12)
        tolerance = 15 * spread / math.sqrt(expected.size) + 1e-6  # Keras computes in float32
        if known(entry, shape).whole is not None:  # fewer independent numbers than entries
            tolerance *= 3
        deciles = np.linspace(0, expected.size - 1, 11).astype(int)[1:-1]
        assert found[deciles] == pytest.approx(expected[deciles], abs=tolerance)
        assert found.mean() == pytest.approx(expected.mean(), abs=tolerance)
        assert found.std() == pytest.approx(expected.std(), abs=tolerance)
        assert known(entry, shape).deviation == pytest.approx(expected.std(), rel=0.03, abs=1e-9)


MODELS = [path for path in sorted(ZOO.rglob("*")) if path.suffix in (".keras", ".h5")]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: str(path.relative_to(ZOO)))
def test_files_tell_their_initializers(path: Path) -> None:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        told = initializers(checkpoint)
        kernels = [tensor for tensor in checkpoint.weights if tensor.role.endswith("kernel")]
        if checkpoint.config is None:
            assert not told
            return
        listed = {layer["config"]["name"] for layer in layers(checkpoint.config) if "name" in layer["config"]}
        for tensor in kernels:
            own = tensor.layer_class in ("Dense", "Conv2D", "LSTMCell", "GRUCell", "SeparableConv2D", "EinsumDense")
            if own and tensor.layer.split("/")[-1] in listed:
                assert from_config(told[tensor.path], tensor.shape) is not None, tensor.path
        if kernels:
            assert output_kernels(checkpoint, kernels)[-1] in kernels


def layers(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object with settings inside a configuration."""
    if isinstance(config, dict):
        if isinstance(config.get("config"), dict) and "class_name" in config:
            yield config
        for value in config.values():
            yield from layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from layers(value)


def test_output_kernels_follow_the_configuration() -> None:
    with wtool.open_checkpoint(str(FIXTURES / "blobs" / "ckpt-91.keras")) as checkpoint:
        kernels = [tensor for tensor in checkpoint.weights if tensor.role == "kernel"]
        assert [tensor.path for tensor in output_kernels(checkpoint, kernels)] == ["output/kernel"]
        outputs: Any
        for outputs in (["hidden", 0, 0], [["hidden", 0, 0]], {"a": ["hidden", 0, 0]}):
            named = replace(checkpoint, config={"config": {"output_layers": outputs}})
            assert [tensor.path for tensor in output_kernels(named, kernels)] == ["hidden/kernel"]
        both = replace(checkpoint, config={"config": {"output_layers": [["output", 0, 0], ["hidden", 0, 0]]}})
        assert {tensor.path for tensor in output_kernels(both, kernels)} == {"hidden/kernel", "output/kernel"}
        for outputs in (None, 7, [["softmax", 0, 0]], "hidden"):
            silent = replace(checkpoint, config={"config": {"output_layers": outputs}})
            assert [tensor.path for tensor in output_kernels(silent, kernels)] == ["output/kernel"]
