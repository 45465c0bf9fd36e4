"""A view with some objects replaced or gone, for asking what would be."""

from __future__ import annotations

from collections.abc import Mapping

from rules.scheduling.cluster import NsName, View
from state.objects import Object


class Overlay:
    """Another view with changes of its own; the other one isn't touched."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tables: dict[str, dict[NsName, object]] = {}

    def table(self, kind: str) -> Mapping[NsName, object]:
        """All objects of a kind, changes included."""
        return self._tables.get(kind) or self._view.table(kind)

    def put(self, obj: Object) -> None:
        """Adds or replaces an object."""
        self._own(obj.kind)[(obj.metadata.namespace, obj.metadata.name)] = obj

    def drop(self, obj: Object) -> None:
        """Removes an object."""
        self._own(obj.kind).pop((obj.metadata.namespace, obj.metadata.name), None)

    def _own(self, kind: str) -> dict[NsName, object]:
        if kind not in self._tables:
            self._tables[kind] = dict(self._view.table(kind))
        return self._tables[kind]
