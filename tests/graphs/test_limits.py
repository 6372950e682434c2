"""The limits of the inputs of layers, as `swap --to autorot` takes them from the layers before."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.graphs.rotation import limits_of, rotate
from wtool.schema.graph import read


def chain(*layers: tuple[str, dict[str, Any]]) -> Any:
    """The graph of a Sequential model of some layers, named by their places, and a Dense behind them."""
    entries = [
        {"class_name": name, "config": {"name": str(number), **config}}
        for number, (name, config) in enumerate([*layers, ("Dense", {"units": 2})])
    ]
    return read({"class_name": "Sequential", "config": {"name": "model", "layers": entries}})


TANH = ("Dense", {"units": 3, "activation": "tanh"})
SIGMOID = ("Dense", {"units": 3, "activation": "sigmoid"})


@pytest.mark.parametrize(
    ("layers", "limits"),
    [
        ([TANH], (-1.0, 1.0)),
        ([SIGMOID, ("Dropout", {"rate": 0.1}), ("Flatten", {})], (0.0, 1.0)),
        ([SIGMOID, ("Dense", {"units": 3, "activation": "relu"})], None),
        ([("LSTM", {"units": 3})], (-1.0, 1.0)),
        ([("LSTM", {"units": 3, "activation": "tanh", "recurrent_activation": "hard_sigmoid"})], (-1.0, 1.0)),
        ([("LSTM", {"units": 3, "activation": "tanh", "recurrent_activation": "relu"})], None),
        ([("LSTM", {"units": 3, "activation": "tanh", "inner_activation": "linear"})], None),
        ([("GRU", {"units": 3, "activation": "tanh", "recurrent_activation": "tanh"})], None),
        ([("GRU", {"units": 3, "activation": "relu"})], None),
        ([("SimpleRNN", {"units": 3, "activation": "sigmoid"})], (0.0, 1.0)),
        ([("SimpleRNN", {"units": 3, "activation": "relu"})], None),
        ([SIGMOID, ("UpSampling2D", {"interpolation": "bilinear"})], (0.0, 1.0)),
        ([SIGMOID, ("UpSampling2D", {"interpolation": "bicubic"})], None),
        ([SIGMOID, ("UpSampling2D", {"interpolation": "lanczos3"})], None),
        ([SIGMOID, ("UpSampling2D", {"interpolation": "mitchellcubic"})], None),
        ([("Dense", {"units": 3, "activation": "sparsemax"})], None),
    ],
)
def test_limits_behind_layers(layers: list[Any], limits: Any) -> None:
    assert limits_of(chain(*layers))[str(len(layers))] == limits


def test_the_state_that_a_gru_starts_from_counts() -> None:
    """h' = gate * h + (1 - gate) * tanh(...): what the first h was can stay in h."""

    def node(*names: str) -> Any:
        return [[[name, 0, 0, {}] for name in names]]

    def limits(state: str, class_name: str) -> Any:
        layers = [
            {"class_name": "InputLayer", "config": {"name": "x"}, "name": "x", "inbound_nodes": []},
            {"class_name": "InputLayer", "config": {"name": "s"}, "name": "s", "inbound_nodes": []},
            {"class_name": "Activation", "config": {"activation": state}, "name": "a", "inbound_nodes": node("s")},
            {"class_name": class_name, "config": {"units": 3}, "name": "r", "inbound_nodes": node("x", "a")},
            {"class_name": "Dense", "config": {"units": 2}, "name": "d", "inbound_nodes": node("r")},
        ]
        config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
        return limits_of(read({"class_name": "Functional", "config": config}))["d"]

    assert limits("tanh", "GRU") == (-1.0, 1.0)
    assert limits("relu6", "GRU") == (-1.0, 6.0)
    assert limits("linear", "GRU") is None
    assert limits("linear", "LSTM") == (-1.0, 1.0)


def test_a_layer_under_another_name_becomes_the_usual_rotating_layer() -> None:
    """Files of Keras 1 call Conv2D Convolution2D."""
    model = chain(("Convolution2D", {"filters": 3, "kernel_size": [2, 2], "activation": "tanh"}))
    layer = model.layers[0]
    assert rotate(model, layer, (0.0, 1.0), (None, None), None, auto_rot=True) == "AutoRotConv2D"
    assert layer.entry["class_name"] == "wtool>AutoRotConv2D"
    assert (layer.config["xmin_lim"], layer.config["xmax_lim"], layer.config["L"]) == (0.0, 1.0, "auto")
