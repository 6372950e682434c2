"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import click

from wtool.choices import OPTIMIZER_MODES

Decorator: TypeAlias = Callable[[Any], Any]

models = click.argument("models", nargs=-1, required=True, metavar="MODEL...")
output = click.option("-o", "--output", metavar="PATH", help="The new file; - for standard output.")
include = click.option(
    "--include", multiple=True, metavar="GLOB", help="Only tensors with paths like this (dense*/kernel); repeatable."
)
exclude = click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors with paths like this; repeatable.")


def _optimizer(default: str, what: str) -> Decorator:
    return click.option(
        "--optimizer",
        type=click.Choice(OPTIMIZER_MODES),
        default=default,
        show_default=True,
        help=f"What becomes of {what}.",
    )


optimizer = _optimizer("follow", "the optimizer's state")
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, tensor by tensor; write nothing.")
force = click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, an object per model.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and no report.")
in_place = click.option("--in-place", is_flag=True, help="The model itself is the output.")
weights = click.option("--weights/--no-weights", default=True, show_default=True, help="Kernels of every kind.")
biases = click.option("--biases/--no-biases", default=False, show_default=True, help="Biases.")
jobs = click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Models at a time.")
fail_fast = click.option("--fail-fast", is_flag=True, help="Stop at the first model that fails.")
seed = click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Of the random numbers; a fresh one by default."
)
low_bound = click.option(
    "--low-bound", type=float, default=-0.05, show_default=True, metavar="L", help="New values are drawn from L..."
)
high_bound = click.option(
    "--high-bound", type=float, default=0.05, show_default=True, metavar="H", help="... to H, uniformly."
)
set_value = click.option("--set-value", type=float, metavar="V", help="The new value, instead of random ones.")
cutoff = click.option("--cutoff", type=int, metavar="N", help="From the N+1-th time on, nothing happens to a model.")
initial = click.option("--initial", metavar="INIT", help="The initial checkpoint, or any earlier one.")
same_sign = click.option(
    "--same-sign/--no-same-sign", default=True, show_default=True, help="Keep the sign of each initial value."
)
keep_biases = click.option("--keep-biases", is_flag=True, help="Keep the initial biases, instead of zero.")
reinitialised = _optimizer("keep", "the initial checkpoint's optimizer")
folder = click.option(
    "-o", "--output", metavar="PATH", help="A file, a folder for many models (pruned/), or - for standard output."
)

data = click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="DATA",
    help=".npz, .csv, two .npy (twice --data), a folder, or package.module:function.",
)
validation_data = click.option("--validation-data", multiple=True, metavar="DATA", help="As --data; after each epoch.")
validation_split = click.option(
    "--validation-split", type=click.FloatRange(0, 1, True, True), metavar="S", help="Or the last share S of --data."
)
shuffle = click.option("--shuffle/--no-shuffle", default=True, show_default=True, help="Another order in each epoch.")
batch_size = click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, metavar="N")
loss = click.option("--loss", metavar="NAME", help="Keras's name of a loss, instead of the model's own.")
metric = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Keras's name of a metric, instead of the model's own; repeatable.",
)
imports = click.option(
    "--import", "imports", multiple=True, metavar="MODULE", help="A module that registers custom layers; repeatable."
)
unsafe = click.option("--unsafe", is_flag=True, help="Load models also if that runs or imports code of theirs.")

reinitialising = (initial, same_sign, keep_biases, reinitialised)
"""The own options of commands that give kept weights other values than their initial ones."""

_SHARED: tuple[Decorator, ...] = (
    folder,
    in_place,
    include,
    exclude,
    weights,
    biases,
    seed,
    dry_run,
    force,
    jobs,
    fail_fast,
    as_json,
    quiet,
)


def transforming(*own: Decorator) -> Decorator:
    """A command's own options, then those of every transform of single models."""

    def decorate(command: Any) -> Any:
        for option in reversed((models, *own, *_SHARED)):
            command = option(command)
        return command

    return decorate
