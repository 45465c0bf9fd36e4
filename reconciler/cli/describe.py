"""``reconciler describe``: an object in words, in the form of kubectl's describe."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.cli.describe_pods import container, volume
from reconciler.cli.get import events_of
from reconciler.cli.tables import Table, escape, render
from reconciler.cli.texts import NONE, Fields, Value, amounts, lines_of, pairs
from reconciler.live.events import last_seen, times
from reconciler.printers import pod_state, since
from reconciler.printers.cells import access_modes
from state import selectors
from state.dump import dump
from state.objects import (
    AnyObject,
    Deployment,
    EndpointSlice,
    Event,
    LabelSelector,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    ReplicationController,
    Secret,
    Service,
    controller_of,
    kind_key,
)
from state.snapshot import Key, Snapshot
from state.workspace import controller_uid

_SERVICE_NAME = "kubernetes.io/service-name"
#: Annotations that repeat the object.
_HIDDEN = "kubectl.kubernetes.io/last-applied-configuration"


def described(obj: AnyObject, snapshot: Snapshot, now: int) -> Iterator[str]:
    """The lines about an object; ``now`` in µs since the epoch."""
    tell = _KINDS.get(kind_key(obj), _anything)
    fields = [*_metadata(obj), *tell(obj, snapshot), ("Events", _events(obj, snapshot, now))]
    yield from lines_of(fields)


def _metadata(obj: AnyObject) -> Fields:
    meta = obj.metadata
    annotations = {name: text for name, text in meta.annotations.items() if name != _HIDDEN}
    fields: Fields = [("Name", meta.name)]
    if meta.namespace:
        fields.append(("Namespace", meta.namespace))
    fields += [("Labels", pairs(meta.labels)), ("Annotations", pairs(annotations, ": "))]
    if meta.creation_timestamp:
        fields.append(("Created", meta.creation_timestamp))
    if meta.deletion_timestamp:
        fields.append(("Terminating", f"until {meta.deletion_timestamp} at the latest"))
    owner = controller_of(obj)
    if owner is not None:
        fields.append(("Controlled By", f"{owner.kind}/{owner.name}"))
    return fields


def _events(obj: AnyObject, snapshot: Snapshot, now: int) -> Value:
    events = events_of(Key.of(obj), snapshot)
    if not events:
        return NONE
    return _table("TYPE,REASON,AGE,FROM,MESSAGE", (_event(event, now) for event in events))


def _event(event: Event, now: int) -> tuple[str, ...]:
    first = since(event.event_time or event.first_timestamp, now)
    age = first if times(event) == 1 else f"{since(last_seen(event), now)} (x{times(event)} over {first})"
    source = (event.source.component if event.source is not None else None) or event.reporting_component or ""
    return (event.type or "", event.reason or "", age, source, event.message or "")


def _table(headers: str, rows: Iterable[tuple[str, ...]]) -> Value:
    table = Table(tuple(name.title() for name in headers.split(",")), list(rows))
    return [("", line) for line in render(table)] if table.rows else NONE


def _conditions(conditions: Sequence[Any]) -> Value:
    rows = ((it.type, it.status, it.reason or "", it.message or "") for it in conditions)
    return _table("TYPE,STATUS,REASON,MESSAGE", rows)


def _selector(selector: LabelSelector | None) -> str:
    return str(selectors.from_object(selector)) or NONE


# -- kinds -------------------------------------------------------------------------------------------------------------


def _pod(pod: Pod, _: Snapshot) -> Fields:
    spec, status = pod.spec, pod.status
    node = f"{spec.node_name}/{status.host_ip}" if spec.node_name and status.host_ip else spec.node_name or NONE
    seen = {found.name: found for found in (*status.container_statuses, *status.init_container_statuses)}
    fields: Fields = [
        ("Priority", str(spec.priority or 0)),
        ("Service Account", spec.service_account_name or NONE),
        ("Node", node),
        ("Start Time", status.start_time or NONE),
        ("Status", pod_state(pod).status),
    ]
    fields += [(name, text) for name, text in (("Reason", status.reason), ("Message", status.message)) if text]
    fields.append(("IP", status.pod_ip or NONE))
    if spec.init_containers:
        fields.append(("Init Containers", [(it.name, container(it, seen.get(it.name))) for it in spec.init_containers]))
    fields += [
        ("Containers", [(it.name, container(it, seen.get(it.name))) for it in spec.containers]),
        ("Conditions", _conditions(status.conditions)),
        ("Volumes", [(it.name, volume(it)) for it in spec.volumes] or NONE),
        ("QoS Class", status.qos_class or NONE),
        ("Node-Selectors", pairs(spec.node_selector)),
    ]
    return fields


def _template(template: Any) -> Fields:
    if template is None:
        return []
    return [
        ("Labels", pairs(template.metadata.labels)),
        ("Containers", [(it.name, container(it, None)) for it in template.spec.containers]),
        ("Volumes", [(it.name, volume(it)) for it in template.spec.volumes] or NONE),
    ]


def _deployment(obj: Deployment, snapshot: Snapshot) -> Fields:
    spec, status = obj.spec, obj.status
    strategy = spec.strategy.type if spec.strategy is not None else None
    update = spec.strategy.rolling_update if spec.strategy is not None else None
    replicas = (
        f"{spec.replicas or 0} desired | {status.updated_replicas or 0} updated | {status.replicas or 0} total | "
        f"{status.available_replicas or 0} available | {status.unavailable_replicas or 0} unavailable"
    )
    fields: Fields = [
        ("Selector", _selector(spec.selector)),
        ("Replicas", replicas),
        ("StrategyType", strategy or NONE),
        ("MinReadySeconds", str(spec.min_ready_seconds or 0)),
    ]
    if update is not None:
        text = f"{update.max_unavailable} max unavailable, {update.max_surge} max surge"
        fields.append(("RollingUpdateStrategy", text))
    sets = [
        (rs.metadata.name, f"{rs.status.replicas}/{rs.spec.replicas or 0} replicas created")
        for rs in snapshot.objects("ReplicaSet")
        if isinstance(rs, ReplicaSet) and controller_uid(rs) == obj.metadata.uid
    ]
    fields += [
        ("Pod Template", _template(spec.template)),
        ("Conditions", _conditions(status.conditions)),
        ("ReplicaSets", [*sets] or NONE),
    ]
    return fields


def _replica_set(obj: ReplicaSet | ReplicationController, snapshot: Snapshot) -> Fields:
    owned = (pod for pod in snapshot.objects("Pod") if controller_uid(pod) == obj.metadata.uid)
    phases = [pod.status.phase or "Pending" for pod in owned if isinstance(pod, Pod)]
    counts = " / ".join(
        f"{phases.count(phase)} {word}"
        for phase, word in (
            ("Running", "Running"),
            ("Pending", "Waiting"),
            ("Succeeded", "Succeeded"),
            ("Failed", "Failed"),
        )
    )
    selector = _selector(obj.spec.selector) if isinstance(obj, ReplicaSet) else pairs(obj.spec.selector)
    return [
        ("Selector", selector),
        ("Replicas", f"{obj.status.replicas} current / {obj.spec.replicas or 0} desired"),
        ("Pods Status", counts),
        ("Pod Template", _template(obj.spec.template)),
        ("Conditions", _conditions(obj.status.conditions)),
    ]


def _service(obj: Service, snapshot: Snapshot) -> Fields:
    spec = obj.spec
    fields: Fields = [
        ("Selector", pairs(spec.selector)),
        ("Type", spec.type or NONE),
        ("IP", ",".join(spec.cluster_ips) or spec.cluster_ip or NONE),
    ]
    for port in spec.ports:
        name, protocol = port.name or "<unset>", port.protocol or "TCP"
        fields.append(("Port", f"{name}  {port.port}/{protocol}"))
        fields.append(("TargetPort", f"{port.target_port if port.target_port is not None else port.port}/{protocol}"))
        if port.node_port:
            fields.append(("NodePort", f"{name}  {port.node_port}/{protocol}"))
        fields.append(("Endpoints", _endpoints(obj, port.name or "", snapshot)))
    fields.append(("Session Affinity", spec.session_affinity or "None"))
    return fields


def _endpoints(service: Service, port: str, snapshot: Snapshot) -> str:
    found = [
        f"{address}:{number.port}"
        for piece in snapshot.objects("EndpointSlice")
        if isinstance(piece, EndpointSlice)
        and piece.metadata.namespace == service.metadata.namespace
        and piece.metadata.labels.get(_SERVICE_NAME) == service.metadata.name
        for number in piece.ports
        if (number.name or "") == port
        for endpoint in piece.endpoints
        if endpoint.conditions is None or endpoint.conditions.ready is not False
        for address in endpoint.addresses
    ]
    return ",".join(sorted(found)) or NONE


def _node(obj: Node, snapshot: Snapshot) -> Fields:
    status = obj.status
    info: Mapping[str, Any] = status.node_info.value if status.node_info is not None else {}
    pods = [pod for pod in snapshot.objects("Pod") if isinstance(pod, Pod) and pod.spec.node_name == obj.metadata.name]
    rows = ((pod.metadata.namespace, pod.metadata.name, pod_state(pod).status) for pod in pods)
    return [
        ("Taints", [("", f"{it.key}={it.value or ''}:{it.effect}") for it in obj.spec.taints] or NONE),
        ("Unschedulable", str(bool(obj.spec.unschedulable)).lower()),
        ("Conditions", _conditions(status.conditions)),
        ("Addresses", [(it.type, it.address) for it in status.addresses]),
        ("Capacity", amounts(status.capacity)),
        ("Allocatable", amounts(status.allocatable)),
        ("System Info", [(name, str(info[name])) for name in sorted(info)] or NONE),
        ("PodCIDR", obj.spec.pod_cidr or NONE),
        (f"Pods ({len(pods)} in total)", _table("NAMESPACE,NAME,STATUS", rows)),
    ]


def _claim(obj: PersistentVolumeClaim, snapshot: Snapshot) -> Fields:
    users = [
        pod.metadata.name
        for pod in snapshot.objects("Pod")
        if isinstance(pod, Pod)
        and pod.metadata.namespace == obj.metadata.namespace
        and any(
            it.persistent_volume_claim is not None and it.persistent_volume_claim.claim_name == obj.metadata.name
            for it in pod.spec.volumes
        )
    ]
    return [
        ("StorageClass", obj.spec.storage_class_name or ""),
        ("Status", obj.status.phase or ""),
        ("Volume", obj.spec.volume_name or ""),
        ("Finalizers", "[" + " ".join(obj.metadata.finalizers) + "]"),
        ("Capacity", str(obj.status.capacity.get("storage", ""))),
        ("Access Modes", access_modes(obj.status.access_modes or obj.spec.access_modes)),
        ("VolumeMode", obj.spec.volume_mode or ""),
        ("Used By", ", ".join(users) or NONE),
    ]


def _volume(obj: PersistentVolume, _: Snapshot) -> Fields:
    ref = obj.spec.claim_ref
    source: Fields = []
    if obj.spec.csi is not None:
        source = [("Type", "CSI"), ("Driver", obj.spec.csi.driver), ("VolumeHandle", obj.spec.csi.volume_handle)]
    elif obj.spec.host_path is not None:
        source = [("Type", "HostPath"), ("Path", obj.spec.host_path.path)]
    return [
        ("StorageClass", obj.spec.storage_class_name or ""),
        ("Status", obj.status.phase or ""),
        ("Claim", f"{ref.namespace}/{ref.name}" if ref is not None else ""),
        ("Reclaim Policy", obj.spec.persistent_volume_reclaim_policy or ""),
        ("Access Modes", access_modes(obj.spec.access_modes)),
        ("Capacity", str(obj.spec.capacity.get("storage", ""))),
        ("Source", source or NONE),
    ]


def _secret(obj: Secret, _: Snapshot) -> Fields:
    """How much there is, and nothing of it."""
    data = [(name, f"{len(b64decode(obj.data[name]))} bytes") for name in sorted(obj.data)]
    return [("Type", obj.type or "Opaque"), ("Data", data or NONE)]


def _anything(obj: AnyObject, _: Snapshot) -> Fields:
    """Every field as it is, for kinds that have no words of their own."""
    document = dump(obj)
    rest = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
    return [("API Version", obj.api_version), ("Kind", obj.kind), *_plain(rest)]


def _plain(document: Mapping[str, Any]) -> Fields:
    return [(name, _plain_value(document[name])) for name in sorted(document)]


def _plain_value(value: Any) -> Value:
    if isinstance(value, dict):
        return _plain(value) or NONE
    if isinstance(value, list):
        return [("-", _plain_value(item)) for item in value] or NONE
    text = str(value)
    return [("", line) for line in text.splitlines()] if "\n" in text else escape(text)


_KINDS: dict[str, Callable[[Any, Snapshot], Fields]] = {
    "Deployment": _deployment,
    "Node": _node,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replica_set,
    "Secret": _secret,
    "Service": _service,
}
