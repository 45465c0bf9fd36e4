"""What a request brings: an object or a Status, or a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.storage import Storage, Stored
from state.store.records import Entry


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request brought: its code, the object (None for what isn't one) and the bytes that are sent."""

    code: int
    body: bytes
    warnings: tuple[str, ...] = ()
    resource: Resource | None = None
    stored: Stored | None = None

    @property
    def document(self) -> Any:
        """The answer as plain data."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, or a page of one."""

    resource: Resource
    entries: Sequence[Entry]
    revision: int
    token: str = ""
    remaining: int | None = None
    storage: Storage = field(repr=False, kw_only=True)

    @property
    def stored(self) -> list[Stored]:
        """The objects."""
        return [self.storage.stored(self.resource, entry) for entry in self.entries]

    @property
    def meta(self) -> dict[str, Any]:
        """The list's metadata."""
        meta: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if self.token:
            meta["continue"] = self.token
        if self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        return meta

    @property
    def body(self) -> bytes:
        """The list as it is sent."""
        resource = self.resource
        typed = resource.type is not None
        items = (wire.list_item(entry.value, entry.revision, typed=typed) for entry in self.entries)
        return wire.list_of(resource.kind, resource.api_version, self.meta, items)

    @property
    def document(self) -> Any:
        """The list as plain data."""
        return orjson.loads(self.body)
