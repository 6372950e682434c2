"""How models were compiled, as data: what Keras 3 is told, what is left out, and that any configuration is survived."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wtool.schema.upgrade.context import Context
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.optimizers import upgraded_optimizer
from wtool.schema.upgrade.training import upgraded_training
from wtool.schema.upgrade.upgraded import Wishes

Entry = dict[str, Any]


def entry(class_name: str, **config: Any) -> Entry:
    return {"class_name": class_name, "config": config}


SGD = entry("SGD", learning_rate=0.1, momentum=0.5, nesterov=False, decay=0.0)


def compiled(outputs: Any = ("a",), context: Context | None = None, moved: Any = None, **training: Any) -> Entry:
    """How Keras 3 compiles a model that an `.h5` of Keras 2 tells of."""
    return upgraded_training({"optimizer_config": SGD, **training}, outputs, moved or {}, context or Context())


def optimizer(config: Entry, version: str = "2.10.0") -> tuple[Any, list[str], list[str]]:
    """The entry of an optimizer in Keras 3, the changes and the notes."""
    context = Context(version=version)
    found = upgraded_optimizer(config, context)
    return found, [change.rule for change in context.changes], list(context.notes)


def test_a_learning_rate_of_nothing_is_the_usual_one() -> None:
    found, _, _ = optimizer(entry("SGD", learning_rate=None, lr=None, momentum=0.5))
    assert found["config"]["learning_rate"] == 0.01


def test_a_model_that_was_not_compiled_is_not() -> None:
    assert upgraded_training({}, ["a"], {}, Context()) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mse", "mean_squared_error"),
        ("KLD", "kl_divergence"),
        ("kullback_leibler_divergence", "kl_divergence"),
        ("logcosh", "log_cosh"),
        ("huber_loss", "huber"),
        ("", None),
        ([], None),
    ],
)
def test_losses_have_their_long_names(old: Any, new: str | None) -> None:
    assert compiled(loss=old)["loss"] == new


def test_an_automatic_reduction_is_the_one_that_was_chosen() -> None:
    loss = compiled(loss=entry("Huber", reduction="auto", name="h", delta=2.0, fn="huber"))["loss"]
    settings = {"name": "h", "reduction": "sum_over_batch_size", "delta": 2.0}
    assert loss == {"module": "keras.losses", "class_name": "Huber", "config": settings, "registered_name": None}
    assert compiled(loss=entry("Huber", reduction="sum"))["loss"]["config"] == {"reduction": "sum"}


def test_losses_of_outputs_follow_the_new_names() -> None:
    found = compiled(["x/a", "b"], moved={"x/a": "x_a"}, loss={"x/a": "mae"}, loss_weights={"x/a": 2.0})
    assert found["loss"] == {"x_a": "mean_absolute_error", "b": None}
    assert found["loss_weights"] == {"x_a": 2.0}


def test_a_metric_of_several_outputs_is_that_of_each_one() -> None:
    wrapper = [entry("MeanMetricWrapper", name=f"{name}_mae", fn="mean_absolute_error") for name in "ab"]
    for metrics in (["mae"], [[each] for each in wrapper]):
        found = compiled(["a", "b"], metrics=metrics)["metrics"]
        assert [[each["config"]["name"] for each in own] for own in found] == [["mae"], ["mae"]]
        assert {each["class_name"] for own in found for each in own} == {"MeanAbsoluteError"}


def test_metrics_keep_their_settings_and_lose_those_of_keras_2() -> None:
    auc = entry("AUC", name="auc", dtype="float32", num_thresholds=50, label_weights=None, invented=1)
    assert compiled(metrics=[[auc]])["metrics"][0][0]["config"] == {
        "name": "auc",
        "dtype": "float32",
        "num_thresholds": 50,
    }
    assert compiled(metrics=["acc"], weighted_metrics=["ce"])["metrics"] == ["acc"]


def test_what_is_the_user_s_own_is_kept_and_told() -> None:
    context = Context(Wishes(renamed={"P>Old": "Q>New"}))
    metric = entry("MeanMetricWrapper", name="mine", dtype="float32", fn="mine")
    found = compiled(context=context, loss=entry("P>Old", reduction="auto"), metrics=[[metric]])
    assert found["loss"]["registered_name"] == "Q>New"
    assert found["loss"]["config"] == {"reduction": "sum_over_batch_size"}
    assert found["metrics"][0][0]["config"] == "mine"
    told = "before the new model is loaded, or load the model with compile=False"
    assert list(context.notes) == [f"register the loss Q>New {told}", f"register the metric mine {told}"]


@pytest.mark.parametrize("loss", ["<lambda>", {"class_name": "__lambda__", "config": {"code": "4wE"}}])
def test_code_without_a_name_is_left_out(loss: Any) -> None:
    context = Context()
    found = compiled(context=context, loss=loss, metrics=[loss, entry("MeanRelativeError", normalizer=[1.0])])
    assert (found["loss"], found["metrics"]) == (None, [])
    assert all("is left out" in note for note in context.notes)


def test_how_steps_are_run_is_kept() -> None:
    found = compiled(run_eagerly=None, steps_per_execution=None, jit_compile=None)
    assert (found["run_eagerly"], found["steps_per_execution"], found.get("jit_compile")) == (False, 1, None)
    found = compiled(run_eagerly=True, steps_per_execution=4, jit_compile=True)
    assert (found["run_eagerly"], found["steps_per_execution"], found["jit_compile"]) == (True, 4, True)


def test_a_model_whose_optimizer_is_the_user_s_own_is_not_compiled() -> None:
    context = Context()
    assert compiled(context=context, optimizer_config=entry("Addons>LAMB", learning_rate=0.1), loss="mse") == {}
    assert list(context.notes) == [
        "Keras 3 has no optimizer Addons>LAMB: the optimizer and its state are left out",
        "the new model is not compiled: compile it before it is trained",
    ]


def test_an_old_decay_is_a_schedule() -> None:
    found, rules, _ = optimizer(entry("Adam", lr=0.5, decay=0.25, epsilon=1e-8))
    rate = found["config"]["learning_rate"]
    assert (rate["class_name"], rules) == ("InverseTimeDecay", ["decay"])
    assert rate["config"] == {
        "initial_learning_rate": 0.5,
        "decay_steps": 1,
        "decay_rate": 0.25,
        "staircase": False,
    }
    schedule = entry("ExponentialDecay", initial_learning_rate=0.5, decay_steps=2, decay_rate=0.5, name=None)
    found, _, notes = optimizer(entry("SGD", learning_rate=schedule, decay=0.25))
    assert found["config"]["learning_rate"]["class_name"] == "ExponentialDecay"
    assert notes == ["the optimizer's decay 0.25 is left out: Keras 3 has none beside a schedule"]


def test_a_schedule_of_the_user_s_own_is_kept_with_the_one_inside() -> None:
    inner = entry("CosineDecay", initial_learning_rate=0.5, decay_steps=2, invented=1)
    found, _, notes = optimizer(entry("SGD", learning_rate=entry("P>WarmUp", after=inner, steps=3)))
    rate = found["config"]["learning_rate"]
    assert (rate["module"], rate["class_name"], rate["registered_name"]) == (None, "WarmUp", "P>WarmUp")
    assert rate["config"]["after"]["config"] == {"initial_learning_rate": 0.5, "decay_steps": 2}
    assert rate["config"]["steps"] == 3
    assert notes == ["register the schedule P>WarmUp before the new model is loaded, or load it with compile=False"]


def test_keras_without_tensorflow_clipped_all_gradients_together() -> None:
    config = entry("Adam", lr=0.5, clipnorm=1.0)
    for version, key in (("2.2.4", "global_clipnorm"), ("2.2.4-tf", "clipnorm"), ("2.4.0", "clipnorm")):
        found, rules, _ = optimizer(config, version)
        assert found["config"][key] == 1.0
        assert rules == (["clipnorm"] if key == "global_clipnorm" else [])


def test_one_way_to_clip_is_kept() -> None:
    found, _, notes = optimizer(entry("SGD", learning_rate=0.5, clipvalue=0.5, clipnorm=1.0))
    assert {"clipnorm", "clipvalue"} & found["config"].keys() == {"clipnorm"}
    assert notes == ["the optimizer's clipvalue is left out: Keras 3 takes one way to clip gradients"]


def test_the_scale_of_the_loss_of_tensorflow_2_3() -> None:
    scale = entry("DynamicLossScale", initial_loss_scale=8.0, increment_period=20, multiplier=2.0)
    found, _, _ = optimizer(entry("LossScaleOptimizer", optimizer=SGD, loss_scale=scale))
    assert found["class_name"] == "LossScaleOptimizer"
    assert found["config"]["inner_optimizer"]["class_name"] == "SGD"
    assert {**found["config"], "inner_optimizer": None} == {
        "inner_optimizer": None,
        "initial_scale": 8.0,
        "dynamic_growth_steps": 20,
    }
    fixed, rules, _ = optimizer(
        entry("LossScaleOptimizer", optimizer=SGD, loss_scale=entry("FixedLossScale", loss_scale_value=4.0))
    )
    assert (fixed["class_name"], fixed["config"]["loss_scale_factor"], rules) == ("SGD", 4.0, ["scale of the loss"])


@pytest.mark.parametrize("told", ["adam", "Custom>Adam", "Adam"])
def test_names_of_an_optimizer(told: str) -> None:
    found, _, _ = optimizer({"class_name": told, "config": {}})
    assert found["class_name"] == "Adam"
    assert upgraded_optimizer(told, Context())["config"] == {"learning_rate": 0.001}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["mse", "Adam"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "fn", "name", "learning_rate", "a"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = ["optimizer_config", "loss", "metrics", "weighted_metrics", "loss_weights", "steps_per_execution"]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.sampled_from([None, [], ["a"], ["a", "b"]]))
def test_any_configuration_is_survived(training: Entry, outputs: Any) -> None:
    for told in (training, {**training, "optimizer_config": SGD}):
        found = upgraded_training(told, outputs, {}, Context())
        assert found == {} or isinstance(found["optimizer"], dict)


@pytest.mark.parametrize(
    ("kind", "trainable", "is_noted"),
    [("Adam", True, True), ("Adagrad", True, True), ("SGD", True, False), ("Adam", False, False)],
)
def test_an_embedding_that_trains_on_otherwise_is_noted(kind: str, trainable: bool, is_noted: bool) -> None:
    layer = entry(
        "Embedding", name="words", input_dim=3, output_dim=2, batch_input_shape=[None, 4], trainable=trainable
    )
    model = entry("Sequential", name="model", layers=[layer])
    training = {"optimizer_config": entry(kind, learning_rate=0.1), "loss": "mse"}
    notes = upgrade(model, training, "2.10.0", {}, Wishes()).notes
    assert any("several times in a batch" in note and "words trains on" in note for note in notes) is is_noted
