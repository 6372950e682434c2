"""`wtool lottery`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import Bar, progress_bar, quiet_import, say
from wtool.cli.json_lines import print_json
from wtool.cli.tables import lined_up, print_table
from wtool.errors import counted
from wtool.training.lottery.options import Lottery, LotteryOptions, Trained
from wtool.training.lottery.summaries import Line


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
    with progress_bar("dense", quiet, "epochs") as bar:
        watch = None if bar is None else partial(_describe, bar)
        report = None if bar is not None or quiet else _tell
        done = experiment(model, LotteryOptions(progress=bar, watch=watch, report=report, **chosen))
    if as_json:
        print_json(done)
    else:
        _show(done)
    if not quiet:
        how = f"{'stopped' if done.signal else 'done'}; {counted(done.trained, 'training')} this time"
        say(f"{done.model}: {how}; seed {done.seed}; all is in {done.out}")
    return 0 if done.signal is None else 128 + done.signal


def _describe(bar: Bar, reached: Line) -> None:
    """Says before the bar which training goes on, and the metric that matters most."""
    names = [name for name in reached.metrics if not name.endswith("loss")] or list(reached.metrics)
    best = next((name for name in names if name.startswith("val_")), names[0] if names else None)
    metric = "" if best is None else f", {best} {reached.metrics[best]:#.4g}"
    bar.describe(f"trial {reached.trial}, {_what(reached)}{metric}")


def _what(line: Line) -> str:
    return line.arm if line.round == 0 else f"{line.arm} round {line.round}"


def _tell(done: Trained) -> None:
    last = done.last
    told = ", ".join(f"{name} {value:.4g}" for name, value in last.metrics.items())
    say(f"trial {last.trial}, {_what(last)}, {last.remaining:.2%} of the weights: {told} ({done.seconds:.1f} s)")


def _show(done: Lottery) -> None:
    """The last epoch of every round, mean and standard deviation over trials, and the epoch of the lowest loss."""
    rows = done.ends
    names = list(dict.fromkeys(name for each in rows for name in each.metrics))
    names = [name for name in names if name.startswith("val_")] or names
    best = {(each.arm, each.round): each.epoch.mean for each in done.early_stops}
    columns = [
        [each.arm for each in rows],
        [str(each.round) for each in rows],
        [f"{each.remaining:.2%}" for each in rows],
        [str(each.trials) for each in rows],
        lined_up([best.get((each.arm, each.round)) for each in rows], 3),
    ]
    for name in names:
        found = [each.metrics.get(name) for each in rows]
        columns += [lined_up([None if each is None else each.mean for each in found], 4)]
        columns += [lined_up([None if each is None else each.std for each in found], 2)]
    header = ["arm", "round", "weights", "trials", "best epoch", *(head for name in names for head in (name, "std"))]
    least = ["std", "best epoch", "trials"]
    print_table(header, list(zip(*columns, strict=True)), right=range(1, len(header)), least=least)
