"""The command line, as a shell sees it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, HOSTILE
from wtool import errors
from wtool.cli import COMMANDS
from wtool.errors import one_line

WTOOL = [sys.executable, "-m", "wtool"]


def run(*arguments: object, cwd: Path | None = None, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(forkserver.wtool(*arguments), capture_output=True, cwd=cwd, input=stdin, check=False)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, wtool.cli\ntry: wtool.cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'numpy', 'h5py', 'rich', 'tensorflow', 'keras'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert b"Usage: wtool " + name.encode() in done.stdout


def test_average_tells_order_and_coefficients_on_standard_error(tmp_path: Path) -> None:
    done = run("average", *reversed(BLOBS), "--exp", "0.9", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert [line.split()[-1] for line in lines[:10]] == [str(path) for path in BLOBS]
    assert float(lines[9].split()[1]) == pytest.approx(1 / sum(0.9**i for i in range(10)), abs=1e-6)
    assert (tmp_path / "average.keras").exists()
    again = run("average", *BLOBS, cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr.decode().splitlines() == ["wtool: average.keras: exists already; --force replaces it"]
    assert run("average", *BLOBS, "--force", "-q", cwd=tmp_path).stderr == b""


@pytest.mark.parametrize("words", [["inspect", "hf://u"], ["check", "hf://u"], ["prune", "hf://u", "--sparsity", ".5"]])
def test_a_folder_that_cannot_be_searched_is_told_once(words: list[str], tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(b"hf://u: ") == 1


def test_pipes(tmp_path: Path) -> None:
    made = run("average", *BLOBS[:2], "-o", "-", "-q")
    assert made.returncode == 0
    shown = run("inspect", "-", "--json", stdin=made.stdout)
    found = json.loads(shown.stdout)
    assert (found["path"], found["parameters"]) == ("-", 153)
    mixed = run("average", BLOBS[2], "-", "--order", "given", "-o", tmp_path / "x.keras", stdin=made.stdout)
    assert mixed.returncode == 0, mixed.stderr
    assert run("average", "-", "-", stdin=made.stdout).returncode == 2
    assert run("inspect", "-", "-", stdin=made.stdout).returncode == 2


def test_json(tmp_path: Path) -> None:
    done = run("average", *BLOBS[:2], "--json", "-o", tmp_path / "a.keras")
    found = json.loads(done.stdout)
    assert found["output"] == str(tmp_path / "a.keras")
    assert found["inputs"] == [{"path": str(path), "role": "averaged", "coefficient": 0.5} for path in BLOBS[:2]]
    assert found["actions"]["hidden/kernel"]["kind"] == "averaged"
    several = run("inspect", *BLOBS[:3], "--json").stdout.splitlines()
    assert [json.loads(line)["path"] for line in several] == [str(path) for path in BLOBS[:3]]
    assert run("average", *BLOBS[:2], "--json", "-o", "-").returncode == 2


def test_dry_run_writes_nothing_and_lists_every_tensor(tmp_path: Path) -> None:
    done = run("average", *BLOBS, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert ["hidden/kernel", "averaged"] in rows
    assert ["optimizer/momentum/hidden/kernel", "set", "to", "0"] in rows
    assert not any(tmp_path.iterdir())


def test_inspect_shows_a_table(tmp_path: Path) -> None:
    layers = run("inspect", BLOBS[0]).stdout.decode()
    assert "hidden  Dense  kernel 2x25, bias 25" in layers
    assert "optimizer: SGD, step" in layers
    assert "Keras 3." in layers
    tensors = run("inspect", "--tensors", BLOBS[0]).stdout.decode()
    assert [line.split()[0] for line in tensors.splitlines() if "/" in line.split(" ")[0]][1:] == [
        "hidden/kernel", "hidden/bias", "output/kernel", "output/bias"
    ]  # fmt: skip


def test_inspect_shows_what_a_model_costs() -> None:
    shown = run("inspect", "--cost", BLOBS[0]).stdout.decode()
    assert ["output", "Dense", "1", "3", "78", "75", "3"] in [line.split() for line in shown.splitlines()]
    assert "one input of 2: 125 multiply-adds, 28 activations" in shown
    told = json.loads(run("inspect", "--cost", "--json", "--input-shape", "2", BLOBS[0]).stdout)
    assert told == wtool.cost(BLOBS[0])


def test_a_failing_model_does_not_hide_the_others() -> None:
    done = run("inspect", BLOBS[0], HOSTILE / "trunc_keras_05.keras", BLOBS[1], "--json")
    assert done.returncode == 1
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(each)[:2] == ["path", "error"] for each in objects] == [False, True, False]
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(f"wtool: {HOSTILE / 'trunc_keras_05.keras'}: ".encode())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["average", "missing.keras"], 1, "missing.keras: No such file"),
        (["average"], 2, "missing argument"),
        (["average", str(BLOBS[0]), "--exp", "2"], 2, "decay of 2.0"),
        (["average", str(BLOBS[0]), "--exp", "x"], 2, "not a valid float"),
        (["average", str(BLOBS[0]), "--coefficients", "1,b"], 2, "not a list of numbers"),
        (["average", str(BLOBS[0]), "-o", "no/such/folder/x.keras"], 1, "does not exist"),
        (["inspect", "nothing*.keras"], 1, "no file matches"),
        (["inspect", "/dev/null"], 1, "not a regular file"),
        (["inspect", "."], 1, "a folder without models"),
        (["inspect", str(BLOBS[0]), "--cost", "--input-shape", "3"], 1, "is 2, and cannot be 3"),
        (["inspect", str(BLOBS[0]), "--cost", "--input-shape", "3,x"], 2, "not a shape such as"),
        (["inspect", str(BLOBS[0]), "--cost", "--stable"], 2, "--cost is a table of its own"),
        (["inspect", str(BLOBS[0]), "--input-shape", "3"], 2, "goes with --cost alone"),
        (["frobnicate"], 2, "no such command"),
    ],
)
def test_errors_are_one_line_with_the_right_status(
    arguments: list[str], status: int, message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert not any(tmp_path.iterdir())


def test_a_text_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a\nb\x1b[31m.keras").write_text("hello, I am no model")
    done = run("inspect", tmp_path / "a\nb\x1b[31m.keras")
    assert done.returncode == 1
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"not a Keras model" in done.stderr


def test_names_cannot_talk_to_the_terminal() -> None:
    assert one_line("a\x1b[2Jb\udc80\u202e") == "a\\x1b[2Jb\\udc80\\u202e"
    assert one_line("Größe 层 [bold]") == "Größe 层 [bold]"


def test_a_closed_pipe_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*WTOOL, "average", str(BLOBS[0]), "-q", "-o", "-"], stdout=write, stderr=subprocess.PIPE,
                          check=False)  # fmt: skip
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_model_is_not_written_to_a_terminal() -> None:
    leader, follower = pty.openpty()
    done = subprocess.run([*WTOOL, "average", str(BLOBS[0]), "-o", "-"], stdout=follower, stderr=subprocess.PIPE,
                          check=False)  # fmt: skip
    os.close(leader)
    os.close(follower)
    assert done.returncode == 1
    assert b"not for a terminal" in done.stderr


def test_progress_appears_on_a_terminal_only_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from wtool.cli import console

    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with console.progress_bar("averaging", quiet=False) as update:
            assert update is not None
            update(1, 10)
            terminal.flush()
            os.set_blocking(leader, False)
            with pytest.raises(BlockingIOError):
                os.read(leader, 100)
            monkeypatch.setattr(console, "PATIENCE", 0.0)
            update(5, 10)
        with console.progress_bar("averaging", quiet=True) as silent:
            assert silent is None
        terminal.flush()
        shown = b""
        while b"averaging" not in shown:  # a terminal gives what was written bit by bit
            with contextlib.suppress(BlockingIOError):
                shown += os.read(leader, 65536)
    os.close(leader)
    assert b"averaging" in shown


def test_python_offers_the_same() -> None:
    assert {"average", "inspect"} <= set(dir(wtool)) | set(wtool.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        wtool.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no such axis", "no such axis"),
        ("", "no more is said"),
        (
            "Exception encountered when calling Sequential.call().\n\n"
            "\x1b[1mexpected 8, but received 5\x1b[0m\n\nArguments",
            "expected 8, but received 5",
        ),
        (
            "Graph execution error:\n\nDetected at node loss\n<stack traces unavailable>\n"
            "Received a label of 7\n\t [[{{x}}]]",
            "Received a label of 7",
        ),
        (
            "Functional could not be deserialized properly.\n\nconfig={'a': 1}.\n\nException encountered: Error when "
            "deserializing\n\nException encountered: Could not locate class 'Own'.\n\nand so on",
            "Could not locate class 'Own'.",
        ),
        (
            "2 objects could not be loaded. An example:\n\nShape mismatch\n\nmore",
            "2 objects could not be loaded. An example: Shape mismatch",
        ),
        ("x" * 1000, "x" * 297 + "..."),
    ],
)
def test_errors_of_keras_in_short(text: str, told: str) -> None:
    assert errors.in_short(ValueError(text)) == f"ValueError: {told}"


def test_the_doctor_looks_before_anything_is_written(tmp_path: Path) -> None:
    """The table and the verdict come first, on standard error; then the command goes on."""
    done = run("average", *BLOBS[:3], "--doctor", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert lines[0].split() == ["kernel", "values", "cosine", "signs", "that", "disagree", "norm", "kept", "finding"]
    assert lines[1].split()[:2] == ["hidden/kernel", "50"]
    assert lines[1].split()[-1] == "alike"
    assert lines[3] == "wtool: doctor: safe: the models share their initialisation, and are near to each other"
    assert (tmp_path / "average.keras").exists()
    assert run("average", *BLOBS[:3], "--doctor", "-q", "-n", cwd=tmp_path).stderr == b""
    found = run("average", *BLOBS[:3], "--doctor", "--json", "-n", cwd=tmp_path)
    assert b"doctor:" not in found.stderr
    assert json.loads(found.stdout)["diagnosis"]["is_safe"] is True
    assert json.loads(run("average", *BLOBS[:3], "--json", "-n", cwd=tmp_path).stdout)["diagnosis"] is None
