"""The options of commands that keep their state in a store: which store, and how several programs share it. They are
named as kube-apiserver's and kube-controller-manager's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.options import Duration, gathered
from reconciler.live.directory import DEFAULT
from state.times import SECOND

if TYPE_CHECKING:
    from state.store.base import Store
    from state.store.leader import Terms

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: Revisions of history that a store keeps at most: for watches that come back, and for lists page by page.
KEEP = 20_000
_FILE = click.Path(path_type=Path, dir_okay=False)
_FILES = (
    ("cafile", "Who vouches for etcd: it is spoken to over TLS."),
    ("certfile", "The certificate shown to etcd."),
    ("keyfile", "Its key."),
)
_TERMS = (
    (
        "lease-duration",
        "15s",
        "Of several servers on one etcd, one runs the controllers. Another takes over after this time.",
    ),
    ("renew-deadline", "10s", "After this time without etcd it stops to act."),
    ("retry-period", "2s", "How often it renews its lease, and others look."),
)
_DURATION: dict[str, Any] = {"type": Duration(), "show_default": True, "metavar": "DURATION"}


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """A store and what was said about its use; durations in µs."""

    store: str
    etcd_cafile: Path | None
    etcd_certfile: Path | None
    etcd_keyfile: Path | None
    leader_elect_lease_duration: int
    leader_elect_renew_deadline: int
    leader_elect_retry_period: int

    def open(self) -> Store:
        """Opens the store.

        Raises:
            StoreError: that isn't possible.
            OSError: a certificate can't be read.
            click.UsageError: a certificate is missing.
        """
        from state.store.records import Tls  # noqa: PLC0415 - for servers alone
        from state.store.registry import open_store  # noqa: PLC0415

        if (self.etcd_certfile is None) != (self.etcd_keyfile is None):
            raise click.UsageError("--etcd-certfile and --etcd-keyfile are given together or not at all")
        files = (self.etcd_cafile, self.etcd_certfile, self.etcd_keyfile)
        read = [b"" if file is None else file.read_bytes() for file in files]
        return open_store(self.store, keep=KEEP, tls=Tls(*read) if any(files) else None)

    def or_else(self, store: str) -> StoreChoice:
        """The same, with this store where none was named."""
        return self if self.store else replace(self, store=store)

    def terms(self) -> Terms:
        """How long the lease of the one that leads lasts.

        Raises:
            click.UsageError: that makes no sense.
        """
        from state.store.leader import Terms  # noqa: PLC0415 - for servers alone

        try:
            return Terms(
                self.leader_elect_lease_duration // SECOND,
                self.leader_elect_renew_deadline / SECOND,
                self.leader_elect_retry_period / SECOND,
            )
        except ValueError as error:
            raise click.UsageError(f"--leader-elect-…: {error}") from error


def state_dir_option(command: FunctionT) -> FunctionT:
    """The option that says which cluster is meant."""
    return click.option(
        "--state-dir",
        default=DEFAULT,
        show_default=True,
        envvar="RECONCILER_STATE_DIR",
        metavar="DIR",
        help="Where the cluster's state is.",
    )(command)


def store_options(file: str) -> Callable[[FunctionT], FunctionT]:
    """The options; the command gets them as ``chosen``. ``file`` is where the state is by default, as users read it."""
    text = f"memory:, sqlite:PATH or etcd://HOST:PORT[,…].  [default: sqlite:{file}]"
    options = [click.option("--store", default="", metavar="URL", help=text)]
    options += [click.option(f"--etcd-{name}", type=_FILE, metavar="FILE", help=text) for name, text in _FILES]
    options += [
        click.option(f"--leader-elect-{name}", default=default, help=text, **_DURATION)
        for name, default, text in _TERMS
    ]
    return gathered("chosen", StoreChoice, options)
