"""A view with some objects replaced or gone, for asking what would be."""

from __future__ import annotations

from collections.abc import Mapping

from rules.scheduling.cluster import NsName, View
from state.objects import AnyObject, kind_key


class Overlay:
    """Another view with changes of its own; the other one isn't touched."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tables: dict[str, dict[NsName, object]] = {}

    def table(self, kind: str) -> Mapping[NsName, object]:
        """All objects of a kind, changes included."""
        return self._tables[kind] if kind in self._tables else self._view.table(kind)

    def put(self, obj: AnyObject) -> None:
        """Adds or replaces an object."""
        self._own(kind_key(obj))[(obj.metadata.namespace, obj.metadata.name)] = obj

    def drop(self, obj: AnyObject) -> None:
        """Removes an object."""
        self._own(kind_key(obj)).pop((obj.metadata.namespace, obj.metadata.name), None)

    def _own(self, kind: str) -> dict[NsName, object]:
        if kind not in self._tables:
            self._tables[kind] = dict(self._view.table(kind))
        return self._tables[kind]
