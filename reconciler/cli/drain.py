"""``reconciler drain``: where the pods of a node would go, and which could not leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.inputs import Inputs
from reconciler.cli.options import common, inputs, no_headers, output
from reconciler.cli.results import show_data, show_tables
from reconciler.cli.summary import counted, many
from reconciler.cli.tables import Table
from reconciler.plan import Plan
from rules.actions import Create
from rules.scheduling import Move
from rules.scheduling import drain as empty_node
from rules.scheduling.drain import HOMELESS, PROTECTED, UNMANAGED
from rules.scheduling.overlay import Overlay
from state.objects import PodDisruptionBudget, PodDisruptionBudgetStatus, replace

_HINDRANCES = (HOMELESS, PROTECTED, UNMANAGED)


@click.command(
    epilog=exits.epilog(
        "reconciler drain node-1 -f web.yaml --nodes 3\n"
        "kubectl get all,nodes,pv,pvc,pdb -A -o json | reconciler drain worker-7 --observed -\n"
        "reconciler drain worker-7 --observed cluster.json --fail-on-waiting && kubectl drain worker-7"
    )
)
@click.argument("node")
@inputs
@output("json", "yaml")
@no_headers
@click.option(
    "--fail-on-waiting", is_flag=True, help="Exit with status 3 unless every pod could leave and has a place to go to."
)
@common
def drain(*, node: str, inputs: Inputs, form: str | None, no_headers: bool, fail_on_waiting: bool) -> int:
    """Say where the pods of a node would go if it were drained, and which could not leave, and why.

    Everything that is desired and pending is placed first. Pods that would leave are placed anew one after the other,
    the most important first, on the other nodes as they are then. PodDisruptionBudgets are respected; one that is new
    counts as if all its pods were healthy. What a DaemonSet or the node itself runs stays.
    """
    cluster = inputs.read()
    plan = cluster.plan()
    name = node.removeprefix("node/")
    moves = empty_node(_settled(plan), name, profiles=plan.profiles)
    shown = [move for move in moves if inputs.namespace in ("", move.pod[0])]
    if form is not None:
        show_data({"node": name, "pods": list(map(_data, shown))}, form)
    else:
        rows = [("/".join(move.pod), move.what, move.to or "<none>", move.reason) for move in shown]
        show_tables([Table(("POD", "WHAT", "NODE", "WHY"), rows)], headers=not no_headers)
        click.echo(f"\n{_last_line(name, shown)}" if rows else f"No pod is on {name}.")
    if cluster.all_refused(plan.refused):
        return exits.FAILED
    is_hindered = any(move.what in _HINDRANCES for move in moves)
    return exits.WAITING if fail_on_waiting and is_hindered else exits.OK


def _settled(plan: Plan) -> Overlay:
    """The plan's state; budgets that it creates say nothing yet, as if the pods were still to report themselves."""
    view = Overlay(plan.snapshot)
    for action in plan.actions:
        budget = plan.snapshot.get(action.target)
        if isinstance(action, Create) and isinstance(budget, PodDisruptionBudget):
            view.put(replace(budget, status=PodDisruptionBudgetStatus()))
    return view


def _data(move: Move) -> dict[str, Any]:
    data: dict[str, Any] = {"pod": "/".join(move.pod), "what": move.what}
    return data | {name: value for name, value in (("to", move.to), ("reason", move.reason)) if value}


def _last_line(node: str, moves: Sequence[Move]) -> str:
    whats = counted(move.what.partition(",")[0].partition(";")[0].partition(":")[0] for move in moves)
    can = "can" if not any(move.what in _HINDRANCES for move in moves) else "cannot"
    return f"{node} {can} be drained without loss; {many(len(moves), 'pod')}: {whats}"
