"""Hands out the addresses of a range, each to one owner, and reuses one as late as it can.

As CNI's host-local plugin: the search goes on where it last stopped, so that a released address rests while there are
others. Late packets and stale caches then meet nobody instead of the wrong pod.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network


class AddressesExhausted(Exception):  # noqa: N818  (the state, as in "address pool exhausted")
    """Every address of the range has an owner."""


class AddressPool:
    """The addresses of one IPv4 range; the network's and the broadcast address are never given.

    Example:
        >>> pool = AddressPool("127.16.0.0/29")
        >>> pool.allocate("a"), pool.allocate("b"), pool.allocate("a")
        ('127.16.0.1', '127.16.0.2', '127.16.0.1')
        >>> pool.release("a")
        >>> pool.allocate("c")
        '127.16.0.3'
    """

    def __init__(self, cidr: str) -> None:
        network = ip_network(cidr)
        if not isinstance(network, IPv4Network) or network.prefixlen > 30:
            raise ValueError(f'address range "{cidr}": expected an IPv4 range of at least 4 addresses')
        self._network = network
        self._first = int(network.network_address) + 1
        self._size = network.num_addresses - 2
        self._next = 0
        self._by_owner: dict[str, int] = {}
        self._taken: set[int] = set()

    def allocate(self, owner: str) -> str:
        """The owner's address: the one it has, or the next free one.

        Raises:
            AddressesExhausted: none is free.
        """
        held = self._by_owner.get(owner)
        if held is not None:
            return self._text(held)
        if len(self._taken) >= self._size:
            raise AddressesExhausted(f"all {self._size} addresses of {self._network} are in use")
        while self._next in self._taken:
            self._next = (self._next + 1) % self._size
        offset = self._next
        self._next = (offset + 1) % self._size
        self._taken.add(offset)
        self._by_owner[owner] = offset
        return self._text(offset)

    def claim(self, owner: str, ip: str) -> None:
        """Takes note of an address that an owner already has (from before a restart).

        Raises:
            ValueError: the address is not of this range, or somebody else has it.
        """
        offset = int(IPv4Address(ip)) - self._first
        if not 0 <= offset < self._size:
            raise ValueError(f"{ip} is not an address of {self._network}")
        if self._by_owner.get(owner, offset) != offset or (offset in self._taken and owner not in self._by_owner):
            raise ValueError(f"{ip} cannot be given to {owner}: one of the two is taken")
        self._taken.add(offset)
        self._by_owner[owner] = offset

    def resume_after(self, ip: str) -> None:
        """Goes on searching behind that address, as before a restart; one outside the range changes nothing."""
        offset = int(IPv4Address(ip)) - self._first
        if 0 <= offset < self._size:
            self._next = (offset + 1) % self._size

    def release(self, owner: str) -> None:
        """Frees the owner's address; an unknown owner is no error."""
        offset = self._by_owner.pop(owner, None)
        if offset is not None:
            self._taken.discard(offset)

    def _text(self, offset: int) -> str:
        return str(IPv4Address(self._first + offset))
