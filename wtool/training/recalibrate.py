"""Moving statistics of saved models that become those of data: `wtool.recalibrate`. Imports no Keras by itself."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.run.batch import check_words, do_all, tasks_of
from wtool.run.options import Common
from wtool.training.data.words import check_data
from wtool.training.known_names import check_names
from wtool.training.quiet import silent_import
from wtool.training.recalibrate_options import Recalibrate, Recalibrated
from wtool.training.recalibration.planning import OPERATION, Recalibrating


def recalibrate(words: Sequence[str], options: Recalibrate) -> list[Recalibrated]:
    """Sets the statistics of one or many models to those of data: `wtool.recalibrate`.

    Args:
        words: files, folders (searched for models), patterns, or `-` for standard input.
        options: see `training.recalibrate_options.Recalibrate`.

    Raises:
        SomeFailed: after all others were done, or at once with `fail_fast`; of a single model, the error itself.
        WtoolError: data is missing.
        Usage: words that do not go together; nothing was done then.
    """
    shared = Common(
        output=options.output,
        in_place=options.in_place,
        dry_run=options.dry_run,
        force=options.force,
        fail_fast=options.fail_fast,
        progress=options.progress,
        report=options.report,
        collect=options.collect,
    )
    check_words(words, shared)
    tasks = tasks_of(recalibrating(options), words, OPERATION, shared)
    if options.imports:
        with silent_import():
            from wtool.training.loading.load import import_all
        import_all(options.imports)
    return do_all(tasks, shared)


def recalibrating(options: Recalibrate) -> Recalibrating:
    """Returns what plans a recalibration.

    Raises:
        WtoolError: data is missing.
        Usage: options that do not go together.
    """
    check_data(options.data, labelled=False)
    check_names(options)
    return Recalibrating(options.data, options.how, options.unsafe)
