"""external-provisioner: volumes for claims that want one made, and the end of volumes that nobody needs any more.

The binder rule says which claim waits for a provisioner (an annotation); ``to_provision`` and ``to_reclaim`` decide,
purely, what is to be done; ``Provisioner`` has the storage driver do it and gives back what is to be stored. The
driver's ``create_volume`` is idempotent by name, so a volume whose PersistentVolume was never stored is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reconciler.drivers.storage.base import Code, StorageDriver, StorageError, Volume, VolumeRequest
from reconciler.retries import Retries
from rules.scheduling.volumes import NO_PROVISIONER, SELECTED_NODE
from state.objects import (
    CSIPersistentVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
    StorageClass,
    VolumeNodeAffinity,
)
from state.quantity import format_binary, value

#: Which provisioner a claim waits for, set by the volume binder; the second name is the one before Kubernetes 1.23.
PROVISIONER_ANNOTATIONS = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
#: Which provisioner made a volume.
PROVISIONED_BY_ANNOTATION = "pv.kubernetes.io/provisioned-by"
#: The label of nodes that local volumes name.
HOSTNAME = "kubernetes.io/hostname"

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class StorageFailure:
    """What could not be done about an object, as its event says. ``retry_at`` (µs): None if trying again is no use.

    ``reschedule``: the node that was selected for the claim has no room.
    """

    object: PersistentVolumeClaim | PersistentVolume
    reason: str
    message: str
    retry_at: int | None = None
    reschedule: bool = False


@dataclass(frozen=True, slots=True)
class ProvisionTask:
    """A volume to make for a claim."""

    claim: PersistentVolumeClaim
    storage_class: StorageClass
    request: VolumeRequest


@dataclass(frozen=True, slots=True)
class ReclaimTask:
    """What is to become of a released volume: its data deleted with it, or scrubbed so that it can be claimed again."""

    volume: PersistentVolume
    handle: str
    policy: Literal["Delete", "Recycle"]


def volume_name(claim: PersistentVolumeClaim) -> str:
    """The name of the volume that is provisioned for a claim."""
    return f"pvc-{claim.metadata.uid}"


def to_provision(
    claims: Iterable[PersistentVolumeClaim],
    classes: Mapping[str, StorageClass],
    volumes: Mapping[str, PersistentVolume],
    serves: Callable[[str], bool],
) -> tuple[list[ProvisionTask], list[StorageFailure]]:
    """The claims that want a volume from a provisioner that ``serves`` says is ours, in the order of their names.

    A WaitForFirstConsumer claim waits until a node is selected; a claim whose volume is there waits for the binder.
    """
    tasks: list[ProvisionTask] = []
    refusals: list[StorageFailure] = []
    for claim in sorted(claims, key=lambda claim: (claim.metadata.namespace, claim.metadata.name)):
        annotations = claim.metadata.annotations
        provisioner = next((annotations[key] for key in PROVISIONER_ANNOTATIONS if key in annotations), "")
        unwanted = claim.spec.volume_name or claim.metadata.deletion_timestamp or volume_name(claim) in volumes
        if unwanted or not serves(provisioner):
            continue
        storage_class = classes.get(claim.spec.storage_class_name or "")
        if storage_class is None:
            message = f'storageclass.storage.k8s.io "{claim.spec.storage_class_name or ""}" not found'
            refusals.append(StorageFailure(claim, "ProvisioningFailed", message))
            continue
        node = annotations.get(SELECTED_NODE, "")
        if storage_class.volume_binding_mode == "WaitForFirstConsumer" and not node:
            continue
        if impossible := _impossible(claim):
            refusals.append(StorageFailure(claim, "ProvisioningFailed", _failed(storage_class, impossible)))
            continue
        tasks.append(ProvisionTask(claim, storage_class, _request(claim, storage_class, node)))
    return tasks, refusals


def provisioned_volume(task: ProvisionTask, made: Volume, driver_name: str) -> PersistentVolume:
    """The PersistentVolume for what the driver has made, bound to the claim in advance as external-provisioner does."""
    claim, storage_class = task.claim, task.storage_class
    terms = tuple(
        NodeSelectorRequirement(key=label, operator="In", values=(made.topology[label],))
        for label in sorted(made.topology)
    )
    affinity = VolumeNodeAffinity(
        required=NodeSelector(node_selector_terms=(NodeSelectorTerm(match_expressions=terms),))
    )
    return PersistentVolume(
        metadata=ObjectMeta(
            name=volume_name(claim), annotations={PROVISIONED_BY_ANNOTATION: storage_class.provisioner}
        ),
        spec=PersistentVolumeSpec(
            access_modes=claim.spec.access_modes,
            capacity={"storage": format_binary(made.capacity_bytes)},
            claim_ref=ObjectReference(
                api_version=claim.api_version,
                kind=claim.kind,
                name=claim.metadata.name,
                namespace=claim.metadata.namespace,
                resource_version=claim.metadata.resource_version,
                uid=claim.metadata.uid,
            ),
            csi=CSIPersistentVolumeSource(driver=driver_name, volume_handle=made.handle),
            mount_options=storage_class.mount_options,
            node_affinity=affinity if terms else None,
            persistent_volume_reclaim_policy=storage_class.reclaim_policy or "Delete",
            storage_class_name=storage_class.metadata.name,
            volume_mode=claim.spec.volume_mode,
        ),
    )


def to_reclaim(
    volumes: Iterable[PersistentVolume], driver_name: str, serves: Callable[[str], bool]
) -> tuple[list[ReclaimTask], list[StorageFailure]]:
    """The released volumes whose policy is Delete or Recycle, in the order of their names.

    Volumes that another provisioner made are its own business; those that nothing can delete or scrub are refused.
    """
    tasks: list[ReclaimTask] = []
    refusals: list[StorageFailure] = []
    for volume in sorted(volumes, key=lambda volume: volume.metadata.name):
        spec = volume.spec
        policy = spec.persistent_volume_reclaim_policy
        provisioner = volume.metadata.annotations.get(PROVISIONED_BY_ANNOTATION, "")
        if volume.status.phase != "Released" or (provisioner and not serves(provisioner)):
            continue
        if spec.csi is not None and spec.csi.driver == driver_name and policy in {"Delete", "Recycle"}:
            tasks.append(ReclaimTask(volume, spec.csi.volume_handle, "Delete" if policy == "Delete" else "Recycle"))
        elif policy == "Delete":
            name = volume.metadata.name
            message = f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
            refusals.append(StorageFailure(volume, "VolumeFailedDelete", message))
        elif policy == "Recycle":
            refusals.append(StorageFailure(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!"))
    return tasks, refusals


@dataclass(frozen=True, slots=True)
class ProvisionerReport:
    """What one ``sync`` did, for the caller to store.

    ``provisioned``: volumes to store; ``deleted``: volumes to remove, their data is gone; ``recycled``: volumes that
    are empty again, to be made Available by removing their claimRef. ``rescheduled``: claims that are to lose the node
    that was selected for them, so that the scheduler chooses again. ``failures`` holds every object that waits.
    """

    provisioned: tuple[PersistentVolume, ...] = ()
    deleted: tuple[PersistentVolume, ...] = ()
    recycled: tuple[PersistentVolume, ...] = ()
    rescheduled: tuple[PersistentVolumeClaim, ...] = ()
    failures: tuple[StorageFailure, ...] = ()

    @property
    def retry_at(self) -> int | None:
        """When to sync again even if nothing changes (µs), None if there is no need."""
        return min((it.retry_at for it in self.failures if it.retry_at is not None), default=None)


class Provisioner:
    """Carries out for one storage driver what the claims and volumes of the cluster ask for.

    Args:
        driver: makes and deletes volumes.
        stand_in: also serves claims that wait for any other provisioner (a cloud's, say), so that manifests written for
            other clusters run on this machine. Never "kubernetes.io/no-provisioner".
        node: only claims for which this node was selected, and volumes that only it can reach, are ours; "": all.

    What failed is tried again after 1 s, 2 s, ... 5 minutes, as external-provisioner does; on another node, too.
    """

    def __init__(self, driver: StorageDriver, *, stand_in: bool = False, node: str = "") -> None:
        self._node = node
        self._driver = driver
        self._stand_in = stand_in
        self._failures: dict[str, StorageFailure] = {}
        self._retries: Retries[str] = Retries(first=_SECOND, longest=300 * _SECOND)

    def serves(self, provisioner: str) -> bool:
        """Says whether claims that wait for this provisioner are ours."""
        if self._stand_in:
            return provisioner not in {"", NO_PROVISIONER}
        return provisioner == self._driver.name

    def sync(
        self,
        claims: Sequence[PersistentVolumeClaim],
        classes: Mapping[str, StorageClass],
        volumes: Mapping[str, PersistentVolume],
        now: int,
    ) -> ProvisionerReport:
        """Makes and reclaims volumes; ``classes`` and ``volumes`` by name, ``now`` is µs of any steady clock.

        Store the report's changes before the next call: it decides from what is stored.
        """
        here, kept = claims, [*volumes.values()]
        if self._node:
            here = [claim for claim in claims if claim.metadata.annotations.get(SELECTED_NODE) == self._node]
            kept = [volume for volume in kept if self._node in _nodes_of(volume)]
        wanted, refused_claims = to_provision(here, classes, volumes, self.serves)
        released, refused_volumes = to_reclaim(kept, self._driver.name, self.serves)
        tasks = {*map(_task_key, wanted), *map(_task_key, released)}
        self._forget(tasks, claims)
        tried = [self._provision(task, now) for task in wanted]
        reclaimed = [task for task in released if self._reclaim(task, now)]
        failed = [self._failures[key] for key in sorted(self._failures.keys() & tasks)]
        return ProvisionerReport(
            provisioned=tuple(it for it in tried if isinstance(it, PersistentVolume)),
            deleted=tuple(task.volume for task in reclaimed if task.policy == "Delete"),
            recycled=tuple(task.volume for task in reclaimed if task.policy == "Recycle"),
            rescheduled=tuple(it for it in tried if isinstance(it, PersistentVolumeClaim)),
            failures=(*refused_claims, *refused_volumes, *failed),
        )

    def _forget(self, tasks: Collection[str], claims: Iterable[PersistentVolumeClaim]) -> None:
        """Forgets the failures of what isn't wanted any more. A claim that only waits for another node still is."""
        waiting = {volume_name(claim) for claim in claims if not claim.spec.volume_name}
        for key in self._failures.keys() - tasks:
            if not self._failures[key].reschedule or key not in waiting:
                self._succeeded(key)

    def _provision(self, task: ProvisionTask, now: int) -> PersistentVolume | PersistentVolumeClaim | None:
        """Tries to make a volume. Returns it, or the claim if it needs another node, or None."""
        key = _task_key(task)
        if not self._retries.due(key, now):
            return None
        try:
            made = self._driver.create_volume(task.request)
        except StorageError as error:
            message = _failed(task.storage_class, _rpc_error(error))
            full = error.code is Code.RESOURCE_EXHAUSTED and bool(task.request.node)
            self._failed(key, StorageFailure(task.claim, "ProvisioningFailed", message, reschedule=full), now)
            return task.claim if full else None
        self._succeeded(key)
        return provisioned_volume(task, made, self._driver.name)

    def _reclaim(self, task: ReclaimTask, now: int) -> bool:
        key = _task_key(task)
        if not self._retries.due(key, now):
            return False
        reclaim = self._driver.delete_volume if task.policy == "Delete" else self._driver.scrub_volume
        try:
            reclaim(task.handle)
        except StorageError as error:
            self._failed(key, StorageFailure(task.volume, f"VolumeFailed{task.policy}", _rpc_error(error)), now)
            return False
        self._succeeded(key)
        return True

    def _failed(self, key: str, failure: StorageFailure, now: int) -> None:
        self._failures[key] = replace(failure, retry_at=self._retries.failed(key, now))

    def _succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
        self._retries.forget(key)


def _nodes_of(volume: PersistentVolume) -> set[str]:
    """The nodes that alone can reach a volume, if there are such."""
    affinity = volume.spec.node_affinity
    terms = affinity.required.node_selector_terms if affinity is not None and affinity.required is not None else ()
    return {
        node for term in terms for each in term.match_expressions if each.key == HOSTNAME for node in each.values or ()
    }


def _task_key(task: ProvisionTask | ReclaimTask) -> str:
    return task.request.name if isinstance(task, ProvisionTask) else f"{task.policy} {task.volume.metadata.name}"


def _impossible(claim: PersistentVolumeClaim) -> str:
    """What a claim asks for that no volume of a directory-like driver can be."""
    if claim.spec.selector is not None:
        return "claim Selector is not supported"
    if claim.spec.data_source is not None or claim.spec.data_source_ref is not None:
        return "claim data source is not supported"
    if claim.spec.volume_mode == "Block":
        return "raw block volumes are not supported"
    return ""


def _request(claim: PersistentVolumeClaim, storage_class: StorageClass, node: str) -> VolumeRequest:
    """Parameters with the prefix csi.storage.k8s.io/ are for the provisioner itself and don't reach the driver."""
    resources = claim.spec.resources
    size = value(resources.requests.get("storage", 0)) if resources is not None else 0
    parameters = {
        key: text for key, text in storage_class.parameters.items() if not key.startswith("csi.storage.k8s.io/")
    }
    return VolumeRequest(volume_name(claim), size, claim.spec.access_modes, parameters, node)


def _failed(storage_class: StorageClass, why: str) -> str:
    return f'failed to provision volume with StorageClass "{storage_class.metadata.name}": {why}'


def _rpc_error(error: StorageError) -> str:
    return f"rpc error: code = {error.code.value} desc = {error.args[0]}"
