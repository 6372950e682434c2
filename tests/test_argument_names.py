"""Messages name options as the command line does, or as Python does, by who runs the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.from_options import GROUPS
from tests.models import BLOBS
from wtool.argument_names import LISTS, NAMES, SWITCHES, argument_of, in_python, write_for_command_line
from wtool.option import options_of, types_of
from wtool.option_types import alternatives, is_list


@pytest.fixture
def as_python() -> Iterator[None]:
    """The tests read messages as the command line writes them; this one reads them as a script does."""
    write_for_command_line(False)
    yield
    write_for_command_line()


def options() -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Name, type and names on the command line of every option of every operation."""
    for group in {group: None for groups in GROUPS.values() for group in groups}:
        known = options_of(group)
        yield from (
            (each.name, types_of(group)[each.name], known[each.name].words)
            for each in fields(group)
            if each.name in known
        )


def test_the_tables_are_those_of_the_operations() -> None:
    assert {name for name, kind, _ in options() if bool in alternatives(kind)} == SWITCHES
    lists = {
        name for name, kind, _ in options() if any(is_list(one) and str in one.__args__ for one in alternatives(kind))
    }
    assert lists == LISTS
    assert {word: name for name, _, words in options() for word in words if word != "metric"} == NAMES


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("exists already; --force replaces it", "exists already; force=True replaces it"),
        ("a sparsity of 1; --schedule linear does", "a sparsity of 1; schedule='linear' does"),
        ("see `wtool inspect --tensors`, or --order", "see `wtool inspect --tensors`, or order="),
        ("--step 3/10 is the third", "step='3/10' is the third"),
        ("at least one (--jobs 1)", "at least one (jobs=1)"),
        ("--include '*kernel' takes them in", "include=['*kernel'] takes them in"),
        ("--no-hold-zeros none", "hold_zeros=False none"),
        ("--exp and --linear", "decay= and linear=True"),
        ("too large; --exclude it", "too large; exclude= it"),
        ("such as --best 3 --by val_loss", "such as best=3 by='val_loss'"),
        ("give --L, or --xmin-lim", "give L=, or xmin_lim="),
        ("ties needs a base: --base BASE", "ties needs a base: base=BASE"),
    ],
)
def test_options_become_arguments(message: str, told: str) -> None:
    assert in_python(message) == told


def test_every_option_is_an_argument() -> None:
    for name, _, words in options():
        for word in words or (name.replace("_", "-"),):
            assert argument_of(word) == name or word == "metric"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda: wtool.prune(BLOBS[0]),
            "say what is pruned: sparsity=, pattern=, or a range with both min_value= and ",
        ),
        (lambda: wtool.merge(BLOBS[:2], method="slerp"), "slerp needs a base: base=BASE"),
        (
            lambda: wtool.prune(BLOBS[0], sparsity=0.5, weights=False),
            "; weights=True, biases=True and include= say what",
        ),
        (lambda: wtool.average(BLOBS[:2], exp=0.9, decay=0.9), "decay and exp are two names of one argument; give one"),
    ],
)
@pytest.mark.usefixtures("as_python")
def test_errors_name_arguments(call: Any, told: str) -> None:
    with pytest.raises(wtool.Usage) as raised:
        call()
    assert told in str(raised.value)
    assert told in raised.value.message


@pytest.mark.usefixtures("as_python")
def test_notes_and_reasons_name_arguments(tmp_path: Path) -> None:
    (tmp_path / "b1.keras").write_bytes(BLOBS[0].read_bytes())
    (tmp_path / "a2.keras").write_bytes(BLOBS[1].read_bytes())
    done = wtool.average([tmp_path / "b1.keras", tmp_path / "a2.keras"], decay=0.5, dry_run=True)
    assert any(note.endswith("; see order=") for note in done.notes)
    found: list[Any] = []
    (tmp_path / "model.keras").write_bytes(BLOBS[0].read_bytes())
    wtool.prune(tmp_path / "model.keras", sparsity=0.5, report=found.append)
    with pytest.raises(wtool.WtoolError) as raised:
        wtool.prune(tmp_path / "model.keras", sparsity=0.6, report=found.append)
    assert str(raised.value).endswith("exists already; force=True replaces it")
    assert found[-1].error.message == "exists already; force=True replaces it"


def test_commands_name_options_and_scripts_name_arguments() -> None:
    """The process decides: the same misuse, told by a command and by a script."""
    script = f"import wtool\ntry:\n    wtool.prune({str(BLOBS[0])!r})\nexcept wtool.Usage as error:\n    print(error)"
    of_script = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert of_script.stdout.startswith("say what is pruned: sparsity=,")
    command = [sys.executable, "-c", "from wtool.cli import main; main()", "prune", str(BLOBS[0])]
    of_command = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "say what is pruned: --sparsity," in of_command.stderr
