"""Resource quantities ("100m", "1.5Gi", "12e6"), read and printed exactly as Kubernetes' ``resource.Quantity``.

Amounts are whole numbers of billionths (nanos), the finest that Kubernetes keeps, so nothing here ever rounds by
accident. The same few strings recur in a cluster by the ten thousand, hence everything read from a string is memoised.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import lru_cache

from state.errors import StateError, quoted

#: A quantity as an object holds it.
QuantityLike = str | int | float

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
#: Longer texts and larger exponents are refused: nothing real needs them, and they cost memory without bound.
MAX_LENGTH = 1_000
MAX_EXPONENT = 1_000
#: Distinct strings remembered. Real clusters have hundreds.
_CACHE_SIZE = 65_536

_NANO = -9
_NANOS = 10**9
_PATTERN = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {0: ""} | {exponent: suffix for suffix, exponent in _BINARY.items()}
#: Kubernetes keeps numbers of up to this many digits in 64 bits; longer ones take another path through its parser.
_INT64_DIGITS = 18

_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_NUMBER = "unable to parse numeric part of quantity"
_WRONG_SUFFIX = "unable to parse quantity's suffix"


class QuantityError(StateError):
    """A value is no quantity. ``message`` is Kubernetes' sentence, ``found`` the value."""

    def __init__(self, message: str, found: object) -> None:
        self.message = message
        self.found = found
        super().__init__(f"{quoted(found) if isinstance(found, str) else repr(found)}: {message}")


class Format(Enum):
    """Which suffixes a quantity was written with; it is printed with the same kind."""

    DECIMAL_SI = "DecimalSI"
    BINARY_SI = "BinarySI"
    DECIMAL_EXPONENT = "DecimalExponent"


