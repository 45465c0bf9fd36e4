"""The hands: has the node agent, the provisioner and the proxy carry out what the state asks for, and writes what they
observed back into the state.

The same code serves simulated drivers in virtual time and real ones. Everything is level-triggered: each call looks at
the state as it is, and what was done already is not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.kubelet import Kubelet
from reconciler.provisioner import Provisioner, ProvisionerReport, StorageFailure
from reconciler.proxy import Proxy, ServiceFailure
from reconciler.usage import UsageReporter
from rules.actions import Event
from rules.kubelet.records import Operation
from rules.scheduling.volumes import SELECTED_NODE
from state.defaults import default
from state.identity import make_uid
from state.objects import (
    EndpointSlice,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    Service,
    StorageClass,
    replace,
)
from state.snapshot import Change, Key
from state.times import format_time
from state.workspace import Workspace

#: Kinds whose change concerns the provisioner, or the proxy.
_STORAGE_KINDS = ("PersistentVolume", "PersistentVolumeClaim", "StorageClass")
_SERVICE_KINDS = ("EndpointSlice", "Service")


@dataclass(slots=True)
class Report:
    """What a call to ``sync`` did: operations of the node agent, events, and what failed and will be tried again."""

    operations: list[tuple[Key, Operation]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    failures: list[StorageFailure | ServiceFailure] = field(default_factory=list)


def bound_pods(ws: Workspace, node: str = "") -> tuple[Pod, ...]:
    """The pods that a node agent is to run: those bound to its node, or with "" to any."""
    return tuple(pod for pod in ws.objects(Pod) if pod.spec.node_name and node in ("", pod.spec.node_name))


class Executor:
    """Carries out the state of one workspace. A part that is None is left to others; given a ``node``, so are the pods
    of all other nodes.
    """

    def __init__(
        self,
        ws: Workspace,
        *,
        kubelet: Kubelet | None = None,
        provisioner: Provisioner | None = None,
        proxy: Proxy | None = None,
        usage: UsageReporter | None = None,
        node: str = "",
    ) -> None:
        self._ws, self._node = ws, node
        self._kubelet = kubelet
        self._provisioner = provisioner
        self._proxy = proxy
        self._usage = usage
        self._pods: Sequence[Pod] | None = None
        self._storage_due = self._services_due = True
        self._retry_at: dict[str, int | None] = {}
        ws.listen(self._changed)

    def _changed(self, change: Change) -> None:
        kind = change.key.kind
        if kind == "Pod":
            self._pods = None
        elif kind in _STORAGE_KINDS:
            self._storage_due = True
        elif kind in _SERVICE_KINDS:
            self._services_due = True

    def next_due(self) -> int | None:
        """When a call to ``sync`` will have something to do though the state stays (µs since the epoch), if known."""
        known = [at for at in self._retry_at.values() if at is not None]
        kubelet = None if self._kubelet is None else self._kubelet.next_due()
        if kubelet is not None:
            known.append(kubelet)
        if self._usage is not None:
            known.append(self._usage.next_due)
        return min(known, default=None)

    def sync(self, now: int) -> Report:
        """Carries out what is due at ``now`` (µs since the epoch) and writes observations into the workspace."""
        report = Report()
        if self._provisioner is not None and self._is_due("storage", self._storage_due, now):
            self._storage_due = False
            self._provision(self._provisioner, report, now)
        # Services before pods: nobody is led any more to a pod that is about to be told to end.
        if self._proxy is not None and self._is_due("services", self._services_due, now):
            self._services_due = False
            done = self._proxy.sync(self._ws.objects(Service), self._ws.objects(EndpointSlice), now)
            report.failures += done.failures
            self._retry_at["services"] = done.retry_at
        if self._kubelet is not None:
            self._run_pods(self._kubelet, report, now)
        if self._usage is not None:
            self._usage.sync(self._ws, now)
        return report

    def _is_due(self, part: str, changed: bool, now: int) -> bool:
        at = self._retry_at.get(part)
        return changed or (at is not None and at <= now)

    def _run_pods(self, kubelet: Kubelet, report: Report, now: int) -> None:
        if self._pods is None:
            self._pods = bound_pods(self._ws, self._node)
        result = kubelet.sync(self._pods, self._ws.table, now)
        report.operations += result.operations
        report.events += result.events
        for update in result.updates.values():
            key = Key.of(update.pod)
            pod = self._ws.find(Pod, key.namespace, key.name)
            if pod is None or pod.metadata.uid != update.pod.metadata.uid:
                continue
            meta = pod.metadata
            if update.finished and meta.deletion_timestamp is not None:
                if not meta.finalizers:
                    self._ws.remove(key)
                    continue
                # As by kubelet's own DELETE with no grace: nothing but the finalizers holds the pod any more.
                meta = replace(meta, deletion_grace_period_seconds=0)
            if pod.status != update.status or pod.metadata != meta:
                self._ws.put(replace(pod, metadata=meta, status=update.status))

    def _provision(self, provisioner: Provisioner, report: Report, now: int) -> None:
        volumes = {volume.metadata.name: volume for volume in self._ws.objects(PersistentVolume)}
        classes = {item.metadata.name: item for item in self._ws.objects(StorageClass)}
        done = provisioner.sync(self._ws.objects(PersistentVolumeClaim), classes, volumes, now)
        report.failures += done.failures
        self._retry_at["storage"] = done.retry_at
        self._store_volumes(done, now)

    def _store_volumes(self, done: ProvisionerReport, now: int) -> None:
        for volume in done.provisioned:
            key = Key.of(volume)
            if self._ws.get(key) is None:
                uid, created = make_uid(key, self._ws.revision), format_time(now)
                meta = replace(volume.metadata, uid=uid, creation_timestamp=created)
                self._ws.put(default(replace(volume, metadata=meta)))
        for claim in done.rescheduled:
            others = {name: text for name, text in claim.metadata.annotations.items() if name != SELECTED_NODE}
            self._ws.put(replace(claim, metadata=replace(claim.metadata, annotations=others)))
        for volume in done.deleted:
            self._ws.remove(Key.of(volume))
        for volume in done.recycled:
            self._ws.put(replace(volume, spec=replace(volume.spec, claim_ref=None)))
