"""Files whose names and orders were mixed up, and where Keras 3 and tf_keras load their weights.

    python -m tests.fuzz_orders CASES [SEED]

Random models are built and saved by either Keras; then layers, weights, groups and configurations change their order or
their names. All arrays have distinct values, and most have the same shape, so that Keras loads nearly every file; where
each value ends up is what wtool has to say, unless it refuses the file.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np

from wtool.checkpoint.layouts import keras3, legacy
from wtool.checkpoint.model import Contents
from wtool.errors import Refused
from wtool.hdf5.reader import read_index

SHAPE = (3, 4)
FILES_OF_A_MODEL = 25
PART = 100
DEPTH = 2  # models inside the outermost
Group = Any


@dataclass
class Summary:
    """What became of the cases, and those that failed."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


# --- models ---


class Builder:
    """Random models of one Keras, whose tensors all have one shape."""

    def __init__(self, keras: Any, generator: random.Random) -> None:
        self.keras, self.layers, self.random = keras, keras.layers, generator
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"{self.random.choice('abcdefgh')}{self.count}"

    def layer(self, depth: int) -> Any:
        """A layer, which may be a wrapper or a model."""
        layers, name = self.layers, self.name()
        kinds: list[Callable[[], Any]] = [
            lambda: layers.Dense(4, name=name),
            lambda: layers.Dense(4, use_bias=False, name=name),
            lambda: layers.Conv1D(4, 1, name=name),
            lambda: layers.BatchNormalization(name=name),
            lambda: layers.LayerNormalization(name=name),
            lambda: layers.Dropout(0.1, name=name),
            lambda: layers.SimpleRNN(4, return_sequences=True, name=name),
            lambda: layers.TimeDistributed(layers.Dense(4, name=self.name()), name=name),
            lambda: layers.Bidirectional(
                layers.SimpleRNN(4, return_sequences=True, name=self.name()), merge_mode="sum", name=name
            ),
            lambda: Attention(layers.MultiHeadAttention(1, 4, name=name)),
        ]
        if self.keras.__name__ == "keras":  # that of tf_keras cannot be put into a Sequential model
            kinds.append(lambda: layers.SpectralNormalization(layers.Dense(4, name=self.name()), name=name))
        if depth:
            kinds += [lambda: self.model(depth - 1, name), lambda: self.chain(depth - 1, name)] * 3
        return self.random.choice(kinds)()

    def chain(self, depth: int, name: str) -> Any:
        made = [self.layer(depth) for _ in range(self.random.randint(1, 4))]
        made = [each for each in made if not isinstance(each, Attention)]
        return self.keras.Sequential([self.keras.Input(SHAPE), *made], name=name)

    def model(self, depth: int, name: str) -> Any:
        """A functional model whose layers branch, meet again and are used twice."""
        outermost = depth == DEPTH
        tensors = [
            self.keras.Input(SHAPE, name=self.name()) for _ in range(self.random.choice([1, 1, 2]) if outermost else 1)
        ]
        inputs, used = list(tensors), []
        for _ in range(self.random.randint(2, 6)):
            layer = self.random.choice(used) if used and self.random.random() < 0.15 else self.layer(depth)
            used.append(layer)
            tensor = layer(self.random.choice(tensors[-3:]))
            if self.random.random() < 0.4:
                tensor = self.layers.Add(name=self.name())([tensor, self.random.choice(tensors)])
            tensors.append(tensor)
        outputs: Any = tensors[-1]
        if not outermost or self.random.random() < 0.5:
            last = self.layers.Add(name=self.name())(tensors)
            outputs = last
        elif self.random.random() < 0.3:
            outputs = tensors[-2:]
        return self.keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=name)

    def whole(self) -> Any:
        """A model with some layers frozen."""
        model = self.model(DEPTH, "whole") if self.random.random() < 0.8 else self.chain(DEPTH, "whole")
        everything = list(inside(model))
        for layer in self.random.sample(everything, k=min(len(everything), self.random.choice([0, 0, 1, 2]))):
            layer.trainable = False
        return model


class Attention:
    """A layer that takes its input twice."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, tensor: Any) -> Any:
        return self.layer(tensor, tensor)


def inside(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from inside(layer)


def variables(keras: Any, layer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every variable of a live model by its path."""
    if keras.__name__ == "tf_keras":
        own = layer._trainable_weights + layer._non_trainable_weights
        parts = layer._flatten_layers(recursive=False, include_self=False)
        names = [variable.name.rpartition("/")[2].partition(":")[0] for variable in own]
    else:
        own, parts = layer._trainable_variables + layer._non_trainable_variables, layer._layers
        names = [variable.name for variable in own]
    yield from ((f"{path}{name}", variable) for name, variable in zip(names, own, strict=True))
    for part in parts:
        yield from variables(keras, part, f"{path}{part.name}/")


# --- files ---


@dataclass
class Saved:
    """A model as it was saved: its configuration, and the bytes of its weights with distinct values."""

    keras: Any
    model: Any
    older: bool
    version: str
    config: dict[str, Any]
    weights: bytes

    def index(self, weights: bytes) -> Any:
        return read_index(lambda offset, size: weights[offset : offset + size], len(weights))

    def contents(self, config: dict[str, Any], weights: bytes) -> Contents:
        if self.older:
            return legacy.contents(self.index(weights), config, None, self.version)
        return keras3.contents(self.index(weights), config, self.version)


