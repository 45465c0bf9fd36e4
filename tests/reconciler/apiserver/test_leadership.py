"""Who may act on a store that several servers share, and how one stops."""

from __future__ import annotations

import time

import pytest

from reconciler.apiserver.leadership import LEASE, Leadership, NotLeadingError
from state.snapshot import Key
from state.store import ABSENT, ConflictError, Entry, StoreUnavailableError, Write
from state.store.layout import decode, path_of
from state.store.leader import Terms
from state.store.memory import MemoryStore

#: Longer than any test takes.
TERMS = Terms(100, 90, 0.05)
PATH = path_of(Key("Lease", "kube-system", LEASE))


class SharedStore(MemoryStore):
    """As if other programs could have it, too. It can be out of reach."""

    shared = True
    is_away = False

    def get(self, key):
        if self.is_away:
            raise StoreUnavailableError("away")
        return super().get(key)


@pytest.fixture
def store():
    with SharedStore() as store:
        yield store


def until(check, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def holder(store):
    entry = store.get(PATH)
    return None if entry is None else decode(entry.value, entry.revision).spec.holder_identity


@pytest.fixture
def leader(store):
    leadership = Leadership(store, TERMS)
    leadership.start()
    until(leadership.leads)
    yield leadership
    leadership.stop()


def test_a_store_of_its_own_is_always_led():
    """Nothing is written about it."""
    with MemoryStore() as store:
        leadership = Leadership(store)
        leadership.start()
        assert leadership.leads()
        assert isinstance(leadership.write([Write("/a", b"", ABSENT)])[0], Entry)
        leadership.stop()
        assert [entry.key for entry in store.list("").entries] == ["/a"]


def test_who_does_not_lead_writes_nothing(store):
    with pytest.raises(NotLeadingError):
        Leadership(store, TERMS).write([Write("/a", b"", ABSENT)])
    assert store.get("/a") is None


def test_the_leader_writes_and_is_told_of_conflicts(store, leader):
    assert holder(store) == leader.identity
    (entry,) = leader.write([Write("/a", b"1", ABSENT)])
    (refused,) = leader.write([Write("/a", b"2", entry.revision - 1)])
    assert isinstance(refused, ConflictError)
    renewed = store.get(PATH).revision
    until(lambda: store.get(PATH).revision > renewed)
    assert leader.leads()


def test_changes_are_made_in_their_order_but_for_crowds(store, leader, monkeypatch):
    """A store that is elsewhere makes those that it gets together in any order."""
    parts = []
    write = store.write
    monkeypatch.setattr(store, "write", lambda writes: parts.append([each.key for each in writes]) or write(writes))
    few = ["/registry/replicasets/a", "/registry/replicasets/b", "/registry/pods/a", "/registry/events/a"]
    many = [f"/registry/pods/b-{number}" for number in range(100)]
    keys = [*few, "/registry/replicasets/c", *many, "/registry/deployments/a"]
    results = leader.write([Write(key, b"", ABSENT) for key in keys])
    parts = [part for part in parts if not part[0].startswith("/registry/leases")]
    assert parts == [*([key] for key in few), ["/registry/replicasets/c"], many, ["/registry/deployments/a"]]
    assert [entry.key for entry in results] == keys


def test_another_one_waits_and_follows_at_once_when_the_leader_ends(store, leader):
    other = Leadership(store, TERMS)
    other.start()
    time.sleep(0.3)
    assert not other.leads()
    leader.stop()
    until(other.leads)
    assert not leader.leads()
    other.stop()
    assert holder(store) == ""


def test_who_cannot_renew_stops_in_time_and_goes_on_when_the_store_is_back(store):
    terms = Terms(2, 1, 0.05)
    leader = Leadership(store, terms)
    leader.start()
    until(leader.leads)
    store.is_away = True
    time.sleep(terms.renew_deadline)
    assert not leader.leads()
    with pytest.raises(NotLeadingError, match="the lease was lost"):
        leader.write([Write("/a", b"", ABSENT)])
    store.is_away = False
    until(leader.leads)
    leader.stop()
    assert holder(store) == ""


def test_a_leader_that_is_shut_out_stops_before_its_time(store, leader):
    """It finds out with the first write that it tries, and becomes leader again as the lease is its own after all."""
    fence = leader._candidate.fence
    store.update(fence.key, b"another", fence.revision)
    with pytest.raises(NotLeadingError, match="is no longer at revision"):
        leader.write([Write("/a", b"", ABSENT)])
    assert store.get("/a") is None
    until(leader.leads)
    leader.write([Write("/a", b"", ABSENT)])


def test_news_of_the_lease_that_was_compacted_is_not_missed(store, leader):
    other = Leadership(store, TERMS)
    store.compact(store.revision())
    other.start()
    for _ in range(20):
        store.compact(store.revision())
        time.sleep(0.02)
    leader.stop()
    until(other.leads)
    other.stop()
