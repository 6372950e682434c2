"""The numbers of a merge, checked against its method, its models and its tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.choices import check_choice
from wtool.errors import Usage, counted
from wtool.suggestions import meant_paths
from wtool.transforms.change import Site
from wtool.transforms.merging.numbers import Numbers, numbers_of
from wtool.transforms.merging.registry import Method, Parameter
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The numbers that the user gave a method, for each tensor and model.

    Attributes:
        method: that they are for.
        models: how many models there are, without the base.
        numbers: those of the method's options that are numbers, by name.
        chosen: its words and switches, by name.
        has_base: whether the first block is that of a base.
        seed: of the random numbers.
        names: of the files, in the order of the blocks, for messages; empty where nobody knows them.
    """

    method: Method
    models: int
    numbers: Mapping[str, Numbers]
    chosen: Mapping[str, str | bool] = field(default_factory=dict)
    has_base: bool = True
    seed: int = 0
    names: Sequence[str] = ()

    @property
    def takes(self) -> Collection[str]:
        """The names of the method's options."""
        return self.method.takes

    def of_models(self, name: str, site: Site) -> NDArray[np.float64]:
        """The values of an option (`weight`, `density`) for a tensor, shape (models,).

        Raises:
            Usage: no entry is for the tensor, and the option has no default.
        """
        found = np.array(self._of(name, site))
        return np.repeat(found, self.models) if len(found) == 1 else found

    def number(self, name: str, site: Site) -> float:
        """The value of an option (`lambda`, `t`, `epsilon`) for a tensor.

        Raises:
            Usage: no entry is for the tensor, and the option has no default.
        """
        return self._of(name, site)[0]

    def word(self, name: str) -> str:
        """The word that was chosen for the whole merge (`scope`, `rescale`)."""
        return str(self.chosen[name])

    def flag(self, name: str) -> bool:
        """Whether a switch is on for the whole merge (`normalize`, `rows`)."""
        return bool(self.chosen[name])

    def _of(self, name: str, site: Site) -> tuple[float, ...]:
        found = self.numbers[name].of(site.path, site.depth) if name in self.numbers else None
        if found is None:
            default = self.method.takes[name].default
            if default is None:
                raise Usage(f"no --{name} is for {site.path}; add a number without a pattern for all other tensors")
            return (float(default),)
        return found


def settings_of(
    method: Method,
    models: int,
    given: Mapping[str, Any],
    sites: Sequence[Site] | None,
    *,
    has_base: bool,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Settings:
    """Returns the numbers of a merge, with the method's defaults for what is not given.

    Args:
        method: that they are for.
        models: how many models there are, without the base.
        given: name of each option -> its value as `numbers_of` takes it, a word or a switch; None for the default.
        sites: the tensors that are merged; None before they are known, and then no pattern is held against them.
        has_base: whether there is a base.
        seed: of the random numbers.
        names: of the files, the base first, for messages.

    Raises:
        Usage: the method has no use for an option, needs one that is not given, or takes another number of models; a
            number is out of range or not for this many models, or a pattern matches no tensor.
    """
    values = {name: value for name, value in given.items() if value is not None}
    _check_models(method, models, has_base)
    for name in values:
        if name not in method.takes:
            raise Usage(f"{method.name} has no use for --{_option(name)}; it takes {_options(method)}")
    for name, parameter in method.takes.items():
        if parameter.default is None and name not in values:
            raise Usage(f"{method.name} needs --{_option(name)}, {parameter.range}")
    numbers: dict[str, Numbers] = {}
    chosen: dict[str, str | bool] = {}
    for name, parameter in method.takes.items():
        if parameter.is_number and name in values:
            numbers[name] = numbers_of(_option(name), values[name])
            _check_numbers(_option(name), parameter, numbers[name], models, sites)
        elif not parameter.is_number:
            chosen[name] = _chosen(_option(name), parameter, values.get(name, parameter.default))
    found = Settings(method, models, numbers, chosen, has_base, seed, names)
    for name in numbers:
        for site in sites or ():
            found.number(name, site)  # an entry for each tensor
    return found


def _check_models(method: Method, models: int, has_base: bool) -> None:
    if method.base == "needed" and not has_base:
        raise Usage(f"{method.name} needs a base: --base BASE")
    if method.base == "unused" and has_base:
        raise Usage(f"{method.name} makes nothing of a base; leave --base out, or name it among the models")
    if models < method.least or (method.most is not None and models > method.most):
        number = method.least if method.most == method.least else f"{method.least} or more"
        beside = " besides the base" if has_base else ""
        raise Usage(f"{method.name} merges {number} {'model' if number == 1 else 'models'}{beside}, not {models}")


def _check_numbers(
    option: str, parameter: Parameter, numbers: Numbers, models: int, sites: Sequence[Site] | None
) -> None:
    for entry in numbers.entries:
        count = len(entry.gradients)
        if count > 1 and not parameter.per_model:
            raise Usage(f"--{option} {entry} has {count} numbers, and one is for all models; a gradient has colons")
        if count > 1 and count != models:
            raise Usage(f"--{option} {entry} has {counted(count, 'number')} for {counted(models, 'model')}")
        if entry.pattern is None or sites is None:
            continue
        if not any(fnmatchcase(site.path, entry.pattern) for site in sites):
            told = meant_paths(entry.pattern, [site.path for site in sites], "wtool inspect --tensors")
            raise Usage(f"--{option} {entry}: no tensor that is merged has a path like {entry.pattern!r}{told}")
    for number in numbers.values:
        if not parameter.admits(number):
            raise Usage(f"--{option} {number:g} is not {parameter.range}")


def _chosen(option: str, parameter: Parameter, value: Any) -> str | bool:
    if isinstance(parameter.default, bool):
        if type(value).__name__ not in ("bool", "bool_"):
            raise Usage(f"--{option} is a switch, not {value!r:.50}")
        return bool(value)
    check_choice(value if isinstance(value, str) else repr(value)[:50], option, parameter.choices)
    return str(value)


def _option(name: str) -> str:
    return name.replace("_", "-")


def _options(method: Method) -> str:
    return ", ".join(f"--{_option(name)}" for name in method.takes) or "no options"
