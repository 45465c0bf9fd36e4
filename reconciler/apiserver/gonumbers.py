"""What Go's ``strconv`` says of texts that should be numbers of 64 bits."""

from __future__ import annotations

import re

from state.errors import quoted

_INT64 = 2**63
#: As many as the largest number has; int() of Python takes no end of them.
_DIGITS = 20
_SIGNED, _PLAIN = re.compile("[+-]?[0-9]+"), re.compile("[0-9]+")


def int_fault(text: str) -> str:
    """What is wrong with a number; "" if it is one."""
    return _fault("ParseInt", text, _SIGNED, -_INT64, _INT64 - 1)


def uint_fault(text: str) -> str:
    """The same of one without a sign."""
    return _fault("ParseUint", text, _PLAIN, 0, 2 * _INT64 - 1)


def number(text: str) -> int:
    """The number that a text without fault says, however many zeros it begins with."""
    value = int(text.lstrip("+-0") or "0")
    return -value if text.startswith("-") else value


def _fault(function: str, text: str, form: re.Pattern[str], least: int, most: int) -> str:
    fault = ""
    if not form.fullmatch(text):
        fault = "invalid syntax"
    elif len(text.lstrip("+-0")) > _DIGITS or not least <= number(text) <= most:
        fault = "value out of range"
    return fault and f"strconv.{function}: parsing {quoted(text)}: {fault}"
