"""Objects that are served as they were reported last, and never stored: the metrics API.

In Kubernetes another server has them (metrics-server, which the aggregation layer leads to); here whoever runs the pods
reports them in the workspace. The API group is there as soon as something was reported.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import count
from threading import Lock

from reconciler.apiserver import wire
from reconciler.apiserver.resources import Registry, Resource
from state.objects import AnyObject
from state.snapshot import Change
from state.store.records import Entry, Page

_READ = ("get", "list")
_GROUP, _VERSION = "metrics.k8s.io", "v1beta1"


def _resource(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(_GROUP, _VERSION, plural, kind, namespaced, verbs=_READ, is_reported=True)


_RESOURCES = {
    each.table: each
    for each in (
        _resource("nodes", "NodeMetrics", namespaced=False),
        _resource("pods", "PodMetrics", namespaced=True),
    )
}


class Reported:
    """The latest reports, in the form of a store's entries. Usable from any thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._entries: dict[str, Entry] = {}
        self._numbers = count(1)

    def take(self, change: Change) -> bool:
        """Takes over what was reported, and says whether it is a report at all. A kind that a definition serves is
        that definition's.
        """
        resource = self._registry.of_table(change.key.kind) or _RESOURCES.get(change.key.kind)
        if resource is None or change.key.kind not in _RESOURCES or resource.is_custom:
            return False
        if change.new is not None and self._registry.of_table(change.key.kind) is None:
            for each in _RESOURCES.values():
                self._registry.add(each)
        self._set(resource.key(change.key.namespace, change.key.name), change.new)
        return True

    def report(self, resource: Resource, obj: AnyObject) -> None:
        """Says what is to be read of an object from now on."""
        self._set(resource.key(obj.metadata.namespace, obj.metadata.name), obj)

    def _set(self, key: str, obj: AnyObject | None) -> None:
        with self._lock:
            if obj is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = Entry(key, wire.encode(obj), next(self._numbers))

    def get(self, key: str) -> Entry | None:
        """The report with a key, or None."""
        return self._entries.get(key)

    def page(self, prefix: str, limit: int | None, after: str, revision: int) -> Page:
        """The reports whose keys start with a prefix, as ``Store.list`` has its entries; there is no history."""
        with self._lock:
            keys = sorted(key for key in self._entries if key.startswith(prefix))
            keys = keys[bisect_right(keys, after) :]
            chosen = keys if limit is None else keys[:limit]
            return Page(tuple(self._entries[key] for key in chosen), revision, len(keys) - len(chosen))
