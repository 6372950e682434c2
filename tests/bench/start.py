"""Start-up: help, a look at a small model, and a pipe of three commands."""

from __future__ import annotations

import shlex
from statistics import median

import contenders
from contenders import Contender
from report import Report, at_most, run_table, seconds
from turns import Turns


def report(turns: Turns) -> Report:
    small, model = turns.models("small", 1)[0], turns.models("zoo", 1)[0]
    wtool = shlex.join(turns.command)
    pipe = f"{wtool} prune -q {shlex.quote(str(model))} --sparsity .5 -o - | {wtool} stroke -q - -o - | "
    pipe += f"{wtool} inspect - > /dev/null"
    taking_part = [
        contenders.imports("numpy"),
        Contender("wtool inspect of a small model", [*turns.command, "inspect", str(small)]),
        Contender("a pipe of three, 1.3 MB", ["sh", "-c", pipe]),
        contenders.imports("click"),
        contenders.wtool_help(turns.command),
    ]
    runs = turns.in_turns(taking_part)
    numpy, inspect, _, click, help_ = (seconds(runs[each.name]) for each in taking_part)
    processor = median(run.processor for run in runs[taking_part[2].name])
    return Report(
        [run_table("start", runs, "to the first")],
        [
            at_most("`wtool inspect` of a small model to `import numpy`", inspect / numpy, 1.3),
            at_most("processor time of a pipe of three, 1.3 MB", processor, 0.5, " s"),
            at_most("`wtool --help` to `import click`", help_ / click, 2),
        ],
    )
