"""``reconciler capacity``: how many more copies of a pod fit, and what runs out first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.inputs import Cluster, Inputs
from reconciler.cli.options import common, inputs, no_headers, output
from reconciler.cli.results import show_data, show_tables
from reconciler.cli.summary import many
from reconciler.cli.tables import Table
from reconciler.copies import admitted_pod, copy_of
from reconciler.plan import Plan
from rules.scheduling import Capacity
from rules.scheduling import capacity as count_copies
from rules.scheduling.capacity import MOST_COPIES
from state.errors import StateError
from state.objects import Pod
from state.snapshot import find_key

#: Up to so many nodes of a line are named.
_MAX_NAMES = 3


@click.command(
    epilog=exits.epilog(
        "reconciler capacity deploy/web -f web.yaml --nodes 10x8cpu,32Gi\n"
        "reconciler capacity --pod pod.yaml --nodes 3x4cpu,16Gi\n"
        "kubectl get all,nodes -A -o json | reconciler capacity deploy/shop/web --observed - -o wide\n"
        "reconciler capacity pod/web-0 --observed cluster.json --at-least 20 && kubectl scale ..."
    )
)
@click.argument("target", required=False)
@inputs
@click.option(
    "--pod", type=click.Path(path_type=str, allow_dash=True), metavar="FILE|-", help="The manifest of the pod to count."
)
@click.option("--at-least", type=click.IntRange(min=0), help="Exit with status 3 if fewer copies fit.")
@click.option("--most", type=click.IntRange(min=0), default=MOST_COPIES, show_default=True, help="Stop counting there.")
@output("wide", "json", "yaml")
@no_headers
@common
def capacity(
    *,
    target: str | None,
    inputs: Inputs,
    pod: str | None,
    at_least: int | None,
    most: int,
    form: str | None,
    no_headers: bool,
) -> int:
    """Count how many more copies of a pod fit, and say what runs out first.

    TARGET is a pod, or what makes pods, as KIND/NAME or KIND/NAMESPACE/NAME. Everything that is desired and pending is
    placed first; then copies are placed, one after the other, until one doesn't fit. Nodes that are alike are one line;
    -o wide shows each.
    """
    if (target is None) == (pod is None):
        raise click.UsageError("name either a pod, or what makes pods, or its manifest with --pod")
    cluster = inputs.read(allow_empty=pod is not None)
    plan = cluster.plan()
    counted = _template(target, pod, cluster, plan)
    found = count_copies(plan.snapshot, counted, most=most, profiles=plan.profiles)
    name = target or f"pod/{counted.metadata.namespace}/{counted.metadata.name}"
    if form in ("json", "yaml"):
        show_data(_data(name, found), form)
    else:
        nodes = [obj.metadata.name for obj in plan.snapshot.objects("Node")]
        show_tables([_table(found, nodes, wide=form == "wide")], headers=not no_headers)
        click.echo(f"\n{_last_line(name, found)}" if nodes else _last_line(name, found))
    if cluster.all_refused(plan.refused):
        return exits.FAILED
    return exits.WAITING if at_least is not None and found.total < at_least else exits.OK


def _template(target: str | None, pod: str | None, cluster: Cluster, plan: Plan) -> Pod:
    """The pod that is to be counted."""
    options = cluster.options
    if target is not None:
        return copy_of(find_key(target, plan.snapshot, options.namespace or "default"), plan.snapshot)
    assert pod is not None
    loaded = options.load([pod])
    cluster.check(loaded.refused)
    if len(loaded.objects) != 1 or not isinstance(loaded.objects[0], Pod):
        raise StateError(f"{pod}: expected the manifest of one pod")
    return admitted_pod(loaded.objects[0], plan.snapshot)


def _data(name: str, found: Capacity) -> dict[str, Any]:
    names = sorted({*found.by_node, *found.limits})
    return {
        "target": name,
        "copies": found.total,
        "runsOut": found.first,
        "reason": found.reason,
        "nodes": {
            node: {"copies": found.by_node.get(node, 0), "runsOut": list(found.limits.get(node, ()))} for node in names
        },
    }


def _table(found: Capacity, nodes: Sequence[str], *, wide: bool) -> Table:
    rows: dict[tuple[int, str], list[str]] = {}
    for node in nodes:
        alike = (found.by_node.get(node, 0), ", ".join(found.limits.get(node, ())))
        rows.setdefault(alike, []).append(node)
    if wide:
        told = [(node, str(copies), limit) for (copies, limit), names in rows.items() for node in names]
        return Table(("NODE", "COPIES", "RUNS OUT"), sorted(told))
    return Table(("NODES", "COPIES EACH", "RUNS OUT"), list(_lines(rows)))


def _lines(rows: dict[tuple[int, str], list[str]]) -> Iterator[tuple[str, str, str]]:
    for (copies, limit), names in sorted(rows.items(), key=lambda item: (-item[0][0], item[1])):
        named = ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
        yield (f"{many(len(names), 'node')}: {named}" if len(names) > 1 else named, str(copies), limit)


def _last_line(name: str, found: Capacity) -> str:
    copies = f"{found.total} more {'copy' if found.total == 1 else 'copies'} of {name}"
    if not found.reason:
        return f"At least {copies} {'fits' if found.total == 1 else 'fit'}"
    first = ", ".join(f"{reason} on {many(count, 'node')}" for reason, count in found.first.items())
    return f"{copies} {'fits' if found.total == 1 else 'fit'}; then: {first or found.reason}"
