"""Address pools and balancing, as properties."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.network import balance
from reconciler.drivers.network.addresses import AddressesExhausted, AddressPool
from reconciler.drivers.network.balance import Balancer
from reconciler.drivers.network.base import Backend

CIDR = "10.0.0.0/28"  # 14 addresses
OWNERS = st.integers(0, 19)
BACKENDS = [Backend("10.0.0.1", port) for port in range(1, 6)]


@given(st.lists(st.tuples(st.booleans(), OWNERS), max_size=200))
def test_no_address_has_two_owners(steps):
    """After any allocations and releases: distinct, in range, and the same for the same owner."""
    pool, held = AddressPool(CIDR), {}
    for allocate, number in steps:
        owner = f"pod-{number}"
        if not allocate:
            pool.release(owner)
            held.pop(owner, None)
            continue
        if owner not in held and len(held) == 14:
            with pytest.raises(AddressesExhausted):
                pool.allocate(owner)
            continue
        ip = pool.allocate(owner)
        assert held.get(owner, ip) == ip
        assert ipaddress.ip_address(ip) in list(ipaddress.ip_network(CIDR).hosts())
        if owner not in held:
            assert ip not in held.values()
        held[owner] = ip


def test_a_released_address_comes_back_only_after_all_others():
    """The search goes round."""
    pool = AddressPool("10.0.0.0/29")  # 6 addresses
    first = pool.allocate("a")
    pool.release("a")
    given_ips = [pool.allocate(f"b{number}") for number in range(6)]
    assert given_ips.index(first) == 5


def test_claims_are_checked():
    """An address from before a restart must be of this range and free."""
    pool = AddressPool(CIDR)
    pool.claim("a", "10.0.0.3")
    pool.claim("a", "10.0.0.3")
    assert pool.allocate("a") == "10.0.0.3"
    for owner, ip in (("b", "10.0.0.3"), ("a", "10.0.0.4"), ("b", "10.0.0.0"), ("b", "10.0.0.15"), ("b", "10.9.9.9")):
        with pytest.raises(ValueError, match=r"cannot be given to|is not an address of 10\.0\.0\.0/28"):
            pool.claim(owner, ip)
    pool.resume_after("10.0.0.2")
    assert pool.allocate("b") == "10.0.0.4"
    pool.resume_after("10.9.9.9")
    assert pool.allocate("c") == "10.0.0.5"


@pytest.mark.parametrize("cidr", ["10.0.0.0/31", "fd00::/64", "10.0.0.1/24", "nonsense"])
def test_ranges_that_cannot_be(cidr):
    """The error names the range."""
    with pytest.raises(ValueError, match=cidr):
        AddressPool(cidr)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("backends"), st.sets(st.sampled_from(BACKENDS))),
            st.tuples(st.just("connect"), st.tuples(st.integers(1, 3), st.integers(0, 60))),
        ),
        max_size=60,
    ),
    st.sampled_from(["round-robin", "random"]),
)
def test_affinity_holds_while_its_backend_does_and_time_has_not_run_out(steps, policy):
    """Never a backend that isn't there; the same one as before if that is there and the pause was short."""
    balancer = Balancer(policy, affinity_seconds=30)
    last, now = {}, 0.0
    present = set()
    for kind, argument in steps:
        if kind == "backends":
            present = argument
            balancer.update(sorted(present))
            last = {client: known for client, known in last.items() if known[0] in present}
            continue
        client, pause = argument
        now += pause
        if not present:
            with pytest.raises(LookupError):
                balancer.pick(f"c{client}", now)
            continue
        backend = balancer.pick(f"c{client}", now)
        assert backend in present
        if client in last and now - last[client][1] < 30:
            assert backend == last[client][0]
        last[client] = (backend, now)


def test_remembered_clients_are_bounded(monkeypatch):
    """The one that was idle longest is forgotten."""
    monkeypatch.setattr(balance, "MAX_CLIENTS", 2)
    balancer = Balancer("round-robin", affinity_seconds=30)
    balancer.update(BACKENDS)
    first = [balancer.pick(client, 0.0) for client in ("a", "b", "a", "c")]
    assert first[0] == first[2]
    assert balancer.pick("a", 1.0) == first[0]
    assert balancer.pick("b", 1.0) != first[1]


def test_alternatives_are_the_others_from_the_failed_one_on():
    """So that retries spread too."""
    balancer = Balancer("round-robin")
    balancer.update(BACKENDS)
    assert balancer.alternatives(BACKENDS[3]) == (BACKENDS[4], *BACKENDS[:3])
    assert balancer.alternatives(Backend("10.9.9.9", 1)) == tuple(BACKENDS)
