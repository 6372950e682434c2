"""The table of variables against what real Keras versions saved for every built-in layer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from wtool.checkpoint.layouts import keras3
from wtool.hdf5.reader import Dataset, Index
from wtool.schema.config import read_architecture
from wtool.schema.layers import built_in, class_of_group, fitting, role_of, snake_case, variants

ROLES = json.loads((Path(__file__).parents[2] / "fixtures" / "keras-roles.json").read_text())
NO_SETTINGS = ("Sequential", "Functional", "Pipeline")  # the table describes their layers in words


def policy(mode: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "QuantizedDTypePolicy", "config": {"mode": mode, "source_name": "float32"}}


def settings(variant: dict[str, Any]) -> dict[str, Any]:
    """A layer's configuration as Keras writes it, after what was done to the layer once it was built."""
    config = {key: serialised(key, value) for key, value in variant["config"].items()}
    match variant["post"]:
        case ["quantize", mode]:
            config["dtype"] = policy(mode)
        case ["quantize+lora", mode, rank]:
            config |= {"dtype": policy(mode), "lora_rank": rank}
        case ["lora", rank]:
            config["lora_rank"] = rank
        case ["int4block", size]:
            config["dtype"] = policy(f"int4/{size}")
    return {"name": "it", **config}


def serialised(key: str, value: Any) -> Any:
    if key not in ("layer", "backward_layer", "cell") or not isinstance(value, str):
        return value
    if value.startswith("["):
        return [layer(text) for text in value[1:-1].split(",")]
    return layer(value)


def layer(text: str) -> dict[str, Any]:
    """`LSTM(3,use_bias=False)` as a configuration."""
    class_name, _, inside = text.partition("(")
    inside = inside.removesuffix(")")
    config: dict[str, Any] = {"name": snake_case(class_name)}
    if class_name == "StackedRNNCells":
        config["cells"] = [layer(cell + ")") for cell in inside[1:-1].rstrip(")").split("),")]
        return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}
    if "use_bias=False" in inside:
        config["use_bias"] = False
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


def cases() -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]], str]]:
    for class_name, entry in ROLES["layers"].items():
        for number, variant in enumerate(entry["variants"]):
            yield class_name, variant, variant["saved"], f"{class_name}-{number}"
            for version, other in variant["other_versions"].items():
                if isinstance(other, dict) and not any("?" in item["role"] for item in other["saved"]):
                    yield class_name, variant, other["saved"], f"{class_name}-{number}-{version}"


CASES = list(cases())


def role(item: dict[str, Any]) -> str:
    """The role; the table adds remarks to some, and older lists call quantised kernels by their plain name."""
    name = item["role"].split(" ")[0]
    return "quantized_kernel" if name == "kernel" and item["dtype"] == "uint8" else name


def index_of(saved: list[dict[str, Any]], group: str) -> Index:
    datasets: dict[str, Dataset] = {}
    groups: dict[str, dict[str, Any]] = {"": {}}
    for number, item in enumerate(saved):
        path = f"layers/{group}/{item['group']}/{item['key']}"
        opaque = {"attributes": {"dtype": "bfloat16"}} if "bfloat16" in item["dtype"] else {"attributes": {}}
        dtype = "opaque2" if opaque["attributes"] else item["dtype"]
        datasets[path] = Dataset(path, tuple(item["shape"]), dtype, 8 * number, 4, **opaque)
        parts = path.split("/")[:-1]
        for stop in range(1, len(parts) + 1):
            groups.setdefault("/".join(parts[:stop]), {})
    return Index(10_000, groups, datasets)


@pytest.mark.parametrize(("class_name", "variant", "saved", "_"), CASES, ids=[case[3] for case in CASES])
def test_roles_with_configuration(
    class_name: str, variant: dict[str, Any], saved: list[dict[str, Any]], _: str
) -> None:
    if class_name in NO_SETTINGS:
        pytest.skip("described in words")
    group = ROLES["layers"][class_name]["h5_name"]
    entry = {"module": "keras.layers", "class_name": class_name, "config": settings(variant), "registered_name": None}
    graph = {"input_layers": [], "output_layers": [[entry["config"].get("name", ""), 0, 0]]}
    model = {"class_name": "Functional", "config": {"name": "model", "layers": [entry], **graph}}
    found = keras3.contents(index_of(saved, group), model, "3.15.1")
    tensors = {tensor.stored: tensor for tensor in found.tensors}
    assert found.notes == ()
    for item in saved:
        tensor = tensors[f"layers/{group}/{item['group']}/{item['key']}"]
        assert tensor.role == role(item) == tensor.path.rpartition("/")[2]
        assert item.get("trainable") in (None, tensor.trainable)