@dataclass(frozen=True, slots=True, order=True)
class Amount:
    """An exact quantity: ``nanos`` billionths. Amounts compare by size alone; ``format`` only says how to print one."""

    nanos: int
    format: Format = field(default=Format.DECIMAL_SI, compare=False)

    def scaled(self, exponent: int) -> int:
        """The amount in units of ten to the ``exponent`` (-9 or more), rounded away from zero, as ``ScaledValue``.

        What does not fit into 64 bits is capped at the largest or smallest number that does.
        """
        unit: int = 10 ** (exponent - _NANO)
        whole = -(-self.nanos // unit) if self.nanos > 0 else self.nanos // unit
        return max(INT64_MIN, min(whole, INT64_MAX))

    def milli(self) -> int:
        """The amount in thousandths, rounded away from zero, as ``MilliValue``."""
        return self.scaled(-3)

    def value(self) -> int:
        """The amount in whole units, rounded away from zero, as ``Value``."""
        return self.scaled(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __str__(self) -> str:
        """The canonical form: no fraction, no precision lost, and the largest suffix that allows both."""
        whole, rest = divmod(self.nanos, _NANOS)
        if self.format is Format.BINARY_SI and not rest and abs(whole) >= 1024:
            return _with_binary_suffix(whole)
        return _with_decimal_suffix(self.nanos, self.format)


def parse(quantity: QuantityLike) -> Amount:
    """Reads a quantity, a YAML number included.

    Finer amounts than a billionth are rounded away from zero, and binary ones beyond 2^63-1 are cut to that, as
    Kubernetes does without saying so.

    Raises:
        QuantityError: if it isn't one.
    """
    return _parse(quantity if type(quantity) is str else _text(quantity))


def milli(quantity: QuantityLike) -> int:
    """A quantity in thousandths, rounded away from zero ("1" is 1000, "1n" is 1)."""
    return _milli(quantity if type(quantity) is str else _text(quantity))


def value(quantity: QuantityLike) -> int:
    """A quantity in whole units, rounded away from zero ("1Ki" is 1024, "100m" is 1)."""
    return _value(quantity if type(quantity) is str else _text(quantity))


def canonical(quantity: QuantityLike) -> str:
    """A quantity as the API server prints it back: "0.1" as "100m", "1024Mi" as "1Gi".

    Kubernetes keeps the very text of one that looks canonical to it, so that "+1", "007" and "1.250" stay as they are.
    """
    return _canonical(quantity if type(quantity) is str else _text(quantity))


def compare(left: QuantityLike, right: QuantityLike) -> int:
    """-1, 0 or 1: whether ``left`` is less than, equal to or greater than ``right``."""
    a, b = parse(left).nanos, parse(right).nanos
    return (a > b) - (a < b)


def add(left: QuantityLike, right: QuantityLike) -> str:
    """The sum in canonical form, with the suffixes of ``left`` unless that is zero."""
    return str(parse(left) + parse(right))


def format_binary(units: int) -> str:
    """Whole units (bytes) with a binary suffix where one fits: 1073741824 is "1Gi"."""
    return str(Amount(units * _NANOS, Format.BINARY_SI))


def format_decimal(millis: int) -> str:
    """Thousandths with a decimal suffix where one fits: 1500 is "1500m", 2000 is "2"."""
    return str(Amount(millis * 10**6))


def _text(quantity: QuantityLike) -> str:
    """The text that the API server would see: a number as JSON writes it."""
    if isinstance(quantity, str):
        return str(quantity)
    if isinstance(quantity, int) and not isinstance(quantity, bool):
        if quantity.bit_length() > 4 * MAX_LENGTH:  # Python refuses to print the largest ones
            raise QuantityError(f"must be no more than {MAX_LENGTH} characters", f"{quantity:#x}"[:20] + "...")
        return int.__repr__(quantity)
    if isinstance(quantity, float) and math.isfinite(quantity):
        shortest = Decimal(float.__repr__(quantity))
        if quantity and not 1e-6 <= abs(quantity) < 1e21:
            return f"{shortest:e}"
        return f"{shortest:f}".removesuffix(".0")
    raise QuantityError(_WRONG_FORMAT, quantity)


@lru_cache(_CACHE_SIZE)
def _parse(text: str) -> Amount:
    return _read(text)[0]


@lru_cache(_CACHE_SIZE)
def _milli(text: str) -> int:
    return _parse(text).milli()


@lru_cache(_CACHE_SIZE)
def _value(text: str) -> int:
    return _parse(text).value()


@lru_cache(_CACHE_SIZE)
def _canonical(text: str) -> str:
    amount, kept = _read(text)
    return text.strip(" ") if kept else str(amount)


def _read(text: str) -> tuple[Amount, bool]:
    """The amount, and whether Kubernetes would print the text back untouched."""
    found = text.strip(" ")  # inside JSON, Kubernetes allows blanks around a quantity
    if len(found) > MAX_LENGTH:
        raise QuantityError(f"must be no more than {MAX_LENGTH} characters", f"{found[:20]}...")
    match = _PATTERN.fullmatch(found)
    if not match or not found:
        raise QuantityError(_WRONG_FORMAT, text)
    sign, whole, fraction, suffix = match.groups("")
    exponent, form = _suffix(suffix, text)
    # Kubernetes reads short numbers along a fast path, on which even a missing number passes, as zero.
    digits = (whole.lstrip("0") or "0") + fraction
    fast = _is_fast(len(digits), len(fraction), exponent, form)
    if not fast and not whole and not fraction:
        raise QuantityError(_WRONG_NUMBER, text)
    nanos = _nanos(int(digits), len(fraction), exponent, form)
    if not fast and form is Format.BINARY_SI:
        nanos = min(nanos, INT64_MAX * _NANOS)
        if 0 < nanos < _NANOS:
            form = Format.DECIMAL_SI
    kept = fast and _looks_canonical(digits, exponent - len(fraction), form)
    return Amount(-nanos if sign == "-" else nanos, form), kept


def _suffix(suffix: str, text: str) -> tuple[int, Format]:
    """A suffix's power of two (binary) or of ten (all others)."""
    if suffix in _DECIMAL:
        return _DECIMAL[suffix], Format.DECIMAL_SI
    if suffix in _BINARY:
        return _BINARY[suffix], Format.BINARY_SI
    match = _EXPONENT.fullmatch(suffix)
    if not match:
        raise QuantityError(_WRONG_SUFFIX, text)
    exponent = int(match[1])
    if exponent > MAX_EXPONENT:
        raise QuantityError(f"the exponent must be no more than {MAX_EXPONENT}", text)
    return max(exponent, -2 * MAX_LENGTH), Format.DECIMAL_EXPONENT  # whatever is smaller rounds up to a billionth


def _is_fast(digits: int, decimals: int, exponent: int, form: Format) -> bool:
    """Whether Kubernetes keeps the number in 64 bits as it parses it."""
    if form is Format.BINARY_SI:
        return not decimals and digits <= _INT64_DIGITS - 4 - exponent * 3 // 10
    return digits <= _INT64_DIGITS and exponent - decimals >= _NANO


def _nanos(number: int, decimals: int, exponent: int, form: Format) -> int:
    """``number`` with ``decimals`` decimal places, times its suffix, in billionths, rounded up."""
    if form is Format.BINARY_SI:
        number, exponent = number << exponent, 0
    power = exponent - decimals - _NANO
    factor: int = 10 ** abs(power)
    return number * factor if power >= 0 else -(-number // factor)


def _looks_canonical(digits: str, exponent: int, form: Format) -> bool:
    if form is Format.BINARY_SI:
        return int(digits) % 8 != 0
    return exponent % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _with_binary_suffix(whole: int) -> str:
    exponent = 0
    while exponent < 60 and whole % 1024 == 0:
        whole //= 1024
        exponent += 10
    return f"{whole}{_BINARY_SUFFIX[exponent]}"


def _with_decimal_suffix(nanos: int, form: Format) -> str:
    if not nanos:
        return "0"
    exponent = _NANO
    while nanos % 1000 == 0:
        nanos //= 1000
        exponent += 3
    if form is Format.DECIMAL_EXPONENT or exponent not in _DECIMAL_SUFFIX:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"
