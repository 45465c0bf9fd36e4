"""``reconciler up``, and kubectl's commands for what it runs: get, describe, logs, events, scale, delete."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli import exits
from reconciler.cli.cluster import Cluster, kinds_of, listed, require, targets
from reconciler.cli.options import Duration, common, manifests, no_headers, output
from reconciler.cli.printers import object_name, object_table
from reconciler.cli.results import show_tables
from reconciler.cli.stores import StoreChoice, state_dir_option, store_options
from reconciler.cli.tables import echo
from state.times import SECOND

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@click.command(
    epilog=exits.epilog(
        "reconciler up -f examples/web.yaml\n"
        "reconciler up -f examples/ --keep --until ready\n"
        "reconciler up -f web.yaml --for 30s --until ready --state-dir run/\n"
        "reconciler up -f web.yaml --kubeconfig web.kubeconfig"
    )
)
@manifests("names", "run", required=True)
@state_dir_option
@store_options("STATE-DIR/state.db")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Serve the Kubernetes API over TLS here; 0 takes any free port."
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The same, and kubectl's configuration for it is written when it is ready.",
)
@click.option(
    "--node-name",
    "node",
    default="",
    metavar="NAME",
    help="What this node is called; several on one etcd need several names.  [default: the machine's]",
)
@click.option("--keep", is_flag=True, help="Leave the pods running at the end; the next up finds them.")
@click.option("--until", type=click.Choice(["ready"]), help="End as soon as everything runs.")
@click.option("--for", "limit", type=Duration(), metavar="DURATION", help="End after 30s, 5m, ...")
@common
def up(
    *,
    names: tuple[str, ...],
    state_dir: str,
    chosen: StoreChoice,
    port: int | None,
    kubeconfig: Path | None,
    node: str,
    keep: bool,
    until: str | None,
    limit: int | None,
) -> int:
    """Run manifests for real on this machine, until Ctrl-C.

    Containers are processes, started from their command; services are served on addresses of 127.0.0.0/8; claims are
    directories. Changed files are rolled out, and what is gone from them is deleted. Whatever dies is started again.

    Ctrl-C ends everything in order and keeps the data of claims; a second one kills what still runs. After a crash of
    this program itself its pods go on running, and the next up with the same state directory takes them over.

    Without --store the state is in a file of the state directory. Several of this command on one etcd are the nodes of
    one cluster: each runs the pods that are bound to its own, and one of them decides.

    With --until ready the exit status is 1 if it isn't ready after --for.
    """
    from reconciler.cli.screen import Lines, Screen  # noqa: PLC0415 - for up alone
    from reconciler.live.run import Options, run  # noqa: PLC0415

    seconds = None if limit is None else limit / SECOND
    options = Options(
        names,
        state_dir,
        lambda directory: chosen.or_else(f"sqlite:{directory.store}").open(),
        terms=chosen.terms(),
        node=node,
        port=port,
        kubeconfig=kubeconfig,
        keep=keep,
        until_ready=until == "ready",
        seconds=seconds,
    )
    title = f"reconciler up -f {' -f '.join(names)}    Ctrl-C stops it"
    with Screen(title) if sys.stdout.isatty() else Lines() as view:
        return exits.OK if run(options, view) else exits.FAILED


def _namespace(command: FunctionT) -> FunctionT:
    return click.option("-n", "--namespace", default="default", show_default=True, metavar="NAME")(command)


def _all_namespaces(command: FunctionT) -> FunctionT:
    return click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Those of all namespaces.")(command)


@click.command(
    epilog=exits.epilog(
        "reconciler get pods\n"
        "reconciler get deploy,rs,svc -A -o wide\n"
        "reconciler get pod/web-0 -o yaml\n"
        "reconciler get pods -l app=web -w"
    )
)
@click.argument("words", nargs=-1, required=True, metavar="TYPE[,TYPE...] [NAME...] | TYPE/NAME...")
@_namespace
@_all_namespaces
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only objects with these labels.")
@output("wide", "json", "yaml", "name")
@no_headers
@click.option("-w", "--watch", is_flag=True, help="Go on with a row for every change, until Ctrl-C.")
@state_dir_option
@common
def get(
    *,
    words: tuple[str, ...],
    namespace: str,
    everywhere: bool,
    selector: str,
    form: str | None,
    no_headers: bool,
    watch: bool,
    state_dir: str,
) -> int:
    """List objects of what runs, as kubectl does."""
    from reconciler.cli.get import Listing, follow, show  # noqa: PLC0415

    where = None if everywhere else namespace
    listing = Listing(words, where, selector, form or "", headers=not no_headers)
    cluster = Cluster(state_dir)
    if watch:
        follow(listing, cluster.watch())
        return exits.OK
    return show(listing, cluster.state())


@click.command(epilog=exits.epilog("reconciler describe pod/web-0\nreconciler describe deployment web -n shop"))
@click.argument("words", nargs=-1, required=True, metavar="TYPE [NAME...] | TYPE/NAME...")
@_namespace
@state_dir_option
@common
def describe(words: tuple[str, ...], namespace: str, state_dir: str) -> int:
    """Tell everything about objects of what runs, with their events."""
    from reconciler.cli.describe import described  # noqa: PLC0415

    snapshot = Cluster(state_dir).state()
    if len(words) == 1 and "/" not in words[0]:
        objects = listed(kinds_of(words[0], snapshot), snapshot, namespace=namespace, selector="")
    else:
        objects = [require(key, snapshot) for key in targets(words, namespace, snapshot)]
    now = time.time_ns() // 1_000
    echo("\n\n\n".join("\n".join(described(obj, snapshot, now)) for obj in objects).splitlines())
    return exits.OK


@click.command(
    epilog=exits.epilog(
        "reconciler logs web-0\n"
        "reconciler logs -f deployment/web --tail 20\n"
        "reconciler logs web-0 -c sidecar --previous --timestamps"
    )
)
@click.argument("target", metavar="POD | TYPE/NAME")
@_namespace
@click.option("-c", "--container", default="", metavar="NAME", help="Which container; the first one if not said.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the container ends.")
@click.option("-p", "--previous", is_flag=True, help="The log of the container's instance before this one.")
@click.option("--tail", type=click.IntRange(min=-1), default=-1, help="Only so many of the last lines.")
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@state_dir_option
@common
def logs(
    *,
    target: str,
    namespace: str,
    container: str,
    follow: bool,
    previous: bool,
    tail: int,
    timestamps: bool,
    state_dir: str,
) -> int:
    """Print what a container wrote, as kubectl does."""
    from reconciler.cli.logs import Log  # noqa: PLC0415

    log = Log(Cluster(state_dir), target, namespace, container, previous=previous)
    for line in log.lines(follow=follow, tail=None if tail < 0 else tail, timestamps=timestamps):
        click.echo(line)
    return exits.OK


@click.command(epilog=exits.epilog("reconciler events\nreconciler events -A --for pod/web-0"))
@_namespace
@_all_namespaces
@click.option("--for", "about", default="", metavar="TYPE/NAME", help="Only those about this object.")
@no_headers
@state_dir_option
@common
def events(namespace: str, everywhere: bool, about: str, no_headers: bool, state_dir: str) -> int:
    """List what happened, the oldest first."""
    from reconciler.cli.get import events_of  # noqa: PLC0415
    from reconciler.live.events import in_order  # noqa: PLC0415
    from state.objects import Event  # noqa: PLC0415

    snapshot = Cluster(state_dir).state()
    if about:
        found = [event for key in targets((about,), namespace, snapshot) for event in events_of(key, snapshot)]
    else:
        every = listed(("Event",), snapshot, namespace=None if everywhere else namespace, selector="")
        found = in_order(event for event in every if isinstance(event, Event))
    if not found:
        click.echo("No events found.", err=True)
        return exits.OK
    table = object_table(found, now=time.time_ns() // 1_000, namespaces=everywhere)
    show_tables([table], headers=not no_headers)
    return exits.OK


@click.command(epilog=exits.epilog("reconciler scale deployment/web --replicas 5"))
@click.argument("words", nargs=-1, required=True, metavar="TYPE NAME... | TYPE/NAME...")
@click.option("--replicas", type=click.IntRange(min=0), required=True)
@_namespace
@state_dir_option
@common
def scale(words: tuple[str, ...], replicas: int, namespace: str, state_dir: str) -> int:
    """Set how many pods a workload that runs is to have, until its manifest says otherwise."""
    _command(words, namespace, state_dir, {"verb": "scale", "replicas": replicas}, "scaled")
    return exits.OK


@click.command(epilog=exits.epilog("reconciler delete pod/web-0\nreconciler delete pod web-0 web-1 --grace-period 1"))
@click.argument("words", nargs=-1, required=True, metavar="TYPE NAME... | TYPE/NAME...")
@click.option("--grace-period", type=click.IntRange(min=0), help="Seconds that a pod gets to end; its own if not said.")
@click.option(
    "--cascade",
    type=click.Choice(["background", "foreground", "orphan"]),
    help="What becomes of the objects that it owns.  [default: background]",
)
@_namespace
@state_dir_option
@common
def delete(
    words: tuple[str, ...], grace_period: int | None, cascade: str | None, namespace: str, state_dir: str
) -> int:
    """Delete objects of what runs. What is in a manifest comes back when the manifests change."""
    policy = None if cascade is None else cascade.capitalize()
    _command(words, namespace, state_dir, {"verb": "delete", "policy": policy, "grace_period": grace_period}, "deleted")
    return exits.OK


def _command(words: tuple[str, ...], namespace: str, state_dir: str, message: dict[str, Any], done: str) -> None:
    """Has the reconciler do something about each object, and says what was done."""
    with Cluster(state_dir).client() as client:
        snapshot = client.state()
        keys = targets(words, namespace, snapshot)
        if not keys:
            raise click.UsageError("no object is named: expected TYPE NAME... or TYPE/NAME...")
        for key in keys:
            name = object_name(require(key, snapshot))
            client.ask({**message, "target": str(key)})
            click.echo(f"{name} {done}")
