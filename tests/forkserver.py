"""A Python that has imported what wtool needs, and forks for each command: for tests that start many processes.

To start Python and to import NumPy, h5py and wtool takes half a second of processor time, to import TensorFlow and
Keras six more; a fork takes hundredths of one. `begin(...)` starts a fork server before it is needed. `wtool(...)` and
`folder()` give programs that take the same words, files, environment and signals as the real ones, and end with the
same status. Tests of what a process imports and of its children use `sys.executable`. After SIGKILL, wait for the end
of the output: the fork server kills what it forked only after its client is dead.

The client (`fork_client.py`) sends its words, its environment, its folder and its open streams over a socket to the
server, which forks. The server ends when the tests do, and kills whatever it forked when its client is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PLAIN = ("wtool.cli", "rich.progress", "h5py", "isal.igzip_lib", "blake3", "ml_dtypes", "wtool.ops.check")
TRAINING = ("tensorflow", "keras", "wtool.layers", "wtool.training.resume", "wtool.callbacks")
READERS = ("tensorflow", "keras", "tf_keras")
REMOTE = tuple(name for name in ("fsspec", "s3fs", "aiohttp") if find_spec(name))
COMMANDS = ("average", "check", "inspect", "rewind", "swap", "transforming")
QUIET = {
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OPENBLAS_NUM_THREADS": "1",
}


def wtool(*words: object, training: bool = False, remote: bool = False) -> list[str]:
    """Returns the words that run wtool.

    With `training`, TensorFlow and Keras have been imported; with `remote`, what S3 takes.
    """
    return [str(folder(training, remote) / "wtool"), *map(str, words)]


def python(*words: object, training: bool = False, readers: bool = False) -> list[str]:
    """Returns the words that run `python -c CODE`, `python -m MODULE` or `python SCRIPT`.

    With `readers`, both Kerases have been imported, and nothing of wtool that changes or extends them.
    """
    made = _ready(READERS) if readers else folder(training)
    return [str(made / "python"), *map(str, words)]


def folder(training: bool = False, remote: bool = False) -> Path:
    """Returns a folder, for the front of PATH, with the programs `wtool` and `python`."""
    return _ready(TRAINING if training else REMOTE if remote else ())


def begin(imports: tuple[str, ...]) -> None:
    """Starts a server, which imports while the tests go on."""
    _begun(imports)


@cache
def _begun(imports: tuple[str, ...]) -> tuple[Path, subprocess.Popen[bytes]]:
    """Starts a server. Returns the folder for its programs, and the server, which says when it is ready."""
    made = Path(tempfile.mkdtemp(prefix="wtool-fork-"))
    address = made / "socket"
    argv = [sys.executable, "-m", "tests.forkserver", str(address), *imports]
    root, environment = Path(__file__).parents[1], {**os.environ, **QUIET, "KERAS_HOME": str(made)}
    until_the_end, _ = os.pipe()  # the other end is closed when this process ends
    server = subprocess.Popen(argv, cwd=root, env=environment, stdin=until_the_end, stdout=subprocess.PIPE)
    os.close(until_the_end)
    return made, server


@cache
def _ready(imports: tuple[str, ...]) -> Path:
    """Waits for a server. Returns the folder with its programs."""
    made, server = _begun(imports)
    assert server.stdout is not None
    with server.stdout:
        if not server.stdout.readline():
            raise RuntimeError("the fork server did not start")
    client = [sys.executable, "-IS", Path(__file__).with_name("fork_client.py"), made / "socket"]
    for name, before in (("wtool", ["-m", "wtool"]), ("python", [])):
        line = shlex.join(map(str, [*client, *before]))
        (made / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (made / name).chmod(0o755)
    return made


# The server


def main() -> None:
    for module in (*PLAIN, *(f"wtool.cli.{name}" for name in COMMANDS), *sys.argv[2:]):
        __import__(module)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        job = serve(listener)
    become(job)
    end(status_of(job["argv"]))


def serve(listener: socket.socket) -> dict[str, Any]:
    """Forks for each client. Returns in the forked processes alone, what the client asks for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' process decides what an interrupt ends
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()  # a collection in a forked process would touch, and so copy, all that was imported
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    clients: dict[int, socket.socket] = {}  # process -> the connection to its client
    while True:
        ready, _, _ = select.select([0, woken, listener, *clients.values()], [], [])
        if 0 in ready:  # end of file: the tests are over
            for process in clients:
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)
            os._exit(0)
        if woken in ready:
            os.read(woken, 4096)
            for process in ended(clients):
                clients.pop(process).close()
        for process in [each for each, client in clients.items() if client in ready]:
            os.kill(process, signal.SIGKILL)  # clients say nothing more: this one was killed
            clients[process].close()
            del clients[process]
        if listener in ready:
            client, _ = listener.accept()
            job = received(client)
            if job is None:
                client.close()
                continue
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (client, *clients.values()):
                    each.close()
                os.close(woken)
                os.close(wake)
                return job
            for each in job["descriptors"].values():
                os.close(each)
            clients[process] = client
            tell(client, process)


