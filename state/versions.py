"""Reads manifests of API versions that Kubernetes no longer serves as what they became.

Old manifests are still about. One is converted when its meaning can be kept, to what the last API server that served it
would have stored: what the old version defaulted differently is written out. Everything else is refused by name
(``state.served``). Conversion works on plain dicts that nobody has checked yet, so it passes over what it does not
understand; the check of the converted object reports that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from state.autoscaling import second_version
from state.served import RELEASE, removed

Fields = dict[str, Any]
#: Changes the fields of one object in place and tells, by path and sentence, what its author should know.
_Step = Callable[[Fields], Iterator[tuple[str, str]]]

#: "No limit" in fields of Go's type int32; Deployments take it so.
_UNLIMITED = 2**31 - 1
#: Versions that are served, of kinds that Kubernetes stores in another one all the same.
_STILL_SERVED = ("autoscaling/v1", "events.k8s.io/v1")
_ZONE = "topology.kubernetes.io/zone"
_HOSTNAME = "kubernetes.io/hostname"


class Upgrade(NamedTuple):
    """A manifest in the version that is served now, and what its author should know: pairs of path and sentence."""

    fields: Fields
    remarks: tuple[tuple[str, str], ...]


def current(api_version: str, kind: str) -> str:
    """The version that a kind of this version is converted to; the same one if it is not converted."""
    conversion = _CONVERSIONS.get((api_version, kind))
    return api_version if conversion is None else conversion[0]


def upgrade(source: Mapping[str, Any]) -> Upgrade | None:
    """The manifest in the current version, as a changed copy; None if its version is not an old one known here.

    ``source`` has an ``apiVersion`` and a ``kind`` that are strings.
    """
    old, kind = source["apiVersion"], source["kind"]
    conversion = _CONVERSIONS.get((old, kind))
    if conversion is None:
        return None
    new, steps = conversion
    fields = {**source, "apiVersion": new}
    remarks = []
    if old not in _STILL_SERVED:
        fact = removed(old, kind) or f"{kind} {old} is not served by Kubernetes {RELEASE}"
        remarks.append(("apiVersion", f"{fact}; read as {new}"))
    for step in steps:
        remarks.extend(step(fields))
    return Upgrade(fields, tuple(remarks))


def _opened(fields: Fields, name: str) -> Fields:
    """The map in a field, put there as a copy that may be written to; a new one if there is none.

    What is no map stays as it is, for the check to find; the writes then go nowhere.
    """
    value = fields.get(name)
    copy = dict(value) if isinstance(value, Mapping) else {}
    if value is None or isinstance(value, Mapping):
        fields[name] = copy
    return copy


def _default(fields: Fields, **values: Any) -> None:
    """Gives fields that are absent or null a value."""
    for name, value in values.items():
        if fields.get(name) is None:
            fields[name] = value


def _labels_from_template(fields: Fields) -> Iterator[tuple[str, str]]:
    """Before apps/v1beta2 the selector and the object's own labels were those of the template if not given."""
    template = fields.get("spec", {})
    for name in ("template", "metadata", "labels"):
        template = template.get(name) if isinstance(template, Mapping) else None
    if not isinstance(template, Mapping) or not template:
        return
    spec = _opened(fields, "spec")
    if spec.get("selector") is None:
        spec["selector"] = {"matchLabels": dict(template)}
        yield "spec.selector", "is taken from the labels of the template"
    metadata = _opened(fields, "metadata")
    if not metadata.get("labels"):
        metadata["labels"] = dict(template)


def _drop(*names: str) -> _Step:
    """The fields of the spec that have no successor are left out."""

    def step(fields: Fields) -> Iterator[tuple[str, str]]:
        spec = _opened(fields, "spec")
        for name in names:
            if spec.pop(name, None) is not None:
                yield f"spec.{name}", "has no meaning any more and is left out"

    return step


def _spec_defaults(**values: Any) -> _Step:
    """The old version's defaults, where today's are others."""

    def step(fields: Fields) -> Iterator[tuple[str, str]]:
        _default(_opened(fields, "spec"), **values)
        yield from ()

    return step


def _update_on_delete(fields: Fields) -> Iterator[tuple[str, str]]:
    """StatefulSets and DaemonSets were first updated by hand only."""
    _default(_opened(_opened(fields, "spec"), "updateStrategy"), type="OnDelete")
    yield from ()


