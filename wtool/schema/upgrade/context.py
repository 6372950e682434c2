"""What the rules of an upgrade need to know, and where they note what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from wtool.errors import Refused, one_line
from wtool.schema.config import MAX_NESTED_MODELS, inside
from wtool.schema.layers import Shape
from wtool.schema.upgrade.mask_terms import Terms
from wtool.schema.upgrade.specs import Behind
from wtool.schema.upgrade.upgraded import ArrayChange, Change, Wishes, moved_path
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.schema.upgrade.mask_flow import Flow


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of the old model.

    Attributes:
        path: of the layer; empty for the model itself.
        class_name: of the layer in the old model, without its package.
        depth: how many layers are around the layer.
        frozen: whether the layer, or one around it, is not trainable. In Keras 2 that holds for all that is inside;
            in Keras 3 each layer has to say so.
    """

    path: str
    class_name: str
    depth: int = 0
    frozen: bool = False

    def inner(self, name: str, class_name: str) -> Place:
        """The place of a layer inside this one.

        Raises:
            Refused: there are too many layers around it.
        """
        if self.depth >= MAX_NESTED_MODELS:
            raise Refused(f"the model's configuration nests more than {MAX_NESTED_MODELS} layers inside each other")
        return Place(inside(self.path, name), class_name, self.depth + 1, self.frozen)


@dataclass(slots=True)
class Context:
    """Collects what the rules do to a model.

    Attributes:
        wishes: of the user.
        version: of the Keras that wrote the model; None where nobody knows.
        backend: of the Keras that wrote the model; None where nobody knows.
        shapes: path of a variable in the old model -> its shape.
        changes, refused, notes: as in `Upgraded`.
        moved: path of a layer or a variable in the old model -> the old path of the layer that it is in, and what it is
            called in there now.
        arrays: path of a new variable -> how it is computed. The layers in the path are called as in the old model;
            `model.upgrade` moves them.
        calls: path of a layer in the old model -> arguments of its calls that were settings.
        floatx: dtype of layers that name none, as Keras calls it.
        masks: whether any layer of the model makes masks.
        replaced: the keys of `wishes.replacements` that named a layer.
        named: registered names of the classes and functions of the author's that the old model uses.
        shaped: whether `wishes.input_shape` became the shape of an input.
        flows: path of a model in the old model -> how masks go through the model, where any layer makes masks.
        terms: all masks of the model.
        trained: path of a layer called with `training` -> a layer inside that is trained otherwise; None if none is.
        models: path of a functional model in the old model -> what is known of its outputs behind given inputs.
    """

    wishes: Wishes = field(default_factory=Wishes)
    version: str | None = None
    backend: str | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    refused: list[Change] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    arrays: dict[str, ArrayChange] = field(default_factory=dict)
    models: dict[str, Behind] = field(default_factory=dict)
    trained: dict[str, str | None] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    calls: dict[str, dict[str, bool]] = field(default_factory=dict)
    floatx: str = "float32"
    masks: bool = False
    replaced: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    shaped: bool = False

    def change(self, place: Place, rule: str, text: str) -> None:
        """Note what a rule did to a layer: one sentence."""
        self.changes.append(Change(place.path, place.class_name, rule, one_line(text)))

    def refuse(self, place: Place, rule: str, text: str) -> None:
        """Note why a layer cannot be kept and what to do: one sentence. The walk goes on."""
        self.refused.append(Change(place.path, place.class_name, rule, one_line(text)))

    def note(self, text: str) -> None:
        """Note what is worth knowing, once."""
        self.notes.setdefault(one_line(text))

    def new_name(self, name: str) -> str:
        """Returns the name under which the new model has a class or a function of its author's.

        Args:
            name: registered name in the old model.
        """
        self.named.add(name)
        return self.wishes.renamed.get(name, name)

    def registered(self, name: str, place: Place) -> str:
        """Returns the name under which the new model has a class or a function of its author's, and notes it.

        Args:
            name: registered name in the old model.
            place: of the layer that it is, or that uses it.
        """
        name = self.new_name(name)
        who = f"layer {place.path}" if place.path else "the model"
        self.note(f"register {name}, which {who} needs, before the new model is loaded")
        return name

    def move(self, layer: str, old: str, new: str) -> None:
        """Note that what is called `old` inside a layer is called `new` in the new model.

        Args:
            layer: path of the layer around it in the old model; empty for the model itself.
            old, new: name of a layer or a variable, or a path of several names.
        """
        self.moved[inside(layer, old)] = (layer, new)

    def moves(self) -> dict[str, str]:
        """Returns the path in the old model of everything that moved -> its path in the new model."""
        found: dict[str, str] = {}
        for path in sorted(self.moved, key=len):  # a layer comes before what is inside it
            layer, name = self.moved[path]
            found[path] = inside(moved_path(layer, found), name)
        return found
