"""Breaks wtool's code in one place at a time, and tells which breaks no test notices: `make mutants`.

    python -m tests.mutants ROOM [--sample N] [--seed N] [--only WORD] [--quickest SECONDS]

The tests of a room are imported once, and run once with the code as it is: they have to pass, and the quickest ones
come first from then on. For each mutant a process is forked, in which one function gets the changed code and the tests
run until the first failure. So a mutant costs no more than its tests. The child process in which the HDF5 library
reads a file gets the changed code as well. Code outside functions is not changed, and all other processes that tests
start anew run the unchanged code.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

import pytest

from wtool.hdf5 import sandbox

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"
TESTS = {
    "io": ["tests/io", "tests/checkpoint/test_two_readers.py", "tests/checkpoint/test_reasons.py", "tests/run"],
    "hdf5": ["tests/hdf5", "tests/checkpoint/test_reasons.py", "tests/checkpoint/test_two_readers.py"],
    "transforms": ["tests/transforms", "tests/ops/test_operations.py"],
    "run": ["tests/run", "tests/ops/test_operations.py", "tests/ops/test_average.py", "tests/io/test_publish.py"],
}
PATIENCE = 3  # times the processor time of the unchanged code, after which a mutant counts as noticed: it may not end
SURVIVED, NOTICED, FAILED = 0, 1, 2
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change of a module: of which node of its tree, counted as `ast.walk` goes, and in what words."""

    path: Path
    line: int
    number: int
    change: str
    words: str

    @property
    def module(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    def tree(self) -> ast.Module:
        """Returns the tree of the changed module."""
        tree = ast.parse(self.path.read_text())
        apply(next(node for at, node in enumerate(ast.walk(tree)) if at == self.number), self.change)
        return ast.fix_missing_locations(tree)


def mutants(path: Path) -> Iterator[Mutant]:
    """Yields every change of a module's functions: checks and calls left out, operators swapped, numbers changed."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in inside:
            for change in changes(node):
                words = apply(copy.deepcopy(node), change)
                yield Mutant(path, getattr(node, "lineno", 0), number, change, words)


def changes(node: ast.AST) -> list[str]:
    """Returns the names of what can be changed about a node."""
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        return ["check"]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ["call"]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPPED:
        return ["compared"]
    if isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPPED:
        return ["operator"]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ["not"]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return ["number"]
    return []


def apply(node: ast.AST, change: str) -> str:
    """Changes a node in place. Returns what was changed, in words."""
    before = ast.unparse(node).splitlines()[0]
    if change == "check" and isinstance(node, ast.If):
        node.test = ast.Constant(False)
        return f"left out: {before}"
    if change == "call" and isinstance(node, ast.Expr):
        node.value = ast.Constant(None)
        return f"left out: {before}"
    if isinstance(node, ast.Compare):
        node.ops[0] = SWAPPED[type(node.ops[0])]()  # type: ignore[assignment]
    elif isinstance(node, (ast.BoolOp, ast.BinOp)):
        node.op = SWAPPED[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.Constant):
        node.value += 1
    return f"{before} -> {ast.unparse(node).splitlines()[0]}"


def put_in_place(mutant: Mutant) -> None:
    """Gives the functions of this process, and of the child that reads HDF5, the code of a mutant."""
    import_module(mutant.module)  # tests may import it only later
    tree = mutant.tree()
    changed = {(code.co_name, code.co_firstlineno): code for code in codes(compile(tree, str(mutant.path), "exec"))}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(mutant.path):
            code = changed.get((each.__code__.co_name, each.__code__.co_firstlineno))
            if code is not None and code.co_freevars == each.__code__.co_freevars:
                each.__code__ = code
    if "hdf5" in mutant.path.parts:
        before = sandbox._FIRST_LINES
        change = f"exec({ast.unparse(tree)!r}, import_module({mutant.module!r}).__dict__); "
        sandbox._FIRST_LINES = f"{before}from importlib import import_module; {change}"
        sandbox._PROGRAM = sandbox._PROGRAM.replace(before, sandbox._FIRST_LINES)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from codes(each)


def times(folder: Path) -> dict[Path, int]:
    """Returns when each file of a folder was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


class Runner:
    """A pytest plugin: runs the collected tests once for each mutant, in a process of its own."""

    def __init__(self, sample: Sequence[Mutant], quickest: float) -> None:
        self.sample = sample
        self.quickest = quickest  # seconds that the tests of one mutant may take together
        self.survivors: list[Mutant] = []
        self.seconds = 600  # of processor time that the tests may take, and of clock time five times as much
        self.seen = tempfile.TemporaryFile("w+")  # noqa: SIM115 - seconds of each test, written by the first process

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keeps quick tests, and of the slow ones those of hostile files."""
        kept = [each for each in items if not each.get_closest_marker("tensorflow")]
        items[:] = [each for each in kept if "test_reasons" in each.nodeid or not each.get_closest_marker("slow")]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.order(session)
        with tempfile.TemporaryDirectory() as kept:
            shutil.copytree(FIXTURES, kept, dirs_exist_ok=True)
            self.try_all(session, Path(kept))
        return True

    def try_all(self, session: pytest.Session, kept: Path) -> None:
        """Runs the tests with each mutant; puts back the fixtures over which one has written."""
        before = times(FIXTURES)
        for done, mutant in enumerate(self.sample, 1):
            survived = self.status(session, mutant) == SURVIVED
            if times(FIXTURES) != before:
                shutil.rmtree(FIXTURES)
                shutil.copytree(kept, FIXTURES)
                before = times(FIXTURES)
            if survived:
                self.survivors.append(mutant)
            place = f"{mutant.path.relative_to(ROOT)}:{mutant.line}"
            print(f"{done}/{len(self.sample)} {'SURVIVED' if survived else 'noticed '} {place}: {mutant.words}",
                  file=sys.__stderr__, flush=True)  # fmt: skip

    def order(self, session: pytest.Session) -> None:
        """Runs the tests with the unchanged code, and puts the quickest first: a noticed mutant then costs little."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self.status(session, None) != SURVIVED:
            raise RuntimeError("mutants can be told only from code that passes its tests")
        self.seen.seek(0)
        took = [float(line) for line in self.seen]
        ordered = sorted(zip(took, session.items, strict=True), key=lambda each: each[0])
        together = accumulate(seconds for seconds, _ in ordered)
        session.items[:] = [item for (_, item), spent in zip(ordered, together, strict=True) if spent <= self.quickest]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.seconds = int(PATIENCE * min(used, self.quickest)) + 10

    def status(self, session: pytest.Session, mutant: Mutant | None) -> int:
        """Runs the tests in a process of their own: whether the mutant survived them, or was noticed."""
        child = os.fork()
        if child == 0:
            status = FAILED
            try:
                status = NOTICED if self.noticed(session, mutant) else SURVIVED
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == FAILED:
            raise RuntimeError(f"the tests could not be run with {mutant}")
        return status

    def noticed(self, session: pytest.Session, mutant: Mutant | None) -> bool:
        session.config.get_terminal_writer()._file = open(os.devnull, "w")  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds, self.seconds))
        signal.alarm(5 * self.seconds)
        if mutant is not None:
            put_in_place(mutant)
        for item in session.items:
            began = time.perf_counter()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.testsfailed:
                if mutant is None:
                    print(f"fails with the code as it is: {item.nodeid}", file=sys.__stderr__)
                return True
            if mutant is None:
                print(time.perf_counter() - began, file=self.seen, flush=True)
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("room", choices=TESTS)
    parser.add_argument("--sample", type=int, help="how many mutants, drawn at random; all of them without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="mutants whose place or words contain this")
    together = "run as many of the quickest tests as take this long together; all of them without"
    parser.add_argument("--quickest", type=float, default=math.inf, metavar="SECONDS", help=together)
    options = parser.parse_args()
    found = [each for path in sorted((ROOT / "wtool" / options.room).rglob("*.py")) for each in mutants(path)]
    found = [each for each in found if options.only in f"{each.path}: {each.words}"]
    if options.sample is not None and options.sample < len(found):
        found = random.Random(options.seed).sample(found, options.sample)
    runner = Runner(found, options.quickest)
    tests = [str(ROOT / each) for each in TESTS[options.room]]
    with tempfile.TemporaryDirectory() as folder:  # each process empties it first: killed tests leave gigabytes
        words = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder}", *tests]
        pytest.main(words, plugins=[runner])
    print(f"{options.room}: {len(found)} mutants, {len(runner.survivors)} survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
