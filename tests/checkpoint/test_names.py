"""Every weight in a saved model gets the name, the role and the layer that Keras gave it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest

from tests.real_models import AUTHORS_OWN, Saved, keras_path, saved_files
from wtool.checkpoint.layouts import keras3, legacy
from wtool.checkpoint.model import Tensor
from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Dataset, Index
from wtool.schema.layers import built_in

FILES = saved_files()
EACH = pytest.mark.parametrize("saved", FILES, ids=str)


def weights(saved: Saved) -> list[tuple[dict[str, Any], list[Tensor]]]:
    """Each reported weight that the file holds, with the tensors that may be it: several where values are alike."""
    stored = {tensor.stored: tensor for tensor in saved.contents.tensors}
    assert len({tensor.path for tensor in saved.contents.tensors}) == len(stored)
    return [
        (entry, [stored[place] for place in places if stored[place].slot is None])
        for entry, places in zip(saved.report["weights"], saved.weight_places, strict=True)
        if places
    ]


def named_by_key(tensor: Tensor) -> bool:
    """Whether only the layer's author knows what its variables are called."""
    return tensor.layer_class is None or built_in(tensor.layer_class) is None


@EACH
def test_variables_are_named_as_keras_names_them(saved: Saved) -> None:
    for entry, tensors in weights(saved):
        name = keras_path(entry).rpartition("/")[2]
        own = [tensor for tensor in tensors if named_by_key(tensor)]
        right = [t for t in tensors if t.path.rpartition("/")[2] == name and t.role == name]
        assert right or (own and saved.model in AUTHORS_OWN), (keras_path(entry), [t.path for t in tensors])
        for tensor in own:
            key = tensor.stored.rpartition("/")[2].removesuffix(":0")
            assert tensor.path.rpartition("/")[2] == key
            assert tensor.role in (key, "kernel", "bias", "unknown")


@EACH
def test_shapes_and_dtypes(saved: Saved) -> None:
    for entry, tensors in weights(saved):
        for tensor in tensors:
            assert list(tensor.shape) == entry["shape"]
        dtypes = {tensor.dtype for tensor in tensors}
        assert entry["dtype"].removesuffix("_ref") in dtypes


@EACH
def test_layers_are_called_as_their_authors_called_them(saved: Saved) -> None:
    if not saved.told_names:
        pytest.skip("the file does not tell")
    for entry, tensors in weights(saved):
        theirs = keras_path(entry).removeprefix(f"{saved.report.get('model_name', '')}/").split("/")[:-1]
        ours = [tensor.layer for tensor in tensors]
        if not (saved.only_weights or saved.model in AUTHORS_OWN):
            assert any(in_order(theirs, layer.split("/")) for layer in ours), (keras_path(entry), ours)
        elif len(theirs) == 1 and len(ours) == 1 and saved.model not in AUTHORS_OWN:
            assert theirs[0] in ours[0].split("/")


def in_order(some: list[str], names: list[str]) -> bool:
    """Whether all of some names occur in that order; Keras 2 leaves out models, adds numbers, joins names with /."""
    rest = iter(re.sub(r"_\d+$", "", name) for name in names)
    return all(re.sub(r"_\d+$", "", name) in rest for name in some)


@EACH
def test_trainable(saved: Saved) -> None:
    frozen = saved.keras2  # whose reports are of variables, whether or not their layer is frozen
    for entry, tensors in weights(saved):
        if len(tensors) != 1 or tensors[0].trainable is None or saved.version.startswith("k2"):
            continue
        if not (frozen and entry["trainable"] and "frozen" in saved.model):
            assert tensors[0].trainable == entry["trainable"], keras_path(entry)


@EACH
def test_every_array_is_a_tensor_or_noted(saved: Saved) -> None:
    assert not saved.contents.notes or saved.model in AUTHORS_OWN
    assert all(tensor.nbytes >= 0 for tensor in saved.contents.tensors)
    layers = {layer.name for layer in saved.contents.layers}
    for tensor in saved.contents.tensors:
        assert tensor.slot is not None or tensor.layer in layers | {""} or tensor.role == "metric"


# Where formats and versions of one model differ: what is left out, and why.
EXPLAINED = {
    "lora": r".*/lora_kernel_[ab]",  # Keras-3 files merge the factors into the kernel
    "lora_int8": r".*/lora_kernel_[ab]",
    "cnn": r"dw/(depthwise_)?kernel",  # renamed in Keras 3
    "rnn": r"bi/.*",  # Keras 2 numbers the layer inside
    "quant_int4": r".*/(kernel_zero|g_idx)",  # written since 3.14
    "mlp_defaultnames": r".*",  # Keras 2 before TensorFlow numbered names from 1
    "odd_names": r"block1.*",  # Keras 3 allows no slash in names: the scripts used another one
}


