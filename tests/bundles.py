"""Checkpoints and SavedModels as TensorFlow and Keras 2 write them, made without either: good ones and bad ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = bytes.fromhex("57fb808b247547db")
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
Tree = Mapping[str, Any]
"""Name -> array, or the tree of the object of that name."""


@cache
def table() -> list[int]:
    """The CRC-32C of each byte, from the polynomial's definition."""
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        found.append(byte)
    return found


def crc32c(data: bytes, running: int = 0) -> int:
    """CRC-32C, byte by byte."""
    state = running ^ 0xFFFFFFFF
    for byte in data:
        state = table()[(state ^ byte) & 255] ^ state >> 8
    return state ^ 0xFFFFFFFF


def masked(crc: int) -> bytes:
    """A CRC as files store it."""
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def varint(number: int) -> bytes:
    """A number of variable length."""
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of a message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A block of a table, with its kind and its checksum."""
    data, before = b"", b""
    for key, value in entries:
        shared = next((at for at, pair in enumerate(zip(key, before, strict=False)) if pair[0] != pair[1]), 0)
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    data += bytes(4) + (1).to_bytes(4, "little") + b"\0"
    return data + masked(crc32c(data))


def sorted_table(entries: Sequence[tuple[bytes, bytes]], at_once: int = 3) -> bytes:
    """A table of sorted strings, in blocks of a few entries."""
    data, index = b"", []
    for start in range(0, len(entries), at_once):
        some = entries[start : start + at_once]
        made = block(some)
        index.append((some[-1][0], varint(len(data)) + varint(len(made) - 5)))
        data += made
    other, own = block([]), block(index)
    places = varint(len(data)) + varint(len(other) - 5) + varint(len(data) + len(other)) + varint(len(own) - 5)
    return data + other + own + places.ljust(40, b"\0") + MAGIC


def entry(dtype: int, shape: Sequence[int], offset: int, data: bytes, crc: bytes = b"", shard: int = 0) -> bytes:
    """The entry of a tensor in the index."""
    sizes = b"".join(field(2, field(1, size)) for size in shape)
    place = (field(3, shard) if shard else b"") + (field(4, offset) if offset else b"") + field(5, len(data))
    return field(1, dtype) + field(2, sizes) + place + varint(6 << 3 | 5) + (crc or masked(crc32c(data)))


def text(value: bytes) -> tuple[bytes, bytes]:
    """The bytes of a text among the tensors, and their checksum."""
    size = len(value).to_bytes(4, "little")
    check = masked(crc32c(size))
    return varint(len(value)) + check + value, masked(crc32c(value, crc32c(check, crc32c(size))))


def objects(tree: Tree, slots: Sequence[tuple[str, str, str]] = ()) -> tuple[bytes, dict[str, np.ndarray[Any, Any]]]:
    """The object graph of a tree, and key -> array.

    Args:
        tree: of the objects.
        slots: path of a weight, name of the slot, path of the slot's variable, for the object `optimizer`.
    """
    nodes: list[tuple[list[tuple[str, int]], bytes]] = []
    arrays, numbers = {}, {}

    def add(value: Any, path: str) -> int:
        number = len(nodes)
        numbers[path] = number
        nodes.append(([], b""))
        if isinstance(value, Mapping):
            for name, inner in value.items():
                nodes[number][0].append((name, add(inner, f"{path}/{name}".strip("/"))))
        else:
            key = f"{path}/.ATTRIBUTES/VARIABLE_VALUE"
            arrays[key] = np.asarray(value)
            nodes[number] = ([], field(1, "VARIABLE_VALUE") + field(2, path) + field(3, key))
        return number

    add(tree, "")
    graph = b""
    for number, (children, attribute) in enumerate(nodes):
        node = b"".join(field(1, field(1, child) + field(2, name)) for name, child in children)
        node += field(2, attribute) if attribute else b""
        if number == numbers.get("optimizer"):
            told = ((numbers[weight], name, numbers[variable]) for weight, name, variable in slots)
            node += b"".join(field(3, field(1, one) + field(2, name) + field(3, other)) for one, name, other in told)
        graph += field(1, node)
    return graph, arrays


def write_bundle(prefix: Path, tree: Tree, slots: Sequence[tuple[str, str, str]] = (), **change: Any) -> Path:
    """A checkpoint; gives the path of its index.

    Args:
        prefix: of its files.
        tree: of its objects.
        slots: see `objects`.
        change: `header` or `graph` in place of the right one; `entries`, which are changed last.
    """
    graph, arrays = objects(tree, slots)
    stored, crc = text(change.get("graph", graph))
    entries = {"": change.get("header", field(1, 1) + field(3, field(1, 1))), GRAPH: entry(7, (), 0, stored, crc)}
    data = stored
    for key, array in sorted(arrays.items()):
        entries[key] = entry(DTYPES[array.dtype.name], array.shape, len(data), array.tobytes())
        data += array.tobytes()
    change.get("entries", lambda known: None)(entries)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    path = Path(f"{prefix}.index")
    path.write_bytes(sorted_table([(key.encode(), value) for key, value in sorted(entries.items())]))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    return path


def saved_nodes(model: Mapping[str, Any], layers: Sequence[tuple[int, str, Mapping[str, Any]]] = ()) -> bytes:
    """The bytes of `keras_metadata.pb`.

    Args:
        model: metadata of the model, and its `identifier`.
        layers: number, path and metadata of each layer.
    """
    told = {name: value for name, value in model.items() if name != "identifier"}
    found = field(1, field(3, "root") + field(4, model["identifier"]) + field(5, json.dumps(told)))
    for number, path, metadata in layers:
        found += field(
            1, field(2, number) + field(3, path) + field(4, "_tf_keras_layer") + field(5, json.dumps(metadata))
        )
    return found


def saved_objects(model: Mapping[str, Any], layers: int = 0) -> bytes:
    """The bytes of `saved_model.pb` as TensorFlow 2.4 wrote them, with what Keras tells of a model in its objects.

    Args:
        model: metadata of the model, and its `identifier`.
        layers: number of the layers.
    """
    told = json.dumps({name: value for name, value in model.items() if name != "identifier"})
    user = field(4, field(1, model["identifier"]) + field(3, told))
    objects = field(1, user) + field(1, field(7, b"")) * layers
    return field(1, 1) + field(2, field(2, b"the graph") + field(7, objects))


def sequential(*sizes: int, name: str = "model") -> dict[str, Any]:
    """The architecture of a Sequential model of Keras 2 with Dense layers `d0`, `d1`, ..., of these sizes."""
    shape = {"batch_input_shape": [None, sizes[0]], "dtype": "float32", "sparse": False, "ragged": False}
    layers: list[dict[str, Any]] = [{"class_name": "InputLayer", "config": {**shape, "name": "input"}}]
    for number, size in enumerate(sizes[1:]):
        config = {"name": f"d{number}", "trainable": True, "dtype": "float32", "units": size, "activation": "linear"}
        layers.append({"class_name": "Dense", "config": {**config, "use_bias": True}})
    return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}


def dense_tree(*sizes: int, seed: int = 0) -> dict[str, Any]:
    """The objects of the model of `sequential`, with random values."""
    generator = np.random.default_rng(seed)
    tree = {}
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        kernel = generator.normal(size=(rows, columns)).astype(np.float32)
        tree[f"layer-{number}"] = {"kernel": kernel, "bias": generator.normal(size=columns).astype(np.float32)}
    return tree


def write_saved_model(folder: Path, *sizes: int, **metadata: Any) -> Path:
    """The folder of a SavedModel with Dense layers; `metadata` are further words of the model's, or other ones."""
    write_bundle(folder / "variables" / "variables", dense_tree(*sizes))
    model = {
        "identifier": "_tf_keras_sequential",
        "class_name": "Sequential",
        "keras_version": "2.10.0",
        "model_config": sequential(*sizes),
        **metadata,
    }
    (folder / "keras_metadata.pb").write_bytes(saved_nodes(model))
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    return folder
