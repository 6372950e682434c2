"""The order in which Keras reads the weights of a layer from an older file: what is trained comes first.

Such files list the weights of a layer, and of all layers inside it, by name; but Keras gives the first of them to the
first variable, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from wtool.checkpoint.layouts.legacy_seats import Seat, Weight
from wtool.schema.layers import MATRICES


def keras_order(root: Seat, keras2: bool) -> list[Weight]:
    """The weights in the order of Keras's variables: `trainable_weights`, then `non_trainable_weights`.

    Args:
        root: the listed layer, whose weights have found their seats by their names.
        keras2: what Keras 2 does; where layers inside others are frozen, Keras 3 differs.
    """
    authors = _authors_trained(root)
    trained, rest = _of_keras2(root, authors) if keras2 else _of_keras3(root, authors)
    return list(dict.fromkeys([*trained, *rest]))  # an array that two layers hold counts where it comes first


def _of_keras3(root: Seat, authors: set[Weight]) -> tuple[list[Weight], list[Weight]]:
    """Every variable is trained or not, as its own layer was when it made it. The listed layer counts as a whole."""
    weights = [each for seat in root.walk() for each in _own(seat, authors, _trains(seat))]
    if not _trains(root) and root.node.class_name != "Sequential":  # Sequential models forget that they were frozen
        return [], [weight for weight, _ in weights]
    return [weight for weight, trained in weights if trained], [weight for weight, trained in weights if not trained]


def _of_keras2(seat: Seat, authors: set[Weight]) -> tuple[list[Weight], list[Weight]]:
    """Every layer sorts what is inside it; a frozen one has all of it among what is not trained."""
    own = list(_own(seat, authors, trains=True))
    trained, rest = [weight for weight, is_trained in own if is_trained], [each for each, yes in own if not yes]
    inside = [_of_keras2(part, authors) for part in seat.parts]
    if _trains(seat):
        return [*trained, *(w for each, _ in inside for w in each)], [*rest, *(w for _, each in inside for w in each)]
    if seat.node.is_model:
        return [], [w for each, _ in inside for w in each] + [w for _, each in inside for w in each]
    return [], [*trained, *rest, *(weight for both in inside for each in both for weight in each)]


def _own(seat: Seat, authors: set[Weight], trains: bool) -> Iterator[tuple[Weight, bool]]:
    """The variables of one layer as it made them, and whether each is trained."""
    if seat.chosen is None:
        yield from ((weight, trains and weight in authors) for weight in seat.found.values())
        return
    copies = (
        (part.found[name], trains and _trains(part))
        for child in seat.parts
        for part in child.walk()
        for name in MATRICES
        if name in part.found
    )
    for variable in seat.chosen.weights:
        if variable.alias:
            yield from islice(copies, 1)
        elif variable.name in seat.found:
            yield seat.found[variable.name], trains and variable.trainable


def _trains(seat: Seat) -> bool:
    """Whether the layer itself is frozen by its settings; those above it do not matter here."""
    return seat.node.config.get("trainable", True) is not False


def _authors_trained(root: Seat) -> set[Weight]:
    """Which weights of layers that only their author knows are trained: those before the list begins anew."""
    unknown = [weight for seat in root.walk() if seat.choices is None for weight in seat.found.values()]
    if not unknown:
        return set()
    natural = [weight.number for seat in root.walk() for weight, _ in _own(seat, set(), trains=True)]
    place = {number: position for position, number in enumerate(natural)}
    count = len(natural)
    anew = next((n for n in range(1, count) if place.get(n, 0) < place.get(n - 1, 0)), None)
    if anew is None:
        frozen = (w.number for seat in root.walk() for w, yes in _own(seat, set(unknown), _trains(seat)) if not yes)
        anew = min(frozen, default=count)
    return {weight for weight in unknown if weight.number < anew}
