"""Checks of values that many kinds have: names, labels, selectors, addresses, ports, quantities, counts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from state import names
from state.addresses import cidr_faults, ip_faults, parsed_ip
from state.errors import quoted
from state.int_or_percent import percent_messages
from state.objects import IntOrString, LabelSelector, LabelSelectorRequirement, Quantity
from state.quantity import Amount, QuantityError, parse
from state.validation._report import Report
from state.validation.differences import internal

#: A check of a text that returns the messages of what is wrong.
Rule = Callable[[str], list[str]]

IMMUTABLE = "field is immutable"
NOT_POSITIVE = "must be greater than zero"
NOT_INTEGER = "must be an integer"
PROTOCOLS = ("SCTP", "TCP", "UDP")

_DIGITS = re.compile(r"[0-9]+")


def text(found: Report, path: str, value: str, rule: Rule) -> None:
    """A text obeys a rule."""
    found.each_invalid(path, value, rule(value))


def named(found: Report, path: str, value: str | None, rule: Rule = names.dns1123_subdomain) -> None:
    """A name is given, and obeys a rule."""
    if value:
        found.each_invalid(path, value, rule(value))
    else:
        found.required(path)


def labels(found: Report, path: str, given: Mapping[str, str]) -> None:
    """Keys and values of labels are well-formed."""
    for key, value in sorted(given.items()):
        text(found, path, key, names.qualified_name)
        text(found, path, value, names.label_value)


def label_selector(found: Report, path: str, selector: LabelSelector | None) -> None:
    """A label selector makes sense."""
    if selector is None:
        return
    labels(found, f"{path}.matchLabels", selector.match_labels)
    for index, requirement in enumerate(selector.match_expressions):
        _selector_requirement(found, f"{path}.matchExpressions[{index}]", requirement)


def _selector_requirement(found: Report, path: str, requirement: LabelSelectorRequirement) -> None:
    if requirement.operator in {"In", "NotIn"}:
        if not requirement.values:
            found.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif requirement.operator in {"Exists", "DoesNotExist"}:
        if requirement.values:
            found.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        found.invalid(f"{path}.operator", requirement.operator, "not a valid selector operator")
    text(found, f"{path}.key", requirement.key, names.qualified_name)
    for index, value in enumerate(requirement.values):
        text(found, f"{path}.values[{index}]", value, names.label_value)


def selector_value(selector: LabelSelector) -> dict[str, object]:
    """A selector as the API server shows it."""
    shown: dict[str, object] = {}
    if selector.match_labels:
        shown["matchLabels"] = dict(sorted(selector.match_labels.items()))
    if selector.match_expressions:
        shown["matchExpressions"] = [
            {"key": each.key, "operator": each.operator} | ({"values": list(each.values)} if each.values else {})
            for each in selector.match_expressions
        ]
    return shown


def ip(found: Report, path: str, address: str) -> bool:
    """An IP address of either family; says whether it is one."""
    faults = ip_faults(address)
    found.each_invalid(path, address, faults)
    return not faults


def routable_ip(found: Report, path: str, address: str) -> None:
    """An address that other hosts could reach: neither unspecified, nor loopback, nor link-local."""
    parsed = parsed_ip(address)
    if parsed is None:
        found.invalid(path, address, "must be a valid IP address")
        return
    if parsed.is_unspecified:
        found.invalid(path, address, f"may not be unspecified ({address})")
    if parsed.is_loopback:
        found.invalid(path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if parsed.is_link_local:
        found.invalid(path, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if any(parsed in network for network in _LINK_LOCAL_MULTICAST if network.version == parsed.version):
        found.invalid(path, address, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


_LINK_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))


def cidr(found: Report, path: str, block: str) -> None:
    """A range of addresses, such as 10.9.8.0/24."""
    found.each_invalid(path, block, cidr_faults(block))


def dual_stack(addresses: tuple[str, ...]) -> bool:
    """Whether addresses or ranges are of both families."""
    parsed = (parsed_ip(address.partition("/")[0]) for address in addresses)
    return len({address.version for address in parsed if address is not None}) == 2


def port(found: Report, path: str, target: IntOrString | None) -> None:
    """A port by its number or its name."""
    if isinstance(target, str):
        text(found, path, target, names.port_name)
    else:
        found.each_invalid(path, target or 0, names.port_number(target or 0))


def quantity(found: Report, path: str, value: Quantity) -> Amount | None:
    """A quantity that can be read; None, and a problem, if it can't."""
    try:
        return parse(value)
    except QuantityError as error:
        found.invalid(path, value, error.message)
        return None


def int_or_percent(found: Report, path: str, value: IntOrString) -> None:
    """A count, or a share such as 25%."""
    if isinstance(value, int):
        found.not_negative(path, value)
    else:
        text(found, path, value, percent_messages)


def at_most_all(found: Report, path: str, value: IntOrString) -> None:
    """A share is at most 100%."""
    if isinstance(value, str) and not percent_messages(value) and int(value[:-1]) > 100:
        found.invalid(path, value, "must not be greater than 100%")


def is_zero(value: IntOrString) -> bool:
    """Whether a count or share is 0, or cannot be read, which the API server takes for 0."""
    if isinstance(value, int):
        return value == 0
    number = value.removesuffix("%")
    return not (_DIGITS.fullmatch(number) and int(number))


def no_backsteps(found: Report, path: str, name: str) -> None:
    """A file's path doesn't climb."""
    if ".." in name.split("/"):
        found.invalid(path, name, "must not contain '..'")


def descending_path(found: Report, path: str, name: str) -> None:
    """A file's path is relative, and stays below where it starts."""
    if name.startswith("/"):
        found.invalid(path, name, "must be a relative path")
    no_backsteps(found, path, name)


def local_path(found: Report, path: str, name: str) -> None:
    """A file's path inside a volume; names that begin with two dots belong to the kubelet."""
    descending_path(found, path, name)
    if name.startswith("..") and not name.startswith("../"):
        found.invalid(path, name, "must not start with '..'")


def immutable(found: Report, path: str, new: object, old: object, kind: str = "") -> None:
    """A value is what it was; ``kind`` is the name of its struct, if it is one."""
    if new != old:
        found.invalid(path, internal(kind, new) if kind and new is not None else new, IMMUTABLE)


def listed(values: tuple[str, ...]) -> str:
    """Names in quotes, as Go prints a list of them."""
    return f"[{' '.join(map(quoted, values))}]"
