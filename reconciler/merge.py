"""The three-way merge behind ``kubectl apply``: what the manifest said last time, what it says now, what is live.

What the manifest stopped saying goes; what it says wins; what others added stays. Lists whose items have an identity
(containers by name, service ports by port) are merged item by item, all others are replaced whole: the merge keys are
those that the Kubernetes API declares for its own types.
"""

from __future__ import annotations

from typing import Any

#: Fields that are lists of mappings, with the field that identifies an item (``x-kubernetes-patch-merge-key``).
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
#: Lists of plain values that are merged as sets.
_SETS = ("finalizers",)
#: Mappings that hold one choice: naming another one replaces it.
_ONE_OF = ("volumes",)

Json = dict[str, Any]


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


def three_way_merge(last: Json, wanted: Json, live: Json) -> Json:
    """The live document with what changed from ``last`` to ``wanted`` carried over. No argument is changed."""
    merged = dict(live)
    for name in last:
        if name not in wanted:
            merged.pop(name, None)
    for name, value in wanted.items():
        merged[name] = _merge_value(name, last.get(name), value, live.get(name))
    return merged


def _merge_value(name: str, last: Any, wanted: Any, live: Any) -> Any:
    if isinstance(wanted, dict):
        return three_way_merge(_as_dict(last), wanted, live) if isinstance(live, dict) else wanted
    if not isinstance(wanted, list) or not isinstance(live, list):
        return wanted
    before = last if isinstance(last, list) else []
    if name in _SETS:
        return [*(item for item in live if item not in before or item in wanted), *(i for i in wanted if i not in live)]
    key = _merge_key(name, wanted, live)
    return wanted if key is None else _merge_items(name, key, before, wanted, live)


def _as_dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _merge_key(name: str, *lists: list[Any]) -> str | None:
    """The key that every item of the lists has, once each; None if the lists can't be merged by item."""
    for key in _MERGE_KEYS.get(name, ()):
        if all(isinstance(item, dict) and key in item for items in lists for item in items) and all(
            len({str(item[key]) for item in items}) == len(items) for items in lists
        ):
            return key
    return None


def _merge_items(name: str, key: str, last: list[Any], wanted: list[Any], live: list[Any]) -> list[Any]:
    """Wanted items in their order, each over its live one; then what others added."""
    before = {item[key]: item for item in last if isinstance(item, dict) and key in item}
    current = {item[key]: item for item in live}
    asked = {item[key] for item in wanted}
    merged = []
    for item in wanted:
        base = current.get(item[key], {})
        if name in _ONE_OF and set(base) != set(item):
            base = {}
        merged.append(three_way_merge(before.get(item[key], {}), item, base))
    return [*merged, *(item for item in live if item[key] not in asked and item[key] not in before)]
