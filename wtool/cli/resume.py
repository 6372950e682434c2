"""`wtool resume`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import quiet_import, refuse_two_outputs, say, say_notes, say_skipped
from wtool.cli.json_lines import print_json
from wtool.errors import counted
from wtool.training.resume_options import Resume, Resumed

if TYPE_CHECKING:
    from wtool.training.fitting.epoch import Epoch


@click.command("resume")
@click.argument("model", metavar="MODEL", type=options.FILE)
@options.of(Resume)
@options.as_json
@options.quiet
def command(model: str, as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Train a saved model for some more epochs, as if it had never been saved.

    The optimizer goes on where it was, and pruned weights stay exactly zero. Ctrl-C ends the batch, saves and exits
    with 130; the same command then goes on, also after a kill if there are --checkpoints.

    \b
        wtool resume pruned.keras --data digits.npz --epochs 10 --seed 1
        wtool resume model.keras --data x.npy --data y.npy --epochs 50 --checkpoints run/ --save-every 5
        wtool resume model.keras --data train/ --validation-data test/ --epochs 3 --log run.csv
        wtool resume model.keras --data mypackage.data:training --import mypackage.layers --epochs 3
    """
    refuse_two_outputs(as_json, chosen["output"])
    from wtool.training.checks import check_resume

    chosen["validation_data"] = chosen["validation_data"] or None
    bar = sys.stderr.isatty() and not quiet
    training = Resume(bar=bar, report=None if bar or quiet else _tell, **chosen)
    check_resume(model, training)
    with quiet_import():
        from wtool.training.resume import resume
    done = resume(model, training)
    if as_json:
        print_json(done)
    if not quiet:
        _say(done)
    return 0 if done.signal is None else 128 + done.signal


def _tell(epoch: Epoch) -> None:
    told = ", ".join(f"{name} {value:.4g}" for name, value in epoch.metrics.items())
    say(f"epoch {epoch.number}/{epoch.of}: {told} ({epoch.seconds:.1f} s)")


def _say(done: Resumed) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    what = "" if done.samples is None else f" of {counted(done.samples, 'sample')}"
    what += "" if done.validation_samples is None else f", {done.validation_samples:,} more for validation"
    held = f"; {counted(done.held, 'zero')} held" if done.held else ""
    how = "stopped after" if done.signal else "has"
    say(f"{done.model}: {how} {counted(done.epochs, 'epoch')}{what}{held}; seed {done.seed}; written to {done.output}")
