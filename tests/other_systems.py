"""Takes from Python what Windows does not have, before wtool is imported: a plugin of pytest.

    python -m pytest -p tests.other_systems tests/io tests/run

Names of a system, its locks, users, limits, nameless files, reads by position and open folders are gone then; what is
left of them in wtool fails. It does not tell what Windows does otherwise, such as keeping names of open files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess  # notes what the system has when it is imported, as multiprocessing does
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest

CALLS = (
    *("copy_file_range", "fchmod", "fchown", "fdatasync", "fork", "forkpty", "getegid", "geteuid", "getgid", "getuid"),
    *("getxattr", "killpg", "listxattr", "lockf", "memfd_create", "mkfifo", "mknod", "posix_fadvise"),
    *("posix_fallocate", "pread", "preadv", "pwrite", "pwritev", "readv", "sched_getaffinity", "sendfile", "setsid"),
    *("setxattr", "statvfs", "sync", "writev"),
)
FLAGS = ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_TMPFILE", "POSIX_FADV_DONTNEED")
SIGNALS = ["SIGALRM", "SIGHUP", "SIGPIPE", "SIGPROF", "SIGUSR1", "SIGXCPU", "alarm", "pthread_sigmask", "setitimer"]
MODULES = ["fcntl", "grp", "pwd", "resource", "termios"]
INSIDE = (os.open, os.stat, os.mkdir, os.unlink, os.link, os.rename, os.replace, os.rmdir, os.access, os.utime)

_NEEDED_BY_PYTHON = {"fork", "getuid", "getgid", "geteuid", "getegid", "killpg", "listxattr", "mkfifo"}
_NEEDED_BY_PYTHON |= {"sendfile", "setsid"}
"""Calls that Python's own modules, or tests, make on this system; the source of wtool is searched for them."""


def without_folders(call: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a call of the system that takes no open folder."""

    @wraps(call)
    def limited(*words: Any, **more: Any) -> Any:
        folders = [name for name in ("dir_fd", "src_dir_fd", "dst_dir_fd") if more.pop(name, None) is not None]
        if folders:
            raise NotImplementedError(f"{folders[0]} unavailable on this platform")
        return call(*words, **more)

    return limited


def take_away() -> None:
    """Take what only some systems have from the modules of Python."""
    space = os.statvfs
    shutil.disk_usage = lambda path: SimpleNamespace(free=space(path).f_bavail * space(path).f_frsize)  # type: ignore
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    tempfile._O_TMPFILE_WORKS = False  # type: ignore[attr-defined]
    os.supports_dir_fd.clear()
    os.supports_fd.discard(os.listdir)
    for call in INSIDE:
        setattr(os, call.__name__, without_folders(call))
    for name in (*CALLS, *FLAGS):
        if name not in _NEEDED_BY_PYTHON and hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS:
        with contextlib.suppress(AttributeError):
            delattr(signal, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]


ABOUT_THESE = (
    "a_killed_process",
    "abandoned",
    "without_locks",
    "swept_away",
    "somebody_else",
    "as_cp_leaves_it",
    "a_group_that_cannot_be_kept",
    "appears_meanwhile_is_not_followed",
    "force_alone[True]",
    "in_the_last_moment",
    "on_the_disk_before_it_has_its_name",
    "nobody_else_has_the_lock",
    "other_oddities",
)
"""Parts of the names of tests about what is gone: locks, users, named pipes, synced folders, swaps of folders."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests out that are about what was taken away."""
    items[:] = [each for each in items if not any(part in each.name for part in ABOUT_THESE)]


def pytest_addoption() -> None:
    """Called when pytest gets this plugin, before any test or conftest is imported."""
    assert subprocess
    take_away()
