"""What the commands that only look at models have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wtool.cli.console import progress_bar, say
from wtool.errors import WtoolError, one_line

if TYPE_CHECKING:
    from wtool.pipeline import Progress


def each_model(words: Sequence[str], label: str, quiet: bool, look: Callable[[str, Progress | None], int]) -> int:
    """Call `look` with each model that the words mean; what cannot be read is a line, and the others go on.

    Returns:
        the exit status: the highest that `look` gave, or 1 if something could not be read.
    """
    from wtool.files.inputs import models_of, refuse_two_streams

    refuse_two_streams(words)
    status = 0
    for word in words:
        try:
            for path in models_of(word):
                status = max(status, _looked_at(path, label, quiet, look))
        except WtoolError as error:
            say(str(error))
            status = 1
    return status


def _looked_at(path: str, label: str, quiet: bool, look: Callable[[str, Progress | None], int]) -> int:
    try:
        with progress_bar(f"{label} {one_line(path)}", quiet) as progress:
            return look(path, progress)
    except WtoolError as error:
        say(str(error))
        return 1
