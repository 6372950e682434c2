"""What wtool says when it cannot go on: one line, for the person who reads it."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from wtool.argument_names import for_reader


def one_line(text: str) -> str:
    """Text from files or file names as people and terminals may have it: control characters and such are escaped."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", errors="surrogatepass").decode() for each in text
    )


def a_few(names: Sequence[str]) -> str:
    """The first three names, and how many more there are; names from strangers may have any length."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(name if len(name) <= LONG else f'{name[:LONG]}...' for name in names[:3])}{more}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Returns a number with its noun: `1 layer`, `2,000 layers`, `2 passes`.

    Args:
        number: how many there are.
        one: the noun for one of them.
        many: the noun for others, where that is more than an `s` behind.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


LONG = 300
_COLOURS = r"\x1b\[[0-9;]*m"
_FRAMING = r"Exception encountered when calling|Graph execution error|Detected at node|<stack traces|\s|$"
"""How lines begin in which Keras and TensorFlow say where something is wrong, and not what."""


_ARRAY = r"(?<!\[)\[\[[\[\]0-9\s.,+\-einfaTrusFl]*\n[\[\]0-9\s.,+\-einfaTrusFl]*\]"
"""An array of two or more axes, as NumPy prints its values over several lines."""
MUCH = 20_000
"""How much of an error's text is looked at."""


def in_short(error: BaseException) -> str:
    """An error in a line: of the many of Keras's, the first that says what is wrong, or the error behind it."""
    text = re.sub(_COLOURS, "", str(error).strip()[:MUCH]).rpartition("Exception encountered: ")[2]
    text = re.sub(_ARRAY, "[...]", text)  # else the first line is values alone, and the reason stands behind the last
    lines = text.splitlines() or ["no more is said"]
    telling = [line for line in lines if not re.match(_FRAMING, line)] or lines
    told = " ".join(telling[:2] if telling[0].endswith(":") else telling[:1])
    return f"{type(error).__name__}: {told if len(told) <= LONG else f'{told[: LONG - 3]}...'}"


class WtoolError(Exception):
    """Something asked for failed; the text says what is wrong and what to do.

    Args:
        message: one line, without the file's name.
        file: the file it is about; whoever knows it fills it in (see `about`).
    """

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self._message = one_line(message)
        self.file = file

    @property
    def message(self) -> str:
        """What is wrong and what to do, without the name of the file."""
        return for_reader(self._message)

    def about(self, file: str) -> WtoolError:
        """The same error, naming `file` unless a file is already named."""
        self.file = self.file or file
        return self

    def __str__(self) -> str:
        return f"{one_line(self.file)}: {self.message}" if self.file else self.message


SEVERITIES = ("note", "odd", "damaged", "differs", "reaches", "runs")
"""How much a finding about a file matters, least first.

`note`: worth knowing. `odd`: parts contradict each other or belong to nothing. `damaged`: not whole, or no model.
`differs`: two readers would see different models. `reaches`: points out of the file. `runs`: code.
"""


class Note(str):
    """A line about a file that is read all the same, with its severity."""

    severity: str

    def __new__(cls, text: str, severity: str = "odd") -> Note:
        note = super().__new__(cls, text)
        note.severity = severity
        return note

    def __reduce__(self) -> tuple[type[Note], tuple[str, str]]:
        return Note, (str(self), self.severity)


class Refused(WtoolError):
    """A file that is damaged, hostile, or not a Keras model."""

    severity = "damaged"

    def within(self, where: str) -> Refused:
        """An error of the same severity that says where in the file it is."""
        return type(self)(f"{where}: {self.message}", self.file)


class Differs(Refused):
    """A file in which two readers (wtool, a version of Keras, another zipfile) would see different models."""

    severity = "differs"


class Reaches(Refused):
    """A file that points out of itself: links, external storage, shards elsewhere."""

    severity = "reaches"


class OldKeras(UserWarning):
    """The installed Keras has known holes for hostile files."""


class ClusterWarning(UserWarning):
    """What is worth knowing of a cluster while its workers are at work."""


class Missing(WtoolError):
    """Nothing is there under the name of a file."""


class Usage(WtoolError):
    """Words that do not go together (exit status 2)."""


_EXTRAS = {
    "keras": ("Keras", "train"),
    "matplotlib": ("matplotlib", "plot"),
    "pyarrow": ("pyarrow", "index"),
    "scipy": ("SciPy", "align"),
    "tensorflow": ("Keras", "train"),
}
"""Package -> what it is called, and the extra of wtool that installs it."""


def explained(error: Exception) -> WtoolError:
    """Any error as one of wtool's own, with what to do about it."""
    if isinstance(error, WtoolError):
        return error
    if isinstance(error, OSError):
        hint = "; make room and run it again" if error.errno == errno.ENOSPC else ""
        file = error.filename if isinstance(error.filename, str) else ""
        new = WtoolError(f"{error.strerror or error}{hint}", file)
    elif isinstance(error, MemoryError):
        new = WtoolError("out of memory")
    elif isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _EXTRAS:
        what, extra = _EXTRAS[str(error.name).partition(".")[0]]
        new = WtoolError(f"needs {what}: pip install 'wtool[{extra}]'")
    elif isinstance(error, ModuleNotFoundError) and error.name in ("jax", "torch"):
        new = WtoolError(f"needs {error.name}, which KERAS_BACKEND or keras.json asks for, and which is not installed")
    else:
        what = f"{type(error).__name__}: {error}"
        new = WtoolError(f"this is a bug ({what}); please report it with what `wtool --debug ...` says")
    new.__cause__ = error
    return new
