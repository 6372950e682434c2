"""Keras 3 loads what a conversion wrote, in each of its formats: equal weights, and equal predictions."""

from __future__ import annotations

import itertools
import json
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import wtool
from tests.checkpoint.test_compose_in_keras import filled, model, recipes
from tests.models import ZOO, arrays

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]
keras = pytest.importorskip("keras")
L = keras.layers
ENDINGS = {"keras": ".keras", "unzipped": "", "h5": ".h5", "weights.h5": ".weights.h5", "weights.json": ".weights.json"}
WHOLE = ("keras", "unzipped", "h5")


def nested() -> Any:
    """A model with models inside it, frozen and not, one of which is called twice."""
    start = keras.Input((6,))
    inner = keras.Sequential([keras.Input((6,)), L.Dense(6), L.BatchNormalization(), L.Dense(6)], name="inner")
    second = keras.Sequential([keras.Input((6,)), L.Dense(6), L.BatchNormalization()], name="second")
    second.layers[0].trainable = False
    return keras.Model(start, L.Dense(2)(second(inner(inner(start)))), name="outer")


def recurrent() -> Any:
    """A model of recurrent layers, in wrappers and with cells."""
    start = keras.Input((5, 4))
    inner = L.Bidirectional(L.LSTM(3, return_sequences=True))(start)
    cells = [L.GRUCell(4, name="one"), L.GRUCell(4, name="two")]
    return keras.Model(start, L.GRU(3)(L.RNN(cells, return_sequences=True)(inner)))


def attending() -> Any:
    """A model with attention, a list of axes, and operations."""
    start = keras.Input((5, 4))
    inner = L.MultiHeadAttention(2, 3)(start, start)
    inner = L.LayerNormalization(axis=[1, 2])(inner) * 2 + start[:, :, ::-1]
    return keras.Model(start, L.Dense(2)(keras.ops.relu(L.Attention(score_mode="dot")([inner, start]))))


def half() -> Any:
    """A model whose variables are of bfloat16."""
    gru = L.GRU(3, dtype="bfloat16", recurrent_initializer="glorot_uniform")  # TensorFlow has no QR for bfloat16
    parts = [L.Conv1D(3, 2, dtype="bfloat16"), gru, L.Dense(2, dtype="bfloat16")]
    return keras.Sequential([keras.Input((5, 4), dtype="bfloat16"), *parts])


def quantised() -> Any:
    """A model whose kernels are of int8."""
    made = filled(keras.Sequential([keras.Input((6,)), L.Dense(6), L.EinsumDense("ab,bc->ac", 4, bias_axes="c")]), 3)
    made.quantize("int8")
    return made


def adapted() -> Any:
    """A model with LoRA factors, which are not zero."""
    made = keras.Sequential([keras.Input((6,)), L.Dense(6), L.Dense(4)])
    made.layers[0].enable_lora(2, lora_alpha=3)
    return filled(made, 2)


def looked_up() -> Any:
    """A model that looks words up which it has been told, not learned."""
    words = L.StringLookup(vocabulary=["a", "b", "c"])
    return keras.Sequential([keras.Input((), dtype="string"), words, L.Embedding(4, 3), L.Dense(2)])


def normalised() -> Any:
    """A model with a wrapper that stores a kernel a second time, and with learned statistics."""
    parts = [L.Normalization(mean=1.0, variance=2.0), L.SpectralNormalization(L.Dense(6)), L.Normalization()]
    return keras.Sequential([keras.Input((6,)), *parts, L.Dropout(0.5), L.Dense(2)])


MAKERS: dict[str, Callable[[], Any]] = {
    each.__name__: each for each in (nested, recurrent, attending, half, quantised, adapted, looked_up, normalised)
}


