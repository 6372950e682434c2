"""Every model of Keras 2 in a collection, converted: Keras 3 loads the result, and predicts what the old Keras stored.

    python -m tests.converted         writes a table of docs/reference/convert.md; WTOOL_ZOO names the collection

Another Keras 3 that `WTOOL_READERS` names (a folder as pip's `--target` fills it) reads the results too. The same
trials are tests (ops/test_converted.py), on the collection at hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests.models import Array
from tests.real_models import AUTHORS_OWN, Saved, saved_files

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "convert.md"
BEGIN, END = "<!-- made by tests/converted.py: begin -->", "<!-- made by tests/converted.py: end -->"
SINGLE, HALF = 1e-5, 2e-3
"""How far outputs may differ, of the largest output; `HALF` where layers compute in half precision."""

WORDS: dict[str, dict[str, Any]] = {
    "lambda_layer.h5": {"replace": ["lam=Rescaling:scale=2,offset=1"]},
    "lambda_layer.keras": {"replace": ["lam=Rescaling:scale=2,offset=1"]},
    "custom_layer.h5": {"attribute": ["ss=inner,blocks/dense,blocks/dense_1"], "optimizer": "drop"},
}
"""Name of a file -> what its user has to say. The code of the Lambda is `t * 2.0 + 1.0`."""


@dataclass(frozen=True)
class Trial:
    """What a conversion came to.

    Attributes:
        version: folder of the model in the collection.
        words: whether the user has to say something, or to register a class.
        half: whether layers compute in half precision.
        difference: of the outputs, divided by the largest.
        kept: number of the weights that have the bytes that the old Keras reported.
        computed: number of the other weights.
    """

    version: str
    words: bool
    half: bool
    difference: float
    kept: int
    computed: int


def old_models() -> list[Saved]:
    """Returns the whole models of Keras 2."""
    return [saved for saved in saved_files() if saved.keras2 and not saved.only_weights]


def tried(saved: Saved, folder: Path) -> Trial | None:
    """Convert a model, load the result in safe mode, predict, and convert the result once more.

    Args:
        saved: a whole model of Keras 2.
        folder: for the result.

    Returns:
        What came of the conversion; None where this Keras is too old for the result.

    Raises:
        AssertionError: something of this does not give what it should.
    """
    words = WORDS.get(saved.path.name, {})
    output = folder / f"{saved.version}-{saved.path.name}.keras"
    (done,) = wtool.convert(saved.path, output=output, **words)
    if any(change.rule == "hard_sigmoid" for change in done.changes) and not loads_objects_as_activations():
        return None
    assert_nothing_to_convert(output)
    authors = saved.model.startswith(AUTHORS_OWN)
    model = loaded(output, authors)
    given, expected, weights = stored(saved)
    found = outputs_of(model, given)
    kept = assert_weights_kept(saved, output, model, weights)
    half = "float16" in json.dumps(model.get_config())
    difference = farthest(found, expected)
    assert difference <= (HALF if half else SINGLE), f"{saved}: the outputs differ by {difference}"
    return Trial(saved.version, bool(words) or authors, half, difference, kept, len(weights) - kept)


def loads_objects_as_activations() -> bool:
    """Whether the installed Keras does: from 3.10 on."""
    import keras

    major, minor, *_ = keras.__version__.split(".")
    return (int(major), int(minor)) >= (3, 10)


def assert_nothing_to_convert(path: Path) -> None:
    """A model that was converted stays as it is, byte for byte, and no other file is made of it."""
    before, there = path.read_bytes(), sorted(path.parent.iterdir())
    (again,) = wtool.convert(path)
    assert not again.is_new
    assert again.output is None
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (before, there)


def loaded(path: Path, authors: bool) -> Any:
    """Returns a model as Keras 3 loads it in safe mode; no class but the author's own, if `authors`, is registered."""
    import keras

    if authors:
        import tests.author_classes  # noqa: F401 - registers them
    return keras.models.load_model(path, safe_mode=True)


