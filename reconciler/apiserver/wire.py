"""An object as the bytes that are stored and sent: Kubernetes' JSON, with what Go writes even if it is empty.

Bytes in the store have no ``resourceVersion``: the store knows it. They all begin alike, so that it can be put in, and
kind and version be left out of the items of a list, without reading them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from msgspec import inspect

from state.dump import dump
from state.kept import exact
from state.objects import AnyObject, Object, ObjectMeta, Pod, PodSpec, replace

_META = b'"metadata":{'
_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_NODE_INFO = [
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
]
#: What Go writes though it is empty, by type and JSON name: structs and times without ``omitzero``, lists and numbers
#: without ``omitempty``. Scalars that are always there are fields with a default in ``state.objects`` already.
_ALWAYS: dict[str, dict[str, Any]] = {
    "Container": {"resources": {}},
    "ContainerStatus": {"state": {}, "lastState": {}},
    "CronJob": {"spec": {}, "status": {}},
    "CronJobSpec": {"jobTemplate": {}},
    "CSIDriver": {"spec": {}},
    "CSINode": {"spec": {}},
    "CSINodeSpec": {"drivers": None},
    "DaemonSet": {"spec": {}, "status": {}},
    "DaemonSetCondition": {"lastTransitionTime": None},
    "DaemonSetSpec": {"selector": None, "template": {}, "updateStrategy": {}},
    "DaemonSetStatus": dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    ),
    "Deployment": {"spec": {}, "status": {}},
    "DeploymentCondition": {"lastUpdateTime": None, "lastTransitionTime": None},
    "DeploymentSpec": {"selector": None, "template": {}, "strategy": {}},
    "Endpoint": {"addresses": None, "conditions": {}},
    "EndpointSlice": {"endpoints": None, "ports": None},
    "EphemeralContainer": {"resources": {}},
    "Event": {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "Job": {"spec": {}, "status": {}},
    "JobCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    "JobSpec": {"template": {}},
    "JobTemplateSpec": {"metadata": {}, "spec": {}},
    "Lease": {"spec": {}},
    "LimitRange": {"spec": {}},
    "LimitRangeSpec": {"limits": None},
    "Namespace": {"spec": {}, "status": {}},
    "NamespaceCondition": {"lastTransitionTime": None},
    "Node": {"spec": {}, "status": {}},
    "NodeCondition": {"lastHeartbeatTime": None, "lastTransitionTime": None},
    "NodeStatus": {
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": dict.fromkeys(_NODE_INFO, ""),
    },
    "PersistentVolume": {"spec": {}, "status": {}},
    "PersistentVolumeClaim": {"spec": {}, "status": {}},
    "PersistentVolumeClaimCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    "PersistentVolumeClaimSpec": {"resources": {}},
    "Pod": {"spec": {}, "status": {}},
    "PodCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    "PodDisruptionBudget": {"spec": {}, "status": {}},
    "PodDisruptionBudgetStatus": dict.fromkeys(
        ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0
    ),
    "PodSpec": {"containers": None},
    "PodTemplateSpec": {"metadata": {}, "spec": {}},
    "ReplicaSet": {"spec": {}, "status": {}},
    "ReplicaSetCondition": {"lastTransitionTime": None},
    "ReplicaSetSpec": {"selector": None, "template": {}},
    "ReplicaSetStatus": {"replicas": 0},
    "ReplicationController": {"spec": {}, "status": {}},
    "ReplicationControllerCondition": {"lastTransitionTime": None},
    "ReplicationControllerStatus": {"replicas": 0},
    "ResourceFieldSelector": {"divisor": "0"},
    "ResourceQuota": {"spec": {}, "status": {}},
    "Service": {"spec": {}, "status": {}},
    "ServiceStatus": {"loadBalancer": {}},
    "StatefulSet": {"spec": {}, "status": {}},
    "StatefulSetCondition": {"lastTransitionTime": None},
    "StatefulSetSpec": {"selector": None, "template": {}, "updateStrategy": {}},
    "StatefulSetStatus": {"replicas": 0, "availableReplicas": 0},
    "VolumeAttachment": {"spec": {}, "status": {}},
    "VolumeAttachmentStatus": {"attached": False},
}


class _Completion:
    """What is to be put into the JSON of one type: at its own level, and below its fields."""

    __slots__ = ("always", "below")

    def __init__(self) -> None:
        self.always: tuple[tuple[str, Any], ...] = ()
        self.below: tuple[tuple[str, bool, _Completion], ...] = ()

    @property
    def is_needed(self) -> bool:
        return bool(self.always or self.below)

    def fill(self, document: dict[str, Any]) -> None:
        for name, empty in self.always:
            if name not in document:
                document[name] = dict(empty) if isinstance(empty, dict) else empty
            elif empty and isinstance(empty, dict):
                document[name] = {**empty, **document[name]}
        for name, is_list, completion in self.below:
            value = document.get(name)
            if not value and value != {}:
                continue
            if is_list:
                for item in value:
                    completion.fill(item)
            else:
                completion.fill(value)


#: By type; those below it come with it, for describing a type costs milliseconds.
_completions: dict[type[msgspec.Struct], _Completion] = {}


def _completion(struct: type[msgspec.Struct]) -> _Completion:
    found = _completions.get(struct)
    if found is None:
        description = inspect.type_info(struct)
        assert isinstance(description, inspect.StructType)
        found = _completion_of(description)
    return found


def _completion_of(description: inspect.StructType) -> _Completion:
    if description.cls in _completions:
        return _completions[description.cls]
    completion = _Completion()
    completion.always = tuple(_ALWAYS.get(description.cls.__name__, {}).items())
    below = []
    for each in description.fields:
        options = each.type.types if isinstance(each.type, inspect.UnionType) else (each.type,)
        for option in options:
            is_list = isinstance(option, inspect.VarTupleType)
            inner = option.item_type if isinstance(option, inspect.VarTupleType) else option
            if isinstance(inner, inspect.StructType) and inner.cls is not ObjectMeta:
                nested = _completion_of(inner)
                if nested.is_needed:
                    below.append((each.encode_name, is_list, nested))
    completion.below = tuple(below)
    _completions[description.cls] = completion
    return completion


def document(obj: AnyObject) -> dict[str, Any]:
    """The object as a new plain dict in Kubernetes' form, its resourceVersion included."""
    fields = dump(obj)
    kind, api_version, metadata = fields.pop("kind"), fields.pop("apiVersion"), fields.pop("metadata")
    ordered = {name: metadata[name] for name in _ORDER if name in metadata}
    result = {"kind": kind, "apiVersion": api_version, "metadata": ordered, **fields}
    if isinstance(obj, Object):
        _completion(type(obj)).fill(result)
    return result


