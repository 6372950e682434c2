"""Pruned models in Keras: patterns, blocks and budgets of each kind of layer, in each format, with their optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow


def model(keras: Any) -> Any:
    """A compiled model of all kinds of kernels, whose optimizer has some state."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="conv")(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.SeparableConv2D(12, 3, padding="same", name="separable")(x)
    x = layers.Conv2DTranspose(8, 2, name="transposed")(x)
    x = layers.Reshape((81, 8), name="steps")(x)
    x = layers.Conv1D(8, 9, strides=9, name="conv1d")(x)
    if keras.__name__ == "keras":
        x = layers.EinsumDense("abc,dec->abde", (None, 2, 4), name="einsum")(x)
        x = layers.Reshape((-1, 8), name="flat")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both")(x)
    x = layers.LSTM(8, name="lstm")(x)
    made = keras.Model(image, layers.Dense(10, name="out")(x))
    if keras.__name__ == "keras":
        made.compile("adam", keras.losses.MeanSquaredError())
        made.optimizer.build(made.trainable_variables)
        for slot in made.optimizer.variables[2:]:
            slot.assign(np.random.default_rng(0).random(tuple(slot.shape)) + 1)
    return made


def rows_of(path: str, kernel: Array) -> Array | None:
    """A kernel as a matrix whose rows are output units and places of a window, and whose columns are inputs."""
    if "depthwise" in path:
        return None
    if "attention_output" in path:
        return kernel.reshape(-1, kernel.shape[-1]).T
    if "attention" in path:
        return kernel.reshape(kernel.shape[0], -1).T
    if "transposed" in path or "einsum" in path:
        return kernel.reshape(-1, kernel.shape[-1])
    return np.moveaxis(kernel, -2, -1).reshape(-1, kernel.shape[-2])


def kernels_of(loaded: Any) -> Iterator[tuple[str, Array]]:
    for variable in loaded.trainable_variables:
        path = getattr(variable, "path", variable.name).removesuffix(":0")
        if path.endswith("kernel"):
            yield path, np.array(variable)


