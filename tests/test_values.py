"""Dataclasses of wtool behave like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import operator
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool import values

WAYS = [
    {"frozen": frozen, "slots": slots, "eq": eq, "order": eq and order, "kw_only": kw_only}
    for frozen, slots, eq, order, kw_only in itertools.product([False, True], repeat=5)
    if eq or not order
]
"""All words together that a class may be made with."""


def plain(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    @dataclass(**how)
    class Point:
        """A point."""

        x: Any
        y: Any = 2
        kind: ClassVar[str] = "point"
        more: list[int] = dataclasses.field(default_factory=list, compare=False)
        seen: int = dataclasses.field(default=0, repr=False, metadata={"unit": "one"})

    return Point


def derived(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    above = plain(dataclass, how)

    @dataclass(**how)
    class Point(above):  # type: ignore[misc]
        z: Any = None
        both: Any = dataclasses.field(init=False)
        set: int = dataclasses.field(init=False, default=7)

        def __post_init__(self) -> None:
            object.__setattr__(self, "both", (self.x, self.z))

    return Point


def own(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    @dataclass(**how)
    class Point:
        x: Any
        _: dataclasses.KW_ONLY
        y: Any = 3

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self)

        def __hash__(self) -> int:
            return 5

    return Point


def with_equality(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    @dataclass(**how)
    class Point:
        x: Any

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self) and other.x == -self.x  # type: ignore[attr-defined]

    return Point


def empty(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    @dataclass(**how)
    class Point:
        """Nothing."""

    return Point


def overriding(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    """A field of the class above is a variable of the class."""
    above = plain(dataclass, how)

    @dataclass(**how)
    class Point(above):  # type: ignore[misc]
        y: ClassVar[Any] = 9
        seen: ClassVar[int] = dataclasses.field(default=3)

    return Point


def told_by_above(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    above = plain(dataclass, how)

    @dataclass(**how)
    class Point(above):  # type: ignore[misc]
        z: int = 5

        def __repr__(self) -> str:
            return f"own {above.__repr__(self)}"

    return Point


def of_objects(dataclass: Callable[..., Any], how: dict[str, bool]) -> Any:
    """As in a module whose annotations are no texts."""
    kinds = {"x": int, "kind": ClassVar[str], "_": dataclasses.KW_ONLY, "y": list[int]}
    text = {"__annotations__": kinds, "kind": "point", "y": dataclasses.field(default_factory=list)}
    return dataclass(**how)(type("Point", (), {**text, "__module__": __name__, "__doc__": "A point."}))


KINDS = [plain, derived, own, with_equality, empty, overriding, told_by_above, of_objects]
NAMES = ("x", "y", "z", "more", "seen", "set", "both", "unknown")
VALUES = st.one_of(st.integers(-2, 2), st.none(), st.lists(st.integers(0, 1), max_size=1), st.text("a"))


def outcome(action: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What a function gives, or the kind of its error."""
    try:
        return action(*given, **named)
    except (TypeError, AttributeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("kind", KINDS)
@given(
    how=st.sampled_from(WAYS),
    calls=st.lists(
        st.tuples(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from(NAMES), VALUES)), max_size=4
    ),
    name=st.sampled_from(NAMES),
)
def test_it_behaves_like_the_standard_library(
    kind: Callable[..., Any], how: dict[str, bool], calls: list[Any], name: str
) -> None:
    told = [behaviour(kind(dataclass, how), calls, name) for dataclass in (dataclasses.dataclass, values.dataclass)]
    assert told[0] == told[1]


