"""What the commands that only look at models have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wtool.cli.console import is_debugging, progress_bar, say, say_passed_by, status_of_error
from wtool.cli.json_lines import print_json
from wtool.errors import WtoolError, counted, explained, one_line
from wtool.io.addresses import without_query

if TYPE_CHECKING:
    from wtool.run.pipeline import Progress


def each_model(
    words: Sequence[str],
    label: str,
    told_as: str | None,
    quiet: bool,
    look: Callable[[str, Progress | None], int],
    shard: str | None = None,
) -> int:
    """Call `look` with each model that the words mean; what cannot be read is a line, and the others go on.

    Args:
        words: files, folders, patterns, or `-`.
        label: of the progress bar.
        told_as: the key that names a model in JSON objects; None where there are none.
        quiet: no progress.
        look: from a path to an exit status.
        shard: `I/N`, for the I-th of N parts of the models; None for all.

    Returns:
        the exit status: the highest that `look` gave or that an error has.
    """
    from wtool.checkpoint.inputs import inside, models_of, refuse_two_streams
    from wtool.checkpoint.zoo_part import ZooPart

    part = ZooPart.of(shard)
    refuse_two_streams(words)
    status, looked, failed = 0, 0, 0
    for word in words:
        try:
            for path in models_of(word):
                if not part.holds(inside(word, path)):
                    continue
                own = looked_at(path, label, told_as, quiet, look)
                status, looked, failed = max(status, own), looked + 1, failed + (own > 0)
        except WtoolError as error:
            say(str(error))
            status = max(status, status_of_error(error))
    if not quiet and told_as is None:
        if failed and looked > 1:
            say(f"{looked - failed:,} of {counted(looked, 'model')} read; {failed:,} failed")
        say_passed_by(words)
    return status


def looked_at(
    path: str, label: str, told_as: str | None, quiet: bool, look: Callable[[str, Progress | None], int]
) -> int:
    """Call `look` with a path; gives its exit status, or that of an error, which becomes a line."""
    name = without_query(path)
    try:
        with progress_bar(f"{label} {one_line(name)}", quiet) as progress:
            return look(path, progress)
    except Exception as error:
        if is_debugging():
            raise
        told = explained(error).about(name)
        if told_as is not None:
            print_json({told_as: name, "error": told.message})
        say(str(told))
        return status_of_error(told)
