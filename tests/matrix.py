"""What works with the files of each Keras version: tried on every file of a collection, and written as tables.

    python -m tests.matrix            writes the tables of docs/reference/formats.md; WTOOL_ZOO names the collection

The same trials are tests (test_matrix.py), on the collection at hand. Loading and predicting need the `train` extra.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests.real_models import ZOO, Saved, assert_as_reported, saved_files

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "formats.md"
BEGIN, END = "<!-- made by tests/matrix.py: begin -->", "<!-- made by tests/matrix.py: end -->"
OK, NO_KERNEL, CODES = "works", "refused: it has no kernels", "refused: its kernels are integer codes"
WEIGHTS, NOTHING = "refused: it has weights only", "refused: it has no hidden activation"
CODE, SHAPES = "refused: its graph is in code", "refused: its shapes are not told"
OF_VALUES = {"nothing is selected": NO_KERNEL, "which cannot be changed": CODES}
OF_GRAPHS = {"needs a whole model": WEIGHTS, "no hidden layer": NOTHING, "author's code": CODE, "is not known": SHAPES}
REFUSALS = {"prune": OF_VALUES, "stroke": OF_VALUES, "swap": OF_GRAPHS}
SIGNIFICANT = ("average", "prune", "stroke", "swap")

WHAT = {
    "bf16_conv_rnn": "bfloat16 convolutions and recurrent layers",
    "cnn": "convolutions of every kind",
    "custom_layer": "layers that only their author knows",
    "ema_adamw": "moving averages of weights (`use_ema`)",
    "f64_model": "float64",
    "func": "functional models with several inputs",
    "lambda": "Lambda layers (never run)",
    "layernorm": "layer normalisation",
    "lookup_adapted": "vocabularies",
    "lora": "LoRA",
    "lora_int8": "LoRA on int8",
    "many_layers": "attributes split over 64 KB",
    "mha": "attention",
    "mixed_bf16": "mixed precision with bfloat16",
    "mixed_dtypes": "layers of several dtypes",
    "mixed_f16": "mixed precision, loss scaling",
    "mlp": "dense layers, batch normalisation, Adam",
    "mlp_defaultnames": "automatic layer names",
    "nested": "nested models",
    "nested_frozen": "nested models, frozen layers",
    "norm_adapt": "adapted normalisation",
    "odd_names": "slashes, dots, blanks and other letters in names",
    "pure_bf16": "bfloat16",
    "pure_f16": "float16",
    "quant_float8": "float8 training",
    "quant_int4": "int4",
    "quant_int8": "int8",
    "quant_int8_emb": "int8 embeddings",
    "rnn": "LSTM, GRU, bidirectional",
    "seeds": "dropout's seeds",
    "sharded": "shards",
    "shardsplit": "a layer in two shards",
    "subclassed_model": "subclassed models",
    "text_assets": "text vectorisation, assets",
    "trap_hdf5_inside": "HDF5 under the name of a `.keras` file",
    "trap_seq_inputlayer": "a Sequential that lists its InputLayer",
}


def same(left: Path, right: Path, but: Sequence[str] = ()) -> bool:
    """Whether two checkpoints hold the same values, but for some roles."""
    with wtool.open_checkpoint(str(left)) as old, wtool.open_checkpoint(str(right)) as new:
        pairs = list(zip(old.tensors, new.tensors, strict=True))
        return all(a.role in but or old.read(a).tobytes() == new.read(b).tobytes() for a, b in pairs)


def opens(saved: Saved, folder: Path) -> bool:
    """Shapes, dtypes and sums are those that Keras reported."""
    assert_as_reported(wtool.inspect(saved.path), saved.path)
    return True


def identity(saved: Saved, folder: Path) -> bool:
    """An operation that changes nothing gives a file with the same values."""
    out = folder / f"identity-{saved.path.name}"
    wtool.average([saved.path], optimizer="keep", output=out)
    return same(saved.path, out)


def average(saved: Saved, folder: Path) -> bool:
    """The average of a model with itself is itself, to the bit."""
    out = folder / f"average-{saved.path.name}"
    wtool.average([saved.path, saved.path], output=out)
    return same(saved.path, out, but=("optimizer slot",))


def prune(saved: Saved, folder: Path) -> bool:
    """Half of each kernel's values, and nothing else of the model, become zero."""
    out = folder / f"prune-{saved.path.name}"
    (done,) = wtool.prune(saved.path, sparsity=0.5, output=out)
    return done.zeros == sum(round(0.5 * size) for size in _kernel_sizes(out)) and same_but_kernels(saved.path, out)


