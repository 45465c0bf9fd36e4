"""A watch as a client sees it: what there is at first, then every change, bookmarks in between; each a line of JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.options import ListOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.selection import Selection
from reconciler.apiserver.status import expired
from reconciler.apiserver.storage import Storage, Stored
from state.kept import Remembered
from state.objects import Pod
from state.store.feed import Part, Watch
from state.store.records import CompactedError, Entry, Event

#: Seconds between bookmarks, and before the end of a watch at which one is sent.
BOOKMARK_SECONDS = 60.0
_NODE_NAME = re.compile(rb'"nodeName":"([^"\\]*)"')
_END_OF_INITIAL = "k8s.io/initial-events-end"


class WatchEvent:
    """One event. ``stored`` is None for bookmarks and errors; ``object`` is the JSON of any."""

    __slots__ = ("_line", "object", "stored", "type")

    def __init__(self, kind: str, obj: bytes, stored: Stored | None = None) -> None:
        self.type, self.object, self.stored = kind, obj, stored
        self._line = b""

    @property
    def line(self) -> bytes:
        """The event as it is sent."""
        if not self._line:
            self._line = b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.object)
        return self._line


class Told:
    """Events as they were told last, so that of a thousand watches of the same only the first has the work."""

    def __init__(self) -> None:
        self._known = Remembered[tuple[int, str], WatchEvent]()

    def plain(self, kind: str, value: bytes, revision: int) -> WatchEvent:
        """An event whose object nobody has to look at here; a renderer of tables decodes it when it wants it."""
        known = self._known.get((revision, kind))
        if known is None:
            known = WatchEvent(kind, wire.with_revision(value, revision))
            self._known[revision, kind] = known
        return known


def _nodes_of(event: Event) -> set[str]:
    """The nodes that a pod is or was on, and perhaps others."""
    before = b"" if event.previous is None else event.previous.value
    return {name.decode() for value in (event.value or b"", before) for name in _NODE_NAME.findall(value)}


class WatchStream:
    """The events of one client. Belongs to one thread or event loop at a time."""

    def __init__(
        self,
        storage: Storage,
        place: Place,
        chosen: Selection,
        options: ListOptions,
        *,
        told: Told,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        self.resource = resource = place.resource
        namespace = place.namespace
        self.is_over = False
        self._storage, self._chosen, self._told, self._bookmarks = storage, chosen, told, options.bookmarks
        self._first: list[WatchEvent] = []
        self._watch: Watch | None = None
        self._after = 0
        name = chosen.name
        if namespace and resource.namespaced:
            prefix = resource.key(namespace, name) if name else f"{resource.prefix}{namespace}/"
        else:
            prefix = resource.prefix
        self._begin(prefix, namespace, options, on_ready)

    def _begin(self, prefix: str, namespace: str, options: ListOptions, on_ready: Callable[[], None] | None) -> None:
        asked = options.revision
        lists_first = options.initial_events if options.initial_events is not None else not asked
        store = self._storage.store
        if lists_first:
            page = self._storage.page(self.resource, namespace)
            self._first = self._present(page.entries)
            if options.initial_events and options.bookmarks:
                self._first.append(self.bookmark(page.revision, is_initial=True))
            start = page.revision
        else:
            # a revision that is yet to come is waited for
            self._after = asked or 0
            start = min(self._after, store.revision()) if asked else store.revision()
        try:
            self._watch = store.watch(prefix, start, on_ready=on_ready, part=self._part())
        except CompactedError as error:
            self._fail(start, error.compacted)

    def _present(self, entries: Iterable[Entry]) -> list[WatchEvent]:
        if self._chosen.is_everything:
            return [WatchEvent("ADDED", wire.with_revision(entry.value, entry.revision)) for entry in entries]
        stored = (self._storage.stored(self.resource, entry) for entry in entries)
        return [self._event("ADDED", each) for each in stored if self._chosen.matches(each.object)]

    def _fail(self, revision: int, oldest: int) -> None:
        status = expired(f"too old resource version: {revision} ({oldest})").to_dict()
        self._first.append(WatchEvent("ERROR", orjson.dumps(status)))
        self.is_over = True

    def _part(self) -> Part | None:
        """The part of the events that is enough for a selector, if it is one that many watches have: a node's pods."""
        if self.resource.type is not Pod:
            return None
        names = [term.value for term in self._chosen.fields if term.field == "spec.nodeName" and term.equal]
        return Part(_nodes_of, names[0]) if names and names[0] else None

    @property
    def is_slow(self) -> bool:
        """Whether the next read may take its time, however short its timeout."""
        return self._watch is not None and not self._first and self._watch.is_behind

    def read(self, timeout: float | None = 0) -> Sequence[WatchEvent]:
        """What is new since the last read; waits for it up to ``timeout`` seconds (None: as long as it takes).

        Raises:
            StoreUnavailableError: the store was closed.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        if self._watch is None or self.is_over:
            return ()
        try:
            events = self._watch.read(timeout)
        except CompactedError as error:
            self._fail(error.revision, error.compacted)
            return self.read()
        return [told for event in events if event.revision > self._after and (told := self._tell(event)) is not None]

    def _tell(self, event: Event) -> WatchEvent | None:
        if self._chosen.is_everything:
            if event.value is None:
                assert event.previous is not None
                return self._told.plain("DELETED", event.previous.value, event.revision)
            return self._told.plain("ADDED" if event.previous is None else "MODIFIED", event.value, event.revision)
        now = None if event.value is None else Entry(event.key, event.value, event.revision)
        after = None if now is None else self._storage.stored(self.resource, now)
        before = None if event.previous is None else self._storage.stored(self.resource, event.previous)
        is_in = after is not None and self._chosen.matches(after.object)
        was_in = before is not None and self._chosen.matches(before.object)
        if is_in and after is not None:
            return self._event("MODIFIED" if was_in else "ADDED", after)
        if was_in and before is not None:
            last = before if after is None else after
            return self._event("DELETED", last._replace(revision=event.revision))
        return None

    def _event(self, kind: str, stored: Stored) -> WatchEvent:
        return WatchEvent(kind, stored.json, stored)

    def bookmark(self, revision: int | None = None, *, is_initial: bool = False) -> WatchEvent:
        """Says up to where everything has been told."""
        at = revision if revision is not None else self.revision
        meta: dict[str, object] = {"resourceVersion": str(at)}
        if is_initial:
            meta["annotations"] = {_END_OF_INITIAL: "true"}
        obj = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": meta}
        return WatchEvent("BOOKMARK", orjson.dumps(obj))

    @property
    def wants_bookmarks(self) -> bool:
        """Whether the client asked for bookmarks."""
        return self._bookmarks

    @property
    def revision(self) -> int:
        """Up to where everything has been read."""
        return self._after if self._watch is None else max(self._watch.revision, self._after)

    def close(self) -> None:
        """Ends the watch. Closing twice is fine."""
        self.is_over = True
        if self._watch is not None:
            self._watch.close()
            self._watch = None
