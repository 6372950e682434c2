"""`wtool help`."""

from __future__ import annotations

import click

from wtool.cli.commands import COMMANDS
from wtool.suggestions import meant


class _Command(click.ParamType):  # type: ignore[type-arg]
    """The name of a command."""

    name = "command"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in COMMANDS:
            raise click.UsageError(f"no such command: {value!r}{meant(value, COMMANDS)}", ctx and ctx.parent)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        return [
            click.shell_completion.CompletionItem(name, help=line)
            for name, line in COMMANDS.items()
            if name.startswith(incomplete)
        ]


@click.command("help")
@click.argument("name", required=False, metavar="[COMMAND]", type=_Command())
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command, or of wtool: `wtool help prune` is `wtool prune --help`.

    \b
        wtool help
        wtool help prune
    """
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    asked = None if name is None else group.get_command(root, name)
    if asked is None:
        click.echo(group.get_help(root))
        return
    click.echo(asked.get_help(click.Context(asked, root, name)))
