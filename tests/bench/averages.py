"""`wtool average` against the least that is possible, a script with Keras, and mergekit; and its memory."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import contenders
from contenders import Contender
from floor import floor_of, floor_table, start_of_numpy
from report import Report, Target, at_least, at_most, run_table, seconds, table
from turns import Turns, say

MEMORY_ROUNDS = 3


def mergekit(turns: Turns, method: str, lines: Sequence[str], inputs: Sequence[Path]) -> Contender | None:
    """mergekit on the same tensors as safetensors, or None where it is not installed."""
    here = sys.executable if importlib.util.find_spec("mergekit") is not None else None
    python = os.environ.get("MERGEKIT_PYTHON") or here
    if python is None:
        say("mergekit is not installed (make mergekit)")
        return None
    folder = turns.folder / "safetensors"
    folder.mkdir(exist_ok=True)
    turns.helper("safetensors", str(folder), *map(str, inputs))
    config = turns.out / f"mergekit-{method}.yml"
    config.write_text("\n".join(lines) + "\n")
    return contenders.mergekit(python, config, turns.out / f"mergekit-{method}", method)


def safetensors(turns: Turns, model: Path) -> Path:
    return turns.folder / "safetensors" / f"{model.stem}.safetensors"


def report(turns: Turns) -> Report:
    inputs, wide = turns.models("resnet50", 10), turns.models("wide", 10)
    start = start_of_numpy(turns)
    floors = [
        floor_of(turns, "average of ten ResNet50", "average", inputs, start),
        floor_of(turns, "average of ten of 403 MB", "average", wide, start),
    ]
    mine, theirs = turns.out / "wtool.keras", turns.out / "keras.keras"
    lines = ["merge_method: linear", "models:"]
    for age, path in enumerate(reversed(inputs)):
        lines.append(f"  - model: {safetensors(turns, path)}")
        lines.append(f"    parameters: {{weight: {contenders.DECAY**age!r}}}")
    taking_part = [
        contenders.floor(inputs, turns.out / "floor.keras"),
        contenders.wtool(turns.command, inputs, mine),
        contenders.keras(inputs, theirs),
        *filter(None, [mergekit(turns, "linear", lines, inputs)]),
    ]
    rounds = turns.warm(taking_part)
    turns.helper("compare", str(mine), str(theirs))
    if len(taking_part) > 3:
        turns.helper("compare", str(mine), str(turns.out / "mergekit-linear"))
    say("the outputs agree")
    runs = turns.take(taking_part, rounds)
    large = turns.in_turns(
        [contenders.floor(wide, turns.out / "floor.keras"), contenders.wtool(turns.command, wide, mine)]
    )
    each, mean = {name: seconds(found) for name, found in runs.items()}, seconds(runs["wtool average"])
    other = each.get("mergekit linear")
    cold = turns.in_turns([contenders.cat(wide), from_disk(contenders.wtool(turns.command, wide, mine), wide)])
    of_cold = seconds(cold["wtool average"]) / seconds(cold["cat"])
    peaks, targets = memory(turns)
    tables = [
        floor_table(floors),
        run_table("ten checkpoints of ResNet50, 103 MB each", runs),
        run_table("ten checkpoints of 403 MB each", large),
        run_table("ten checkpoints of 403 MB each, not in the page cache", cold),
        peaks,
    ]
    return Report(
        tables,
        [
            at_most("`wtool average` of ten ResNet50 to its work", mean / floors[0].seconds, 1.25),
            at_most("the same, models four times as large", seconds(large["wtool average"]) / floors[1].seconds, 1.25),
            at_most("the same of files that are not in the page cache, to `cat`", of_cold, 1.15),
            at_least("Keras script to `wtool average`", each["Keras script"] / mean, 30),
            at_least("mergekit to `wtool average`", other and other / mean, 10),
            *targets,
        ],
    )


def from_disk(contender: Contender, inputs: Sequence[Path]) -> Contender:
    """The same contender, whose inputs are not in the page cache."""

    def before() -> None:
        contender.before()
        contenders.forget(inputs)

    return replace(contender, before=before)


def memory(turns: Turns) -> tuple[str, list[Target]]:
    """Peak memory, the highest of a few runs, for several numbers and sizes of checkpoints."""
    sets = {
        "2 checkpoints": turns.models("resnet50", 2),
        "10 checkpoints": turns.models("resnet50", 10),
        "20 checkpoints": turns.models("resnet50", 20),
        "10 checkpoints, four times as large": turns.models("wide", 10),
    }
    peaks = {}
    for name, inputs in sets.items():
        contender = contenders.wtool(turns.command, inputs, turns.out / "memory.keras")
        peaks[name] = max(turns.once(contender).peak_mb for _ in range(1 if turns.smoke else MEMORY_ROUNDS))
        say(f"{name}: {peaks[name]:.0f} MB")
    usual = peaks["10 checkpoints"]
    farthest = max(abs(peak / usual - 1) for peak in peaks.values())
    return table(["`wtool average`", "peak MB"], [[name, f"{peak:.0f}"] for name, peak in peaks.items()]), [
        at_most("peak memory, highest", max(peaks.values()), 150, " MB"),
        at_most("peak memory, farthest from that of 10", farthest, 0.1, ""),
    ]
