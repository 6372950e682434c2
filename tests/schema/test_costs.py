"""What models cost, worked out by hand: shared layers, models inside, sizes that are not told, odd configurations."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.errors import Refused
from wtool.schema import shapes
from wtool.schema.costs import Costs, LayerCost, costs_of

Entry = dict[str, Any]


def layer(class_name: str, name: str, *takes: str, **settings: Any) -> Entry:
    """A layer's entry in a functional model, with a call for each tensor that it takes (`x:1` of a second call)."""
    entry = {"class_name": class_name, "name": name, "config": {"name": name, **settings}}
    keys = [(source.partition(":")[0], int(source.partition(":")[2] or 0), 0) for source in takes]
    return {**entry, "inbound_nodes": [[[*key, {}]] for key in keys]}


def functional(*layers: Entry, last: str, sizes: Any = (5,), name: str = "m") -> Entry:
    start = layer("InputLayer", "x", batch_input_shape=[None, *sizes])
    source, _, number = last.partition(":")
    graph = {"input_layers": [["x", 0, 0]], "output_layers": [[source, int(number or 0), 0]]}
    return {"class_name": "Functional", "config": {"name": name, "layers": [start, *layers], **graph}}


def sequential(*layers: Entry) -> Entry:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def by_path(costs: Costs) -> dict[str, LayerCost]:
    return {each.path: each for each in costs.layers}


def test_a_shared_layer_counts_once_for_each_call() -> None:
    model = functional(
        layer("Dense", "first", "x", units=5), layer("Dense", "shared", "first", "shared", units=5), last="shared:1"
    )
    costs = costs_of(model)
    assert by_path(costs)["shared"] == LayerCost("shared", "Dense", 2, (None, 5), 50, 10)
    assert (costs.multiply_adds, costs.activations) == (75, 15)


def test_layers_of_a_model_inside_count_once_for_each_call_of_the_model() -> None:
    inner = functional(layer("Dense", "d", "x", units=5), layer("Dense", "e", "d", units=5), last="e", name="inner")
    inner |= {"name": "inner", "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 0, 0, {}]], [["x", 0, 0, {}]]]}
    found = by_path(costs_of(functional(inner, layer("Add", "sum", "inner:1"), last="sum")))
    assert found["inner/d"] == LayerCost("inner/d", "Dense", 2, (None, 5), 50, 10)
    assert set(found) == {"inner/d", "inner/e", "sum"}


def test_a_model_in_a_wrapper_counts_for_each_step_of_each_call_of_the_model_around_it() -> None:
    each = sequential(layer("Dense", "d", units=7))
    inner = functional(layer("TimeDistributed", "steps", "x", layer=each), last="steps", sizes=(4, 7), name="inner")
    inner |= {"name": "inner", "inbound_nodes": [[["x", 0, 0, {}]], [["x", 0, 0, {}]]]}
    end = layer("Add", "end")
    end["inbound_nodes"] = [[["inner", 0, 0, {}], ["inner", 1, 0, {}]]]
    found = by_path(costs_of(functional(inner, end, last="end", sizes=(4, 7))))["inner/steps/s/d"]
    assert (found.calls, found.multiply_adds, found.activations) == (8, 8 * 7 * 7, 8 * 7)


def test_all_outputs_of_a_layer_are_activations() -> None:
    model = functional(layer("LSTM", "lstm", "x", units=3, return_state=True), last="lstm", sizes=(4, 5))
    assert by_path(costs_of(model))["lstm"] == LayerCost("lstm", "LSTM", 1, (None, 3), 4 * 4 * (3 * 5 + 3 * 3), 3 * 3)


def test_filters_of_a_group_see_its_channels_alone() -> None:
    conv = layer("Conv2D", "c", "x", filters=6, kernel_size=3, padding="same", groups=2)
    (found,) = costs_of(functional(conv, last="c", sizes=(5, 5, 4))).layers
    assert found.multiply_adds == 5 * 5 * 9 * 2 * 6


def test_attention_projects_query_key_and_value_of_different_widths() -> None:
    takes = [layer("Dense", name, "x", units=units) for name, units in (("q", 6), ("k", 10), ("v", 8))]
    mha = layer("MultiHeadAttention", "mha", num_heads=2, key_dim=3, value_dim=5)
    mha["inbound_nodes"] = [[["q", 0, 0, {"key": ["k", 0, 0], "value": ["v", 0, 0]}]]]
    found = by_path(costs_of(functional(*takes, mha, last="mha", sizes=(4, 5))))["mha"]
    projections = 4 * (6 * 2 * 3 + 10 * 2 * 3 + 8 * 2 * 5 + 2 * 5 * 6)
    assert found.multiply_adds == projections + 4 * 4 * 2 * (3 + 5)


def test_what_leads_to_no_output_costs_nothing() -> None:
    model = functional(layer("Dense", "used", "x", "x", units=2), layer("Dense", "lost", "x", units=9), last="used")
    assert [(each.path, each.calls) for each in costs_of(model).layers] == [("used", 1)]


def test_a_model_inside_that_takes_images_of_several_sizes() -> None:
    inner = functional(
        layer("Conv2D", "c", "x", filters=2, kernel_size=3, padding="same"), last="c", sizes=(None, None, 3)
    )
    inner |= {"name": "m", "inbound_nodes": [[["x", 0, 0, {}]], [["small", 0, 0, {}]]]}
    pool = layer("AveragePooling2D", "small", "x", pool_size=2)
    ends = [layer("GlobalMaxPooling2D", f"g{number}", f"m:{number}") for number in (0, 1)]
    end = layer("Concatenate", "end")
    end["inbound_nodes"] = [[["g0", 0, 0, {}], ["g1", 0, 0, {}]]]
    found = by_path(costs_of(functional(pool, inner, *ends, end, last="end", sizes=(8, 8, 3))))
    assert found["m/c"] == LayerCost("m/c", "Conv2D", 2, (None, 8, 8, 2), (64 + 16) * 9 * 3 * 2, (64 + 16) * 2)


def test_a_layer_of_its_authors_makes_the_sum_unknown_and_nothing_else() -> None:
    own = {**layer("Own", "own", "x"), "module": "mine"}
    costs = costs_of(functional(own, layer("Dense", "d", "x", units=2), last="own"))
    assert costs.layers == (LayerCost("own", "Own", 1, None, None, None, "what it multiplies is in its author's code"),)
    assert costs.multiply_adds is None


def test_sizes_that_are_not_told_can_be_given() -> None:
    model = sequential(
        layer("Conv1D", "c", filters=4, kernel_size=3), layer("Flatten", "f"), layer("Dense", "d", units=2)
    )
    unknown = by_path(costs_of(model))
    assert "not told" in unknown["c"].unknown
    assert unknown["d"].multiply_adds is None
    found = by_path(costs_of(model, [(None, 10, 5)]))
    assert (found["c"].multiply_adds, found["d"].multiply_adds) == (8 * 3 * 5 * 4, 8 * 4 * 2)


@pytest.mark.parametrize("given", [(None, 6), (None, 5, 5), (None,)])
def test_sizes_that_contradict_the_model_are_refused(given: tuple[int | None, ...]) -> None:
    with pytest.raises(Refused, match="the input x is 5, and cannot be"):
        costs_of(functional(layer("Dense", "d", "x", units=5), last="d"), [given])


def test_more_shapes_than_inputs_are_refused() -> None:
    with pytest.raises(Refused, match="2 shapes of inputs were given, and the number of inputs is 1"):
        costs_of(functional(layer("Dense", "d", "x", units=5), last="d"), [(None, 5), (None, 5)])


def test_a_graph_in_code_is_refused() -> None:
    with pytest.raises(Refused, match="author's code"):
        costs_of({"class_name": "Own", "config": {"name": "own"}})


ODD: list[tuple[str, Entry]] = [
    ("Dense", {"units": "a lot"}),
    ("Dense", {"units": -3}),
    ("Dense", {"units": None}),
    ("Dense", {"units": [2] * 50}),
    ("EinsumDense", {"equation": "->", "output_shape": [3]}),
    ("EinsumDense", {"equation": ["ab,bc->ac"], "output_shape": [3]}),
    ("EinsumDense", {"equation": "ab->a", "output_shape": []}),
    ("Dot", {"axes": 1}),
    ("RNN", {"cell": {"class_name": "LSTMCell", "config": {"units": "x"}}}),
    ("RNN", {"cell": [3]}),
    ("RNN", {"cell": []}),
    ("Bidirectional", {"layer": 3}),
    ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"units": 2}}}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": []}),
    ("Attention", {}),
    ("Conv2D", {"filters": 3, "kernel_size": 2}),
    ("LSTM", {"units": 3}),
    ("Lambda", {"function": "f"}),
]


