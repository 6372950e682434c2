"""`wtool replay`."""

from __future__ import annotations

import click

from wtool.cli import options
from wtool.cli.console import is_debugging, progress_bar, say
from wtool.cli.json_lines import print_json
from wtool.cli.streams import Unwritable, unwritable
from wtool.errors import Usage, WtoolError, counted, explained, one_line

SAME, OTHER, TROUBLE = 0, 1, 2
"""The exit statuses, which are those of `diff`."""


@click.command("replay")
@click.argument("model", metavar="MODEL", type=options.FILE)
@click.option(
    "--inputs",
    multiple=True,
    metavar="DIR",
    type=options.FILE,
    help="A folder (searched) or a file with inputs; repeatable. By default the folder of the model.",
)
@click.option("-o", "--output", metavar="PATH", type=options.FILE, help="Keep the new model, as this file.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options.quiet
def command(model: str, inputs: tuple[str, ...], output: str | None, force: bool, as_json: bool, quiet: bool) -> int:
    """Make a model again from its lineage, and say whether every byte is the same.

    The inputs are found by their content hashes, whatever they are called now. The work begins with the latest step
    whose inputs are there. The exit status is 0 if every byte is the same, 1 if the new model is another one or an
    operation cannot be done again (a training, for instance), and 2 for trouble, as that of `diff`.

    \b
        wtool replay ticket.keras
        wtool replay ticket.keras --inputs zoo/ --inputs old-zoo/
        wtool replay ticket.keras --inputs zoo/ -o again.keras
    """
    from wtool.ops.recorded_calls import Unrepeatable
    from wtool.ops.replay import replay

    try:
        with progress_bar("looking for inputs", quiet, "files") as progress:
            found = replay(model, inputs=inputs or None, output=output, force=force, progress=progress)
        if as_json:
            print_json(found)
            return SAME if found.same else OTHER
        if not quiet:
            for note in found.notes:
                say(f"note: {model}: {note}")
        done = f"{counted(len(found.operations), 'operation')} done again, of {counted(len(found.inputs), 'file')}"
        told = "every byte is the same" if found.same else "another model"
        click.echo(one_line(f"{model}: {done} ({', '.join(found.operations)}): {told}"))
        for line in found.differences:
            click.echo(one_line(f"different: {line}"))
        return SAME if found.same else OTHER
    except Unwritable as error:
        return max(unwritable(error), TROUBLE)
    except Exception as error:
        if is_debugging():
            raise
        told_error = explained(error)
        if as_json and isinstance(told_error, WtoolError) and not isinstance(told_error, Usage):
            print_json({"model": model, "error": told_error.message})
        say(str(told_error))
        return OTHER if isinstance(error, Unrepeatable) else TROUBLE
