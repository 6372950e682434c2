"""Dataclasses that take no time to make: their methods are closures, not code that is compiled for each class.

The standard library writes the text of each method of each dataclass and compiles it: 0.6 ms for a frozen one, and a
command that looks at a small model imports more than a hundred. `dataclass` here takes the words of the standard
library, has its fields (`dataclasses.fields`, `replace` and `asdict` know them), and gives instances that behave the
same, as those of Python up to 3.12 do where a value is not equal to itself. It knows no `InitVar`, and no `hash` of a
field.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from inspect import Signature
else:

    def dataclass(cls=None, /, **words):
        """Returns a class with the fields that its annotations name; see `dataclasses.dataclass`.

        Args:
            cls: the class; None where there are words.
            words: `frozen`, `slots`, `eq`, `order` and `kw_only` of the standard library.
        """
        return _made(cls, **words) if cls is not None else lambda each: _made(each, **words)


_put = object.__setattr__


def _made(
    cls: type, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False, kw_only: bool = False
) -> type:
    # Beside an __eq__ of its own, a class has None for its __hash__, which Python put there.
    own = {name for name, value in cls.__dict__.items() if (name, value) != ("__hash__", None)}
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # the standard library would write the signature there
    made = _with_fields(cls, frozen, slots, kw_only)
    fields = dataclasses.fields(made)
    if any(each.hash is not None for each in fields):
        raise TypeError(f"{cls.__name__}: fields are hashed as they are compared")
    values = _values_of([each.name for each in fields if each.compare])
    methods: dict[str, Any] = {
        "__init__": _init(made, fields, hasattr(made, "__post_init__")),
        "__repr__": _repr([each.name for each in fields if each.repr]),
    }
    if "__init__" not in own:
        methods["__signature__"] = _SIGNATURE
    if eq:
        methods["__eq__"] = _comparison(operator.eq, values)
        methods["__hash__"] = _hash(values) if frozen else None
    if order:
        methods |= {f"__{each.__name__}__": _comparison(each, values) for each in _ORDERS}
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if frozen and slots:
        methods |= {"__getstate__": _state, "__setstate__": _set_state}
    for name in methods.keys() - own:
        setattr(made, name, methods[name])
    return made


def _with_fields(cls: type, frozen: bool, slots: bool, kw_only: bool) -> type:
    """Returns a class with fields and no methods: the standard library compiles nothing for it.

    It does for a frozen class, so that the class and those above it count as frozen before and afterwards only.

    Raises:
        TypeError: only some of these classes are frozen.
    """
    above = [vars(each)["__dataclass_params__"] for each in cls.__mro__[1:] if "__dataclass_params__" in vars(each)]
    if any(each.frozen != frozen for each in above):
        raise TypeError(f"{cls.__name__}: a dataclass and those above it are frozen, or none of them is")
    for each in above:
        each.frozen = False
    try:
        made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
    finally:
        for each in above:
            each.frozen = frozen
    vars(made)["__dataclass_params__"].frozen = frozen
    return made


def _init(cls: Any, fields: Sequence[Field[Any]], has_more: bool) -> Callable[..., None]:
    """Returns what takes the values of the fields, in their order or by their names."""
    names = tuple(each.name for each in fields)
    in_order = tuple(each.name for each in fields if each.init and not each.kw_only)
    usual = len(names) if in_order == names else -1
    shapes: dict[tuple[Any, ...], _Shape] = {}  # of the calls that there were

    def __init__(self: Any, /, *values: Any, **named: Any) -> None:
        if len(values) == usual and not named:
            for name, value in zip(names, values):  # noqa: B905
                _put(self, name, value)
        else:
            key = (len(values), *named)
            shape = shapes.get(key)
            if shape is None:
                order = (*in_order[: len(values)], *named)
                if len(values) > len(in_order) or not _is_call(fields, order):
                    cls.__signature__.bind(*values, **named)  # says what is wrong, and takes half a millisecond
                shape = shapes[key] = _shape(fields, order)
            given, defaults, factories = shape
            for name, value in zip(given, (*values, *named.values())):  # noqa: B905
                _put(self, name, value)
            for name, value in defaults:
                _put(self, name, value)
            for name, factory in factories:
                _put(self, name, factory())
        if has_more:
            self.__post_init__()

    return __init__


def _is_call(fields: Sequence[Field[Any]], given: Sequence[str]) -> bool:
    """Returns whether a call gives fields that there are, each once, and all that have no default."""
    taken = {each.name for each in fields if each.init}
    wanted = {name for name in taken if name not in given}
    if len(wanted) + len(given) != len(taken):
        return False
    others = [each for each in fields if each.name in wanted]
    return all(each.default is not MISSING or each.default_factory is not MISSING for each in others)


_Shape: TypeAlias = "tuple[Sequence[str], Sequence[tuple[str, Any]], Sequence[tuple[str, Callable[[], Any]]]]"
"""Names of what a call gives, in its order; the defaults of other fields, and what makes those of the rest."""


def _shape(fields: Sequence[Field[Any]], given: Sequence[str]) -> _Shape:
    others = [each for each in fields if each.name not in given]
    defaults = [(each.name, each.default) for each in others if each.default is not MISSING]
    factories = [(each.name, each.default_factory) for each in others if each.default_factory is not MISSING]
    return given, defaults, factories


def _repr(names: Sequence[str]) -> Callable[[Any], str]:
    return recursive_repr()(
        lambda self: f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
    )


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Returns what gives the values of some fields of an instance."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


_ORDERS = (operator.lt, operator.le, operator.gt, operator.ge)


def _comparison(compare: Callable[[Any, Any], bool], values: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(self: Any, other: Any) -> Any:
        return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    return compared


def _hash(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda self: hash(values(self))


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _set_state(self: Any, state: Sequence[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        _put(self, field.name, value)


class _OfClass:
    """The signature of a class, worked out where somebody asks: `help` and the reference do."""

    def __get__(self, instance: object, owner: type) -> Signature:
        from inspect import Parameter, Signature

        if instance is not None:  # which may be a function itself
            raise AttributeError("__signature__")
        fields = [each for each in dataclasses.fields(owner) if each.init]
        parameters = [
            Parameter(each.name, _kind(each), default=_default(each), annotation=each.type) for each in fields
        ]
        return Signature(sorted(parameters, key=lambda each: each.kind), return_annotation=None)


_SIGNATURE = _OfClass()


def _kind(field: Field[Any]) -> Any:
    from inspect import Parameter

    return Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD


def _default(field: Field[Any]) -> Any:
    from inspect import Parameter

    if field.default_factory is not MISSING:
        return _FACTORY
    return Parameter.empty if field.default is MISSING else field.default


class _Factory:
    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()
