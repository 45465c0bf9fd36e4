"""``reconciler schedule``: what kube-scheduler would decide about the pending pods of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.api import Reconciler
from reconciler.cli import exits
from reconciler.cli.inputs import Inputs
from reconciler.cli.options import common, inputs, no_headers, output
from reconciler.cli.results import show_data, show_tables
from reconciler.cli.summary import counted, many
from reconciler.cli.tables import Table
from reconciler.extensions import controllers
from rules.placement import Placement
from rules.scheduling import schedule_cluster
from rules.scheduling.admission import KINDS
from state.dump import dump
from state.errors import StateError
from state.manifests import documents

Json = dict[str, Any]


@click.command(
    epilog=exits.epilog(
        "reconciler schedule cluster.json\n"
        "reconciler schedule -f web.yaml --nodes 100x8cpu,32Gi\n"
        "kubectl get nodes,pods,pv,pvc,sc -A -o json | reconciler schedule --observed - -o wide\n"
        "reconciler schedule cluster.json --scheduler-config scheduler.yaml -o json --detail full"
    )
)
@click.argument("cluster", required=False, type=click.Path(path_type=str, allow_dash=True))
@inputs
@click.option(
    "--detail",
    type=click.Choice(["full", "result"]),
    help="With -o json or yaml: every node's verdict and scores, or the outcome alone.  [default: result]",
)
@output("wide", "json", "yaml")
@no_headers
@click.option("--fail-on-waiting", is_flag=True, help="Exit with status 3 if a pod fits on no node.")
@common
def schedule(
    *,
    cluster: str | None,
    inputs: Inputs,
    detail: str | None,
    form: str | None,
    no_headers: bool,
    fail_on_waiting: bool,
) -> int:
    """Decide where the pending pods of a cluster go, in queue order, each placed before the next.

    CLUSTER is a file (- for stdin) with lists of objects, as JSON or YAML: {"nodes": [], "pods": [], …}. Without it,
    the manifests of -f and --observed make the cluster; what owns pods is expanded into its pods first. -o wide adds
    every node's verdict or score.
    """
    if cluster is not None and not inputs.is_empty:
        raise click.UsageError("name a cluster file, or manifests with -f and --observed, not both")
    if cluster == inputs.scheduler_config == "-":
        raise click.UsageError("stdin (-) can be read only once")
    lists = _expanded(inputs) if cluster is None else _read(cluster)
    lists["nodes"] = [*lists.get("nodes", ()), *map(dump, inputs.made_up_nodes())]
    decisions = schedule_cluster(lists, detail or ("full" if form == "wide" else "result"), inputs.profiles())
    if form in ("json", "yaml"):
        show_data({"pods": decisions}, form)
    else:
        show_tables(_tables(decisions), headers=not no_headers)
        outcomes = [decision["outcome"] for decision in decisions]
        click.echo(f"\n{many(len(decisions), 'pod')}: {counted(outcomes)}" if decisions else "No pod is pending.")
    is_waiting = any("chosen" not in decision for decision in decisions)
    return exits.WAITING if fail_on_waiting and is_waiting else exits.OK


def _read(name: str) -> Json:
    """The lists of a cluster file."""
    text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    document = next(documents(text), None)
    if document is not None and document.problem is not None:
        raise StateError(f"{name}: {document.problem}")
    value = None if document is None else document.value
    if isinstance(value, Mapping) and isinstance(value.get("cluster"), Mapping):
        value = value["cluster"]
    if not isinstance(value, Mapping):
        raise StateError(f"{name}: expected an object of lists: {', '.join(KINDS)}")
    return dict(value)


def _expanded(inputs: Inputs) -> Json:
    """The lists of a cluster made from manifests, after all controllers but the scheduler have done their work."""
    cluster = inputs.read()
    concerns = [concern for concern in controllers() if not isinstance(concern, Placement)]
    loop = Reconciler(observed=cluster.observed, now=inputs.now, on_invalid="skip", concerns=concerns)
    loop.apply(cluster.desired)
    plan = loop.step()
    cluster.check(cluster.all_refused(plan.refused))
    return {name: [dump(obj) for obj in plan.snapshot.objects(kind.kind)] for name, kind in KINDS.items()}


def _tables(decisions: list[Json]) -> list[Table]:
    rows = [
        (decision["pod"], decision["outcome"], decision.get("chosen", "<none>"), _why(decision))
        for decision in decisions
    ]
    verdicts = [
        (decision["pod"], node, *_verdict(decision, node)) for decision in decisions for node in _nodes(decision)
    ]
    return [
        Table(("POD", "OUTCOME", "NODE", "WHY"), rows, coloured="OUTCOME"),
        Table(("POD", "NODE", "SCORE", "VERDICT"), verdicts),
    ]


def _nodes(decision: Json) -> list[str]:
    """The nodes that a decision in full detail speaks about."""
    return sorted({*decision.get("filter", ()), *decision.get("total", ())})


def _why(decision: Json) -> str:
    parts = [decision["fitError"]] if "fitError" in decision else []
    preemption = decision.get("preemption") or {}
    if preemption.get("nominatedNode"):
        victims = ", ".join(preemption["victims"])
        parts.append(f"would preempt {victims} on {preemption['nominatedNode']}")
    return "; ".join(parts)


def _verdict(decision: Json, node: str) -> tuple[str, str]:
    """The score of a node with its parts, or what speaks against it."""
    verdict = decision.get("filter", {}).get(node, {"fits": True})
    if not verdict["fits"]:
        return "", f"{verdict['plugin']}: {'; '.join(verdict['reasons'])}"
    scores = decision.get("scores", {}).get(node, {})
    return str(decision.get("total", {}).get(node, "")), ", ".join(f"{name} {value}" for name, value in scores.items())
