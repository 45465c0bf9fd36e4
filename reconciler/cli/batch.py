"""``reconciler batch``: the JSON protocol on stdin and stdout."""

from __future__ import annotations

import sys

import click

from reconciler.batch import run
from reconciler.cli import exits
from reconciler.cli.options import common


@click.command(
    epilog=exits.epilog(
        """printf '%s' '{"desired": [...], "nodes": 3}' | reconciler batch\n"""
        """reconciler batch < requests.ndjson > answers.ndjson\n"""
        """printf '%s' '{"id": 7, "op": "validate", "desired": [...]}' | reconciler batch"""
    )
)
@common
def batch() -> int:
    """Answer JSON requests from stdin, one a line, each with one line on stdout.

    A request names its operation as "op": reconcile (the default where there is "desired"), schedule, simulate or
    validate. A request that fails costs only itself: its answer has "ok": false and an error with code, message and
    path, and the exit status will be 1.
    """
    return run(sys.stdin.buffer, sys.stdout.buffer)
