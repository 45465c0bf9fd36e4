"""``reconciler plan``: what Kubernetes would do, what is left undone, and why for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.inputs import Cluster, Inputs
from reconciler.cli.options import common, inputs, no_headers, output
from reconciler.cli.results import show_data, show_names, show_tables
from reconciler.cli.summary import counted, lines, many, pending_pods, unbound_claims
from reconciler.cli.tables import Table
from reconciler.plan import Plan
from rules.actions import UpdateStatus
from state.dump import dump
from state.load import Refusal


@click.command(
    epilog=exits.epilog(
        "reconciler plan -f web.yaml --nodes 3\n"
        "reconciler plan -f manifests/ --nodes 100x8cpu,32Gi -o json\n"
        "kubectl get all,nodes,pv,pvc,cm,secret -A -o json | reconciler plan --observed - -f web.yaml\n"
        "reconciler plan -f web.yaml --nodes 2x1cpu,1Gi --fail-on-waiting"
    )
)
@inputs
@output("wide", "json", "yaml", "name")
@no_headers
@click.option("--objects", is_flag=True, help="With -o json or yaml: also every object of the resulting state.")
@click.option(
    "--fail-on-waiting", is_flag=True, help="Exit with status 3 if a pod is left on no node, or a claim unbound."
)
@common
def plan(*, inputs: Inputs, form: str | None, no_headers: bool, objects: bool, fail_on_waiting: bool) -> int:
    """Show what Kubernetes would do about manifests, and why.

    The plan is a table of actions, each with the rule that asks for it and the reason, and a table of what is left
    waiting. Alike actions on the objects of one owner are one line, and reports of status are only counted; -o wide
    shows each.
    """
    cluster = inputs.read()
    made = cluster.plan()
    refused = cluster.all_refused(made.refused)
    if form in ("json", "yaml"):
        show_data(_data(cluster, made, refused, objects=objects), form)
    elif form == "name":
        show_names([str(action.target) for action in made.actions if cluster.shows(action.target)])
    else:
        show_tables(_tables(cluster, made, refused, wide=form == "wide"), headers=not no_headers)
        click.echo(f"\n{_last_line(cluster, made, refused)}")
    if refused:
        return exits.FAILED
    is_waiting = any(map(cluster.shows, (*pending_pods(made.snapshot), *unbound_claims(made.snapshot))))
    return exits.WAITING if fail_on_waiting and is_waiting else exits.OK


def _data(cluster: Cluster, made: Plan, refused: Sequence[Refusal], *, objects: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "actions": [action.to_dict() for action in made.actions if cluster.shows(action.target)],
        "notes": [note.to_dict() for note in made.notes if cluster.shows(note.target)],
        "events": [event.to_dict() for event in made.events if cluster.shows(event.target)],
    }
    if refused:
        data["refused"] = [refusal.to_dict() for refusal in refused]
    if objects:
        data["objects"] = [dump(obj) for obj in made.snapshot]
    return data


def _tables(cluster: Cluster, made: Plan, refused: Sequence[Refusal], *, wide: bool) -> list[Table]:
    actions = [action for action in made.actions if cluster.shows(action.target)]
    notes = [note for note in made.notes if cluster.shows(note.target)]
    done = [action for action in actions if wide or not isinstance(action, UpdateStatus)]
    left = lines(notes, made.snapshot, wide=wide)
    return [
        Table(("ACTION", "OBJECT", "RULE", "WHY"), lines(done, made.snapshot, wide=wide), coloured="ACTION"),
        Table(("WAITING", "RULE", "WHY"), [line[1:] for line in left]),
        refused_table(refused),
    ]


def refused_table(refused: Sequence[Refusal]) -> Table:
    """What was refused, a row for each problem."""
    rows = [
        (refusal.origin, "" if refusal.key is None else str(refusal.key), str(problem))
        for refusal in refused
        for problem in refusal.problems
    ]
    return Table(("REFUSED", "OBJECT", "PROBLEM"), rows)


def _last_line(cluster: Cluster, made: Plan, refused: Sequence[Refusal]) -> str:
    verbs = [action.verb for action in made.actions if cluster.shows(action.target)]
    pods = sum(map(cluster.shows, pending_pods(made.snapshot)))
    claims = sum(map(cluster.shows, unbound_claims(made.snapshot)))
    parts = [f"{many(len(verbs), 'action')}: {counted(verbs)}" if verbs else "Nothing to do"]
    parts += [f"{many(pods, 'pod')} pending"] if pods else []
    parts += [f"{many(claims, 'claim')} unbound"] if claims else []
    parts += [f"{many(len(refused), 'object')} refused"] if refused else []
    return "; ".join(parts)