@pytest.mark.parametrize(("class_name", "settings"), ODD)
def test_odd_settings_leave_the_number_unknown_with_a_reason(class_name: str, settings: Entry) -> None:
    (found,) = costs_of(functional(layer(class_name, "odd", "x", **settings), last="odd")).layers
    assert found.multiply_adds is None
    assert found.unknown


def test_models_in_models_that_are_called_twice_each_are_walked_once() -> None:
    """A walk of every call would take 2**39 steps."""
    model = functional(layer("Dense", "d", "x", units=5), last="d")
    for _ in range(39):
        inner = {**model, "name": "m", "inbound_nodes": [[["x", 0, 0, {}]], [["m", 0, 0, {}]]]}
        model = functional(inner, last="m:1")
    (found,) = costs_of(model).layers
    assert (found.calls, found.multiply_adds) == (2**39, 25 * 2**39)


def test_a_wrapper_without_settings_is_no_crash() -> None:
    odd = {**layer("TimeDistributed", "odd", "x"), "config": []}
    (found,) = costs_of(functional(odd, last="odd")).layers
    assert found.unknown


def test_a_large_model_inside_that_is_called_with_many_shapes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """To follow them all would take time that grows with the square of the configuration."""
    monkeypatch.setattr(shapes, "MAX_AGAIN", 10_000)
    size = 120
    inner = functional(
        *(layer("ReLU", f"r{n}", f"r{n - 1}" if n else "x") for n in range(size)), last=f"r{size - 1}", sizes=(None, 2)
    )
    pads = [layer("ZeroPadding1D", f"p{n}", f"p{n - 1}" if n else "x", padding=1) for n in range(size)]
    inner |= {"name": "m", "inbound_nodes": [[[f"p{n}", 0, 0, {}]] for n in range(size)]}
    end = layer("Concatenate", "end", axis=1)
    end["inbound_nodes"] = [[["m", n, 0, {}] for n in range(size)]]
    with pytest.raises(Refused, match="too many different shapes"):
        costs_of(functional(*pads, inner, end, last="end", sizes=(4, 2)))
