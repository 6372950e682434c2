"""What a script or an interpreter sees of wtool: names, texts of objects, and what is said without an extra."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import BLOBS


def test_objects_are_one_line() -> None:
    with wtool.open_checkpoint(BLOBS[0]) as checkpoint:
        assert repr(checkpoint) == f"<Checkpoint {BLOBS[0]}: keras, 4 weights of 153 numbers>"
        assert repr(checkpoint.tensors[0]) == "<Tensor hidden/kernel: kernel, float32, shape (2, 25)>"
    (done,) = wtool.prune(BLOBS[0], sparsity=0.5, dry_run=True)
    assert "actions" not in repr(done)
    assert len(repr(done)) < 400 + 2 * len(str(BLOBS[0]))


def test_a_folder_is_a_text(tmp_path: Path) -> None:
    for number, path in enumerate(BLOBS[:3]):
        (tmp_path / f"ckpt-{number}.keras").write_bytes(path.read_bytes())
    of_text = wtool.average(str(tmp_path), exp=0.9, dry_run=True)
    of_list = wtool.average([tmp_path], decay=0.9, dry_run=True)
    assert of_text == of_list
    assert [each.coefficient for each in of_text.inputs] == pytest.approx([0.81 / 2.71, 0.9 / 2.71, 1 / 2.71])


PROGRAMS = {
    "keras": [
        ("wtool.resume(model, data='d.npz', epochs=1)", "train"),
        ("wtool.evaluate(model, data='d.npz')", "train"),
        ("wtool.soup([model, model], data='d.npz')", "train"),
        ("wtool.lottery(model, data='d.npz', out='run', epochs=1)", "train"),
        ("wtool.swap(model, to='linked', verify=True, output='new.keras')", "train"),
        ("wtool.layers.AutoRotDense", "train"),
        ("wtool.callbacks.Stroke", "train"),
    ],
    "matplotlib": [("wtool.plot(model, output='weights.png')", "plot")],
    "pyarrow": [("wtool.index(model, output='zoo.parquet')", "index")],
    "scipy": [("wtool.align(model, to=other, output='aligned.keras')", "align")],
}


@pytest.mark.parametrize(
    ("package", "call", "extra"), [(package, *each) for package, calls in PROGRAMS.items() for each in calls]
)
def test_without_an_extra_its_name_is_told(package: str, call: str, extra: str, tmp_path: Path) -> None:
    script = (
        "import sys, numpy\n"
        f"sys.modules[{package!r}] = None\n"
        "numpy.savez('d.npz', x=numpy.zeros((4, 2), 'float32'), y=numpy.zeros((4, 3), 'float32'))\n"
        f"import wtool\nmodel, other = {str(BLOBS[0])!r}, {str(BLOBS[1])!r}\n"
        f"try:\n    {call}\nexcept (wtool.WtoolError, ImportError) as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"pip install 'wtool[{extra}]'" in done.stdout, (done.stdout, done.stderr)
    assert done.stdout.count("\n") == 1
    assert not done.stderr


def test_completion_imports_no_library() -> None:
    """An interpreter that completes `wtool.` gets every name, and imports what each is."""
    script = (
        "import sys, rlcompleter, wtool\n"
        "completer = rlcompleter.Completer({'wtool': wtool})\n"
        "found = []\n"
        "while (each := completer.complete('wtool.', len(found))) is not None:\n    found.append(each)\n"
        "names = {each.partition('.')[2].rstrip('(') for each in found}\n"
        "print(sorted(set(wtool.__all__) - {'__version__'} - names))\n"
        "print([each for each in ('keras', 'tensorflow', 'matplotlib', 'scipy') if each in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_errors_survive_processes() -> None:
    error = wtool.Usage("say --sparsity", "m.keras")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), type(again)) == (str(error), wtool.Usage)


@pytest.mark.parametrize("value", [5, None, b"a.keras", ["a.keras"]])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("path", wtool.inspect),
        ("path", wtool.check),
        ("path", wtool.cost),
        ("a", lambda value: wtool.diff(value, "b.keras")),
        ("b", lambda value: wtool.make_patch("a.keras", value)),
        ("output", lambda value: wtool.plot("a.keras", output=value)),
    ],
)
def test_what_is_no_path_is_misuse(name: str, call: Callable[[Any], object], value: object) -> None:
    with pytest.raises(wtool.Usage, match=f"^{name} is a path, not "):
        call(value)
