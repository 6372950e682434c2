"""The optimizer of a converted model: the same state under the same names, in the order of Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import ZOO

OLD = ["k2.2.4/mlp.h5", "k2.3.1/mlp.h5", "tf2.3/mlp.h5", "tf2.3/mixed_f16.h5", "tf2.10/rnn.h5", "tf2.13/mha.keras"]


def state(path: Path) -> dict[tuple[str, str | None], np.ndarray[Any, Any]]:
    """Name of a slot and path of its weight -> values, for all that the optimizer of a model keeps."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {(each.slot.name, each.slot.weight): checkpoint.read(each) for each in checkpoint.slots if each.slot}


@pytest.mark.parametrize("name", [name for name in OLD if (ZOO / name).exists()])
def test_the_state_of_an_optimizer_is_kept(name: str, tmp_path: Path) -> None:
    wtool.convert(ZOO / name, output=tmp_path / "new.keras")
    old, new = state(ZOO / name), state(tmp_path / "new.keras")
    assert old
    scaling = {"step_counter", "dynamic_scale"} if "mixed" in name else set()
    named = {} if "slot0" not in {slot for slot, _ in old} else {"slot0": "momentum", "slot1": "velocity"}
    assert {name for name, _ in set(new) - {(named.get(slot, slot), weight) for slot, weight in old}} == {
        "learning_rate",
        *scaling,
    }
    for (slot, weight), values in old.items():
        assert (new[named.get(slot, slot), weight] == values).all()
