"""``reconciler serve``: the API server with its controllers, for kubectl and every other client."""

from __future__ import annotations

import gc
import queue
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import TextIO

import click

from reconciler.cli import exits
from reconciler.cli.options import common
from reconciler.cli.stores import StoreChoice, state_dir_option, store_options
from reconciler.cli.tables import echo
from rules.services import CLUSTER_CIDR, own_ranges

#: New objects after which the garbage collector looks at them.
_YOUNG = 20_000
#: After so many seconds an orderly end doesn't wait for the store any more.
_STOP_SECONDS = 4.0


def _cidrs(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """One range, or one of each family."""
    cidrs = tuple(text.split(","))
    try:
        own_ranges(cidrs)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return cidrs


@click.command(
    epilog=exits.epilog(
        "reconciler serve --port 6443 --kubeconfig admin.kubeconfig\n"
        "reconciler serve --store memory: --port 0 --kubeconfig admin.kubeconfig &\n"
        "reconciler serve --store etcd://127.0.0.1:2379 --certificates keys --port 6444\n"
        "kubectl --kubeconfig admin.kubeconfig get namespaces"
    )
)
@state_dir_option
@store_options("STATE-DIR/serve.db")
@click.option("--port", default=6443, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option(
    "--service-cidr",
    "cidrs",
    default=CLUSTER_CIDR,
    show_default=True,
    callback=_cidrs,
    metavar="CIDR[,CIDR]",
    help="Where cluster IPs come from; the first family is that of Services that don't say.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen; loopback, unless said."
)
@click.option(
    "--certificates",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keeps the server's certificate authority and keys.  [default: STATE-DIR/certificates]",
)
@click.option(
    "--token-auth-file",
    "tokens",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help='Bearer tokens: token,user,uid,"group1,group2" a line.',
)
@click.option(
    "--audit-log-path",
    "audit",
    type=click.File("a", encoding="utf-8"),
    metavar="FILE",
    help="Gets a line of JSON for every change and every refusal; - is the standard output.",
)
@click.option("--http", "is_plain", is_flag=True, help="Plain HTTP for everybody, without any checks; loopback only.")
@click.option(
    "--kubeconfig", "path", type=click.Path(path_type=Path), metavar="FILE", help="Written when the server is ready."
)
@common
def serve(
    *,
    state_dir: str,
    chosen: StoreChoice,
    host: str,
    port: int,
    cidrs: tuple[str, ...],
    folder: Path | None,
    tokens: Path | None,
    audit: TextIO | None,
    is_plain: bool,
    path: Path | None,
) -> int:
    """Serve the Kubernetes API, with controllers and scheduler behind it, until Ctrl-C or SIGTERM."""
    from reconciler.apiserver.auth_server import Security  # noqa: PLC0415 - for serve alone
    from reconciler.apiserver.auth_tokens import FixedTokens  # noqa: PLC0415
    from reconciler.apiserver.connections import allow_many  # noqa: PLC0415
    from reconciler.apiserver.kubeconfig import write  # noqa: PLC0415
    from reconciler.apiserver.server import Server  # noqa: PLC0415
    from reconciler.live.directory import StateDirectory  # noqa: PLC0415

    gc.set_threshold(_YOUNG, 20, 20)  # of what is made, little is ever in a cycle
    if is_plain and not _is_loopback(host):
        raise click.UsageError(f"--http is for loopback only, found --host {host}")
    allow_many()
    terms = chosen.terms()
    wait = _signalled()
    directory = StateDirectory(state_dir)
    if not chosen.store:
        directory.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with chosen.or_else(f"sqlite:{directory.served}").open() as store, ExitStack() as end:
        security = None
        if not is_plain:
            fixed = None if tokens is None else FixedTokens.read(tokens)
            now = time.time_ns() // 1000
            keys = folder or directory.certificates
            security = Security(keys, now, hosts=(host,), tokens=fixed, audit=audit)
        server = Server(store, host=host, port=port, cidrs=cidrs, terms=terms, security=security, audit=audit)
        server.control.on_begin = gc.freeze  # what there is then stays and needn't be looked through
        # who still waits for a store that doesn't answer gives up when it is closed
        hurry = threading.Timer(_STOP_SECONDS, store.close)
        end.callback(hurry.cancel)
        end.enter_context(server)
        end.callback(hurry.start)
        echo([server.url])
        if path is not None:
            write(server.http.kubeconfig, path)
        wait()
    return exits.OK


def _signalled() -> Callable[[], object]:
    """Waits for the first SIGINT or SIGTERM, from now on; one more ends the process at once."""
    came = queue.SimpleQueue[int]()  # a handler may run in the middle of the wait, where an Event's lock is held
    numbers = (signal.SIGINT, signal.SIGTERM)

    def note(which: int, _: object) -> None:
        came.put(which)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, note)
    return came.get


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
