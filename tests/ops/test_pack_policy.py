"""`wtool pack --dtype TYPE --policy`: what Keras loads is what Keras itself makes under that policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, config_of
from wtool.schema.policies import set_policies


def policies_of(config: Any) -> dict[str, Any]:
    """Name of each layer in a configuration but inputs -> its policy, in short."""
    found: dict[str, Any] = {}
    waiting = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            settings = each.get("config")
            is_input = each.get("class_name") == "InputLayer"
            if not is_input and isinstance(settings, dict) and "name" in settings and "dtype" in settings:
                policy = settings["dtype"]
                found[settings["name"]] = policy["config"]["name"] if isinstance(policy, dict) else policy
    return found


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize(
    "name",
    [
        "k3.15.1/mlp.keras",
        "k3.15.1/mlp.h5",
        "tf2.13/mlp.keras",
        "tf2.10/mlp.h5",
        "k3.15.1/lora.h5",
        "k2.2.4/nested_frozen.h5",
    ],
)
def test_every_layer_gets_the_policy_and_weights_its_type(name: str, compression: str, tmp_path: Path) -> None:
    model = FIXTURES / "zoo" / name
    out = tmp_path / f"half{model.suffix}"
    wtool.pack(model, dtype="float16", policy=True, compression=compression, output=out)
    assert set(policies_of(config_of(out)).values()) == {"float16"}
    is_old = not name.startswith("k3")
    with wtool.open_checkpoint(str(model)) as old, wtool.open_checkpoint(str(out)) as new:
        narrow = {
            each.path
            for each in old.weights
            if each.dtype == "float32" and not each.role.startswith("lora_")
            if not (is_old and each.layer_class == "BatchNormalization")
        }
        for before, after in zip(old.tensors, new.tensors, strict=True):
            stays = (before.path if before.slot is None else before.slot.weight) not in narrow
            wanted = old.read(before) if stays else old.read(before).astype("float16")
            assert (after.path, after.dtype) == (before.path, str(wanted.dtype))
            assert new.read(after).tobytes() == wanted.tobytes()
    assert wtool.pack(model, dtype="float16", policy=True, compression=compression, output=out)[0].skipped


def test_the_result_is_wide_again_with_another_policy(tmp_path: Path) -> None:
    wtool.pack(BLOBS[0], dtype="float16", policy=True, output=tmp_path / "half.keras")
    wtool.pack(tmp_path / "half.keras", dtype="float32", policy=True, output=tmp_path / "wide.keras")
    assert config_of(tmp_path / "wide.keras") == config_of(BLOBS[0])
    with wtool.open_checkpoint(str(BLOBS[0])) as old, wtool.open_checkpoint(str(tmp_path / "wide.keras")) as new:
        for before, after in zip(old.weights, new.weights, strict=True):
            assert np.array_equal(old.read(before).astype("float16"), new.read(after))


def test_a_policy_needs_a_type_and_an_architecture(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match="only with --dtype"):
        wtool.pack(BLOBS[0], policy=True, output=tmp_path / "out.keras")
    weights = FIXTURES / "zoo" / "k3.15.1" / "mlp.weights.h5"
    with pytest.raises(wtool.Refused, match="weights alone, without an architecture that --policy could change"):
        wtool.pack(weights, dtype="float16", policy=True, output=tmp_path / "out.weights.h5")


def test_quantised_layers_are_refused_all_at_once(tmp_path: Path) -> None:
    model = FIXTURES / "zoo" / "k3.15.1" / "quant_int8.keras"
    with pytest.raises(wtool.Refused, match=r"q1 \(Dense\): its kernels are quantised, q2 \(Dense\): its kernels"):
        wtool.pack(model, dtype="float16", policy=True, output=tmp_path / "out.keras")


# --- configurations ---


def layer(class_name: str, **settings: Any) -> dict[str, Any]:
    settings = {"name": class_name.lower(), "trainable": True, "dtype": "float32", **settings}
    return {"class_name": class_name, "config": settings}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def policy(name: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


def test_a_policy_keeps_its_form() -> None:
    by_path = {"class_name": "DTypePolicyMap", "config": {"default_policy": "float32", "policy_map": {"a": "float64"}}}
    config = sequential(
        layer("Dense", dtype=policy("mixed_float16")),
        layer("Dropout", dtype=None),
        layer("Hashing", dtype="int64"),
        layer("MultiHeadAttention", dtype=by_path),
        layer("LSTM", dtype="float32"),
        {"class_name": "Custom>Own", "config": {"name": "own", "trainable": True, "dtype": "float32"}},
    )
    found = set_policies(config, "float16", "3.15.1")
    assert not found.refused
    dense, dropout, hashing, attention, lstm, own = (each["config"]["dtype"] for each in config["config"]["layers"])
    assert dense == policy("float16")
    assert (dropout, hashing, lstm, own) == ("float16", "int64", "float16", "float16")
    assert attention["config"] == {"default_policy": "float16", "policy_map": {"a": "float16"}}
    assert "hashing" not in found.layers
    assert {"dense", "lstm", "own"} < found.layers


REFUSED = {
    "kernels are quantised": layer("Dense", dtype="int8_from_float32"),
    "its policy is a 'Strange'": layer("Dense", dtype={"class_name": "Strange", "config": {}}),
    "which is no policy of Keras": layer("Dense", dtype=7),
    "its map of policies is none": layer("Dense", dtype={"class_name": "DTypePolicyMap", "config": {}}),
    "its map of policies holds another map": layer(
        "Dense",
        dtype={"class_name": "DTypePolicyMap", "config": {"policy_map": {"a": {"config": {"policy_map": {}}}}}},
    ),
    "whose settings have no dtype": {"class_name": "Own", "config": {"name": "own"}},
    "the layer that holds it is unknown": {
        **layer("Own"),
        "config": {**layer("Own")["config"], "part": layer("Dense")},
    },
}


@pytest.mark.parametrize("reason", REFUSED)
def test_layers_that_cannot_are_refused(reason: str) -> None:
    found = set_policies(sequential(layer("Dense", name="fine"), REFUSED[reason]), "float16", "3.15.1")
    assert len(found.refused) == 1
    assert reason in found.refused[0]


def test_orthogonal_values_and_many_words_are_refused() -> None:
    lstm = layer("LSTM", recurrent_initializer={"class_name": "Orthogonal", "config": {}})
    assert not set_policies(sequential(lstm), "float16", "3.15.1").refused
    (reason,) = set_policies(sequential(lstm), "bfloat16", "3.15.1").refused
    assert reason == "lstm (LSTM): Keras makes no orthogonal initial values in bfloat16"
    for words, is_refused in ((2048, False), (2049, True)):
        words_first = sequential(layer("Embedding", input_dim=words, batch_input_shape=[None, 4]))
        assert bool(set_policies(words_first, "float16", "2.2.4").refused) == is_refused


def test_operations_of_several_tensors_are_refused_in_old_models() -> None:
    def model(nodes: Any) -> dict[str, Any]:
        start = {**layer("InputLayer", name="x"), "name": "x", "inbound_nodes": []}
        dense = {**layer("Dense", name="d"), "name": "d", "inbound_nodes": [[["x", 0, 0, {}]]]}
        add = {**layer("TFOpLambda", name="add", function="math.add"), "name": "add", "inbound_nodes": nodes}
        settings = {"name": "m", "layers": [start, dense, add], "input_layers": [["x", 0, 0]]}
        return {"class_name": "Functional", "config": {**settings, "output_layers": [["add", 0, 0]]}}

    assert not set_policies(model([["d", 0, 0, {"y": 2.0}]]), "float16", "2.13.1").refused
    (reason,) = set_policies(model([["d", 0, 0, {"y": ["x", 0, 0]}]]), "float16", "2.13.1").refused
    assert reason.startswith("add (TFOpLambda): takes several tensors")
    assert "wtool convert" in reason


# --- Keras ---


@contextmanager
def global_policy(name: str, module: Any) -> Iterator[None]:
    config = module.config if hasattr(module, "config") else module.mixed_precision
    (config.set_dtype_policy if hasattr(config, "set_dtype_policy") else config.set_global_policy)(name)
    try:
        yield
    finally:
        (config.set_dtype_policy if hasattr(config, "set_dtype_policy") else config.set_global_policy)("float32")


def rich(keras: Any) -> Any:
    """Returns a model with layers of many kinds: nested, wrapped, with cells, and normalising."""
    layers = keras.layers
    words = keras.Input((5,), dtype="int32", name="words")
    numbers = keras.Input((8, 8, 2), name="numbers")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu"), layers.LayerNormalization()], name="inner")
    x = layers.Embedding(30, 4, name="embedding")(words)
    x = layers.TimeDistributed(inner, name="each")(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")(x)
    y = layers.Conv2D(3, 3, name="conv")(numbers)
    y = layers.BatchNormalization(name="bn")(y)
    y = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(y))
    cells = layers.RNN([layers.GRUCell(3, name="gru"), layers.SimpleRNNCell(2, name="simple")], name="cells")
    z = cells(layers.Reshape((4, 4), name="reshape")(layers.Dense(16, name="wide")(y)))
    return keras.Model([words, numbers], layers.Dense(3, name="out")(layers.Concatenate(name="join")([x, y, z])))


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["keras .keras", "keras .h5", "tf_keras .h5", "tf_keras .keras"])
def test_keras_makes_the_same_model_under_the_policy(kind: str, tmp_path: Path) -> None:
    name, _, suffix = kind.partition(" ")
    keras = pytest.importorskip(name)
    rng = np.random.default_rng(2)
    keras.backend.clear_session()
    wide = rich(keras)
    values = [rng.standard_normal(each.shape).astype("float32") for each in wide.get_weights()]
    positive = [np.abs(each) + 0.5 for each in values]
    values = [
        old if old.dtype.kind in "iu" else square if "variance" in weight.name else new
        for weight, old, new, square in zip(wide.weights, wide.get_weights(), values, positive, strict=True)
    ]
    wide.set_weights(values)
    wide.save(tmp_path / f"wide{suffix}")
    wtool.pack(tmp_path / f"wide{suffix}", dtype="float16", policy=True, output=tmp_path / f"half{suffix}")
    loaded = keras.models.load_model(tmp_path / f"half{suffix}", compile=False)
    keras.backend.clear_session()  # names are counted anew
    with global_policy("float16", keras):
        truth = rich(keras)
    truth.set_weights(values)
    for made, wanted in zip(loaded.get_weights(), truth.get_weights(), strict=True):
        assert made.dtype == wanted.dtype
        assert made.tobytes() == wanted.tobytes()
    truth.save(tmp_path / f"truth{suffix}")
    assert policies_of(config_of(tmp_path / f"half{suffix}")) == policies_of(config_of(tmp_path / f"truth{suffix}"))
    inputs = [rng.integers(0, 30, (4, 5)), rng.standard_normal((4, 8, 8, 2)).astype("float32")]
    assert np.array_equal(np.asarray(loaded(inputs)), np.asarray(truth(inputs)))
