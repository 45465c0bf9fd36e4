"""The node agent: keeps the pods of a node running, and says how they are.

``sync`` is the whole interface: it is given all pods that belong on the node and returns what changed. It never waits;
what takes long is done by workers and seen at a later call. Pods of which nothing changed cost nothing.

    pods, time, objects ─► views ─► rules.kubelet ─► operations ─► drivers ─► views ... until nothing is to be done ─►
    status

All that matters is in the drivers' hands: a new agent on the same drivers goes on where a killed one left off. It finds
containers by their ids, which depend on nothing but the pod's uid and a number, so nothing is ever started twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.drivers.network.base import NetworkDriver
from reconciler.drivers.runtime.base import RuntimeDriver
from reconciler.drivers.storage.base import StorageDriver
from reconciler.kubelet import tasks
from reconciler.kubelet.entries import Entry, apply_outcome, differs, order_of, orphan
from reconciler.kubelet.hands import Hands, address
from reconciler.kubelet.objects import World
from reconciler.kubelet.tasks import Task
from reconciler.kubelet.workers import Workers
from reconciler.volumes import PodVolumes, VolumeHost
from rules.actions import Event
from rules.kubelet import outcomes, probes
from rules.kubelet.environment import Tables
from rules.kubelet.payload import objects_of
from rules.kubelet.pods import Decision, PodRules
from rules.kubelet.project import Layout
from rules.kubelet.records import FINISHED, Operation, PodMemory, PodView, Sandbox
from rules.kubelet.status import pod_status
from state.errors import StateError
from state.objects import Pod, PodStatus, replace
from state.snapshot import Key
from state.times import format_time

#: Rounds within one call after which a pod that is never done is an error. The longest honest chain has about ten.
MAX_ROUNDS = 100


class KubeletError(StateError):
    """The rules find something to do about a pod for ever."""


@dataclass(frozen=True, slots=True)
class PodUpdate:
    """What became of a pod: its new status, and whether nothing of it is left on the node (``finished``), so that an
    object that is being deleted can go.
    """

    pod: Pod
    status: PodStatus
    finished: bool = False


@dataclass(slots=True)
class SyncResult:
    """What a call to ``sync`` did and found, in order. ``updates`` has the last word about each pod, by its uid."""

    updates: dict[str, PodUpdate] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    operations: list[tuple[Key, Operation]] = field(default_factory=list)


@dataclass(slots=True)
class _Watched:
    value: object
    pods: set[str] = field(default_factory=set)


class Kubelet:
    """See the module. ``node_name`` "" serves the pods of all nodes at once, as a simulation likes."""

    def __init__(
        self,
        node_name: str,
        *,
        runtime: RuntimeDriver,
        network: NetworkDriver | None,
        storage: StorageDriver | None,
        volumes: VolumeHost,
        workers: Workers,
        log_root: str = "",
    ) -> None:
        self._node_name = node_name
        self._runtime = runtime
        self._network = network
        self._volumes = PodVolumes(volumes, storage)
        self._workers = workers
        self._hands = Hands(runtime, network, self._volumes, workers, log_root)
        self._rules = PodRules()
        self._entries: dict[str, Entry] = {}
        self._agenda: list[tuple[int, str]] = []
        self._watched: dict[Key, _Watched] = {}
        self._given: Sequence[Pod] | None = None
        self._adopted = False

    @property
    def pods(self) -> list[Pod]:
        """The pods that have something on the node, or should, sorted by name."""
        return [entry.pod for entry in sorted(self._entries.values(), key=order_of)]

    def next_due(self) -> int | None:
        """When ``sync`` will have something to do though nothing changes outside (µs since the epoch), if known."""
        while self._agenda:
            at, uid = self._agenda[0]
            entry = self._entries.get(uid)
            if entry is not None and entry.due == at:
                break
            heapq.heappop(self._agenda)
        known = [self._agenda[0][0]] if self._agenda else []
        known += [at for at in (self._runtime.next_change(), self._workers.next_outcome()) if at is not None]
        return min(known, default=None)

    def wait(self, timeout: float) -> None:
        """Waits at most ``timeout`` seconds for a probe, hook or pull to end."""
        self._workers.wait(timeout)

    def close(self) -> None:
        """Stops what runs beside the loop. Pods go on; the drivers are the caller's to close."""
        self._workers.close()

    # -- one call ------------------------------------------------------------------------------------------------------

    def sync(self, pods: Sequence[Pod], tables: Tables, now: int) -> SyncResult:
        """Makes the node agree with the pods that belong on it.

        ``tables`` gives the objects of a kind by namespace and name, as ``Workspace.table`` does; ConfigMaps, Secrets,
        Services, claims, volumes and Nodes are looked for there. A pod that is no longer given ends, with its grace
        period. ``now`` is in microseconds since the epoch.
        """
        result = SyncResult()
        world = World(tables, now)
        touched = self._accept(pods, now)
        touched |= self._observe_runtime()
        touched |= self._observe_objects(world, result)
        touched |= self._observe_workers(now, result)
        while self._agenda and self._agenda[0][0] <= now:
            at, uid = heapq.heappop(self._agenda)
            if uid in self._entries and self._entries[uid].due == at:
                touched.add(uid)
        settled: dict[str, Decision] = {}
        rounds = 0
        while touched:
            rounds += 1
            if rounds > MAX_ROUNDS:
                raise KubeletError(f"no end after {MAX_ROUNDS} rounds: {[str(o) for o in result.operations[-3:]]}")
            touched = self._round(self._sorted(touched), settled, world, result)
            touched |= self._observe_workers(now, result)
        for entry in self._sorted(settled):
            self._finish(entry, settled[entry.pod.metadata.uid], world, result)
        return result

    def _sorted(self, uids: Iterable[str]) -> list[Entry]:
        return sorted((self._entries[uid] for uid in uids), key=order_of)

    def _round(
        self, entries: Sequence[Entry], settled: dict[str, Decision], world: World, result: SyncResult
    ) -> set[str]:
        """Lets the rules decide once about each pod and does what they say.

        Returns the pods to ask about again; those about which nothing is left to be done now are ``settled``.
        """
        views = [self._view(entry, world) for entry in entries]
        again: set[str] = set()
        for entry, decision in zip(entries, self._rules.decide(views, world.now), strict=True):
            view, uid = decision.view, entry.pod.metadata.uid
            result.events += decision.events
            entry.retry_at = None
            key = Key("Pod", entry.pod.metadata.namespace, entry.pod.metadata.name)
            for operation in decision.operations:
                result.operations.append((key, operation))
                report = self._hands.execute(view, operation, world)
                result.events += report.events
                if report.missing is not None:
                    self._watch(entry, report.missing, world.tables)
                if report.retry_at is not None:
                    entry.retry_at = min(report.retry_at, entry.retry_at or report.retry_at)
            entry.memory = view.memory
            if (decision.operations and entry.retry_at is None) or decision.again:
                again.add(uid)
            else:
                decision.wake(entry.retry_at)
                decision.wake(self._probe(view, decision.layout, world.now))
                entry.memory = view.memory
                settled[uid] = decision
        changed = self._runtime.changed_pods()  # by us, mostly; what we didn't do ourselves is to be looked at, too
        return again | {uid for uid in changed if uid in self._entries and self._entries[uid].retry_at is None}

    def _finish(self, entry: Entry, decision: Decision, world: World, result: SyncResult) -> None:
        """Nothing more is to be done about a pod now: works out its status and when it is due again."""
        view = decision.view
        view.memory = entry.memory
        status = pod_status(decision.layout, world.now)
        view.remember(status=status)
        entry.memory = view.memory
        cleaned = view.memory.cleaned
        if not entry.removed and (cleaned or status != entry.pod.status):
            result.updates[entry.pod.metadata.uid] = PodUpdate(entry.pod, status, finished=cleaned)
        if cleaned and entry.removed:
            self._forget(entry)
            return
        entry.due = decision.wake_at
        if entry.due is not None:
            heapq.heappush(self._agenda, (entry.due, entry.pod.metadata.uid))
        if view.memory.mounted and not entry.keys:
            for key in objects_of(entry.pod):
                self._watch(entry, key, world.tables)

    def _forget(self, entry: Entry) -> None:
        uid = entry.pod.metadata.uid
        del self._entries[uid]
        for key in entry.keys:
            watched = self._watched[key]
            watched.pods.discard(uid)
            if not watched.pods:
                del self._watched[key]

    def _view(self, entry: Entry, world: World) -> PodView:
        pod, runtime = entry.pod, self._runtime
        uid = pod.metadata.uid
        listed = runtime.list_pod_sandboxes(uid)
        if listed != entry.listed:
            entry.listed = listed
            entry.sandboxes = tuple(
                Sandbox(id=s.id, attempt=s.config.attempt, ready=s.ready, ip=s.config.ip) for s in listed
            )
        return PodView(
            pod=pod,
            memory=entry.memory,
            sandboxes=entry.sandboxes,
            containers=runtime.list_containers(uid),
            removed=entry.removed,
            runtime=runtime.name,
            host_ip=world.address(pod.spec.node_name or ""),
            has_image=self._has_image,
        )

    def _has_image(self, image: str) -> bool:
        return self._runtime.image_ref(image) is not None

    def _probe(self, view: PodView, layout: Layout, now: int) -> int | None:
        """Starts the probes that are due; returns when the next one is."""
        following: int | None = None
        for slot in layout.slots:
            newest, spec = slot.newest, slot.spec
            if newest is None or newest.state != "RUNNING" or slot.role == "init":
                continue
            if not (spec.startup_probe or spec.liveness_probe or spec.readiness_probe):
                continue
            memory = view.remembered(spec.name)
            for kind, probe, at in probes.schedule(spec, memory, newest, ending=layout.ending):
                if at > now:
                    following = at if following is None else min(following, at)
                    continue
                outcomes.probe_begun(view, spec.name, kind, newest.id)
                self._workers.start(
                    Task(
                        pod_uid=view.pod.metadata.uid,
                        container=spec.name,
                        instance=newest.id,
                        purpose=kind,
                        doing=tasks.of_probe(probe, spec, address(view)),
                        timeout=probes.timeout_seconds(probe),
                    )
                )
        return following

    # -- what changed --------------------------------------------------------------------------------------------------

    def _accept(self, pods: Sequence[Pod], now: int) -> set[str]:
        """Takes over the pods that belong here; returns those about which something is new."""
        if pods is self._given:
            return set()
        touched = set()
        given = set()
        for pod in pods:
            uid = pod.metadata.uid
            if not uid:
                raise KubeletError(
                    f"pod {pod.metadata.namespace}/{pod.metadata.name} has no uid, which tells pods apart"
                )
            given.add(uid)
            entry = self._entries.get(uid)
            if entry is None:
                seen = pod.status if pod.status.start_time else replace(pod.status, start_time=format_time(now))
                self._entries[uid] = Entry(pod, PodMemory(status=seen))
                touched.add(uid)
            elif entry.pod is not pod:
                if differs(entry, pod):
                    touched.add(uid)
                entry.pod = pod
        for uid, entry in list(self._entries.items()):
            if uid not in given and not entry.removed:
                entry.removed = True
                touched.add(uid)
        self._given = pods
        return touched

    def _observe_runtime(self) -> set[str]:
        """The pods whose containers changed. At first also the pods that left something here and are gone."""
        changed = set(self._runtime.changed_pods())
        if not self._adopted:
            self._adopted = True
            changed |= self._volumes.pods(self._node_name)
            for network in self._network.observe().pods if self._network is not None else ():
                if self._node_name in ("", network.pod.node):
                    changed.add(network.pod.uid)
            for uid in sorted(changed - self._entries.keys()):
                self._entries[uid] = Entry(orphan(uid, self._node_name, self._runtime), PodMemory(), removed=True)
        return {uid for uid in changed if uid in self._entries}

    def _watch(self, entry: Entry, key: Key, tables: Tables) -> None:
        """Looks at a pod again when an object appears, changes or goes."""
        entry.keys.add(key)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(tables(key.kind).get(key.ns_name))
        watched.pods.add(entry.pod.metadata.uid)

    def _observe_objects(self, world: World, result: SyncResult) -> set[str]:
        """The pods that wait for an object that changed; volumes made of it are written anew."""
        touched: set[str] = set()
        for key, watched in self._watched.items():
            value = world.tables(key.kind).get(key.ns_name)
            if value is not watched.value:
                watched.value = value
                touched |= watched.pods
        for entry in self._sorted(touched):
            view = self._view(entry, world)
            if view.memory.waiting is not None and view.memory.waiting.until is None:
                view.remember(waiting=None)
            for name, memory in view.memory.containers.items():
                if memory.waiting is not None and memory.waiting.until is None:
                    view.remember_container(name, waiting=None)
            if view.memory.mounted and view.memory.status.phase not in FINISHED and not entry.removed:
                result.events += self._hands.refresh_volumes(view, world).events
            entry.memory = view.memory
        return touched

    def _observe_workers(self, now: int, result: SyncResult) -> set[str]:
        """Takes over how probes, hooks and pulls went."""
        touched = set()
        for outcome in self._workers.finished():
            entry = self._entries.get(outcome.task.pod_uid)
            if entry is not None:
                view = PodView(entry.pod, entry.memory)
                result.events += apply_outcome(view, outcome, now)
                entry.memory = view.memory
                touched.add(outcome.task.pod_uid)
        return touched