def tell(client: socket.socket, number: int) -> None:
    """Sends a client a number, if the client is still there: whoever was killed meanwhile needs to know nothing."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(f"{number}\n".encode())


def ended(clients: dict[int, socket.socket]) -> list[int]:
    """Tells clients how their processes ended. Returns these processes."""
    found = []
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if process == 0:
            return found
        if process in clients:
            found.append(process)
            tell(clients[process], os.waitstatus_to_exitcode(status))


def received(client: socket.socket) -> dict[str, Any] | None:
    """Returns what a client asks for, with the open streams that it passed: its number -> its number here.

    None if the client was killed before it had said all.
    """
    data, descriptors, _, _ = socket.recv_fds(client, 2**16, 3)
    size, _, rest = data.partition(b"\n")
    while data and len(rest) < int(size):
        data = client.recv(2**16)
        rest += data
    if not data:
        for each in descriptors:
            os.close(each)
        return None
    job: dict[str, Any] = json.loads(rest)
    job["descriptors"] = dict(zip(job["open"], descriptors, strict=True))
    return job


# The forked process


def become(job: dict[str, Any]) -> None:
    """Makes this process what the client would have been."""
    os.chdir(job["folder"])
    os.umask(job["umask"])
    os.environ.clear()
    os.environ.update({**QUIET, **job["environment"]})
    signal.signal(signal.SIGINT, signal.SIG_IGN if job["ignores_interrupts"] else signal.default_int_handler)
    moved = {number: os.dup2(own, own + 100) for number, own in job["descriptors"].items()}
    for own in job["descriptors"].values():
        os.close(own)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number not in moved:
            os.close(number)
            stream = None
        else:
            os.dup2(moved[number], number)
            os.close(moved[number])
            stream = opened(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def opened(number: int) -> io.TextIOWrapper:
    """Returns the stream that Python makes of descriptor 0, 1 or 2."""
    binary = open(number, "wb" if number else "rb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        binary,
        encoding="utf-8",
        errors="backslashreplace" if number == 2 else "strict",
        newline="\n" if number else None,
        line_buffering=number == 2 or binary.isatty(),
    )


def status_of(argv: list[str]) -> int:
    """Does what `python ARGV` does. Returns the exit status."""
    try:
        run(argv)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def run(argv: list[str]) -> None:
    if argv[0] == "-m":
        sys.argv = argv[1:]
        sys.path[0] = os.getcwd()
        runpy._run_module_as_main(argv[1])  # type: ignore[attr-defined]
    elif argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        sys.path[0] = ""
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = argv
        sys.path[0] = str(Path(argv[0]).resolve().parent)
        runpy.run_path(argv[0], run_name="__main__")


def end(status: int) -> None:
    """Ends as Python does, but for the modules: to take TensorFlow to pieces costs a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored in: {sys.stdout!r}\n{error!r}", file=sys.stderr)
        status = 120
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
