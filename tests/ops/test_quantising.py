"""`wtool pack --quantize int8` against Keras's own `model.quantize("int8")`: codes, scales, settings, predictions."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import FIXTURES, ZOO, Array, arrays, changed
from wtool.ops import quantised_matrices

RNG = np.random.default_rng(4)
X = RNG.standard_normal((5, 4)).astype("float32")
SEQUENCES = RNG.standard_normal((5, 3, 4)).astype("float32")
WORDS = RNG.integers(0, 7, (5, 3))


def sequential(*layers: Callable[[], Any], shape: tuple[int, ...] = (4,)) -> Any:
    import keras

    return keras.Sequential([keras.Input(shape), *(layer() for layer in layers)])


def dense() -> tuple[Any, Array]:
    from keras import layers as L

    return sequential(lambda: L.Dense(6, "relu"), lambda: L.Dense(2, use_bias=False)), X


def frozen() -> tuple[Any, Array]:
    from keras import layers as L

    model = sequential(lambda: L.Dense(6, trainable=False), L.BatchNormalization, lambda: L.Dropout(0.5))
    return model, X


def equations() -> tuple[Any, Array]:
    from keras import layers as L

    made = [
        ("abc,cd->abd", (3, 5), "d"), ("abd,def->abef", (3, 2, 3), None), ("abef,fecg->abcg", (3, 4, 2), "cg"),
        ("abcg,gbh->abch", (3, 4, 6), "bh"),
    ]  # fmt: skip
    own = [lambda each=each: L.EinsumDense(each[0], output_shape=each[1], bias_axes=each[2]) for each in made]
    return sequential(*own, shape=(3, 4)), SEQUENCES


def embeddings() -> tuple[Any, Array]:
    import keras
    from keras import layers as L

    words = keras.Input((3,), dtype="int32")
    plain, tied = L.Embedding(7, 4, mask_zero=True)(words), L.ReversibleEmbedding(7, 4, name="tied")
    free = L.ReversibleEmbedding(7, 4, tie_weights=False, name="free")
    total = L.Add()([plain, tied(words), free(words)])
    return keras.Model(words, [tied(total, reverse=True), free(total, reverse=True)]), WORDS


def nested() -> tuple[Any, Array]:
    import keras
    from keras import layers as L

    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, name="own")], name="inner")
    x = keras.Input((4,))
    shared = L.Dense(4, name="shared")
    y = shared(shared(inner(inner(x))))
    return keras.Model(x, [L.Dense(1, name="head")(y), y]), X


def in_two_places() -> tuple[Any, Array]:
    import keras
    from keras import layers as L

    layer = L.Dense(4, name="shared")
    x = keras.Input((3, 4))
    return keras.Model(x, L.TimeDistributed(layer, name="steps")(layer(x))), SEQUENCES


def wrapped() -> tuple[Any, Array]:
    from keras import layers as L

    made = (lambda: L.TimeDistributed(L.Dense(3)), lambda: L.Bidirectional(L.LSTM(2)), lambda: L.Dense(2))
    return sequential(*made, shape=(3, 4)), SEQUENCES


def policies() -> tuple[Any, Array]:
    from keras import layers as L

    names = ("mixed_bfloat16", "float64", "float32")
    return sequential(*[lambda name=name: L.Dense(5, dtype=name) for name in names]), X


def bfloat16() -> tuple[Any, Array]:
    from keras import layers as L

    made = lambda: L.EinsumDense("ab,bc->ac", output_shape=(5,), bias_axes="c", dtype="bfloat16")  # noqa: E731
    return sequential(lambda: L.Dense(5, dtype="bfloat16"), made), X


def adapted() -> tuple[Any, Array]:
    from keras import layers as L

    made = (
        lambda: L.Dense(6, lora_rank=2),
        lambda: L.EinsumDense("ab,bc->ac", output_shape=(5,), lora_rank=1, bias_axes="c", dtype="mixed_bfloat16"),
        lambda: L.Dense(6, lora_rank=2, dtype="float64"),
    )
    model = sequential(*made)
    for layer in model.layers:
        layer.lora_kernel_b.assign(RNG.standard_normal(layer.lora_kernel_b.shape))
    return model, X


def own_class() -> tuple[Any, Array]:
    import keras
    from keras import layers as L

    @keras.saving.register_keras_serializable("wtool_tests")
    class OwnDense(L.Dense):  # type: ignore[misc]
        """A subclass, which Keras does not quantise."""

    return sequential(lambda: OwnDense(3), lambda: L.Dense(2)), X


def inside_own_classes() -> tuple[Any, Array]:
    """Layers that the configuration lists inside classes of an author's."""
    import keras
    from keras import layers as L

    @keras.saving.register_keras_serializable("wtool_tests")
    class OwnModel(keras.Model):  # type: ignore[misc]
        """A functional model."""

    @keras.saving.register_keras_serializable("wtool_tests")
    class OwnWrapper(L.Wrapper):  # type: ignore[misc]
        """Calls the layer inside."""

        def call(self, inputs: Any) -> Any:
            return self.layer(inputs)

    x = keras.Input((4,))
    return OwnModel(x, OwnWrapper(L.Dense(3, name="inside"), name="own")(L.Dense(4, name="first")(x))), X


