"""What a store is: keys and values with versions, as etcd has them, behind one small interface.

The API server needs no more than this, and an implementation has to say no more than how it reads, how it decides
writes, and how it remembers. Every implementation passes ``state.store.conformance``.

**Revisions** are one counter for the whole store. It starts at 1; each change of one key is the next number, and is the
entry's ``revision`` from then on. History (older lists, watches) is kept until it is compacted.

**Threads**: every method of a store may be called by any thread at any time, and blocks until it is answered. A write
that was answered is seen by every read that begins after it. One watch belongs to one thread at a time; an event loop
takes ``on_ready`` and reads without waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

from state.store.feed import Feed, Part, Watch
from state.store.records import (
    ABSENT,
    CompactedError,
    Entry,
    Event,
    Fence,
    FutureRevisionError,
    Page,
    Refused,
    Write,
    check,
)


class Store(ABC):
    """The interface. Keys are text (``/registry/pods/default/web-0``), ordered by code point; values are bytes."""

    #: Whether several programs can have it at once.
    shared = True
    #: The news, for those who watch. The implementation makes it and feeds it.
    feed: Feed
    #: The revision up to which this process has compacted.
    _compacted = 0

    # -- what an implementation says -----------------------------------------------------------------------------------

    @abstractmethod
    def get(self, key: str) -> Entry | None:
        """What the key holds now, or None."""

    @abstractmethod
    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries whose keys start with a prefix, sorted by key, all as of one revision.

        Args:
            prefix: "" for all.
            revision: as of when; None means now.
            limit: how many at most, and at least 1; the page then says how many remain.
            after: leaves out keys up to this one. The last key of a page, with the page's ``revision``, leads on to the
                next one.

        Raises:
            CompactedError, FutureRevisionError: that revision can't be had.
        """

    @abstractmethod
    def compact(self, revision: int) -> None:
        """Forgets what was before a revision. It can still be listed, and be watched from; older ones can't. Where
        this was done already, nothing happens.

        Raises:
            FutureRevisionError: there is no such revision yet.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the store; whoever waits for a watch is told. Closing twice is fine."""

    @abstractmethod
    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        """Does what ``write`` says; there is at least one, and all are valid."""

    @abstractmethod
    def _history(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        """The events with ``after < revision <= upto``, oldest first: those that ``feed`` doesn't have any more.

        Raises:
            CompactedError: some of them are gone.
        """

    # -- what all have in common ---------------------------------------------------------------------------------------

    def revision(self) -> int:
        """The store's revision now: that of its last change."""
        self.feed.check_open()
        return self.feed.revision

    def compacted(self) -> int:
        """The revision at which history begins; 0 if nothing was compacted yet. Other processes may have compacted
        more: what this one still has in memory doesn't end with that.
        """
        return self._compacted

    def write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        """Makes several changes, each decided on its own, and says of each what came of it: the entry as stored (of a
        deletion: what was deleted, at the revision of the deletion), or why it was refused.

        Writes of one key are done in their order. This is no transaction, it is for speed: a disk is waited for once,
        and not for every write.

        Raises:
            TooLargeError, ValueError: one of them can't be stored anywhere; nothing was done.
            StoreFullError: there is no room; the rest, or all, was not done.
            StoreUnavailableError: nobody knows which were done.
        """
        for write in writes:
            check(write)
        return self._write(writes) if writes else ()

    def create(self, key: str, value: bytes, fence: Fence | None = None) -> Entry:
        """Stores a value under a new key.

        Raises:
            ExistsError: the key exists. Otherwise as ``write``.
            FencedError: the fence isn't as it was.
        """
        return self._one(Write(key, value, ABSENT, fence))

    def update(self, key: str, value: bytes, expected: int | None, fence: Fence | None = None) -> Entry:
        """Replaces a value, if the key is still at the revision ``expected``; None means at any.

        Raises:
            NotFoundError, ConflictError: it isn't. Otherwise as ``write``.
            FencedError: the fence isn't as it was.
        """
        return self._one(Write(key, value, expected, fence))

    def delete(self, key: str, expected: int | None = None) -> Entry:
        """Deletes a key, if it is still at the revision ``expected``; None means at any. Returns what was deleted, at
        the revision of the deletion.

        Raises:
            NotFoundError, ConflictError: it isn't. Otherwise as ``write``.
        """
        return self._one(Write(key, None, expected))

    def _one(self, write: Write) -> Entry:
        (result,) = self.write([write])
        if isinstance(result, Refused):
            raise result
        return result

    def watch(
        self, prefix: str, after: int, *, on_ready: Callable[[], None] | None = None, part: Part | None = None
    ) -> Watch:
        """Every change of keys with a prefix after a revision: each once, in order, without a gap.

        Args:
            prefix: "" for all keys.
            after: the revision of the list that the watcher starts from.
            on_ready: called once when there is something new since the last read, by any thread; it must be quick and
                not call the store. With it an event loop can have thousands of watches.
            part: leaves out most events to which it doesn't give its tag; what is left of them is to be expected.

        Raises:
            CompactedError, FutureRevisionError: there is no watching from there.
        """
        if after > self.feed.revision and after > (current := self.revision()):
            raise FutureRevisionError(after, current)
        compacted = self.compacted()
        if after < compacted:
            raise CompactedError(after, compacted)
        return self.feed.watch(prefix, after, self._history, on_ready, part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