def stored(saved: Saved) -> tuple[list[Any], list[Array], list[Array]]:
    """Returns the inputs, the outputs and the weights that the model's own Keras stored beside it."""
    with np.load(saved.path.parent / f"{saved.model}.npz", allow_pickle=False) as data:
        x, y, w = ([data[name] for name in sorted(data.files) if name.startswith(kind)] for kind in "xyw")
    if texts := saved.report.get("string_inputs"):
        import tensorflow as tf

        x = [tf.constant(texts[number]) for number in sorted(texts)]
    return x, y, w


def outputs_of(model: Any, given: Sequence[Any]) -> list[Array]:
    outputs = model(list(given) if len(given) > 1 else given[0], training=False)
    outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs
    return [np.asarray(each) for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def farthest(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Returns the largest difference of outputs, divided by the largest expected output."""
    assert [each.shape for each in found] == [each.shape for each in expected]
    wide = [(mine.astype("float64"), theirs.astype("float64")) for mine, theirs in zip(found, expected, strict=True)]
    return max(float(np.abs(mine - theirs).max() / max(np.abs(theirs).max(), 1e-9)) for mine, theirs in wide)


def assert_weights_kept(saved: Saved, output: Path, model: Any, weights: Sequence[Array]) -> int:
    """Returns how many weights have the bytes that the old Keras reported; all of them, but where a rule computes some.

    Raises:
        AssertionError: more weights differ than the rules say.
    """
    mine = Counter(as_bytes(np.asarray(each)) for each in model.weights)
    theirs = Counter(map(as_bytes, weights))
    missing = (theirs - mine).total()
    with wtool.open_checkpoint(str(saved.path)) as old, wtool.open_checkpoint(str(output)) as new:
        values = {tensor.path: new.read(tensor).tobytes() for tensor in new.weights}
        moved = [tensor.path for tensor in old.weights if values.get(tensor.path) != old.read(tensor).tobytes()]
    assert missing <= len(moved), f"{saved}: {missing} weights are not those of the old model"
    return len(weights) - missing


def as_bytes(values: Array) -> tuple[str, tuple[int, ...], bytes]:
    return values.dtype.name, values.shape, values.tobytes()


def trials() -> list[Trial]:
    """Returns a trial of every model in the collection."""
    with tempfile.TemporaryDirectory() as folder:
        return [trial for saved in old_models() if (trial := tried(saved, Path(folder)))]


def trials_by(reader: str) -> tuple[str, list[Trial]]:
    """Returns the version of another Keras 3, and the trials that it takes part in.

    Args:
        reader: folder with that Keras.
    """
    path = os.pathsep.join((reader, str(Path(__file__).parent.parent)))
    argv = [sys.executable, "-m", "tests.converted", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return told["keras"], [Trial(**each) for each in told["trials"]]


def table(found: dict[str, list[Trial]]) -> str:
    """Returns a line for each version of Keras 2.

    Args:
        found: version of the Keras 3 that read the results -> the trials; the newest Keras comes first.
    """
    first, *_ = found.values()
    head = ["saved by", "whole models", "converted", "with words of the user", *(f"in Keras {name}" for name in found)]
    head += ["largest difference", "in half precision", "weights kept", "computed anew"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for version in sorted({trial.version for trial in first}):
        mine = [trial for trial in first if trial.version == version]
        count = str(sum(saved.version == version for saved in old_models()))
        agreeing = [str(sum(trial.version == version for trial in each)) for each in found.values()]
        whole, half = ([trial.difference for trial in mine if trial.half == is_half] for is_half in (False, True))
        numbers = [f"{max(each):.1e}" if each else "" for each in (whole, half)]
        kept, computed = (str(sum(getattr(trial, name) for trial in mine)) for name in ("kept", "computed"))
        words = str(sum(trial.words for trial in mine))
        rows.append([named(version), count, str(len(mine)), words, *agreeing, *numbers, kept, computed])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def named(version: str) -> str:
    """Returns the name of a version by its folder in the collection."""
    return f"TensorFlow {version[2:]}" if version.startswith("tf") else f"Keras {version[1:]}"


def main() -> None:
    import keras

    mine = trials()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"keras": keras.__version__, "trials": [asdict(trial) for trial in mine]}))
        return
    others = [path for path in os.environ.get("WTOOL_READERS", "").split(os.pathsep) if path]
    found = {keras.__version__: mine, **dict(map(trials_by, others))}
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}")


if __name__ == "__main__":
    main()
