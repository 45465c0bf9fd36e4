"""``reconciler completion``: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli import cli, exits
from reconciler.cli.options import common

_NAME = "reconciler"
_VARIABLE = "_RECONCILER_COMPLETE"


@click.command(
    epilog=exits.epilog(
        "source <(reconciler completion bash)\n"
        "source <(reconciler completion zsh)\n"
        "reconciler completion fish > ~/.config/fish/completions/reconciler.fish"
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    made = get_completion_class(shell)
    assert made is not None, f"click completes no {shell}"
    click.echo(made(cli, {}, _NAME, _VARIABLE).source())
