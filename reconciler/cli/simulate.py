"""``reconciler simulate``: what happens as time passes, on nodes that do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.inputs import Cluster, Inputs
from reconciler.cli.options import common, inputs, no_headers, output
from reconciler.cli.plan import refused_table
from reconciler.cli.printers import object_table
from reconciler.cli.progress import virtual_time
from reconciler.cli.results import show_data, show_tables
from reconciler.cli.summary import counted, lines, many
from reconciler.cli.tables import Table
from reconciler.simulation import Simulation, end_of
from reconciler.simulation import simulate as run_simulation
from rules.actions import Action, Event, Note, UpdateStatus
from rules.events import event_of
from state.dump import dump
from state.errors import StateError
from state.objects import KINDS
from state.times import format_duration, format_micro_time

_SETTLED = "settled"
#: What a user looks at in the end, in this order.
_WORKLOADS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "CronJob",
    "Job",
    "Pod",
    "PersistentVolumeClaim",
)


@click.command(
    epilog=exits.epilog(
        "reconciler simulate -f web.yaml --nodes 3\n"
        "reconciler simulate -f web.yaml --nodes 3x4cpu,16Gi --until 10m -o wide\n"
        "reconciler simulate -f new.yaml --observed cluster.json --fail-on-waiting\n"
        "reconciler simulate -f web.yaml --nodes 3 --now 2026-01-01T00:00:00Z -o json"
    )
)
@inputs
@click.option(
    "--until",
    default=_SETTLED,
    show_default=True,
    metavar="settled|DURATION|TIME",
    help="When to stop: when nothing is left to happen (at most a day), after 10m, at 2026-01-01T00:10:00Z.",
)
@output("wide", "json", "yaml")
@no_headers
@click.option("--objects", is_flag=True, help="With -o json or yaml: also every object in the end.")
@click.option("--fail-on-waiting", is_flag=True, help="Exit with status 3 if something is left waiting in the end.")
@common
def simulate(
    *, inputs: Inputs, until: str, form: str | None, no_headers: bool, objects: bool, fail_on_waiting: bool
) -> int:
    """Let time pass on simulated nodes and show what happens, when, and what is there in the end.

    Containers start at once, pass their probes and run until they are stopped. Alike lines are one; -o wide shows each,
    and reports of status too.
    """
    end = _end(until, inputs.now)
    cluster = inputs.read()
    with virtual_time(inputs.now, end) as progress:
        run = run_simulation(
            cluster.desired,
            cluster.observed,
            nodes=cluster.nodes,
            now=inputs.now,
            until=until,
            on_invalid="skip",
            concerns=inputs.controllers(),
            progress=progress,
        )
    refused = cluster.all_refused(run.refused)
    cluster.check(refused)
    waiting = [note for note in run.notes if cluster.shows(note.target) and note.target.kind in KINDS]
    if form in ("json", "yaml"):
        data = _data(cluster, run, objects=objects)
        show_data({**data, "refused": [item.to_dict() for item in refused]} if refused else data, form)
    else:
        wide = form == "wide"
        tables = [_timeline(cluster, run, wide=wide), *_outcome(cluster, run, wide=wide)]
        left = Table(("WAITING", "RULE", "WHY"), [line[1:] for line in lines(waiting, run.snapshot, wide=wide)])
        show_tables([*tables, left, refused_table(refused)], headers=not no_headers)
        click.echo(f"\n{_last_line(cluster, run, waiting)}")
    if refused:
        return exits.FAILED
    return exits.WAITING if fail_on_waiting and (waiting or not run.settled) else exits.OK


def _end(until: str, now: int) -> int | None:
    """When the simulation ends, if that is known before."""
    if until == _SETTLED:
        return None
    try:
        return end_of(until, now)
    except StateError as error:
        raise click.BadParameter(str(error), param_hint="--until") from error


def _shown(cluster: Cluster, run: Simulation) -> Iterator[tuple[int, Action | Event]]:
    """What happened in the namespace asked for; an event that only repeats an action is left out."""
    told: set[Event | None] = set()
    for at, happened in run.timeline:
        if isinstance(happened, Action):
            told.add(event_of(happened))
        elif happened in told:
            continue
        if cluster.shows(happened.target):
            yield at, happened


def _timeline(cluster: Cluster, run: Simulation, *, wide: bool) -> Table:
    start = cluster.options.now
    rows = []
    for at, group in groupby(_shown(cluster, run), key=lambda item: item[0]):
        happened = [item for _, item in group if wide or not isinstance(item, UpdateStatus)]
        rows += [
            (f"+{format_duration(at - start)}", line.word, line.target, line.why)
            for line in lines(happened, run.snapshot, wide=wide)
        ]
    return Table(("TIME", "WHAT", "OBJECT", "WHY"), rows, coloured="WHAT")


def _outcome(cluster: Cluster, run: Simulation, *, wide: bool) -> list[Table]:
    """The workloads that nothing else owns, and the claims; with ``wide``, all."""
    tables = []
    for kind in _WORKLOADS:
        objects = [
            obj
            for (namespace, _), obj in sorted(run.snapshot.table(kind).items())
            if cluster.options.namespace in ("", namespace)
            and (wide or not any(owner.controller for owner in obj.metadata.owner_references))
        ]
        if objects:
            tables.append(object_table(objects, now=run.now, wide=wide, namespaces=True, kinds=True))
    return tables


def _data(cluster: Cluster, run: Simulation, *, objects: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "start": format_micro_time(cluster.options.now),
        "end": format_micro_time(run.now),
        "settled": run.settled,
        "timeline": [
            {
                "time": format_micro_time(at),
                "action" if isinstance(happened, Action) else "event": happened.to_dict(),
            }
            for at, happened in run.timeline
            if cluster.shows(happened.target)
        ],
        "notes": [note.to_dict() for note in run.notes if cluster.shows(note.target)],
    }
    if objects:
        data["objects"] = [dump(obj) for obj in run.snapshot]
    return data


def _last_line(cluster: Cluster, run: Simulation, waiting: list[Note]) -> str:
    verbs = [item.verb for _, item in run.timeline if isinstance(item, Action) and cluster.shows(item.target)]
    passed = format_duration(run.now - cluster.options.now)
    parts = [f"Settled after {passed}" if run.settled else f"Not settled after {passed}"]
    parts += [f"{many(len(verbs), 'action')}: {counted(verbs)}"] if verbs else []
    parts += [f"{len(waiting)} waiting"] if waiting else []
    return "; ".join(parts)
