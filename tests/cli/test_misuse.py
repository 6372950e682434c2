"""Words that the command line refuses: one line in one style, suggestions, and exit status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from tests import forkserver
from tests.models import BLOBS
from wtool.cli import COMMANDS, cli, main
from wtool.cli.commands import GROUPS


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool(*arguments), capture_output=True, cwd=cwd, text=True, check=False)


MISUSES = {
    "avrage a.keras": "no such command: 'avrage'; did you mean average? see `wtool --help`",
    "PRUNE a.keras": "no such command: 'PRUNE'; did you mean prune or run? see `wtool --help`",
    "xyzzy": "no such command: 'xyzzy'; see `wtool --help`",
    ".": "no such command: '.'; did you mean wtool inspect .? see `wtool --help`",
    "help prunn": "no such command: 'prunn'; did you mean prune or run? see `wtool --help`",
    "--xyzzy": "no such option: --xyzzy; see `wtool --help`",
    "prune": "missing argument 'MODEL...'; see `wtool prune --help`",
    "prune a.keras --sparsty .5": "no such option: --sparsty; did you mean --sparsity? see `wtool prune --help`",
    "prune a.keras --bogus": "no such option: --bogus; see `wtool prune --help`",
    "prune a.keras --sparsity": "option '--sparsity' requires an argument; see `wtool prune --help`",
    "prune a.keras --sparsity x": "invalid value for '--sparsity': 'x' is not a valid float; see `wtool prune --help`",
    "plot a.keras": "missing option '-o' / '--output'; see `wtool plot --help`",
    "inspect -q=1 a.keras": "no such option: -=; see `wtool inspect --help`",
    "diff a.keras b.keras c.keras": "got unexpected extra argument (c.keras); see `wtool diff --help`",
}


@pytest.mark.parametrize("words", MISUSES)
def test_misuse_is_one_line_and_2(words: str, tmp_path: Path) -> None:
    done = run(*words.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"wtool: {MISUSES[words]}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_unknown_option_alike(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--xyzzy"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"wtool: no such option: --xyzzy; see `wtool {name} --help`\n"


def test_no_words_show_the_help_as_misuse() -> None:
    shown, asked, bare = run(), run("--help"), run("help")
    assert (shown.returncode, shown.stdout, shown.stderr) == (2, "", asked.stdout)
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, asked.stdout, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_its_own_help(name: str) -> None:
    assert run("help", name).stdout == run(name, "--help").stdout


def test_version() -> None:
    assert run("-V").stdout == run("--version").stdout != ""


def test_commands_stand_in_groups() -> None:
    shown = run("--help").stdout
    places = [shown.index(f"\n{heading}:\n") for heading in GROUPS]
    assert places == sorted(places)
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len({*names}) == len(COMMANDS)
    assert all(shown.count(f"\n  {name} ") == 1 for name in names)


def test_every_command_that_has_a_module_is_listed() -> None:
    folder = Path(sys.modules["wtool.cli"].__file__ or "").parent
    own = {path.stem for path in folder.glob("*.py") if "\n@click.command(" in path.read_text()}
    assert own <= {*COMMANDS}
    assert all(cli.get_command(click.Context(cli), name) for name in COMMANDS)


def test_own_words_of_an_operation_are_misuse_too() -> None:
    done = run("prune", BLOBS[0], "--sparsity", "7", "-n")
    assert done.returncode == 2
    assert done.stderr.startswith("wtool: ")
    assert done.stderr.count("\n") == 1


EMPTY = {
    "prune MODEL --sparsity .5 -o EMPTY": "the name of the output is empty",
    "average MODEL MODEL -o EMPTY": "the name of the output is empty",
    "merge MODEL MODEL --method linear -o EMPTY": "the name of the output is empty",
    "convert MODEL --to h5 -o EMPTY": "the name of the output is empty",
    "pack MODEL -o EMPTY": "the name of the output is empty",
    "diff MODEL MODEL --patch -o EMPTY": "the name of the output is empty",
    "resume MODEL --data MODEL.npz --epochs 1 -o EMPTY": "the name of the output is empty",
    "report MODEL -o EMPTY": "the output's name has to end in .html",
    "plot MODEL -o EMPTY": "the output's name has to end in one of these",
    "inspect EMPTY": "the name of a model is empty",
    "diff MODEL EMPTY": "the name of a model is empty",
    "prune EMPTY --sparsity .5": "the name of a model is empty",
    "prune MODEL --sparsity .5 --criterion mi --initial EMPTY": "the name of a model is empty",
}


@pytest.mark.parametrize("words", EMPTY)
def test_a_name_without_letters_is_misuse(words: str, tmp_path: Path) -> None:
    """A script whose variable is not set gives an empty name: no file must be made of that."""
    model = tmp_path / "model.keras"
    model.write_bytes(BLOBS[0].read_bytes())
    np.savez(f"{model}.npz", x=np.zeros((4, 2), np.float32), y=np.zeros(4))
    before = sorted(tmp_path.iterdir())
    given = ["" if word == "EMPTY" else word.replace("MODEL", model.name) for word in words.split()]
    done = run(*given, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith(EMPTY[words])
    assert sorted(tmp_path.iterdir()) == before
