"""The table of layers by itself: its entries do not contradict each other, and its names are acted on."""

from __future__ import annotations

from collections import Counter

import pytest

from wtool.graphs.layer_rules import RULES
from wtool.schema.layers import (
    CHANNELS,
    TABLE,
    VARIANTS,
    built_in,
    class_of_group,
    entry_of,
    holds_kernel,
    snake_case,
    variants,
)

BY_SEVERAL_INPUTS = {"merge", "concatenate", "attention"}


def test_whoever_edits_graphs_acts_on_every_way_of_treating_channels() -> None:
    assert {*RULES, *BY_SEVERAL_INPUTS, "together"} == set(CHANNELS)
    assert {entry.channels for entry in TABLE.values()} == set(CHANNELS)


def test_no_name_means_two_classes() -> None:
    names = Counter(alias for entry in TABLE.values() for alias in (entry.name, *entry.aliases))
    assert set(names.values()) == {1}
    groups = Counter(snake_case(name.rpartition(">")[2]) for name in TABLE)
    assert set(groups.values()) == {1}


@pytest.mark.parametrize("name", TABLE)
def test_a_class_is_found_by_each_of_its_names(name: str) -> None:
    entry = TABLE[name]
    assert all(entry_of(alias) is entry for alias in (name, *entry.aliases))
    assert built_in(name) == name
    assert class_of_group(f"{snake_case(name.rpartition('>')[2])}_3") == name


@pytest.mark.parametrize("name", TABLE)
def test_parts_are_classes_of_the_table(name: str) -> None:
    assert all(part.class_name in TABLE for part in TABLE[name].parts)


def test_a_pruned_layer_holds_the_kernel_under_its_masks() -> None:
    assert holds_kernel("tfmot>PruneLowMagnitude", {"layer": {}})
    assert not holds_kernel("Flatten", {})
    assert not holds_kernel("PReLU", {})


def test_rotating_layers_are_like_their_parents() -> None:
    for name, entry in TABLE.items():
        if entry.rotates:
            own = TABLE[f"wtool>AutoRot{name}"]
            assert (own.channels, own.output_shape, own.rank) == (entry.channels, entry.output_shape, entry.rank)
            assert variants(own.name, None) == variants(name, None)
            assert f"AutoRot{name}" in VARIANTS
