"""`wtool inspect --cost`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from wtool.cli.json_lines import print_json
from wtool.cli.tables import print_table
from wtool.errors import a_few, one_line

if TYPE_CHECKING:
    from wtool.run.pipeline import Progress


class InputShape(click.ParamType):  # type: ignore[type-arg]
    """The shape of an input, without the batch: whole numbers with commas between them."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            sizes = value if isinstance(value, tuple) else tuple(int(size) for size in value.split(","))
        except ValueError:
            sizes = ()
        if not sizes or min(sizes) < 1:
            self.fail(f"{value!r} is not a shape such as 224,224,3", param, ctx)
        return sizes


def cost_of(shapes: Sequence[tuple[int, ...]], path: str, _: Progress | None) -> dict[str, Any]:
    """Returns what a model costs to run; see `ops.cost`."""
    from wtool.ops.cost import cost

    return cost(path, shapes)


def show_cost(as_json: bool, found: dict[str, Any]) -> None:
    """Print what a model costs to run."""
    if as_json:
        print_json(found)
        return
    inputs = " and ".join("?" if shape is None else _shape(shape) for shape in found["inputs"])
    click.echo(one_line(f"{found['path']}: {found['format']}, {found['parameters']:,} parameters"))
    header = ["layer", "class", "calls", "output", "parameters", "multiply-adds", "activations"]
    print_table(header, [_row(layer) for layer in found["layers"]], right=(2, 4, 5, 6))
    costs = f"{_sum(found, 'multiply_adds')} multiply-adds, {_sum(found, 'activations')} activations"
    click.echo(one_line(f"one input of {inputs}: {costs}"))
    for line in _notes(found):
        click.echo(one_line(line))
    click.echo("")


def _row(layer: dict[str, Any]) -> list[str]:
    output = "?" if layer["output"] is None else _shape(layer["output"])
    numbers = (_number(layer[key]) for key in ("parameters", "multiply_adds", "activations"))
    return [layer["name"], layer["class"], str(layer["calls"]), output, *numbers]


def _shape(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "1"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _sum(found: dict[str, Any], key: str) -> str:
    known = f"{sum(layer[key] or 0 for layer in found['layers']):,}"
    return known if found[key] is not None else f"at least {known}"


def _notes(found: dict[str, Any]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for layer in found["layers"]:
        if layer["unknown"] is not None:
            reasons.setdefault(layer["unknown"], []).append(layer["name"])
    yield from (f"note: not known of {a_few(names)}: {reason}" for reason, names in reasons.items())
    if any(shape is None or None in shape for shape in found["inputs"]):
        yield "note: --input-shape 224,224,3 tells the sizes of an input, where the model takes any"
    yield from (f"note: {note}" for note in found["notes"])