def save(keras: Any, model: Any, older: bool, folder: Path) -> Saved:
    import zipfile

    path = folder / ("m.h5" if older else "m.keras")
    model.save(path)
    if older:
        with h5py.File(path) as file:
            config, version = json.loads(file.attrs["model_config"]), str(file.attrs["keras_version"])
        weights = path.read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            config, weights = json.loads(archive.read("config.json")), archive.read("model.weights.h5")
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    return Saved(keras, model, older, version, config, changed(weights, number))


def changed(weights: bytes, change: Callable[[Group], None]) -> bytes:
    buffer = io.BytesIO(weights)
    with h5py.File(buffer, "r+", libver="earliest") as file:
        change(file)
    return buffer.getvalue()


def arrays(file: Group) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, each: found.append(name) if isinstance(each, h5py.Dataset) else None)
    return found


def number(file: Group) -> None:
    for position, name in enumerate(arrays(file), 1):
        file[name][...] = position


# --- what is mixed up ---


def nothing(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """As it was saved."""


def _lists(file: Group, name: str) -> list[Group]:
    found = []
    file.visititems(lambda _, each: found.append(each) if name in each.attrs and len(each.attrs[name]) > 1 else None)
    return found


def _mix(generator: random.Random, items: list[Any]) -> list[Any]:
    """Two change places, or all do."""
    items = list(items)
    if generator.random() < 0.5 and len(items) > 1:
        a, b = generator.sample(range(len(items)), 2)
        items[a], items[b] = items[b], items[a]
    else:
        generator.shuffle(items)
    return items


def listed(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """`layer_names` or `weight_names` in another order."""
    groups = _lists(file, "layer_names") + _lists(file, "weight_names") * 2
    if groups:
        group = generator.choice(groups)
        name = "layer_names" if "layer_names" in group.attrs else "weight_names"
        group.attrs[name] = _mix(generator, list(group.attrs[name]))


def left_out(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """A layer or weight that is not listed."""
    groups = _lists(file, "layer_names") + _lists(file, "weight_names")
    if groups:
        group = generator.choice(groups)
        name = "layer_names" if "layer_names" in group.attrs else "weight_names"
        names = list(group.attrs[name])
        names.pop(generator.randrange(len(names)))
        group.attrs[name] = names


def groups_renamed(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """Two groups or arrays with each other's names, or one with a new name."""
    groups = [file]
    file.visititems(lambda _, each: groups.append(each) if isinstance(each, h5py.Group) else None)
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return
    group = generator.choice(groups)
    first, second = generator.sample(list(group), 2)
    if generator.random() < 0.7:
        group.move(first, "between")
        group.move(second, first)
        group.move("between", second)
    else:
        with suppress(ValueError):
            group.move(first, generator.choice([f"{second}_1", f"{first}_7", f"_{first}", "x"]))


def names_of_groups(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """The names that Keras 3 notes beside variables: mixed, or gone."""
    named: list[Group] = []
    file.visititems(lambda _, each: named.append(each) if "name" in each.attrs else None)
    names = _mix(generator, [group.attrs["name"] for group in named])
    for group, name in zip(named, names, strict=True):
        if generator.random() < 0.5:
            group.attrs["name"] = name
        else:
            del group.attrs["name"]


def unnamed_and_ordered(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """No names beside variables, and layers in another order."""
    file.visititems(lambda _, each: each.attrs.pop("name", None))
    ordered(generator, config, file)


def models(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every list of layers in a configuration."""
    found, waiting = [], [config]
    while waiting:
        settings = waiting.pop().get("config")
        if isinstance(settings, dict) and isinstance(settings.get("layers"), list):
            found.append(settings)
            waiting += settings["layers"]
    return found


def ordered(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """The layers of a functional model in another order: Keras does not mind."""
    functional = [each for each in models(config) if "input_layers" in each]
    if functional:
        settings = generator.choice(functional)
        settings["layers"] = _mix(generator, settings["layers"])


def copied(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """A group twice, under a name that some version uses."""
    top = [name for name in ("layers", "_layer_checkpoint_dependencies") if name in file]
    other = generator.choice(["layers", "_layer_checkpoint_dependencies", "model_weights"])
    source = generator.choice([*top, *file]) if len(file) else None
    if source is not None and other not in file:
        file.copy(source, other)


def frozen(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """A layer's `trainable` is another: it decides the order of weights."""
    settings = [entry["config"] for each in models(config) for entry in each["layers"] if "config" in entry]
    chosen = generator.choice(settings) if settings else {}
    if "trainable" in chosen:
        chosen["trainable"] = not chosen["trainable"]


def two(generator: random.Random, config: dict[str, Any], file: Group) -> None:
    """Two of these."""
    for change in generator.sample([listed, groups_renamed, names_of_groups, ordered, frozen], 2):
        change(generator, config, file)


CHANGES = (
    nothing, listed, listed, left_out, groups_renamed, names_of_groups, unnamed_and_ordered, ordered, copied, frozen,
    two,
)  # fmt: skip


# --- readers ---


def as_loaded(saved: Saved, config: dict[str, Any], weights: bytes) -> dict[str, float] | None:
    """Which value every variable has once Keras has loaded it; None if Keras does not load it."""
    model = saved.model
    try:
        if config != saved.config or saved.model.built is None:
            model = rebuilt(saved, config)
        every = {id(variable): (path, variable) for path, variable in variables(saved.keras, model)}
        live = dict(every.values())  # a wrapper's copy is the variable of the layer inside
        for variable in live.values():
            variable.assign(np.zeros(variable.shape, "f4"))
        load(saved, model, weights)
    except Exception:
        return None
    return {path: float(np.mean(variable.numpy())) for path, variable in live.items()}


def rebuilt(saved: Saved, config: dict[str, Any]) -> Any:
    config = deepcopy(config)
    if saved.keras.__name__ == "tf_keras":
        if saved.older:
            return saved.keras.layers.deserialize(config)
        return saved.keras.saving.deserialize_keras_object(config)
    if not saved.older:
        return saved.keras.saving.deserialize_keras_object(config)
    from keras.src.legacy.saving import saving_options, saving_utils

    with saving_options.keras_option_scope(use_legacy_config=True):
        return saving_utils.model_from_config(config)


def load(saved: Saved, model: Any, weights: bytes) -> None:
    """With Keras's own functions, as `load_model` calls them."""
    if saved.older:
        if saved.keras.__name__ == "tf_keras":
            from tf_keras.src.saving.legacy import hdf5_format as older
        else:
            from keras.src.legacy.saving import legacy_h5_format as older
        with h5py.File(io.BytesIO(weights)) as file:
            older.load_weights_from_hdf5_group(file["model_weights"], model)
        return
    if saved.keras.__name__ == "tf_keras":
        from tf_keras.src.saving import saving_lib

        store = saving_lib.H5IOStore(io.BytesIO(weights), mode="r")
        saving_lib._load_state(model, store, None, "", visited_trackables=set())
        store.close()
        return
    from keras.src.saving import saving_lib as newer

    store = newer.H5IOStore(io.BytesIO(weights), mode="r")
    failed: set[int] = set()
    newer._load_state(model, store, None, "", visited_saveables=set(), failed_saveables=failed, error_msgs={})
    store.close()
    if failed:
        raise ValueError("some layers could not be loaded")


def compare(saved: Saved, config: dict[str, Any], weights: bytes, untouched: bool) -> str:
    """One case.

    Raises:
        AssertionError: wtool tells something else than Keras loads.
    """
    truth = as_loaded(saved, config, weights)
    try:
        found = saved.contents(config, weights)
    except Refused as error:
        if untouched:
            raise AssertionError(f"refused as it was saved: {error}") from None
        return "refused, and Keras does not load it either" if truth is None else "refused"
    if truth is None:
        assert not untouched or any(note.startswith("Keras cannot load layer") for note in found.notes), "Keras fails"
        return "read, and Keras does not load it"
    with h5py.File(io.BytesIO(weights)) as file:
        told = {tensor.path: float(np.mean(file[tensor.stored][()])) for tensor in found.tensors}
    wrong = {path: (told.get(path), value) for path, value in truth.items() if told.get(path) != value}
    assert not wrong, f"told and loaded: {wrong}"
    differs = any(getattr(note, "severity", "odd") == "differs" for note in found.notes)
    assert not (untouched and differs), f"a finding as it was saved: {found.notes}"
    return "as Keras loads it, with a finding" if differs else "as Keras loads it"


def run(cases: int, seed: int) -> Summary:
    """Try so many files, always the same for one seed."""
    import keras
    import tf_keras

    summary = Summary()
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, cases, FILES_OF_A_MODEL):
            which = (keras, tf_keras)[generator.randrange(2)]
            which.backend.clear_session()
            older = generator.random() < 0.5
            saved = save(which, Builder(which, generator).whole(), older, Path(folder))
            for position in range(first, min(first + FILES_OF_A_MODEL, cases)):
                change = nothing if position == first else generator.choice(CHANGES)
                config = deepcopy(saved.config)
                weights = changed(saved.weights, lambda file: change(generator, config, file))  # noqa: B023
                kind = f"{which.__name__} {'h5' if older else 'keras'} {change.__name__}"
                try:
                    summary.counts[compare(saved, config, weights, change is nothing)] += 1
                except Exception as error:
                    summary.counts["failed"] += 1
                    summary.failures.append(
                        f"seed {seed}, case {position}, {kind}: {type(error).__name__}: {error}"[:600]
                    )
    return summary


def main() -> int:
    cases, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    counts: Counter[str] = Counter()
    for first in range(0, cases, PART):
        summary = run(min(PART, cases - first), seed * 1_000_000 + first)
        counts += summary.counts
        print("\n".join([*summary.failures, f"{min(first + PART, cases):,} of {cases:,}"]), flush=True)
    for name, count in sorted(counts.items()):
        print(f"{name}: {count:,}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
