"""Finds everything that is wrong with the types of a manifest, field by field.

msgspec converts a good manifest in microseconds, but stops at the first fault and knows no null. This slower walk is
for the manifests it refuses: it follows the type of the object, collects every fault, and hands back the manifest
without its nulls and its unknown fields, to be converted after all if there was nothing worse.

Null means what it means to the API server's decoder (sigs.k8s.io/json): a field that is null is absent, a null in a
list or map is the zero value of its type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard

import msgspec
from msgspec import inspect

from state.errors import NO_VALUE, Problem, forbidden, type_invalid, unknown_field
from state.objects import DEPTH_LIMIT, Object, ObjectMeta
from state.paths import MapKey, Path, is_unicode, written
from state.yaml_reader import Trap

_INT64 = 2**63
_TYPE_META = frozenset({"apiVersion", "kind"})
#: Longest text of a value that a message repeats.
_SHOWN = 100
_Node = inspect.Type


class Diagnosis:
    """One walk through one manifest; ``problems`` and ``unknown`` fill as it goes.

    ``traps`` are the places where YAML reads unquoted text in a surprising way; None for a manifest that doesn't come
    from YAML.
    """

    def __init__(self, traps: Mapping[Path, Trap] | None = None) -> None:
        self.problems: list[Problem] = []
        #: Fields that the API does not have.
        self.unknown: list[Problem] = []
        self._traps = traps

    def typed(self, manifest: Mapping[str, Any], kind: type[Object]) -> dict[str, Any]:
        """The manifest of a typed object, cleaned."""
        cleaned: dict[str, Any] = self._struct(_described(kind), manifest, ())
        return cleaned

    def metadata(self, value: object) -> dict[str, Any]:
        """The metadata of an object of any kind, cleaned."""
        cleaned: dict[str, Any] = self._clean(_described(ObjectMeta), {} if value is None else value, ("metadata",))
        return cleaned

    def plain(self, value: object, path: Path = (), levels: int = DEPTH_LIMIT) -> Any:
        """A value that nothing interprets, as plain JSON of at most so many levels. Null stays null here."""
        if not levels and (isinstance(value, Mapping) or is_list(value)):
            self._wrong(path[: 1 - DEPTH_LIMIT], NO_VALUE, f"must not be nested deeper than {DEPTH_LIMIT} levels")
        elif isinstance(value, Mapping):
            return {
                key: self.plain(item, (*path, key), levels - 1)
                for key, item in value.items()
                if self._is_key(key, (*path, key))
            }
        elif is_list(value):
            return [self.plain(item, (*path, index), levels - 1) for index, item in enumerate(value)]
        elif isinstance(value, str):
            self._check_text(value, path)
        elif isinstance(value, float) and not math.isfinite(value):
            self._wrong(path, NO_VALUE, f"must be a finite number, not {value}")
        elif isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
            self._wrong(path, value, "must be an integer of at most 64 bits")
        elif value is not None and not isinstance(value, int | float):
            self._wrong(path, NO_VALUE, f"must be a JSON value, not {found(value)}")
        return value

    def _clean(self, node: _Node, value: Any, path: Path) -> Any:
        """The value without nulls and unknown fields; its faults are noted."""
        options = _options(node)
        if len(options) == 1:
            node = options[0]
        if isinstance(node, inspect.CustomType):
            return self.plain(value, path)
        if isinstance(node, inspect.StructType):
            return self._struct(node, value, path)
        if isinstance(node, inspect.DictType):
            return self._map(node, value, path)
        if isinstance(node, inspect.VarTupleType):
            if is_list(value):
                return [self._element(node.item_type, item, (*path, index)) for index, item in enumerate(value)]
            self._mismatch(options, value, path)
            return []
        return self._scalar(options, value, path)

    def _struct(self, node: inspect.StructType, value: Any, path: Path) -> Any:
        if not isinstance(value, Mapping):
            self._mismatch((node,), value, path)
            return {}
        fields = _fields(node.cls)
        cleaned = {}
        for name, item in value.items():
            if name in _TYPE_META and issubclass(node.cls, Object):
                self._check_type_meta(node.cls, name, item, path)
            elif name not in fields:
                text = written((*path, str(name)))
                self.unknown.append(forbidden(text, f"strict decoding error: {unknown_field(text)}"))
            elif item is not None:
                cleaned[name] = self._clean(fields[name], item, (*path, name))
        return cleaned

    def _map(self, node: inspect.DictType, value: Any, path: Path) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self._mismatch((node,), value, path)
            return {}
        return {
            key: self._element(node.value_type, item, (*path, MapKey(key)))
            for key, item in value.items()
            if self._is_key(key, (*path, MapKey(key)))
        }

    def _element(self, node: _Node, value: Any, path: Path) -> Any:
        """An item of a list or map; null is the zero value of the type."""
        if value is None:
            value = _zero(_options(node))
        return self._clean(node, value, path)

    def _scalar(self, options: tuple[_Node, ...], value: Any, path: Path) -> Any:
        if isinstance(value, str) and _find(options, inspect.StrType):
            self._check_text(value, path)
            return value
        if isinstance(value, bool) and _find(options, inspect.BoolType):
            return value
        integer = _find(options, inspect.IntType)
        number = _find(options, inspect.FloatType)
        if isinstance(value, int) and not isinstance(value, bool) and integer is not None:
            if integer.ge is None or integer.le is None or integer.ge <= value <= integer.le:
                return value
            if number is not None:  # a quantity; as text it has no bounds
                return str(value)
            self._wrong(path, value, f"must be between {integer.ge} and {integer.le}")
            return 0
        if isinstance(value, float) and number is not None:
            if math.isfinite(value):
                return value
            self._wrong(path, NO_VALUE, f"must be a finite number, not {value}")
            return 0
        self._mismatch(options, value, path)
        return _zero(options)

    def _check_type_meta(self, kind: type[Object], name: str, value: object, path: Path) -> None:
        expected = kind.kind if name == "kind" else kind.api_version
        if value is not None and value != expected:
            self._wrong((*path, name), value, f'must be "{expected}" here')

    def _check_text(self, text: str, path: Path) -> None:
        if not is_unicode(text):
            self._wrong(path, NO_VALUE, "must be valid Unicode, without lone surrogates")

    def _is_key(self, key: object, path: Path) -> bool:
        if isinstance(key, str):
            self._check_text(key, path)
            return True
        self._wrong(path, NO_VALUE, f"the key must be a string, not {found(key)}")
        return False

    def _mismatch(self, options: tuple[_Node, ...], value: object, path: Path) -> None:
        """Notes a value of the wrong type, with a hint if YAML made it of something that looks like text."""
        message = f"must be {_expected(options)}, not {found(value)}"
        if self._traps is not None:
            trap = self._traps.get(path)
            if trap is not None:
                message += f"; {trap.why} (line {trap.line})"
            if len(options) == 1 and isinstance(options[0], inspect.StrType) and isinstance(value, int | float):
                message += "; quote it"
        self._wrong(path, value, message)

    def _wrong(self, path: Path, value: object, message: str) -> None:
        if isinstance(value, str) and len(value) > _SHOWN:
            value = value[:_SHOWN] + "…"
        elif not isinstance(value, str | float) and not (isinstance(value, int) and -_INT64 <= value < _INT64):
            value = NO_VALUE
        self.problems.append(type_invalid(written(path), value, message))


@cache
def _described(struct: type[msgspec.Struct]) -> inspect.StructType:
    description = inspect.type_info(struct)
    assert isinstance(description, inspect.StructType)
    return description


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, _Node]:
    """The types of the fields of a struct by their JSON names."""
    return {field.encode_name: field.type for field in _described(struct).fields}


def _options(node: _Node) -> tuple[_Node, ...]:
    """What a value may be, null aside."""
    if isinstance(node, inspect.UnionType):
        return tuple(option for option in node.types if not isinstance(option, inspect.NoneType))
    return (node,)


def _find(options: tuple[_Node, ...], wanted: type[_Node]) -> Any:
    return next((option for option in options if isinstance(option, wanted)), None)


def _zero(options: tuple[_Node, ...]) -> Any:
    """The zero value in Go, as JSON."""
    if _find(options, inspect.FloatType) is not None:
        return "0"
    for kind, zero in (
        (inspect.IntType, 0),
        (inspect.StrType, ""),
        (inspect.BoolType, False),
        (inspect.VarTupleType, []),
        (inspect.CustomType, None),
    ):
        if _find(options, kind) is not None:
            return zero
    return {}


def _expected(options: tuple[_Node, ...]) -> str:
    if _find(options, inspect.FloatType) is not None:
        return "a quantity (a string or a number)"
    words: dict[type[_Node], str] = {
        inspect.IntType: "an integer",
        inspect.StrType: "a string",
        inspect.BoolType: "a boolean",
        inspect.VarTupleType: "a list",
        inspect.DictType: "a map",
        inspect.StructType: "an object",
    }
    return " or ".join(word for kind, word in words.items() if _find(options, kind) is not None)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value stands for a list of JSON."""
    return isinstance(value, list | tuple) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def found(value: object) -> str:
    """What a value is, in the words of JSON."""
    if value is None:
        return "null"
    for kinds, word in (
        (str, "a string"),
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a floating-point number"),
        (Mapping, "an object"),
    ):
        if isinstance(value, kinds):
            return word
    if is_list(value):
        return "a list"
    return f"a Python {type(value).__name__}"
