"""A store in one SQLite file, the embedded default: what was answered is on disk, whatever happens to the process or to
the machine's power.

What is current is in memory as well, and read from there; it is what is on disk, never more. An older state is the
present one with later changes taken back, so that neither an older list nor the history of a watch needs another index.

A store of any size is open at once: until somebody wants something of very many keys, and so has all of it read into
memory, what is wanted is read from the file.

Writers that come at the same time share a commit, and so the wait for the disk: each puts its writes into a queue, and
a thread of the store's own commits all that has come while it made the commit before.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice

from state.store import sqlite_file
from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    CompactedError,
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
#: Stores of so many entries are read into memory at once, and longest list that is read from the file of others.
_SMALL, _FEW = 1_000, 1_000
#: Entries that are read into memory at once, and seconds of rest after them: whoever is asked for something meanwhile
#: needs the interpreter, too.
_CHUNK, _REST = 500, 0.001


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
            raise StoreError("'sqlite:' names no store; expected 'sqlite:PATH'")
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
        with ExitStack() as undo, self._explained():
            undo.callback(self._owned.close)
            self._writer = self._open()
            undo.callback(self._writer.close)
            revision = sqlite_file.revision_of(self._writer)
            self._compacted = sqlite_file.compacted(self._writer)
            is_small = sqlite_file.has_at_most(self._writer, _SMALL)
            #: What is current; None until it is in memory.
            self._table = Table(sqlite_file.current(self._writer)) if is_small else None
            undo.pop_all()
        self.feed = Feed(revision, window_bytes)
        self._closing = threading.Event()
        #: Held by the one who reads it into memory.
        self._load_lock = threading.Lock()
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
            raise kind(f"{self._path}: {error}") from error

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

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        self.feed.check_open()
        table = self._table
        if table is not None:
            return table.get(key)
        with self._on_disk() as connection:
            return sqlite_file.get(connection, key)

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision."""
        if self._table is None and revision is None:
            page = self._short_page(prefix, limit, after)
            if page is not None:
                return page
        known, changed = 0, dict[str, Entry]()
        while True:
            self._load()
            with self.feed.lock:
                self.feed.check_open()
                assert self._table is not None, "what was loaded stays"
                now = self.feed.revision
                if revision is None or revision == now:
                    return self._table.page(prefix, now, limit, after)
                if known == now:
                    return self._table.older_page(prefix, revision, limit, after, changed)
            if revision > now:
                raise FutureRevisionError(revision, now)
            known, changed = now, changed_since(self._history(prefix, revision, now), revision, prefix, after)

    def _short_page(self, prefix: str, limit: int | None, after: str) -> Page | None:
        """A list from the file; None if it is long."""
        wanted = _FEW if limit is None else min(limit, _FEW)
        with self._on_disk() as connection:
            entries, remaining = sqlite_file.page(connection, prefix, wanted, after)
            is_all = wanted == limit or not remaining
            return Page(entries, self.feed.revision, remaining) if is_all else None

    @contextmanager
    def _on_disk(self) -> Iterator[sqlite3.Connection]:
        """A look at the file while nothing is being committed: what it holds is as of the feed's revision."""
        with self._commit_lock, self._explained():
            self.feed.check_open()
            if self._is_doubtful:
                self._read_again()
            yield self._writer

    @property
    def is_in_memory(self) -> bool:
        """Whether all lists are quick now; until then a long one waits for the file to be read."""
        return self._table is not None

    # -- reading it into memory ----------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Reads all that is current into memory, if nobody has done so yet."""
        if self._table is not None:
            return
        with self._load_lock:
            while self._table is None:
                revision, table = self._read_all()
                with suppress(CompactedError), self._commit_lock:  # it took very long: once more
                    table.apply(self._history("", revision, self.feed.revision))
                    with self.feed.lock:
                        self._table = table

    def _read_all(self) -> tuple[int, Table]:
        """What is current at some revision, and that revision."""
        entries: list[Entry] = []
        with self._reading() as connection:
            connection.execute("BEGIN")
            revision, rows = sqlite_file.revision_of(connection), sqlite_file.current(connection)
            while chunk := list(islice(rows, _CHUNK)):
                entries += chunk
                self.feed.check_open()
                self._closing.wait(_REST)
        return revision, Table(entries)

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
            with self._explained():
                events, revision = self._decide(tickets)
            self._is_doubtful = True
            if events:
                with self._writing() as connection:
                    sqlite_file.save(connection, events)
                with self.feed.lock:
                    if self._table is not None:
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
            table = None if self._table is None else Table(sqlite_file.current(connection))
        with self.feed.lock:
            self._table = table
            self.feed.skip_locked(revision)

    def _decide(self, tickets: Sequence[Ticket]) -> tuple[Sequence[Event], int]:
        """What comes of the writes: the events, and the revision that they lead to."""
        self.feed.check_open()
        revision, events = self.feed.revision, []
        new: dict[str, Entry | None] = {}
        held = partial(sqlite_file.get, self._writer) if self._table is None else self._table.get

        def read(key: str) -> Entry | None:
            return new[key] if key in new else held(key)

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
        self._closing.set()
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
