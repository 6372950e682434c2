"""The rules of the house: which room may know what, and what is imported late."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent / "wtool"
MODULES = sorted(ROOT.rglob("*.py"))
KERAS_ROOMS = ("layers", "callbacks", "training")
"""Rooms for live models: nothing else imports Keras."""

LIBRARY_OF_HDF5 = (
    "wtool.hdf5.sandbox_child",
    "wtool.hdf5.sandbox_chunks",
    "wtool.hdf5.sandbox_survey",
    "wtool.hdf5.writer",
)
"""The HDF5 library reads in the child process only, and writes new files."""

PICTURE = re.compile(r"<!-- rooms: begin -->\n+(.*?)<!-- rooms: end -->", re.DOTALL)


def floors() -> list[list[str]]:
    """The floors that docs/design.md draws, the lowest first: each line begins with the rooms of one floor."""
    drawn = PICTURE.search((ROOT.parent / "docs" / "design.md").read_text())
    assert drawn is not None
    lines = [line for line in drawn[1].splitlines() if line.startswith("    ") and line[4] != " "]
    return [re.split(r" {2,}", line.strip())[0].split() for line in reversed(lines)]


FLOORS = {room: number for number, rooms in enumerate(floors()) for room in rooms}
MAY_KNOW = {
    "io": {"errors", "signals", "suggestions", "values"},
    "transforms": {room for room, number in FLOORS.items() if number < FLOORS["io"]},
    "hdf5": {"io", "errors", "dtypes", "values"},
}
"""Rooms that know less than all floors below them: io and hdf5 could be packages of their own."""


def module_of(path: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room that a module stands in: the longest of the names on the picture that it begins with."""
    inner = module.removeprefix("wtool.") + "."
    return max((room for room in FLOORS if inner.startswith(f"{room}.")), key=len)


def own_imports(path: Path) -> set[str]:
    """The modules of wtool that a file imports anywhere."""
    names = {name for name in imported(path, late=True) if name.startswith("wtool.")}
    known = {module_of(each) for each in MODULES}
    return {name for name in names if name in known and name.count(".") > 0}


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module; most rules here look at all of them."""
    return ast.parse(path.read_text())


@functools.cache
def imported(path: Path, late: bool) -> set[str]:
    """Modules that a file imports: at its top, or anywhere if `late`."""
    tree = parsed(path)
    nodes = ast.walk(tree) if late else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


HOUSE = [path for path in MODULES if path.parent != ROOT or not path.stem.startswith("__")]


def test_every_room_is_drawn_with_a_sentence() -> None:
    drawn = PICTURE.search((ROOT.parent / "docs" / "design.md").read_text())
    assert drawn is not None
    assert all(len(re.split(r" {2,}", line.strip())) == 2 for line in drawn[1].splitlines() if line.strip())
    rooms = {path.stem if path.parent == ROOT else path.relative_to(ROOT).parts[0] for path in HOUSE}
    assert rooms == {room.partition(".")[0] for room in FLOORS}


@pytest.mark.parametrize("path", HOUSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_go_down_only(path: Path) -> None:
    own = room_of(module_of(path))
    others = {name: room_of(name) for name in own_imports(path)}
    assert not {name for name, room in others.items() if room != own and FLOORS[room] >= FLOORS[own]}
    assert set(others.values()) <= {own, *MAY_KNOW.get(own, FLOORS)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_room_may_know(path: Path) -> None:
    everywhere, top = imported(path, late=True), imported(path, late=False)
    libraries, early = ({name.split(".")[0] for name in names} for names in (everywhere, top))
    own = room_of(module_of(path)) if path in HOUSE else ""
    if own.partition(".")[0] not in KERAS_ROOMS:
        assert not libraries & {"keras", "tensorflow"}
    assert "matplotlib" not in (early if own == "plotting" else libraries)
    if own in ("transforms", "schema", "graphs"):
        assert "os" not in everywhere  # they take no path
    if own == "cli":
        assert "numpy" not in everywhere
        assert not early & {"numpy", "h5py", "rich"}
    if not module_of(path).startswith("wtool.io.remote."):
        assert "fsspec" not in libraries
    if module_of(path) != "wtool.io.parquet_rows":
        assert "pyarrow" not in libraries
    if module_of(path) != "wtool.values":
        assert "dataclasses.dataclass" not in everywhere  # it compiles code for each class
    assert not early & {"distributed", "fsspec", "pyarrow", "yaml"}
    if module_of(path) not in LIBRARY_OF_HDF5:
        assert "h5py" not in everywhere


def words_of(path: Path) -> Iterator[str]:
    """Identifiers and string literals of a module, without its docstrings."""
    tree = parsed(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = {
        id(node.value)
        for each in ast.walk(tree)
        if isinstance(each, documented)
        for node in each.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.arg, ast.Attribute, ast.alias, ast.keyword, *documented)):
            yield from (str(getattr(node, field)) for field in ("id", "arg", "attr", "name") if hasattr(node, field))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            yield node.value


@pytest.mark.parametrize("room", ["io", "hdf5"])
def test_the_lower_rooms_know_nothing_of_keras(room: str) -> None:
    """Comments and docstrings may say why something is as it is."""
    for path in (ROOT / room).glob("*.py"):
        found = [word for word in words_of(path) if re.search("keras|tensorflow|lineage", word, re.IGNORECASE)]
        assert not found, path


LONGEST, MEDIAN, DOCUMENTED = 350, 160, 0.95
"""Lines of a module, of half of all modules, and the share of public functions, methods and classes with docstrings."""

REASON = re.compile(r"This module is long[^.]* (because|since|so that)\b")
"""How a longer module's docstring says why it is long."""


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES}
    assert median(lengths.values()) <= MEDIAN
    long = [path for path, length in lengths.items() if length > LONGEST]
    assert not [path for path in long if not REASON.search(ast.get_docstring(parsed(path)) or "")]


