"""A model whose kernels and embeddings are int8 codes, as `model.quantize("int8")` of Keras 3 makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from math import prod, sqrt
from typing import Any

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.structure import Fresh
from wtool.checkpoint.weight_order import owner_of
from wtool.dtypes import is_floating
from wtool.errors import Refused, a_few, counted
from wtool.ops.conversion import Recipe, kept_model
from wtool.ops.quantised_matrices import Matrix, matrix_of
from wtool.run.action import Action
from wtool.run.changes import Changes
from wtool.schema.config import Node, read_architecture
from wtool.schema.quantising import ATTENTION, Target, groupings, targets, with_quantised
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer that is quantised: where it is, and its matrices."""

    target: Target
    matrices: tuple[Matrix, ...]


def quantised(base: Checkpoint) -> Changes:
    """Returns what becomes of a model whose layers are quantised to int8 where Keras quantises them.

    Layers that Keras would not quantise, or would not load again, stay as they are and are told in notes.

    Args:
        base: the checkpoint, open as long as the result is being made.

    Raises:
        Refused: it is no whole model of Keras 3, no layer can be quantised, or weights are not finite.
    """
    config = deepcopy(_config(base))
    made = kept_model(base, Recipe(base.format, optimizer="drop")).composition
    root, _ = read_architecture(config, base.keras_version)
    found = list(targets(root))
    layers, left = _chosen(base, found)
    stay = _by_reason([*left, *_of_authors(base, root)])
    if not layers:
        raise Refused(f"no layer can be quantised: {a_few(stay or ['none is of a class that Keras quantises'])}")
    matrices = [matrix for layer in layers for matrix in layer.matrices]
    if odd := [each.tensor.path for each in matrices if not each.is_finite]:
        raise Refused(f"no code stands for the values of {a_few(odd)}, which are not finite")
    _tell(found, layers)
    composition = replace(
        made, config=config, keras_version=base.keras_version, variables=_variables(base, made, layers)
    )
    actions = {each.tensor.path: _action(each) for each in matrices}
    actions |= {slot.path: Action("removed", "is left out") for slot in base.slots}
    notes = (*_lost(base), *_errors(base, matrices), *_attention(layers), *(f"not quantised: {each}" for each in stay))
    return Changes(composition=composition, actions=actions, notes=notes)


def _action(matrix: Matrix) -> Action:
    return Action("quantised", f"becomes int8 codes with {prod(matrix.grouping.shape):,} scales")


def _config(base: Checkpoint) -> dict[str, Any]:
    """Returns the architecture of a whole model of Keras 3.

    Raises:
        Refused: it is none.
    """
    if base.config is None:
        raise Refused(
            "the file holds weights alone, and the architecture tells which layers are quantised; quantise the whole "
            "model, and `wtool convert` makes weights of the result"
        )
    if is_old(base):
        raise Refused("a model of Keras 2 has no quantised layers; `wtool convert` makes a model of Keras 3 first")
    return base.config


def _chosen(base: Checkpoint, found: Sequence[Target]) -> tuple[list[_Layer], list[tuple[str, str]]]:
    """Returns the layers that are quantised; and the names of others of such classes, with reasons."""
    own: dict[str, dict[str, Tensor]] = {}
    for tensor in base.weights:
        if tensor.copy_of is None:
            own.setdefault(tensor.layer, {})[tensor.role] = tensor
    stored = {target.node.shared for target in found if target.path in own}
    layers, left = [], []
    for target in found:
        if target.path not in own and target.node.shared and target.node.shared in stored:
            continue  # another entry of the same layer
        layer = _layer(base, target, own.get(target.path, {}))
        if isinstance(layer, str):
            left.append((f"{target.path} ({target.node.class_name})", layer))
        else:
            layers.append(layer)
    return layers, left


def _of_authors(base: Checkpoint, root: Node) -> Iterator[tuple[str, str]]:
    """Yields the names of layers of their author's classes that have matrices, with the reason why they stay."""
    nodes = dict(root.paths())
    matrices = [tensor.layer for tensor in base.weights if len(tensor.shape) > 1]
    for path in dict.fromkeys(owner_of(layer, nodes) or "" for layer in matrices):
        if nodes[path].kind is None:
            yield f"{path or 'the model'} ({nodes[path].class_name})", "its class is its author's"


