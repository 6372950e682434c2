"""`wtool lottery`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import quiet_import, say
from wtool.cli.json_lines import print_json
from wtool.cli.tables import print_table
from wtool.errors import counted
from wtool.training.lottery.options import Lottery, LotteryOptions, Trained


@click.command("lottery")
@click.argument("model", metavar="MODEL", type=options.FILE)
@options.of(LotteryOptions)
@options.as_json
@options.quiet
def command(model: str, as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Do the lottery-ticket experiment: train a model, prune it, give it its initial weights, and train that.

    Ctrl-C ends it, with 130; the same command goes on, also after a kill.

    \b
        wtool lottery init.keras --data digits.npz --epochs 20 --out run/ --sparsity .9 --rounds 5 --seed 1
        wtool lottery init.keras --data digits.npz --epochs 20 --out run/ --arm rewind --arm randomize --trials 5
        wtool lottery init.keras --data digits.npz --epochs 20 --out run/ --reinit none --rewind-to 2
        wtool lottery init.keras --data digits.npz --epochs 20 --out run/ --arm rewind --arm 'randomize,masks=rewind'
    """
    from wtool.training.lottery.experiment import check_lottery, experiment

    chosen["validation_data"] = chosen["validation_data"] or None
    check_lottery(model, LotteryOptions(**chosen))
    with quiet_import():
        from wtool.training.lottery import steps as lottery_steps  # noqa: F401  imports Keras
    bar = sys.stderr.isatty() and not quiet
    with _bar(bar) as progress:
        report = None if bar or quiet else _tell
        done = experiment(model, LotteryOptions(progress=progress, report=report, **chosen))
    if as_json:
        print_json(done)
    else:
        _show(done)
    if not quiet:
        how = f"{'stopped' if done.signal else 'done'}; {counted(done.trained, 'training')} this time"
        say(f"{done.model}: {how}; seed {done.seed}; all is in {done.out}")
    return 0 if done.signal is None else 128 + done.signal


@contextmanager
def _bar(shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("epochs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _tell(done: Trained) -> None:
    last = done.last
    what = last.arm if last.round == 0 else f"{last.arm} round {last.round}"
    told = ", ".join(f"{name} {value:.4g}" for name, value in last.metrics.items())
    say(f"trial {last.trial}, {what}, {last.remaining:.2%} of the weights: {told} ({done.seconds:.1f} s)")


def _show(done: Lottery) -> None:
    """The last epoch of every round, mean and standard deviation over trials, and the epoch of the lowest loss."""
    rows = done.ends
    names = list(dict.fromkeys(name for each in rows for name in each.metrics))
    names = [name for name in names if name.startswith("val_")] or names
    best = {(each.arm, each.round): f"{each.epoch.mean:.3g}" for each in done.early_stops}
    table = []
    for each in rows:
        cells = [each.arm, str(each.round), f"{each.remaining:.2%}", str(each.trials)]
        cells += [best.get((each.arm, each.round), "")] if best else []
        for name in names:
            found = each.metrics.get(name)
            cells += (
                ["", ""] if found is None else [f"{found.mean:.4g}", "" if found.std is None else f"{found.std:.2g}"]
            )
        table.append(cells)
    if table:
        heads = [head for name in names for head in (name, "std")]
        first = ["arm", "round", "weights", "trials", *(["best epoch"] if best else [])]
        print_table([*first, *heads], table, right=range(1, len(first) + len(heads)))
