"""What unquoted text means in YAML, as kubectl reads it.

kubectl (sigs.k8s.io/yaml, which is go-yaml v2) reads YAML 1.1 with exceptions: ``y`` and ``n`` are booleans, a leading
zero means octal, dates and ``22:22`` are text, ``1e3`` is a number. PyYAML's own rules differ in each of these.
"""

from __future__ import annotations

import math
import re

#: Words that YAML 1.1 alone takes for booleans; YAML 1.2 and most people take them for text.
_TRAPS = {
    word: value
    for value, words in {True: ("y", "yes", "on"), False: ("n", "no", "off")}.items()
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}
_WORDS: dict[str, object] = {
    **_TRAPS,
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_DIGITS_OR_SIGN = frozenset("+-0123456789")
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0_*[0-7][0-7_]*")
#: Text that other readers of YAML take for a date, a number to base 60, or a special key.
_MISREAD_ELSEWHERE = re.compile(r"\d{4}-\d\d?-\d\d?.*|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|=|<<")


def resolve(text: str) -> object:
    """The value of an unquoted scalar: text, a boolean, an integer, a float (also NaN and infinity), or None."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _DIGITS_OR_SIGN:
        plain = text.replace("_", "")
        integer = _integer(plain)
        if integer is not None:
            return integer
        return text if _FLOAT.fullmatch(plain) is None else _number(plain, text)
    if text[0] == "." and _FLOAT.fullmatch(text) is not None:
        return _number(text, text)
    return text


def trap(text: str) -> str | None:
    """What is surprising about the value of an unquoted scalar, in words; None if nothing is."""
    if text in _TRAPS:
        return f"YAML reads {text} as the boolean {str(_TRAPS[text]).lower()}"
    value = resolve(text)
    if isinstance(value, int) and not isinstance(value, bool):
        if _OCTAL.fullmatch(text) is not None:
            return f"YAML reads {text} as an octal number, {value}"
        if "_" in text:
            return f"YAML reads {text} as the number {value}"
    return None


def needs_quotes(text: str) -> bool:
    """Whether text must be quoted, because some reader of YAML would take it for something else."""
    return not isinstance(resolve(text), str) or _MISREAD_ELSEWHERE.fullmatch(text) is not None


def _integer(text: str) -> int | None:
    """The integer, if it is one that fits into 64 bits (Go's ParseInt and ParseUint)."""
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > 80:
        return None
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if hexadecimal is not None:
        size = int(hexadecimal, 16)
    elif binary is not None:
        size = int(binary, 2)
    elif octal is not None:
        size = int(octal, 8)
    else:
        size = int(decimal)
    value = -size if sign == "-" else size
    return value if _fits(value) else None


def _number(digits: str, text: str) -> object:
    """A number with a point or exponent; kubectl passes it on as JSON, where a whole number has none of them."""
    value = float(digits)
    if not math.isfinite(value):
        return text
    return int(value) if value.is_integer() and _fits(value) else value


def _fits(value: float) -> bool:
    return -(2**63) <= value < 2**64
