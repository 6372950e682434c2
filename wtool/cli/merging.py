"""What `wtool average` and `wtool merge` have in common: one model is made out of several, and its result is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from wtool.cli.console import progress_bar, refuse_two_outputs
from wtool.cli.doctor import say_diagnosis
from wtool.cli.json_lines import print_json
from wtool.cli.tables import print_actions

if TYPE_CHECKING:
    from wtool.ops.average_options import Averaged
    from wtool.ops.merge_options import Merged

    Done = TypeVar("Done", Averaged, Merged)


def merged(
    operation: Callable[..., Done],
    models: Sequence[str],
    label: str,
    as_json: bool,
    quiet: bool,
    chosen: dict[str, Any],
) -> Done:
    """Make one model out of several, and print what standard output gets of it: JSON, or the plan of a dry run.

    Args:
        operation: `wtool.average` or `wtool.merge`.
        models: words of the user.
        label: of the progress bar.
        as_json: whether the result is printed as JSON.
        quiet: whether neither progress nor a report is wanted.
        chosen: name of each option -> its value.

    Returns:
        what was done.
    """
    refuse_two_outputs(as_json, chosen["output"])
    words = {**chosen, "recalibrate": chosen["recalibrate"] or None}
    diagnosed = None if as_json else partial(say_diagnosis, quiet)
    with progress_bar(label, quiet) as progress:
        done = operation(models, progress=progress, diagnosed=diagnosed, **words)
    is_plan = bool(chosen["dry_run"])
    if as_json:
        print_json(done)
    elif is_plan:
        print_actions(done.actions)
    if done.drifts and not as_json and (is_plan or not quiet):
        from wtool.cli.recalibrate import print_drifts

        print_drifts(done.drifts, is_error=not is_plan)
    return done
