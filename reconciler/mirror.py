"""A workspace that is kept equal to a store: list, then watch, and each object is decoded once.

Rules change the workspace at once, and what they changed is written to the store afterwards, each object on condition
that nobody else changed it meanwhile. So a slow watch never makes a rule do something twice: what it did is in the
workspace already, and the echo of it, when it comes, is known by its revision. Where somebody else was faster the store
is right: its version comes into the workspace, and the rules look again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.api import Reconciler, Time
from reconciler.plan import Plan
from state.convert import PodSpecs
from state.errors import InvalidObject
from state.objects import AnyObject, replace
from state.snapshot import Change, Delta, Key, Snapshot
from state.store import ABSENT, CompactedError, Entry, Event, Refused, Store, StoreError, TooLargeError, Write
from state.store.layout import ROOT, decode, encode, path_of
from state.store.records import check
from state.workspace import Workspace


class _Held(NamedTuple):
    """What the store holds, as far as is known here."""

    key: Key
    object: AnyObject
    revision: int


class _Echo(NamedTuple):
    """An object that the workspace holds, and what the store holds for it after all."""

    key: Key
    object: AnyObject
    stored: AnyObject | None


class Pushed(NamedTuple):
    """What came of a ``push``: how many writes were done, and which were refused; those will be decided anew."""

    written: int
    refused: tuple[StoreError, ...]


class Mirror:
    """The objects of a store in memory. For one thread; ``close`` it at the end.

    Use::

        mirror = Mirror(store)
        loop = Reconciler(observed=mirror.snapshot())
        mirror.attach(loop.ws)
        while True:
            mirror.pull(timeout=1)
            plan = turn(loop, mirror, now)
    """

    def __init__(self, store: Store, *, prefix: str = ROOT) -> None:
        self._store = store
        self._prefix = prefix
        self._specs = PodSpecs()
        self._ws: Workspace | None = None
        self._observing = False
        self._held: dict[str, _Held] = {}
        #: The revision of deletions that the watch may not have told yet.
        self._gone: dict[str, int] = {}
        #: What the workspace has changed and the store doesn't have yet, in the order of changing.
        self._changed: dict[str, Key] = {}
        self._echoes: list[_Echo] = []
        #: What refused writes told of the store.
        self._news: list[Event] = []
        self._is_doubtful = False
        #: Values that are no objects, by their keys in the store. What they were before stays.
        self.unreadable: dict[str, InvalidObject] = {}
        page = store.list(prefix)
        self._watch = store.watch(prefix, page.revision)
        for entry in page.entries:
            self._take_over(entry)

    def close(self) -> None:
        """Ends the watch."""
        self._watch.close()

    @property
    def revision(self) -> int:
        """The store's revision up to which everything is known here."""
        return self._watch.revision

    def snapshot(self) -> Snapshot:
        """What the store holds, as far as is known."""
        return Snapshot.of((held.object for held in self._held.values()), self.revision)

    def attach(self, ws: Workspace) -> None:
        """Keeps this workspace equal to the store from now on, and no other.

        What the store has more comes into it. What it has more than the store is written by the next ``push``; but of
        a workspace that takes another one's place (after a failed step, ``Reconciler.ws`` is a new one) it is dropped:
        it is older than what is known of the store.
        """
        if ws is self._ws:
            return
        is_first = self._ws is None
        self._ws = ws
        self._changed.clear()
        self._echoes.clear()
        held = {held.key: held.object for held in self._held.values()}
        known = {Key(kind, *name): obj for kind in ws.kinds for name, obj in ws.table(kind).items()}
        extra = sorted(known.keys() - held.keys())
        if is_first:
            self._changed.update((path_of(key), key) for key in extra)
            extra = []
        differing = [Change(key, known.get(key), obj) for key, obj in held.items() if known.get(key) is not obj]
        self._observe([*differing, *(Change(key, known[key], None) for key in extra)])
        ws.listen(lambda change: self._touch(ws, change.key))

    def _touch(self, ws: Workspace, key: Key) -> None:
        if ws is self._ws and not self._observing:
            self._changed[path_of(key)] = key

    # -- from the store ------------------------------------------------------------------------------------------------

    def pull(self, timeout: float | None = 0) -> Delta:
        """Brings what is new in the store into the workspace, and returns it; waits for it up to ``timeout`` seconds.

        Raises:
            StoreUnavailableError: try again later.
        """
        news, self._news = self._news, []
        known = [*self._hear(), *self._learn_all(news)]
        self._observe(known)
        new = self._learn_all(self._read(0 if known else timeout))
        self._observe(new)
        self._gone = {path: revision for path, revision in self._gone.items() if revision > self.revision}
        return (*known, *new)

    def _read(self, timeout: float | None) -> Sequence[Event]:
        if not self._is_doubtful:
            try:
                return self._watch.read(timeout)
            except CompactedError:
                pass  # too far behind: begin anew
        page = self._store.list(self._prefix)
        watch = self._store.watch(self._prefix, page.revision)
        self._watch.close()
        self._watch = watch
        self._is_doubtful = False
        present = {entry.key for entry in page.entries}
        gone = [path for path in self._held if path not in present]
        return [
            *(Event(page.revision, path, None, None) for path in gone),
            *(Event(entry.revision, entry.key, entry.value, None) for entry in page.entries),
        ]

    def _hear(self) -> list[Change]:
        """What came of own writes, for objects that weren't changed again since: above all the revisions they got."""
        echoes, self._echoes = self._echoes, []
        ws = self._ws
        return [Change(*echo) for echo in echoes if ws is not None and ws.get(echo.key) is echo.object]

    def _learn_all(self, events: Sequence[Event]) -> list[Change]:
        return [change for event in events if (change := self._learn(event)) is not None]

    def _learn(self, event: Event) -> Change | None:
        """Takes over what the store says, unless it is known already; whatever is waiting to be written gives way."""
        path, held = event.key, self._held.get(event.key)
        if event.revision <= (self._gone.get(path, 0) if held is None else held.revision):
            return None
        if event.value is None:
            self._gone[path] = event.revision
            self._changed.pop(path, None)
            self.unreadable.pop(path, None)
            return None if self._held.pop(path, None) is None or held is None else Change(held.key, held.object, None)
        new = self._take_over(Entry(path, event.value, event.revision))
        if new is None:
            return None
        self._changed.pop(path, None)
        return Change(new.key, None if held is None else held.object, new.object)

    def _take_over(self, entry: Entry) -> _Held | None:
        try:
            obj = decode(entry.value, entry.revision, self._specs)
        except InvalidObject as error:
            self.unreadable[entry.key] = error
            return None
        self.unreadable.pop(entry.key, None)
        held = self._held[entry.key] = _Held(Key.of(obj), obj, entry.revision)
        return held

    def _observe(self, changes: Sequence[Change]) -> None:
        """Moves the workspace, whose next revision then is the store's next."""
        ws = self._ws
        if ws is None:
            return
        self._observing = True
        try:
            ws.observe(changes)
        finally:
            self._observing = False
        if ws.snapshot.revision != self.revision:
            ws.snapshot = ws.snapshot.apply((), self.revision)

    # -- to the store --------------------------------------------------------------------------------------------------

    def push(self) -> Pushed:
        """Writes what the workspace has changed to the store.

        Raises:
            StoreUnavailableError, StoreFullError: some of it may have been written. The next ``pull`` finds out, and
                the next ``push`` writes the rest.
        """
        refused: list[StoreError] = []
        writes = list(self._writes(refused))
        try:
            results = self._store.write([write for write, _, _ in writes])
        except StoreError:
            self._is_doubtful = True
            raise
        self._changed.clear()
        for (write, key, obj), result in zip(writes, results, strict=True):
            if isinstance(result, Refused):
                refused.append(result)
                self._contradict(write.key, result)
            elif obj is None:
                self._held.pop(write.key, None)
                self._gone[write.key] = result.revision
            else:
                stored = _at_revision(obj, str(result.revision))
                self._held[write.key] = _Held(key, stored, result.revision)
                self._echoes.append(_Echo(key, obj, stored))
        return Pushed(sum(isinstance(result, Entry) for result in results), tuple(refused))

    def _writes(self, refused: list[StoreError]) -> Iterator[tuple[Write, Key, AnyObject | None]]:
        """What leads the store to what the workspace holds."""
        assert self._ws is not None, "no workspace is attached"
        for path, key in self._changed.items():
            new, held = self._ws.get(key), self._held.get(path)
            if new is None:
                if held is not None:
                    yield Write(path, None, held.revision), key, None
                continue
            if held is not None and _at_revision(new, held.object.metadata.resource_version) == held.object:
                continue
            write = Write(path, encode(new), ABSENT if held is None else held.revision)
            try:
                check(write)
            except TooLargeError as error:
                refused.append(error)
                self._echoes.append(_Echo(key, new, None if held is None else held.object))
                continue
            if held is not None and held.object.metadata.uid != new.metadata.uid:
                yield Write(path, None, held.revision), key, None
                write = write._replace(expected=ABSENT)
            yield write, key, new

    def _contradict(self, path: str, refusal: Refused) -> None:
        """Remembers what a refused write told of the store."""
        current, held = refusal.current, self._held.get(path)
        if current is not None:
            self._news.append(Event(current.revision, path, current.value, None))
        elif held is not None:
            self._news.append(Event(held.revision + 1, path, None, None))


def turn(loop: Reconciler, mirror: Mirror, now: Time) -> tuple[Plan, Pushed]:
    """One round of a loop over a store: what is new, what the rules make of it, and back into the store.

    Raises:
        ConsequentError, OscillationError: as ``Reconciler.step``; the loop's new workspace is then the one kept.
        StoreUnavailableError, StoreFullError: as ``Mirror.pull`` and ``Mirror.push``; take another turn later.
    """
    mirror.pull()
    try:
        plan = loop.step(now)
    finally:
        mirror.attach(loop.ws)
    return plan, mirror.push()


def _at_revision(obj: AnyObject, revision: str | None) -> AnyObject:
    return replace(obj, metadata=replace(obj.metadata, resource_version=revision))
