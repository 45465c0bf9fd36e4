"""IP addresses and ranges of them, as Kubernetes reads, refuses and recommends them (1.36: StrictIPCIDRValidation)."""

from __future__ import annotations

import ipaddress
import re

from state.errors import quoted

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NO_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_PADDED_OCTET = re.compile(r"(?<![0-9a-fA-F])0+(?=\d+\.)|(?<=\.)0+(?=\d)")
_DIGITS = re.compile(r"[0-9]+")


def parsed_ip(address: str) -> Address | None:
    """An IP address, or None if it isn't one; octets may be padded with zeros, zones are not allowed."""
    if "%" in address:
        return None
    try:
        return ipaddress.ip_address(_PADDED_OCTET.sub("", address))
    except ValueError:
        return None


def parsed_cidr(block: str) -> tuple[Address, int] | None:
    """The address and the length of the prefix of a range such as 10.9.8.0/24, or None if it isn't one."""
    address, slash, length = block.partition("/")
    parsed = parsed_ip(address)
    if parsed is None or not slash or not _DIGITS.fullmatch(length) or int(length) > parsed.max_prefixlen:
        return None
    return parsed, int(length)


def ip_faults(address: str) -> list[str]:
    """Why a text isn't an IP address that every program reads alike."""
    parsed = parsed_ip(address)
    if parsed is None:
        return [_NO_IP]
    if not _is_plain(address):
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if _is_mapped(parsed) else []


def cidr_faults(block: str) -> list[str]:
    """Why a text isn't a range of addresses that every program reads alike."""
    parsed = parsed_cidr(block)
    if parsed is None:
        return [_NO_CIDR]
    address, length = parsed
    text, _, digits = block.partition("/")
    if not _is_plain(text) or digits != str(length):
        return ["must not have leading 0s in IP or prefix length"]
    if _is_mapped(address):
        return ["must not have an IPv4-mapped IPv6 address"]
    if ipaddress.ip_network((address, length), strict=False).network_address != address:
        return ["must not have bits set beyond the prefix length"]
    return []


def canonical_ip_faults(address: str) -> list[str]:
    """Why a text isn't an IP address as Go prints it."""
    return ip_faults(address) or _unlike(address, str(parsed_ip(address)))


def canonical_cidr_faults(block: str) -> list[str]:
    """Why a text isn't a range of addresses as Go prints it."""
    faults, parsed = cidr_faults(block), parsed_cidr(block)
    return faults if parsed is None or faults else _unlike(block, f"{parsed[0]}/{parsed[1]}")


def _unlike(text: str, canonical: str) -> list[str]:
    return [] if text == canonical else [f"must be in canonical form ({quoted(canonical)})"]


def ip_warnings(path: str, address: str) -> list[str]:
    """What is said of an address, at that path, that is valid but not written as RFC 5952 recommends."""
    parsed = parsed_ip(address)
    return [] if parsed is None else _recommended(path, "address", address, str(parsed), parsed)


def cidr_warnings(path: str, block: str) -> list[str]:
    """What is said of a range, at that path, that is valid but not written as RFC 5952 recommends."""
    parsed = parsed_cidr(block)
    return [] if parsed is None else _recommended(path, "CIDR value", block, f"{parsed[0]}/{parsed[1]}", parsed[0])


def _recommended(path: str, kind: str, text: str, better: str, address: Address) -> list[str]:
    if address.version == 4 or text == better:
        return []
    return [f"{path}: IPv6 {kind} {quoted(text)} should be in RFC 5952 canonical format ({quoted(better)})"]


def _is_plain(address: str) -> bool:
    """Whether no octet is padded with zeros."""
    return _PADDED_OCTET.search(address) is None


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
