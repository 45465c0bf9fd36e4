"""The three-way merge behind ``kubectl apply``: what the manifest said last time, what it says now, what is live.

What the manifest stopped saying goes; what it says wins; what others added stays. Of the kinds of the Kubernetes API,
lists whose items have an identity (containers by name, service ports by port) are merged item by item, by the keys that
the API declares for its types (see ``strategic``). All other lists, and all lists of other kinds, are replaced whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.apiserver.messages import Merged
from reconciler.apiserver.strategic import SCALARS, UNKNOWN, Field, merge_fields
from state.objects import DeploymentStrategy, Volume

Json = dict[str, Any]

#: What identifies an item beside its merge key (``x-kubernetes-list-map-keys``), so that 53/TCP and 53/UDP keep apart.
_SECOND_KEYS = {"containerPort": "protocol", "port": "protocol", "topologyKey": "whenUnsatisfiable"}
#: What a part of a key is where an item doesn't say.
_KEY_DEFAULTS = {"protocol": "TCP"}
#: What holds one choice of several (``x-kubernetes-patch-strategy: retainKeys``): only the fields that are wanted stay.
_ONE_OF = (DeploymentStrategy, Volume)


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


def three_way_merge(last: Json, wanted: Json, live: Json, kind: Merged | None = None) -> Json:
    """The live document with what changed from ``last`` to ``wanted`` carried over. No argument is changed.

    ``kind`` is what declares the fields, for a kind of the Kubernetes API, whose lists have merge keys.
    """
    merged, fields = dict(live), merge_fields(kind)
    for name in last:
        if name not in wanted:
            merged.pop(name, None)
    for name, value in wanted.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(last.get(name), value, live.get(name), fields.get(name, UNKNOWN))
    return merged


def _merge_value(last: Any, wanted: Any, live: Any, field: Field) -> Any:
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return wanted
        return three_way_merge(_as_dict(last), wanted, _choice(wanted, live, field), field.struct)
    if not isinstance(wanted, list) or not isinstance(live, list):
        return wanted
    before = last if isinstance(last, list) else []
    if field.merge_key == SCALARS:
        return [*(item for item in live if item not in before or item in wanted), *(i for i in wanted if i not in live)]
    key = _merge_key(field, wanted, live)
    return wanted if key is None else _merge_items(key, before, wanted, live, field)


def _as_dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _choice(wanted: Json, live: Json, field: Field) -> Json:
    """The live mapping, without what would make it a second choice beside the one that is wanted."""
    return {name: live[name] for name in live if name in wanted} if field.struct in _ONE_OF else live


_Identity = Callable[[Any], tuple[str, ...] | None]


def _merge_key(field: Field, *lists: list[Any]) -> _Identity | None:
    """The identity that every item of the lists has, once each; None if the lists can't be merged by item."""
    if field.merge_key is None:
        return None
    identity = _identity(field.merge_key)
    return identity if all(_are_distinct([identity(item) for item in items]) for items in lists) else None


def _identity(key: str) -> _Identity:
    second = _SECOND_KEYS.get(key)
    fields = (key,) if second is None else (key, second)

    def of(item: Any) -> tuple[str, ...] | None:
        if not isinstance(item, dict) or key not in item:
            return None
        return tuple(str(item.get(field, _KEY_DEFAULTS.get(field))) for field in fields)

    return of


def _are_distinct(identities: list[tuple[str, ...] | None]) -> bool:
    return None not in identities and len({*identities}) == len(identities)


def _merge_items(key: _Identity, last: list[Any], wanted: list[Any], live: list[Any], field: Field) -> list[Any]:
    """Wanted items in their order, each over its live one; then what others added."""
    before = {key(item): item for item in last}
    current = {key(item): item for item in live}
    asked = {key(item) for item in wanted}
    merged = []
    for item in wanted:
        base = _choice(item, current.get(key(item), {}), field)
        merged.append(three_way_merge(_as_dict(before.get(key(item))), item, base, field.struct))
    return [*merged, *(item for item in live if key(item) not in asked and key(item) not in before)]
