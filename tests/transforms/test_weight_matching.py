"""Weight matching against brute force, and against permutations that were planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.dtypes import Array
from wtool.errors import Refused, WtoolError
from wtool.transforms import similarity, weight_matching
from wtool.transforms.permuting import FIXED, Channels, Place, sources_of

Tensors = Mapping[str, Array]


def reader(reference: Tensors, model: Tensors) -> Callable[[str], tuple[Array, Array]]:
    return lambda name: (reference[name], model[name])


def group(name: str, size: int, *places: tuple[str, int, Any], fixed: tuple[int, ...] = ()) -> Channels:
    kinds = np.zeros(size, int)
    kinds[list(fixed)] = FIXED
    return Channels(name, kinds, tuple(Place(tensor, axis, np.asarray(own)) for tensor, axis, own in places))


def permuted(tensors: Tensors, groups: list[Channels], orders: list[Array]) -> dict[str, Array]:
    """The tensors with each group in a new order, channel by channel, without the code under test."""
    made = dict(tensors)
    for own, order in zip(groups, orders, strict=True):
        for place in own.places:
            source = np.arange(len(place.channels))
            for new, old in enumerate(order):
                source[place.channels == new] = np.flatnonzero(place.channels == old)
            made[place.tensor] = np.take(made[place.tensor], source, place.axis)
    return made


def objective(reference: Tensors, model: Tensors) -> float:
    return sum(float(np.vdot(reference[name].astype(float), model[name].astype(float))) for name in reference)


def mlp(widths: tuple[int, ...], seed: int = 0) -> tuple[dict[str, Array], list[Channels]]:
    random = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    for number, (size, width) in enumerate(pairwise(widths)):
        tensors[f"{number}/kernel"] = random.normal(size=(size, width)).astype(np.float32)
        tensors[f"{number}/bias"] = random.normal(size=width).astype(np.float32)
    groups = [
        group(
            str(number),
            width,
            (f"{number}/kernel", 1, range(width)),
            (f"{number}/bias", 0, range(width)),
            (f"{number + 1}/kernel", 0, range(width)),
        )
        for number, width in enumerate(widths[1:-1])
    ]
    return tensors, groups


def shuffled(groups: list[Channels], seed: int) -> list[Array]:
    """A random order of the channels of each kind."""
    random, found = np.random.default_rng(seed), []
    for each in groups:
        order = np.arange(len(each.kinds))
        for channels in each.movable:
            order[channels] = random.permutation(channels)
        found.append(order)
    return found


@pytest.mark.parametrize("widths", [(5, 16, 3), (8, 32, 32, 32, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_permutation_of_an_mlp_is_found(widths: tuple[int, ...], seed: int) -> None:
    tensors, groups = mlp(widths)
    planted = permuted(tensors, groups, shuffled(groups, seed + 1))
    found = weight_matching.weight_matching(groups, reader(tensors, planted), seed)
    back = permuted(planted, groups, list(found.permutations))
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)
    assert found.before < 0.9
    assert found.after == pytest.approx(1, abs=1e-12)


def test_a_planted_permutation_of_a_cnn_is_found() -> None:
    """Two convolutions with gammas, and a dense layer behind Flatten, which holds nine rows of each channel."""
    random = np.random.default_rng(3)
    shapes = {"a": (3, 3, 2, 12), "gamma": (12,), "b": (3, 3, 12, 10), "dense": (90, 4)}
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    groups = [
        group("a", 12, ("a", 3, range(12)), ("gamma", 0, range(12)), ("b", 2, range(12))),
        group("b", 10, ("b", 3, range(10)), ("dense", 0, np.tile(np.arange(10), 9))),
    ]
    planted = permuted(tensors, groups, shuffled(groups, 5))
    assert not np.array_equal(planted["dense"], tensors["dense"])
    found = weight_matching.weight_matching(groups, reader(tensors, planted))
    back = permuted(planted, groups, list(found.permutations))
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def test_channels_of_one_axis_may_be_of_several_groups() -> None:
    """Behind a concatenation, a kernel has the channels of two layers along one axis."""
    random = np.random.default_rng(4)
    shapes = {"a": (3, 5), "b": (3, 7), "both": (12, 4)}
    tensors = {name: random.normal(size=shape) for name, shape in shapes.items()}
    groups = [
        group("a", 5, ("a", 1, range(5)), ("both", 0, [*range(5), *[-1] * 7])),
        group("b", 7, ("b", 1, range(7)), ("both", 0, [*[-1] * 5, *range(7)])),
    ]
    orders = shuffled(groups, 6)
    planted = permuted(tensors, groups, orders)
    (source,) = sources_of(groups, orders)["both"].values()
    assert np.array_equal(tensors["both"][source], planted["both"])
    found = weight_matching.weight_matching(groups, reader(tensors, planted))
    back = permuted(planted, groups, list(found.permutations))
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def test_units_of_a_recurrent_layer_go_with_their_gates() -> None:
    """Four gates along the columns, and the units along the rows of the recurrent kernel as well."""
    random, units = np.random.default_rng(7), 9
    gates = np.tile(np.arange(units), 4)
    tensors = {
        "kernel": random.normal(size=(6, 4 * units)),
        "recurrent": random.normal(size=(units, 4 * units)),
        "bias": random.normal(size=4 * units),
        "dense": random.normal(size=(units, 2)),
    }
    groups = [
        group(
            "lstm",
            units,
            ("kernel", 1, gates),
            ("recurrent", 0, range(units)),
            ("recurrent", 1, gates),
            ("bias", 0, gates),
            ("dense", 0, range(units)),
        )
    ]
    (order,) = orders = shuffled(groups, 8)
    planted = permuted(tensors, groups, orders)
    assert np.array_equal(
        planted["recurrent"].reshape(units, 4, units), tensors["recurrent"].reshape(units, 4, units)[order][:, :, order]
    )
    found = weight_matching.weight_matching(groups, reader(tensors, planted))
    back = permuted(planted, groups, list(found.permutations))
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def residual(seed: int, width: int = 40, depth: int = 4) -> tuple[dict[str, Array], list[Channels]]:
    """x + Dense(Dense(x)), several times: one group for the stream, and one in each block."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Array] = {"in": random.normal(size=(10, width)), "out": random.normal(size=(width, 5))}
    stream: list[tuple[str, int, Any]] = [("in", 1, range(width)), ("out", 0, range(width))]
    groups = []
    for number in range(depth):
        up, down = f"{number}/up", f"{number}/down"
        tensors[up], tensors[down] = random.normal(size=(width, width)), random.normal(size=(width, width))
        stream += [(up, 0, range(width)), (down, 1, range(width))]
        groups.append(group(up, width, (up, 1, range(width)), (down, 0, range(width))))
    return tensors, [group("stream", width, *stream), *groups]


