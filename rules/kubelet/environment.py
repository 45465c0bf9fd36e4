"""What a container is told: its environment, and the fields of its pod (downward API).

As the kubelet's ``makeEnvironmentVariables``: Services first, then ``envFrom``, then ``env`` in order, where
``$(NAME)`` refers to what came before. What is missing and not optional is a ``ConfigError``, which names the object to
wait for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from state import quantity
from state.errors import StateError
from state.objects import (
    ConfigMap,
    ConfigMapKeySelector,
    Container,
    EnvFromSource,
    EnvVarSource,
    ObjectFieldSelector,
    Pod,
    Quantity,
    ResourceFieldSelector,
    Secret,
    SecretKeySelector,
    Service,
)
from state.snapshot import Key, NsName

#: Gives the objects of a kind by namespace and name, as a workspace or snapshot does.
Tables = Callable[[str], Mapping[NsName, object]]
HolderT = TypeVar("HolderT", ConfigMap, Secret)
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\)|)")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
#: Resources of the node that stand for a limit that isn't set.
_LIMITLESS = ("cpu", "memory", "ephemeral-storage")


class ConfigError(StateError):
    """A container or volume can't be made of what there is. ``key`` is the object that must appear or change."""

    def __init__(self, message: str, key: Key | None = None) -> None:
        super().__init__(message)
        self.key = key


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)`` by its value; an unknown name stays as it is, ``$$`` is a dollar sign."""
    if "$" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is not None:
            return values.get(name, found.group())
        return "$"

    return _REFERENCE.sub(one, text)


def environment(
    pod: Pod,
    container: Container,
    tables: Tables,
    services: Iterable[Service],
    allocatable: Mapping[str, Quantity] | None = None,
) -> dict[str, str]:
    """The environment of a container: names and values.

    ``services`` are those of the pod's namespace and ``kubernetes`` in default. ``pod.status`` must have the addresses.

    Raises:
        ConfigError: something is missing.
    """
    result = service_environment(pod, services)
    for source in container.env_from:
        result.update(_from_whole(pod, source, tables))
    for variable in container.env:
        value: str | None
        if variable.value_from is None:
            value = expand(variable.value or "", result)
        else:
            value = _from_source(pod, container, variable.value_from, tables, allocatable or {})
        if value is not None:
            result[variable.name] = value
    return result


def service_environment(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """The variables that tell where Services are: Kubernetes' own and those of Docker links."""
    links = pod.spec.enable_service_links is not False
    result: dict[str, str] = {}
    for service in sorted(services, key=lambda s: (s.metadata.namespace, s.metadata.name)):
        meta, spec = service.metadata, service.spec
        master = meta.namespace == "default" and meta.name == "kubernetes"
        if not (master or (links and meta.namespace == pod.metadata.namespace)):
            continue
        if spec.cluster_ip in (None, "", "None") or not spec.ports:
            continue
        name = meta.name.upper().replace("-", "_")
        result[f"{name}_SERVICE_HOST"] = spec.cluster_ip
        result[f"{name}_SERVICE_PORT"] = str(spec.ports[0].port)
        for port in spec.ports:
            if port.name:
                result[f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
        for index, port in enumerate(spec.ports):
            protocol = port.protocol or "TCP"
            url = f"{protocol.lower()}://{spec.cluster_ip}:{port.port}"
            if index == 0:
                result[f"{name}_PORT"] = url
            prefix = f"{name}_PORT_{port.port}_{protocol}"
            result[prefix] = url
            result[f"{prefix}_PROTO"] = protocol.lower()
            result[f"{prefix}_PORT"] = str(port.port)
            result[f"{prefix}_ADDR"] = spec.cluster_ip
    return result


def _from_whole(pod: Pod, source: EnvFromSource, tables: Tables) -> dict[str, str]:
    namespace, prefix = pod.metadata.namespace, source.prefix or ""
    found: ConfigMap | Secret | None = None
    if source.config_map_ref is not None:
        ref = source.config_map_ref
        found = held(tables, ConfigMap, namespace, ref.name, optional=ref.optional)
    elif source.secret_ref is not None:
        found = held(tables, Secret, namespace, source.secret_ref.name, optional=source.secret_ref.optional)
    data = _texts(found)
    return {f"{prefix}{key}": data[key] for key in sorted(data)}


def held(
    tables: Tables, expected: type[HolderT], namespace: str, name: str | None, *, optional: bool | None
) -> HolderT | None:
    """A ConfigMap or Secret; None if it is missing and optional.

    Raises:
        ConfigError: it is missing.
    """
    key = Key(expected.kind, namespace, name or "")
    found = tables(key.kind).get(key.ns_name)
    if isinstance(found, expected):
        return found
    if optional:
        return None
    raise ConfigError(f'{key.kind.lower()} "{name}" not found', key)


def contents(holder: ConfigMap | Secret) -> dict[str, bytes]:
    """What a ConfigMap or Secret holds; ``stringData`` wins, as on writing it."""
    if isinstance(holder, Secret):
        raw, texts = holder.data, holder.string_data
        return {key: base64.b64decode(data) for key, data in raw.items()} | _encoded(texts)
    return _encoded(holder.data) | {key: base64.b64decode(data) for key, data in holder.binary_data.items()}


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {key: text.encode() for key, text in texts.items()}


def _texts(holder: ConfigMap | Secret | None) -> Mapping[str, str]:
    """What a variable can be of it: a ConfigMap's binary data can't."""
    if isinstance(holder, Secret):
        return {key: data.decode(errors="replace") for key, data in contents(holder).items()}
    return {} if holder is None else holder.data


def _from_source(
    pod: Pod, container: Container, source: EnvVarSource, tables: Tables, allocatable: Mapping[str, Quantity]
) -> str | None:
    """The value of one variable; None if it is optional and missing."""
    namespace = pod.metadata.namespace
    if source.field_ref is not None:
        return field_value(pod, source.field_ref)
    if source.resource_field_ref is not None:
        return resource_value(pod, container.name, source.resource_field_ref, allocatable)
    if source.config_map_key_ref is not None:
        return _of_key(tables, ConfigMap, namespace, source.config_map_key_ref)
    if source.secret_key_ref is not None:
        return _of_key(tables, Secret, namespace, source.secret_key_ref)
    raise ConfigError("a variable's valueFrom names no source that is supported here (fileKeyRef is not)")


def _of_key(
    tables: Tables, expected: type[HolderT], namespace: str, ref: ConfigMapKeySelector | SecretKeySelector
) -> str | None:
    value = _texts(held(tables, expected, namespace, ref.name, optional=ref.optional)).get(ref.key)
    if value is None and not ref.optional:
        key = Key(expected.kind, namespace, ref.name or "")
        raise ConfigError(f"couldn't find key {ref.key} in {key.kind} {namespace}/{ref.name}", key)
    return value


def field_value(pod: Pod, ref: ObjectFieldSelector) -> str:
    """The value of a pod's field, as the downward API gives it.

    Raises:
        ConfigError: the path is none of those that Kubernetes offers.
    """
    path, meta, spec, status = ref.field_path, pod.metadata, pod.spec, pod.status
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript is not None:
        values = meta.labels if subscript.group(1) == "labels" else meta.annotations
        return values.get(subscript.group(2), "")
    if path in ("metadata.labels", "metadata.annotations"):
        values = meta.labels if path == "metadata.labels" else meta.annotations
        return "\n".join(f"{key}={_quoted(values[key])}" for key in sorted(values))
    fields = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": spec.node_name,
        "spec.serviceAccountName": spec.service_account_name,
        "spec.host": spec.node_name,
        "status.hostIP": status.host_ip,
        "status.hostIPs": ",".join(host.ip for host in status.host_ips),
        "status.podIP": status.pod_ip,
        "status.podIPs": ",".join(address.ip for address in status.pod_ips),
    }
    if path not in fields:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return fields[path] or ""


def _quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter, letter) for letter in text) + '"'


def resource_value(pod: Pod, container: str, ref: ResourceFieldSelector, allocatable: Mapping[str, Quantity]) -> str:
    """The amount of a container's resource in units of the divisor, rounded up.

    A limit that isn't set is the node's allocatable amount; a request that isn't set is 0.

    Raises:
        ConfigError: no such container or resource.
    """
    name = ref.container_name or container
    found = next((c for c in (*pod.spec.containers, *pod.spec.init_containers) if c.name == name), None)
    if found is None:
        raise ConfigError(f"container {name} not found")
    which, _, resource = ref.resource.partition(".")
    resources = found.resources
    if which == "limits":
        amounts: Mapping[str, Quantity] = resources.limits if resources is not None else {}
        fallback = allocatable.get(resource, 0) if resource in _LIMITLESS else 0
    elif which == "requests":
        amounts, fallback = (resources.requests if resources is not None else {}), 0
    else:
        raise ConfigError(f"unsupported container resource : {ref.resource}")
    divisor = quantity.milli(ref.divisor) if ref.divisor not in (None, "", "0", 0) else 1000
    amount = quantity.milli(amounts.get(resource, fallback))
    return str(-(-amount // divisor))
