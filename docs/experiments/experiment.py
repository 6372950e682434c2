"""What all experiments have: arguments, tables in Markdown or LaTeX, means with errors, and what a run was made with.

    python docs/experiments/NAME.py FOLDER [--quick] [--latex] [--seeds 10 ...]

An experiment is a module with a frozen dataclass of settings, with numbers such as `seeds` and `epochs` in it; a
function that yields tables, whose rows are printed as they come; and, at its end,

    if __name__ == "__main__":
        run(tables, Settings(), quick=Settings(seeds=1, epochs=1))

Each setting is an option as well, so that a reader can raise it. `--quick` takes tiny settings, to see that all works.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = {"keras": "Keras", "tensorflow": "TensorFlow", "numpy": "NumPy", "scikit-learn": "scikit-learn"}
SPECIAL = {character: f"\\{character}" for character in "%&#$_{}"} | {
    "±": r"$\pm$",
    "×": r"$\times$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
"""Characters that LaTeX takes as commands or does not have -> how a text has them."""


@dataclass(frozen=True)
class Table:
    """A table; words between backticks are code.

    Args:
        columns: names of the columns.
        rows: the cells of each row; may be a generator, whose rows are printed as they come.
        words: the number of columns, from the left, that hold words; the others hold numbers and are flush right.
        title: printed before a table where an experiment has several.
    """

    columns: Sequence[str]
    rows: Iterable[Sequence[str]]
    words: int = 1
    title: str = ""


def run(tables: Callable[[Path, Any], Iterable[Table]], settings: Any, quick: Any) -> None:
    """Reads the arguments, prints the tables, and then what they were measured with.

    Args:
        tables: called with the folder for files, which is made, and the settings.
        settings: a frozen dataclass; each field is an option.
        quick: the same dataclass, with the values of `--quick`.
    """
    os.environ.setdefault(
        "TF_NUM_INTRAOP_THREADS", "1"
    )  # times of one core; TensorFlow reads it at the first operation
    folder, settings, latex = arguments(sys.argv[1:], settings, quick, inspect.getdoc(inspect.getmodule(tables)) or "")
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables(folder, settings):
        for line in in_latex(table) if latex else in_markdown(table):
            print(line, flush=True)
        print()
    print(f"{'% ' if latex else ''}{measured_with(settings, sum(os.times()[:4]))}")


def arguments(words: Sequence[str], settings: Any, quick: Any, documented: str = "") -> tuple[Path, Any, bool]:
    """Returns the folder, the settings, and whether tables are to be LaTeX."""
    parser = argparse.ArgumentParser(
        description=documented, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where models and data go")
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that all works")
    parser.add_argument("--latex", action="store_true", help="tables as LaTeX (booktabs), not as Markdown")
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        several = {"nargs": "+"} if isinstance(value, tuple) else {}
        kind = type(value[0] if several else value)
        told = f"{' '.join(map(str, value)) if several else value}, here by default"
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, help=told, **several)
    given = vars(parser.parse_args(words))
    folder, is_quick, latex = (given.pop(name) for name in ("folder", "quick", "latex"))
    changed = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    changed = {name: value for name, value in changed.items() if value is not None}
    return folder, dataclasses.replace(quick if is_quick else settings, **changed), latex


def in_markdown(table: Table) -> Iterator[str]:
    """The lines of a table in Markdown."""
    if table.title:
        yield from (f"**{table.title}**", "")
    yield f"| {' | '.join(table.columns)} |"
    yield f"| {' | '.join('---' if at < table.words else '---:' for at in range(len(table.columns)))} |"
    for row in table.rows:
        yield f"| {' | '.join(row)} |"


def in_latex(table: Table) -> Iterator[str]:
    r"""The lines of a table in LaTeX, which needs \usepackage{booktabs}."""
    if table.title:
        yield f"% {table.title}"
    numbers = len(table.columns) - table.words
    yield f"\\begin{{tabular}}{{{'l' * table.words}{'r' * numbers}}}\n\\toprule"
    yield f"{' & '.join(map(latex_of, table.columns))} \\\\\n\\midrule"
    for row in table.rows:
        yield f"{' & '.join(map(latex_of, row))} \\\\"
    yield "\\bottomrule\n\\end{tabular}"


def latex_of(cell: str) -> str:
    """A cell of Markdown as LaTeX: `code` in typewriter letters, special characters by their commands."""
    escaped = "".join(SPECIAL.get(character, character) for character in cell)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escaped)


def with_error(values: Iterable[float], places: int = 1, percent: bool = True) -> str:
    """The mean of numbers and its standard error, as in `97.4% ± 0.2%`; of one number, that number.

    Args:
        values: one number for each run; shares where `percent`.
        places: decimal places.
    """
    numbers = list(map(float, values))
    error = statistics.stdev(numbers) / len(numbers) ** 0.5 if len(numbers) > 1 else None
    return told(statistics.fmean(numbers), error, places, percent)


def told(mean: float, error: float | None, places: int = 1, percent: bool = True) -> str:
    """A mean and its standard error, where that is known, as `with_error` writes them."""
    form = f".{places}{'%' if percent else 'f'}"
    return " ± ".join(format(each, form) for each in (mean, error) if each is not None)


def once(path: Path | str, make: Callable[[Any], object]) -> None:
    """Calls `make` with a path unless a file is there: what an earlier run of the experiment made is taken again."""
    if not os.path.exists(path):
        print(path, file=sys.stderr)
        make(path)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Returns numbers, or lists and dictionaries of these, from a file of JSON, which is made unless it is there."""
    once(path, lambda path: path.write_text(json.dumps(make())))
    return json.loads(path.read_text())


def measured_with(settings: Any, seconds: float) -> str:
    """A sentence with versions, settings, and the processor time of this run."""
    packages = ", ".join(f"{name} {version(package)}" for package, name in PACKAGES.items())
    values = {name.replace("_", " "): value for name, value in dataclasses.asdict(settings).items()}
    several = {name: ", ".join(map(str, value)) for name, value in values.items() if isinstance(value, tuple)}
    chosen = "; ".join(f"{name}: {value}" for name, value in {**values, **several}.items())
    python = sys.version.partition(" ")[0]
    used = f"Measured with Python {python}, {packages}, wtool {version('wtool')}."
    return f"{used} {chosen}. {seconds:.0f} s of processor time."
