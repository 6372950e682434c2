"""Which layers and tensors of two models mean the same."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.run.pairing import Pairing, paired_by_key, paired_paths, unnumbered

S, T, U = (3,), (4,), (5,)


def pairs(left: dict[str, object], right: dict[str, object]) -> dict[str, str]:
    return dict(paired_paths(left, right).pairs)


def test_equal_paths_are_paired_and_else_automatic_names_in_their_order() -> None:
    here = {"dense/kernel": S, "dense_1/kernel": S}
    assert pairs(here, {"dense_1/kernel": S, "dense/kernel": S}) == {each: each for each in here}
    there = {"dense_4/kernel": S, "dense_5/kernel": S}
    assert paired_paths(here, there) == Pairing(tuple(zip(here, there, strict=True)))
    found = paired_paths(here, {"dense_1/kernel": S, "conv/kernel": S})
    assert found == Pairing((("dense_1/kernel", "dense_1/kernel"),), ("dense/kernel",), ("conv/kernel",))


def test_a_renamed_layer_leaves_the_others_paired() -> None:
    here = {"input_layer": None, "hidden/kernel": S, "inner/input_layer_1": None, "inner/dense/kernel": T}
    there = {"input_layer_7": None, "mine/kernel": S, "inner/input_layer_8": None, "inner/dense_3/kernel": T}
    found = paired_paths(here, there)
    assert (found.removed, found.added) == (("hidden/kernel",), ("mine/kernel",))
    assert len(found.pairs) == 3


def test_shapes_tell_which_layer_lost_its_automatic_name() -> None:
    """A name of its own for the second layer gives the third layer the second one's number."""
    here = {"conv2d/kernel": S, "conv2d_1/kernel": T, "conv2d_2/kernel": U}
    there = {"conv2d/kernel": S, "special/kernel": T, "conv2d_1/kernel": U}
    found = paired_paths(here, there)
    assert dict(found.pairs) == {"conv2d/kernel": "conv2d/kernel", "conv2d_2/kernel": "conv2d_1/kernel"}
    assert (found.removed, found.added) == (("conv2d_1/kernel",), ("special/kernel",))
    assert pairs(there, here) == {two: one for one, two in found.pairs}


def test_a_layer_more_is_told_and_no_other() -> None:
    here = {f"dense_{number}/kernel": S for number in range(1, 4)}
    found = paired_paths(here, here | {"dense_4/kernel": S})
    assert (len(found.pairs), found.added) == (3, ("dense_4/kernel",))
    assert all(one == two for one, two in found.pairs)


def test_another_shape_leaves_a_layer_paired() -> None:
    here, there = {"dense_1/kernel": S, "dense_2/kernel": T}, {"dense_5/kernel": S, "dense_6/kernel": U}
    assert pairs(here, there) == dict(zip(here, there, strict=True))


def test_variables_of_custom_layers_are_paired_in_their_order() -> None:
    here, there = {"a": S, "own/alpha": T, "own/beta": S}, {"a": S, "own_2/0": T, "own_2/1": S}
    assert pairs(here, there) == dict(zip(here, there, strict=True))
    assert pairs(there, here) == dict(zip(there, here, strict=True))
    found = paired_paths(here, {"a": S, "own/0": S, "own/1": T})
    assert (found.pairs, len(found.removed), len(found.added)) == ((("a", "a"),), 2, 2)


def test_keys_pair_in_the_order_of_the_first() -> None:
    found = paired_by_key([3, 1, 2], [2, 3, 9])
    assert found == Pairing(((3, 3), (2, 2)), (1,), (9,))


names = st.sampled_from(["a", "a_1", "a_2", "b", "b_7", "0", "c_x"])
paths = st.dictionaries(st.lists(names, min_size=1, max_size=3).map("/".join), st.sampled_from([S, T]), max_size=8)


@given(paths, paths)
def test_a_pairing_has_every_path_once_and_is_symmetric(left: dict[str, object], right: dict[str, object]) -> None:
    found, back = paired_paths(left, right), paired_paths(right, left)
    assert sorted((*(one for one, _ in found.pairs), *found.removed)) == sorted(left)
    assert sorted((*(two for _, two in found.pairs), *found.added)) == sorted(right)
    assert {(two, one) for one, two in found.pairs} == set(back.pairs)
    for path, other in found.pairs:
        for one, two in zip(path.split("/")[:-1], other.split("/")[:-1], strict=True):
            assert unnumbered(one) == unnumbered(two) or one.isdecimal() != two.isdecimal()


@pytest.mark.parametrize("deep", [False, True])
def test_hundreds_of_thousands_of_names_take_seconds(deep: bool) -> None:
    def made(first: int) -> dict[str, object]:
        return (
            {"/".join(["a"] * 100_000 + [f"b_{first}"]): S} if deep else {f"a_{first + n}/k": S for n in range(100_000)}
        )

    start = process_time()
    assert not paired_paths(made(0), made(1)).removed
    assert process_time() - start < 5
