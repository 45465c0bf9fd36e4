"""The form of a SQLite store's file, and all that is asked of it.

Two tables. ``history`` holds every change by revision, with the revision of what it replaced; ``current`` holds the
revision of each key that exists. A transaction is the caller's.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from state.store.records import (
    FIRST_REVISION,
    LAST,
    CompactedError,
    Entry,
    Event,
    Page,
    StoreUnavailableError,
)

#: Marks the file as ours ("KREC"), and the version of its form.
_APPLICATION, _FORMAT = 0x4B524543, 1
#: Pages of the log after which it is copied into the file (SQLite's own default is 1,000): fewer waits for the disk.
_CHECKPOINT_PAGES = 4_000
#: Rows that one statement takes at most.
_ROWS = 128

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
_CURRENT = "SELECT key, value, revision FROM current CROSS JOIN history USING (key, revision)"
_ONE = f"{_CURRENT} WHERE current.key = ?"
_BETWEEN = "current.key >= :start AND current.key > :after AND current.key < :end"
_PAGE = f"{_CURRENT} WHERE {_BETWEEN} ORDER BY current.key LIMIT :limit"
_COUNT = f"SELECT count(*) FROM current WHERE {_BETWEEN}"  # noqa: S608 - of constants
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
_ADD = "INSERT INTO history VALUES {}"
_SET = "REPLACE INTO current VALUES {}"
_UNSET = "DELETE FROM current WHERE key IN (VALUES {})"


def own(path: str) -> IO[bytes]:
    """Takes a file for this process until what is returned is closed, and makes it readable for its user only.

    Raises:
        StoreUnavailableError: another process has it, or it can't be opened.
    """
    try:
        Path(path).touch(mode=0o600)
        lock = Path(path + ".lock").open("wb")  # noqa: SIM115 - stays open as long as the store
    except OSError as error:
        raise StoreUnavailableError(f"cannot open {path}: {error.strerror or error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreUnavailableError(f"{path} is in use by another process") from error
    return lock


def connect(path: str) -> sqlite3.Connection:
    """A connection for one thread at a time, which begins transactions only when it is told to."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the connection that writes, and the tables of a new file.

    Raises:
        StoreUnavailableError: the file is something else.
    """
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
        raise StoreUnavailableError(f"{path} is not a store of this program's format {_FORMAT}")


def read_file(path: str) -> Page:
    """All that a store's file holds, without owning it: for a look at what its last owner left.

    Raises:
        StoreUnavailableError: it can't be read, or isn't a store.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            return Page(tuple(sorted(current(connection))), revision_of(connection))
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"{path} can't be read: {error}") from error


def revision_of(connection: sqlite3.Connection) -> int:
    """The revision of the last change."""
    revision: int = connection.execute(_REVISION).fetchone()[0]
    return max(FIRST_REVISION, revision)


def compacted(connection: sqlite3.Connection) -> int:
    """The revision at which history begins."""
    revision: int = connection.execute("SELECT revision FROM compaction").fetchone()[0]
    return revision


def current(connection: sqlite3.Connection) -> Iterator[Entry]:
    """All entries, in no order."""
    return map(Entry._make, connection.execute(_CURRENT))


def has_at_most(connection: sqlite3.Connection, count: int) -> bool:
    """Whether there are no more than so many entries."""
    (found,) = connection.execute("SELECT count(*) FROM (SELECT 1 FROM current LIMIT ?)", (count + 1,)).fetchone()
    return bool(found <= count)


def get(connection: sqlite3.Connection, key: str) -> Entry | None:
    """What a key holds."""
    found = connection.execute(_ONE, (key,)).fetchone()
    return None if found is None else Entry._make(found)


def page(connection: sqlite3.Connection, prefix: str, limit: int, after: str) -> tuple[tuple[Entry, ...], int]:
    """The first entries with a prefix behind a key, and how many more there are."""
    values = {"start": prefix, "after": after, "end": prefix + LAST, "limit": limit}
    found = tuple(map(Entry._make, connection.execute(_PAGE, values)))
    (count,) = connection.execute(_COUNT, values).fetchone()
    return found, count - len(found)


def events(connection: sqlite3.Connection, prefix: str, after: int, upto: int) -> list[Event]:
    """What happened to keys with a prefix after a revision, up to another one.

    Raises:
        CompactedError: some of it is forgotten.
    """
    begin = compacted(connection)
    if after < begin:
        raise CompactedError(after, begin)
    values = {"since": after, "upto": upto, "start": prefix, "end": prefix + LAST}
    return [
        Event(revision, key, value, None if old is None else Entry(key, old_value, old))
        for revision, key, value, old_value, old in connection.execute(_EVENTS, values)
    ]


def save(connection: sqlite3.Connection, changes: Sequence[Event]) -> None:
    """Adds changes. The database is called as seldom as can be: each call gives the interpreter away."""
    last = {event.key: event for event in changes}
    rows = [(at, key, value, None if old is None else old.revision) for at, key, value, old in changes]
    _put(connection, _ADD, rows)
    _put(connection, _SET, [(key, event.revision) for key, event in last.items() if event.value is not None])
    _put(connection, _UNSET, [(key,) for key, event in last.items() if event.value is None])


def _put(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        places = ",".join(["({})".format(",".join("?" * len(some[0])))] * len(some))
        connection.execute(statement.format(places), [value for row in some for value in row])


def compact(connection: sqlite3.Connection, old: int, new: int) -> None:
    """Moves the beginning of history from one revision to another."""
    for statement in _COMPACT:
        connection.execute(statement, {"old": old, "new": new})