@pytest.mark.parametrize("model", sorted({saved.model for saved in FILES if not saved.only_weights}))
def test_versions_and_formats_agree(model: str) -> None:
    if model in AUTHORS_OWN:
        pytest.skip("Keras-3 files do not tell the names")
    paths = defaultdict(list)
    for saved in FILES:
        if saved.model == model and not saved.only_weights:
            leave = EXPLAINED.get(model, r"(?!)")
            tensors = [t for t in saved.contents.tensors if t.slot is None and t.role != "metric"]
            paths[frozenset(t.path for t in tensors if not re.fullmatch(leave, t.path))].append(str(saved))
    assert len(paths) == 1, [(sorted(a ^ b), paths[a], paths[b]) for a in paths for b in paths if a != b]


def small(places: dict[str, tuple[int, ...]], **groups: Any) -> Index:
    """An index with these arrays, each 4 bytes apart, and their groups."""
    datasets = {
        path: Dataset(path, shape, "float32", 4 * number, 4, {}) for number, (path, shape) in enumerate(places.items())
    }
    found: dict[str, Any] = {"": {}}
    for path in (*datasets, *(f"{group}/x" for group in groups)):
        parts = path.split("/")[:-1]
        for stop in range(1, len(parts) + 1):
            found.setdefault("/".join(parts[:stop]), {})
    return Index(1000, {**found, **groups}, datasets)


def dense(name: str, units: Any = 3, **settings: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": name, "units": units, **settings},
        "registered_name": None,
        "build_config": {"input_shape": [None, 4]},
    }


def sequential(*layers: Any, name: str = "model") -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


D0 = {"layers/dense/vars/0": (4, 3), "layers/dense/vars/1": (3,)}


def test_orphans_do_not_take_names() -> None:
    index = small({**D0, "layers/dense_9/vars/0": (4, 3), "layers/dense_9/vars/1": (3,)})
    found = keras3.contents(index, sequential(dense("dense_9")), "3.15.1")
    assert [tensor.path for tensor in found.tensors] == [
        "dense_9/kernel",
        "dense_9/bias",
        "layers/dense_9/kernel",
        "layers/dense_9/bias",
    ]
    assert found.notes == ("layers/dense_9 belongs to no layer of the configuration",)


def test_swapped_groups_are_noted() -> None:
    index = small(D0, **{"layers/dense/vars": {"name": "b"}})
    found = keras3.contents(index, sequential(dense("a")), "3.15.1")
    assert found.notes == ("layers/dense is called b in the file, but a in the configuration",)


def test_equal_names_fall_back_to_the_file() -> None:
    inner = "layers/sequential/layers/dense/vars"
    within = {"class_name": "Sequential", "config": {**sequential(dense("b"))["config"], "name": "a"}}
    index = small({**D0, f"{inner}/0": (4, 3), f"{inner}/1": (3,)})
    found = keras3.contents(index, sequential(dense("a/b"), within), "3.15.1")
    assert [t.path for t in found.tensors][::2] == ["layers/dense/kernel", "layers/sequential/layers/dense/kernel"]


def test_two_layers_of_one_name_are_refused() -> None:
    more = {"layers/dense_1/vars/0": (4, 3), "layers/dense_1/vars/1": (3,)}
    with pytest.raises(Differs, match="2 layers called 'a'"):
        keras3.contents(small({**D0, **more}), sequential(dense("a"), dense("a")), "3.15.1")


def test_operations_of_the_graph_are_no_layers() -> None:
    operation = {"module": "keras.src.ops.numpy", "class_name": "Dense", "config": {"name": "x"}}
    found = keras3.contents(small(D0), sequential(operation, dense("a")), "3.15.1")
    assert [layer.name for layer in found.layers] == ["a"]


def test_a_class_registered_under_a_built_in_name_is_its_authors_own() -> None:
    layer = {**dense("a"), "module": None, "registered_name": "mine>Dense"}
    found = keras3.contents(small(D0), sequential(layer), "3.15.1")
    assert [(t.path, t.role) for t in found.tensors] == [("a/0", "kernel"), ("a/1", "bias")]


