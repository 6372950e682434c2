"""New names for layers inside wrappers, such as TimeDistributed, Bidirectional and RNN, which no graph lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.errors import Refused, a_few
from wtool.schema.config import Node, inside, read_architecture
from wtool.values import dataclass

FORWARD, BACKWARD = "forward_", "backward_"
"""How Keras begins the names of the two layers in a Bidirectional."""


@dataclass(frozen=True, slots=True)
class _Inner:
    """A layer inside another one: the layer, the one around it, and the path of that one."""

    node: Node
    above: Node
    owner: str


def rename_inner(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Give layers inside wrappers new names, in place.

    Args:
        config: the model's entry in a configuration.
        names: path of a layer -> its new name.

    Returns:
        path of each layer whose name changes -> path of the layer around it, and the new name; outer layers first.

    Raises:
        Refused: a layer is not there, or has no name of its own; or two layers in a wrapper would have one name.
    """
    if not names:
        return {}
    root, _ = read_architecture(config)
    layers = dict(_walk(root, ""))
    if missing := [path for path in names if path not in layers]:
        raise Refused(f"has no layer {a_few(missing)} that could be renamed; `wtool inspect` lists its layers")
    found: dict[str, str] = {}
    for path, name in names.items():
        found[path] = name
        if layers[path].node.attribute == "forward_layer":
            found |= _forward(path, layers[path], name)
        else:
            _name(path, layers[path], name)
    for path, name in found.items():
        owner = layers[path].owner
        if [found.get(each, own.node.name) for each, own in layers.items() if own.owner == owner].count(name) > 1:
            raise Refused(f"two layers would be called {name}")
    return {path: (each.owner, found[path]) for path, each in layers.items() if path in found}


def _walk(node: Node, path: str) -> Iterator[tuple[str, _Inner]]:
    for child in node.children:
        own = inside(path, child.name)
        yield own, _Inner(child, node, path)
        yield from _walk(child, own)


def _name(path: str, layer: _Inner, name: str) -> None:
    node, above = layer.node, layer.above
    if above.is_model:
        raise Refused(f"{path} is a layer of a model that a wrapper holds: such layers cannot be renamed")
    settings = node.config
    is_derived = node.attribute == "backward_layer" and not above.config.get("backward_layer")
    if is_derived or not isinstance(settings, dict) or settings is above.config or settings.get("name") != node.name:
        raise Refused(f"{path} has no name of its own: {above.name} ({above.class_name}) makes and names the layer")
    settings["name"] = name


def _forward(path: str, layer: _Inner, name: str) -> dict[str, str]:
    """Rename the first layer of a Bidirectional, and the second where Keras makes and names it like the first."""
    settings, old = layer.node.config, layer.node.name.removeprefix(FORWARD)
    plain = name.removeprefix(FORWARD)
    if plain == name or not isinstance(settings, dict):
        raise Refused(f"{path} cannot be called {name}: Keras puts {FORWARD} before the name, as in {FORWARD}{name}")
    settings["name"] = name if str(settings.get("name")).startswith(FORWARD) else plain
    if layer.above.config.get("backward_layer"):
        return {}
    return {inside(layer.owner, BACKWARD + old): BACKWARD + plain}
