"""kubectl's columns of each kind, as its ``-o wide`` and the API server's tables have them."""

from __future__ import annotations

from reconciler.printers import cluster, network, pods, policies, storage, untyped, workloads
from reconciler.printers.cells import since
from reconciler.printers.columns import Columns, columns
from reconciler.printers.pods import pod_state

__all__ = ["pod_state", "printer_of", "since"]


_ANY_KIND = columns("Name,Age", lambda *_: ())
_PRINTERS: dict[str, Columns] = {
    **cluster.PRINTERS,
    **network.PRINTERS,
    **pods.PRINTERS,
    **policies.PRINTERS,
    **storage.PRINTERS,
    **untyped.PRINTERS,
    **workloads.PRINTERS,
}


def printer_of(kind: str) -> Columns:
    """The columns of a kind (``state.objects.kind_key``): name and age if nothing else is known of it."""
    return _PRINTERS.get(kind, _ANY_KIND)
