"""A model with the weights of another file: by path, or by a table of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array, dtype_of, is_floating
from wtool.errors import Usage
from wtool.io.addresses import text_of
from wtool.ops.conversion import Conversion, Recipe, kept_model
from wtool.ops.convert_options import Convert
from wtool.ops.convert_words import entry_in
from wtool.ops.converted import Unconvertible
from wtool.schema.upgrade.upgraded import Change, Wishes
from wtool.transforms.transposing import transposed, transposed_shape
from wtool.values import dataclass

RULE = "weights"
"""What tables of changes and refusals call the rules of this module."""


@dataclass(frozen=True, slots=True)
class Filling:
    """How a model gets the weights of another file.

    Attributes:
        model: path of the model.
        names: name of a tensor in the file -> path of the variable that it fills; None leaves the tensor out. A tensor
            that is not named fills the variable at its own path.
        names_hash: content hash of the file with these names; None where there is none.
        transposed: patterns of names or paths, of kernels that stand as PyTorch has them.
    """

    model: str
    names: Mapping[str, str | None]
    names_hash: str | None
    transposed: tuple[str, ...]


def filling_of(options: Convert) -> Filling | None:
    """Returns how a model gets the weights of the files, if a model is named.

    Raises:
        Usage: words that do not go together.
        WtoolError: the table of names cannot be read, or is none.
    """
    others = {"--map": options.map is not None, "--transpose": bool(options.transpose)}
    if options.like is None:
        if any(others.values()):
            raise Usage(
                f"{' and '.join(name for name, is_given in others.items() if is_given)}: only with --like MODEL"
            )
        return None
    own = (options.replace, options.rename, options.attribute, options.input_shape, options.architecture)
    if any(own):
        raise Usage("--like takes all but the weights from its model: only --map and --transpose go with it")
    names, told = (None, None) if options.map is None else entry_in(options.map)
    for name, path in (names or {}).items():
        if path is not None and not isinstance(path, str):
            raise Usage(f"{name!r} has {path!r:.40} where a path, or null, is expected", text_of(options.map or ""))
    return Filling(text_of(options.like), names or {}, told, tuple(options.transpose))


def filled_model(model: Checkpoint, weights: Checkpoint, filling: Filling, recipe: Recipe) -> Conversion:
    """Returns a model with the weights of another file in place of its own; its optimizer starts anew.

    Args:
        model: a whole model of Keras 3, open as long as the result is being made.
        weights: the other file, open as long.
        filling: which tensor becomes which variable.
        recipe: the format of the result.

    Raises:
        Unconvertible: tensors and variables do not fit together; all misfits are told at once.
    """
    if model.config is None or is_old(model):
        what = "weights alone" if model.config is None else "a model of Keras 2; convert it first"
        raise Unconvertible(f"--like names a whole model of Keras 3, and {model.name} is {what}")
    sources, changes, refused, either_way = _fitted(model, weights, filling)
    if refused:
        more = f"; and {len(refused) - 1:,} more" if len(refused) > 1 else ""
        raise Unconvertible(f"its tensors are not those of {model.name}: {refused[0].text}{more}", refused)
    made = kept_model(model, replace(recipe, wishes=Wishes(), optimizer="drop"))
    dropped = ["the state of the optimizer is left out: it was of other weights"] if model.slots else []
    notes = (*made.notes, *dropped, *either_way)
    return replace(made, composition=replace(made.composition, variables=sources), changes=changes, notes=notes)


Fitted = tuple[dict[str, Tensor | Fresh], tuple[Change, ...], tuple[Change, ...], tuple[str, ...]]


def _fitted(model: Checkpoint, weights: Checkpoint, filling: Filling) -> Fitted:
    """Returns path of each variable -> what fills it; what is done; what does not fit; what fits both ways."""
    variables = {each.path: each for each in model.weights if each.copy_of is None}
    refused = list(_unknown(weights, filling))
    taken: dict[str, Tensor] = {}
    for tensor in weights.weights:
        path = filling.names.get(tensor.path, tensor.path)
        if path in taken:
            refused.append(_stray(tensor, f"{path} would be filled by it and by {taken[path].path}"))
        elif path is not None and path not in variables:
            refused.append(_stray(tensor, f"the model has no variable {path}; --map gives it another path, or null"))
        elif path is not None:
            taken[path] = tensor
    sources: dict[str, Tensor | Fresh] = {}
    changes: list[Change] = []
    either_way: list[str] = []
    for path, variable in variables.items():
        if path not in taken:
            refused.append(_change(variable, f"no tensor fills {path} ({_shape(variable.shape)})"))
            continue
        is_turned = any(_matches(taken[path], path, pattern) for pattern in filling.transposed)
        if misfit := _difference(taken[path], variable, is_turned):
            refused.append(_change(variable, misfit))
            continue
        sources[path] = _source(weights, taken[path], variable, is_turned)
        changes += _told(taken[path], variable, is_turned)
        is_square = len(variable.shape) > 1 and transposed_shape(variable.shape, variable.shape) == variable.shape
        if is_square and filling.transposed and not is_turned:
            either_way.append(
                f"{path} is {_shape(variable.shape)} and taken as it is; --transpose '{taken[path].path}' turns it"
            )
    return sources, tuple(changes), tuple(refused), tuple(either_way)


def _unknown(weights: Checkpoint, filling: Filling) -> Iterator[Change]:
    """Yields names and patterns that are those of no tensor."""
    names = {each.path for each in weights.weights}
    for name in filling.names:
        if name not in names:
            yield Change(name, "", RULE, f"--map names {name}, which is not in the file")
    paths = [(each, filling.names.get(each.path, each.path)) for each in weights.weights]
    for pattern in filling.transposed:
        if not any(_matches(tensor, path or "", pattern) for tensor, path in paths):
            yield Change(pattern, "", RULE, f"--transpose {pattern} matches no tensor")


def _matches(tensor: Tensor, path: str, pattern: str) -> bool:
    """Returns whether a pattern is one of the name that a tensor has in the file, or of the path of its variable."""
    return fnmatchcase(tensor.path, pattern) or fnmatchcase(path, pattern)


def _difference(tensor: Tensor, variable: Tensor, is_turned: bool) -> str | None:
    """Returns why a tensor cannot fill a variable; None where it can."""
    shape = transposed_shape(tensor.shape, variable.shape) if is_turned else tensor.shape
    if shape != variable.shape:
        turned = transposed_shape(tensor.shape, variable.shape) == variable.shape
        way_out = f"; --transpose '{tensor.path}' turns it" if turned and not is_turned else ""
        now = "after its transposition " if is_turned else ""
        return f"{tensor.path} is {now}{_shape(shape)}, and {variable.path} is {_shape(variable.shape)}{way_out}"
    if tensor.dtype != variable.dtype and not _is_exact(tensor.dtype, variable.dtype):
        return f"{tensor.path} holds {tensor.dtype}, and {variable.path} {variable.dtype}, which cannot hold all of it"
    return None


def _is_exact(dtype: str, wanted: str) -> bool:
    """Returns whether one floating type holds all values of another."""
    import numpy as np

    return is_floating(dtype) and is_floating(wanted) and np.can_cast(dtype_of(dtype), dtype_of(wanted), "safe")


def _source(weights: Checkpoint, tensor: Tensor, variable: Tensor, is_turned: bool) -> Fresh:
    make = partial(_made, weights, tensor, variable, is_turned)
    block = None if is_turned else partial(_block, weights, tensor, variable)
    return Fresh(variable.shape, variable.dtype, make, block, variable)


def _made(weights: Checkpoint, tensor: Tensor, variable: Tensor, is_turned: bool) -> Array:
    values = weights.read(tensor)
    return (transposed(values, variable.shape) if is_turned else values).astype(dtype_of(variable.dtype), order="C")


def _block(weights: Checkpoint, tensor: Tensor, variable: Tensor, start: int, stop: int) -> Array:
    return weights.read_range(tensor, start, stop).astype(dtype_of(variable.dtype), copy=False)


def _told(tensor: Tensor, variable: Tensor, is_turned: bool) -> Iterator[Change]:
    """Yields what is done to a tensor, if anything is."""
    done: Sequence[str] = [
        *([f"comes from {tensor.path}"] if tensor.path != variable.path else []),
        *([f"is {_shape(variable.shape)}, of {_shape(tensor.shape)} transposed"] if is_turned and tensor.shape else []),
        *([f"is {variable.dtype}, of {tensor.dtype}"] if tensor.dtype != variable.dtype else []),
    ]
    if done:
        yield _change(variable, f"{variable.path} {', '.join(done)}")


def _stray(tensor: Tensor, text: str) -> Change:
    """Returns what is said of a tensor in the file that belongs to no layer of the model."""
    return Change(tensor.path, "", RULE, text)


def _change(tensor: Tensor, text: str) -> Change:
    return Change(tensor.layer, tensor.layer_class or "", RULE, text)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single value"
