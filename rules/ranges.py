"""Numbers to be handed out from a range: cluster IPs and node ports.

As Kubernetes' allocators the lower part of a range is left to those who ask for a number by name, and is only used for
others when the rest is gone. Where Kubernetes takes a free number by chance, here the owner's name decides where the
search begins: the same objects get the same numbers whatever the order, and a new one moves nobody.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

#: How much of a range is kept for requests by name: a share of it within bounds (KEP-3070, KEP-3668).
_ADDRESS_SHARE, _ADDRESS_BOUNDS = 16, (16, 256)
_PORT_SHARE, _PORT_BOUNDS = 32, (16, 128)


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers ``first`` to ``first + size - 1``; the lowest ``static`` ones are the last to be picked."""

    first: int
    size: int
    static: int

    def __contains__(self, number: int) -> bool:
        return 0 <= number - self.first < self.size

    def pick(self, owner: str, taken: Container[int]) -> int | None:
        """A free number for ``owner``, or None if the range is full."""
        seed = int.from_bytes(blake2b(owner.encode(), digest_size=8).digest())
        for start, size in ((self.first + self.static, self.size - self.static), (self.first, self.static)):
            for step in range(size):
                number = start + (seed + step) % size
                if number not in taken:
                    return number
        return None


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The cluster IPs of one family: those of a CIDR without its network and broadcast address."""

    network: IPv4Network | IPv6Network
    numbers: Range

    @classmethod
    def parse(cls, cidr: str) -> AddressRange:
        """Reads ``10.96.0.0/16``.

        Raises:
            ValueError: no CIDR, or one with host bits set.
        """
        network = ip_network(cidr)
        size = max(0, network.num_addresses - (2 if network.version == 4 else 1))
        static = min(size, _static(network.num_addresses, _ADDRESS_SHARE, _ADDRESS_BOUNDS))
        return cls(network, Range(int(network.network_address) + 1, size, static))

    @property
    def family(self) -> str:
        """``IPv4`` or ``IPv6``, as in ``spec.ipFamilies``."""
        return f"IPv{self.network.version}"

    def text(self, number: int) -> str:
        """The address of a number."""
        return str(IPv4Address(number) if self.network.version == 4 else IPv6Address(number))

    def number(self, address: str) -> int | None:
        """The number of an address; None if it isn't one of this range."""
        parsed = parse_address(address)
        if parsed is None or parsed.version != self.network.version or int(parsed) not in self.numbers:
            return None
        return int(parsed)


def port_range(first: int, last: int) -> Range:
    """The ports ``first`` to ``last``."""
    size = last - first + 1
    return Range(first, size, _static(size, _PORT_SHARE, _PORT_BOUNDS))


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, or None if the text is none. Each text is asked for many times while its Service is stored."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _static(size: int, share: int, bounds: tuple[int, int]) -> int:
    lowest, highest = bounds
    return 0 if size <= lowest else min(max(lowest, size // share), highest)