def _roll_one_by_one(fields: Fields) -> Iterator[tuple[str, str]]:
    """The first Deployments went one pod at a time."""
    strategy = _opened(_opened(fields, "spec"), "strategy")
    _default(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _default(_opened(strategy, "rollingUpdate"), maxSurge=1, maxUnavailable=1)
    yield from ()


def _empty_selects_nothing(fields: Fields) -> Iterator[tuple[str, str]]:
    """An empty selector of a PodDisruptionBudget selected no pod; today it selects every pod, and none does not."""
    spec = _opened(fields, "spec")
    selector = spec.get("selector")
    if isinstance(selector, Mapping) and not any(selector.values()):
        del spec["selector"]
        yield "spec.selector", "is left out: empty, it selected no pod in policy/v1beta1, and would now select all"


def _topology_to_fields(fields: Fields) -> Iterator[tuple[str, str]]:
    """Where an endpoint is was a map (discovery/v1beta1's conversion)."""
    endpoints = fields.get("endpoints")
    if isinstance(endpoints, list):
        fields["endpoints"] = [_placed(endpoint) for endpoint in endpoints]
    yield from ()


def _placed(endpoint: Any) -> Any:
    if not isinstance(endpoint, Mapping) or not isinstance(endpoint.get("topology"), Mapping):
        return endpoint
    placed = {name: value for name, value in endpoint.items() if name != "topology"}
    topology = dict(endpoint["topology"])
    if _ZONE in topology:
        placed["zone"] = topology.pop(_ZONE)
    host = topology.get(_HOSTNAME)
    if host is not None:
        _default(placed, nodeName=host)
        if placed["nodeName"] == host:
            del topology[_HOSTNAME]
    if topology:
        placed["deprecatedTopology"] = topology
    return placed


def _rename(**names: str) -> _Step:
    def step(fields: Fields) -> Iterator[tuple[str, str]]:
        for old, new in names.items():
            if old in fields and new not in fields:
                fields[new] = fields.pop(old)
        yield from ()

    return step


def _more_than_cpu(fields: Fields) -> Iterator[tuple[str, str]]:
    """Autoscalers knew one metric, and kept the others in annotations."""
    fields |= second_version(fields)
    yield from ()


_EVENT = _rename(
    deprecatedCount="count",
    deprecatedFirstTimestamp="firstTimestamp",
    deprecatedLastTimestamp="lastTimestamp",
    deprecatedSource="source",
    note="message",
    regarding="involvedObject",
    reportingController="reportingComponent",
)

#: What each old version became, and how to get there. Without steps only the version's name differs.
_CONVERSIONS: dict[tuple[str, str], tuple[str, tuple[_Step, ...]]] = {
    ("extensions/v1beta1", "DaemonSet"): (
        "apps/v1",
        (_labels_from_template, _drop("templateGeneration"), _update_on_delete),
    ),
    ("extensions/v1beta1", "Deployment"): (
        "apps/v1",
        (
            _labels_from_template,
            _drop("rollbackTo"),
            _roll_one_by_one,
            _spec_defaults(progressDeadlineSeconds=_UNLIMITED, revisionHistoryLimit=_UNLIMITED),
        ),
    ),
    ("extensions/v1beta1", "ReplicaSet"): ("apps/v1", (_labels_from_template,)),
    ("apps/v1beta1", "ControllerRevision"): ("apps/v1", ()),
    ("apps/v1beta1", "Deployment"): (
        "apps/v1",
        (_labels_from_template, _drop("rollbackTo"), _spec_defaults(revisionHistoryLimit=2)),
    ),
    ("apps/v1beta1", "StatefulSet"): ("apps/v1", (_labels_from_template, _update_on_delete)),
    ("apps/v1beta2", "ControllerRevision"): ("apps/v1", ()),
    ("apps/v1beta2", "DaemonSet"): ("apps/v1", ()),
    ("apps/v1beta2", "Deployment"): ("apps/v1", ()),
    ("apps/v1beta2", "ReplicaSet"): ("apps/v1", ()),
    ("apps/v1beta2", "StatefulSet"): ("apps/v1", ()),
    ("apiregistration.k8s.io/v1beta1", "APIService"): ("apiregistration.k8s.io/v1", ()),
    ("autoscaling/v1", "HorizontalPodAutoscaler"): ("autoscaling/v2", (_more_than_cpu,)),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"): ("autoscaling/v2", ()),
    ("batch/v1beta1", "CronJob"): ("batch/v1", ()),
    ("batch/v2alpha1", "CronJob"): ("batch/v1", ()),
    ("coordination.k8s.io/v1beta1", "Lease"): ("coordination.k8s.io/v1", ()),
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): ("discovery.k8s.io/v1", (_topology_to_fields,)),
    ("events.k8s.io/v1", "Event"): ("v1", (_EVENT,)),
    ("events.k8s.io/v1beta1", "Event"): ("v1", (_EVENT,)),
    ("networking.k8s.io/v1beta1", "IngressClass"): ("networking.k8s.io/v1", ()),
    ("node.k8s.io/v1beta1", "RuntimeClass"): ("node.k8s.io/v1", ()),
    ("policy/v1beta1", "PodDisruptionBudget"): ("policy/v1", (_empty_selects_nothing,)),
    **{
        (f"{group}/{old}", kind): (f"{group}/v1", ())
        for group, versions, kinds in (
            ("rbac.authorization.k8s.io", "v1alpha1 v1beta1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
            ("scheduling.k8s.io", "v1alpha1 v1beta1", "PriorityClass"),
            ("storage.k8s.io", "v1alpha1 v1beta1", "CSIStorageCapacity VolumeAttachment"),
            ("storage.k8s.io", "v1beta1", "CSIDriver CSINode StorageClass"),
        )
        for old in versions.split()
        for kind in kinds.split()
    },
}
