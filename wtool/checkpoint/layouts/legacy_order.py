"""The order in which Keras loads the arrays of a layer from an older file: variables that are trained come first.

Such files list the arrays of a layer, and of all layers inside it, with names; but Keras gives the first array to the
first variable, whatever the names are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from wtool.checkpoint.layouts.legacy_matching import ExpectedLayer, ListedWeight
from wtool.schema.layers import MATRICES


def keras_order(root: ExpectedLayer, keras2: bool) -> list[ListedWeight]:
    """Returns the arrays in the order of Keras's variables: `trainable_weights`, then `non_trainable_weights`.

    Args:
        root: the listed layer, with its arrays matched by their names.
        keras2: whether the order is that of Keras 2; Keras 3 differs where layers inside others are frozen.
    """
    authors = _authors_trained(root)
    trained, rest = _of_keras2(root, authors) if keras2 else _of_keras3(root, authors)
    return list(dict.fromkeys([*trained, *rest]))  # an array that two layers hold counts where it comes first


def _of_keras3(root: ExpectedLayer, authors: set[ListedWeight]) -> tuple[list[ListedWeight], list[ListedWeight]]:
    """Returns (trained, not trained).

    Whether a variable is trained depends on its own layer alone; but a listed layer that is frozen has no trained ones.
    """
    weights = [each for layer in root.walk() for each in _own(layer, authors, _trains(layer))]
    if not _trains(root) and root.node.class_name != "Sequential":  # Sequential models forget that they were frozen
        return [], [weight for weight, _ in weights]
    return [weight for weight, trained in weights if trained], [weight for weight, trained in weights if not trained]


def _of_keras2(layer: ExpectedLayer, authors: set[ListedWeight]) -> tuple[list[ListedWeight], list[ListedWeight]]:
    """Returns (trained, not trained). Every layer sorts the variables inside it; a frozen layer has no trained ones."""
    own = list(_own(layer, authors, trains=True))
    trained, rest = [weight for weight, is_trained in own if is_trained], [each for each, yes in own if not yes]
    inside = [_of_keras2(part, authors) for part in layer.parts]
    if _trains(layer):
        return [*trained, *(w for each, _ in inside for w in each)], [*rest, *(w for _, each in inside for w in each)]
    if layer.node.is_model:
        return [], [w for each, _ in inside for w in each] + [w for _, each in inside for w in each]
    return [], [*trained, *rest, *(weight for both in inside for each in both for weight in each)]


def _own(layer: ExpectedLayer, authors: set[ListedWeight], trains: bool) -> Iterator[tuple[ListedWeight, bool]]:
    """Yields the variables of one layer in the order in which it made them, and whether each is trained."""
    if layer.chosen is None:
        yield from ((weight, trains and weight in authors) for weight in layer.found.values())
        return
    copies = (
        (part.found[name], trains and _trains(part))
        for child in layer.parts
        for part in child.walk()
        for name in MATRICES
        if name in part.found
    )
    for variable in layer.chosen.weights:
        if variable.alias:
            yield from islice(copies, 1)
        elif variable.name in layer.found:
            yield layer.found[variable.name], trains and variable.trainable


def _trains(layer: ExpectedLayer) -> bool:
    """Returns whether the layer's own settings let it train; layers around it do not matter here."""
    return layer.node.config.get("trainable", True) is not False


def _authors_trained(root: ExpectedLayer) -> set[ListedWeight]:
    """Returns the arrays of layers of unknown classes that are trained: those before the list begins anew.

    A list has the trained variables of all layers first, and then the others of all layers. So where an array is listed
    before one of an earlier layer, the second part begins.
    """
    unknown = [weight for layer in root.walk() if layer.choices is None for weight in layer.found.values()]
    if not unknown:
        return set()
    natural = [weight.number for layer in root.walk() for weight, _ in _own(layer, set(), trains=True)]
    place = {number: position for position, number in enumerate(natural)}
    count = len(natural)
    anew = next((n for n in range(1, count) if place.get(n, 0) < place.get(n - 1, 0)), None)
    if anew is None:
        frozen = (w.number for layer in root.walk() for w, yes in _own(layer, set(unknown), _trains(layer)) if not yes)
        anew = min(frozen, default=count)
    return {weight for weight in unknown if weight.number < anew}