def _by_reason(left: Iterable[tuple[str, str]]) -> list[str]:
    """Returns why layers are not quantised, one line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in left:
        names.setdefault(reason, []).append(name)
    return [f"{a_few(own)}: {reason}" for reason, own in names.items()]


def _layer(base: Checkpoint, target: Target, own: Mapping[str, Tensor]) -> _Layer | str:
    """Returns a layer that is quantised, after a look at the values of its matrices; or why it cannot be."""
    if target.reason is not None:
        return target.reason
    found = groupings(target, {name: tensor.shape for name, tensor in own.items()})
    if isinstance(found, str):
        return found
    dtype = target.owner.policy or "float32"
    if odd := [name for name in found if not is_floating(own[name].dtype)]:
        return f"its {odd[0]} holds {own[odd[0]].dtype}"
    has_factors = bool(target.node.config.get("lora_rank"))
    if any(name.startswith("lora_") for name in own):
        return "its LoRA factors lie beside its kernel; Keras adds them when it saves the model as .keras"
    if has_factors and dtype == "bfloat16":
        return "it has LoRA factors and computes in bfloat16"
    matrices = [matrix_of(base, own[name], dtype, grouping, has_factors) for name, grouping in found.items()]
    return _Layer(target, tuple(matrices))


def _tell(found: Sequence[Target], layers: Sequence[_Layer]) -> None:
    """Write into the settings of layers that they are quantised, in all entries of layers that are shared."""
    done = {id(layer.target.node): layer.target for layer in layers}
    shared = {layer.target.node.shared for layer in layers if layer.target.node.shared}
    parts: dict[int, list[str]] = {}
    owners = {}
    for target in found:
        if id(target.node) in done or target.node.shared in shared:
            owners[id(target.owner)] = target.owner
            parts.setdefault(id(target.owner), []).append(target.node.name)
    for number, owner in owners.items():
        settings = owner.config
        assert isinstance(settings, dict)
        settings.update(with_quantised(owner, parts[number]))


def _variables(base: Checkpoint, made: Composition, layers: Sequence[_Layer]) -> dict[str, Tensor | Fresh]:
    """Returns path of each variable of the new model -> what fills it."""
    codes = {matrix.tensor.path: matrix for layer in layers for matrix in layer.matrices}
    found: dict[str, Tensor | Fresh] = {}
    for path, source in made.variables.items():
        found[path] = source
        if path in codes:
            found[path], found[f"{path}_scale"] = codes[path].sources(base)
    return found


def _lost(base: Checkpoint) -> Iterator[str]:
    if base.slots:
        yield "the state of the optimizer is left out: it was of weights that are not trained any more"
    if (base.keras_version or "").startswith(("3.0.", "3.1.", "3.2.", "3.3.")):
        yield f"Keras {base.keras_version} saved the model, and only Keras 3.4 and newer load its codes"


def _errors(base: Checkpoint, matrices: Sequence[Matrix]) -> Iterator[str]:
    """Yields by how much rounding changes the weights: the norm of the change relative to the norm of the values."""
    sums = {each.tensor.path: each.error(base) for each in matrices}
    relative = {path: sqrt(changed / total) for path, (changed, total) in sums.items() if total}
    if not relative:
        return
    changed, total = (sum(each) for each in zip(*sums.values(), strict=True))
    worst = max(relative, key=relative.__getitem__)
    count = counted(len(sums), "matrix", "matrices")
    yield (
        f"int8 changes {count} by {sqrt(changed / total):.2%} of their norm, most {worst} ({relative[worst]:.2%}); "
        "Keras also rounds what goes into these layers"
    )


def _attention(layers: Sequence[_Layer]) -> Iterator[str]:
    owners = {each.target.path.rpartition("/")[0] for each in layers if each.target.owner.kind in ATTENTION}
    if owners:
        yield (
            f"Keras loads and runs quantised attention ({a_few(sorted(owners))}), but cannot save such a model again; "
            "keep the original"
        )
