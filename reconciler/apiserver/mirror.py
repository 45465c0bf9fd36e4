"""A workspace that is kept equal to the objects of a store: list and watch come in, what changes here goes back.

Rules and hands change the workspace at once, and what they changed is stored afterwards, each write on the condition
that nobody else was there before. So a slow watch never makes anybody do something twice: what was done is in the
workspace already, and the echo of it, when it comes, is known by its revision. Where somebody else was faster the store
is right: its version comes into the workspace, and whoever works on it looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from reconciler.apiserver import wire
from reconciler.apiserver.storage import CorruptError, Storage
from state.objects import AnyObject, Job, ResourceQuota
from state.snapshot import Change, Key, Snapshot
from state.store.layout import ROOT
from state.store.records import ABSENT, Entry, Event, Refused, TooLargeError, Write, check
from state.workspace import Workspace

log = structlog.get_logger("reconciler")


class Mirror:
    """The objects of a store in a workspace. For one thread; ``close`` it at the end.

    Objects of kinds that nobody serves, and what is no object at all, stay in the store and are left alone. After a
    ``StoreError`` nobody knows what was written: the mirror is of no use any more, and a new one finds out.

    Args:
        storage: the store.
        on_ready: see ``Store.watch``.
        write: instead of ``Store.write``, for somebody who may not always write.
    """

    def __init__(
        self,
        storage: Storage,
        on_ready: Callable[[], None] | None = None,
        write: Callable[[Sequence[Write]], Sequence[Entry | Refused]] | None = None,
    ) -> None:
        self._storage = storage
        self._write = write or storage.store.write
        page = storage.store.list(ROOT)
        #: The revision of each object that the workspace has.
        self._revisions: dict[Key, int] = {}
        #: What the store held at first.
        self.snapshot = Snapshot.of(self._objects(page.entries), page.revision)
        self._watch = storage.store.watch(ROOT, page.revision, on_ready=on_ready)
        self._ws: Workspace | None = None
        #: What the workspace has changed and the store doesn't have yet, in the order of changing.
        self._changed: list[Change] = []
        self._is_observing = False

    def _objects(self, entries: Iterable[Entry]) -> Iterator[AnyObject]:
        for entry in entries:
            found = self._decoded(entry)
            if found is not None:
                self._revisions[Key.of(found)] = entry.revision
                yield found

    def attach(self, ws: Workspace) -> None:
        """Keeps a workspace, which was made of ``snapshot``, equal to the store from now on."""
        self._ws = ws
        ws.listen(self._note)

    def _note(self, change: Change) -> None:
        if not self._is_observing:
            self._changed.append(change)

    def close(self) -> None:
        """Ends the watch."""
        self._watch.close()

    def _decoded(self, entry: Entry) -> AnyObject | None:
        resource = self._storage.registry.of_key(entry.key)
        if resource is None:
            return None
        try:
            return self._storage.object_of(resource, entry)
        except CorruptError as error:
            log.error("what the store holds is no object and is left alone", cause=str(error))
            return None

    # -- from the store ------------------------------------------------------------------------------------------------

    def pull(self, timeout: float | None = 0.0) -> int:
        """Brings what is new in the store into the workspace; waits for it up to ``timeout`` seconds. Says how many
        changes the store has seen, be they those that were written here. What was changed here has to be pushed before:
        pulled over, it would be written as if it knew the news.

        Raises:
            StoreError: the store can't be read, or the mirror was left too far behind.
            ValueError: the mirror was closed.
        """
        assert not self._changed, "pushed before the next pull"
        events = self._watch.read(timeout)
        self._observe([change for event in events if (change := self._news(event)) is not None])
        return len(events)

    def _news(self, event: Event) -> Change | None:
        """What an event says that isn't known already."""
        resource = self._storage.registry.of_key(event.key)
        if resource is None:
            return None
        key = Key(resource.table, *resource.place(event.key))
        if event.revision <= self._revisions.get(key, ABSENT if event.value is not None else event.revision):
            return None
        if event.value is None:
            self._storage.forget(event.key, event.revision)
            del self._revisions[key]
            return Change(key, None, None)
        found = self._decoded(Entry(event.key, event.value, event.revision))
        if found is None:
            return None
        self._revisions[key] = event.revision
        return Change(key, None, found)

    def _observe(self, changes: Sequence[Change]) -> None:
        assert self._ws is not None, "no workspace is attached"
        self._is_observing = True
        try:
            self._ws.observe(changes)
        finally:
            self._is_observing = False

    # -- to the store --------------------------------------------------------------------------------------------------

    def push(self) -> bool:
        """Stores what the workspace has changed, in order. What is refused is taken back, and what follows a refused
        write of the same object isn't tried; of a Job and its pods, which it counts, nothing that follows. Says whether
        there was anything to be stored.

        Raises:
            StoreError: some of it may have been written, or nothing.
        """
        changes, self._changed = self._changed, []
        refused = self._push_charges(changes)
        batch: dict[Key, Write] = {}
        #: By Job, which of its pods are in the batch.
        counted: dict[Key, list[Key]] = {}
        #: Jobs of which something was refused.
        doubtful: set[Key] = set()
        for change in changes:
            key = change.key
            if key.kind == ResourceQuota.kind or self._storage.reported.take(change):
                continue
            job = _job_of(change)
            if key in batch or key in counted or job in batch:
                refused |= self._flush(batch)
                doubtful |= {each for each, pods in counted.items() if not refused.isdisjoint(pods)}
                batch, counted = {}, {}
            if key in refused or (write := self._write_of(change)) is None:
                continue
            if key in doubtful or job in doubtful or job in refused:
                self._take_back(key, self._storage.store.get(write.key))
                refused.add(key)
                continue
            batch[key] = write
            if job is not None:
                counted.setdefault(job, []).append(key)
        self._flush(batch)
        return bool(changes)

    def _push_charges(self, changes: Sequence[Change]) -> set[Key]:
        """Stores quotas as they are in the end, before what was charged to them; where one is refused, because somebody
        else was charged meanwhile, nothing new is stored in its namespace. Returns what isn't to be tried any more.
        """
        quotas = {change.key: change for change in changes if change.key.kind == ResourceQuota.kind}
        if not quotas:
            return set()
        writes = {key: write for key, change in quotas.items() if (write := self._write_of(change)) is not None}
        closed = {key.namespace for key in self._flush(writes)}
        new = {change.key for change in changes if change.old is None and change.key.namespace in closed}
        new = {key for key in new if key not in self._revisions and key not in quotas}
        for key in sorted(new):
            self._take_back(key, None)
        return new

    def _write_of(self, change: Change) -> Write | None:
        key, _, new = change
        resource = self._storage.registry.of_table(key.kind)
        if resource is None:
            return None
        at = resource.key(key.namespace, key.name)
        known = self._revisions.get(key, ABSENT)
        if new is not None:
            return Write(at, wire.encode(new), known)
        return None if known == ABSENT else Write(at, None, known)

    def _flush(self, batch: dict[Key, Write]) -> set[Key]:
        """Stores writes to different objects; returns those that were refused."""
        refused = {key for key, write in batch.items() if self._is_too_large(key, write)}
        tried = {key: write for key, write in batch.items() if key not in refused}
        results = self._write(list(tried.values()))
        for (key, write), result in zip(tried.items(), results, strict=True):
            if isinstance(result, Refused):
                refused.add(key)
                self._take_back(key, result.current)
            elif write.value is None:
                self._storage.forget(write.key, result.revision)
                self._revisions.pop(key, None)
            else:
                self._revisions[key] = result.revision
        return refused

    def _is_too_large(self, key: Key, write: Write) -> bool:
        """Whether no store takes this write, which then is taken back."""
        try:
            check(write)
        except TooLargeError as error:
            log.error("an object is too large to be stored", object=str(key), cause=str(error))
            self._take_back(key, self._storage.store.get(write.key))
            return True
        return False

    def _take_back(self, key: Key, current: Entry | None) -> None:
        """Takes over what the store has instead of what was to be written."""
        found = None if current is None else self._decoded(current)
        if current is None or found is None:
            self._revisions.pop(key, None)
        else:
            self._revisions[key] = current.revision
        self._observe([Change(key, None, found)])


def _job_of(change: Change) -> Key | None:
    """The Job that what was changed belongs to."""
    obj = change.old if change.new is None else change.new
    owners = () if obj is None else obj.metadata.owner_references
    return next((Key(each.kind, change.key.namespace, each.name) for each in owners if each.kind == Job.kind), None)
