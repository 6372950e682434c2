"""Pages that show models and trainings in a browser.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.inputs import expanded
from wtool.errors import Usage, explained
from wtool.io.addresses import text_of, without_query
from wtool.io.drafts import new_draft
from wtool.io.places import Target, check_target
from wtool.ops.functions import First, function_of
from wtool.ops.training_logs import is_log
from wtool.reporting.options import Report, Reported
from wtool.reporting.page import page_of
from wtool.training.lottery.curves import is_run
from wtool.version import __version__
from wtool.words import Models, Progress

if TYPE_CHECKING:
    from wtool.ops.signatures import report as report

SUFFIXES = (".html", ".htm")
"""Endings of the names of pages."""

MOST_IN_FULL = 12
"""Models that a page shows one by one. Of more, it has a table alone."""

SHOWN = First(
    "models",
    Models,
    "files, folders (searched for models), patterns or `-`; folders of experiments, and logs (.csv, .jsonl).",
    "a file is missing, damaged or hostile, or the output cannot be written",
)


def _report(shown: Models, given: Mapping[str, Any]) -> Reported:
    options = Report(**given)
    words = [text_of(shown)] if isinstance(shown, (str, os.PathLike)) else [text_of(each) for each in shown]
    output = text_of(options.output)
    target = Target.at(output, options.force)
    if not target.is_stream and not output.lower().endswith(SUFFIXES):
        raise Usage(f"a page is an HTML file: the output's name has to end in {SUFFIXES[0]}", output)
    check_target(target)
    if not words:
        raise Usage("no models, experiments or logs")
    runs = [word for word in words if is_run(word)]
    logs = [word for word in words if is_log(word)]
    models = [path for _, path in expanded([word for word in words if word not in (*runs, *logs)])]
    before = None if options.against is None else text_of(options.against)
    _refuse_against(before, models)
    trainings = _of_trainings(runs, logs)
    parts, failed = _of_models(models, before, options.progress) if models else ([], {})
    page = page_of({"wtool": __version__, "parts": [*parts, *trainings]}).encode()
    with new_draft(target) as draft:
        draft.file.write(page)
        draft.publish()
    names = tuple(map(without_query, models))
    return Reported(output, names, tuple(map(without_query, (*runs, *logs))), failed, len(page))


globals()["report"] = function_of(Report, "report", (Report,), Reported, _report, SHOWN)


def _refuse_against(before: str | None, models: Sequence[str]) -> None:
    if before is None:
        return
    if len(models) != 1:
        raise Usage(f"--against compares one model with an earlier one, and here are {len(models):,}")
    if "-" in (before, models[0]):
        raise Usage("--against reads both models more than once: files, not standard input")


def _of_trainings(runs: Sequence[str], logs: Sequence[str]) -> list[dict[str, Any]]:
    from wtool.reporting.training_data import logs_data, run_data

    return [*(run_data(folder) for folder in runs), *([logs_data(logs)] if logs else [])]


def _of_models(
    paths: Sequence[str], before: str | None, progress: Progress | None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Returns the parts of the page that show models, and the reason for each model that cannot be read."""
    from wtool.reporting.model_data import Bounds, difference_data, model_data
    from wtool.reporting.zoo_data import row_of

    if len(paths) == 1:
        part = model_data(paths[0], Bounds.of(1), progress)
        if before is not None:
            part["difference"] = difference_data(before, paths[0], progress)
        return [part], {}
    bounds = Bounds.of(len(paths)) if len(paths) <= MOST_IN_FULL else Bounds(0, 0)
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for path in paths:
        try:
            part = model_data(path, bounds, progress)
        except Exception as error:
            name = without_query(path)
            failed[name] = explained(error).message
            rows.append({"path": name, "error": failed[name]})
            continue
        rows.append(row_of(part))
        if len(paths) <= MOST_IN_FULL:
            parts.append(part)
            rows[-1]["part"] = len(parts)
    return [{"kind": "models", "models": rows}, *parts], failed
