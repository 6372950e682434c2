"""What becomes of an optimizer's variables: gradient accumulators, loss scales, and weights that nobody trains."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS, WEIGHTS, Array
from wtool.checkpoint.model import Tensor
from wtool.run.selection import by_role

TRAINED = BLOBS[-1]


def with_optimizer(target: Path, change: Callable[[dict[str, Any], h5py.Group], None]) -> Path:
    """A model whose optimizer's configuration and variables are changed."""
    with zipfile.ZipFile(TRAINED) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config, data = json.loads(members["config.json"]), io.BytesIO(members[WEIGHTS])
    with h5py.File(data, "r+") as file:
        change(config["compile_config"]["optimizer"], file["optimizer"])
    members |= {"config.json": json.dumps(config).encode(), WEIGHTS: data.getvalue()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def write(group: h5py.Group, values: list[Array]) -> None:
    """The variables of an optimizer, in place of those that are there."""
    if "vars" in group:
        del group["vars"]
    for number, value in enumerate(values):
        group[f"vars/{number}"] = value


def read(group: h5py.Group) -> list[Array]:
    return [np.asarray(group["vars"][str(number)][()]) for number in range(len(group["vars"]))]


def accumulating(entry: dict[str, Any], group: h5py.Group) -> None:
    """Keras writes the accumulated gradients of all weights before the slots of SGD, its momenta."""
    entry["config"]["gradient_accumulation_steps"] = 2
    numbers, slots = read(group)[:2], read(group)[2:]
    random = np.random.default_rng(1)
    sums = [(random.random(each.shape) + 1).astype("float32") for each in slots]
    write(group, [*numbers, *sums, *slots])


def scaled(entry: dict[str, Any], group: h5py.Group) -> None:
    """A LossScaleOptimizer around SGD, whose scale has grown."""
    inner = {"class_name": entry["class_name"], "config": dict(entry["config"])}
    entry |= {"class_name": "LossScaleOptimizer", "config": {"name": "scaled", "inner_optimizer": inner}}
    values = read(group)
    write(group.create_group("inner_optimizer"), values)
    own = [np.int64(7), np.float32(0.1), np.int32(3), np.float32(65536)]
    write(group, [*map(np.asarray, own), *values])


def named(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.tensors}


def test_accumulated_gradients_are_forgotten_where_weights_changed(tmp_path: Path) -> None:
    """They would be added to the next gradient, and go where the old value was going."""
    source, target = with_optimizer(tmp_path / "model.keras", accumulating), tmp_path / "out.keras"
    wtool.prune(source, sparsity=0.5, output=target)
    before, after = named(source), named(target)
    sums = {path: path.removeprefix("optimizer/gradient_accumulator/") for path in before if "accumulator" in path}
    assert len(sums) == 4
    for path, weight in sums.items():
        gone = (after[weight] == 0) & (before[weight] != 0)
        assert gone.any() == weight.endswith("kernel")
        assert after[path].tobytes() == np.where(gone, np.float32(0), before[path]).tobytes()


@pytest.mark.parametrize("include", [(), ("*/kernel",)])
def test_accumulated_gradients_are_forgotten_where_weights_are_averaged(
    include: tuple[str, ...], tmp_path: Path
) -> None:
    source, target = with_optimizer(tmp_path / "model.keras", accumulating), tmp_path / "out.keras"
    wtool.average([BLOBS[0], source], order="given", equal=True, include=include, output=target)
    before, after = named(source), named(target)
    sums = [path for path in before if "gradient_accumulator" in path]
    assert len(sums) == 4
    for path in sums:
        assert before[path].all()
        is_averaged = not include or path.endswith("kernel")
        assert not after[path].any() if is_averaged else np.array_equal(after[path], before[path])


@pytest.mark.parametrize("optimizer", ["reset", "follow"])
def test_the_scale_of_the_loss_is_a_setting(optimizer: str, tmp_path: Path) -> None:
    """It has been found by trial: from its first value on, many steps would overflow again."""
    source, target = with_optimizer(tmp_path / "model.keras", scaled), tmp_path / "out.keras"
    wtool.prune(source, sparsity=0.5, optimizer=optimizer, output=target)
    before, after = named(source), named(target)
    assert before["optimizer/dynamic_scale"] == after["optimizer/dynamic_scale"] == 65536
    assert before["optimizer/learning_rate"] == after["optimizer/learning_rate"]
    assert (before["optimizer/step_counter"], before["optimizer/iteration"]) == (3, 7)
    if optimizer == "reset":
        assert (after["optimizer/step_counter"], after["optimizer/iteration"]) == (0, 0)


def weight(path: str) -> Tensor:
    layer, _, role = path.rpartition("/")
    return Tensor(path, role, layer, "STFTSpectrogram", False, (4, 1, 3), "float32", f"layers/{path}", 0, 48)


def test_the_kernels_of_a_fourier_transform_are_not_pruned() -> None:
    """They are sines and cosines; nobody learned them."""
    weights = [weight(f"stft/{role}") for role in ("real_kernel", "imag_kernel")] + [weight("dense/kernel")]
    assert [each.path for each in by_role(weights, (), (), kernels=True, biases=True)] == ["dense/kernel"]
    assert [each.path for each in by_role(weights, ("stft/*_kernel",), (), kernels=True, biases=True)] == [
        "stft/real_kernel", "stft/imag_kernel",
    ]  # fmt: skip