MODELS = [
    dense, frozen, equations, embeddings, nested, in_two_places, wrapped, policies, bfloat16, adapted, own_class,
    inside_own_classes,
]  # fmt: skip


def settings(path: Path) -> Any:
    """The architecture, without the numbers of shared objects, which differ from run to run."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if key != "shared_object_id"}
        return [plain(each) for each in value] if isinstance(value, list) else value

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return plain(json.loads(archive.read("config.json")))
    with h5py.File(path) as file:
        return plain(json.loads(file.attrs["model_config"]))


def stored(path: Path) -> dict[str, Array]:
    """All arrays but those of the optimizer; of an `.h5` by layer and position, since its names mean nothing."""
    if zipfile.is_zipfile(path):
        return {name: value for name, value in arrays(path).items() if not name.startswith("optimizer/")}
    with h5py.File(path) as file:
        groups = file["model_weights"]
        listed = [(group, groups[group], groups[group].attrs["weight_names"]) for group in groups]
        return {f"{name}/{n}": group[key][()] for name, group, keys in listed for n, key in enumerate(keys)}


def quantised_by_keras(path: Path, result: Path) -> Any:
    """The model, loaded, quantised and saved by Keras."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that have no `quantize`
        model.quantize("int8")
    model.save(result)
    return model


def assert_same_arrays(ours: Path, truth: Path, but: Collection[str] = ()) -> None:
    new, old = (
        {name: value for name, value in stored(path).items() if name.split("/")[0] not in but} for path in (ours, truth)
    )
    assert new.keys() == old.keys()
    for name, value in old.items():
        assert (new[name].dtype, new[name].shape) == (value.dtype, value.shape), name
        assert new[name].tobytes() == value.tobytes(), name


