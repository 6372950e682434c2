"""What the upgrade of a configuration comes to, and what a user may say about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user says where a configuration does not tell.

    Attributes:
        replacements: path or name of a layer -> the Keras 3 entry (`class_name`, `config`) that takes its place.
        renamed: registered name of a custom class -> the name under which the new model has the class.
        attributes: path or name of a layer of a custom class -> the attributes that hold its layers, in the order in
            which the layers were made.
        input_shape: of the model's only input, without the batch; None where nobody says.
    """

    replacements: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    input_shape: tuple[int | None, ...] | None = None

    @property
    def told(self) -> list[str]:
        """The options that tell these wishes, in the order of the attributes."""
        given = {
            "--replace": self.replacements, "--rename": self.renamed, "--attribute": self.attributes,
            "--input-shape": self.input_shape is not None,
        }  # fmt: skip
        return [option for option, is_given in given.items() if is_given]

    def unused_names(self, used: Collection[str]) -> Iterator[str]:
        """Yields a note for each old name that is none of those which the model uses."""
        for name in sorted(set(self.renamed).difference(used)):
            yield f"--rename names {name}, but the model uses no class or function that is called so"


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule does to a layer, or why no rule can do anything.

    Attributes:
        layer: path of the layer in the old model; empty for the model itself and its training configuration.
        class_name: of the layer in the old model.
        rule: name of the rule in the table of rules.
        text: what is different now, or why the layer cannot be kept and what to do: one sentence.
    """

    layer: str
    class_name: str
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class ArrayChange:
    """A variable of the new model whose values are computed from variables of the old one.

    Attributes:
        path: of the new variable, `lstm/lstm_cell/kernel`.
        reads: paths of the old variables, in the order in which the function takes them.
        function: name in `wtool.transforms.relaying.FUNCTIONS`.
        arguments: further arguments of the function.
    """

    path: str
    reads: tuple[str, ...]
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A configuration of Keras 3, and how it came of one of Keras 2.

    Attributes:
        config: the entry of the model as `config.json` has it, with `build_config` and `compile_config`.
        moved: path of a layer or a variable in the old model -> its path in the new one, where that differs. What is
            inside a moved layer moves along, unless it is named itself (`moved_path`).
        arrays: the new variables that do not simply hold the values of the old variable at their path.
        changes: what the rules did, in the order of the layers.
        refused: what no rule can keep, all of it at once; if there is any, `config` is not to be used.
        notes: what is worth knowing, one line each.
    """

    config: dict[str, Any]
    moved: Mapping[str, str] = field(default_factory=dict)
    arrays: tuple[ArrayChange, ...] = ()
    changes: tuple[Change, ...] = ()
    refused: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def moved_path(path: str, moved: Mapping[str, str]) -> str:
    """Returns the path in the new model of what has a path in the old one: `conv/kernel` moves along with `conv`.

    Args:
        path: of a layer or a variable in the old model.
        moved: as in `Upgraded`.
    """
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        above = "/".join(parts[:length])
        if above in moved:
            return "/".join([moved[above], *parts[length:]])
    return path
