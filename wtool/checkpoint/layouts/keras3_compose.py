"""A composed model in the layout of Keras 3: the groups of its layers, and the order of the variables in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts.keras3_custom import CustomLayers
from wtool.checkpoint.layouts.keras3_lora import with_merged_factors
from wtool.checkpoint.layouts.keras3_places import Place, places
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.optimizer.composed import INNER, OUTER
from wtool.checkpoint.structure import Fresh
from wtool.checkpoint.weight_order import owner_of
from wtool.errors import Refused, a_few
from wtool.schema.config import COMPILED, inside, read_architecture
from wtool.schema.layers import MATRICES, Variables
from wtool.schema.optimizer_settings import WRAPPING, Settings, inner_settings, scales_loss, settings_of

Sources = Mapping[str, Tensor | Fresh]


def outline_of(base: Checkpoint, composition: Composition) -> Outline:
    """Returns the HDF5 file of a composed model, as the member of a `.keras` archive or as a `.weights.h5`.

    Args:
        base: the checkpoint of whose tensors the model is composed.
        composition: the model.

    Raises:
        Refused: the architecture has variables that the composition lacks, or the other way round.
    """
    if composition.config is None:
        raise Refused("it has no architecture, only weights; the layout of Keras 3 needs one")
    root, _ = read_architecture(composition.config, composition.keras_version)
    layers = list(places(root))
    given = _by_layer(composition.variables, layers)
    elsewhere = _stored_elsewhere(layers, given)
    outline, custom, faults = Outline(), CustomLayers(base, composition), []
    for place in layers:
        if place.path in elsewhere:
            continue
        outline.skeleton.groups[place.variables] = _named(place.node.name)
        if place.node.variants is None:
            faults += custom.add(outline, place, given.get(place.path, {}))
        else:
            faults += _add_layer(outline, base, place, given)
    if faults:
        raise Refused(a_few(faults))
    _add_optimizer(outline, base, composition)
    return outline


def _add_layer(outline: Outline, base: Checkpoint, place: Place, given: Mapping[str, Sources]) -> list[str]:
    """Add the variables of a layer of a known class; returns what keeps the layer from being written, in words."""
    who, alpha = f"layer {place.path} ({place.node.class_name})", place.node.config.get("lora_alpha")
    own = with_merged_factors(base, who, alpha, given.get(place.path, {}))
    chosen = own if isinstance(own, str) else _chosen(place, own)
    if isinstance(own, str) or isinstance(chosen, str):
        return [str(chosen)]
    for key, variable in zip(chosen.keys, chosen.saved, strict=True):
        source = own.get(variable.name)
        if source is None:
            source = _original(chosen, variable.name, place, given)
        outline.add(f"{place.variables}/{key}", source, inside(place.path, variable.name))
    return []


def _by_layer(variables: Sources, layers: Sequence[Place]) -> dict[str, dict[str, Tensor | Fresh]]:
    """Returns path of a layer -> its variables: path inside the layer -> what fills the variable."""
    counts = Counter(place.path for place in layers)
    given: dict[str, dict[str, Tensor | Fresh]] = {}
    for path, source in variables.items():
        owner = owner_of(path.rpartition("/")[0], counts) or ""
        given.setdefault(owner, {})[path[len(owner) :].lstrip("/")] = source
    if twice := [path for path in given if counts[path] > 1]:
        names = a_few([path or "that of the model" for path in twice])
        raise Refused(f"two layers have the path {names}, and their variables cannot be told apart")
    return given


def _stored_elsewhere(layers: Sequence[Place], given: Mapping[str, Sources]) -> frozenset[str]:
    """Returns the paths of layers that another entry stands for as well, under which their variables are given.

    Keras makes one layer of all entries with one number, and stores the layer once.
    """
    alike: dict[tuple[str | float | None, ...], list[Place]] = {}
    for place in layers:
        if place.node.shared:
            alike.setdefault(place.node.shared, []).append(place)
    found: set[str] = set()
    for each in alike.values():
        inner = {place.path: [path for path, _ in place.node.paths(place.path)] for place in each if len(each) > 1}
        bare = [path for path, below in inner.items() if not any(one in given for one in below)]
        if len(bare) < len(inner):
            found.update(one for path in bare for one in inner[path])
    return frozenset(found)


def _chosen(place: Place, own: Sources) -> Variables | str:
    """Returns the set of variables that a layer is given, or what is wrong with the ones given."""
    assert place.node.variants is not None
    for choice in place.node.variants:
        aliases = {variable.name for variable in choice.saved if variable.alias}
        if {variable.name for variable in choice.saved} - aliases == own.keys() - aliases:
            return choice
    if not place.path:
        return f"no layer of the new architecture has {a_few([*own])}"
    who = f"layer {place.path} ({place.node.class_name})"
    wanted = ", ".join(variable.name for variable in place.node.variants[0].saved) or "no variables"
    return f"{who} has {wanted} in files of Keras 3, but {', '.join(own) or 'none'} would be written"


def _original(chosen: Variables, name: str, place: Place, given: Mapping[str, Sources]) -> Tensor | Fresh:
    """Returns what fills the variable of a layer inside a wrapper, of which the wrapper stores a copy."""
    copies = [variable.name for variable in chosen.saved if variable.alias]
    below = [given.get(path, {}) for path, _ in place.node.paths(place.path) if path != place.path]
    originals = [source for own in below for key, source in own.items() if key in MATRICES]
    if len(originals) < len(copies):
        raise Refused(f"layer {place.path} ({place.node.class_name}) wraps no layer whose {name} could be copied")
    return originals[copies.index(name)]


def _named(name: Any) -> dict[str, str]:
    """Returns the attributes that tell the name of an object; nothing for a name that HDF5 cannot hold.

    No Keras reads these attributes, and the configuration has the name.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        return {}
    with suppress(UnicodeEncodeError):
        name.encode()
        return {"name": name}
    return {}


def _add_optimizer(outline: Outline, base: Checkpoint, composition: Composition) -> None:
    """Add the state of the optimizer. For mixed_float16, Keras wraps optimizers unasked in one that scales the loss.

    Where no configuration tells of the optimizer, since Keras loses that of a model that was saved as .h5 before, the
    name in the file alone tells the class, and with the class what the slots are.
    """
    compiled = (composition.config or {}).get(COMPILED)
    entry = compiled.get("optimizer") if isinstance(compiled, Mapping) else None
    settings = settings_of(entry or (composition.training or {}).get("optimizer_config"))
    known = base.contents.optimizer
    if settings.class_name is None and known is not None:
        settings = Settings(known.class_name, {"name": known.class_name})
    names = {OUTER: settings.config.get("name")}
    if INNER in composition.slots:
        is_told = scales_loss(settings)
        names[INNER] = (inner_settings(settings) if is_told else settings).config.get("name")
        names[OUTER] = names[OUTER] if is_told else WRAPPING
    for group, slots in composition.slots.items():
        outline.skeleton.groups[f"{group}/vars"] = _named(names.get(group))
        for number, (slot, source) in enumerate(slots):
            outline.add(f"{group}/vars/{number}", source, slot)
