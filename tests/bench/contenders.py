"""The programs that the benchmark runs, as argument lists, and how one of them is timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
DECAY = 0.9
ENV = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class Contender:
    """A program and its arguments; `before` runs ahead of each timed run, untimed; `env` is added to the variables."""

    name: str
    argv: list[str]
    before: Callable[[], None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        seconds: from the start to the exit.
        processor: seconds of all processors together.
        peak_mb: peak resident memory of the process, or of its largest child.
    """

    seconds: float
    processor: float
    peak_mb: float


def measure(contender: Contender, log_file: Path) -> Run:
    """Run it once; its words go to `log_file`, and are shown when it fails.

    The peak is that of the kernel's `wait4`, which starts from the resident size of the parent: this process stays
    small, and imports no NumPy.
    """
    contender.before()
    os.sync()  # nobody waits for what another one wrote
    with open(os.devnull, "rb") as nothing, log_file.open("w+b") as log:
        start = time.perf_counter()
        process = subprocess.Popen(contender.argv, stdin=nothing, stdout=log, stderr=log, env={**ENV, **contender.env})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            words = log.read().decode(errors="replace")
            raise SystemExit(f"{contender.name} failed ({process.returncode}):\n{words[-4000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def floor(inputs: Sequence[Path], out: Path) -> Contender:
    """What no averaging can avoid: read every input, write one output."""
    script = 'out=$1; shift; cat "$@" > /dev/null; cp "$1" "$out"'
    return Contender("cat + cp", ["sh", "-c", script, "floor", str(out), *map(str, inputs)], lambda: remove(out))


def cat_objects(addresses: Sequence[str], env: Mapping[str, str]) -> Contender:
    """What reading objects takes: fsspec's `cat_file` of each."""
    return Contender("cat_file", [sys.executable, str(HERE / "cat_objects.py"), *addresses], env=env)


def cat(inputs: Sequence[Path]) -> Contender:
    """What reading cannot avoid, of files that are not in the page cache."""
    return Contender("cat", ["cat", *map(str, inputs)], lambda: forget(inputs))


def forget(paths: Sequence[Path]) -> None:
    """Have the kernel drop files from the page cache."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def wtool(
    command: Sequence[str], inputs: Sequence[Path | str], out: Path, env: Mapping[str, str] | None = None
) -> Contender:
    argv = [*command, "average", *map(str, inputs), "--exp", str(DECAY), "--force", "-q", "-o", str(out)]
    return Contender("wtool average", argv, lambda: remove(out), env or {})


def keras(inputs: Sequence[Path], out: Path) -> Contender:
    argv = [sys.executable, str(HERE / "keras_average.py"), str(out), str(DECAY), *map(str, inputs)]
    return Contender("Keras script", argv, lambda: remove(out))


def wtool_merge(command: Sequence[str], words: Sequence[str], models: Sequence[Path], out: Path) -> Contender:
    argv = [*command, "merge", *map(str, models), *words, "--force", "-q", "-o", str(out)]
    return Contender(f"wtool merge --method {words[1]}", argv, lambda: remove(out))


def mergekit(python: str, config: Path, out: Path, method: str = "linear") -> Contender:
    """mergekit's merge of raw tensors (`mergekit-pytorch`), safetensors in and out."""
    program = "from mergekit.scripts.merge_raw_pytorch import main; main()"
    argv = [python, "-c", program, str(config), str(out)]
    return Contender(f"mergekit {method}", argv, lambda: remove(out))


def copy(model: Path, out: Path) -> Contender:
    return Contender("cp", ["cp", str(model), str(out)], lambda: remove(out))


def wtool_on(command: Sequence[str], words: Sequence[str], models: Path, out: Path, what: str = "") -> Contender:
    """A transform of one model, or of a folder of them (then `out` is one as well); `what` ends its name."""
    target = f"{out}/" if models.is_dir() else str(out)
    return Contender(
        f"wtool {' '.join(words)}{what}", [*command, *words, str(models), "-q", "-o", target], lambda: remove(out)
    )


def wtool_on_all(command: Sequence[str], words: Sequence[str], models: Sequence[Path], out: Path) -> Contender:
    """A transform of the models that are named, into a folder."""
    argv = [*command, *words, *map(str, models), "-q", "-o", f"{out}/"]
    return Contender(f"wtool {' '.join(words)} of {len(models)}", argv, lambda: remove(out))


def keras_prune(models: Sequence[Path], sparsity: str, out: Path, seconds: Path) -> Contender:
    argv = [sys.executable, str(HERE / "keras_prune.py"), sparsity, str(out), str(seconds), *map(str, models)]
    return Contender("Keras loop", argv, lambda: remove(out))


def grown(out: Path, layers: int, units: int) -> Contender:
    """Makes a model of any number of layers."""
    return Contender("grown.py", [sys.executable, str(HERE / "grown.py"), str(out), str(layers), str(units)])


def training_step(smoke: bool, seconds: Path) -> Contender:
    """Steps of several models, which take their turns in one process."""
    argv = [sys.executable, str(HERE / "training_step.py"), str(seconds), *(["--smoke"] if smoke else [])]
    return Contender("training steps", argv, lambda: remove(seconds))


def held_zeros(smoke: bool, seconds: Path) -> Contender:
    """Epochs with and without held zeros, which take their turns in one process."""
    argv = [sys.executable, str(HERE / "held_zeros.py"), str(seconds), *(["--smoke"] if smoke else [])]
    return Contender("held zeros", argv, lambda: remove(seconds))


def shrunk_speed(smoke: bool, folder: Path, figures: Path) -> Contender:
    """Dense, pruned and shrunk models, which predict in turns in one process."""
    argv = [sys.executable, str(HERE / "shrunk_speed.py"), str(folder), str(figures), *(["--smoke"] if smoke else [])]
    return Contender("shrunk models", argv, lambda: remove(figures))


def wtool_help(command: Sequence[str]) -> Contender:
    return Contender("wtool --help", [*command, "--help"])


def imports(module: str) -> Contender:
    return Contender(f"import {module}", [sys.executable, "-c", f"import {module}"])


def work(models: Sequence[Path], out: Path, seconds: Path, operation: str, smoke: bool) -> Contender:
    """The work that nothing which does an operation can avoid, part by part."""
    words = [operation, str(out), str(seconds), *map(str, models), *(["--smoke"] if smoke else [])]
    return Contender(f"work of {operation}", [sys.executable, str(HERE / "work.py"), *words], lambda: remove(out))


def remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
