"""Writes what follows from options: the signatures for type checkers, and the tables of docs/reference (`make docs`).

The options themselves are fields of dataclasses; see `wtool.option`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from textwrap import indent
from typing import Any

import click

import wtool
from tests import json_schemas, python_reference
from wtool.cli import cli
from wtool.cli.commands import GROUPS as COMMAND_GROUPS
from wtool.graphs.swap import Swap, Verification
from wtool.io.columns import Column
from wtool.ops.align_options import Align
from wtool.ops.average_options import Average
from wtool.ops.convert_options import Convert
from wtool.ops.ema_options import Ema
from wtool.ops.functions import aliases_of
from wtool.ops.index_columns import OF_FILE, OF_MODEL, OF_STATISTICS, OF_TENSOR
from wtool.ops.index_options import Index
from wtool.ops.merge_options import Merge
from wtool.ops.pack_options import Pack
from wtool.ops.patch_options import Patch
from wtool.ops.shrink_options import Shrink
from wtool.option import described
from wtool.recipes.options import RunRecipe
from wtool.reporting.options import Report
from wtool.run.options import (
    Batch,
    Common,
    Execution,
    Keeping,
    KeepingSeeded,
    Options,
    Unseeded,
    groups_of,
    needs_initial,
    shared_by,
)
from wtool.schema.upgrade.operation_sizes import OF_TENSORS
from wtool.schema.upgrade.operations import TABLE as OPERATIONS
from wtool.schema.upgrade.rules import RULES
from wtool.training.evaluate_options import Evaluate
from wtool.training.lottery.options import LotteryOptions
from wtool.training.recalibrate_options import Recalibrate
from wtool.training.resume_options import Resume
from wtool.training.soups.options import Soup
from wtool.transforms.criteria import CRITERIA
from wtool.transforms.importance import CHANNEL_CRITERIA
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.registry import REGISTRY, transform, transforms

ROOT = Path(__file__).parents[1]
STUB = ROOT / "wtool" / "ops" / "signatures.pyi"
PAGES = ROOT / "docs" / "reference"
TABLE = re.compile(
    r"(<!-- "
    r"(own options|shared options|criteria|channel criteria|methods|rules|refusals|operations|transforms|commands|"
    r"index columns)"
    r"(?: of ([a-z, ]+))? -->\n)"
    r".*?(<!-- end -->)",
    re.DOTALL,
)
"""Where `make docs` writes a table: what it is of, and of which commands."""

HEAD = '''"""Signatures of the functions that are made of options, for type checkers. Written by `make docs`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.ops.align_options import Aligned
from wtool.ops.average_options import Averaged
from wtool.ops.converted import Converted
from wtool.ops.index_options import Indexed
from wtool.ops.merge_options import Merged
from wtool.ops.shrunk import Shrunk
from wtool.ops.swapped import Swapped
from wtool.recipes.running import RecipeRun
from wtool.reporting.options import Reported
from wtool.run.diagnosis import Diagnosis
from wtool.run.moving_average import MovingAverage
from wtool.run.packed import Packed
from wtool.run.patched import Patched
from wtool.run.transform import Transformed
from wtool.training.evaluate_options import Evaluated
from wtool.training.fitting.epoch import Epoch
from wtool.training.lottery.options import Lottery, Trained
from wtool.training.lottery.summaries import Line
from wtool.training.recalibrate_options import Recalibrated
from wtool.training.resume_options import Resumed
from wtool.training.soups.options import Souped
from wtool.words import Models, Numbers, Path, Progress
'''

GROUPS = {
    **{name: groups_of(kind) for name, kind in sorted(transforms().items())},
    "align": (Align, KeepingSeeded),
    "average": (Average,),
    "merge": (Merge,),
    "swap": (Swap, Verification, Common),
    "convert": (Convert, Batch),
    "report": (Report,),
    "index": (Index, Execution),
    "resume": (Resume,),
    "ema": (Ema, Unseeded),
    "pack": (Pack, Keeping),
    "patch": (Patch, Unseeded),
    "shrink": (Shrink, Common),
    "evaluate": (Evaluate,),
    "recalibrate": (Recalibrate,),
    "lottery": (LotteryOptions,),
    "soup": (Soup,),
    "run": (RunRecipe,),
}
"""Every public function that is made of options, and the dataclasses of its arguments."""

INDEX_COLUMNS = {"file": OF_FILE, "model": OF_MODEL, "tensor": OF_TENSOR}

FUNCTIONS = {"run": "run_recipe"}
"""Command -> its public function, where the two have other names: `wtool.run` is a package."""

FIRST = {
    "models": "Models", "model": "Path", "paths": "Models", "recipe": "Path | Sequence[Any] | Mapping[str, Any]",
}  # fmt: skip
"""The first argument of a function -> its type."""


def function_of(command: str) -> Any:
    """The public function of a command."""
    return getattr(wtool, FUNCTIONS.get(command, command))


def stub() -> str:
    """The text of `signatures.pyi`."""
    return "\n".join([HEAD, *map(_signature, GROUPS)])


def _signature(name: str) -> str:
    function = function_of(name)
    hints = function.__annotations__
    first = next(iter(hints))
    lines = [f"def {function.__name__}(", f"    {first}: {FIRST[first]},", "    *,"]
    for group, each in ((kind, each) for kind in GROUPS[name] for each in fields(kind)):
        kind, default = str(each.type), each.default
        if each.name == "initial" and name in REGISTRY and needs_initial(transform(name)):
            kind, default = kind.removesuffix(" | None"), MISSING
        value = repr(default).replace("'", '"')
        for argument in (each.name, *(alias for alias, field in aliases_of(group).items() if field == each.name)):
            lines.append(f"    {argument}: {kind}{'' if default is MISSING else f' = {value}'},")
    is_list = hasattr(hints["return"], "__args__")
    (result,) = hints["return"].__args__ if is_list else (hints["return"],)
    text = indent(f'"""{function.__doc__}"""', "    ")
    return "\n".join([*lines, f") -> {f'list[{result.__name__}]' if is_list else result.__name__}:", text, ""])


def pages() -> list[Path]:
    """The pages that have tables."""
    return sorted(PAGES.glob("*.md"))


def page_of(page: Path) -> str:
    """The text of a page with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{_table(found[2], found[3], page)}\n\n{found[4]}"

    return TABLE.sub(made, page.read_text())


def homes() -> dict[str, Path]:
    """Command -> the page that has the table of its options."""
    shown = ((page, found) for page in pages() for found in TABLE.finditer(page.read_text()))
    return {name: page for page, found in shown if found[2] == "own options" for name in found[3].split(", ")}


def new_page(name: str) -> str:
    """The first text of the page of a transform, from its docstring; the table in it is still empty."""
    kind = transform(name)
    told = described(kind)
    usage = f"    wtool {name} MODEL...{' --initial INIT' if needs_initial(kind) else ''} [options]"
    shared = "Outputs, selection, optimizer and the other shared options: [transforms](transforms.md)."
    table = f"<!-- own options of {name} -->\n<!-- end -->"
    examples = "\n".join(["```sh", *told.commands, "```"])
    paragraphs = [f"# wtool {name}", usage, told.summary, *told.prose, shared, table, examples, told.source]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _table(what: str, commands: str | None, page: Path) -> str:
    if what == "criteria":
        rows = [(f"`{name}`", f"`{each.short}`" if each.short else "", each.formula) for name, each in CRITERIA.items()]
        return _rows(("criterion", "short", "score"), rows)
    if what == "channel criteria":
        return _rows(("criterion", "score"), [(f"`{name}`", each.formula) for name, each in CHANNEL_CRITERIA.items()])
    if what == "methods":
        return _rows(("method", "", "base", "models", "options"), list(_methods()))
    if what == "operations":
        return ", ".join(f"`{name}`" for name in sorted({*OPERATIONS, *OF_TENSORS})) + "."
    if what in ("rules", "refusals"):
        return _rules(refuses=what == "refusals")
    if what == "commands":
        return "\n\n".join(
            f"## {heading}\n\n{_rows(('command', ''), _lines(group))}" for heading, group in COMMAND_GROUPS.items()
        )
    if what == "index columns":
        return _rows(("column", "type", "value"), [_index_column(each) for each in INDEX_COLUMNS[str(commands)]])
    if what == "transforms":
        known = homes()
        links = {name: os.path.relpath(known[name], page.parent) for name in REGISTRY if name in known}
        return _rows(("command", ""), [(f"[`wtool {name}`]({links[name]})", REGISTRY[name].line) for name in links])
    shared = [name for name, kind in transforms().items() if shared_by(kind) is Options]
    names = commands.split(", ") if commands else shared
    return _rows(("option", "default", "meaning"), _options(names, what == "own options"))


def _index_column(column: Column) -> tuple[str, ...]:
    """The row of a column; a star marks those of statistics."""
    return f"`{column.name}`" + r" \*" * (column.name in OF_STATISTICS), column.kind, column.meaning


def _lines(group: Mapping[str, str]) -> list[tuple[str, str]]:
    """Rows of the commands of a group, each with a link to the page of the command."""
    known = homes()
    pages = {name: known.get(name, PAGES / f"{name}.md") for name in group}
    names = {name: page.name if page.exists() else "command-line.md" for name, page in pages.items()}
    return [(f"[`wtool {name}`]({names[name]})", line) for name, line in group.items()]


def _methods() -> Iterator[tuple[str, ...]]:
    """Rows of the methods of merging, with their options and defaults."""
    for name, method in METHODS.items():
        takes = [
            f"`--{each.replace('_', '-')}`" + ("" if one.default is None else f" {_shown(one.default)}")
            for each, one in method.takes.items()
        ]
        models = f"{method.least} or more" if method.most is None else f"{method.most}"
        yield f"`{name}`", method.line, {"unused": ""}.get(method.base, method.base), models, ", ".join(takes)


def _shown(default: Any) -> str:
    return ("on" if default else "off") if isinstance(default, bool) else f"{default}".removesuffix(".0")


def _rules(refuses: bool) -> str:
    """Rows of the rules of a conversion: those that change something, or those that refuse a layer."""
    chosen = [rule for rule in RULES.values() if rule.refuses == refuses]
    rows = [(rule.name, ", ".join(f"`{each}`" for each in rule.classes), _marked(rule.text)) for rule in chosen]
    return _rows(("rule", "classes", "why" if refuses else "what is different"), rows)


def _marked(text: str) -> str:
    """The text of a rule with the characters escaped that would be marks in a table."""
    return text.replace("|", r"\|").replace("*", r"\*")


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _options(names: Sequence[str], own: bool) -> list[tuple[str, str, str]]:
    """Rows of the options of commands; an option that not all of them have says whose it is."""
    found: dict[str, click.Option] = {}
    users: dict[str, list[str]] = {}
    for name in names:
        for each in _params(name):
            if (each.name not in _shared(name)) == own:
                found.setdefault(str(each.name), each)
                users.setdefault(str(each.name), []).append(name)
    return [_row(each, [] if len(users[key]) == len(names) else users[key]) for key, each in found.items()]


def _params(name: str) -> Iterator[click.Option]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return (each for each in command.params if isinstance(each, click.Option))


def _shared(name: str) -> set[str]:
    """Names of the options of a command that the table of shared options has."""
    shared = [
        group for group in GROUPS[name] if issubclass(group, Common | Options | Unseeded) or group in (Batch, Execution)
    ]
    return {"as_json", "quiet", "verbose", *(each.name for group in shared for each in fields(group))}


def _row(option: click.Option, users: Sequence[str]) -> tuple[str, str, str]:
    words = "/".join([*option.opts[-1:], *option.secondary_opts])
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    short = "".join(f"{word}, " for word in option.opts[:-1])
    meaning = re.sub(r"(`[^`]*`)|(--[a-z-]+)", _as_code, (option.help or "").replace("*", r"\*"))
    if isinstance(option.type, click.Choice) and option.metavar is None:
        meaning += f" One of {', '.join(f'`{each}`' for each in option.type.choices)}."
    if users:
        meaning += f" Of {', '.join(f'`{each}`' for each in users)}."
    return f"`{short}{words}{value}`", _default(option.default, bool(option.secondary_opts)), meaning


def _as_code(found: re.Match[str]) -> str:
    """Puts an option between backticks, unless it stands between some already."""
    return found[1] or f"`{found[2]}`"


def _default(value: Any, is_pair: bool) -> str:
    if is_pair and isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (tuple, list)) and value:
        return ", ".join(f"`{each}`" for each in value)
    return (
        ""
        if value is None or value is False or value == () or not isinstance(value, (str, int, float))
        else f"`{value}`"
    )


def main() -> None:
    """Write the signatures, a page for each transform that no page tells of, the tables, and the schemas of JSON."""
    STUB.write_text(stub())
    for name in REGISTRY.keys() - homes().keys():
        (PAGES / f"{name}.md").write_text(new_page(name))
    for page in pages():
        page.write_text(page_of(page))
    json_schemas.main()
    python_reference.main()


if __name__ == "__main__":
    main()