def stroke(saved: Saved, folder: Path) -> bool:
    """A third of each kernel's values, and nothing else of the model, change."""
    out = folder / f"stroke-{saved.path.name}"
    (done,) = wtool.stroke(saved.path, volatility_ratio=1 / 3, low_bound=7.0, high_bound=8.0, seed=1, output=out)
    return done.rewritten == sum(round(size / 3) for size in _kernel_sizes(out)) and same_but_kernels(saved.path, out)


def swap(saved: Saved, folder: Path) -> bool:
    """All hidden activations become linked and plain again: nothing has changed, optimizer included."""
    out, back = folder / f"swap-{saved.path.name}", folder / f"plain-{saved.path.name}"
    wtool.swap(saved.path, to="linked", output=out)
    wtool.swap(out, to="plain", output=back)
    return same(saved.path, back)


def same_but_kernels(left: Path, right: Path) -> bool:
    with wtool.open_checkpoint(str(left)) as old, wtool.open_checkpoint(str(right)) as new:
        pairs = list(zip(old.weights, new.weights, strict=True))
        return all(a.role.endswith("kernel") or old.read(a).tobytes() == new.read(b).tobytes() for a, b in pairs)


def _kernel_sizes(path: Path) -> Iterator[int]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        yield from (
            int(np.prod(tensor.shape))
            for tensor in checkpoint.weights
            if tensor.role.endswith("kernel") and not tensor.copy_of
        )


TRIALS: dict[str, Callable[[Saved, Path], bool]] = {
    "open": opens,
    "identity": identity,
    "average": average,
    "prune": prune,
    "stroke": stroke,
    "swap": swap,
}


def outcome(trial: str, saved: Saved, folder: Path) -> str:
    """`works`, or why it was refused; AssertionError where it should have worked."""
    try:
        assert TRIALS[trial](saved, folder), f"{trial} of {saved} gave other values"
    except wtool.WtoolError as error:
        for words, refusal in REFUSALS.get(trial, {}).items():
            if words in error.message:
                return refusal
        raise AssertionError(f"{trial} of {saved}: {error}") from error
    return OK


def in_keras(saved: Saved, folder: Path) -> tuple[bool, bool | None]:
    """Whether the newest Keras loads the file, and if so its results, which predict what was stored (None: none can).

    Raises:
        AssertionError: a result does not load, or predicts something else.
    """
    model = _loaded(saved.path)
    if model is None:
        return False, None
    if not (folder / f"identity-{saved.path.name}").exists():
        identity(saved, folder)
    result = _loaded(folder / f"identity-{saved.path.name}")
    assert result is not None, f"the result of {saved} does not load"
    try:
        first = _predicted(model, saved)
    except Exception:  # loaded, but not as what it was: Keras's own trouble with older files
        return True, None
    expected, found = _stored(saved), _predicted(result, saved)
    for mine, original in zip(found, first, strict=True):
        assert np.array_equal(mine, original, equal_nan=True), f"{saved}: the result predicts something else"
    pruned = folder / f"prune-{saved.path.name}"
    if pruned.exists():
        assert _loaded(pruned) is not None, f"the pruned {saved} does not load"
    linked = folder / f"swap-{saved.path.name}"
    if linked.exists():
        swapped = _loaded(linked)
        assert swapped is not None, f"the swapped {saved} does not load"
        narrow = any(str(each.dtype) != "float32" for each in model.weights) or "mixed" in saved.model
        for mine, original in zip(_predicted(swapped, saved), first, strict=True):
            near = np.allclose(mine.astype(np.float64), original.astype(np.float64), atol=2e-2 if narrow else 1e-5)
            assert near, f"{saved}: the swapped model predicts something else"
    agree = len(expected) == len(found) and all(
        np.allclose(mine.astype(np.float64), theirs.astype(np.float64), rtol=2e-2, atol=2e-2)
        for mine, theirs in zip(found, expected, strict=True)
    )
    return True, agree


