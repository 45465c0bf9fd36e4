"""kubectl's columns of each kind, as its ``-o wide`` and the API server's tables have them."""

from __future__ import annotations

from reconciler.printers import cluster, network, pods, policies, storage, untyped, workloads
from reconciler.printers.cells import since
from reconciler.printers.columns import Columns, columns
from reconciler.printers.pods import PodState, pod_state
from state.objects import AnyObject

__all__ = ["Columns", "PodState", "columns", "pod_state", "printer_of", "since"]


def _name_and_age(obj: AnyObject, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, since(obj.metadata.creation_timestamp, now))


_ANY_KIND = columns("NAME,AGE", _name_and_age)
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