def made_as(name: str, folder: Path) -> tuple[Any, Path]:
    """A model as Keras loads its own archive, and the archive."""
    made = MAKERS[name]()
    if name not in ("quantised", "adapted"):
        filled(made, 1)
    made.save(folder / "old.keras")
    with zipfile.ZipFile(folder / "old.keras") as archive:
        (folder / "config.json").write_bytes(archive.read("config.json"))
    return keras.models.load_model(folder / "old.keras"), folder / "old.keras"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Gives a model by its name, and its archive; each is made once."""
    return cache(lambda name: made_as(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def blank(known: Callable[[str], tuple[Any, Path]]) -> Callable[[str], Any]:
    """Gives a second model by its name, for other weights; each is made once."""
    return cache(lambda name: keras.models.load_model(known(name)[1]))


@pytest.fixture
def saved(known: Callable[[str], tuple[Any, Path]], name: str, tmp_path: Path) -> tuple[Any, Path]:
    """A model, and its archive in the folder of the test."""
    old, archive = known(name)
    shutil.copytree(archive.parent, tmp_path, dirs_exist_ok=True)
    return old, tmp_path / archive.name


def converted(here: Path, kind: str, folder: Path, name: str = "new") -> Path:
    """A model in another format."""
    whole = here.suffix in ("", ".keras") or (here.suffix == ".h5" and not here.name.endswith(".weights.h5"))
    how: dict[str, Any] = {} if whole else {"architecture": folder / "config.json"}
    how |= {"shard_size": "1KB"} if kind == "weights.json" else {}
    output = folder / f"{name}{ENDINGS[kind]}"
    (done,) = wtool.convert(here, output=output, unzipped=kind == "unzipped", **how)
    return output if done.is_new else here


def loaded(path: Path, kind: str, blank: Any) -> Any:
    """A model as Keras loads it from a file of any format; weights alone are loaded into a model without them."""
    if kind in WHOLE:
        return keras.models.load_model(path)
    blank.set_weights([np.zeros_like(each) for each in blank.get_weights()])
    blank.load_weights(path)
    return blank


def assert_same(old: Any, new: Any) -> None:
    pairs = list(zip(old.get_weights(), new.get_weights(), strict=True))
    assert all(one.dtype == other.dtype and one.tobytes() == other.tobytes() for one, other in pairs)
    shape = old.inputs[0].shape[1:]
    if old.inputs[0].dtype == "string":
        example: Any = keras.ops.convert_to_tensor(["a", "c", "z"], dtype="string")
    else:
        example = np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")
    expected, found = (np.asarray(keras.ops.cast(each(example, training=False), "float64")) for each in (old, new))
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("kind", [kind for kind in ENDINGS if kind != "keras"])
@pytest.mark.parametrize("name", MAKERS)
def test_keras_loads_every_format(
    saved: tuple[Any, Path], kind: str, name: str, blank: Callable[[str], Any], tmp_path: Path
) -> None:
    old, archive = saved
    path = converted(archive, kind, tmp_path)
    assert_same(old, loaded(path, kind, None if kind in WHOLE else blank(name)))


@pytest.mark.parametrize("name", MAKERS)
def test_each_format_becomes_each(saved: tuple[Any, Path], tmp_path: Path) -> None:
    old, archive = saved
    files = {kind: converted(archive, kind, tmp_path) for kind in ENDINGS}
    assert files["keras"] == archive
    wanted = arrays(archive)
    for one, other in itertools.permutations(ENDINGS, 2):
        made = converted(files[one], other, tmp_path, f"{one}-{other}".replace(".", "_"))
        back = made if other == "keras" else converted(made, "keras", tmp_path, f"back-{made.name}".replace(".", "_"))
        found = arrays(back)
        assert wanted.keys() == found.keys(), (one, other)
        for key, values in wanted.items():  # an .h5 has bfloat16 as float32
            assert np.array_equal(values.astype("float64"), found[key].astype("float64")), (one, other, key)
    assert_same(old, keras.models.load_model(back))


def test_words_that_a_layer_learned_come_along(tmp_path: Path) -> None:
    text = ZOO / "k3.15.1" / "text_assets.keras"
    old = keras.models.load_model(text)
    folder = converted(text, "unzipped", tmp_path)
    again = converted(folder, "keras", tmp_path)
    for path in (folder, again):
        new = keras.models.load_model(path)
        words = [[e.get_vocabulary() for e in each.layers if hasattr(e, "get_vocabulary")] for each in (old, new)]
        assert words[0] == words[1] != []
        assert all(np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))


def compiled() -> Any:
    """A model that was trained for a step, with short names of losses, a schedule, and an average of weights."""
    made = filled(keras.Sequential([keras.Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(1)]), 1)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    made.compile(keras.optimizers.Adam(rate, use_ema=True), "mse", metrics=["mae"], run_eagerly=True)
    made.fit(np.ones((4, 6)), np.ones((4, 1)), verbose=0)
    return made


def test_an_h5_is_compiled_as_the_model_was(tmp_path: Path) -> None:
    old = compiled()
    old.save(tmp_path / "old.keras")
    (tmp_path / "config.json").write_text("{}")
    made = converted(tmp_path / "old.keras", "h5", tmp_path)
    new = keras.models.load_model(made)
    assert_same(old, new)
    assert new.optimizer.get_config() == old.optimizer.get_config()
    data = np.ones((4, 6)), np.ones((4, 1))
    assert np.allclose(old.evaluate(*data, verbose=0), new.evaluate(*data, verbose=0))
    again = converted(made, "keras", tmp_path, "again")
    back = keras.models.load_model(again)
    assert_same(old, back)
    pairs = zip(old.optimizer.variables, back.optimizer.variables, strict=True)
    assert all(np.array_equal(np.asarray(one.value), np.asarray(other.value)) for one, other in pairs)


@pytest.mark.parametrize("loss_scaled", [False, True])
def test_wtool_restores_the_optimizer_of_an_h5(loss_scaled: bool, tmp_path: Path) -> None:
    from wtool.training.loading.load import load

    old = compiled()
    if loss_scaled:
        old = filled(keras.Sequential([keras.Input((6,)), L.Dense(4, dtype="mixed_float16"), L.Dense(1)]), 1)
        old.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.5)), "mse")
        old.fit(np.ones((4, 6)), np.ones((4, 1)), verbose=0)
    old.save(tmp_path / "old.keras")
    found = load(str(converted(tmp_path / "old.keras", "h5", tmp_path)))
    pairs = list(zip(old.optimizer.variables, found.model.optimizer.variables, strict=True))
    assert len(pairs) > 4
    assert all(np.array_equal(np.asarray(one.value), np.asarray(other.value)) for one, other in pairs)


@keras.saving.register_keras_serializable("formats")  # type: ignore[untyped-decorator]
class Scaled(L.Layer):  # type: ignore[misc]
    """A layer of a custom class, with variables of its own alone."""

    def build(self, shape: Any) -> None:
        """One is trained, and one is not; the second one is made first."""
        self.count = self.add_weight(shape=shape[-1:], name="count", trainable=False)
        self.scale = self.add_weight(shape=shape[-1:], name="scale")

    def call(self, x: Any) -> Any:
        """x scale + count."""
        return x * self.scale + self.count


@keras.saving.register_keras_serializable("formats")  # type: ignore[untyped-decorator]
class Holding(L.Layer):  # type: ignore[misc]
    """A layer that holds layers in another order than that of their attributes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.z, self.a = L.Dense(6), L.Dense(6)

    def build(self, shape: Any) -> None:
        """Build both."""
        self.z.build(shape)
        self.a.build(shape)

    def call(self, x: Any) -> Any:
        """One after the other."""
        return self.a(self.z(x))


