"""What is said of models before they are averaged: values against NumPy, verdicts on models of known origin."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import wtool
from tests.models import ZOO, Array, arrays, changed
from wtool.run.diagnosis import Diagnosis
from wtool.run.doctor import examine

MLP = ZOO / "k3.15.1" / "mlp.keras"
KERNELS = {"fc1/kernel": (8, 16), "fc2/kernel": (16, 12), "head/kernel": (12, 3)}
"""Kernels of the model, in the order of its layers."""

Change = Callable[[str, Array], Array]


def variant(folder: Path, name: str, change: Change) -> Path:
    """A model with other kernels; all else stays."""

    def applied(key: str, value: Array) -> Array:
        return change(key, value) if "optimizer" not in key and value.ndim > 1 else value

    return changed(MLP, folder / f"{name}.keras", applied)


def fresh(seed: int) -> Change:
    rng = np.random.default_rng(seed)
    return lambda key, value: rng.normal(size=value.shape)


def moved(seed: int, scale: float) -> Change:
    """From the saved values in another direction for each seed."""
    rng = np.random.default_rng(seed)
    return lambda key, value: value + rng.normal(scale=scale * value.std(), size=value.shape)


def look(paths: list[Path], base: Path | None = None, **options: object) -> Diagnosis:
    with ExitStack() as stack:
        opened = [stack.enter_context(wtool.open_checkpoint(str(path))) for path in paths]
        own = None if base is None else stack.enter_context(wtool.open_checkpoint(str(base)))
        return examine(opened, len(opened) - 1, own, **options)  # type: ignore[arg-type]


def kernels(path: Path) -> list[Array]:
    """The kernels, by their shapes, of which there is one each."""
    found = [value for name, value in arrays(path).items() if name.startswith("layers/")]
    return [next(each for each in found if each.shape == shape).astype(np.float64) for shape in KERNELS.values()]


def test_values_are_those_of_numpy(tmp_path: Path) -> None:
    paths = [variant(tmp_path, f"m{seed}", moved(seed, 0.4)) for seed in range(3)]
    shares = [0.5, 0.3, 0.2]
    found = look(paths, shares=shares)
    assert [each.path for each in found.kernels] == list(KERNELS)
    for each, columns in zip(found.kernels, zip(*map(kernels, paths), strict=True), strict=True):
        flat = [column.ravel() for column in columns]
        norms = [np.linalg.norm(one) for one in flat]
        angles = [flat[a] @ flat[b] / norms[a] / norms[b] for a, b in combinations(range(3), 2)]
        assert each.cosine == pytest.approx(np.mean(angles))
        signs = [np.mean(np.sign(flat[a]) != np.sign(flat[b])) for a, b in combinations(range(3), 2)]
        assert each.disagreement == pytest.approx(np.mean(signs))
        mean = np.average(flat, axis=0, weights=shares)
        assert each.norm == pytest.approx(np.linalg.norm(mean) / np.dot(shares, norms))
        assert each.size == flat[0].size


def test_models_near_to_each_other_are_safe(tmp_path: Path) -> None:
    found = look([variant(tmp_path, f"m{seed}", moved(seed, 0.1)) for seed in range(4)])
    assert found.is_safe
    assert found.verdict[0].startswith("safe: the models share their initialisation")
    assert "wtool recalibrate" in found.verdict[1]  # the model has batch normalisation
    assert {each.finding for each in found.kernels} == {"alike"}


def test_other_initial_values_are_told_with_the_groups(tmp_path: Path) -> None:
    first, second = (variant(tmp_path, f"first{seed}", moved(seed, 0.1)) for seed in range(2))
    other = variant(tmp_path, "other", fresh(7))
    found = look([first, other, second])
    assert not found.is_safe
    assert (
        "not the same initialisation: an average is not meaningful; use `wtool evaluate --ensemble`" in found.verdict[0]
    )
    assert f", or `wtool align` before the average ({first}, {second} | {other})" in found.verdict[0]
    assert "of their kernels' norms" in found.verdict[0]
    assert [each.finding for each in found.kernels[:2]] == ["unlike"] * 2


def test_permuted_units_are_told(tmp_path: Path) -> None:
    """Kernels of a model whose units stand in another order have the same norms, and nothing else in common."""
    rng = np.random.default_rng(0)

    def permuted(key: str, value: Array) -> Array:
        for axis in range(value.ndim):
            value = np.take(value, rng.permutation(value.shape[axis]), axis)
        return value

    plain = variant(tmp_path, "plain", fresh(3))
    found = look([plain, changed(plain, tmp_path / "permuted.keras", lambda key, value: permuted(key, value))])
    assert "not the same initialisation (or units in another order: their kernels have equal norms)" in found.verdict[0]


def test_new_layers_and_distance_are_told(tmp_path: Path) -> None:
    def head(key: str, value: Array) -> Array:
        return fresh(5)(key, value) if value.shape == KERNELS["head/kernel"] else value

    found = look([MLP, variant(tmp_path, "head", head)])
    assert not found.is_safe
    assert "head/kernel: kernels have nothing in common" in found.verdict[0]
    found = look([variant(tmp_path, f"far{seed}", moved(seed, 0.9)) for seed in range(2)])
    assert not found.is_safe
    assert "far apart, though the models seem to share their initialisation" in found.verdict[0]
    kept = [each.norm for each in found.kernels if each.finding == "apart" and each.norm is not None]
    shares = " to ".join(sorted({f"{min(kept):.0%}", f"{max(kept):.0%}"}))
    assert f"the average keeps {shares} of their kernels' norms" in found.verdict[0]


def test_a_share_of_the_norms_is_told_once(tmp_path: Path) -> None:
    alone = look([variant(tmp_path, "far", moved(0, 0.9))], MLP)
    assert "; the average keeps 100% of their kernels' norms" in "".join(alone.verdict)


def test_nan_and_zeros_are_told_by_model_and_path(tmp_path: Path) -> None:
    def with_nan(key: str, value: Array) -> Array:
        value = value.copy()
        value[(0,) * value.ndim] = np.nan
        return value

    broken = variant(tmp_path, "broken", with_nan)
    dead = variant(tmp_path, "dead", lambda key, value: value * (value.shape != KERNELS["fc2/kernel"]))
    found = look([MLP, broken, dead])
    assert not found.is_safe
    assert f"{broken}: fc1/kernel, fc2/kernel, head/kernel with NaN or infinite values" in found.verdict
    assert f"{dead}: fc2/kernel with zeros alone" in found.verdict


def test_differences_from_a_base(tmp_path: Path) -> None:
    steps = [variant(tmp_path, f"m{seed}", moved(seed, 0.1)) for seed in range(2)]
    found = look(steps, MLP)
    origin, ends = kernels(MLP), [kernels(path) for path in steps]
    for each, start, left, right in zip(found.kernels, origin, *ends, strict=True):
        a, b = (left - start).ravel(), (right - start).ravel()
        assert each.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-6)
        assert each.disagreement == pytest.approx(np.mean(np.sign(a) != np.sign(b)))
        assert each.finding == "alike"  # of the models themselves
    assert found.is_safe
    assert "differences from the base have little in common" in " ".join(found.verdict)
    strange = look(steps, variant(tmp_path, "strange", fresh(1)))
    assert f"({steps[0]}, {steps[1]} | {tmp_path / 'strange.keras'})" in strange.verdict[0]


def test_one_model_and_patterns(tmp_path: Path) -> None:
    assert look([MLP]).verdict == ("a single model: nothing to compare",)
    found = look([MLP, variant(tmp_path, "other", fresh(1))], include=["fc2/*"])
    assert [each.path for each in found.kernels] == ["fc2/kernel"]
    assert "batch normalisation" not in " ".join(found.verdict)
    with pytest.raises(wtool.Usage, match="no tensor"):
        look([MLP], include=["nothing*"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks trained on the digits: two from one start, one from another, and one whose units stand otherwise."""
    keras = pytest.importorskip("keras")
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    folder = tmp_path_factory.mktemp("digits")
    x, y = (digits.data / 16).astype(np.float32), digits.target
    np.savez(folder / "test.npz", x=x[1300:], y=y[1300:])

    def start(seed: int) -> object:
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
        model = keras.Sequential([keras.Input((64,)), *layers])
        model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    model, found = start(1), {}

    def train(name: str, seed: int, epochs: int = 4) -> None:
        keras.utils.set_random_seed(seed)
        model.fit(x[:1300], y[:1300], epochs=epochs, batch_size=65, verbose=0)
        found[name] = folder / f"{name}.keras"
        model.save(found[name])

    train("base", 2, 8)
    weights = model.get_weights()
    train("first", 3)
    model.set_weights(weights)
    train("second", 4)
    permuted = list(weights)
    order = np.random.default_rng(0).permutation(64)
    permuted[0], permuted[1], permuted[2] = weights[0][:, order], weights[1][order], weights[2][order]
    model.set_weights(permuted)
    model.save(folder / "permuted.keras")
    found["permuted"] = folder / "permuted.keras"
    model.set_weights(start(9).get_weights())  # type: ignore[attr-defined]
    train("other", 5, 10)
    return found | {"data": folder / "test.npz"}


