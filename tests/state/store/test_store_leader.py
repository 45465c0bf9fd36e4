"""Of several programs on one store one leads, and another takes over when it doesn't renew."""

from __future__ import annotations

import pytest
from etcd_server import EtcdServer
from hypothesis import given
from hypothesis import strategies as st

from state.snapshot import Key
from state.store import FencedError, StoreError, StoreUnavailableError, open_store
from state.store.layout import decode, path_of
from state.store.leader import Candidate, Terms

SECOND = 1_000_000
TERMS = Terms(duration=15, renew_deadline=10, retry=2)
LEASE = path_of(Key("Lease", "kube-system", "manager"))


@pytest.fixture(params=["memory", "sqlite", "etcd"])
def stores(request, tmp_path):
    """Two views of one store: of two programs where it serves several, else one and the same."""
    if request.param == "etcd":
        with EtcdServer(tmp_path) as server, server.open() as one, server.open() as other:
            yield one, other
    else:
        with open_store({"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'store.db'}"}[request.param]) as store:
            yield store, store


def candidates(stores):
    return [Candidate(store, name, name="manager", terms=TERMS) for store, name in zip(stores, "ab", strict=True)]


def lease(store):
    entry = store.get(LEASE)
    return decode(entry.value, entry.revision)


def test_the_first_leads_and_the_other_waits(stores):
    a, b = candidates(stores)
    for second in range(0, 120, 2):
        assert (a.tick(second * SECOND), b.tick(second * SECOND)) == (True, False)
    spec = lease(stores[0]).spec
    assert (spec.holder_identity, spec.lease_duration_seconds, spec.lease_transitions) == ("a", 15, 0)
    assert (spec.acquire_time, spec.renew_time) == ("1970-01-01T00:00:00.000000Z", "1970-01-01T00:01:58.000000Z")


def test_when_the_leader_dies_the_other_takes_over_within_the_lease_and_not_before_it_stopped(stores):
    a, b = candidates(stores)
    for second in range(0, 11, 2):
        a.tick(second * SECOND)
        b.tick(second * SECOND)
    taken = next(second for second in range(12, 60, 2) if b.tick(second * SECOND))
    assert taken <= 10 + TERMS.duration + TERMS.retry
    assert not a.leads((10 + TERMS.renew_deadline) * SECOND)
    assert taken > 10 + TERMS.renew_deadline
    assert lease(stores[0]).spec.lease_transitions == 1
    assert not a.tick(taken * SECOND)
    assert b.leads(taken * SECOND)


def test_a_leader_that_releases_is_followed_at_once(stores):
    a, b = candidates(stores)
    a.tick(0)
    b.tick(0)
    a.release(SECOND)
    assert not a.leads(SECOND)
    assert b.tick(SECOND)
    b_is_unmoved = lease(stores[0])
    a.release(2 * SECOND)
    assert lease(stores[0]) == b_is_unmoved


def test_clocks_need_not_agree(stores):
    a, b = candidates(stores)
    ahead = 10**6 * SECOND
    for second in range(0, 60, 2):
        assert a.tick(second * SECOND)
        assert not b.tick(ahead + second * SECOND)
    assert not b.tick(ahead + 72 * SECOND)
    assert b.tick(ahead + 74 * SECOND)


def test_what_an_earlier_leader_still_writes_is_refused(stores):
    """However late it notices."""
    a, b = candidates(stores)
    a.tick(0)
    b.tick(0)
    before = a.fence
    stores[0].create("/a", b"", before)
    assert b.tick(15 * SECOND)
    with pytest.raises(FencedError):
        stores[0].create("/b", b"", before)
    stores[1].create("/b", b"", b.fence)
    assert not a.tick(16 * SECOND)
    assert a.fence is None


def test_a_leader_goes_on_behind_its_fence(stores):
    a, _ = candidates(stores)
    a.tick(0)
    fence = a.fence
    a.tick(2 * SECOND)
    assert a.fence == fence
    a.step_down()
    assert not a.leads(2 * SECOND)
    assert a.tick(3 * SECOND)
    assert a.fence.revision > fence.revision


def test_when_the_lease_of_another_runs_out_is_known(stores):
    a, b = candidates(stores)
    a.tick(0)
    b.tick(SECOND)
    assert b.runs_out == 16 * SECOND
    assert not b.tick(b.runs_out - 1)
    assert b.tick(b.runs_out)


def test_a_leader_that_cannot_reach_the_store_leads_until_its_deadline():
    store = open_store("memory:")
    a = Candidate(store, "a", name="manager", terms=TERMS)
    assert a.tick(0)
    store.close()
    with pytest.raises(StoreUnavailableError):
        a.tick(2 * SECOND)
    assert a.leads(10 * SECOND - 1)
    assert not a.leads(10 * SECOND)


def test_a_program_that_comes_back_under_its_name_goes_on():
    store = open_store("memory:")
    assert Candidate(store, "a", name="manager", terms=TERMS).tick(0)
    assert Candidate(store, "a", name="manager", terms=TERMS).tick(SECOND)
    assert lease(store).spec.lease_transitions == 0


def test_a_lease_is_an_object_as_others_are():
    """With a uid and an age, which stay when another one takes it over."""
    store = open_store("memory:")
    Candidate(store, "a", name="manager", terms=TERMS).tick(0)
    made = lease(store).metadata
    assert (made.creation_timestamp, len(made.uid)) == ("1970-01-01T00:00:00Z", 36)
    assert Candidate(store, "b", name="manager", terms=TERMS).tick(0) is False
    Candidate(store, "a", name="manager", terms=TERMS).release(SECOND)
    assert Candidate(store, "b", name="manager", terms=TERMS).tick(2 * SECOND)
    now = lease(store).metadata
    assert (now.uid, now.creation_timestamp) == (made.uid, made.creation_timestamp)


def test_a_deleted_lease_is_made_again():
    store = open_store("memory:")
    a = Candidate(store, "a", name="manager", terms=TERMS)
    a.tick(0)
    store.delete(LEASE)
    assert a.tick(SECOND)
    assert lease(store).spec.holder_identity == "a"


def test_what_is_no_lease_is_an_error():
    store = open_store("memory:")
    store.create(LEASE, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}')
    with pytest.raises(StoreError, match="holds a ConfigMap"):
        Candidate(store, "a", name="manager").tick(0)


@pytest.mark.parametrize("terms", [(15, 15, 2), (15, 10, 10), (15, 10, 0)])
def test_terms_that_make_no_sense_are_refused(terms):
    with pytest.raises(ValueError, match="expected 0 < retry"):
        Terms(*terms)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=80))
def test_never_do_two_lead_at_the_same_time(steps):
    """Whoever ticks when, dies, or sleeps: at no time two may act."""
    with open_store("memory:") as store:
        everyone = [Candidate(store, name, name="manager", terms=TERMS) for name in "abc"]
        now = 0
        for who, pause in steps:
            everyone[who].tick(now * SECOND)
            for second in range(now, now + pause + 1):
                leaders = [candidate for candidate in everyone if candidate.leads(second * SECOND)]
                assert len(leaders) <= 1
                for leader in leaders:
                    assert store.get(leader.fence.key).revision == leader.fence.revision
            now += pause
