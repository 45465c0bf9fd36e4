"""What goes into a store and comes out of it, and what can go wrong. All of it is small, typed and immutable."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from state.errors import StateError

#: What ``Write.expected`` is for a key that must not exist yet.
ABSENT = 0
#: The revision of a store to which nothing was written yet, as etcd's.
FIRST_REVISION = 1
#: Longest value. etcd refuses requests of more than 1.5 MiB; the others keep to that.
MAX_VALUE_BYTES = 1_500_000
#: Longest key: far more than any object's, and short enough for every implementation.
MAX_KEY_BYTES = 4096
#: Sorts behind every key with a given prefix. Unicode says that it stands for no character, and no key may have it.
LAST = "\U0010ffff"


class Entry(NamedTuple):
    """A key and what it holds since a revision."""

    key: str
    value: bytes
    revision: int


class Event(NamedTuple):
    """One change of one key: created if there is no ``previous`` entry, deleted if there is no ``value``."""

    revision: int
    key: str
    value: bytes | None
    previous: Entry | None

    @property
    def entry(self) -> Entry:
        """What a write answers with: the entry as stored, or what was deleted, at the revision of the deletion."""
        if self.value is not None:
            return Entry(self.key, self.value, self.revision)
        assert self.previous is not None
        return self.previous._replace(revision=self.revision)

    @property
    def size(self) -> int:
        """Bytes of content."""
        previous = 0 if self.previous is None else len(self.previous.value)
        return len(self.key) + len(self.value or b"") + previous


class Tls(NamedTuple):
    """How a store over the network is spoken to, as PEM: ``authority`` vouches for the store (without one, those that
    the system knows), ``certificate`` and ``key`` say who is speaking.
    """

    authority: bytes = b""
    certificate: bytes = b""
    key: bytes = b""


class Page(NamedTuple):
    """A list as of ``revision``, or a part of one of which ``remaining`` more entries follow."""

    entries: tuple[Entry, ...]
    revision: int
    remaining: int = 0


class Fence(NamedTuple):
    """Another key that must still be at a revision when a write is done. Whoever changes that key shuts out all who
    rely on what it was, wherever they run and whatever they have under way.
    """

    key: str
    revision: int


class Write(NamedTuple):
    """One change to be made: a value of None deletes the key.

    ``expected`` is the condition: a revision that the key must be at, ``ABSENT`` for a key that must not exist, or None
    for one that must exist at any revision. ``fence`` is a second one.
    """

    key: str
    value: bytes | None
    expected: int | None
    fence: Fence | None = None


class StoreError(StateError):
    """The root of what a store raises."""


class Refused(StoreError):  # noqa: N818 - it is a result as well as an error
    """A write was decided against; the key is as it was. ``current`` is what it holds, None if it doesn't exist."""

    def __init__(self, key: str, message: str, current: Entry | None = None) -> None:
        self.key = key
        self.current = current
        super().__init__(message)


class NotFoundError(Refused):
    """The key doesn't exist."""

    def __init__(self, key: str) -> None:
        super().__init__(key, f"{key} doesn't exist")


class ExistsError(Refused):
    """The key exists already."""

    def __init__(self, current: Entry) -> None:
        super().__init__(current.key, f"{current.key} exists already, at revision {current.revision}", current)


class ConflictError(Refused):
    """The key was changed since the revision that the writer knows."""

    def __init__(self, current: Entry, expected: int) -> None:
        self.expected = expected
        super().__init__(
            current.key, f"{current.key} is at revision {current.revision}, not at {expected} as expected", current
        )


class FencedError(Refused):
    """The write relied on a fence that has been changed."""

    def __init__(self, key: str, fence: Fence, current: Entry | None) -> None:
        super().__init__(key, f"{key} is not written: {fence.key} is no longer at revision {fence.revision}", current)


class CompactedError(StoreError):
    """What happened after ``revision`` isn't known any more: history begins at ``compacted``."""

    def __init__(self, revision: int, compacted: int) -> None:
        self.revision = revision
        self.compacted = compacted
        super().__init__(f"revision {revision} has been compacted; history begins at {compacted}")


class FutureRevisionError(StoreError):
    """There is no such revision yet."""

    def __init__(self, revision: int, current: int) -> None:
        self.revision = revision
        self.current = current
        super().__init__(f"revision {revision} is in the future; the store is at {current}")


class TooLargeError(StoreError):
    """A key or value is longer than any store takes."""


class StoreFullError(StoreError):
    """There is no room for more. Reads go on, and writes do when there is room again."""


class StoreUnavailableError(StoreError):
    """The store can't be reached, is closed, or its disk fails. Whether a write was done is not known: read it again.

    Unless it is closed it needn't be opened again: the next call may succeed.
    """


def decide(write: Write, current: Entry | None, read: Callable[[str], Entry | None]) -> Refused | None:
    """Why a write is refused, given what its key holds and how to read others; None if it is to be done."""
    fence = write.fence
    if fence is not None:
        held = read(fence.key)
        if held is None or held.revision != fence.revision:
            return FencedError(write.key, fence, current)
    if current is None:
        return None if write.expected == ABSENT else NotFoundError(write.key)
    if write.expected == ABSENT:
        return ExistsError(current)
    if write.expected is not None and write.expected != current.revision:
        return ConflictError(current, write.expected)
    return None


def check(write: Write) -> None:
    """Refuses what no store can take.

    Raises:
        ValueError: it is no key, or makes no sense.
        TooLargeError: it is too long.
    """
    key, value, expected, _ = write
    if not key or "\0" in key or LAST in key:
        raise ValueError(f"{key!r} is no key: expected text that is not empty and has neither U+0000 nor U+10FFFF")
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise TooLargeError(f"the key {key[:80]!r}… has {size} bytes; at most {MAX_KEY_BYTES} are possible")
    if value is None and expected == ABSENT:
        raise ValueError(f"{key} is to be deleted, and is expected not to exist")
    if value is not None and len(value) > MAX_VALUE_BYTES:
        raise TooLargeError(f"{key} has {len(value)} bytes; at most {MAX_VALUE_BYTES} are possible")


def overdue(revision: int, compacted: int, keep: int) -> int:
    """To which revision a store at ``revision`` is to be compacted that keeps ``keep`` revisions of history; 0 if there
    is no need yet. It lets a quarter more come together, so that compacting is rare.
    """
    return revision - keep if keep and revision - compacted > keep + keep // 4 else 0