@pytest.mark.parametrize("noise", [0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_planted_permutations_of_a_residual_network_are_found(seed: int, noise: float) -> None:
    tensors, groups = residual(seed)
    orders = shuffled(groups, seed + 10)
    random = np.random.default_rng(seed)
    near = {name: values + noise * random.normal(size=values.shape) for name, values in tensors.items()}
    moved = permuted(near, groups, orders)
    found = weight_matching.weight_matching(groups, reader(tensors, moved), seed)
    reached = objective(tensors, permuted(moved, groups, list(found.permutations)))
    assert reached >= 0.99 * objective(tensors, near)
    assert all(np.array_equal(a[b], np.arange(40)) for a, b in zip(orders, found.permutations, strict=True))


def test_a_search_from_the_front_is_not_misled_by_what_is_not_in_order_yet() -> None:
    """With all tensors in the first sums, three of these six orders are missed."""
    for seed in range(6):
        tensors, groups = residual(seed, width=24)
        orders = shuffled(groups, seed + 10)
        found = weight_matching.weight_matching(groups, reader(tensors, permuted(tensors, groups, orders)), seed)
        assert all(np.array_equal(a[b], np.arange(24)) for a, b in zip(orders, found.permutations, strict=True))


def test_more_searches_find_no_less() -> None:
    tensors, groups = residual(3)
    model, _ = residual(4)
    one, five = (weight_matching.weight_matching(groups, reader(tensors, model), 1, restarts=each) for each in (1, 5))
    assert five.after >= one.after > one.before


@pytest.mark.parametrize("seed", range(3))
def test_the_inverse_permutation_brings_back_the_bytes(seed: int) -> None:
    tensors, groups = residual(seed)
    orders = shuffled(groups, seed)
    back = permuted(permuted(tensors, groups, orders), groups, [np.argsort(each) for each in orders])
    assert all(back[name].tobytes() == tensors[name].tobytes() for name in tensors)


def test_a_layer_inside_a_stream_has_it_along_both_axes() -> None:
    """x + Dense(x): L is quadratic in the permutation, and only ever grows."""
    random, width = np.random.default_rng(2), 12
    tensors = {name: random.normal(size=(width, width)) for name in ("one", "two")} | {
        "in": random.normal(size=(20, width))
    }
    every = range(width)
    groups = [
        group("stream", width, ("in", 1, every), *((name, axis, every) for name in ("one", "two") for axis in (0, 1)))
    ]
    planted = permuted(tensors, groups, shuffled(groups, 3))
    found = weight_matching.weight_matching(groups, reader(tensors, planted))
    assert found.after == pytest.approx(1)


def test_an_order_that_only_a_recurrent_kernel_tells_is_found() -> None:
    """No tensor has these channels along one axis alone, so that all that is gained is gained by the quadratic form."""
    units = 6
    tensors = {"recurrent": np.outer(np.arange(1.0, units + 1), np.ones(units))}
    groups = [group("rnn", units, ("recurrent", 0, range(units)), ("recurrent", 1, range(units)))]
    planted = permuted(tensors, groups, shuffled(groups, 3))
    found = weight_matching.weight_matching(groups, reader(tensors, planted))
    assert found.before < 0.9
    assert found.after == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(0, 10**6), st.booleans())
def test_one_group_gets_its_best_order_of_all(size: int, seed: int, has_fixed: bool) -> None:
    random = np.random.default_rng(seed)
    shapes = {"kernel": (4, size), "bias": (size,), "next": (2 * size, 3)}
    reference = {name: random.normal(size=shape) for name, shape in shapes.items()}
    model = {name: random.normal(size=shape) for name, shape in shapes.items()}
    own = group(
        "g",
        size,
        ("kernel", 1, range(size)),
        ("bias", 0, range(size)),
        ("next", 0, [*range(size), *range(size)]),
        fixed=(1,) if has_fixed else (),
    )
    orders = [np.array(each) for each in permutations(range(size)) if not has_fixed or each[1] == 1]
    best = max(objective(reference, permuted(model, [own], [order])) for order in orders)
    found = weight_matching.weight_matching([own], reader(reference, model))
    assert objective(reference, permuted(model, [own], list(found.permutations))) == pytest.approx(best)
    norms = [np.sqrt(objective(each, each)) for each in (reference, model)]
    assert found.after == pytest.approx(best / (norms[0] * norms[1]))
    assert found.before == pytest.approx(objective(reference, model) / (norms[0] * norms[1]))


@pytest.mark.parametrize("seed", range(20))
def test_a_search_never_ends_below_its_start_and_no_group_can_be_better_alone(seed: int) -> None:
    tensors, groups = mlp((3, 4, 4, 4, 2), seed)
    model, _ = mlp((3, 4, 4, 4, 2), seed + 1)
    found = weight_matching.weight_matching(groups, reader(tensors, model), seed)
    assert found.after >= found.before
    reached = objective(tensors, permuted(model, groups, list(found.permutations)))
    for at, order in product(range(3), permutations(range(4))):
        orders = list(found.permutations)
        orders[at] = np.array(order)
        assert objective(tensors, permuted(model, groups, orders)) <= reached + 1e-9


def test_channels_of_other_kinds_stay_apart() -> None:
    tensors, groups = mlp((6, 8, 3))
    kinds = np.array([0, 0, 0, 1, 1, FIXED, FIXED, 2])
    apart = [Channels("g", kinds, groups[0].places)]
    model, _ = mlp((6, 8, 3), 1)
    (order,) = weight_matching.weight_matching(apart, reader(tensors, model)).permutations
    assert np.array_equal(kinds[order], kinds)
    assert order[5:].tolist() == [5, 6, 7]


def test_among_equals_channels_stay() -> None:
    """Dead units are all alike: any order of them is as good."""
    tensors, groups = mlp((6, 8, 3))
    for name in tensors:
        tensors[name] = np.zeros_like(tensors[name])
    found = weight_matching.weight_matching(groups, reader(tensors, tensors))
    assert found.permutations[0].tolist() == list(range(8))
    assert (found.before, found.after) == (0, 0)


def test_the_same_seed_gives_the_same_order() -> None:
    tensors, groups = residual(0)
    model, _ = residual(1)
    found = [weight_matching.weight_matching(groups, reader(tensors, model), 3, restarts=2) for _ in range(2)]
    assert all(np.array_equal(*pair) for pair in zip(*(each.permutations for each in found), strict=True))


def test_iterations_are_a_limit() -> None:
    tensors, groups = residual(0)
    planted = permuted(tensors, groups, shuffled(groups, 1))
    assert weight_matching.weight_matching(groups, reader(tensors, planted), iterations=1).rounds == 1


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_pieces_make_no_difference(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    left, right = random.normal(size=(2, 3, 12, 5)).astype(np.float32)
    sources = {0: np.array([2, 0, 1]), 2: np.array([4, 3, 2, 0, 1])}
    positions = np.arange(12).reshape(3, 4).T
    whole, parts = np.zeros((4, 4)), np.zeros((4, 4))
    similarity.add_similarities(whole, left, right, sources, 1, positions)
    total = similarity.product(left, right, sources)
    monkeypatch.setattr(similarity, "PIECE", piece)
    similarity.add_similarities(parts, left, right, sources, 1, positions)
    moved = right[sources[0]][:, :, sources[2]]
    by_hand = np.einsum("aikb,ajkb->ij", *(np.moveaxis(each[:, positions.T], 1, 2) for each in (left, moved)))
    assert np.allclose(whole, by_hand, rtol=1e-5)
    assert np.allclose(parts, whole)
    assert similarity.product(left, right, sources) == pytest.approx(total)
    assert total == pytest.approx(float(np.vdot(left, moved)), rel=1e-5)


def test_what_is_no_number_is_refused() -> None:
    tensors, groups = mlp((6, 8, 3))
    wrong = {**tensors, "0/bias": np.full(8, np.nan, np.float32)}
    with pytest.raises(Refused, match="0/bias: NaN or infinite"):
        weight_matching.weight_matching(groups, reader(tensors, wrong))


def test_too_many_channels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, groups = mlp((6, 8, 3))
    monkeypatch.setattr(weight_matching, "MOST", 7)
    with pytest.raises(Refused, match="0 has more than 7 channels"):
        weight_matching.weight_matching(groups, reader(tensors, tensors))


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    tensors, groups = mlp((6, 8, 3))
    with pytest.raises(WtoolError, match=r"pip install 'wtool\[align\]'"):
        weight_matching.weight_matching(groups, reader(tensors, tensors))


def test_channels_of_one_kind_have_equally_many_positions() -> None:
    uneven = group("g", 2, ("kernel", 0, [0, 0, 1]))
    with pytest.raises(ValueError, match="1 to 2 positions in kernel"):
        sources_of([uneven], [np.array([1, 0])])
