"""Dataclasses that take no time to make: their methods are closures, not code that is compiled for each class.

The standard library writes the text of each method of each dataclass and compiles it: 0.5 ms for a frozen one, here
0.04 ms, and a command that looks at a small model imports more than a hundred. `dataclass` here takes the words of the
standard library, has its fields (`dataclasses.fields`, `replace` and `asdict` know them), and gives instances that
behave the same, as those of Python up to 3.12 do where a value is not equal to itself. It knows no `InitVar`, and no
`hash` of a field.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, FrozenInstanceError
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

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
    known = _fields_of(cls, frozen, kw_only)
    fields = [*known.values()]
    if any(each.hash is not None for each in fields):
        raise TypeError(f"{cls.__name__}: fields are hashed as they are compared")
    _check_order(cls, fields)
    values = _values_of([each.name for each in fields if each.compare])
    methods: dict[str, Any] = {
        "__match_args__": tuple(each.name for each in fields if each.init and not each.kw_only),
        "__init__": _init(fields, hasattr(cls, "__post_init__")),
        "__repr__": _repr([each.name for each in fields if each.repr]),
        "__replace__": _replaced,
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
    new = {name: method for name, method in methods.items() if name not in own}
    new |= {_FIELDS: known, _PARAMETERS: _FROZEN if frozen else _LOOSE}
    if cls.__doc__ is None:
        new["__doc__"] = cls.__name__  # the standard library would write the signature there
    return _with_slots(cls, known, new) if slots else _with_attributes(cls, new)


_FIELDS, _PARAMETERS = "__dataclass_fields__", "__dataclass_params__"


@dataclasses.dataclass(init=False, repr=False, eq=False)
class _Loose:
    """A class of the standard library's, for what it knows fields and classes by."""

    x: int


@dataclasses.dataclass(init=False, repr=False, eq=False)
class _Frozen:
    """Another one, which is called frozen below: were it frozen here, methods would be written and compiled for it."""


_IS_FIELD = vars(_Loose)[_FIELDS]["x"]._field_type
_LOOSE, _FROZEN = (vars(each)[_PARAMETERS] for each in (_Loose, _Frozen))
_FROZEN.frozen = True


def _fields_of(cls: type, frozen: bool, kw_only: bool) -> dict[str, Field[Any]]:
    """Returns the fields of a class and of those above it, which all are frozen or not, by name.

    Raises:
        TypeError: only some of these classes are frozen, or one has an `InitVar`.
        ValueError: a default is a list or the like, which all instances would share.
    """
    known: dict[str, Any] = {}
    mark = False
    for above in cls.__mro__[-1:0:-1]:
        if _FIELDS in vars(above):
            known |= {each.name: each for each in vars(above)[_FIELDS].values() if each._field_type is _IS_FIELD}
            if vars(above)[_PARAMETERS].frozen != frozen:
                raise TypeError(f"{cls.__name__}: a dataclass and those above it are frozen, or none of them is")
    for name, kind in cls.__annotations__.items():
        word = _word_of(kind)
        if word == "InitVar" or (word == "KW_ONLY" and mark):
            raise TypeError(f"{cls.__name__}.{name}: no dataclass of wtool has an InitVar, or KW_ONLY twice")
        if word == "ClassVar":
            known.pop(name, None)
        elif word == "KW_ONLY":
            kw_only = mark = True
        else:
            known[name] = _field(cls, name, kind, kw_only)
    for name, value in vars(cls).items():
        if isinstance(value, Field) and name not in cls.__annotations__:
            raise TypeError(f"{cls.__name__}.{name} is a field without a type annotation")
    return known


