"""What the scheduler knows: nodes with their pods, nominations, assumed volumes. Built from a view, moved by changes.

It is a cache. Everything in it but the assumptions of the running cycle follows from the objects of the view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import FINISHED, PodClasses, PodEntry, PodKey, pod_key
from rules.scheduling.service_selectors import ServiceSelectors
from rules.scheduling.terms import Labels
from state.objects import Namespace, Node, Object, Pod, PodDisruptionBudget

NsName = tuple[str, str]
ObjectT = TypeVar("ObjectT", bound=Object)
#: Told about every node whose pods or object changed.
NodeListener = Callable[[NodeInfo], None]
#: Told about a pod, or so many of its class, that came to a node (+1, or more) or went from it (-1).
PodListener = Callable[[PodEntry, NodeInfo, int], None]
#: Told about a pod that was nominated to a node of a name (+1), or no longer is (-1).
NominationListener = Callable[[PodEntry, str, int], None]

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


class View(Protocol):
    """Where the objects are: a workspace, a snapshot, or anything like it."""

    def table(self, kind: str) -> Mapping[NsName, object]:
        """All objects of a kind by (namespace, name); the namespace is "" for cluster-scoped kinds."""
        ...


class Cluster:
    """Nodes, pods on them, and what is only assumed yet.

    ``version`` grows with every change that could change a decision.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.version = 0
        #: Grows when the order of victims may change though no pod moved.
        self.victims_version = 0
        self.classes = PodClasses()
        self.services = ServiceSelectors(view.table("Service").values())
        self.nodes: dict[str, NodeInfo] = {}
        self.pods: dict[PodKey, tuple[PodEntry, NodeInfo]] = {}
        #: Pending pods by the node that an earlier preemption chose for them.
        self.nominated: dict[str, dict[PodKey, PodEntry]] = {}
        self._nominations: dict[PodKey, str] = {}
        #: Pods placed by the scheduler whose binding the view doesn't show yet.
        self.assumed: dict[PodKey, str] = {}
        #: Volume name -> claim that a placed pod will bind to it.
        self.assumed_volumes: dict[str, NsName] = {}
        #: Claim -> node for which it is to be provisioned.
        self.assumed_nodes: dict[NsName, str] = {}
        self._names: list[str] | None = None
        self._node_listeners: list[NodeListener] = []
        self._pod_listeners: list[PodListener] = []
        self._nomination_listeners: list[NominationListener] = []
        for obj in view.table("Node").values():
            assert isinstance(obj, Node)
            self._node(obj.metadata.name, obj)
        for obj in view.table("Pod").values():
            assert isinstance(obj, Pod)
            self._pod_arrived(obj)

    def listen(self, on_node: NodeListener, on_pod: PodListener, on_nomination: NominationListener) -> None:
        """Registers a table that follows this one."""
        self._node_listeners.append(on_node)
        self._pod_listeners.append(on_pod)
        self._nomination_listeners.append(on_nomination)

    @property
    def names(self) -> list[str]:
        """The names of all nodes, sorted."""
        if self._names is None:
            self._names = sorted(name for name, info in self.nodes.items() if info.node is not None)
        return self._names

    def candidates(self) -> list[NodeInfo]:
        """All nodes in the order of their names."""
        return [self.nodes[name] for name in self.names]

    def find(self, expected: type[ObjectT], name: str, namespace: str = "") -> ObjectT | None:
        """The object of a typed kind, or None."""
        found = self.view.table(expected.kind).get((namespace, name))
        return found if isinstance(found, expected) else None

    def namespace_labels(self, namespace: str) -> Labels:
        """A namespace's labels, with the one that every API server adds; also for a namespace without an object."""
        found = self.find(Namespace, namespace)
        labels = {} if found is None else found.metadata.labels
        return labels if _NAMESPACE_NAME in labels else {**labels, _NAMESPACE_NAME: namespace}

    # -- changes of the view -----------------------------------------------------------------------------------------

    def changed(self, old: object | None, new: object | None) -> None:
        """Moves forward by one object that was created (old None), changed, or removed (new None)."""
        sample = new if new is not None else old
        if isinstance(sample, Pod):
            self._pod_changed(old if isinstance(old, Pod) else None, new if isinstance(new, Pod) else None)
        elif isinstance(sample, Node):
            self.version += 1
            self._node(sample.metadata.name, new if isinstance(new, Node) else None)
        else:
            self.version += 1
            self.services.advance(old, new)
            self.victims_version += isinstance(sample, PodDisruptionBudget)
            self._forget_assumed(sample)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and self._is_confirmed(old, new):
            return
        self.version += 1
        if old is not None:
            self._pod_left(old)
        if new is not None:
            self._pod_arrived(new)

    def confirm(self, bound: Pod) -> bool:
        """Takes note that a pod has come to its node and changed in nothing else; False if it isn't assumed there."""
        key = pod_key(bound)
        if self.assumed.get(key) != bound.spec.node_name:
            return False
        del self.assumed[key]
        entry = self.pods[key][0]
        entry.pod = bound
        entry.start = None
        return True

    def _is_confirmed(self, old: Pod, new: Pod) -> bool:
        """Whether the change is a binding that was assumed, or leaves all that matters as it was."""
        key = pod_key(new)
        placed = self.pods.get(key)
        if placed is None or new.status.phase in FINISHED:
            return False
        entry, info = placed
        assumed = key in self.assumed
        if new.spec.node_name != info.name and not (assumed and not new.spec.node_name):
            return False
        same = (
            new.metadata.labels == old.metadata.labels
            and new.metadata.deletion_timestamp == old.metadata.deletion_timestamp
            and not any(c.resources is not None for c in new.status.container_statuses)
            and (assumed or new.spec is old.spec)
        )
        if same:
            if new.status.start_time != old.status.start_time:  # preemption looks at it
                self.version += 1
                self.victims_version += 1
            entry.pod = new
            if new.spec.node_name:
                self.assumed.pop(key, None)
                entry.start = None
        return same

    def _pod_arrived(self, pod: Pod) -> None:
        if pod.status.phase in FINISHED:
            return
        if pod.spec.node_name:
            self._place((PodEntry(pod, self.classes.of(pod)),), pod.spec.node_name)
        elif pod.status.nominated_node_name:
            self.nominate(PodEntry(pod, self.classes.of(pod)), pod.status.nominated_node_name)

    def _pod_left(self, pod: Pod) -> None:
        key = pod_key(pod)
        if key in self.pods:
            self._displace(key)
        if self.assumed.pop(key, None) is not None:
            self._forget_choices(pod)
        self.forget_nomination(key)

    def _forget_choices(self, pod: Pod) -> None:
        """Drops what was assumed of the volumes of a pod that never got to its node."""
        names = {
            v.persistent_volume_claim.claim_name for v in pod.spec.volumes if v.persistent_volume_claim is not None
        }
        names |= {f"{pod.metadata.name}-{v.name}" for v in pod.spec.volumes if v.ephemeral is not None}
        claims = {(pod.metadata.namespace, name) for name in names}
        for claim in claims:
            self.assumed_nodes.pop(claim, None)
        self.assumed_volumes = {v: claim for v, claim in self.assumed_volumes.items() if claim not in claims}

    def _forget_assumed(self, new: object | None) -> None:
        """Drops what was assumed of a claim or volume once its object shows it."""
        meta = getattr(new, "metadata", None)
        kind = getattr(new, "kind", "")
        if meta is None:
            return
        if kind == "PersistentVolumeClaim":
            self.assumed_nodes.pop((meta.namespace, meta.name), None)
        elif kind == "PersistentVolume":
            self.assumed_volumes.pop(meta.name, None)

    # -- placements --------------------------------------------------------------------------------------------------

    def assume(self, entries: Sequence[PodEntry], node: str, now: int) -> None:
        """Counts pods of one class on the node that was chosen for them, before the view shows it."""
        for entry in entries:
            entry.start = now
            self.assumed[entry.key] = node
            if self._nominations:
                self.forget_nomination(entry.key)
        self._place(entries, node)
        self.version += 1

    def forget(self, key: PodKey) -> None:
        """Takes back an assumption, volumes included."""
        if self.assumed.pop(key, None) is not None:
            self._forget_choices(self.pods[key][0].pod)
            self._displace(key)
            self.version += 1

    def lift(self, key: PodKey) -> tuple[PodEntry, NodeInfo]:
        """Takes a pod off its node for a moment; ``put_back`` must follow."""
        found = self.pods[key]
        self._displace(key)
        return found

    def put_back(self, entry: PodEntry, info: NodeInfo) -> None:
        """Puts a lifted pod back."""
        self._place((entry,), info.name)

    def nominate(self, entry: PodEntry, node: str) -> None:
        """Remembers that preemption makes room for a pod on a node: others count it there from now on."""
        self.forget_nomination(entry.key)
        self.nominated.setdefault(node, {})[entry.key] = entry
        self._nominations[entry.key] = node
        self.version += 1
        for listener in self._nomination_listeners:
            listener(entry, node, 1)

    def renominate(self, entry: PodEntry, node: str) -> tuple[PodKey, ...]:
        """Takes over what preemption came to for a pod; returns the pods that lose their nomination by that.

        Those are the less important ones that were to come to the same node; or the pod itself, if ``node`` is "".
        """
        if node:
            rivals = self.nominated.get(node, {})
            lost = sorted(key for key, rival in rivals.items() if rival.cls.priority < entry.cls.priority)
            self.nominate(entry, node)
        else:
            lost = [entry.key] if entry.key in self._nominations else []
        for key in lost:
            self.forget_nomination(key)
        return tuple(lost)

    def forget_nomination(self, key: PodKey) -> None:
        """Drops the pod's nomination, if it has one."""
        node = self._nominations.pop(key, None)
        if node is not None:
            entry = self.nominated[node].pop(key)
            if not self.nominated[node]:
                del self.nominated[node]
            for listener in self._nomination_listeners:
                listener(entry, node, -1)

    def _place(self, entries: Sequence[PodEntry], node: str) -> None:
        info = self.nodes.get(node)
        if info is None:
            info = self.nodes[node] = NodeInfo(node)
        info.add(entries)
        for entry in entries:
            self.pods[entry.key] = (entry, info)
        _count_place(entries[0], node, len(entries))
        for listener in self._pod_listeners:
            listener(entries[0], info, len(entries))

    def _displace(self, key: PodKey) -> None:
        entry, info = self.pods.pop(key)
        info.remove(entry)
        _count_place(entry, info.name, -1)
        for listener in self._pod_listeners:
            listener(entry, info, -1)

    def _node(self, name: str, node: Node | None) -> None:
        info = self.nodes.get(name)
        if info is None:
            info = self.nodes[name] = NodeInfo(name)
        if looks_alike(info.node, node):
            info.node = node
            return
        if (info.node is None) != (node is None):
            self._names = None
        info.set_node(node)
        if node is None and not info.pods:
            del self.nodes[name]
        for listener in self._node_listeners:
            listener(info)

    def drop_unused_classes(self) -> bool:
        """Forgets classes that no pod is of any more, if there may be many. Says whether it did.

        Whoever keeps something by class number must drop it then; and no pod may be about to be placed.
        """
        if not self.classes.has_doubled:
            return False
        used = {entry.cls.number for entry, _ in self.pods.values()}
        used.update(entry.cls.number for rivals in self.nominated.values() for entry in rivals.values())
        for pod in self.view.table("Pod").values():
            assert isinstance(pod, Pod)
            if not pod.spec.node_name and pod.status.phase not in FINISHED:
                used.add(self.classes.of(pod).number)
        self.classes.keep(used)
        return True

    def entry(self, pod: Pod) -> PodEntry:
        """The entry of a pending pod."""
        return PodEntry(pod, self.classes.of(pod))


def looks_alike(old: Node | None, new: Node | None) -> bool:
    """Whether no plugin could tell the two states of a node apart (a heartbeat changed, say)."""
    if old is None or new is None:
        return old is new
    return (
        old.metadata.labels == new.metadata.labels
        and old.spec == new.spec
        and old.status.allocatable == new.status.allocatable
        and old.status.images == new.status.images
    )


def _count_place(entry: PodEntry, node: str, change: int) -> None:
    places = entry.cls.places
    places[node] = places.get(node, 0) + change
    if not places[node]:
        del places[node]
    if entry.terminating:
        entry.cls.leaving[node] = entry.cls.leaving.get(node, 0) + change
