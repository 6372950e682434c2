"""Commands that are made of dataclasses: every field is an option, and asking for help imports no NumPy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields
from typing import Any

import click
import pytest

from tests.from_options import GROUPS
from wtool.cli import COMMANDS, cli, main
from wtool.option import options_of

ONLY_HERE = {"recipe", "models", "model", "paths", "as_json", "quiet", "verbose", "opens", "retries"}


def params(name: str) -> dict[str, Any]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {str(each.name): each for each in command.params}


@pytest.mark.parametrize("name", GROUPS)
def test_every_field_is_an_option(name: str) -> None:
    found = params(name)
    known = {option: told for group in GROUPS[name] for option, told in options_of(group).items()}
    assert set(found) - ONLY_HERE - set(known) == ({"same_sign"} if name == "rewind" else set())
    for group in GROUPS[name]:
        for each in fields(group):
            if each.name not in known:
                continue
            option = found[each.name]
            assert (option.help, option.metavar) == (known[each.name].help, known[each.name].metavar)
            words = known[each.name].words or (each.name.replace("_", "-"),)
            assert {f"--{word}" for word in words} <= {*option.opts}
            if each.default not in (MISSING, None, ()):
                assert option.get_default(click.Context(cli)) == each.default


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_with_one_value_is_given_twice(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Click would take the last value without a word."""
    single = [each for each in params(name).values() if isinstance(each, click.Option) and not each.multiple]
    for each in single:
        word, no_word = max(each.opts, key=len), each.secondary_opts
        if each.is_flag:
            words = [word, no_word[0]] if no_word else []
        else:
            words = [word, "1", f"{word}=2"]
        if not words:
            continue
        with pytest.raises(SystemExit) as ended:
            main([name, "x", *words])
        assert ended.value.code == 2
        assert f"wtool: {word} is given 2 times; give it once; see `wtool {name} --help`" in capsys.readouterr().err


def test_what_may_be_repeated_is_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prune", "none.keras", "--include", "a", "--include", "b", "-f", "-f", "--sparsity", ".5"])
    assert ended.value.code == 1
    assert "none.keras: No such file" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, wtool.cli\n"
        "for name in sys.argv[1:]:\n"
        "    try: wtool.cli.main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'numpy', 'h5py', 'rich', 'tensorflow', 'keras', 'difflib', 'statistics', 'wtool.io.publish'}\n"
        "print(sorted(set(sys.modules) & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *GROUPS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"Usage: wtool {name} " in done.stdout or f"{name} [OPTIONS]" in done.stdout for name in GROUPS)


def test_commands_that_look_at_models_start_with_their_options_alone() -> None:
    code = (
        "import sys, wtool.cli\n"
        "for name in ('inspect', 'check'):\n"
        "    try: wtool.cli.main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('wtool.run', 'wtool.training.resume'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['wtool.run', 'wtool.run.options']"
