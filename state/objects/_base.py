"""What all API types are built on: frozen structs with Kubernetes' JSON names.

Three conventions, all of them Kubernetes' own JSON encoding:

* an absent field is ``None``, ``()`` or ``{}`` and is not written; an empty list or map counts as absent;
* a *required* scalar (``default_factory=str|int|bool``) is always written, with its zero value if need be;
* a field that nothing here interprets is ``Opaque`` and comes out as it went in.

Objects are never changed. ``replace(obj, field=...)`` gives a changed copy; maps inside them are not to be written to.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, dataclass_transform

import msgspec
import orjson

from state.kept import exact

#: Go's integer types: what doesn't fit is refused, as the API server refuses it.
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Finite = Annotated[float, msgspec.Meta(ge=-1.7e308, le=1.7e308)]
IntOrString = Int32 | str
#: A resource quantity as written ("100m", "1.5Gi", 2, 0.5); ``state.quantity`` reads it.
Quantity = str | Int64 | _Finite

replace = msgspec.structs.replace

#: How deep lists and maps of an uninterpreted value may nest. The deepest schemas in the field have some 60 levels;
#: orjson stops at 254, which leaves room for what such a value is part of.
DEPTH_LIMIT = 200
#: Only what JSON knows; maps with sorted keys, so that equal values have equal bytes.
_PLAIN = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class Opaque:
    """A value that is carried, compared and printed, but not interpreted. Kept as JSON: nobody can change it."""

    __slots__ = ("json",)

    #: The value as JSON without spaces, the keys of maps sorted.
    json: bytes

    def __init__(self, value: object) -> None:
        """Takes a plain JSON value.

        Raises:
            TypeError: the value holds something that JSON doesn't know, such as NaN or a key that isn't text, or is
                nested deeper than ``DEPTH_LIMIT``.
        """
        text = orjson.dumps(value, option=_PLAIN)
        if b"null" in text or text.count(b"{") + text.count(b"[") > DEPTH_LIMIT:
            _check(value, DEPTH_LIMIT)
        self.json = exact(text)

    @property
    def value(self) -> Any:
        """The value; a new copy each time."""
        return orjson.loads(self.json)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.json == other.json

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        return f"Opaque({self.value!r})"


def _check(value: object, levels: int) -> None:
    """Refuses what orjson lets through: NaN and infinity (written as null), and too many levels."""
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value} is no JSON value")
    if isinstance(value, (dict, list, tuple)):
        if not levels:
            raise TypeError(f"nested deeper than {DEPTH_LIMIT} levels")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, levels - 1)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,  # frozen trees hold no cycles, and snapshots hold millions of them
    omit_defaults=True,
    rename="camel",
    forbid_unknown_fields=True,
):
    """A part of an API object. A field it doesn't know is an error when it is converted, never lost."""


def decode_hook(target: type, value: object) -> object:
    """Builds the types msgspec doesn't know (``dec_hook``)."""
    if target is Opaque:
        return Opaque(value)
    raise NotImplementedError(target)


def encode_hook(value: object) -> object:
    """The JSON of the types msgspec doesn't know (``enc_hook`` of ``msgspec.json.encode``)."""
    if isinstance(value, Opaque):
        return msgspec.Raw(value.json)
    raise NotImplementedError(type(value))
