"""A store in one SQLite file, the embedded default: what was answered is on disk, whatever happens to the process or to
the machine's power.

What is current is in memory as well, and read from there only; it is what is on disk, never more. An older state is the
present one with later changes taken back, so that neither an older list nor the history of a watch needs another index.

Writers that come at the same time share a commit, and so the wait for the disk: each puts its writes into a queue, and
a thread of the store's own commits all that has come while it made the commit before.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from state.store import sqlite_file
from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    Entry,
    Event,
    FutureRevisionError,
    Page,
    Refused,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    Write,
    decide,
    overdue,
)
from state.store.table import Table, changed_since

#: Recent changes kept in memory for watches; older ones are read from the file.
_WINDOW_BYTES = 16 * 2**20


class SqliteStore(Store):
    """The store in a file; it belongs to one process at a time (``PATH.lock`` says to which).

    ``keep`` is how many revisions of history are kept; 0 keeps all until somebody compacts. ``window_bytes`` bounds
    the memory used for recent changes.

    Raises:
        StoreUnavailableError: another process has it, or the file can't be opened or isn't a store.
    """

    shared = False

    def __init__(self, path: str, *, keep: int = 0, window_bytes: int = _WINDOW_BYTES) -> None:
        if not path:
            msg = "'sqlite:' names no store; expected 'sqlite:PATH'"
            raise StoreError(msg)
        self._path = path
        self._keep = keep
        self._queue: deque[Ticket] = deque()
        #: How many writes are in the queue; one more when the store is closed.
        self._queued = threading.Semaphore(0)
        #: Guards the connection that writes.
        self._commit_lock = threading.Lock()
        #: How a write waits until it is committed. Whoever has something else to do meanwhile may put in another way.
        self.wait: Callable[[Ticket], None] = Ticket.wait
        #: Whether more may be on disk than is in memory, since a commit ended in the middle.
        self._is_doubtful = False
        self._readers: deque[sqlite3.Connection] = deque()
        self._owned = sqlite_file.own(path)
        try:
            with self._explained():
                self._writer = self._open()
                revision = sqlite_file.revision_of(self._writer)
                self._compacted = sqlite_file.compacted(self._writer)
                self._table = Table(sqlite_file.current(self._writer))
        except BaseException:
            self._owned.close()
            raise
        self.feed = Feed(revision, window_bytes)
        self._committer = threading.Thread(target=self._commit_all, name="commits", daemon=True)
        self._committer.start()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite_file.connect(self._path)
        try:
            sqlite_file.prepare(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says in the store's words what SQLite says."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            kind = StoreFullError if code == sqlite3.SQLITE_FULL else StoreUnavailableError
            msg = f"{self._path}: {error}"
            raise kind(msg) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for one thread at a time."""
        self.feed.check_open()
        with self._explained():
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = sqlite_file.connect(self._path)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
                self._readers.append(connection)
                if self.feed.closed:
                    self._drop_readers()

    def _drop_readers(self) -> None:
        while self._readers:
            with suppress(IndexError):  # another thread was faster
                self._readers.pop().close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def revision(self) -> int:
        """The revision of the last change that is on disk."""
        self.feed.check_open()
        return self.feed.revision

    def compacted(self) -> int:
        """The revision at which history begins."""
        return self._compacted

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        self.feed.check_open()
        return self._table.get(key)

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision."""
        known, changed = 0, dict[str, Entry]()
        while True:
            with self.feed.lock:
                self.feed.check_open()
                now = self.feed.revision
                if revision is None or revision == now:
                    return self._table.page(prefix, now, limit, after)
                if known == now:
                    return self._table.older_page(prefix, revision, limit, after, changed)
            if revision > now:
                raise FutureRevisionError(revision, now)
            known, changed = now, changed_since(self._history(prefix, revision, now), revision, prefix, after)

    def _history(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        with self._reading() as connection:
            connection.execute("BEGIN")
            return sqlite_file.events(connection, prefix, after, upto)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        ticket = Ticket(writes)
        with self.feed.lock:  # nothing is queued any more once it is closed
            self.feed.check_open()
            self._queue.append(ticket)
        self._queued.release()
        self.wait(ticket)
        if ticket.failure is not None:
            raise type(ticket.failure)(str(ticket.failure)) from ticket.failure  # each thread gets one of its own
        return ticket.results

    def _commit_all(self) -> None:
        """Commits as long as there is something to commit, or to come."""
        while self._queued.acquire():
            with self._commit_lock:
                tickets = [self._queue.popleft() for _ in range(len(self._queue))]
                if tickets:
                    self._commit(tickets)
                elif self.feed.closed:
                    return

    def _commit(self, tickets: Sequence[Ticket]) -> None:
        """Does what is queued in one transaction, for all who wait."""
        failure: StoreError | None = None
        try:
            if self._is_doubtful:
                self._read_again()
            events, revision = self._decide(tickets)
            self._is_doubtful = True
            if events:
                with self._writing() as connection:
                    sqlite_file.save(connection, events)
                with self.feed.lock:
                    self._table.apply(events)
                    self.feed.append_locked(events, revision)
            self._is_doubtful = False
        except StoreError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - all who wait are told of it
            failure = StoreUnavailableError(f"{self._path}: the commit was interrupted by {error!r}")
            failure.__cause__ = error
        for ticket in tickets:
            ticket.settle(failure)
        self._compact_overdue()

    def _read_again(self) -> None:
        """Takes over what is on disk; watches find in the history what they have missed."""
        with self._reading() as connection:
            connection.execute("BEGIN")
            revision = sqlite_file.revision_of(connection)
            if revision == self.feed.revision:
                return
            table = Table(sqlite_file.current(connection))
        with self.feed.lock:
            self._table = table
            self.feed.skip_locked(revision)

    def _decide(self, tickets: Sequence[Ticket]) -> tuple[Sequence[Event], int]:
        """What comes of the writes: the events, and the revision that they lead to."""
        self.feed.check_open()
        revision, events = self.feed.revision, []
        new: dict[str, Entry | None] = {}

        def read(key: str) -> Entry | None:
            return new[key] if key in new else self._table.get(key)

        for ticket in tickets:
            for write in ticket.writes:
                current = read(write.key)
                refused = decide(write, current, read)
                if refused is None:
                    revision += 1
                    event = Event(revision, write.key, write.value, current)
                    events.append(event)
                    new[write.key] = None if write.value is None else event.entry
                ticket.results.append(refused or events[-1].entry)
        return events, revision

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the one who has the lock; on disk when it ends, or undone if it fails."""
        self.feed.check_open()
        connection = self._writer
        with self._explained():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def compact(self, revision: int) -> None:
        """Forgets what was replaced or deleted up to a revision."""
        with self._commit_lock:
            now = self.revision()
            if revision > now:
                raise FutureRevisionError(revision, now)
            self._compact(revision)

    def _compact_overdue(self) -> None:
        old = overdue(self.feed.revision, self._compacted, self._keep)
        if old:
            with suppress(StoreError):  # there is no hurry
                self._compact(old)

    def _compact(self, revision: int) -> None:
        if revision <= self._compacted:
            return
        with self._writing() as connection:
            sqlite_file.compact(connection, self._compacted, revision)
        self._compacted = revision

    def close(self) -> None:
        """Ends the store and gives the file up."""
        self.feed.close(f"{self._path} is closed")
        self._queued.release()
        self._committer.join()
        with self._commit_lock:
            self._drop_readers()
            self._writer.close()
            self._owned.close()


class Ticket:
    """Writes that wait for the next commit, and then what came of them."""

    __slots__ = ("_done", "_on_done", "failure", "results", "writes")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.results: list[Entry | Refused] = []
        self.failure: StoreError | None = None
        self._on_done: Callable[[], None] | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def settle(self, failure: StoreError | None) -> None:
        """Says that they are committed, or why not."""
        self.failure = failure
        self._done.release()
        if self._on_done is not None:  # only looked at now: whoever comes later finds that it is done
            self._on_done()

    def wait(self) -> None:
        """Blocks until then. For one thread."""
        self._done.acquire()

    def call(self, on_done: Callable[[], None]) -> None:
        """Has something called then, once or twice, by any thread; it must be quick and not call the store."""
        self._on_done = on_done
        if not self._done.locked():
            on_done()
