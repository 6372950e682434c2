"""Every optimizer variable in a saved model is the slot, and of the weight, that Keras made it for, or is left open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.real_models import AUTHORS_OWN, Saved, keras_path, saved_files
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.model import Tensor
from wtool.checkpoint.optimizer import slots as optimizer
from wtool.checkpoint.optimizer.nested import scalars_by_number
from wtool.checkpoint.optimizer.slots import Stored
from wtool.hdf5.reader import Dataset
from wtool.schema import optimizer_settings
from wtool.schema.optimizer_settings import Settings
from wtool.schema.optimizers import ITERATION, STEP_COUNTER, TABLE, OptimizerClass

ROLES = json.loads((Path(__file__).parents[2] / "fixtures" / "keras-roles.json").read_text())
FILES = [saved for saved in saved_files() if any(saved.slot_places)]
EACH = pytest.mark.parametrize("saved", FILES, ids=str)
SCALARS = {"iter": "iteration", "iterations": "iteration"}
OLD = {"m": "momentum", "v": "velocity", "rms": "velocity", "moment": "momentum", "accumulator": "velocity"}


def reported(saved: Saved, entry: dict[str, Any]) -> tuple[str, str] | None:
    """Slot and weight as the optimizer's own name for its variable tells them; None where it tells nothing."""
    name = re.sub(r":\d+$", "", entry.get("path") or entry["name"])
    last = name.rpartition("/")[2]
    paths = [keras_path(weight) for weight in saved.report["weights"]]
    trained = [p for p, weight in zip(paths, saved.report["weights"], strict=True) if "moving_" not in p]
    if match := re.fullmatch(r".*/(\w+?)_(\d+)_1", name):  # Keras 2.3: numbered
        if "frozen" in saved.model or match[1] not in OLD:
            return None
        return OLD[match[1]], trained[int(match[2])]
    for path in paths:
        for slot in ("momentum", "velocity", "average"):
            if last == f"{path.replace('/', '_')}_{slot}":
                return slot, path
        for old, slot in OLD.items():
            if name.endswith((f"/{path}/{old}", f"/{old}/{path}")):
                return slot, path
        for slot in ("momentum", "velocity"):
            if name.endswith((f"/{path}/{slot}", f"/{slot}/{path}")):
                return slot, path
    return None


def tensors_at(saved: Saved, places: list[str]) -> list[Tensor]:
    return [t for t in saved.contents.tensors if t.stored in places and t.slot is not None]


@EACH
def test_slots_belong_to_the_weights_that_keras_made_them_for(saved: Saved) -> None:
    stored = {tensor.path: tensor.stored for tensor in saved.contents.tensors}
    place_of = {keras_path(w): p for w, p in zip(saved.report["weights"], saved.weight_places, strict=True)}
    for entry, places in zip(saved.report["optimizer_variables"], saved.slot_places, strict=True):
        found = tensors_at(saved, places)
        told = reported(saved, entry)
        if told is None or not found:
            continue
        slot, weight = told
        rights = []
        for tensor in found:
            assert tensor.slot is not None
            same = tensor.slot.weight is None or not place_of[weight] or stored[tensor.slot.weight] in place_of[weight]
            rights.append(same and tensor.slot.name in (slot, "slot0", "slot1", "slot2", "unknown"))
        assert any(rights), (entry["name"], [tensor.slot for tensor in found])


@EACH
def test_all_are_known_where_all_can_be_known(saved: Saved) -> None:
    slots = [tensor for tensor in saved.contents.tensors if tensor.slot is not None]
    assert all(tensor.role == "optimizer slot" and tensor.layer == "optimizer" for tensor in slots)
    assert saved.contents.optimizer is not None
    if saved.model in AUTHORS_OWN and not saved.path.name.endswith("l.h5"):
        return
    if saved.model == "layernorm" and saved.path.name.endswith(".weights.h5"):
        return  # which of two layers of equal shapes came first cannot be told
    for tensor in slots:
        assert tensor.slot is not None
        assert tensor.slot.name != "unknown"
        assert tensor.slot.weight is not None or tensor.shape in ((), (1,)), tensor


