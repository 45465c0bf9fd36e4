"""A store as a busy cluster leaves it: many objects of the usual kinds, in about the usual mixture, all at rest.

One object of each kind goes through the API, which defaults it and records who owns what; the others are copies of it
under names and uids of their own.
"""

from __future__ import annotations

from typing import Any

import orjson
from workloads import deployment

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.crd import schema_of
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.patching import MERGE_PATCH
from reconciler.apiserver.resources import Place
from state.store import ABSENT, Entry, Store, Write, open_store

#: Of a hundred objects, how many are of each kind.
SHARES = {"Pod": 50, "ConfigMap": 20, "Secret": 10, "EndpointSlice": 10, "Event": 9, "Node": 1}
_ORIGINAL, _COPY = "the-name", "a-name-{:06}"
_OPTIONS = WriteOptions(manager="bench")
_SINCE = "2026-01-01T00:00:00Z"
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def name_of(number: int) -> str:
    """The name of a copy."""
    return _COPY.format(number)


def fill(store: Store, size: int) -> None:
    """Puts about ``size`` objects into an empty store."""
    originals, nodes = _originals(), max(1, size * SHARES["Node"] // 100)
    wanted = [(kind, number) for kind, share in SHARES.items() for number in range(size * share // 100)]
    store.write([_copy(originals[kind], number, nodes) for kind, number in wanted])


def _copy(original: Entry, number: int, nodes: int) -> Write:
    key = original.key.replace(_ORIGINAL, name_of(number))
    document = orjson.loads(original.value.replace(_ORIGINAL.encode(), name_of(number).encode()))
    document["metadata"]["uid"] = f"00000000-0000-4000-8000-{number:012}"
    if document["kind"] == "Pod":
        document["spec"]["nodeName"] = name_of(number % nodes)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        document["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}
    return Write(key, orjson.dumps(document), ABSENT)


def _originals() -> dict[str, Entry]:
    """What is stored of one object of each kind."""
    found = {}
    with open_store("memory:") as store:
        api = Api(store, fields=ManagedFields(schema_of))
        bootstrap(api)
        for manifest in _manifests():
            resource = api.registry.of_kind(manifest["apiVersion"], manifest["kind"])
            assert resource is not None
            status = manifest.pop("status", None)
            place = Place(resource, "default" if resource.namespaced else "", manifest["metadata"]["name"])
            api.create(place._replace(name=""), orjson.dumps(manifest), _OPTIONS)
            if status is not None:
                body = orjson.dumps({"status": status})
                api.patch(place._replace(subresource="status"), body, MERGE_PATCH, _OPTIONS)
            entry = api.storage.entry(resource, place.namespace, place.name)
            assert entry is not None
            found[resource.kind] = entry
    return found


def _manifest(version: str, kind: str, **fields: Any) -> dict[str, Any]:
    meta = {"name": _ORIGINAL, "labels": {"app": _ORIGINAL}}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}


def _manifests() -> list[dict[str, Any]]:
    times = {"lastHeartbeatTime": _SINCE, "lastTransitionTime": _SINCE}
    is_ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready", **times}
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    endpoints = [{"addresses": [f"10.0.0.{number}"], "conditions": {"ready": True}} for number in range(3)]
    running = [{"type": each, "status": "True", "lastTransitionTime": _SINCE} for each in _CONDITIONS]
    spec = {**deployment(0, 1)["spec"]["template"]["spec"], "nodeName": _ORIGINAL}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}},
        _manifest("v1", "ConfigMap", data={"key": "x" * 400}),
        _manifest("v1", "Secret", stringData={"password": "x" * 200}),
        _manifest(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            addressType="IPv4",
            ports=[{"name": "http", "port": 80}],
            endpoints=endpoints,
        ),
        _manifest(
            "v1",
            "Event",
            involvedObject={"kind": "Pod", "namespace": "default", "name": _ORIGINAL},
            reason="Started",
            message="Started container main",
            type="Normal",
            count=1,
            firstTimestamp=_SINCE,
            lastTimestamp=_SINCE,
            source={"component": "kubelet"},
        ),
        _manifest("v1", "Node", status={"capacity": room, "allocatable": room, "conditions": [is_ready]}),
        _manifest("v1", "Pod", spec=spec, status={"phase": "Running", "conditions": running, "startTime": _SINCE}),
    ]
