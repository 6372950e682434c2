"""Every command gives the same, byte for byte, whether its files lie here or in a store."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import forkserver
from tests.remote.cases import CASES, FUNCTIONS, WITHOUT, Case, fill
from tests.remote.hub import Hub
from tests.remote.s3 import S3
from tests.remote.web import Web
from wtool.cli import cli
from wtool.cli.commands import COMMANDS


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.tensorflow] if name in CASES and CASES[name].training else []


EVERY = [pytest.param(name, marks=marks(name)) for name in COMMANDS if name not in WITHOUT]
WRITING = ("average", "convert", "plot", "prune", "report", "swap")
"""Commands that write in several ways."""

NUMBERS = re.compile(r"[0-9.]+ s\b|[0-9,]+ bytes\b")
"""What standard error says otherwise each time: seconds, and sizes of pages that say where the models lie."""


@dataclass(frozen=True)
class Outcome:
    """What came of a command, without the addresses in it.

    Attributes:
        said: standard output, and standard error without seconds and sizes.
        files: name of each result -> content.
    """

    said: tuple[str, str]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Here:
    """A folder with the files that the cases speak of, and what commands do with them."""

    folder: Path
    results: Path
    outcomes: dict[str, Outcome]

    def contents(self) -> dict[str, bytes]:
        """Name -> content of all files."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def outcome(self, name: str) -> Outcome:
        """What a command does with the files here; it runs once."""
        if name not in self.outcomes:
            folder = self.results / name
            folder.mkdir()
            for path in self.folder.iterdir():
                os.link(path, folder / path.name)
            self.outcomes[name] = run(CASES[name], "", "", folder)
            assert bool(self.outcomes[name].files) == bool(CASES[name].outputs or CASES[name].kept_here)
        return self.outcomes[name]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    found = Here(tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("results"), {})
    fill(found.folder)
    return found


def run(case: Case, inputs: str, outputs: str, folder: Path, get: Callable[[str], bytes] | None = None) -> Outcome:
    """Runs a command in a folder, which results are in; or else `get` gives what is in the store of the outputs."""
    argv = forkserver.wtool(*case.at(inputs, outputs), training=case.training, remote=not case.training)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == case.status, done.stderr
    said = [text.replace(outputs or "\0", "").replace(inputs or "\0", "") for text in (done.stdout, done.stderr)]
    return Outcome((said[0], NUMBERS.sub("N", said[1])), results(case, folder, get))


def run_in_this_process(case: Case, inputs: str, folder: Path, capture: pytest.CaptureFixture[str]) -> Outcome:
    """Does as `run` with results that are files, several times as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        status = cli.main(case.at(inputs, ""), prog_name="wtool", standalone_mode=False)
    assert (status or 0) == case.status
    stdout, stderr = (text.replace(inputs, "") for text in capture.readouterr())
    return Outcome((stdout, NUMBERS.sub("N", stderr)), results(case, folder))


def results(case: Case, folder: Path, get: Callable[[str], bytes] | None = None) -> dict[str, bytes]:
    """Returns the results of a case: their names, and their contents unless these tell where the inputs lie."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob(case.results) if path.is_file()}
    if get is not None:
        assert not case.outputs or not found
        found |= {name: get(name) for name in case.outputs}
    return {name: b"" for name, content in found.items() if content} if case.tells_places else found


def test_every_command_has_a_case() -> None:
    assert set(COMMANDS) == CASES.keys() | WITHOUT.keys()
    assert not CASES.keys() & WITHOUT.keys()


@pytest.mark.parametrize("name", EVERY)
def test_s3(name: str, here: Here, s3: S3, tmp_path: Path) -> None:
    """Inputs and outputs are objects; no file is left here."""
    for key, content in here.contents().items():
        s3.put(key, content)
    done = run(CASES[name], "s3://zoo/", "s3://zoo/new/", tmp_path, lambda key: s3.get(f"new/{key}"))
    assert done == here.outcome(name)
    assert sorted(set(s3.keys()) - here.contents().keys()) == sorted(f"new/{key}" for key in CASES[name].outputs)
    assert s3.uploads() == []
    assert not CASES[name].outputs or list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITING)
def test_files_to_s3(name: str, here: Here, s3: S3, tmp_path: Path) -> None:
    for path in here.folder.iterdir():
        os.link(path, tmp_path / path.name)
    assert run(CASES[name], "", "s3://zoo/", tmp_path, s3.get) == here.outcome(name)


@pytest.mark.parametrize("name", EVERY)
def test_the_web_to_files(name: str, here: Here, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, content in here.contents().items():
        web.put(key, content)
    assert run_in_this_process(CASES[name], web.at(""), tmp_path, capsys) == here.outcome(name)


@pytest.mark.parametrize("name", EVERY)
def test_the_hub_to_files(name: str, here: Here, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, content in here.contents().items():
        hub.put("user/models", key, content, revision="v1")
    assert run_in_this_process(CASES[name], "hf://user/models@v1/", tmp_path, capsys) == here.outcome(name)


@pytest.mark.parametrize("name", EVERY)
def test_functions_and_memory(
    name: str, here: Here, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python functions, with what is in a store of this process."""
    for key, content in here.contents().items():
        memory.pipe_file(f"/zoo/{key}", content)
    before = set(memory.store)
    monkeypatch.chdir(tmp_path)
    result = FUNCTIONS[name]("memory://zoo/", "memory://zoo/new/")
    made = {key.removeprefix("/zoo/new/"): memory.cat_file(key) for key in set(memory.store) - before}
    case, outcome = CASES[name], here.outcome(name)
    if case.outputs:
        assert made == outcome.files or (case.tells_places and made.keys() == outcome.files.keys())
    elif case.kept_here:
        assert results(case, tmp_path) == outcome.files
    else:
        monkeypatch.chdir(here.folder)
        assert repr(result).replace("memory://zoo/", "") == repr(FUNCTIONS[name]("", ""))