def outputs(model: Any, x: Array | list[Array]) -> list[bytes]:
    """What a model makes of inputs, without compiling it first."""
    import keras

    return [np.asarray(each).tobytes() for each in keras.tree.flatten(model(x))]


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_codes_scales_settings_and_predictions_are_those_of_keras(
    make: Callable[[], tuple[Any, Array]], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    if suffix == ".h5" and make in (bfloat16, adapted, inside_own_classes):
        pytest.skip("Keras loads no bfloat16 or models of own classes of .h5 files, and adds no factors in them")
    keras.utils.set_random_seed(2)
    monkeypatch.setattr(quantised_matrices, "BLOCK", 8)
    model, x = make()
    old, ours, truth = (tmp_path / f"{name}{suffix}" for name in ("old", "ours", "truth"))
    model.save(old)
    (done,) = wtool.pack(old, quantize="int8", output=ours)
    quantised = quantised_by_keras(old, truth)
    assert_same_arrays(ours, truth)
    assert settings(ours) == settings(truth)
    assert any("becomes int8 codes" in each.text for each in done.actions.values())
    if make is adapted:  # Keras codes the kernels once more when it saves
        quantised = keras.saving.load_model(truth)
    assert outputs(keras.saving.load_model(ours), x) == outputs(quantised, x)


SAVED = sorted(
    path
    for folder in {FIXTURES / "zoo", ZOO}
    for path in folder.glob("k3*/*")
    if path.suffix in (".keras", ".h5") and not path.name.endswith(".weights.h5")
)


@pytest.mark.tensorflow
@pytest.mark.parametrize("model", SAVED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_codes_of_models_of_every_keras_are_those_of_keras(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    for name in list(keras.saving.get_custom_objects()):  # classes of other tests, by which Keras would load more
        monkeypatch.delitem(keras.saving.get_custom_objects(), name)
    ours, truth = tmp_path / f"ours{model.suffix}", tmp_path / f"truth{model.suffix}"
    try:
        quantised_by_keras(model, truth)
    except Exception as error:
        pytest.skip(f"Keras does not load, or does not quantise, the model itself: {error}"[:300])
    try:
        (done,) = wtool.pack(model, quantize="int8", output=ours)
    except wtool.WtoolError:
        assert_same_arrays(model, truth)  # Keras finds nothing to quantise either
        return
    stay = {note.split(": ")[1].split(" (")[0].split("/")[0] for note in done.notes if note.startswith("not quantised")}
    assert_same_arrays(ours, truth, stay)


def attention(dropout: float = 0.0, name: str = "attention") -> Any:
    import keras
    from keras import layers as L

    x, own = keras.Input((3, 4)), L.MultiHeadAttention(2, 3, dropout=dropout, name=name)
    inner = keras.Model(x, own(x, x), name="inner")
    y = keras.Input((3, 4))
    grouped = L.GroupQueryAttention(2, 4, 2, name="grouped", use_bias=False)
    return keras.Model(y, L.Dense(2)(grouped(inner(y), y)))


@pytest.mark.tensorflow
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_keras_loads_quantised_attention_and_predicts_as_its_own(dropout: float, tmp_path: Path) -> None:
    """The file that Keras itself saves of such a model has the same arrays, and Keras does not load that file."""
    import keras

    keras.utils.set_random_seed(2)
    old, ours, truth = (tmp_path / f"{name}.keras" for name in ("old", "ours", "truth"))
    attention(dropout, "a.b").save(old)
    (done,) = wtool.pack(old, quantize="int8", output=ours)
    quantised = quantised_by_keras(old, truth)
    assert_same_arrays(ours, truth)
    loaded = keras.saving.load_model(ours)
    assert outputs(loaded, SEQUENCES) == outputs(quantised, SEQUENCES)
    assert any("cannot save such a model again" in each and "inner/a.b" in each for each in done.notes)
    with pytest.raises(ValueError, match="could not be loaded"):
        keras.saving.load_model(truth)


@pytest.mark.tensorflow
def test_other_commands_take_quantised_attention(tmp_path: Path) -> None:
    import keras

    old, ours = tmp_path / "old.keras", tmp_path / "ours.keras"
    attention().save(old)
    wtool.pack(old, quantize="int8", output=ours)
    assert wtool.check(ours).findings == ()
    wtool.convert(ours, output=tmp_path / "ours.weights.h5")
    loaded = keras.saving.load_model(ours)
    truth = outputs(loaded, SEQUENCES)
    for weight in loaded.weights:
        weight.assign(np.zeros(weight.shape))
    loaded.load_weights(tmp_path / "ours.weights.h5")
    assert outputs(loaded, SEQUENCES) == truth


@pytest.mark.tensorflow
def test_attention_in_h5_files_is_quantised_where_the_rank_is_known(tmp_path: Path) -> None:
    import keras

    old, ours = tmp_path / "old.h5", tmp_path / "ours.h5"
    attention().save(old)
    (done,) = wtool.pack(old, quantize="int8", output=ours)
    assert any("inner/attention/query (EinsumDense), " in each and "rank of its input" in each for each in done.notes)
    model = keras.saving.load_model(old)
    names = {"key", "value", "query", "attention_output"}
    for layer in model._flatten_layers():
        if type(layer).__name__ in ("Dense", "EinsumDense") and not layer.path.startswith("attention/"):
            names.discard(layer.name)
            layer.quantize("int8")
    assert not names
    assert outputs(keras.saving.load_model(ours), SEQUENCES) == outputs(model, SEQUENCES)


@pytest.mark.tensorflow
def test_attention_over_several_axes(tmp_path: Path) -> None:
    import keras
    from keras import layers as L

    query, value = keras.Input((2, 3, 4)), keras.Input((5, 3, 6))
    own = L.MultiHeadAttention(2, 3, value_dim=2, attention_axes=(1, 2), output_shape=(5,), name="attention")
    old, ours, truth = (tmp_path / f"{name}.keras" for name in ("old", "ours", "truth"))
    keras.Model([query, value], own(query, value)).save(old)
    wtool.pack(old, quantize="int8", output=ours)
    x = [RNG.standard_normal((2, 2, 3, 4)), RNG.standard_normal((2, 5, 3, 6))]
    quantised = quantised_by_keras(old, truth)
    assert_same_arrays(ours, truth)
    assert outputs(keras.saving.load_model(ours), x) == outputs(quantised, x)


@pytest.mark.tensorflow
def test_layers_that_keras_would_not_load_or_quantise_stay_as_they_are(tmp_path: Path) -> None:
    import keras
    from keras import layers as L

    made = (
        lambda: L.Dense(4, name="good"), lambda: L.Dense(4, dtype="mixed_float16", name="half"),
        lambda: L.SpectralNormalization(L.Dense(4, name="inside"), name="spectral"),
        lambda: L.EinsumDense("...a,ab->...b", output_shape=(5,), name="dots"), lambda: L.Conv1D(3, 2),
    )  # fmt: skip
    model = sequential(*made, shape=(3, 4))
    model.save(tmp_path / "old.keras")
    (done,) = wtool.pack(tmp_path / "old.keras", quantize="int8", output=tmp_path / "new.keras")
    told = "\n".join(done.notes)
    assert "half (Dense): Keras quantises no layer that computes in float16" in told
    assert "spectral/inside (Dense): Keras does not load a quantised layer inside SpectralNormalization" in told
    assert "dots (EinsumDense): Keras does not quantise the equation '...a,ab->...b'" in told
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    modes = {each.name: each.quantization_mode for each in loaded._flatten_layers()}
    assert {name for name, mode in modes.items() if mode} == {"good"}
    assert loaded(SEQUENCES).shape == model(SEQUENCES).shape


@pytest.mark.tensorflow
def test_what_the_code_of_an_author_makes_stays_as_it_is(tmp_path: Path) -> None:
    import keras
    from keras import layers as L

    @keras.saving.register_keras_serializable("wtool_tests")
    class Block(L.Layer):  # type: ignore[misc]
        """Makes a layer that its settings do not tell: Keras quantises it, and does not load the result."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.part = L.Dense(3)

        def build(self, shape: Any) -> None:
            self.part.build(shape)

        def call(self, inputs: Any) -> Any:
            return self.part(inputs)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    model = sequential(lambda: Block(name="block"), lambda: L.Dense(2, name="head"))
    model.save(tmp_path / "old.keras")
    (done,) = wtool.pack(tmp_path / "old.keras", quantize="int8", output=tmp_path / "new.keras")
    assert "not quantised: block (Block): its class is its author's" in done.notes
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    model.get_layer("head").quantize("int8")
    assert outputs(loaded, X) == outputs(model, X)


@pytest.mark.tensorflow
def test_the_state_of_the_optimizer_is_left_out(tmp_path: Path) -> None:
    import keras

    model, x = dense()
    model.compile("adam", keras.losses.MeanSquaredError())
    model.fit(x, model.predict(x, verbose=0), verbose=0)
    model.save(tmp_path / "old.keras")
    (done,) = wtool.pack(tmp_path / "old.keras", quantize="int8", output=tmp_path / "new.keras")
    assert any("the state of the optimizer is left out" in each for each in done.notes)
    assert str(done.actions["optimizer/iteration"]) == "is left out"
    assert not any(name.startswith("optimizer") for name in arrays(tmp_path / "new.keras"))
    assert settings(tmp_path / "new.keras")["compile_config"] == settings(tmp_path / "old.keras")["compile_config"]
    keras.saving.load_model(tmp_path / "new.keras").fit(x, model.predict(x, verbose=0), verbose=0)


# --- without Keras ---

MLP = FIXTURES / "zoo" / "k3.15.1" / "mlp.keras"


def test_codes_and_scales_follow_the_formula(tmp_path: Path) -> None:
    (done,) = wtool.pack(MLP, quantize="int8", output=tmp_path / "new.keras")
    old, new = stored(MLP), stored(tmp_path / "new.keras")
    kernels = [name for name, value in old.items() if value.ndim == 2]
    assert kernels
    for name in kernels:
        values, scales = old[name], new[name.removesuffix("0") + "2"]
        assert np.array_equal(scales, np.float32(127) / (abs(values).max(axis=0) + np.float32(1e-7)))
        assert np.array_equal(new[name], np.clip(np.round(values * scales), -127, 127).astype(np.int8))
    changes = [np.square(old[name] - new[name] / new[name.removesuffix("0") + "2"]).sum() for name in kernels]
    relative = np.sqrt(sum(changes) / sum(np.square(old[name]).sum() for name in kernels))
    assert any(f"int8 changes {len(kernels)} matrices by {relative:.2%} of their norm" in each for each in done.notes)


def test_folders_of_unzipped_models_are_quantised(tmp_path: Path) -> None:
    wtool.convert(MLP, unzipped=True, output=tmp_path / "folder")
    (done,) = wtool.pack(tmp_path / "folder", quantize="int8", output=tmp_path / "again")
    assert done.output == str(tmp_path / "again.keras"), "what is made of a folder is a file"
    assert done.after == (tmp_path / "again.keras").stat().st_size
    wtool.pack(MLP, quantize="int8", output=tmp_path / "new.keras")
    assert wtool.diff(tmp_path / "again.keras", tmp_path / "new.keras").equal


def test_quantised_models_are_packed_and_made_again_where_they_changed(tmp_path: Path) -> None:
    out = tmp_path / "new.keras"
    (first,) = wtool.pack(MLP, quantize="int8", output=out)
    (second,) = wtool.pack(MLP, quantize="int8", output=out)
    assert (first.skipped, second.skipped) == (False, True)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.pack(MLP, output=out)
    with pytest.raises(wtool.WtoolError, match=r"it is quantised already \(int8\)"):
        wtool.pack(out, quantize="int8", output=tmp_path / "twice.keras")


REFUSED = {
    "k2.2.4/nested_frozen.h5": "a model of Keras 2 has no quantised layers; `wtool convert`",
    "tf2.13/mlp.keras": "a model of Keras 2 has no quantised layers; `wtool convert`",
    "k3.15.1/mlp.weights.h5": "the file holds weights alone",
    "k3.12.4/sharded.weights.json": "the file holds weights alone",
    "k3.15.1/pure_f16.keras": "no layer can be quantised: .* computes in float16",
    "k3.15.1/quant_int8.h5": r"it is quantised already \(int8\)",
    "k3.15.1/subclassed_model.keras": r"the model \(SubModel\): its class is its author's",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_quantised_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.WtoolError, match=REFUSED[name]):
        wtool.pack(FIXTURES / "zoo" / name, quantize="int8", output=tmp_path / name.replace("/", "-"))
    assert not any(tmp_path.iterdir())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["mlp.keras", "lora.keras"])
def test_values_that_are_not_finite_are_refused(name: str, value: float, tmp_path: Path) -> None:
    def spoil(_: str, values: Array) -> Array:
        return (
            np.where(np.arange(values.size).reshape(values.shape) == 1, value, values) if values.ndim == 2 else values
        )

    odd = changed(FIXTURES / "zoo" / "k3.15.1" / name, tmp_path / "odd.keras", spoil)
    with pytest.raises(wtool.WtoolError, match="which are not finite"):
        wtool.pack(odd, quantize="int8", output=tmp_path / "new.keras")


def test_codes_and_another_number_type_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match="one of the two"):
        wtool.pack(MLP, quantize="int8", dtype="float16", output=tmp_path / "new.keras")


def test_stored_halves_are_widened_before_they_are_coded(tmp_path: Path) -> None:
    wtool.pack(MLP, dtype="float16", output=tmp_path / "half.keras")
    wtool.pack(tmp_path / "half.keras", dtype="float32", output=tmp_path / "wide.keras")
    for name in ("half", "wide"):
        wtool.pack(tmp_path / f"{name}.keras", quantize="int8", output=tmp_path / f"{name}8.keras")
    half, wide = stored(tmp_path / "half8.keras"), stored(tmp_path / "wide8.keras")
    assert {name for name, value in half.items() if value.dtype == np.int8}
    for name, value in wide.items():
        assert np.array_equal(half[name], value), name
