"""The three-way merge behind ``kubectl apply``: what the manifest said last time, what it says now, what is live.

What the manifest stopped saying goes; what it says wins; what others added stays. Of the kinds of the Kubernetes API,
lists whose items have an identity (containers by name, service ports by port) are merged item by item, by the keys that
the API declares for its types. All other lists, and all lists of other kinds, are replaced whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

#: Fields that are lists of mappings, with the fields that identify an item: ``x-kubernetes-patch-merge-key``, and for
#: ports also the protocol, as ``x-kubernetes-list-map-keys`` has it, so that 53/TCP and 53/UDP keep apart.
_MERGE_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "conditions": (("type",),),
    "containers": (("name",),),
    "env": (("name",),),
    "ephemeralContainers": (("name",),),
    "hostAliases": (("ip",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ownerReferences": (("uid",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "resourceClaims": (("name",),),
    "schedulingGates": (("name",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeDevices": (("devicePath",),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
}
#: What a part of a key is where an item doesn't say.
_KEY_DEFAULTS = {"protocol": "TCP"}
#: Lists of plain values that are merged as sets.
_SETS = ("finalizers",)
#: What holds one choice of several (``x-kubernetes-patch-strategy: retainKeys``): only the fields that are wanted stay.
_ONE_OF = ("strategy", "volumes")


def merge_patched(document: Json, patch: Json) -> Json:
    """A document with a JSON merge patch (RFC 7386) applied: null removes, mappings merge, all else replaces."""
    merged = dict(document)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = merge_patched(_as_dict(merged.get(name)), value)
        else:
            merged[name] = value
    return merged


def three_way_merge(last: Json, wanted: Json, live: Json, *, by_item: bool = True) -> Json:
    """The live document with what changed from ``last`` to ``wanted`` carried over. No argument is changed.

    ``by_item`` says whether the kind is one of the Kubernetes API, whose lists have merge keys.
    """
    merged = dict(live)
    for name in last:
        if name not in wanted:
            merged.pop(name, None)
    for name, value in wanted.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(name, last.get(name), value, live.get(name), by_item=by_item)
    return merged


def _merge_value(name: str, last: Any, wanted: Any, live: Any, *, by_item: bool) -> Any:
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return wanted
        return three_way_merge(_as_dict(last), wanted, _choice(name, wanted, live, by_item=by_item), by_item=by_item)
    if not isinstance(wanted, list) or not isinstance(live, list):
        return wanted
    before = last if isinstance(last, list) else []
    if name in _SETS:
        return [*(item for item in live if item not in before or item in wanted), *(i for i in wanted if i not in live)]
    key = _merge_key(name, wanted, live) if by_item else None
    return wanted if key is None else _merge_items(name, key, before, wanted, live)


def _as_dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _choice(name: str, wanted: Json, live: Json, *, by_item: bool) -> Json:
    """The live mapping, without what would make it a second choice beside the one that is wanted."""
    return {field: live[field] for field in live if field in wanted} if by_item and name in _ONE_OF else live


_Identity = Callable[[Any], tuple[str, ...] | None]


def _merge_key(name: str, *lists: list[Any]) -> _Identity | None:
    """The identity that every item of the lists has, once each; None if the lists can't be merged by item."""
    for fields in _MERGE_KEYS.get(name, ()):
        identity = _identity(fields)
        if all(_are_distinct([identity(item) for item in items]) for items in lists):
            return identity
    return None


def _identity(fields: tuple[str, ...]) -> _Identity:
    def of(item: Any) -> tuple[str, ...] | None:
        if not isinstance(item, dict) or fields[0] not in item:
            return None
        return tuple(str(item.get(field, _KEY_DEFAULTS.get(field))) for field in fields)

    return of


def _are_distinct(identities: list[tuple[str, ...] | None]) -> bool:
    return None not in identities and len({*identities}) == len(identities)


def _merge_items(name: str, key: _Identity, last: list[Any], wanted: list[Any], live: list[Any]) -> list[Any]:
    """Wanted items in their order, each over its live one; then what others added."""
    before = {key(item): item for item in last}
    current = {key(item): item for item in live}
    asked = {key(item) for item in wanted}
    merged = []
    for item in wanted:
        base = _choice(name, item, current.get(key(item), {}), by_item=True)
        merged.append(three_way_merge(_as_dict(before.get(key(item))), item, base))
    return [*merged, *(item for item in live if key(item) not in asked and key(item) not in before)]
