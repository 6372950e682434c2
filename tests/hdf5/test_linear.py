"""The work is in proportion to the number of tensors: lines of wtool's code that are run are counted, not seconds."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from wtool.checkpoint.model import Slot

SMALL, LARGE = 60, 120  # layers, of two tensors each with two slots
MOST = 2.2  # times as much work, for twice the tensors


def dense(number: int) -> dict[str, Any]:
    config = {"name": f"dense_{number}", "trainable": True, "units": 2, "activation": "tanh", "use_bias": True}
    return {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {**config, "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}},
        "registered_name": None,
        "build_config": {"input_shape": [None, 2]},
    }


def architecture(count: int) -> dict[str, Any]:
    layers = [dense(number) for number in range(count)]
    config = {"name": "sequential", "trainable": True, "layers": layers, "build_input_shape": [None, 2]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": "Sequential"}


ADAM = {"module": "keras.optimizers", "class_name": "Adam", "config": {"name": "adam", "learning_rate": 0.001}}


def weights(count: int) -> bytes:
    """A weights file of Keras 3: layers and Adam's slots."""
    generator = np.random.default_rng(count)
    whole = io.BytesIO()
    with h5py.File(whole, "w", libver="earliest") as file:
        for number in range(count):
            own = file.create_group(f"layers/dense{f'_{number}' if number else ''}/vars")
            own["0"], own["1"] = generator.random((2, 2), "f4") + 0.1, generator.random(2, "f4") + 0.1
        state = file.create_group("optimizer/vars")
        state.attrs["name"] = "adam"
        state["0"], state["1"] = np.int64(5), np.float32(0.001)
        for number in range(count):
            for place, shape in enumerate([(2, 2), (2, 2), (2,), (2,)]):
                state[str(2 + 4 * number + place)] = generator.random(shape, "f4")
    return whole.getvalue()


def whole_model(path: Path, count: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps({**architecture(count), "compile_config": {"optimizer": ADAM}}))
        archive.writestr("model.weights.h5", weights(count))


def legacy_model(path: Path, count: int) -> None:
    generator = np.random.default_rng(count)
    names = [f"dense_{number}" for number in range(count)]
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["keras_version"], file.attrs["model_config"] = "3.15.1", json.dumps(architecture(count))
        training = {"optimizer_config": ADAM, "loss": "mean_squared_error"}
        file.attrs["training_config"] = json.dumps(training)
        base = file.create_group("model_weights")
        base.attrs["layer_names"] = names
        slots: dict[str, tuple[int, ...]] = {}
        for name in names:
            own = base.create_group(name)
            own.attrs["weight_names"] = [f"{name}/kernel", f"{name}/bias"]
            for key, shape in (("kernel", (2, 2)), ("bias", (2,))):
                own[f"{name}/{key}"] = generator.random(shape, "f4") + 0.1
                slots |= {f"adam/{name}_{key}_{slot}": shape for slot in ("momentum", "velocity")}
        state = file.create_group("optimizer_weights")
        state.attrs["weight_names"] = ["adam/iteration", "adam/learning_rate", *slots]
        state["adam/iteration"], state["adam/learning_rate"] = np.int64(5), np.float32(0.001)
        for key, shape in slots.items():
            state[key] = generator.random(shape, "f4")


def weights_alone(path: Path, count: int) -> None:
    path.write_bytes(weights(count))


FORMATS: dict[str, Callable[[Path, int], None]] = {
    ".keras": whole_model, ".h5": legacy_model, ".weights.h5": weights_alone,
}  # fmt: skip

OPERATIONS: dict[str, Callable[[Path, Path], Any]] = {
    "open": lambda model, target: wtool.open_checkpoint(str(model)).close(),
    "inspect": lambda model, target: wtool.inspect(model),
    "check": lambda model, target: wtool.check(model),
    "prune": lambda model, target: wtool.prune(model, sparsity=0.5, output=target, force=True),
    "prune globally": lambda model, target: wtool.prune(
        model, sparsity=0.5, scope="global", last_layer_scale=0.5, optimizer="reset", output=target, force=True
    ),
    "stroke": lambda model, target: wtool.stroke(model, seed=1, output=target, force=True),
    "average": lambda model, target: wtool.average([model, model], output=target, force=True),
    "rewind": lambda model, target: wtool.rewind(model, initial=model, output=target, force=True),
    "randomize": lambda model, target: wtool.randomize(model, initial=model, seed=1, output=target, force=True),
    "swap": lambda model, target: wtool.swap(model, to="autorot", xmin_lim=-1, xmax_lim=1, dry_run=True),
}


class Work:
    """Counts the lines of wtool's code that are run, and where."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()

    def __enter__(self) -> Work:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        file = frame.f_code.co_filename
        if "/wtool/" not in file and file != "<string>":  # in which dataclasses have their methods
            return None
        self.lines[f"{file.rpartition('/')[2]} {frame.f_code.co_name}"] += 1
        return self._ran

    def _ran(self, frame: FrameType, event: str, argument: object) -> Any:
        self.lines[f"{frame.f_code.co_filename.rpartition('/')[2]} {frame.f_code.co_name}"] += event == "line"
        return self._ran


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_twice_the_tensors_are_twice_the_work(operation: str, ending: str, tmp_path: Path) -> None:
    if operation == "swap" and ending == ".weights.h5":
        pytest.skip("a swap needs a whole model")
    models = [tmp_path / f"model-{count}{ending}" for count in (SMALL, LARGE)]
    for model, count in zip(models, (SMALL, LARGE), strict=True):
        FORMATS[ending](model, count)
    do = OPERATIONS[operation]
    target = tmp_path / f"target{ending}"
    do(models[0], target)  # what is done once, such as imports and tables
    found = []
    for model in models:
        with Work() as work:
            do(model, target)
        found.append(work.lines)
    less, more = (sum(lines.values()) for lines in found)
    worst = sorted(found[1], key=lambda place: found[1][place] - MOST * found[0][place])[-3:]
    assert more <= MOST * less, [(place, found[0][place], found[1][place]) for place in reversed(worst)]


def test_work_that_grows_faster_is_seen() -> None:
    def slow(count: int) -> None:
        places = [Slot(str(number)) for number in range(count)]
        assert all(place in places for place in places)

    counts = []
    for count in (SMALL, LARGE):
        with Work() as work:
            slow(count)
        counts.append(sum(work.lines.values()))
    assert counts[1] > 3 * counts[0]
