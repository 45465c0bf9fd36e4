"""A store in one SQLite file, the embedded default: what was answered is on disk, whatever happens to the process or to
the machine's power.

Two tables. ``history`` holds every change by revision, with the revision of what it replaced; ``current`` holds the
revision of each key that exists. An older state is the present one with later changes taken back, so that neither an
older list nor the history of a watch needs another index.

Writers that come at the same time share a commit, and so the wait for the disk: each puts its writes into a queue, and
whoever gets the lock commits all that is in it.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    FIRST_REVISION,
    LAST,
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

#: Marks the file as ours ("KREC"), and the version of its form.
_APPLICATION, _FORMAT = 0x4B524543, 1
#: Recent changes kept in memory for watches; older ones are read from the file.
_WINDOW_BYTES = 16 * 2**20
#: Pages of the log after which it is copied into the file (SQLite's own default is 1,000): fewer waits for the disk.
_CHECKPOINT_PAGES = 4_000

_SCHEMA = (
    "BEGIN",
    "CREATE TABLE history (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, previous INTEGER)",
    "CREATE TABLE current (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE compaction (revision INTEGER NOT NULL)",
    "INSERT INTO compaction VALUES (0)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
    "COMMIT",
)
#: Of two sources: the newest change may be a deletion that was compacted.
_REVISION = "SELECT max(revision, ifnull((SELECT max(revision) FROM history), 0)) FROM compaction"
_GET = "SELECT key, value, revision FROM current JOIN history USING (key, revision) WHERE key = ?"
_NOW = "SELECT key, revision FROM current WHERE key >= :start AND key < :end"
#: What there was at a revision: what is still as it was then, and what the first change since then found.
_THEN = """
SELECT key, revision FROM current WHERE key >= :start AND key < :end AND revision <= :revision
UNION ALL
SELECT key, previous FROM history
WHERE revision > :revision AND previous <= :revision AND key >= :start AND key < :end
"""
#: In this order of the join, and with the sorting left to Python, which finds the rows sorted, it takes half the time.
_VALUES = "SELECT key, value, revision FROM ({} ORDER BY key LIMIT :limit) CROSS JOIN history USING (key, revision)"
_COUNT = "SELECT count(*) FROM ({})"
_EVENTS = """
SELECT new.revision, new.key, new.value, old.value, old.revision
FROM history AS new LEFT JOIN history AS old ON old.revision = new.previous
WHERE new.revision > :since AND new.revision <= :upto AND new.key >= :start AND new.key < :end
ORDER BY new.revision
"""
#: What was replaced up to the new beginning of history, and the deletions before it.
_COMPACT = (
    "DELETE FROM history WHERE revision IN (SELECT previous FROM history WHERE revision > :old AND revision <= :new)",
    "DELETE FROM history WHERE revision > :old AND revision <= :new AND value IS NULL",
    "UPDATE compaction SET revision = :new",
)


class SqliteStore(Store):
    """The store in a file; it belongs to one process at a time (``PATH.lock`` says to which).

    ``keep`` is how many revisions of history are kept; 0 keeps all until somebody compacts. ``window_bytes`` bounds
    the memory used for recent changes.

    Raises:
        StoreUnavailableError: another process has it, or the file can't be opened or isn't a store.
    """

    def __init__(self, path: str, *, keep: int = 0, window_bytes: int = _WINDOW_BYTES) -> None:
        if not path:
            msg = "'sqlite:' names no store; expected 'sqlite:PATH'"
            raise StoreError(msg)
        self._path = path
        self._keep = keep
        self._queue: deque[_Ticket] = deque()
        self._commit_lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._owned = _own(path)
        try:
            with self._explained():
                self._writer = self._open()
                revision = _revision(self._writer)
                self._compacted = _compacted(self._writer)
        except BaseException:
            self._owned.close()
            raise
        self.feed = Feed(revision, window_bytes)

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Makes the tables of a new file; refuses one that is something else."""
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            connection.execute("PRAGMA journal_mode = WAL")
            for statement in _SCHEMA:
                connection.execute(statement)
        elif (application, version) != (_APPLICATION, _FORMAT):
            msg = f"{self._path} is not a store of this program's format {_FORMAT}"
            raise StoreUnavailableError(msg)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

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
                connection = self._connect()
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
        with self._reading() as connection:
            return _revision(connection)

    def compacted(self) -> int:
        """The revision at which history begins."""
        return self._compacted

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        with self._reading() as connection:
            return _get(connection, key)

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision."""
        with self._reading() as connection:
            connection.execute("BEGIN")
            now = _revision(connection)
            wanted = now if revision is None else revision
            if wanted > now:
                raise FutureRevisionError(wanted, now)
            if revision is not None:
                _check_kept(connection, revision)
            start = max(prefix, after + "\0") if after else prefix
            values = {"start": start, "end": prefix + LAST, "revision": wanted, "limit": -1 if limit is None else limit}
            keys = _NOW if wanted == now else _THEN
            rows = sorted(connection.execute(_VALUES.format(keys), values))
            total: int = len(rows)
            if total == limit:
                (total,) = connection.execute(_COUNT.format(keys), values).fetchone()
        return Page(tuple(map(Entry._make, rows)), wanted, total - len(rows))

    def _history(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        values = {"since": after, "upto": upto, "start": prefix, "end": prefix + LAST}
        with self._reading() as connection:
            connection.execute("BEGIN")
            _check_kept(connection, after)
            rows = connection.execute(_EVENTS, values).fetchall()
        return [
            Event(revision, key, value, None if old is None else Entry(key, old_value, old))
            for revision, key, value, old_value, old in rows
        ]

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        ticket = _Ticket(writes)
        self._queue.append(ticket)
        with self._commit_lock:
            if not ticket.done:
                self._commit()
        if ticket.failure is not None:
            raise type(ticket.failure)(str(ticket.failure)) from ticket.failure  # each thread gets one of its own
        return ticket.results

    def _commit(self) -> None:
        """Does all that is queued in one transaction, for all who wait for the lock."""
        tickets = [self._queue.popleft() for _ in range(len(self._queue))]
        events: list[Event] = []
        try:
            with self._writing() as connection:
                revision = _revision(connection)
                for ticket in tickets:
                    for write in ticket.writes:
                        current = _get(connection, write.key)
                        refused = decide(write, current)
                        if refused is None:
                            revision += 1
                            events.append(_put(connection, write, current, revision))
                        ticket.results.append(refused or _stored(events[-1]))
        except StoreError as error:
            _settle(tickets, error)
            return
        except BaseException as error:
            _settle(tickets, StoreUnavailableError(f"{self._path}: the commit was interrupted by {error!r}"))
            raise
        self.feed.append(events, revision)
        _settle(tickets, None)
        old = overdue(revision, self._compacted, self._keep)
        if old:
            self._compact(old)

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

    def _compact(self, revision: int) -> None:
        if revision <= self._compacted:
            return
        with self._writing() as connection:
            for statement in _COMPACT:
                connection.execute(statement, {"old": self._compacted, "new": revision})
        self._compacted = revision

    def close(self) -> None:
        """Ends the store and gives the file up."""
        self.feed.close(f"{self._path} is closed")
        with self._commit_lock:
            self._drop_readers()
            self._writer.close()
            self._owned.close()


class _Ticket:
    """Writes that wait for the next commit, and then what came of them."""

    __slots__ = ("done", "failure", "results", "writes")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.results: list[Entry | Refused] = []
        self.failure: StoreError | None = None
        self.done = False


def _settle(tickets: Sequence[_Ticket], failure: StoreError | None) -> None:
    for ticket in tickets:
        ticket.failure = failure
        ticket.done = True


def _own(path: str) -> IO[bytes]:
    """Takes the file for this process until what is returned is closed, and makes it readable for its user only."""
    try:
        Path(path).touch(mode=0o600)
        lock = Path(path + ".lock").open("wb")  # noqa: SIM115 - stays open as long as the store
    except OSError as error:
        msg = f"cannot open {path}: {error.strerror or error}"
        raise StoreUnavailableError(msg) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        msg = f"{path} is in use by another process"
        raise StoreUnavailableError(msg) from error
    return lock


def _revision(connection: sqlite3.Connection) -> int:
    revision: int = connection.execute(_REVISION).fetchone()[0]
    return max(FIRST_REVISION, revision)


def _compacted(connection: sqlite3.Connection) -> int:
    compacted: int = connection.execute("SELECT revision FROM compaction").fetchone()[0]
    return compacted


def _get(connection: sqlite3.Connection, key: str) -> Entry | None:
    row = connection.execute(_GET, (key,)).fetchone()
    return None if row is None else Entry._make(row)


def _check_kept(connection: sqlite3.Connection, revision: int) -> None:
    compacted = _compacted(connection)
    if revision < compacted:
        raise CompactedError(revision, compacted)


def _put(connection: sqlite3.Connection, write: Write, current: Entry | None, revision: int) -> Event:
    key, value, _ = write
    previous = None if current is None else current.revision
    connection.execute("INSERT INTO history VALUES (?, ?, ?, ?)", (revision, key, value, previous))
    if value is None:
        connection.execute("DELETE FROM current WHERE key = ?", (key,))
    else:
        connection.execute("REPLACE INTO current VALUES (?, ?)", (key, revision))
    return Event(revision, key, value, current)


def _stored(event: Event) -> Entry:
    """What a write answers with."""
    if event.value is not None:
        return Entry(event.key, event.value, event.revision)
    assert event.previous is not None
    return event.previous._replace(revision=event.revision)