@EACH
def test_scalars(saved: Saved) -> None:
    for entry, places in zip(saved.report["optimizer_variables"], saved.slot_places, strict=True):
        name = re.sub(r":\d+$", "", entry["name"]).rpartition("/")[2]
        name = SCALARS.get(name, name)
        if name in ("iteration", "learning_rate", "step_counter", "dynamic_scale") and entry["shape"] == []:
            found = tensors_at(saved, places)
            assert not found or any(t.slot is not None and t.slot.name == name for t in found)


def test_files_of_one_model_have_the_same_slots() -> None:
    by_model: dict[tuple[str, str], dict[frozenset[str], str]] = {}
    for saved in FILES:
        if saved.only_weights or saved.keras2 or saved.model in AUTHORS_OWN or saved.model == "mixed_f16":
            continue  # mixed_float16: Keras-3 files hold the slots twice
        paths = frozenset(tensor.path for tensor in saved.contents.tensors if tensor.slot is not None)
        by_model.setdefault((saved.version, saved.model), {})[paths] = str(saved)
    assert by_model
    assert all(len(forms) == 1 for forms in by_model.values())


WEIGHTS = {
    "d0/kernel": (4, 3),
    "d0/bias": (3,),
    "bn/gamma": (3,),
    "bn/beta": (3,),
    "d1/kernel": (3, 2),
    "d1/bias": (2,),
}


def held(path: str, shape: tuple[int, ...]) -> StoredVariable:
    name = path.rpartition("/")[2]
    return StoredVariable(name, name, Dataset(path, shape, "float32", 0, 4, {}), "float32", True, path=path)


def model(weights: dict[str, tuple[int, ...]], frozen: str = "") -> StoredLayer:
    root = StoredLayer("", "Functional", "", True, created=[])
    for path, shape in weights.items():
        layer = path.partition("/")[0]
        if not root.parts or root.parts[-1].path != layer:
            root.parts.append(StoredLayer(layer, "Dense", layer, layer != frozen, created=[]))
        part = root.parts[-1]
        part.holds.append(held(path, shape))
        part.created = list(part.holds)
    return root


def stored(shapes: list[tuple[int, ...]]) -> list[Stored]:
    return [
        Stored(Dataset(f"optimizer/vars/{n}", shape, "float32", 0, 4, {}), "float32", str(n))
        for n, shape in enumerate(shapes)
    ]


EXTRA = {
    "SGD(momentum=.9)": {"momentum": 0.9},
    "RMSprop(centered,momentum)": {"centered": True, "momentum": 0.9},
    "Adam(amsgrad)": {"amsgrad": True},
    "Adam(use_ema)": {"use_ema": True},
    "Adam(grad_accum=2)": {"gradient_accumulation_steps": 2},
    "Adam(ema+accum)": {"use_ema": True, "gradient_accumulation_steps": 2},
    "Adam(schedule)": {"learning_rate": {"class_name": "ExponentialDecay", "config": {}}},
}


def settings_for(name: str) -> Settings:
    if name == "LossScale(Adam)":
        return Settings("LossScaleOptimizer", {"inner_optimizer": {"class_name": "Adam", "config": {"name": "a"}}})
    return Settings(name.partition("(")[0], {"name": "it", **EXTRA.get(name, {})})


@pytest.mark.parametrize("name", sorted(ROLES["optimizers"]))
def test_the_layout_of_every_optimizer(name: str) -> None:
    variables = ROLES["optimizers"][name]["variables"]
    tensors, notes = optimizer.read(
        stored([tuple(shape) for _, shape, _ in variables]), settings_for(name), model(WEIGHTS), names=False
    )
    assert notes == []
    for (theirs, _, _), tensor in zip(variables, tensors, strict=True):
        assert tensor.slot is not None
        last = theirs.rpartition("/")[2]
        if tensor.slot.weight is None:
            assert tensor.slot.name in (last, "u_product")
        elif tensor.slot.name in ("r", "c"):
            assert tensor.slot.weight.endswith(f"/{last}")
        else:
            slot = "momentum" if tensor.slot.name == "sequence" else tensor.slot.name
            assert last == f"s_{tensor.slot.weight.replace('/', '_')}_{slot}"


def slots(tensors: list[Tensor]) -> list[tuple[str, str | None]]:
    return [(t.slot.name, t.slot.weight) for t in tensors if t.slot is not None]


ADAM = Settings("Adam", {"name": "adam"})


def adam(*weights: tuple[int, ...]) -> list[Stored]:
    return stored([(), (), *(shape for shape in weights for _ in "mv")])