def keeps(rows: Array, kept: int, length: int) -> bool:
    """Whether of each `length` neighbours along the rows exactly `kept` are not zero, and all of what is left over."""
    whole = rows.shape[1] // length * length
    groups = rows[:, :whole].reshape(-1, length)
    return bool(((groups != 0).sum(1) == kept).all() and (rows[:, whole:] != 0).all())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras = pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("pruned")
    made = model(keras)
    for name in ("model.keras", "model.h5"):
        made.save(folder / name)
    made.save_weights(folder / "model.weights.h5")
    wtool.convert(folder / "model.keras", output=folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5", "model.safetensors"])
def test_patterns_in_every_format(saved: Path, name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    without = ["einsum/kernel"] if name == "model.weights.h5" else []
    (done,) = wtool.prune(saved / name, pattern="2:4", output=tmp_path / name, exclude=without)
    assert any("3 of 3 in" in note for note in done.notes)
    assert any(note.startswith("depthwise kernels have one input for each output") for note in done.notes)
    path = tmp_path / name
    if name.endswith(".safetensors"):
        wtool.convert(path, output=tmp_path / "again.keras")
        path = tmp_path / "again.keras"
    if name == "model.weights.h5":
        loaded = keras.models.load_model(saved / "model.keras", compile=False)
        loaded.load_weights(path)
    else:
        loaded = keras.models.load_model(path, compile=name == "model.keras")
    seen = list(kernels_of(loaded))
    assert len(seen) == 18
    for own, kernel in seen:
        rows = rows_of(own, kernel)
        assert np.all(kernel != 0) if rows is None or own in without else keeps(rows, 2, 4), own
    if name == "model.keras":
        moments = {each.path: np.array(each) for each in loaded.optimizer.variables}
        own, kernel = next((own, kernel) for own, kernel in seen if own.startswith("einsum"))
        momentum = next(
            value for each, value in moments.items() if "einsum" in each and each.endswith("kernel_momentum")
        )
        assert not momentum[kernel == 0].any()
        assert momentum[kernel != 0].all()


def test_nothing_tells_the_inputs_of_an_equation_without_the_architecture(saved: Path) -> None:
    with pytest.raises(wtool.Usage, match="nothing tells any of einsum/kernel; --exclude what has none"):
        wtool.prune(saved / "model.weights.h5", pattern="2:4", dry_run=True)


def test_patterns_of_keras_2(tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras")
    model(keras).save(tmp_path / "model.h5")
    wtool.prune(tmp_path / "model.h5", pattern="1:4", output=tmp_path / "pruned.h5")
    seen = list(kernels_of(keras.models.load_model(tmp_path / "pruned.h5")))
    assert len(seen) == 17
    for own, kernel in seen:
        rows = rows_of(own, kernel)
        assert np.all(kernel != 0) if rows is None else keeps(rows, 1, 4), own


def test_blocks_of_inputs_and_outputs(saved: Path, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    wtool.prune(saved / "model.keras", sparsity=0.5, block="4x2", output=tmp_path / "pruned.keras")
    for own, kernel in kernels_of(keras.models.load_model(tmp_path / "pruned.keras", compile=False)):
        rows = rows_of(own, kernel)
        if rows is None or rows.shape[1] % 4 or "transposed" in own or "einsum" in own:
            continue
        units = kernel.shape[-1] if "attention" not in own or "attention_output" in own else 8
        window = rows.reshape(-1, units // 2, 2, rows.shape[1] // 4, 4)
        nonzero = (window != 0).sum(axis=(2, 4))
        assert set(nonzero.ravel().tolist()) == {0, 8}
        assert (nonzero == 0).sum() == round(nonzero.size / 2)


@pytest.mark.parametrize("budget", ["uniform+", "erk", "lamp"])
def test_budgets_leave_depthwise_kernels_dense(saved: Path, budget: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    (done,) = wtool.prune(saved / "model.keras", sparsity=0.6, budget=budget, output=tmp_path / "pruned.keras")
    seen = dict(kernels_of(keras.models.load_model(tmp_path / "pruned.keras", compile=False)))
    counted = [kernel for own, kernel in seen.items() if "depthwise" not in own]
    assert sum(int((kernel == 0).sum()) for kernel in counted) == round(0.6 * sum(kernel.size for kernel in counted))
    assert all(np.all(kernel != 0) for own, kernel in seen.items() if "depthwise" in own)
    assert "depthwise/kernel, separable/depthwise_kernel; --include '*kernel' takes them in" in done.notes[0]
    (named,) = wtool.prune(
        saved / "model.keras", sparsity=0.6, budget=budget, include=["*kernel"], output=tmp_path / "named.keras"
    )
    assert named.notes == ()
    assert named.zeros == round(0.6 * sum(kernel.size for kernel in seen.values()))


def test_a_loop_over_a_schedule_reaches_each_sparsity(saved: Path, tmp_path: Path) -> None:
    model = saved / "model.keras"
    for step in (0, 1, 2, 3):
        (done,) = wtool.prune(
            model,
            sparsity=0.9,
            schedule="polynomial",
            step=f"{step}/3",
            budget="global",
            output=tmp_path / f"{step}.keras",
        )
        assert done.zeros == round(0.9 * (1 - (1 - step / 3) ** 3) * done.selected)
        model = tmp_path / f"{step}.keras"
    (again,) = wtool.prune(saved / "model.keras", sparsity=0.9, scope="global", output=tmp_path / "once.keras")
    (same,) = wtool.prune(saved / "model.keras", sparsity=0.9, budget="global", output=tmp_path / "once.keras")
    assert (again.skipped, same.skipped) == (False, True)


def test_what_has_no_inputs_is_refused_where_it_was_named(saved: Path) -> None:
    for words in ({"include": ["depthwise/kernel"]}, {"biases": True}):
        with pytest.raises(wtool.Usage, match="need axes of inputs, and nothing tells any of"):
            wtool.prune(saved / "model.keras", pattern="2:4", dry_run=True, **words)  # type: ignore[arg-type]
