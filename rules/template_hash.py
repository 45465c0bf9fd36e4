"""The pod-template-hash, which tells the ReplicaSets of a Deployment apart, letter by letter as Kubernetes 1.36 has it.

kube-controller-manager prints the template as a Go struct, with all fields, types and zero values, takes the 32-bit
FNV-1a hash of the text, and writes the decimal number in letters that can't form words. So an equal template has an
equal ReplicaSet name here and in a cluster of that version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import msgspec
import orjson

from state import quantity
from state.go_structs import go_structs
from state.identity import SAFE_LETTERS
from state.objects import PodTemplateSpec, encode_hook

_OFFSET = 2166136261
_PRIME = 16777619
_MASK = 0xFFFFFFFF
_NIL = "<nil>"
_BUILT_IN = ("string", "bool", "int32", "int64")
_BOOLEANS = {None: "false", False: "false", True: "true"}
_ZERO_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
_QUANTITY = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)")
_DECIMAL = {suffix: 3 * power for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)}
_BINARY = {suffix: 10 * power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
#: How many digits Go keeps in an integer; of a number with a binary suffix, less than so many by its own estimate.
_DECIMAL_DIGITS = 18
_BINARY_DIGITS = 15
_BILLIONTHS = 9
_WORD = 2**64 - 1

#: Prints the JSON value of a field, or None where it is absent, without its type.
_Printer = Callable[[Any], str]


def template_hash(template: PodTemplateSpec, collision_count: int | None = None) -> str:
    """The hash of a defaulted template. A count of collisions, if there were any, gives another one."""
    document = orjson.loads(msgspec.json.encode(template, enc_hook=encode_hook))
    return encoded(fnv32a(printed(document).encode(), collision_count))


def fnv32a(data: bytes, collision_count: int | None = None) -> int:
    """The 32-bit FNV-1a hash of the data, followed by the count in eight bytes, little-endian, if there is one."""
    value = _OFFSET
    for byte in data if collision_count is None else data + (collision_count & _MASK).to_bytes(8, "little"):
        value = (value ^ byte) * _PRIME & _MASK
    return value


def fnv32(data: bytes) -> int:
    """The 32-bit FNV-1 hash of the data."""
    value = _OFFSET
    for byte in data:
        value = (value * _PRIME & _MASK) ^ byte
    return value


def encoded(number: int) -> str:
    """The decimal digits of a number as letters of Kubernetes' safe alphabet (``rand.SafeEncodeString``)."""
    return "".join(SAFE_LETTERS[ord(digit) % len(SAFE_LETTERS)] for digit in str(number))


def printed(document: Mapping[str, Any]) -> str:
    """A template, as plain JSON, the way Go's spew prints the struct, with its type before it."""
    return f"(v1.PodTemplateSpec){_struct('PodTemplateSpec')(document)}"


# -- printers, made once for each type ---------------------------------------------------------------------------------


def _go_type(kind: str) -> str:
    """A type as Go prints it: with its package, which is called v1 for most."""
    bare = kind.lstrip("*[]")
    mark = kind[: len(kind) - len(bare)]
    if bare == "map":
        return "map[string]string"
    return f"{mark}{bare}" if "." in bare or bare in _BUILT_IN else f"{mark}v1.{bare}"


@cache
def _struct(name: str) -> _Printer:
    parts: list[tuple[str, str, _Printer]] = []
    for field, kind, json in go_structs()[name]:
        if kind == "-":
            parts.append((f"{field}:(v1.{field})", "", _struct(field)))
        else:
            parts.append((f"{field}:({_go_type(kind)})", json, _printer(kind)))
    return partial(_print_struct, tuple(parts))


def _print_struct(parts: tuple[tuple[str, str, _Printer], ...], value: Mapping[str, Any] | None) -> str:
    """A struct; a part without a JSON name is embedded and reads the same value."""
    value = value or {}
    fields = (head + show(value.get(json) if json else value) for head, json, show in parts)
    return "{" + " ".join(fields) + "}"


