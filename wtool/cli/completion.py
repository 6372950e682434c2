"""`wtool completion`."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options, their words, files and folders.

    \b
        eval "$(wtool completion bash)"    # a line for ~/.bashrc
        eval "$(wtool completion zsh)"     # a line for ~/.zshrc, below compinit
        wtool completion fish > ~/.config/fish/completions/wtool.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "wtool", "_WTOOL_COMPLETE")
    click.echo(ShellComplete.source(script), nl=False)  # that of Bash starts a shell, to look at its version
