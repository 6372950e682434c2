"""What a part of the benchmark found: tables and targets, as Markdown, and their places in docs/bench.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from contenders import HERE, Run

DOCS = HERE.parents[1] / "docs" / "bench.md"
PACKAGES = ("wtool", "numpy", "h5py", "click", "keras", "tensorflow")


@dataclass(frozen=True)
class Target:
    """A figure that has a limit; None where it could not be measured."""

    what: str
    measured: float | None
    limit: str
    met: bool
    unit: str = "x"

    def row(self) -> list[str]:
        if self.measured is None:
            return [self.what, "not measured", self.limit, "skipped"]
        return [self.what, f"{self.measured:.2f}{self.unit}", self.limit, "pass" if self.met else "**fail**"]


def at_most(what: str, value: float | None, limit: float, unit: str = "x") -> Target:
    return Target(what, value, f"at most {limit:g}{unit}", value is None or value <= limit, unit)


def at_least(what: str, value: float | None, limit: float, unit: str = "x") -> Target:
    return Target(what, value, f"at least {limit:g}{unit}", value is None or value >= limit, unit)


@dataclass(frozen=True)
class Report:
    """Tables in Markdown, and the figures that have a limit."""

    tables: Sequence[str]
    targets: Sequence[Target]

    def text(self) -> str:
        judged = [table(["target", "measured", "limit", ""], [each.row() for each in self.targets])]
        return "\n\n".join([machine(), *self.tables, *(judged if self.targets else [])])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and behind it the least and the most: `0.52 (0.50 to 0.61)`."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def seconds(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)


def run_table(what: str, runs: dict[str, list[Run]], first: str = "to the first") -> str:
    """A line for each contender, and how many times as long as the first it takes."""
    base = seconds(next(iter(runs.values())))
    rows = [
        [
            name,
            spread([run.seconds for run in each]),
            f"{seconds(each) / base:.2f}x",
            spread([run.processor for run in each]),
            f"{max(run.peak_mb for run in each):.0f}",
            str(len(each)),
        ]
        for name, each in runs.items()
    ]
    return table([what, "seconds", first, "processor, s", "peak MB", "runs"], rows)


def machine() -> str:
    """When and where this was measured, and with what."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    if python := os.environ.get("MERGEKIT_PYTHON"):
        program = (
            "from importlib.metadata import version as v; print('mergekit', v('mergekit') + ', torch', v('torch'))"
        )
        versions.append(subprocess.run([python, "-c", program], text=True, capture_output=True).stdout.strip())
    return (
        f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores{f' ({found[1]})' if found else ''}, "
        f"{platform.system()}, Python {platform.python_version()}; {', '.join(versions)}."
    )


def publish(name: str, report: Report, page: Path = DOCS) -> None:
    """Put a part's report between its two marks in a page.

    Raises:
        SystemExit: the page has no place for this part.
    """
    begin, end = (f"<!-- make bench, {name}: {which} -->" for which in ("begin", "end"))
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise SystemExit(f"{page} has no {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{report.text()}\n\n{end}{after}")
