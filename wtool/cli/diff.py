"""`wtool diff`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import is_debugging, progress_bar, refuse_two_outputs, say
from wtool.cli.diff_table import ROWS, print_tensors
from wtool.cli.json_lines import print_json
from wtool.cli.streams import Unwritable, unwritable
from wtool.errors import Usage, counted, explained, one_line

if TYPE_CHECKING:
    from wtool.run.difference import Diff, SettingDifference

EQUAL, DIFFERENT, TROUBLE = 0, 1, 2
"""The exit statuses, which are those of `diff`."""

SHOWN = 60
"""Characters of the value of a setting that are shown."""


@click.command("diff")
@click.argument("a", metavar="A", type=options.FILE)
@click.argument("b", metavar="B", type=options.FILE)
@click.option("--atol", type=float, default=0.0, help="Values are equal where |a - b| <= atol + rtol * |b|.")
@click.option("--rtol", type=float, default=0.0, help="The relative tolerance of values.")
@click.option("--architecture", is_flag=True, help="Layers, settings, shapes and dtypes alone; reads no values.")
@click.option("--stat", is_flag=True, help="One line that counts the differences.")
@click.option("--all", "show_all", is_flag=True, help=f"All tensors that differ, instead of {ROWS}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with everything on standard output.")
@click.option(
    "--patch", is_flag=True, help="Write what makes B of A to a file, for `wtool patch`; compare nothing else."
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=options.FILE,
    help="With --patch: the file, or -; by default B's name in .wpatch.",
)
@click.option("-f", "--force", is_flag=True, help="With --patch: replace an existing file.")
@options.quiet
def command(a: str, b: str, as_json: bool, patch: bool, quiet: bool, **chosen: Any) -> int:
    """Show in what two models differ: layers, settings, weights, optimizer and training configuration.

    Formats and versions of Keras may differ; tensors are matched by their paths. The table has the tensors that differ,
    the largest relative difference first. The exit status is 0 if the models are equal, 1 if they differ, and 2 for
    trouble, as that of `diff`. Lineage, dates and versions of Keras are told, and are no difference.

    \b
        wtool diff before.keras after.keras
        wtool diff model.h5 model.keras --rtol 1e-5 --stat
        wtool diff before.keras after.keras --patch -o changes.wpatch
    """
    try:
        own, others = (PATCHING, COMPARING) if patch else (COMPARING, PATCHING)
        _refuse([name for name in others if chosen[name]], is_patch=patch)
        return (_write_patch if patch else _compare)(a, b, as_json, quiet, **{name: chosen[name] for name in own})
    except Unwritable as error:
        return max(unwritable(error), TROUBLE)
    except Exception as error:
        if is_debugging():
            raise
        say(str(explained(error)))
        return TROUBLE


COMPARING, PATCHING = ("atol", "rtol", "architecture", "stat", "show_all"), ("output", "force")
"""Options of a comparison, and of a patch."""


def _refuse(chosen: Sequence[str], is_patch: bool) -> None:
    """Refuse options that are not for what is done."""
    words = [max(each.opts, key=len) for each in command.params if each.name in chosen]
    if words and is_patch:
        raise Usage(f"a patch has every difference, to the bit: no {' and no '.join(words)} beside --patch")
    if words:
        raise Usage(f"{' and '.join(words)}: for a patch, which --patch writes")


def _compare(
    a: str, b: str, as_json: bool, quiet: bool, atol: float, rtol: float, architecture: bool, stat: bool, show_all: bool
) -> int:
    """Show in what two models differ; returns the exit status."""
    from wtool.ops.diff import diff

    with progress_bar("comparing", quiet) as progress:
        found = diff(a, b, atol=atol, rtol=rtol, architecture=architecture, progress=progress)
    _show(found, stat, show_all, as_json)
    if not as_json and not quiet:
        for note in found.notes:
            say(f"note: {note}")
    return EQUAL if found.equal else DIFFERENT


def _write_patch(a: str, b: str, as_json: bool, quiet: bool, output: str | None, force: bool) -> int:
    """Write a patch; returns the exit status."""
    refuse_two_outputs(as_json, output)
    from wtool.ops.diff_patch import make_patch

    with progress_bar("comparing", quiet) as progress:
        made = make_patch(a, b, output=output, force=force, progress=progress)
    if as_json:
        print_json(made)
    if not quiet:
        for note in made.notes:
            say(f"note: {note}")
        alone = f", {len(made.added) + len(made.removed):,} in one only" if made.added or made.removed else ""
        told = f"{counted(len(made.changed), 'tensor')} with differences{alone}"
        say(f"{told}; {made.bytes:,} bytes written to {made.output}")
    return EQUAL


def _show(found: Diff, stat: bool, show_all: bool, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif stat:
        click.echo(one_line(f"{found.models[0]} and {found.models[1]}: {_counts(found)}"))
    elif not found.equal:
        for line in _lines(found):
            click.echo(one_line(line))
        print_tensors([each for each in (*found.tensors, *found.slots) if each.is_different], show_all)


def _counts(found: Diff) -> str:
    """Returns how many things of each kind differ, in words."""
    values = [each.values for each in found.tensors if each.values is not None and each.values.beyond]
    numbers = [
        (len(found.layers_added) + len(found.layers_removed), "layer in one only", "layers in one only"),
        (len(found.settings), "setting of a layer", "settings of layers"),
        (sum(each.is_different for each in found.tensors), "tensor", "tensors"),
        (sum(each.beyond for each in values), "value", "values"),
        (len(found.tensors_added) + len(found.tensors_removed), "tensor in one only", "tensors in one only"),
        (len(found.optimizer), "setting of the optimizer", "settings of the optimizer"),
        (sum(each.is_different for each in found.slots), "slot", "slots"),
        (len(found.slots_added) + len(found.slots_removed), "slot in one only", "slots in one only"),
        (len(found.training), "setting of the training", "settings of the training"),
    ]
    told = [f"{number:,} {one if number == 1 else many}" for number, one, many in numbers if number]
    return f"different: {', '.join(told)}" if told else "equal"


def _lines(found: Diff) -> Iterator[str]:
    """Yields a line for each difference that is none of values."""
    first, second = found.models
    for what, removed, added in (
        ("layer", found.layers_removed, found.layers_added),
        ("tensor", found.tensors_removed, found.tensors_added),
        ("slot", found.slots_removed, found.slots_added),
    ):
        yield from (f"{what} {path}: only in {first}" for path in removed)
        yield from (f"{what} {path}: only in {second}" for path in added)
    for each in found.settings:
        yield f"layer {each.layer}: {_change(each)}" if each.layer else f"model: {_change(each)}"
    yield from (f"training: {_change(each)}" for each in (*found.optimizer, *found.training))


def _change(each: SettingDifference) -> str:
    return f"{each.key or 'settings'}: {_short(each.old)} -> {_short(each.new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
