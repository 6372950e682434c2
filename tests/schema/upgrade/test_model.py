"""The upgrade of whole configurations, as data: what stands first, what is refused, and what is left alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from wtool.errors import Refused
from wtool.schema.upgrade import rules
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.upgraded import Upgraded, Wishes

Entry = dict[str, Any]


def entry(class_name: str, **config: Any) -> Entry:
    """An entry of Keras 2."""
    return {"class_name": class_name, "config": config}


def upgraded(model: Any, shapes: Any = None, **wishes: Any) -> Upgraded:
    """What becomes of a model of Keras 2."""
    return upgrade(model, None, "2.3.1", shapes or {}, Wishes(**wishes))


def sequential(*layers: Entry) -> Entry:
    """A Sequential model of Keras 2."""
    return entry("Sequential", name="s", layers=list(layers))


DENSE = entry("Dense", name="d", units=2, batch_input_shape=[None, 3], dtype="float64")


@pytest.mark.parametrize(
    "model", [[DENSE], entry("Sequential", name="s", layers=[DENSE]), {**entry("Sequential"), "config": [DENSE]}]
)
def test_a_sequential_model_begins_with_an_input_layer(model: Any) -> None:
    first, second = upgraded(model).config["config"]["layers"]
    assert first["class_name"] == "InputLayer"
    assert first["config"]["batch_shape"] == [None, 3]
    assert first["config"]["dtype"] == "float64"
    assert "batch_input_shape" not in second["config"]


def test_layers_without_a_dtype_have_that_of_the_input() -> None:
    layers = upgraded(sequential(DENSE, entry("Dense", name="e", units=1))).config["config"]["layers"]
    assert [layer["config"]["dtype"] for layer in layers] == ["float64"] * 3


def test_a_configuration_of_keras_3_comes_back_as_it_is() -> None:
    model = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": []}}
    result = upgrade(model, None, "3.5.0", {}, Wishes())
    assert result == Upgraded(model)


def test_the_first_kernel_or_the_user_tells_a_shape_that_was_never_stored() -> None:
    model = sequential(entry("Conv2D", name="c", filters=4, kernel_size=[3, 3]))
    inferred = upgraded(model, {"c/kernel": (3, 3, 5, 4)})
    assert inferred.config["config"]["layers"][0]["config"]["batch_shape"] == [None, None, None, 5]
    assert inferred.notes
    told = upgraded(model, input_shape=(8, 8, 5))
    assert told.config["config"]["layers"][0]["config"]["batch_shape"] == [None, 8, 8, 5]
    (refused,) = upgraded(sequential(entry("Flatten", name="f"))).refused
    assert "--input-shape" in refused.text


def test_all_refusals_come_at_once() -> None:
    result = upgraded(
        sequential(
            entry("Lambda", name="lam", batch_input_shape=[None, 3]),
            entry("LocallyConnected1D", name="lc"),
            entry("LSTM", name="l", units=2, time_major=True),
        ),
        replacements={"nobody": entry("Rescaling", scale=2)},
    )
    assert [(each.layer, each.rule) for each in result.refused] == [
        ("lam", "Lambda"), ("lc", "no such layer"), ("l", "time first"), ("nobody", "unused wish"),
    ]  # fmt: skip
    assert "--replace 'lam=" in result.refused[0].text


def test_the_users_entry_takes_the_place_of_a_layer() -> None:
    model = sequential(DENSE, entry("Lambda", name="lam", function="?"))
    result = upgraded(model, replacements={"lam": entry("Rescaling", scale=2.0)})
    assert not result.refused
    assert result.config["config"]["layers"][2] == {
        "module": "keras.layers", "class_name": "Rescaling", "registered_name": None,
        "config": {"name": "lam", "dtype": "float64", "scale": 2.0, "offset": 0.0},
    }  # fmt: skip


def test_custom_classes_are_kept_under_their_registered_names() -> None:
    custom = entry("Pkg>Own", name="o", units=3, dtype=entry("Policy", name="mixed_float16"), inner=entry("Zeros"))
    result = upgraded(sequential(DENSE, custom), renamed={"Pkg>Own": "New>Own"})
    kept = result.config["config"]["layers"][2]
    assert (kept["module"], kept["class_name"], kept["registered_name"]) == (None, "Own", "New>Own")
    assert kept["config"]["dtype"] == "mixed_float16"
    assert kept["config"]["inner"]["module"] == "keras.initializers"
    assert any("New>Own" in note for note in result.notes)


@pytest.mark.parametrize(
    ("module", "expected"),
    [("tf_keras.src.applications.convnext", "keras.src.applications.convnext"), ("mine.convnext", None), (None, None)],
)
def test_layers_of_applications_are_those_of_keras_3(module: str | None, expected: str | None) -> None:
    """Only an entry that tells the module is known to be that class; any author may call a layer so."""
    layer = entry("LayerScale", name="l", init_values=0.1, projection_dim=3, dtype=entry("Policy", name="float64"))
    result = upgraded(sequential(DENSE, {**layer, "module": module, "registered_name": "LayerScale"}))
    kept = result.config["config"]["layers"][2]
    assert (kept["module"], kept["class_name"], kept["config"]["dtype"]) == (expected, "LayerScale", "float64")
    assert any("register LayerScale" in note for note in result.notes) == (expected is None)


def test_paths_of_variables_follow_their_layers() -> None:
    model = sequential(
        entry("DepthwiseConv2D", name="dw", kernel_size=[3, 3], batch_input_shape=[None, 5, 5, 2]),
        entry("CuDNNGRU", name="g", units=2),
    )
    result = upgraded(model)
    assert result.moved == {"dw/depthwise_kernel": "dw/kernel"}
    assert {change.path: change.reads for change in result.arrays} == {
        f"g/gru_cell/{name}": (f"g/{name}",) for name in ("kernel", "recurrent_kernel", "bias")
    }


REFUSED = {
    "time first": entry("GRU", time_major=True),
    "constants": entry("RNN", cell=entry("LSTMCell", units=1), num_constants=1),
    "virtual batches": entry("BatchNormalization", virtual_batch_size=4),
    "robust masking": entry("Softmax", robust_masking=True),
    "ragged input": entry("TextVectorization", ragged=True),
    "learned bins": entry("Discretization", num_bins=3),
    "callable setting": entry("TextVectorization", standardize=entry("function")),
    "unknown setting": entry("UpSampling2D", interpolation="mitchellcubic"),
    "no such layer": entry("RandomHeight", factor=0.1),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_what_keras_3_cannot_do_is_refused_by_its_rule(rule: str) -> None:
    layer = {**REFUSED[rule], "config": {**REFUSED[rule]["config"], "name": "x"}}
    (refused,) = upgraded(sequential(DENSE, layer)).refused
    assert (refused.layer, refused.rule) == ("x", rule)
    assert rules.RULES[rule].refuses


OLD_NAMES = [
    (entry("TextVectorization", output_mode="tf-idf"), {"output_mode": "tf_idf"}),
    (entry("CategoryEncoding", output_mode="binary", max_tokens=4), {"output_mode": "multi_hot", "num_tokens": 4}),
    (entry("Discretization", bins=[1.0, 2.0], dtype="int64"), {"bin_boundaries": [1.0, 2.0], "dtype": "float32"}),
    (entry("LeakyReLU", alpha={"type": "ndarray", "value": 0.25}), {"negative_slope": 0.25}),
    (entry("Dense", activation="softmax_v2"), {"activation": "softmax"}),
    (entry("Dense", activation="Pkg>own"), {"activation": {
        "module": "builtins", "class_name": "function", "config": "Pkg>own", "registered_name": "function",
    }}),
    (entry("Dense", kernel_initializer=entry("VarianceScaling", distribution="normal", dtype="float32")),
     {"kernel_initializer": {
         "module": "keras.initializers", "class_name": "VarianceScaling", "registered_name": None,
         "config": {"distribution": "truncated_normal"},
     }}),
    (entry("Dense", dtype=entry("PolicyV1", name="mixed_float16", loss_scale={})), {"dtype": "mixed_float16"}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OLD_NAMES)))
def test_settings_get_the_names_and_the_form_of_today(number: int) -> None:
    layer, wanted = OLD_NAMES[number]
    model = sequential(entry("Dense", name="d", units=2, batch_input_shape=[None, 3], dtype="float32"), layer)
    found = upgraded(model).config["config"]["layers"][2]["config"]
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    "model",
    [
        None, 3, "x", {}, {"class_name": 3}, {"class_name": "Sequential", "config": None}, sequential(None),  # type: ignore[arg-type]
        {"class_name": "Sequential", "config": {"layers": {}}}, sequential({"class_name": "Dense"}),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused_in_a_line(model: Any) -> None:
    with pytest.raises(Refused) as refused:
        upgraded(model)
    assert "\n" not in str(refused.value)


def test_models_nest_up_to_a_limit() -> None:
    model = sequential(DENSE)
    for _ in range(60):
        model = sequential(model)
    with pytest.raises(Refused, match="nests more than"):
        upgraded(model)


def test_every_change_names_a_rule_of_the_table() -> None:
    source = "".join(path.read_text() for path in Path(rules.__file__).parent.glob("*.py"))
    named = re.findall(r"context\.(?:change|refuse)\(\s*[\w().\[\]\", ]*?,\s*\"([^\"]+)\"", source)
    assert len(named) > 20
    assert not set(named) - set(rules.RULES)


def test_a_new_name_for_what_a_model_does_not_use_is_told() -> None:
    custom = entry("Pkg>Own", name="o", units=3)
    result = upgraded(sequential(DENSE, custom), renamed={"Pkg>Own": "New>Own", "Own": "New>Own"})
    assert [note for note in result.notes if "--rename" in note] == [
        "--rename names Own, but the model uses no class or function that is called so"
    ]
