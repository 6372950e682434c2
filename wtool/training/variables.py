"""The variables of a live model, with the paths that the tensors of its file have, and chosen like these."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import keras
from keras.src.saving import saving_lib

from wtool.checkpoint.model import Tensor
from wtool.dtypes import Array, dtype_of
from wtool.run.selection import by_role


def chosen(model: Any, include: Sequence[str], exclude: Sequence[str], weights: bool, biases: bool) -> dict[str, Any]:
    """Returns path -> Keras variable of the selected variables; see `run.selection.by_role` for the arguments.

    Raises:
        Usage: a pattern matches nothing.
    """
    found = variables_by_path(model)
    tensors = [_described(path, layer, variable) for path, (layer, variable) in found.items()]
    return {tensor.path: found[tensor.path][1] for tensor in by_role(tensors, include, exclude, weights, biases)}


def variables_by_path(model: Any) -> dict[str, tuple[Any, Any]]:
    """Returns path (`encoder/dense_1/kernel`, as in files) -> (layer, variable), each variable once, in model order."""
    found: dict[str, tuple[Any, Any]] = {}
    seen: set[int] = set()
    for place, layer in _layers(model, ""):
        inside = {id(variable) for part in _parts(layer) for variable in part.weights}
        for variable in layer.weights:
            if id(variable) in inside or id(variable) in seen:
                continue
            seen.add(id(variable))
            path = f"{place}/{variable.name}".strip("/")
            found[_free(path, found)] = (layer, variable)
    return found


def _free(path: str, taken: Container[str]) -> str:
    """Returns a path that is not taken: the given one, with a number where a layer has more variables of one name."""
    names = (f"{path}_{number}" for number in count(1))
    return path if path not in taken else next(name for name in names if name not in taken)


def in_order(model: Any) -> list[Any]:
    """Returns all variables, each once, in an order that all models of one architecture share."""
    return [variable for _, variable in variables_by_path(model).values()]


def by_place(model: Any) -> dict[str, Any]:
    """Returns place in a `.keras` file (`layers/dense/vars/0`) -> variable, as Keras would save the model."""
    store = _Places()
    saving_lib._save_state(model, store, None, "", set())
    return {place: value for place, value in store.found.items() if hasattr(value, "assign")}


class _Places(saving_lib.NpzIOStore):
    """A store that keeps the saved variables themselves, not their values; Keras takes its class for a store."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def make(self, path: str, metadata: Any = None) -> _Place:
        """Returns the mapping into which one layer saves its variables."""
        return _Place(self.found, f"{path}/vars".lstrip("/"))

    def __bool__(self) -> bool:
        return True


class _Place(dict[str, Any]):
    def __init__(self, found: dict[str, Any], place: str) -> None:
        super().__init__()
        self._found = found
        self._place = place

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._found[f"{self._place}/{name}"] = value


def values(variables: Mapping[str, Any]) -> dict[str, Array]:
    """Returns path -> a copy of the variable's values, in its own dtype."""
    return {path: array(variable) for path, variable in variables.items()}


def array(variable: Any) -> Array:
    """Returns a copy of a variable's values in its own dtype; Keras's own conversion widens bfloat16."""
    found: Array = keras.ops.convert_to_numpy(variable).astype(dtype_of(variable.dtype))
    return found


def _layers(layer: Any, place: str) -> Iterator[tuple[str, Any]]:
    yield place, layer
    for part in _parts(layer):
        yield from _layers(part, f"{place}/{part.name}".strip("/"))


def _parts(layer: Any) -> list[Any]:
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _described(path: str, layer: Any, variable: Any) -> Tensor:
    return Tensor(
        path=path,
        role=variable.name,
        layer=path.rpartition("/")[0],
        layer_class=type(layer).__name__,
        trainable=variable.trainable,
        shape=tuple(variable.shape),
        dtype=variable.dtype,
        stored=path,
        offset=0,
        nbytes=0,
    )
