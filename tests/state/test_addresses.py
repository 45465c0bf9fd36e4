"""IP addresses and ranges, as Kubernetes 1.36 reads, refuses and recommends them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.addresses import cidr_faults, cidr_warnings, ip_faults, ip_warnings, parsed_cidr, parsed_ip

NO_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NO_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
MAPPED = "must not be an IPv4-mapped IPv6 address"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("10.9.8.7", None),
        ("2001:DB8::0064", None),
        ("0064:ff9b::1", None),
        ("0.0.0.0", None),
        ("", NO_IP),
        ("10.9.8", NO_IP),
        ("10.9.8.256", NO_IP),
        ("fe80::1%eth0", NO_IP),
        ("010.9.8.7", "must not have leading 0s"),
        ("10.9.8.00", "must not have leading 0s"),
        ("::ffff:010.9.8.7", "must not have leading 0s"),
        ("::ffff:10.9.8.7", MAPPED),
    ],
)
def test_an_address(text, fault):
    """One reason at most, the first that kube-apiserver finds."""
    assert ip_faults(text) == ([] if fault is None else [fault])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("10.9.8.0/24", None),
        ("2001:db8::/64", None),
        ("0.0.0.0/0", None),
        ("10.9.8.0", NO_CIDR),
        ("10.9.8.0/33", NO_CIDR),
        ("10.9.8.0/-1", NO_CIDR),
        ("a/8", NO_CIDR),
        ("010.9.8.0/24", "must not have leading 0s in IP or prefix length"),
        ("10.9.8.0/024", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.9.8.0/120", "must not have an IPv4-mapped IPv6 address"),
        ("10.9.8.7/24", "must not have bits set beyond the prefix length"),
    ],
)
def test_a_range(text, fault):
    """One reason at most, the first that kube-apiserver finds."""
    assert cidr_faults(text) == ([] if fault is None else [fault])


def test_ipv6_has_a_recommended_form():
    """RFC 5952: small letters, and the longest run of zeros left out."""
    assert ip_warnings("p", "2001:DB8:0::1") == [
        'p: IPv6 address "2001:DB8:0::1" should be in RFC 5952 canonical format ("2001:db8::1")'
    ]
    assert cidr_warnings("p", "2001:DB8::/32") == [
        'p: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")'
    ]


@given(st.ip_addresses())
def test_what_python_writes_is_read_without_a_word(address):
    """But for IPv4 addresses inside IPv6 ones."""
    text = str(address)
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped
    assert parsed_ip(text) == address
    assert ip_faults(text) == ([MAPPED] if mapped else [])
    assert ip_warnings("p", text) == []


@given(st.text("0123456789abf.:/%", max_size=20))
def test_any_text_is_judged(text):
    """What can't be read has a fault, and no warning."""
    assert bool(parsed_ip(text)) <= (ip_faults(text) != [NO_IP])
    if parsed_cidr(text) is None:
        assert cidr_faults(text) == [NO_CIDR]
        assert cidr_warnings("p", text) == []
