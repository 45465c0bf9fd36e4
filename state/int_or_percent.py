"""Numbers that may be given as a percentage of another: ``maxSurge: 25%``, ``maxUnavailable: 1``.

Whole numbers throughout, where Kubernetes computes with doubles; the results are the same for all totals that a
cluster can have.
"""

from __future__ import annotations

import re

from state.errors import StateError, quoted
from state.names import regex_message

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_PERCENT = "[0-9]+%"


class IntOrPercentError(StateError):
    """A value is neither an integer nor a percentage; the message is Kubernetes'."""


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """An integer as it is, a percentage as that part of ``total``.

    Kubernetes rounds ``maxSurge`` up and ``maxUnavailable`` down (``GetScaledValueFromIntOrPercent``).

    Raises:
        IntOrPercentError: if it's a text, but no percentage.
    """
    if isinstance(value, int):
        return value
    product = parse_percent(value) * total
    return -(-product // 100) if round_up else product // 100


def parse_percent(text: str) -> int:
    """The number in a text such as ``25%``.

    Raises:
        IntOrPercentError: if the text isn't a whole number before a percent sign.
    """
    number = text.removesuffix("%")
    if number == text:
        raise IntOrPercentError("invalid value for IntOrString: invalid type: string is not a percentage")
    if not _INTEGER.fullmatch(number):
        fault = f"strconv.Atoi: parsing {quoted(number)}: invalid syntax"
        raise IntOrPercentError(f"invalid value for IntOrString: invalid value {quoted(text)}: {fault}")
    return int(number)


def percent_messages(text: str) -> list[str]:
    """What is wrong with a text as a percentage in an object; nothing if it is one."""
    if re.fullmatch(_PERCENT, text):
        return []
    rule = "a valid percent string must be a numeric string followed by an ending '%'"
    return [regex_message(rule, _PERCENT, "1%", "93%")]