def test_layers_frozen_after_compiling_keep_their_slots() -> None:
    tensors, _ = optimizer.read(adam(*WEIGHTS.values()), ADAM, model(WEIGHTS, frozen="d0"), names=False)
    assert slots(tensors)[2] == ("momentum", "d0/kernel")


def test_layers_frozen_before_compiling_have_none() -> None:
    tensors, _ = optimizer.read(adam((3,), (3,), (3, 2), (2,)), ADAM, model(WEIGHTS, frozen="d0"), names=False)
    assert slots(tensors)[2] == ("momentum", "bn/gamma")


def test_layers_thawed_after_compiling() -> None:
    tensors, _ = optimizer.read(adam((4, 3), (3,), (3, 2), (2,)), ADAM, model(WEIGHTS), names=False)
    assert slots(tensors)[2] == ("momentum", "d0/kernel")
    assert slots(tensors)[-1] == ("velocity", "d1/bias")


def test_equal_layers_one_of_which_was_frozen_are_left_open() -> None:
    twins = {"a/kernel": (3, 3), "b/kernel": (3, 3)}
    tensors, _ = optimizer.read(adam((3, 3)), ADAM, model(twins), names=False)
    assert slots(tensors)[2:] == [("momentum", None), ("velocity", None)]


def test_an_unknown_class_gets_numbered_slots() -> None:
    tensors, _ = optimizer.read(adam(*WEIGHTS.values()), Settings(None, {}), model(WEIGHTS), names=False)
    assert slots(tensors)[:4] == [
        ("iteration", None), ("learning_rate", None), ("slot0", "d0/kernel"), ("slot1", "d0/kernel"),
    ]  # fmt: skip


def test_what_fits_nothing_is_left_unnamed() -> None:
    tensors, notes = optimizer.read(stored([(7, 7), (4, 3), (3,)]), ADAM, model(WEIGHTS), names=False)
    assert slots(tensors) == [("unknown", None), ("unknown", "d0/kernel"), ("unknown", None)]
    assert [tensor.path for tensor in tensors] == ["optimizer/0", "optimizer/1", "optimizer/2"]
    assert len(notes) == 1


def test_many_equal_weights_of_an_authors_layer_take_no_time() -> None:
    root = StoredLayer("", None, "")
    root.holds = [held(f"{n}", (3,)) for n in range(1500)]
    tensors, _ = optimizer.read(adam(*[(3,)] * 1500), ADAM, root, names=False)
    assert slots(tensors)[2] == ("momentum", None)


@pytest.mark.parametrize(
    ("class_name", "config", "slot", "value"),
    [
        ("Adagrad", {"initial_accumulator_value": 0.25}, "accumulator", 0.25),
        ("Adagrad", {}, "accumulator", 0.1),
        ("Ftrl", {}, "linear", 0.0),
        ("Nadam", {}, "u_product", 1.0),
        ("LossScaleOptimizer", {"initial_scale": 8.0}, "dynamic_scale", 8.0),
        ("LossScaleOptimizer", {"inner_optimizer": {"class_name": "Adagrad", "config": {}}}, "accumulator", 0.1),
        ("Adam", {}, "momentum", 0.0),
    ],
)
def test_initial_values(class_name: str, config: dict[str, Any], slot: str, value: float) -> None:
    assert optimizer.initial_value(slot, Settings(class_name, config)) == value


@pytest.mark.parametrize(
    ("entry", "name", "class_name"),
    [
        ("rmsprop", None, "RMSprop"),
        ({"class_name": "mine>Adam", "config": {}}, None, "Adam"),
        (None, "adam_w_1", "AdamW"),
        (None, "loss_scale_optimizer", "LossScaleOptimizer"),
        (None, "mine", None),
        ({"class_name": 3}, None, None),
    ],
)
def test_the_class_of_an_optimizer(entry: Any, name: str | None, class_name: str | None) -> None:
    assert optimizer_settings.settings_of(entry, name).class_name == class_name


def test_no_wrapper_takes_the_place_of_another_with_as_many_scalars() -> None:
    assert scalars_by_number(TABLE | {"Other": OptimizerClass(head=(ITERATION,))})[1] == ("iteration",)
    with pytest.raises(ValueError, match="Other has as many scalars as another wrapper"):
        scalars_by_number(TABLE | {"Other": OptimizerClass(head=(ITERATION, STEP_COUNTER))})
