"""The command line: ``reconciler COMMAND``.

A command is one module and one line in ``COMMANDS``. Its module is imported when it is called, not before: help and
completion have to be quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from reconciler.cli import exits


class Entry(NamedTuple):
    """Where a command is, as ``module:attribute``, and its summary in the list of commands."""

    place: str
    summary: str


COMMANDS = {
    "plan": Entry("reconciler.cli.plan:plan", "Show what Kubernetes would do about manifests, and why."),
    "simulate": Entry("reconciler.cli.simulate:simulate", "Let time pass on simulated nodes and show what happens."),
    "explain": Entry("reconciler.cli.explain:explain", "Say why one object is as it is, or isn't."),
    "schedule": Entry("reconciler.cli.schedule:schedule", "Decide where the pending pods of a cluster go."),
    "capacity": Entry("reconciler.cli.capacity:capacity", "Count how many more copies of a pod fit."),
    "drain": Entry("reconciler.cli.drain:drain", "Say where the pods of a node would go, and which could not leave."),
    "validate": Entry("reconciler.cli.validate:validate", "List every problem of manifests, with its path."),
    "up": Entry("reconciler.cli.live:up", "Run manifests for real on this machine."),
    "get": Entry("reconciler.cli.live:get", "List objects of what runs, as kubectl does."),
    "describe": Entry("reconciler.cli.live:describe", "Tell everything about objects of what runs."),
    "logs": Entry("reconciler.cli.live:logs", "Print what a container wrote."),
    "events": Entry("reconciler.cli.live:events", "List what happened."),
    "scale": Entry("reconciler.cli.live:scale", "Set how many pods a workload is to have."),
    "delete": Entry("reconciler.cli.live:delete", "Delete objects of what runs."),
    "serve": Entry("reconciler.cli.serve:serve", "Serve the Kubernetes API, for kubectl and other clients."),
    "batch": Entry("reconciler.cli.batch:batch", "Answer JSON requests from stdin, one a line."),
    "completion": Entry("reconciler.cli.completion:completion", "Print the completion script of a shell."),
}


class Commands(click.Group):
    """The group of all commands, which knows their names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes names and summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes names of commands and options."""
        names = [
            CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Reads the command line; ``--help`` is written here."""
        with exits.quiet_pipe():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named."""
        with exits.quiet_pipe():
            return super().invoke(ctx)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Runs the command line and exits with the status that ``exits`` documents."""
        extra["standalone_mode"] = False
        call = super().main
        sys.exit(exits.run(lambda: call(args, prog_name, **extra)))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exits.epilog(
        "reconciler plan -f web.yaml --nodes 3\n"
        "reconciler simulate -f web.yaml --nodes 3x4cpu,16Gi --until 10m\n"
        "reconciler explain pod/default/web-0 -f web.yaml --nodes 3\n"
        "kubectl get all,nodes,pv,pvc -A -o json | reconciler plan --observed - -f web.yaml"
    ),
)
@click.version_option(package_name="reconciler", message="%(prog)s %(version)s")
def cli() -> None:
    """Kubernetes' control loop as a pure function: what it would do about manifests, and why; without a cluster."""


def main() -> NoReturn:
    """The console script."""
    cli.main(prog_name="reconciler")