@cache
def _printer(kind: str) -> _Printer:
    if kind.startswith("*"):
        return partial(_print_pointer, kind[1:])
    if kind.startswith("[]"):
        return partial(_print_list, kind[2:])
    return _PLAIN.get(kind) or (_struct(kind) if kind in go_structs() else _print_text)


def _print_pointer(kind: str, value: Any) -> str:
    return _NIL if value is None else _printer(kind)(value)


def _print_list(kind: str, value: list[Any] | None) -> str:
    return "[" + " ".join(map(_printer(kind), value)) + "]" if value else _NIL


def _print_text(value: str | None) -> str:
    return value or ""


def _print_integer(value: int | None) -> str:
    return str(value or 0)


def _print_boolean(value: bool | None) -> str:
    return _BOOLEANS[value]


def _print_map(value: Mapping[str, str] | None) -> str:
    return "map[" + " ".join(f"{key}:{value[key]}" for key in sorted(value)) + "]" if value else _NIL


def _print_time(_: Any) -> str:
    return _ZERO_TIME


def _print_int_or_string(value: int | str | None) -> str:
    number, text = (0, value) if isinstance(value, str) else (value or 0, "")
    kind = 1 if isinstance(value, str) else 0
    return f"{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}"


def _print_resources(value: Mapping[str, Any] | None) -> str:
    return "map[" + " ".join(f"{key}:{_print_quantity(value[key])}" for key in sorted(value)) + "]" if value else _NIL


def _print_quantity(value: str | float | None) -> str:
    """A quantity with the parts that Go keeps it in: a small number and its scale, or a big decimal in billionths.

    The text is kept only where a glance shows that it is the canonical one (``resource.ParseQuantity``).
    """
    text = "0" if value is None else quantity.canonical(value)
    match = _QUANTITY.fullmatch(text)
    assert match is not None, f"{text!r} is no canonical quantity"
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    digits = whole + fraction
    number = int(digits)
    if suffix in _BINARY:
        form, power, scale = "BinarySI", _BINARY[suffix], 0
        small = not fraction and len(whole) + power * 3 // 10 < _BINARY_DIGITS
        known = number % 8 != 0
        number <<= power
    else:
        form = "DecimalSI" if suffix in _DECIMAL else "DecimalExponent"
        scale = (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])) - len(fraction)
        small = len(digits) <= _DECIMAL_DIGITS and scale >= -_BILLIONTHS
        known = text == "0" or (scale % 3 == 0 and not digits.endswith("000"))
    if not small:
        amount = _big_decimal(sign == "-", number * 10 ** (scale + _BILLIONTHS))
        return _quantity_parts(0, 0, amount, "", form)
    return _quantity_parts(-number if sign == "-" else number, scale, _NIL, text if known else "", form)


def _quantity_parts(number: int, scale: int, decimal: str, text: str, form: str) -> str:
    return (
        f"{{i:(resource.int64Amount){{value:(int64){number} scale:(resource.Scale){scale}}}"
        f" d:(resource.infDecAmount){{Dec:(*inf.Dec){decimal}}} s:(string){text} Format:(resource.Format){form}}}"
    )


def _big_decimal(negative: bool, billionths: int) -> str:
    """A decimal of Go's ``inf``: its digits as machine words, the lowest first."""
    words = [str(billionths >> shift & _WORD) for shift in range(0, billionths.bit_length(), 64)]
    return (
        f"{{unscaled:(big.Int){{neg:(bool){_BOOLEANS[negative]} abs:(big.nat)[{' '.join(words)}]}}"
        f" scale:(inf.Scale){_BILLIONTHS}}}"
    )


_PLAIN: dict[str, _Printer] = {
    "string": _print_text,
    "bool": _print_boolean,
    "int32": _print_integer,
    "int64": _print_integer,
    "map": _print_map,
    "Time": _print_time,
    "ResourceList": _print_resources,
    "resource.Quantity": _print_quantity,
    "intstr.IntOrString": _print_int_or_string,
}
