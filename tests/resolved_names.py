"""What Keras 3 and Keras 2 resolve by name: makes `wtool/schema/keras_names.py` and `tensorflow_names.py` of it.

`python -m tests.resolved_names` writes them anew, from the Keras 3 and tf_keras that are installed and further Keras 3
whose folders `WTOOL_READERS` names (as pip's `--target` fills them, with `:` between them). `make fuzz` gets 3.8.0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from tests import forkserver
from tests.resolved_names_child import ROOMS

FILES = Path(__file__).parents[1] / "wtool" / "schema"

NO_PARTS = frozenset(
    """
    ClassMethod Input InstanceMethod InstanceProperty _RNNCellWrapper clone_model deserialize get global_policy
    load_model model_from_config model_from_json model_from_yaml save_model serialize set_global_policy
    """.split()  # noqa: SIM905
)
"""Names in those tables of what loads, configures or calls anything by name: not what a model is made of."""

OLDER = frozenset(
    """
    Conv2DCell DynamicLossScale FixedLossScale Highway KerasTensor LinearCosineDecay LossScaleOptimizerV1
    LossScaleOptimizerV3 MaxoutDense NoisyLinearCosineDecay PolicyV1 Reduce SumOverBatchSize
    SumOverBatchSizeMetricWrapper TFOptimizer Variable WarmUp
    """.split()  # noqa: SIM905
)
"""Classes that older versions have, or that tables do not list."""

TOLD_APART = frozenset(("acc", "accuracy", "ce", "crossentropy", "none"))
"""Words that `compile` tells apart itself, and that stand for nothing in old files."""

OF_BACKEND = frozenset(
    """
    backend batch_get_value batch_set_value clear_session count_params dtype epsilon eval floatx foldl foldr
    function get_uid get_value gradients image_data_format in_test_phase in_train_phase int_shape is_keras_tensor
    is_sparse learning_phase learning_phase_scope manual_variable_initialization map_fn moving_average_update
    name_scope ndim placeholder print_tensor random_normal_variable random_uniform_variable reset_uids rnn
    set_epsilon set_floatx set_image_data_format set_learning_phase set_value switch update update_add update_sub
    variable
    """.split()  # noqa: SIM905
)
"""Functions of `keras.backend` that do more than calculate."""

CALLED = ("activations", "losses", "metrics")
"""Rooms whose functions files name."""

MORE = ("utils/FeatureSpace", "random/SeedGenerator", "/Layer", "/Model", "/Sequential")

Resolved = frozenset[tuple[str, str, str]]


def resolved(which: str, first: str | None = None) -> Resolved:
    """(kind, room, name) of what a Keras resolves; `first` comes first on the path."""
    path = os.pathsep.join([*([first] if first else []), str(FILES.parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    words = ("-m", "tests.resolved_names_child", which)
    argv = [sys.executable, *words] if first else forkserver.python(*words, readers=True)
    done = subprocess.run(argv, cwd=FILES.parents[1], env=environment, capture_output=True, text=True, check=True)
    return frozenset((kind, room, name) for kind, room, name in json.loads(done.stdout))


def classes(found: Resolved) -> set[str]:
    """Classes whose objects are parts of models."""

    def is_class(kind: str, room: str, name: str) -> bool:
        return kind == "class" and _is_of_models(room, name) and name != name.lower()

    return _named(found, is_class) | OLDER


def optimizers(found: Resolved) -> set[str]:
    """Optimizers."""
    return _named(found, lambda kind, room, name: kind == "class" and room == "optimizers" and name != name.lower())


def functions(found: Resolved) -> set[str]:
    """Activations, losses and metrics."""
    return _named(found, lambda kind, room, name: kind == "function" and room in CALLED)


def short(found: Resolved) -> set[str]:
    """Names in small letters that mean classes, and functions that make initializers."""

    def is_short(kind: str, room: str, name: str) -> bool:
        return room in ROOMS and name == name.lower() and (kind == "class" or room in ("initializers", "regularizers"))

    return _named(found, is_short) | TOLD_APART


def operations(found: Resolved) -> set[str]:
    """Classes of operations."""
    return _named(found, lambda kind, room, name: kind == "class" and room == "ops")


def calls(found: Resolved) -> set[str]:
    """Functions of `keras.ops`."""
    return {
        f"{room}.{name}".removeprefix("ops.")
        for kind, room, name in found
        if kind == "function" and room.split(".")[0] == "ops" and name not in NO_PARTS
    }


def backend(found: Resolved) -> set[str]:
    """Functions of `keras.backend` that calculate."""
    return _named(found, lambda kind, room, name: kind == "function" and room == "backend") - OF_BACKEND


def tensorflow(found: Resolved) -> set[str]:
    """Functions of TensorFlow that calculate."""
    return _named(found, lambda kind, room, name: room == "tf")


def nodes(found: Resolved) -> set[str]:
    """Operations of TensorFlow that calculate."""
    return _named(found, lambda kind, room, name: room == "nodes")


def _named(found: Resolved, fits: Callable[[str, str, str], bool]) -> set[str]:
    return {name for kind, room, name in found if fits(kind, room, name) and name not in NO_PARTS}


def _is_of_models(room: str, name: str) -> bool:
    return room.split(".")[0] in ROOMS or f"{room}/{name}" in MORE


KERAS = {
    "CLASSES": (classes, "Classes whose objects are parts of models or of their training."),
    "OPTIMIZERS": (optimizers, "Optimizers; TensorFlow 2.11 and 2.12 write them as `Custom>Adam`."),
    "FUNCTIONS": (functions, "Activations, losses and metrics."),
    "SHORT": (short, "Names in small letters by which files call classes, and what makes initializers."),
    "OPERATIONS": (operations, "Operations that stand in the graph of a functional model, between its layers."),
    "CALLS": (calls, "Functions of `keras.ops`."),
    "BACKEND": (backend, "Functions of `keras.backend` that calculate."),
}
TENSORFLOW = {
    "CALLS": (tensorflow, "Functions that calculate: they stand in graphs of Keras 2 by these names."),
    "NODES": (nodes, "Operations that calculate, as `NodeDef` calls them."),
}


def written(title: str, tables: dict[str, tuple[Callable[[Resolved], set[str]], str]], found: Resolved) -> str:
    """A module of Python with these names."""
    parts = [f'"""{title}"""\n\nfrom __future__ import annotations\n']
    for name, (choose, what) in tables.items():
        lines = textwrap.fill(" ".join(_in_order(choose(found))), 112, break_on_hyphens=False)
        text = textwrap.indent(lines, "    ")
        parts.append(f'{name} = frozenset(\n    """\n{text}\n    """.split()  # noqa: SIM905\n)\n"""{what}"""\n')
    return "\n".join(parts)


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name.lower(), name))


def main() -> None:
    """Write both modules."""
    others = [path for path in os.environ.get("WTOOL_READERS", "").split(os.pathsep) if path]
    found = frozenset().union(resolved("tf_keras"), resolved("keras"), *(resolved("keras", path) for path in others))
    keras = "What Keras 3 and Keras 2 resolve by name as parts of models; made by `python -m tests.resolved_names`."
    (FILES / "keras_names.py").write_text(written(keras, KERAS, found))
    title = "What TensorFlow resolves by name and calculates with; made by `python -m tests.resolved_names`."
    (FILES / "tensorflow_names.py").write_text(written(title, TENSORFLOW, found))


if __name__ == "__main__":
    main()