def encode(obj: AnyObject) -> bytes:
    """The object as it is stored: without its resourceVersion."""
    if obj.metadata.resource_version is not None:
        obj = replace(obj, metadata=replace(obj.metadata, resource_version=None))
    if isinstance(obj, Pod):
        rest = document(replace(obj, spec=_NO_SPEC))
        head = {name: rest.pop(name) for name in ("kind", "apiVersion", "metadata")}
        rest.pop("spec", None)
        return exact(orjson.dumps({**head, "spec": _pod_spec(obj.spec), **rest}))
    return exact(orjson.dumps(document(obj)))


_NO_SPEC = PodSpec()
_FIELDS = PodSpec.__struct_fields__
_NODE = _FIELDS.index("node_name")
#: The JSON of pods' specs without their node, by the identity of all that is in them (which is kept with it).
_specs: dict[tuple[int, ...], tuple[PodSpec, bytes]] = {}
_REMEMBERED = 4096


def _pod_spec(spec: PodSpec) -> orjson.Fragment:
    """A pod's spec. The pods of one template share all that is in theirs but the node, which comes first."""
    parts = [*map(id, msgspec.structs.astuple(spec))]
    parts[_NODE] = 0
    known = _specs.get(key := tuple(parts))
    if known is None:
        unbound = replace(spec, node_name=None)
        known = (unbound, exact(orjson.dumps(document(Pod(spec=unbound))["spec"])))
        if len(_specs) >= _REMEMBERED:
            _specs.clear()
        _specs[key] = known
    text = known[1]
    if spec.node_name:
        text = b'{"nodeName":%b,%b' % (orjson.dumps(spec.node_name), text[1:])
    return orjson.Fragment(text)


def with_revision(value: bytes, revision: int) -> bytes:
    """Stored bytes as they are sent."""
    at = value.index(_META) + len(_META)
    comma = b"" if value[at : at + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (value[:at], revision, comma, value[at:])


def list_item(value: bytes, revision: int, *, typed: bool) -> bytes:
    """Stored bytes as an item of a list; those of typed kinds don't repeat kind and version."""
    if not typed:
        return with_revision(value, revision)
    at = value.index(_META)
    rest = value[at + len(_META) :]
    comma = b"" if rest[:1] == b"}" else b","
    return b'{"metadata":{"resourceVersion":"%d"%b%b' % (revision, comma, rest)


def list_head(kind: str, api_version: str, meta: dict[str, Any]) -> bytes:
    """What a list begins with, up to its first item; ``meta`` is its ListMeta. Items are made by ``list_item``, and
    ``LIST_END`` follows.
    """
    return orjson.dumps({"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta})[:-1] + b',"items":['


LIST_END = b"]}"
