"""How kube-apiserver shows the part of an object that an update may not change: as a unified diff.

It compares its own ("internal") structs, printed as JSON: without JSON names in the structs, every field is there under
Go's name. They are v1's but for the few that are told here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import msgspec
import orjson

from state.go_structs import go_structs
from state.objects import Quantity, encode_hook
from state.quantity import QuantityError, canonical

Json = dict[str, Any]

#: v1's fields of the pod that are of its security context here.
_OF_CONTEXT = ("HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers")
#: Where the fields of a struct that come after another one here come elsewhere in v1.
_AFTER = {
    "PodSpec": {
        "SetHostnameAsFQDN": "Subdomain",
        "PreemptionPolicy": "Priority",
        "Overhead": "RuntimeClassName",
        "EnableServiceLinks": "Overhead",
    },
    "VolumeSource": {"Quobyte": "RBD"},
    "PersistentVolumeSource": {"Quobyte": "RBD", "FlexVolume": "ISCSI", "Flocker": "FC"},
}
#: Types of apimachinery, which have JSON names and leave out what is empty.
_NAMED = frozenset({"LabelSelector", "ObjectMeta"})
_QUANTITY = "resource.Quantity"
#: What Go's encoder escapes, too: JSON inside HTML does no harm.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
_PLAIN: dict[str, object] = {"bool": False, "int32": 0, "int64": 0, "intstr.IntOrString": 0, _QUANTITY: "0"}


def difference(kind: str, old: object, new: object) -> str:
    """A unified diff of two parts of an object, both msgspec structs of that kind (``util/diff.Diff``)."""
    told = unified_diff(_lines(kind, old), _lines(kind, new), lineterm="")
    return "".join(f"{line}\n" for line in list(told)[2:])  # the files at its head have no names


def internal(kind: str, value: object) -> Any:
    """A part of an object, an msgspec struct of that kind, as the API server's own struct in JSON."""
    return _shown(kind, orjson.loads(msgspec.json.encode(value, enc_hook=encode_hook)))


def _lines(kind: str, value: object) -> list[str]:
    text = json.dumps(internal(kind, value), indent=1, ensure_ascii=False)
    return text.translate(_ESCAPES).split("\n")


def _shown(kind: str, value: Any) -> Any:
    """A value as that type; one of another type, which is refused anyway, as it is."""
    if kind.startswith("*"):
        return None if value is None else _shown(kind[1:], value)
    if kind.startswith("[]"):
        return [_shown(kind[2:], item) for item in value] if value and isinstance(value, list) else None
    if kind in {"ResourceList", "map"}:
        show = _amount if kind == "ResourceList" else str
        return {name: show(value[name]) for name in sorted(value)} if value and isinstance(value, dict) else None
    if kind == _QUANTITY and value is not None:
        return _amount(value)
    if kind in _NAMED:
        return value or {}
    if kind in go_structs() and (value is None or isinstance(value, dict)):
        return dict(_fields(kind, value or {}))
    return _PLAIN.get(kind, "") if value is None else value


def _amount(value: Quantity) -> Quantity:
    try:
        return canonical(value)
    except QuantityError:
        return value


def _fields(struct: str, value: Json) -> Iterator[tuple[str, Any]]:
    for name, kind, source in _ordered(struct):
        if kind == "-":
            yield from _fields(name, value)
        elif kind == "ObjectMeta":  # embedded
            yield from value.get(source, {}).items()
        elif struct == "PodSpec" and name == "SecurityContext":
            yield name, _security_context(value)
        elif struct != "PodSpec" or (name not in _OF_CONTEXT and name != "DeprecatedServiceAccount"):
            yield name, _shown(kind, value.get(source))


def _security_context(spec: Json) -> Json:
    """It is always there, and begins with what v1 has in the pod itself."""
    given = {name: (kind, source) for name, kind, source in go_structs()["PodSpec"]}
    own = {name: _shown(given[name][0], spec.get(given[name][1])) for name in _OF_CONTEXT}
    return {**own, **_shown("PodSecurityContext", spec.get("securityContext"))}


def _ordered(struct: str) -> list[tuple[str, str, str]]:
    fields = {field[0]: field for field in go_structs()[struct]}
    order = list(fields)
    for name, before in _AFTER.get(struct, {}).items():
        order.remove(name)
        order.insert(order.index(before) + 1, name)
    return [fields[name] for name in order]
