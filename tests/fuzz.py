"""Hostile files of every kind in `tests/fuzzing/`, each held against second readers.

    python -m tests.fuzz CASES [SEED]       writes docs/fuzz.md; cases that fail are kept under build/fuzz/

Case n of a kind and a seed is always the same file.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wtool
from tests.fuzzing import arrays, configurations, headers, jsons, mutations, packed, polyglots, zips
from tests.fuzzing.summary import Summary

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "fuzz.md"
BEGIN, END = "<!-- made by make fuzz: begin -->", "<!-- made by make fuzz: end -->"
STEP = 100

KINDS: dict[str, tuple[Callable[[int, range], Summary], Callable[[int, int], Any], float]] = {
    "mutations": (mutations.run, mutations.case, 0.15),
    "configurations": (configurations.run, configurations.case, 0.1),
    "zips": (zips.run, zips.case, 0.26),
    "jsons": (jsons.run, jsons.case, 0.3),
    "headers": (headers.run, headers.case, 0.05),
    "polyglots": (polyglots.run, polyglots.case, 0.06),
    "arrays": (arrays.run, arrays.case, 0.04),
    "packed": (packed.run, packed.case, 0.04),
}
"""What goes through cases of a kind, what makes one, and its share of all cases."""

Job = tuple[str, int, range]


def _part(job: Job) -> tuple[str, int, Summary]:
    kind, seed, numbers = job
    return kind, len(numbers), KINDS[kind][0](seed, numbers)


def jobs(count: int, seed: int) -> list[Job]:
    """The cases of all kinds, in portions."""
    shares = {kind: round(count * share) for kind, (_, _, share) in KINDS.items()}
    return [
        (kind, seed, range(start, min(start + STEP, share)))
        for kind, share in shares.items()
        for start in range(0, share, STEP)
    ]


def main() -> int:
    """Go through the cases, keep those that fail, and write the page."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    totals = {kind: Summary() for kind in KINDS}
    done = dict.fromkeys(KINDS, 0)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for kind, cases, part in pool.imap_unordered(_part, jobs(count, seed)):
            totals[kind].add(part)
            done[kind] += cases
            for failure in part.failures:
                print(failure)
            print(f"\r{sum(done.values()):,} of {count:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    for kind, total in totals.items():
        keep(kind, total.failures)
    publish(seed, done, totals)
    return 1 if any(total.failures for total in totals.values()) else 0


def keep(kind: str, failures: list[str]) -> None:
    """Write the files that failed."""
    folder = ROOT / "build" / "fuzz"
    for text in failures:
        seed, number = (int(word) for word in text.replace(":", "").replace(",", "").split()[2:5:2])
        folder.mkdir(parents=True, exist_ok=True)
        made = KINDS[kind][1](seed, number)
        (folder / f"{kind}-{seed}-{number}").write_bytes(made if isinstance(made, bytes) else made[1])


def publish(seed: int, done: dict[str, int], totals: dict[str, Summary]) -> None:
    """Write the table of the page."""
    rows = [["", "cases", "refused", "opened", "second readings", "failed", "slowest"], ["---", *["---:"] * 6]]
    whole = Summary()
    for kind, total in totals.items():
        rows.append(_row(kind, done[kind], total))
        whole.add(total)
    rows.append(_row("all", sum(done.values()), whole))
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    children = whole.counts["through the HDF5 library's child"]
    told = f"Seed {seed}, wtool {wtool.__version__}; {children:,} mutations went through the HDF5 library's child. "
    told += f"zipfile of Python {', '.join(zips.pythons())}"
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{told}.\n\n{END}{rest.partition(END)[2]}")


def _row(kind: str, cases: int, total: Summary) -> list[str]:
    opened = sum(number for name, number in total.counts.items() if name.startswith("accepted"))
    numbers = (cases, total.counts["refused"], opened, total.counts["second readings"], total.counts["failed"])
    return [kind, *(f"{number:,}" for number in numbers), f"{total.slowest:.1f} s"]


if __name__ == "__main__":
    sys.exit(main())
