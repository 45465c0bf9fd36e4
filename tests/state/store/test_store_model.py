"""Every store against a model of a few lines, by random histories with watches, pages, compactions and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from state.store import (
    ABSENT,
    CompactedError,
    ConflictError,
    Entry,
    Event,
    ExistsError,
    NotFoundError,
    Refused,
    Write,
    open_store,
)
from state.store.conformance import read_up_to
from state.store.sqlite import SqliteStore

KEYS = ["/a", "/a/b", "/a/ü", "/b", "/b/c", "/ba"]
PREFIXES = ["", "/", "/a", "/a/", "/b/", "/c"]
keys, prefixes, values = st.sampled_from(KEYS), st.sampled_from(PREFIXES), st.binary(max_size=4)
shares = st.floats(0, 1)


class StoreMachine(RuleBasedStateMachine):
    """A store, and a dict for each of its revisions."""

    def open(self):
        raise NotImplementedError

    @initialize()
    def begin(self):
        self.store = self.open()
        for entry in self.store.list("").entries:
            self.store.delete(entry.key)
        self.first = self.compacted = self.store.revision()
        self.store.compact(self.first)
        self.states: dict[int, dict[str, Entry]] = {self.first: {}}
        self.events: list[Event] = []
        self.watches = []

    @property
    def now(self):
        return self.first + len(self.states) - 1

    def some_revision(self, share):
        return self.first + round(share * (self.now - self.first))

    def predict(self, write: Write) -> Entry | type[Refused]:
        """Moves the model."""
        state = dict(self.states[self.now])
        old = state.get(write.key)
        if old is None and write.expected != ABSENT:
            return NotFoundError
        if old is not None and write.expected == ABSENT:
            return ExistsError
        if old is not None and write.expected not in (None, old.revision):
            return ConflictError
        revision = self.now + 1
        if write.value is None:
            del state[write.key]
            stored = Entry(write.key, old.value, revision)
        else:
            stored = state[write.key] = Entry(write.key, write.value, revision)
        self.states[revision] = state
        self.events.append(Event(revision, write.key, write.value, old))
        return stored

    @rule(
        steps=st.lists(
            st.tuples(keys, st.none() | values, st.sampled_from(["absent", "any", "right", "old"])),
            min_size=1,
            max_size=4,
        )
    )
    def write(self, steps):
        for key, value, condition in steps:
            if value is None and condition == "absent":
                continue
            current = self.states[self.now].get(key)
            revision = current.revision if current else self.now
            expected = {"absent": ABSENT, "any": None, "right": revision, "old": max(1, revision - 1)}[condition]
            write = Write(key, value, expected)
            (result,) = self.store.write([write])
            predicted = self.predict(write)
            if isinstance(predicted, Entry):
                assert result == predicted
            else:
                assert (type(result), result.current) == (predicted, current)

    @rule(key=keys)
    def get(self, key):
        assert self.store.get(key) == self.states[self.now].get(key)

    @rule(prefix=prefixes, share=st.none() | shares, limit=st.none() | st.integers(1, 3))
    def list(self, prefix, share, limit):
        revision = None if share is None else self.some_revision(share)
        wanted = self.now if revision is None else revision
        if wanted < self.compacted:
            with pytest.raises(CompactedError):
                self.store.list(prefix, revision=revision)
            return
        expected = [entry for key, entry in sorted(self.states[wanted].items()) if key.startswith(prefix)]
        found, after = [], ""
        while True:
            page = self.store.list(prefix, revision=revision, limit=limit, after=after)
            assert page.revision == wanted
            found.extend(page.entries)
            assert page.remaining == len(expected) - len(found)
            if not page.remaining:
                break
            after = found[-1].key
        assert found == expected

    @rule(prefix=prefixes, share=shares)
    def watch(self, prefix, share):
        after = self.some_revision(share)
        if after < self.compacted:
            with pytest.raises(CompactedError):
                self.store.watch(prefix, after)
        elif len(self.watches) < 10:
            self.watches.append((self.store.watch(prefix, after), [e for e in self.events if e.revision <= after]))

    @rule(share=shares)
    def read(self, share):
        if not self.watches:
            return
        watch, seen = self.watches[round(share * (len(self.watches) - 1))]
        before = watch.revision
        try:
            news = read_up_to(watch, self.now)
        except CompactedError:
            assert before < self.compacted
            self.watches.remove((watch, seen))
            watch.close()
            return
        known = {event.revision for event in seen}
        assert news == [e for e in self.events if e.key.startswith(watch.prefix) and e.revision not in known]
        seen[:] = self.events

    @rule(share=shares)
    def compact(self, share):
        revision = self.some_revision(share)
        self.store.compact(revision)
        self.compacted = max(self.compacted, revision)

    @invariant()
    def the_revision_is_that_of_the_last_change(self):
        if hasattr(self, "store"):
            assert self.store.revision() == self.now

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


def run(machine, examples, steps=40):
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))


def test_memory():
    """The store in memory."""

    class Machine(StoreMachine):
        def open(self):
            return open_store("memory:")

    run(Machine, 100)


@pytest.mark.parametrize("window", [1, 200, 2**20])
def test_sqlite(tmp_path, window):
    """The store in a file, which is closed and opened again at times."""

    class Machine(StoreMachine):
        def open(self):
            self.path = Path(tempfile.mkdtemp(dir=tmp_path)) / "store.db"
            return SqliteStore(str(self.path), window_bytes=window)

        @rule()
        def restart(self):
            self.store.close()
            self.store = SqliteStore(str(self.path), window_bytes=window)
            self.watches.clear()
            assert self.store.compacted() == self.compacted

    run(Machine, 25)


def test_etcd(tmp_path):
    """The store in etcd."""

    class Machine(StoreMachine):
        def open(self):
            return server.open()

    with EtcdServer(tmp_path) as server:
        run(Machine, 10)