def _loaded(path: Path) -> Any:
    import keras

    import wtool.layers  # noqa: F401 - registers them

    try:
        return keras.models.load_model(path, compile=False)
    except Exception:  # whatever Keras says of files of other versions
        return None


def _stored(saved: Saved) -> list[np.ndarray[Any, Any]]:
    with np.load(saved.path.parent / f"{saved.model}.npz", allow_pickle=False) as data:
        return [data[name] for name in sorted(data.files) if name.startswith("y")]


def _predicted(model: Any, saved: Saved) -> list[np.ndarray[Any, Any]]:
    import tensorflow as tf

    with np.load(saved.path.parent / f"{saved.model}.npz", allow_pickle=False) as data:
        inputs = [data[name] for name in sorted(data.files) if name.startswith("x")]
    inputs = [tf.constant(each.tolist()) if each.dtype.kind in "UO" else each for each in inputs]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(output) for output in outputs]


def form(saved: Saved) -> str:
    name = saved.path.name
    for suffix, text in (
        ("_weights_only.h5", "`.h5` (weights)"),
        (".weights.h5", "`.weights.h5`"),
        (".weights.json", "shards"),
        (".h5", "`.h5`"),
    ):
        if name.endswith(suffix):
            return text
    return "`.keras`"


def _version(folder: str) -> str:
    return f"TensorFlow {folder[2:]}" if folder.startswith("tf") else f"Keras {folder[1:]}"


def tables() -> str:
    by_version: dict[str, Counter[str]] = defaultdict(Counter)
    features: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for saved in saved_files():
        with tempfile.TemporaryDirectory() as folder:
            found = {trial: outcome(trial, saved, Path(folder)) for trial in TRIALS}
            loads, agrees = (False, None) if saved.only_weights else in_keras(saved, Path(folder))
        counts = by_version[saved.version]
        counts["files"] += 1
        counts[form(saved)] += 1
        counts["loads"] += loads
        counts["agrees"] += bool(agrees)
        for trial, result in found.items():
            counts[trial] += result == OK
            if result != WEIGHTS:
                features[feature(saved)][trial].add(result)
    return f"{_version_table(by_version)}\n\n{_feature_table(features)}"


def feature(saved: Saved) -> str:
    """The kind of model: file names may say more than that."""
    names = sorted((name for name in WHAT if saved.model.startswith(name)), key=len)
    return names[-1] if names else saved.model


def _version_table(found: dict[str, Counter[str]]) -> str:
    head = [
        "saved by",
        "files",
        "opened, as reported",
        "identity",
        "average",
        "prune",
        "stroke",
        "swap",
        "Keras loads",
        "predict the same",
    ]
    rows = []
    for version, counts in sorted(found.items()):
        forms = ", ".join(f"{counts[name]} {name}" for name in FORMS if counts[name])
        works = [str(counts[trial]) for trial in TRIALS]
        rows.append([_version(version), forms, *works, str(counts["loads"]), str(counts["agrees"])])
    return _table(head, rows)


FORMS = ("`.keras`", "`.h5`", "`.weights.h5`", "`.h5` (weights)", "shards")


def _feature_table(found: dict[str, dict[str, set[str]]]) -> str:
    rows = [
        [f"{name}: {WHAT[name]}" if name in WHAT else name, *(cell(results[trial]) for trial in SIGNIFICANT)]
        for name, results in sorted(found.items())
    ]
    return _table(["model", *SIGNIFICANT], rows)


def cell(results: set[str]) -> str:
    return "; or ".join(sorted(results, key=lambda text: text != OK)) or WEIGHTS


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def told() -> dict[str, list[str]]:
    """First cell -> the others, of every row of the tables as they are in the page."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {row[0].split(":")[0]: row[1:] for row in rows}


def main() -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}")
    print(f"{len(saved_files())} files of {ZOO}", file=sys.stderr)


if __name__ == "__main__":
    main()