def accuracy(path: Path, data: Path) -> float:
    import keras

    with np.load(data) as arrays_of:
        predicted = keras.models.load_model(path).predict(arrays_of["x"], verbose=0).argmax(-1)
        return float((predicted == arrays_of["y"]).mean())


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("names", "says", "works"),
    [
        (["first", "second"], "safe: the models share their initialisation", True),
        (["first", "other"], "not the same initialisation: an average is not meaningful", False),
        (["base", "permuted"], "units in another order", None),
    ],
)
def test_verdicts_on_trained_networks(
    names: list[str], says: str, works: bool | None, trained: dict[str, Path], tmp_path: Path
) -> None:
    """The averages are as good as the verdicts say, by Keras: as the models, or far worse."""
    paths = [trained[name] for name in names]
    done = wtool.average(paths, doctor=True, output=tmp_path / "average.keras")
    assert done.diagnosis is not None
    assert says in done.diagnosis.verdict[0]
    assert done.diagnosis.is_safe is (works is True)
    ends = min(accuracy(path, trained["data"]) for path in paths)
    mean = accuracy(tmp_path / "average.keras", trained["data"])
    assert ends > 0.85
    if works is not None:
        assert mean > ends - 0.02 if works else mean < ends - 0.05


@pytest.mark.tensorflow
def test_fine_tuned_networks_come_from_their_base(trained: dict[str, Path]) -> None:
    found = look([trained["first"], trained["second"]], trained["base"])
    assert found.is_safe
    assert "differences from the base have" in found.verdict[1]
    assert "not the same initialisation" in look([trained["first"], trained["second"]], trained["other"]).verdict[0]
