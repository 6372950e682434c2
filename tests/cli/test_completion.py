"""Completion in shells, as they do it: commands, options, words of options, files and folders."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

from tests import forkserver
from wtool.cli import COMMANDS, cli
from wtool.cli.options import FILE

FOUND = {
    "wtool aver": "wtool average",
    "wtool help aver": "wtool help average",
    "wtool prune --sparsi": "wtool prune --sparsity",
    "wtool prune --criterion lfs": "wtool prune --criterion lfss",
    "wtool prune cnn_ini": "wtool prune cnn_init.keras",
    "wtool prune cnn_init.keras -o pru": "wtool prune cnn_init.keras -o pruned/",
    "wtool resume cnn_init.keras --data dig": "wtool resume cnn_init.keras --data digits.npz",
    "wtool diff cnn_init.keras pruned/dee": "wtool diff cnn_init.keras pruned/deep.keras",
    "wtool completion fi": "wtool completion fish",
}
"""What is typed -> what stands there after the tabulator key."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "pruned").mkdir()
    for name in ("cnn_init.keras", "digits.npz", "pruned/deep.keras"):
        (folder / name).touch()
    return folder


def environment() -> dict[str, str]:
    path = f"{forkserver.folder()}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "TERM": "dumb", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def complete(shell: list[str], begin: str, words: str, here: Path) -> None:
    """Types words and the tabulator key into an interactive shell, and waits for what they become."""
    variables = {**environment(), "PS1": "$ "}
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(here)
        os.execvpe(shell[0], shell, variables)
    try:
        os.write(terminal, f"{begin}; echo rea''dy\n".encode())
        _read_until(terminal, "ready\n")
        os.write(terminal, f"{words}\t".encode())
        _read_until(terminal, FOUND[words])
    finally:
        os.kill(process, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(process, 0)


def _read_until(terminal: int, text: str) -> None:
    shown, ends = "", time.monotonic() + 20
    while text not in shown:
        assert time.monotonic() < ends, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += re.sub(r"\r|\x1b\[[?0-9;]*[a-zA-Z]", "", os.read(terminal, 4096).decode(errors="replace"))


@pytest.mark.parametrize("words", FOUND)
def test_bash(words: str, here: Path) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    complete(shell, 'eval "$(wtool completion bash)"', words, here)


@pytest.mark.parametrize("words", FOUND)
def test_zsh(words: str, here: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    begin = 'unsetopt prompt_sp; autoload -U compinit; compinit -D -u; eval "$(wtool completion zsh)"'
    complete(["zsh", "-f", "-i"], begin, words, here)


@pytest.mark.parametrize("words", FOUND)
def test_fish(words: str, here: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = f"wtool completion fish | source; complete -C '{words}'"
    done = subprocess.run(["fish", "--no-config", "-c", script], cwd=here, env=environment(), capture_output=True)
    found = [line.split("\t")[0] for line in done.stdout.decode().splitlines()]
    assert FOUND[words].split()[-1] in found, done


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_of_every_command_complete(name: str) -> None:
    """Every argument completes files, but for the two that take names; so do options that take paths."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    words = {"help", "completion"}
    for each in command.params:
        if isinstance(each, click.Argument):
            assert (each.type is FILE) != (name in words)
        if each.metavar in ("PATH", "FILE", "DATA", "DIR", "RUN/", "MODEL", "INIT"):
            assert each.type is FILE, each.name


def test_what_shells_ask_for() -> None:
    """The protocol between the scripts and wtool, in which `file` stands for what the shell itself completes."""
    command = cli.get_command(click.Context(cli), "prune")
    assert command is not None
    context = click.Context(command)
    models, output = (next(each for each in command.params if each.name == name) for name in ("models", "output"))
    for each in (models, output):
        (item,) = each.shell_complete(context, "cnn")
        assert isinstance(item, CompletionItem)
        assert (item.type, item.value) == ("file", "cnn")