def behaviour(cls: Any, calls: list[Any], name: str) -> list[str]:
    fields = [each.name for each in dataclasses.fields(cls)]
    made = [outcome(cls, *given, **named) for given, named in calls]
    found: list[Any] = [inspect.signature(cls), dataclasses.fields(cls)]
    for each in made:
        found += [repr(each), outcome(hash, each) == object.__hash__(each)]
        if isinstance(each, cls) and name in fields:  # the standard library trips over other names, with slots
            found += [dataclasses.asdict(each), hasattr(each, "__dict__"), outcome(setattr, each, name, 1)]
            found += [repr(each), repr(outcome(dataclasses.replace, each, **{name: 5})), outcome(delattr, each, name)]
            found += [repr(copy.copy(each))] if hasattr(each, name) else []
    whole = [outcome(cls, *given, **named) for given, named in calls]  # versions differ where an attribute is gone
    for left, right in itertools.product(whole, repeat=2):
        found += [outcome(way, left, right) for way in (operator.eq, operator.ne, operator.lt, operator.ge)]
        same = outcome(operator.eq, left, right) is True and left is not right
        found += [outcome(hash, left) == outcome(hash, right)] if same else []
    return [repr(each) for each in found]


@values.dataclass(frozen=True, slots=True)
class Packed:
    """One that a process can send to another."""

    x: int
    y: tuple[int, ...] = ()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_frozen_instances_with_slots_are_pickled(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(Packed(1, (2,)), protocol)) == Packed(1, (2,))


def test_an_error_says_which_argument_is_missing() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        Packed(y=(1,))  # type: ignore[call-arg]


def test_a_right_call_asks_for_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes half a millisecond to work out, and commands make some hundred values of the tables that they read."""
    asked: list[str] = []
    monkeypatch.setattr(values, "_default", lambda each: asked.append(each.name))

    @values.dataclass(frozen=True, slots=True)
    class Right:
        x: int
        y: int = 2
        z: list[int] = dataclasses.field(default_factory=list)

    assert (Right(1), Right(1, 3), Right(x=1, z=[4]), Right(1, z=[4])) == (
        Right(1, 2, []), Right(1, 3, []), Right(1, 2, [4]), Right(1, 2, [4]),
    )  # fmt: skip
    assert asked == []


def test_a_frozen_instance_says_which_field_is_set() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        Packed(1).x = 2  # type: ignore[misc]


def test_an_instance_that_holds_itself_is_told() -> None:
    @values.dataclass
    class Node:
        children: list[Any]

    node = Node([])
    node.children.append(node)
    assert "children=[...]" in repr(node)


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="fields are hashed as they are compared"):

        @values.dataclass(frozen=True)
        class Point:
            x: int = dataclasses.field(hash=False)


WRONG: dict[str, dict[str, Any]] = {
    "a field without an annotation": {"__annotations__": {"x": "int"}, "y": dataclasses.field(default=3)},
    "KW_ONLY twice": {"__annotations__": {"x": "int", "_": dataclasses.KW_ONLY, "y": "int", "__": dataclasses.KW_ONLY}},
    "a default before none": {"__annotations__": {"x": "int", "y": "int"}, "x": 1},
    "a default that is shared": {"__annotations__": {"x": "list[int]"}, "x": []},
}


@pytest.mark.parametrize("dataclass", [dataclasses.dataclass, values.dataclass])
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("slots", [False, True])
def test_a_wrong_class_is_refused(what: str, slots: bool, dataclass: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        dataclass(slots=slots)(type("Point", (), {**WRONG[what], "__module__": __name__}))


@pytest.mark.skipif(not hasattr(copy, "replace"), reason="new in Python 3.13")
def test_copies_with_other_values() -> None:
    assert copy.replace(Packed(1), x=2) == Packed(2)  # type: ignore[attr-defined, unused-ignore]


@pytest.mark.parametrize("above", [dataclasses.dataclass, values.dataclass])
@pytest.mark.parametrize("below", [dataclasses.dataclass, values.dataclass])
@pytest.mark.parametrize("slots", [False, True])
def test_it_mixes_with_the_standard_library(above: Any, below: Any, slots: bool) -> None:
    @above(frozen=True, slots=slots)
    class Point:
        x: int

    @below(frozen=True, slots=slots)
    class Named(Point):
        name: str = ""

    point = Named(1, "a")
    assert (repr(point), point == Named(1, "a"), hash(point) == hash(Named(1, "a"))) == (
        f"{Named.__qualname__}(x=1, name='a')",
        True,
        True,
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(TypeError, match="frozen"):

        @below(slots=slots)
        class Loose(Point):
            y: int = 0