def test_a_model_without_weights() -> None:
    index = small({}, **{"layers/dense/vars": {}})
    found = keras3.contents(index, sequential(dense("a")), "3.15.1")
    assert found.tensors == ()
    assert found.notes == ("the model had no weights yet when it was saved",)


def nested(depth: int) -> dict[str, Any]:
    model = sequential(dense("a"))
    for _ in range(depth):
        model = sequential(model)
    return model


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (sequential(None), "layer 0 of model is None, not an object"),
        (sequential({"class_name": "Dense"}), "no settings"),
        (sequential({"class_name": "Dense", "config": None}), "no settings"),
        (sequential({"config": {}}), "does not say its class"),
        ({"class_name": "Sequential", "config": {"layers": "oops"}}, "layers that are no list"),
        ({"class_name": "Functional"}, "no settings"),
        (sequential(dense("a", units={"value": 3})), "units = {'value': 3}, which is no number"),
        (sequential(dense("a", use_bias="yes")), "neither true nor false"),
        (sequential(dense(3)), "a name that is no text"),  # type: ignore[arg-type]
        (sequential(dense("a", units=5)), r"layers/dense/vars/0 \(a/kernel\) is 4x3, but .* 4x5"),
        (sequential(dense("a", use_bias=False)), "holds 2 variables, but layer a .* has 1: kernel"),
        (sequential(dense("a"), dense("b")), "no group layers/dense_1, where layer b"),
        (nested(200), "nests more than 40"),
    ],
)
def test_contradictions_are_refused(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        keras3.contents(small(D0), config, "3.15.1")


LEGACY = {"": {"layer_names": (b"a",)}, "a": {"weight_names": (b"a/kernel:0", b"a/bias:0")}}
ARRAYS = {"a/a/kernel:0": (4, 3), "a/a/bias:0": (3,)}


def test_older_weights_without_configuration() -> None:
    found = legacy.contents(small(ARRAYS, **LEGACY), None, None, "2.10.0")
    assert [(t.path, t.role, t.layer) for t in found.tensors] == [("a/kernel", "kernel", "a"), ("a/bias", "bias", "a")]


@pytest.mark.parametrize(
    ("group", "attributes", "complaint"),
    [
        ("", {}, "no attribute layer_names"),
        ("", {"nb_layers": 1}, "Keras 0.x"),
        ("", {"layer_names": (b"a", b"a")}, "lists a twice"),
        ("", {"layer_names": (1,)}, "lists 1, which is no name"),
        ("", {"layer_names": "a"}, "not a list"),
        ("", {"layer_names": ((b"a",),)}, "which is no name"),
        ("", {"layer_names": (b"b",)}, "has no such group"),
        ("", {"layer_names": (b"../a",)}, "leads out of its group"),
        ("", {"layer_names": (b"a",), "layer_names0": (b"a",)}, "both layer_names and layer_names0"),
        ("", {"layer_names0": (b"a",), "layer_names2": (b"b",)}, "a part of layer_names before it is missing"),
        ("a", {}, "no attribute weight_names"),
        ("a", {"weight_names": (b"/a/a/kernel:0",)}, "leads out of its group"),
        ("a", {"weight_names": (b"a/gone:0",)}, "which is not there"),
        ("a", {"weight_names": (b"a/bias:0", b"a/kernel:0")}, "lists bias, kernel, but layer a .* has kernel, bias"),
        ("a", {"weight_names": (b"a/kernel:0",)}, "lists kernel for layer a .* which has kernel, bias"),
    ],
)
def test_older_files_with_wrong_names_are_refused(group: str, attributes: dict[str, Any], complaint: str) -> None:
    index = small(ARRAYS, **{**LEGACY, group: attributes})
    with pytest.raises(Refused, match=complaint):
        legacy.contents(index, sequential(dense("a")), None, "2.10.0")


def test_names_in_several_attributes() -> None:
    chunks = {"layer_names0": (b"a",), "layer_names1": (b"b",)}
    index = small({**ARRAYS, "b/b/kernel:0": (4, 3), "b/b/bias:0": (3,)}, **{
        **LEGACY, "": chunks, "b": {"weight_names0": (b"b/kernel:0",), "weight_names1": (b"b/bias:0",)},
    })  # fmt: skip
    found = legacy.contents(index, sequential(dense("a"), dense("b")), None, "2.10.0")
    assert [tensor.path for tensor in found.tensors] == ["a/kernel", "a/bias", "b/kernel", "b/bias"]
