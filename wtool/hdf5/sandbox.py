"""Plain copies of HDF5 files, made in a child process, since the HDF5 library crashes or loops on damaged files.

The child gets two open files, as its standard input and output, and limits on memory, time and size; it opens nothing
by name. This module has the parent's part and the child's first function; the child's work is in `sandbox_survey` and
`sandbox_child`, the only modules in which h5py parses files of users.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from wtool.errors import Differs, Reaches, Refused
from wtool.hdf5.limits import CHILD_BYTES_PER_SECOND, CHILD_MEMORY, CHILD_PATIENCE, CHILD_SECONDS
from wtool.io.limits import MAX_INFLATED_FLOOR, MIB

_REFUSALS: dict[int, type[Refused]] = {3: Refused, 4: Differs, 5: Reaches}
"""Exit status of the child -> kind of the refusal whose text the child printed."""

_SLOW = [getattr(signal, name) for name in ("SIGXCPU", "SIGPROF") if hasattr(signal, name)]
"""Signals that end a process which computes too long."""

_MARK = b"\0"
"""Stands before the child's words, behind what Python or a library may have said before."""

_FIRST_LINES = "import sys, json; job = json.loads(sys.argv[1]); sys.path[:] = job['path']; "
_PROGRAM = _FIRST_LINES + "from wtool.hdf5.sandbox import run_child; run_child(job)"
_ENDLESS = "damaged: the HDF5 library does not come to an end with it"


def make_plain(source_fd: int, start: int, size: int, drop: Sequence[str] = ()) -> BinaryIO:
    """Returns a plain copy of the HDF5 file in bytes [start, start + size) of an open file, which `read_index` reads.

    Groups, datasets and attributes keep names and values; chunked, compressed, big-endian or compact datasets become
    contiguous and little-endian.

    Args:
        source_fd: descriptor of a regular file, which is read by position.
        start: offset of the HDF5 file in the open file.
        size: of the HDF5 file, in bytes.
        drop: names in the root group to leave out.

    Returns:
        An anonymous temporary file, which the caller closes.

    Raises:
        Refused: the file is damaged or hostile, or holds values that cannot be contiguous numbers.
    """
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        job = {"path": [p for p in sys.path if p], "start": start, "size": size, "drop": list(drop)}
        _run(job, source_fd, target.fileno())
    except BaseException:
        target.close()
        raise
    return target


def _run(job: dict[str, object], source: int, target: int) -> None:
    """Have the child do the job on two open files.

    Raises:
        Refused: the child refused the file, with the child's text; or the child crashed or was stopped.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HDF5_")}
    # No plugins: a file may name a filter, for which the library would load code from a folder.
    environment |= {"HDF5_PLUGIN_PRELOAD": "::", "HDF5_PLUGIN_PATH": "", "OPENBLAS_NUM_THREADS": "1"}
    size = job["size"]
    assert isinstance(size, int)
    patience = CHILD_PATIENCE * (CHILD_SECONDS + (size + MAX_INFLATED_FLOOR) / CHILD_BYTES_PER_SECOND)
    try:
        done = subprocess.run(
            # -I keeps the current folder and the user's packages off the path, until the job sets the parent's path.
            [sys.executable, "-I", "-c", _PROGRAM, json.dumps(job)],
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(_ENDLESS) from None
    if done.returncode:
        raise _verdict(done.returncode, done.stderr.partition(_MARK)[2])


def _verdict(status: int, output: bytes) -> Refused:
    if status in _REFUSALS:
        return _REFUSALS[status](output.decode("utf-8", "replace"))
    if -status in _SLOW:
        return Refused(_ENDLESS)
    if -status == getattr(signal, "SIGKILL", None):
        return Refused("the HDF5 library was stopped while it read it (out of memory?)")
    if status < 0:
        return Refused(f"damaged: the HDF5 library crashed on it (signal {-status})")
    return Refused(f"the HDF5 library could not be run on it (exit status {status}); is h5py installed?")


def run_child(job: dict[str, object]) -> None:
    """Make the copy that `job` describes, print what is wrong if anything is, and end the process.

    Args:
        job: `start` and `size` of the file in standard input, and names to `drop`. The copy goes to standard output.
    """
    from wtool.hdf5.sandbox_child import copy_plain, warm_up
    from wtool.hdf5.window import Window

    warm_up()
    size = job["size"]
    assert isinstance(size, int)
    words = _own_words()
    _confine(words)
    source, target = Window(0, job["start"], size), Window(1)  # type: ignore[arg-type]
    kind: type[Refused] = Refused
    try:
        copy_plain(source, target, frozenset(job["drop"]), _allow)  # type: ignore[call-overload]
        message = ""
    except Refused as error:
        kind, message = type(error), error.message
    except MemoryError:
        message = f"the HDF5 library needs more than {CHILD_MEMORY // MIB} MiB to read it"
    except Exception as error:
        said = " ".join(str(error).split())
        message = f"damaged: the HDF5 library cannot read it ({said[:200]})"
    if target.error:
        message = f"a temporary file could not be written: {os.strerror(target.error)}"
    elif source.error:
        message = f"it could not be read: {os.strerror(source.error)}"
    os.write(words, _MARK + message.encode("utf-8", "replace"))
    status = next(status for status, refusal in _REFUSALS.items() if refusal is kind)
    os._exit(status if message else 0)  # the library may crash or hang when it closes a damaged file


def _own_words() -> int:
    """Returns a descriptor of standard error for this module alone: what libraries say there from now on is lost."""
    words, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    if sys.platform == "win32":  # which would change the ends of lines
        import msvcrt

        for number in (0, 1):
            msvcrt.setmode(number, os.O_BINARY)
    return words


def _confine(highest: int) -> None:
    """Limit this process: no core dumps, no descriptors above `highest`, and little memory and time."""
    try:
        import resource
    except ImportError:
        return
    _limit(resource.RLIMIT_CORE, 0)
    _give_time(CHILD_SECONDS)
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, mapped + CHILD_MEMORY)
    while (last := os.dup(2)) < highest:
        continue  # a new descriptor takes the lowest free number: after this, none below the limit is free
    _limit(resource.RLIMIT_NOFILE, last + 1)


def _give_time(seconds: float) -> None:
    """Have the system end this process (SIGPROF) after so much processor time from now on."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _allow(nbytes: int, size: int) -> None:
    """Give the process time for the next step, and disk for `nbytes` of arrays from a file of `size` bytes."""
    _give_time(CHILD_SECONDS + (nbytes + size) / CHILD_BYTES_PER_SECOND)
    try:
        import resource
    except ImportError:
        return
    if nbytes or size:
        _limit(resource.RLIMIT_FSIZE, nbytes + 4 * size + 64 * MIB)


def _limit(kind: int, most: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