@pytest.mark.parametrize(("class_name", "variant", "saved", "_"), CASES, ids=[case[3] for case in CASES])
def test_roles_without_configuration(
    class_name: str, variant: dict[str, Any], saved: list[dict[str, Any]], _: str
) -> None:
    del variant
    group = ROLES["layers"][class_name]["h5_name"]
    found = {t.stored: t for t in keras3.contents(index_of(saved, group), None, None).tensors}
    for item in saved:
        tensor = found[f"layers/{group}/{item['group']}/{item['key']}"]
        alike = {"moving_mean", "moving_variance", "gamma", "beta", "scale", "concat_score_weight"}
        wrappers = class_name in ("TimeDistributed", "SpectralNormalization") and item["group"] != "vars"
        assert tensor.role == role(item) or {tensor.role, role(item)} <= alike or wrappers, (tensor, item)


@pytest.mark.parametrize(("class_name", "variant", "saved", "_"), CASES, ids=[case[3] for case in CASES])
def test_order_of_creation(class_name: str, variant: dict[str, Any], saved: list[dict[str, Any]], _: str) -> None:
    choices = variants(class_name, settings(variant) if class_name not in NO_SETTINGS else None)
    own = [item for item in saved if item["group"] == "vars"]
    if choices is None or len(own) != len(saved) or saved is not variant["saved"]:
        return  # made of other layers, or of a version whose order was not recorded
    chosen = fitting(choices, [tuple(item["shape"]) for item in own])
    assert chosen is not None
    wanted = [name.rpartition("/")[2] for name in variant["creation_order"]]
    created = [
        v.name.replace("quantized_kernel", "kernel").replace("kernel_zero", "zero_point") for v in chosen.created
    ]
    memory_only = {"zero_point", "idf_weights"}  # never in the list of one of the two
    ours = [name for name in created if name not in memory_only and (name != "g_idx" or "g_idx" in wanted)]
    theirs = [name.replace("kernel_zero", "zero_point") for name in wanted]
    theirs = [name for name in theirs if name not in memory_only and (name != "g_idx" or "g_idx" in created)]
    assert ours == theirs


@pytest.mark.parametrize("class_name", sorted(ROLES["no_variables"]))
def test_classes_without_variables(class_name: str) -> None:
    choices = variants(class_name, None)
    assert choices is not None
    assert choices[0].saved == ()


@pytest.mark.parametrize("class_name", sorted(ROLES["layers"]))
def test_names_of_groups(class_name: str) -> None:
    group = ROLES["layers"][class_name]["h5_name"]
    assert snake_case(class_name) == group
    assert built_in(ROLES["layers"][class_name]["python_class"]) == class_name
    assert class_of_group(group) == class_of_group(f"{group}_12") == class_name


def test_classes_of_authors() -> None:
    assert snake_case("AutoRotDense") == "auto_rot_dense"
    assert class_of_group("my_own_dense") is None
    assert variants("AutoRotDense", {}) is None
    for name, own_class in product(("0", "attention_W", "mix_weight", "kernel_q"), (True, False)):
        roles = [role_of(shape, name, own_class) for shape in ((2, 3), (2,), ())]
        assert roles == ["kernel", "bias", "unknown"]
    assert role_of((2,), "moving_mean_1", own_class=True) == "moving_mean"
    assert [role_of((2,), "gamma", own_class) for own_class in (True, False)] == ["bias", "gamma"]


def test_sequential_configurations_of_keras_2_1() -> None:
    root, _ = read_architecture(
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "a"}}]}
    )
    assert [child.name for child in root.children] == ["a"]


def test_the_backward_layer_takes_its_name_from_the_forward_one() -> None:
    config = {"name": "bi", "layer": layer("LSTM(3)")}
    entry = {"module": "keras.layers", "class_name": "Bidirectional", "config": config}
    root, _ = read_architecture({"class_name": "Sequential", "config": {"layers": [entry]}})
    assert [node.name for node in root.children[0].children] == ["forward_lstm", "backward_lstm"]
    assert re.fullmatch(r"\w+_cell", root.children[0].children[0].children[0].name)
