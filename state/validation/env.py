"""Validation of a container's environment, and of references to a pod's own fields."""

from __future__ import annotations

import re
from collections.abc import Collection

from state import names
from state.objects import (
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)
from state.quantity import canonical
from state.validation import _checks as checks
from state.validation._report import Report

#: Fields of a pod that can be in the environment.
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
#: Fields of a pod that can be in a file.
FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
#: Fields that exist, whether or not they can be asked for in a given place.
_KNOWN_FIELDS = frozenset((*_ENV_FIELDS, *FILE_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"))
_SUBSCRIPT = re.compile(r"(.+)\['(.*)'\]", re.DOTALL)
_OLD_NODE_NAME = "spec.host"

_BYTE_DIVISORS = frozenset(f"1{suffix}" for suffix in ("", *"kMGTPE", *(f"{letter}i" for letter in "KMGTPE")))
_DIVISORS = {
    "cpu": (frozenset({"1m", "1"}), "only divisor's values 1m and 1 are supported with the cpu resource"),
    "memory": (_BYTE_DIVISORS, "memory"),
    "ephemeral-storage": (_BYTE_DIVISORS, "local ephemeral storage"),
    "hugepages": (_BYTE_DIVISORS, "hugepages"),
}
_RESOURCES = tuple(
    f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")


def env(found: Report, path: str, variables: tuple[EnvVar, ...]) -> None:
    """Environment variables."""
    for index, variable in enumerate(variables):
        own_path = f"{path}[{index}]"
        checks.named(found, f"{own_path}.name", variable.name, names.env_var_name)
        if variable.value_from is not None:
            _source(found, f"{own_path}.valueFrom", variable.value_from, variable.value)


def _source(found: Report, path: str, source: EnvVarSource, value: str | None) -> None:
    sources = 0
    if source.field_ref is not None:
        sources += 1
        field_reference(found, f"{path}.fieldRef", source.field_ref, _ENV_FIELDS)
    if source.resource_field_ref is not None:
        sources += 1
        resource_reference(found, f"{path}.resourceFieldRef", source.resource_field_ref, in_volume=False)
    if source.config_map_key_ref is not None:
        sources += 1
        _key(found, f"{path}.configMapKeyRef", source.config_map_key_ref)
    if source.secret_key_ref is not None:
        sources += 1
        _key(found, f"{path}.secretKeyRef", source.secret_key_ref)
    if source.file_key_ref is not None:
        sources += 1
    if not sources:
        message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        found.invalid(path, "", message)
    elif value:
        found.invalid(path, "", "may not be specified when `value` is not empty")
    elif sources > 1:
        found.invalid(path, "", "may not have more than one field specified at a time")


def _key(found: Report, path: str, selector: ConfigMapKeySelector | SecretKeySelector) -> None:
    checks.text(found, f"{path}.name", selector.name or "", names.dns1123_subdomain)
    checks.named(found, f"{path}.key", selector.key, names.config_map_key)


def env_from(found: Report, path: str, sources: tuple[EnvFromSource, ...]) -> None:
    """ConfigMaps and Secrets whose every key becomes a variable."""
    for index, source in enumerate(sources):
        own_path = f"{path}[{index}]"
        if source.prefix:
            checks.text(found, f"{own_path}.prefix", source.prefix, names.env_var_name)
        if source.config_map_ref is not None:
            checks.named(found, f"{own_path}.configMapRef.name", source.config_map_ref.name)
        if source.secret_ref is not None:
            checks.named(found, f"{own_path}.secretRef.name", source.secret_ref.name)
        if source.config_map_ref is None and source.secret_ref is None:
            found.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif source.config_map_ref is not None and source.secret_ref is not None:
            found.invalid(path, "", "may not have more than one field specified at a time")


def field_reference(found: Report, path: str, selector: ObjectFieldSelector, fields: Collection[str]) -> None:
    """A reference to a field of the pod (the downward API); ``fields`` are those that can be had here."""
    field = selector.field_path
    if not field:
        found.required(f"{path}.fieldPath")
        return
    subscript = _SUBSCRIPT.fullmatch(field)
    problem = ""
    if selector.api_version != "v1":
        problem = f"unsupported pod version: {selector.api_version}"
    elif subscript and subscript[1] not in {"metadata.annotations", "metadata.labels"}:
        problem = f"field label does not support subscript: {field}"
    elif not subscript and field not in _KNOWN_FIELDS and field != _OLD_NODE_NAME:
        problem = f"field label not supported: {field}"
    if problem:
        found.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {problem}")
    elif subscript:
        key = subscript[2].lower() if subscript[1] == "metadata.annotations" else subscript[2]
        checks.text(found, path, key, names.qualified_name)
    elif (field := "spec.nodeName" if field == _OLD_NODE_NAME else field) not in fields:
        found.unsupported(f"{path}.fieldPath", field, fields)


def resource_reference(found: Report, path: str, selector: ResourceFieldSelector, *, in_volume: bool) -> None:
    """A reference to a container's requests or limits."""
    resource = selector.resource
    if in_volume and not selector.container_name:
        found.required(f"{path}.containerName")
    elif not resource:
        found.required(f"{path}.resource")
    elif resource not in _RESOURCES and not resource.startswith(_HUGE_PAGES):
        found.unsupported(f"{path}.resource", resource, _RESOURCES)
    if selector.divisor is not None:
        amount = checks.quantity(found, f"{path}.divisor", selector.divisor)
        if amount is not None and amount.nanos:
            _divisor(found, f"{path}.divisor", resource, canonical(selector.divisor))


def _divisor(found: Report, path: str, resource: str, divisor: str) -> None:
    name = resource.partition(".")[2]
    allowed, message = _DIVISORS.get("hugepages" if name.startswith("hugepages-") else name, (None, ""))
    if allowed is None or divisor in allowed:
        return
    if name != "cpu":
        listed = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
        message = f"only divisor's values {listed} are supported with the {message} resource"
    found.invalid(path, resource, message)
