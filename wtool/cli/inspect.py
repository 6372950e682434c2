"""`wtool inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.inspect_cost import InputShape, cost_of, show_cost
from wtool.cli.inspect_tables import print_layers, print_tensors
from wtool.cli.json_lines import print_json
from wtool.cli.read_only import Looking, each_model
from wtool.cli.tables import print_text
from wtool.errors import Usage, a_few, counted, one_line
from wtool.run.options import Execution, check_executor

if TYPE_CHECKING:
    from wtool.run.pipeline import Progress


@click.command("inspect")
@options.models
@click.option("--tensors", "each_tensor", is_flag=True, help="A line for every tensor instead of every layer.")
@click.option("--statistics", is_flag=True, help="Statistics of models at addresses too, which are read whole for it.")
@click.option("--stable", is_flag=True, help="Text that changes only where the model does, for git's diff.")
@click.option("--cost", "cost", is_flag=True, help="Multiply-adds and activations of each layer; reads no weights.")
@click.option(
    "--input-shape",
    "shapes",
    type=InputShape(),
    multiple=True,
    metavar="N,N,...",
    help="With --cost: sizes of an input that takes any, without the batch; once for each input.",
)
@options.of_looks(Execution)
@options.as_json
@options.quiet
def command(
    models: tuple[str, ...],
    each_tensor: bool,
    statistics: bool,
    stable: bool,
    cost: bool,
    shapes: tuple[tuple[int, ...], ...],
    jobs: int,
    cluster: str | None,
    shard: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what is in saved models: files, folders searched for models, or - for standard input.

    Statistics are computed in one streaming pass that also verifies the checksums of archives. Of a model at an
    address, index and configuration alone are read without --statistics. With --json, one object per model and line;
    docs/reference/inspect.md lists its keys. With --stable, a line for each setting and tensor, without dates and names
    of files. With --cost, what a model costs to run, for a batch of one.
    """
    if stable and (each_tensor or as_json):
        raise Usage("--stable is a text of its own, and goes with neither --tensors nor --json")
    if cost and (each_tensor or stable):
        raise Usage("--cost is a table of its own, and goes with neither --tensors nor --stable")
    if statistics and (stable or cost):
        raise Usage("--statistics has no part in --stable, which reads all values, and in --cost, which reads none")
    if shapes and not cost:
        raise Usage("--input-shape goes with --cost alone")
    check_executor(jobs, cluster)
    looking = Looking("reading", "path" if as_json else None, quiet, jobs, cluster)
    if cost:
        return each_model(models, looking, partial(cost_of, shapes), partial(show_cost, as_json), shard)
    if stable:
        return each_model(models, replace(looking, quiet=True), _stable, _show_lines, shard)
    tell = print_json if as_json else partial(_show, each_tensor)
    return each_model(models, looking, partial(_inspected, statistics), tell, shard)


def _inspected(statistics: bool, path: str, progress: Progress | None) -> dict[str, Any]:
    from wtool.ops.inspect import inspect

    return inspect(path, progress, statistics=statistics or None)


def _stable(path: str, progress: Progress | None) -> str:
    from wtool.ops.stable import stable_text

    return stable_text(path, progress)


def _show_lines(text: str) -> None:
    for line in text.splitlines():
        click.echo(one_line(line))


def _show(each_tensor: bool, found: dict[str, Any]) -> None:
    keras = f"Keras {found['keras_version']}" if found["keras_version"] else "Keras version not told"
    dtypes = sorted({tensor["dtype"] for tensor in found["tensors"]})
    size = f"{counted(found['parameters'], 'parameter')}, {counted(found['bytes'], 'byte')}"
    dtype = f" of {dtypes[0]}" if len(dtypes) == 1 else ""
    print_text(f"{found['path']}: {found['format']}, {keras}, {size}{dtype}")
    if each_tensor:
        print_tensors(found["tensors"])
    else:
        print_layers(found)
    for line in _footer(found):
        print_text(line)
    click.echo("")


def _footer(found: dict[str, Any]) -> Iterator[str]:
    optimizer = found["optimizer"]
    if optimizer:
        kinds = ", ".join(dict.fromkeys(slot["slot"] for slot in optimizer["slots"])) or "no slots"
        step = "step not stored" if optimizer["step"] is None else f"step {optimizer['step']:,}"
        state = "its state is lost" if optimizer["lost"] else f"{step}, {kinds}"
        yield f"optimizer: {optimizer['class'] or 'class not told'}, {state}"
    for each in found["dead"]:
        yield f"dead: {each['dead']:,} of {each['channels']:,} channels of {a_few(each['channels_of'])}"
    for record in found["lineage"]:
        names = ", ".join(str(entry.get("name")) for entry in _entries(record))
        yield f"lineage: {record.get('operation')} {json.dumps(record.get('parameters'))} of {names}"
        yield from _origins(record)
    yield from (f"note: {note}" for note in found["notes"])


def _origins(record: dict[str, Any]) -> Iterator[str]:
    """Where masks come from that a re-initialisation took: how they were made, and of which model."""
    for entry in _entries(record):
        origin = entry.get("pruned")
        if isinstance(origin, dict):
            seed = f", seed {origin['seed']}" if "seed" in origin else ""
            how = f"prune {json.dumps(origin.get('parameters'))}{seed} of {origin.get('model')}"
            yield f"lineage: the mask of {entry.get('name')} is by {how}"


def _entries(record: dict[str, Any]) -> list[dict[str, Any]]:
    inputs = record.get("inputs")
    return [entry for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
