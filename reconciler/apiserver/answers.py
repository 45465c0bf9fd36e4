"""What a request brings: an object or a Status, or a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.storage import Storage, Stored
from state.store.records import Entry

#: How many items of a list are put together.
PIECE = 250


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
        if self.token or self.resource.is_custom:  # which is a list without a type, and says it in any case
            meta["continue"] = self.token
        if self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        return meta

    @property
    def pieces(self) -> Iterator[bytes]:
        """The list as it is sent, a few hundred kilobytes at a time."""
        resource, entries = self.resource, self.entries
        typed = not resource.is_custom
        yield wire.list_head(resource.kind, resource.api_version, self.meta)
        for start in range(0, len(entries), PIECE):
            some = entries[start : start + PIECE]
            items = b",".join([wire.list_item(entry.value, entry.revision, typed=typed) for entry in some])
            yield b"," + items if start else items
        yield wire.LIST_END

    @property
    def body(self) -> bytes:
        """The list as it is sent."""
        return b"".join(self.pieces)

    @property
    def document(self) -> Any:
        """The list as plain data."""
        return orjson.loads(self.body)