def _check_order(cls: type, fields: Sequence[Field[Any]]) -> None:
    """Raise TypeError if a field without a default comes behind one that has a default, in calls by position."""
    optional = False
    for each in fields:
        if each.init and not each.kw_only:
            if optional and not _has_default(each):
                raise TypeError(f"{cls.__name__}: non-default argument {each.name!r} follows default argument")
            optional |= _has_default(each)


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _word_of(kind: Any) -> str:
    """Returns the last name of what stands before the brackets of an annotation: `ClassVar`, say."""
    if kind is KW_ONLY:
        return "KW_ONLY"
    text = kind if isinstance(kind, str) else getattr(kind, "__qualname__", None) or repr(kind)
    return text.partition("[")[0].rpartition(".")[2]


def _field(cls: type, name: str, kind: Any, kw_only: bool) -> Field[Any]:
    value = getattr(cls, name, MISSING)
    if isinstance(value, MemberDescriptorType):  # of a slot in a class above
        value = MISSING
    found: Any = value if isinstance(value, Field) else dataclasses.field(default=value)
    if found.default.__class__.__hash__ is None:
        raise ValueError(f"{cls.__name__}.{name}: all instances would share the default; use default_factory")
    found.name, found.type, found._field_type = name, kind, _IS_FIELD
    if found.kw_only is MISSING:
        found.kw_only = kw_only
    return cast("Field[Any]", found)


def _with_attributes(cls: type, new: Mapping[str, Any]) -> type:
    """Gives a class its methods, and the defaults of its fields in their place."""
    for name, value in _defaults_of(cls).items():
        if value is MISSING:
            delattr(cls, name)
        else:
            setattr(cls, name, value)
    for name, value in new.items():
        setattr(cls, name, value)
    return cls


def _defaults_of(cls: type) -> dict[str, Any]:
    """Returns name -> default of what stands as a `field` in the text of a class."""
    return {name: value.default for name, value in vars(cls).items() if isinstance(value, Field)}


def _with_slots(cls: type, known: Mapping[str, Field[Any]], new: Mapping[str, Any]) -> type:
    """Returns another class, with methods and slots: these belong to a class from its beginning.

    Raises:
        TypeError: the class has slots already.
    """
    if "__slots__" in vars(cls):
        raise TypeError(f"{cls.__name__} already specifies __slots__")
    above = {name for each in cls.__mro__[1:-1] for name in _slots_of(each)}
    texts = {**vars(cls), **_defaults_of(cls)}
    inside = {name: value for name, value in texts.items() if name not in known and name not in _OF_INSTANCES}
    slots = tuple(name for name in known if name not in above)
    made = type(cls)(cls.__name__, cls.__bases__, {**inside, **new, "__slots__": slots})
    made.__qualname__ = cls.__qualname__
    return made


_OF_INSTANCES = ("__dict__", "__weakref__")
"""What Python puts into a class whose instances have it."""


def _slots_of(cls: type) -> Sequence[str]:
    found: Sequence[str] = vars(cls).get("__slots__", ())
    return (found,) if isinstance(found, str) else found


def _init(fields: Sequence[Field[Any]], has_more: bool) -> Callable[..., None]:
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
                    _signature(fields).bind(*values, **named)  # says what is wrong, and takes half a millisecond
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
    return all(_has_default(each) for each in fields if each.name in wanted)


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


def _replaced(self: Any, /, **changes: Any) -> Any:
    return dataclasses.replace(self, **changes)  # for `copy.replace`, since Python 3.13


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


def _signature(fields: Sequence[Field[Any]]) -> Signature:
    from inspect import Parameter, Signature

    parameters = [
        Parameter(each.name, _kind(each), default=_default(each), annotation=each.type) for each in fields if each.init
    ]
    return Signature(sorted(parameters, key=lambda each: each.kind), return_annotation=None)


class _OfClass:
    """The signature of a class, worked out where somebody asks: `help` and the reference do."""

    def __get__(self, instance: object, owner: type) -> Signature:
        if instance is not None:  # which may be a function itself
            raise AttributeError("__signature__")
        return _signature(dataclasses.fields(owner))


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