def test_custom_layers_in_an_h5(tmp_path: Path) -> None:
    start = keras.Input((6,))
    old = filled(keras.Model(start, L.Dense(2)(Scaled(name="own")(L.Dense(6)(start)))), 1)
    old.save(tmp_path / "old.keras")
    assert_same(old, keras.models.load_model(converted(tmp_path / "old.keras", "h5", tmp_path)))


def test_the_order_of_layers_in_a_custom_layer_is_kept_or_asked_for(tmp_path: Path) -> None:
    start = keras.Input((6,))
    old = filled(keras.Model(start, L.Dense(2)(Holding(name="own")(start))), 1)
    old.save(tmp_path / "old.keras")
    with pytest.raises(wtool.Unconvertible, match="1 layer cannot be converted") as raised:
        converted(tmp_path / "old.keras", "h5", tmp_path)
    (refused,) = raised.value.refused
    assert (refused.layer, refused.class_name, refused.rule) == ("own", "Holding", "untold order")
    assert refused.text.startswith("it holds variables of several objects")
    old.save(tmp_path / "old.h5")
    how: dict[str, Any] = {"attribute": ["own=z,a"], "output": tmp_path / "told.keras"}
    wtool.convert(tmp_path / "old.h5", **how)
    assert_same(old, keras.models.load_model(tmp_path / "told.keras"))


few = settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@few
@given(
    st.sampled_from(("functional", "sequential")),
    recipes(),
    st.lists(st.sampled_from(list(ENDINGS)), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_random_models_through_chains_of_formats(
    tmp_path_factory: Any, kind: str, recipe: Any, chain: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    old = filled(model(keras, kind, recipe, "m"), seed)
    old.save(folder / "old.keras")
    with zipfile.ZipFile(folder / "old.keras") as archive:
        (folder / "config.json").write_text(json.dumps(json.loads(archive.read("config.json"))))
    here, last = folder / "old.keras", "keras"
    for number, each in enumerate(chain):
        here, last = converted(here, each, folder, str(number)), each
    assert_same(old, loaded(here, last, keras.models.load_model(folder / "old.keras")))
    shutil.rmtree(folder)
