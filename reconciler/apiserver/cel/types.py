"""The static types of expressions: how they are written, which fits where, and what schemas declare."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_TOKEN = re.compile(r"[\w.]+|[<>,]")


class Type(NamedTuple):
    """A type with its parameters. An ``object`` has a schema; ``declared`` makes types of that's properties."""

    name: str
    of: tuple[Type, ...] = ()
    schema: Any = None
    declared: Callable[[Any], Type | None] | None = None

    def __str__(self) -> str:
        """As cel-go writes it."""
        name = _SHOWN.get(self.name, self.name)
        return f"{name}({', '.join(map(str, self.of))})" if self.of else name

    @property
    def fields(self) -> Mapping[str, Type]:
        """The fields of an object."""
        assert self.declared is not None
        found = {}
        for name, schema in self.schema.items():
            kind = self.declared(schema)
            if kind is not None:
                found[escaped(name)] = kind
        return found


_SHOWN = {"null_type": "null", "opt": "optional_type"}
DYN, BOOL, INT, NULL, STRING = Type("dyn"), Type("bool"), Type("int"), Type("null_type"), Type("string")
#: What may be null.
_NULLABLE = frozenset({"duration", "object", "timestamp"})
_SCALARS: dict[str, Type] = {"boolean": BOOL, "integer": INT, "number": Type("double"), "string": STRING}
_FORMATS: dict[str, Type] = {
    "byte": Type("bytes"),
    "date": Type("timestamp"),
    "date-time": Type("timestamp"),
    "duration": Type("duration"),
}
_META = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
_NAMES: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
_RESERVED = re.compile(
    "true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|"
    "while"
)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


def escaped(name: str) -> str:
    """A property's name as expressions write it."""
    if _RESERVED.fullmatch(name):
        return f"__{name}__"
    for text, instead in _ESCAPES:
        name = name.replace(text, instead)
    return name


def read_type(text: str) -> Type:
    """A type of a signature: ``map<string,A>``; single capitals stand for any type."""
    return _read(_TOKEN.findall(text)[::-1])


def _read(tokens: list[str]) -> Type:
    name, parameters = tokens.pop(), []
    if tokens and tokens[-1] == "<":
        while tokens.pop() != ">":
            parameters.append(_read(tokens))
    return Type(name, tuple(parameters))


def fits(wanted: Type, found: Type, bound: dict[str, Type]) -> bool:
    """Whether a value of one type can stand where another is wanted; what type parameters are is added to ``bound``."""
    if len(wanted.name) == 1:
        known = bound.setdefault(wanted.name, found)
        if known.name == "null_type":
            bound[wanted.name], known, found = found, found, known
        return fits(known, found, {})
    if "dyn" in (wanted.name, found.name):
        return True
    if found.name == "null_type":
        return wanted.name in _NULLABLE or wanted.name == "null_type" or "." in wanted.name
    if wanted.name != found.name or wanted.schema != found.schema:
        return False
    return all(fits(one, other, bound) for one, other in zip(wanted.of, found.of, strict=False))


def filled(kind: Type, bound: Mapping[str, Type]) -> Type:
    """A type with what its parameters are."""
    if len(kind.name) == 1:
        return bound.get(kind.name, DYN)
    return kind._replace(of=tuple(filled(each, bound) for each in kind.of))


def declared(schema: Any, *, is_root: bool = False) -> Type | None:
    """The type that a structural schema declares, None if it declares none."""
    if not isinstance(schema, Mapping):
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    kind: Any = schema.get("type")
    if kind == "array":
        items = declared(schema.get("items"), is_root=is_embedded(schema.get("items")))
        return None if items is None else Type("list", (items,))
    if kind in ("object", None) and (is_root or kind == "object"):
        more = schema.get("additionalProperties")
        if isinstance(more, Mapping):
            values = declared(more, is_root=is_embedded(more))
            return None if values is None else Type("map", (STRING, values))
        return Type("object", (), properties_of(schema, is_root=is_root), _declared_property)
    return _scalar(schema)


def properties_of(schema: Mapping[str, Any], *, is_root: bool) -> dict[str, Any]:
    """The properties that rules know: of a whole object also its identity, unless it is declared."""
    own = dict(schema.get("properties") or {})
    names = (own.get("metadata") or {}).get("properties") or {}
    identity = [*(own.get(name) for name in _META), *(names.get(name) for name in _NAMES["properties"])]
    if not is_root or all((each or {}).get("type") == "string" for each in identity):
        return own
    return {**own, **_META, "metadata": _NAMES}


def _scalar(schema: Mapping[str, Any]) -> Type | None:
    kind = schema.get("type")
    if kind == "string":
        text: Type = _FORMATS.get(str(schema.get("format")), STRING)
        return text
    return _SCALARS.get(str(kind))


def is_embedded(schema: Any) -> bool:
    """Whether a schema is of a whole object within another."""
    return isinstance(schema, Mapping) and bool(schema.get("x-kubernetes-embedded-resource"))


def _declared_property(schema: Any) -> Type | None:
    return declared(schema, is_root=is_embedded(schema))


def resolved(schema: Any, known: Mapping[str, Any]) -> Type:
    """The type that an OpenAPI schema with references to ``known`` ones declares; what isn't told may be anything."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        name = schema["$ref"]
        schema = None if name.endswith(".Quantity") else known.get(name)  # a quantity may be a number, too
    if not isinstance(schema, Mapping):
        return DYN
    items, more = schema.get("items"), schema.get("additionalProperties")
    if items is not None:
        return Type("list", (resolved(items, known),))
    if isinstance(more, Mapping):
        return Type("map", (STRING, resolved(more, known)))
    if "properties" in schema and schema.get(_PRESERVE) is not True:
        own = dict(schema["properties"])
        if "metadata" in own:
            own |= {name: {**kind, **own.get(name, {})} for name, kind in _META.items()}
        return Type("object", (), own, lambda each: resolved(each, known))
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return DYN
    return (declared(schema) if schema.get("type") in _SCALARS else None) or DYN
