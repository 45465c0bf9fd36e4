"""Made-up nodes: ``--nodes 3x4cpu,16Gi`` and the Node objects that a library caller would otherwise write by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from state import names, quantity
from state.errors import StateError
from state.objects import Node, NodeCondition, NodeSpec, NodeStatus, ObjectMeta, Quantity
from state.times import format_time

DEFAULT_CPU = "4"
DEFAULT_MEMORY = "16Gi"
DEFAULT_PODS = "110"
#: More nodes than this are taken for a typing error; Kubernetes itself ends at 5,000.
MAX_NODES = 1_000_000
_HOSTNAME = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"
_GROUP = re.compile(r"(?P<count>\d{1,18})(?:x(?P<shape>.+))?", re.ASCII)
_CPU = re.compile(r"(?P<amount>.+)cpus?")
_PODS = re.compile(r"(?P<amount>\d+)pods?", re.ASCII)
_ZONES = re.compile(r"(?P<amount>[1-9]\d{0,8})zones?", re.ASCII)
_FORM = "expected COUNT or COUNTxCPUcpu,MEMORY[,PODSpods][,ZONESzones][,RESOURCE=AMOUNT], as in 3x4cpu,16Gi"


#: What a kubelet reports of a node in order, as its setters of conditions word it: type, status, reason, message.
_REPORT = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


@lru_cache(maxsize=8)
def reported(before: tuple[NodeCondition, ...], now: int) -> tuple[NodeCondition, ...]:
    """The conditions of a node in order after its kubelet's report at ``now`` (µs); others' conditions stay.

    Nodes made up at one time share theirs.
    """
    moment, known = format_time(now), {condition.type: condition for condition in before}
    made = []
    for kind, status, reason, message in _REPORT:
        old = known.pop(kind, None)
        since = old.last_transition_time if old is not None and old.status == status else moment
        made.append(
            NodeCondition(
                type=kind,
                status=status,
                reason=reason,
                message=message,
                last_heartbeat_time=moment,
                last_transition_time=since,
            )
        )
    return (*known.values(), *made)


def make_node(name: str, capacity: dict[str, Quantity], *, labels: dict[str, str] | None = None, now: int = 0) -> Node:
    """A node that is Ready since ``now`` (µs) and gives all its capacity to pods."""
    return Node(
        metadata=ObjectMeta(
            name=name,
            labels={_HOSTNAME: name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **(labels or {})},
        ),
        spec=NodeSpec(),
        status=NodeStatus(capacity=capacity, allocatable=capacity, conditions=reported((), now)),
    )


def parse_nodes(text: str | int, *, now: int = 0) -> list[Node]:
    """Nodes from a description: ``3``, ``3x4cpu,16Gi``, ``2x8cpu,64Gi,nvidia.com/gpu=4+100x2cpu,4Gi,3zones``.

    What isn't said is 4 CPUs, 16Gi, 110 pods, no zone. Names are ``node-0`` onwards, padded to sort by number.

    Raises:
        StateError: the description has another form.
    """
    groups = [_parse_group(group.strip(), str(text)) for group in str(text).split("+")]
    total = sum(count for count, _, _ in groups)
    if total > MAX_NODES:
        raise StateError(f"nodes {str(text)!r}: {total} nodes; at most {MAX_NODES} are made up")
    width = len(str(max(total - 1, 0)))
    return [
        make_node(f"node-{number:0{width}}", capacity, labels=labels, now=now)
        for number, (capacity, labels) in enumerate(_expand(groups))
    ]


_Group = tuple[int, dict[str, Quantity], int]


def _expand(groups: list[_Group]) -> Iterator[tuple[dict[str, Quantity], dict[str, str]]]:
    for count, capacity, zones in groups:
        for number in range(count):
            yield capacity, {_ZONE: f"zone-{number % zones}"} if zones else {}


def _parse_group(group: str, text: str) -> _Group:
    found = _GROUP.fullmatch(group)
    if found is None:
        raise StateError(f"nodes {text!r}: cannot read {group!r}; {_FORM}")
    capacity: dict[str, Quantity] = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY, "pods": DEFAULT_PODS}
    zones = 0
    for part in (found["shape"] or "").split(",") if found["shape"] else ():
        name, is_named, amount = part.strip().partition("=")
        if is_named:
            pass
        elif cpu := _CPU.fullmatch(part.strip()):
            name, amount = "cpu", cpu["amount"]
        elif pods := _PODS.fullmatch(part.strip()):
            name, amount = "pods", pods["amount"]
        elif many := _ZONES.fullmatch(part.strip()):
            zones = int(many["amount"])
            continue
        else:
            name, amount = "memory", part.strip()
        capacity[name] = _amount(name, amount, f"nodes {text!r}: cannot read {part!r}")
    return int(found["count"]), capacity, zones


def _amount(resource: str, amount: str, failure: str) -> str:
    """How much of a resource a node has, as Kubernetes writes it."""
    try:
        is_negative = quantity.compare(amount, 0) < 0
        canonical = quantity.canonical(amount)
    except quantity.QuantityError as error:
        raise StateError(f"{failure}: {error}; {_FORM}") from error
    wrong = ["a node cannot have less than nothing"] if is_negative else names.qualified_name(resource)
    if wrong:
        raise StateError(f"{failure}: {wrong[0]}; {_FORM}")
    return canonical
