"""`wtool merge` by TIES and by slerp against the work that they are, and mergekit."""

from __future__ import annotations

from pathlib import Path

import contenders
from averages import mergekit, safetensors
from contenders import Run
from floor import floor_of, floor_table, start_of_numpy
from report import Report, at_least, at_most, run_table, seconds
from turns import Turns, say


def report(turns: Turns) -> Report:
    base, *models = turns.models("resnet50", 4)
    floor = floor_of(turns, "TIES of three ResNet50", "ties", [base, *models], start_of_numpy(turns))
    ties = merged(turns, "ties", base, models, "density: .3")
    slerp = merged(turns, "slerp", base, models[:1], "t: .5")
    mine = [runs[f"wtool merge --method {method}"] for method, runs in (("ties", ties), ("slerp", slerp))]
    tables = [
        floor_table([floor]),
        run_table("three of ResNet50 and their base, 103 MB each", ties),
        run_table("one of ResNet50 and its base", slerp),
    ]
    return Report(
        tables,
        [
            at_most("`wtool merge --method ties` to its work", seconds(mine[0]) / floor.seconds, 1.5),
            *(
                at_least(
                    f"mergekit to `wtool merge --method {method}`",
                    seconds(runs[f"mergekit {method}"]) / seconds(own) if f"mergekit {method}" in runs else None,
                    8,
                )
                for method, runs, own in zip(("ties", "slerp"), (ties, slerp), mine, strict=True)
            ),
            at_most("peak memory of `wtool merge`", max(run.peak_mb for runs in mine for run in runs), 200, " MB"),
        ],
    )


def merged(turns: Turns, method: str, base: Path, inputs: list[Path], number: str) -> dict[str, list[Run]]:
    """Runs of `cat` + `cp`, of wtool and of mergekit, merging models with the base that they come from."""
    mine = turns.out / f"{method}.keras"
    words = ["--method", method, "--base", str(base), f"--{number.split(':')[0]}", number.split()[1]]
    lines = [f"merge_method: {method}", f"base_model: {safetensors(turns, base)}", "models:"]
    for path in inputs:
        lines.append(f"  - model: {safetensors(turns, path)}")
        lines.append(f"    parameters: {{weight: 1.0, {number}}}" if method == "ties" else "")
    lines.append(f"parameters: {{{number}}}" if method == "slerp" else "")
    other = mergekit(turns, method, lines, [base, *inputs])
    taking_part = [
        contenders.floor([base, *inputs], turns.out / "floor.keras"),
        contenders.wtool_merge(turns.command, words, inputs, mine),
        *filter(None, [other]),
    ]
    rounds = turns.warm(taking_part)
    if other is not None:
        turns.helper("merged", str(mine), str(turns.out / f"mergekit-{method}"))
        say("the outputs agree")
    return turns.take(taking_part, rounds)