def public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public classes, functions and methods of a module or class."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_public_functions_have_docstrings() -> None:
    found = [(path, node) for path in MODULES for node in public(parsed(path).body)]
    bare = [f"{path.relative_to(ROOT)}: {node.name}" for path, node in found if not ast.get_docstring(node)]
    assert len(bare) <= (1 - DOCUMENTED) * len(found), bare


def test_documents_name_modules_that_are_there() -> None:
    for document in (ROOT.parent / "docs" / "design.md", ROOT.parent / "CONTRIBUTING.md"):
        names = re.findall(r"`(?:wtool/)?((?!tests/|test_)[\w/]+\.py)`", document.read_text())
        known = [path.relative_to(ROOT).as_posix() for path in MODULES]
        assert not [name for name in names if not any(f"/{each}".endswith(f"/{name}") for each in known)], document


def test_only_io_publishes() -> None:
    publishing = {"replace", "link", "rename", "fsync"}
    for path in HOUSE:
        if room_of(module_of(path)) == "io":
            continue
        calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
        of_os = {func.attr for func in calls if isinstance(func, ast.Attribute) and ast.unparse(func.value) == "os"}
        assert not of_os & publishing, path


def test_plotting_needs_no_keras(tmp_path: Path) -> None:
    """It reads models as files, and of the training room only what knows the metrics' file."""
    pytest.importorskip("matplotlib")
    code = (
        "import sys, wtool\nwtool.plot(sys.argv[1], output=sys.argv[2])\n"
        "print(sorted(set(sys.modules) & {'h5py', 'tensorflow', 'keras', 'matplotlib.pyplot'}))"
    )
    from tests.models import BLOBS

    words = [sys.executable, "-c", code, str(BLOBS[0]), str(tmp_path / "plot.svg")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_nothing_from_files_is_run() -> None:
    words = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "yaml"}
    for path in MODULES:
        names = {node.id for node in ast.walk(parsed(path)) if isinstance(node, ast.Name)}
        found = (names | {name.split(".")[0] for name in imported(path, late=True)}) & words
        assert found <= ({"yaml"} if module_of(path) == "wtool.recipes.document" else set()), path


def test_yaml_is_read_as_data() -> None:
    """PyYAML composes nodes of a text, which are no objects but texts with places."""
    tree = parsed(ROOT / "recipes" / "document.py")
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml"
    }
    assert used == {"compose", "SafeLoader", "MarkedYAMLError", "YAMLError"}


def test_reading_and_averaging_need_no_hdf5_library() -> None:
    code = (
        "import sys, wtool\nwtool.inspect(sys.argv[1])\nwtool.average(sys.argv[1:3], dry_run=True)\n"
        "print(sorted(set(sys.modules) & {'h5py', 'tensorflow', 'keras', 'rich', 'click', 'ml_dtypes'}))"
    )
    from tests.models import BLOBS

    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, BLOBS[:2])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_looking_needs_no_plans_and_no_packages_of_the_extras() -> None:
    """What only reads a model starts fast."""
    code = (
        "import sys\nfrom wtool.cli import cli\n"
        "cli(['inspect', '-q', sys.argv[1]], standalone_mode=False)\n"
        "late = {'wtool.run.plan', 'wtool.run.transform', 'wtool.io.remote', 'multiprocessing', 'asyncio', 'fsspec'}\n"
        "print(sorted(set(sys.modules) & {*late, 'distributed', 'pyarrow', 'yaml'}))"
    )
    from tests.models import BLOBS

    done = subprocess.run([sys.executable, "-c", code, str(BLOBS[0])], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
