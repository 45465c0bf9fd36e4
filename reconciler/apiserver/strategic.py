"""Strategic merge patch: lists of things with an identity are merged item by item, with directives for the rest.

Which lists those are, and by which field, is declared by Kubernetes' types (``patchStrategy``, ``patchMergeKey``); the
table follows the structs of ``state.objects`` and, for kinds without one, their messages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from msgspec import inspect

from reconciler.apiserver.converter import kind_of
from reconciler.apiserver.govalues import printed
from reconciler.apiserver.messages import Merged, fields_of
from reconciler.apiserver.status import ApiError, bad_request, internal

Json = dict[str, Any]
_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE_ITEMS = "$setElementOrder/", "$deleteFromPrimitiveList/"
SCALARS = ""

#: The key by which items of a list are told apart, by struct and JSON name; ``SCALARS`` for lists of plain values.
MERGE_KEYS: dict[str, dict[str, str]] = {
    "Container": {
        "env": "name",
        "ports": "containerPort",
        "volumeDevices": "devicePath",
        "volumeMounts": "mountPath",
    },
    "CronJobStatus": {},
    "DaemonSetStatus": {"conditions": "type"},
    "DeploymentStatus": {"conditions": "type"},
    "EphemeralContainer": {
        "env": "name",
        "ports": "containerPort",
        "volumeDevices": "devicePath",
        "volumeMounts": "mountPath",
    },
    "CSINodeSpec": {"drivers": "name"},
    "FlowSchemaStatus": {"conditions": "type"},
    "HorizontalPodAutoscalerStatus": {"conditions": "type"},
    "JobStatus": {"conditions": "type"},
    "MutatingWebhook": {"matchConditions": "name"},
    "MutatingWebhookConfiguration": {"webhooks": "name"},
    "NamespaceStatus": {"conditions": "type"},
    "NodeSpec": {"podCIDRs": SCALARS},
    "NodeStatus": {"addresses": "type", "conditions": "type"},
    "ObjectMeta": {"finalizers": SCALARS, "ownerReferences": "uid"},
    "PersistentVolumeClaimStatus": {"conditions": "type"},
    "PodDisruptionBudgetStatus": {"conditions": "type"},
    "PodSpec": {
        "containers": "name",
        "ephemeralContainers": "name",
        "hostAliases": "ip",
        "imagePullSecrets": "name",
        "initContainers": "name",
        "resourceClaims": "name",
        "schedulingGates": "name",
        "topologySpreadConstraints": "topologyKey",
        "volumes": "name",
    },
    "PodStatus": {"conditions": "type", "hostIPs": "ip", "podIPs": "ip", "resourceClaimStatuses": "name"},
    "PriorityLevelConfigurationStatus": {"conditions": "type"},
    "ReplicaSetStatus": {"conditions": "type"},
    "ReplicationControllerStatus": {"conditions": "type"},
    "ResourceQuotaStatus": {},
    "ServiceAccount": {"secrets": "name"},
    "ServiceCIDRStatus": {"conditions": "type"},
    "ServiceSpec": {"ports": "port"},
    "ServiceStatus": {"conditions": "type"},
    "StatefulSetStatus": {"conditions": "type"},
    "MutatingAdmissionPolicySpec": {"matchConditions": "name"},
    "ValidatingAdmissionPolicySpec": {"matchConditions": "name", "variables": "name"},
    "ValidatingWebhook": {"matchConditions": "name"},
    "ValidatingWebhookConfiguration": {"webhooks": "name"},
}


class Field(NamedTuple):
    """What is known of a field: the struct it holds or lists, and the merge key of a list."""

    struct: Merged | None = None
    merge_key: str | None = None


UNKNOWN = Field()


@cache
def merge_fields(struct: Merged | None) -> dict[str, Field]:
    """What is known of the fields of a struct, by their names in JSON."""
    if struct is None:
        return {}
    if isinstance(struct, str):
        keys = MERGE_KEYS.get(struct.rpartition(".")[2], {})
        return {name: Field(field.message, keys.get(name)) for name, field in fields_of(struct).items()}
    keys = MERGE_KEYS.get(struct.__name__, {})
    description = inspect.type_info(struct)
    assert isinstance(description, inspect.StructType)
    result = {}
    for field in description.fields:
        options = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        inner = next((each for each in options if not isinstance(each, inspect.NoneType)), field.type)
        if isinstance(inner, inspect.VarTupleType):
            inner = inner.item_type
        held = inner.cls if isinstance(inner, inspect.StructType) else None
        result[field.encode_name] = Field(held, keys.get(field.encode_name))
    return result


def strategic_patch(document: Json, patch: Json, kind: Merged | None) -> Json:
    """The document with a strategic merge patch applied. No argument is changed.

    Of a kind that nothing is known of (None) lists are replaced.

    Raises:
        ApiError: the patch makes no sense.
    """
    return _merge_map(document, patch, kind)


def _merge_map(original: Json, patch: Json, struct: Merged | None) -> Json:
    directive = patch.get(_PATCH)
    if directive is not None:
        if directive == "replace":
            return {name: value for name, value in patch.items() if name != _PATCH}
        if directive == "delete":
            return {}
        raise _unknown(patch)
    fields = merge_fields(struct)
    merged = dict(original)
    if _RETAIN in patch:
        kept = patch[_RETAIN]
        if not isinstance(kept, list):
            raise bad_request("invalid patch format of retainKeys")
        merged = {name: value for name, value in merged.items() if name in kept}
    for name, value in patch.items():
        if name == _RETAIN:
            continue
        if name.startswith(_DELETE_ITEMS):
            target = name.removeprefix(_DELETE_ITEMS)
            gone = _primitives(value)
            merged[target] = [item for item in _primitives(merged.get(target) or []) if item not in gone]
        elif name.startswith(_ORDER):
            target = name.removeprefix(_ORDER)
            if target not in patch and isinstance(merged.get(target), list):
                order = _order_of(value)
                merged[target] = _ordered(merged[target], [], order, merged[target], _key_of(fields, target))
        elif value is None:
            merged.pop(name, None)
        else:
            order = _order_of(patch.get(_ORDER + name) or [])
            merged[name] = _merge_value(merged.get(name), value, fields.get(name, UNKNOWN), order)
    return merged


def _primitives(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request("invalid patch format of primitive list")
    return value


def _order_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise internal(f"expected a []interface {{}}, but received a {kind_of(value)}")
    return value


def _check_order(items: list[Any], order: list[Any], key: str | None) -> None:
    """The items of a patch come in the order that the patch gives.

    Raises:
        ApiError: they don't.
    """
    left = iter(order)
    for item in items:
        wanted = item if key is None else item.get(key)
        if not any(wanted == (each if key is None else _identity(each, key)) for each in left):
            told = f"The order in patch list:\n{printed(items)}\n doesn't match {_ORDER.rstrip('/')} list:\n"
            raise internal(f"{told}{printed(order)}\n")


def _key_of(fields: dict[str, Field], name: str) -> str | None:
    return fields.get(name, UNKNOWN).merge_key


def _merge_value(original: Any, value: Any, field: Field, order: list[Any]) -> Any:
    if isinstance(value, dict):
        return _merge_map(original if isinstance(original, dict) else {}, value, field.struct)
    if isinstance(value, list) and field.merge_key is not None:
        return _merge_list(original if isinstance(original, list) else [], value, field, order)
    return value


def _merge_list(original: list[Any], patch: list[Any], field: Field, order: list[Any]) -> list[Any]:
    key = field.merge_key
    if key == SCALARS:
        if order:
            _check_order(patch, order, None)
        merged = [*original, *(item for item in patch if item not in original)]
        return _ordered(merged, patch, order or patch, original, key)
    assert key is not None
    items: list[Json] = []
    directives: list[Json] = []
    for item in patch:
        if not isinstance(item, dict):
            raise internal(f"list element types are not identical: [{printed(original)} {printed(patch)}]")
        (directives if _PATCH in item else items).append(item)
    if any(item[_PATCH] == "replace" for item in directives):
        return items
    merged = list(original)
    for item in directives:
        if item[_PATCH] == "merge":
            raise internal("merging lists cannot yet be specified in the patch")
        if item[_PATCH] != "delete":
            raise _unknown(item)
        merged = [each for each in merged if each.get(key) != _identity(item, key)]
    if order:
        _check_order(items, order, key)
    for item in items:
        identity = _identity(item, key)
        at = next((index for index, each in enumerate(merged) if each.get(key) == identity), None)
        if at is None:
            merged.append(_merge_map({}, item, field.struct))
        else:
            merged[at] = _merge_map(merged[at], item, field.struct)
    return _ordered(merged, items, order or items, original, key)


def _identity(item: Json, key: str) -> Any:
    if key not in item:
        raise internal(f"map: {printed(item)} does not contain declared merge key: {key}")
    return item[key]


def _unknown(patch: Json) -> ApiError:
    return internal(f"unknown patch type: {printed(patch[_PATCH])} in map: {printed(patch)}")


def _ordered(merged: list[Any], patch: list[Any], order: list[Any], original: list[Any], key: str | None) -> list[Any]:
    """The items in their final order: those that the patch or its order names keep that order; the others, which only
    the server has, are put between them where the original has them, as far as that goes.
    """
    name: Callable[[Any], Any] = (lambda item: item.get(key) if isinstance(item, dict) else item) if key else _itself
    wanted = {_hashable(name(item)): index for index, item in enumerate(order)}
    named = {_hashable(name(item)) for item in patch} | set(wanted)
    was = {_hashable(name(item)): index for index, item in enumerate(original)}
    ours = [item for item in merged if _hashable(name(item)) in named]
    ours.sort(key=lambda item: wanted.get(_hashable(name(item)), len(wanted)))
    theirs = [item for item in merged if _hashable(name(item)) not in named]
    result: list[Any] = []
    while theirs and ours:
        left, right = was.get(_hashable(name(theirs[0]))), was.get(_hashable(name(ours[0])))
        is_first = left is not None and right is not None and left < right
        result.append(theirs.pop(0) if is_first else ours.pop(0))
    return [*result, *theirs, *ours]


def _itself(item: Any) -> Any:
    return item


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
