"""What Kubernetes adds to the Common Expression Language: quantities, addresses, URLs, versions, and questions to the
authoriser.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import total_ordering
from typing import Any, ClassVar, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from reconciler.apiserver.cel.functions import function
from reconciler.apiserver.cel.values import CelError
from state.quantity import Amount, QuantityError, parse

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)


def _is(make: Callable[..., Any]) -> Callable[..., bool]:
    """The function that says whether another one would have a value."""

    def check(*values: Any) -> bool:
        try:
            make(*values)
        except CelError:
            return False
        return True

    return check


# -- quantities --------------------------------------------------------------------------------------------------------


class Quantity(msgspec.Struct, frozen=True, order=True):
    """``quantity("1.5Gi")``."""

    cel_type: ClassVar[str] = "kubernetes.Quantity"
    amount: Amount

    @property
    def text(self) -> str:
        """Its canonical form."""
        return str(self.amount)


@function("quantity", str)
def _quantity(text: str) -> Quantity:
    try:
        return Quantity(parse(text))
    except QuantityError as error:
        raise CelError(error.message) from error


_NANOS = 10**9


@function("asInteger", Quantity)
def _as_integer(of: Quantity) -> int:
    whole, rest = divmod(of.amount.nanos, _NANOS)
    if rest or not -(2**63) <= whole < 2**63:
        raise CelError("cannot convert value to integer")
    return whole


def _amount(value: Quantity | int) -> Amount:
    return Amount(value * _NANOS) if isinstance(value, int) else value.amount


function("isQuantity", str)(_is(_quantity))
function("isInteger", Quantity)(_is(_as_integer))
function("asApproximateFloat", Quantity)(lambda of: of.amount.nanos / _NANOS)
function("sign", Quantity)(lambda of: (of.amount.nanos > 0) - (of.amount.nanos < 0))
for _other in (Quantity, int):
    function("add", Quantity, _other)(lambda one, other: Quantity(one.amount + _amount(other)))
    function("sub", Quantity, _other)(lambda one, other: Quantity(one.amount - _amount(other)))


# -- versions ----------------------------------------------------------------------------------------------------------


@total_ordering
class Semver(msgspec.Struct, frozen=True):
    """``semver("1.2.3")``."""

    cel_type: ClassVar[str] = "kubernetes.Semver"
    numbers: tuple[int, int, int]
    before: tuple[str, ...] = ()

    @property
    def _rank(self) -> tuple[Any, ...]:
        parts = tuple((0, int(each), "") if each.isdecimal() else (1, 0, each) for each in self.before)
        return (self.numbers, not parts, parts)

    def __lt__(self, other: Semver) -> bool:
        return self._rank < other._rank


@function("semver", str)
def _semver(text: str) -> Semver:
    found = _SEMVER.fullmatch(text)
    if found is None:
        raise CelError("Invalid Semantic Version")
    major, minor, patch, before = found.groups()
    return Semver((int(major), int(minor), int(patch)), tuple(before.split(".")) if before else ())


@function("semver", str, bool)
def _lenient_semver(text: str, normalize: bool) -> Semver:
    if normalize:
        numbers, sign, rest = re.fullmatch(r"v?([\d.]*)([-+]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        parts = [each.lstrip("0") or "0" for each in numbers.split(".")]
        text = ".".join([*parts, "0", "0"][: max(3, len(parts))]) + sign + rest
    return _semver(text)


function("isSemver", str)(_is(_semver))
function("isSemver", str, bool)(_is(_lenient_semver))
for _at, _name in enumerate(("major", "minor", "patch")):
    function(_name, Semver)(lambda of, at=_at: of.numbers[at])
for _kind in (Quantity, Semver):
    function("isGreaterThan", _kind, _kind)(lambda one, other: one > other)
    function("isLessThan", _kind, _kind)(lambda one, other: one < other)
    function("compareTo", _kind, _kind)(lambda one, other: (one > other) - (one < other))


# -- addresses ---------------------------------------------------------------------------------------------------------


class Ip(msgspec.Struct, frozen=True):
    """``ip("10.0.0.1")``."""

    cel_type: ClassVar[str] = "net.IP"
    value: Address

    @property
    def text(self) -> str:
        """As it is usually written."""
        return str(self.value)


class Cidr(msgspec.Struct, frozen=True):
    """``cidr("10.0.0.0/8")``; ``host`` is the address before the slash."""

    cel_type: ClassVar[str] = "net.CIDR"
    value: Network
    host: Address

    @property
    def text(self) -> str:
        """As it is usually written."""
        return f"{self.host}/{self.value.prefixlen}"


@function("ip", str)
def _ip(text: str) -> Ip:
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        fault = f'ParseAddr("{text}"): unable to parse IP'
        raise CelError(f'IP Address "{text}" parse error during conversion from string: {fault}') from error
    if isinstance(found, ipaddress.IPv6Address):
        if "%" in text:
            raise CelError(f'IP address "{text}" with zone value is not allowed')
        if found.ipv4_mapped is not None:
            raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Ip(found)


@function("cidr", str)
def _cidr(text: str) -> Cidr:
    host, slash, length = text.partition("/")
    if not slash or not length.isdecimal():
        raise CelError(f'network address parse error during conversion from string: netip.ParsePrefix("{text}")')
    try:
        return Cidr(ipaddress.ip_network(text, strict=False), _ip(host).value)
    except ValueError as error:
        raise CelError(
            f'network address parse error during conversion from string: netip.ParsePrefix("{text}")'
        ) from error


@function("containsIP", Cidr, Ip)
def _contains_ip(of: Cidr, ip: Ip) -> bool:
    return ip.value in of.value


@function("containsCIDR", Cidr, Cidr)
def _contains_cidr(of: Cidr, part: Cidr) -> bool:
    return part.value.version == of.value.version and part.value.subnet_of(of.value)  # type: ignore[arg-type]


@function("ip.isCanonical", str)
def _is_canonical(text: str) -> bool:
    return _ip(text).text == text


function("isIP", str)(_is(_ip))
function("isCIDR", str)(_is(_cidr))
function("family", Ip)(lambda of: of.value.version)
function("isUnspecified", Ip)(lambda of: of.value.is_unspecified)
function("isLoopback", Ip)(lambda of: of.value.is_loopback)
function("isLinkLocalUnicast", Ip)(lambda of: of.value.is_link_local)
function("isLinkLocalMulticast", Ip)(
    lambda of: of.value in ipaddress.ip_network("224.0.0.0/24" if of.value.version == 4 else "ff02::/16")
)
function("isGlobalUnicast", Ip)(
    lambda of: (
        not (of.value.is_unspecified or of.value.is_loopback or of.value.is_multicast or of.value.is_link_local)
        and of.text != "255.255.255.255"
    )
)
function("containsIP", Cidr, str)(lambda of, text: _contains_ip(of, _ip(text)))
function("containsCIDR", Cidr, str)(lambda of, text: _contains_cidr(of, _cidr(text)))
function("ip", Cidr)(lambda of: Ip(of.host))
function("masked", Cidr)(lambda of: Cidr(of.value, of.value.network_address))
function("prefixLength", Cidr)(lambda of: of.value.prefixlen)


# -- URLs --------------------------------------------------------------------------------------------------------------


class Url(msgspec.Struct, frozen=True):
    """``url("https://example.com/a?b=c")``."""

    cel_type: ClassVar[str] = "kubernetes.URL"
    parts: SplitResult
    text: str


@function("url", str)
def _url(text: str) -> Url:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - is checked when it is asked for
    except ValueError as error:
        raise CelError(f'URL parse error during conversion from string: parse "{text}": {error}') from error
    if not (parts.scheme or text.startswith("/")) or any(each <= " " for each in text):
        raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return Url(parts, text)


function("isURL", str)(_is(_url))
function("getScheme", Url)(lambda of: of.parts.scheme)
function("getHost", Url)(lambda of: of.parts.netloc.rpartition("@")[2])
function("getHostname", Url)(lambda of: of.parts.hostname or "")
function("getPort", Url)(lambda of: "" if of.parts.port is None else str(of.parts.port))
function("getEscapedPath", Url)(lambda of: of.parts.path)
function("getQuery", Url)(lambda of: parse_qs(of.parts.query, keep_blank_values=True))


# -- who may do what ---------------------------------------------------------------------------------------------------

#: Whether a user may do something: the user's name ("" is whoever sends the request), and what
#: (verb, group, resource, subresource, namespace, name, path).
Asking: TypeAlias = Callable[[str, tuple[str, ...]], bool]


class Authority(msgspec.Struct, frozen=True):
    """The variable ``authorizer``."""

    cel_type: ClassVar[str] = "kubernetes.authorization.Authorizer"
    ask: Asking
    user: str = ""
    #: ``authorizer.requestResource``: what the request is about.
    request: Wanted | None = None

    def field(self, name: str) -> Any:
        """Its one field.

        Raises:
            CelError: it is another one.
        """
        if name != "requestResource" or self.request is None:
            raise CelError(f"no such key: {name}")
        return self.request


class Wanted(msgspec.Struct, frozen=True):
    """What may be asked for: a resource, or a path."""

    cel_type: ClassVar[str] = "kubernetes.authorization.ResourceCheck"
    of: Authority
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Decision(msgspec.Struct, frozen=True):
    """The answer."""

    cel_type: ClassVar[str] = "kubernetes.authorization.Decision"
    is_allowed: bool


@function("check", Wanted, str)
def _check(of: Wanted, verb: str) -> Decision:
    wanted = (verb, of.group, of.resource, of.subresource, of.namespace, of.name, of.path)
    return Decision(of.of.ask(of.of.user, wanted))


function("path", Authority, str)(lambda of, path: Wanted(of, path=path))
function("group", Authority, str)(Wanted)
function("serviceAccount", Authority, str, str)(
    lambda of, namespace, name: msgspec.structs.replace(of, user=f"system:serviceaccount:{namespace}:{name}")
)
for _part in ("resource", "subresource", "namespace", "name"):
    function(_part, Wanted, str)(lambda of, text, part=_part: msgspec.structs.replace(of, **{part: text}))
function("fieldSelector", Wanted, str)(lambda of, _: of)
function("labelSelector", Wanted, str)(lambda of, _: of)
function("allowed", Decision)(lambda of: of.is_allowed)
function("reason", Decision)(lambda _: "")
function("errored", Decision)(lambda _: False)
function("error", Decision)(lambda _: "")
