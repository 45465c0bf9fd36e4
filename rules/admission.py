"""What a cluster's default admission plug-ins add to a new object, beyond the static defaults of its type, and what
they don't let in. ``rules.plugins`` has them in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from rules.limits import limit_pod, limit_problem
from rules.quota_usage import plural_of
from rules.taints import NOT_READY, UNREACHABLE
from state import quantity
from state.errors import StateError
from state.identity import is_generated
from state.kept import Remembered
from state.objects import (
    AnyObject,
    LimitRange,
    Namespace,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PriorityClass,
    StorageClass,
    Toleration,
    kind_key,
    replace,
)
from state.qos import qos_class

ObjectT = TypeVar("ObjectT", bound=AnyObject)

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_CLASS_BETA = "storageclass.beta.kubernetes.io/is-default-class"
#: How long a pod stays on a node that is lost (DefaultTolerationSeconds).
_TOLERATION_SECONDS = 300
_NODE_TROUBLE = (NOT_READY, UNREACHABLE)

#: Kinds whose objects decide on what is let in.
ADMITTING = frozenset({"LimitRange", "Namespace", "PriorityClass", "ResourceQuota", "ServiceAccount"})
_NO_RESIZE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)
_PREEMPTS = "PreemptLowerPriority"
#: Finalizers by which what is in use isn't removed.
PROTECTION = {
    PersistentVolume.kind: "kubernetes.io/pv-protection",
    PersistentVolumeClaim.kind: "kubernetes.io/pvc-protection",
}
#: Namespaces that can't be deleted.
_IMMORTAL = frozenset({"default", "kube-public", "kube-system"})
#: The classes that every cluster has.
SYSTEM_CLASSES = {
    name: PriorityClass(metadata=ObjectMeta(name=name), value=value)
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000))
}


class ForbiddenError(StateError):
    """An object that isn't let in. ``why`` doesn't name it, ``name`` is what it is called, and ``subject`` what is said
    about any object of its kind that has no name yet. ``causes`` are those of the API's answer; ``quietly`` says
    whether a controller is to say nothing of it.
    """

    def __init__(
        self,
        kind: str,
        meta: ObjectMeta,
        why: str,
        *,
        causes: Sequence[Mapping[str, str]] = (),
        quietly: bool = False,
    ) -> None:
        base = meta.generate_name or meta.name
        self.kind, self.name, self.why = kind, meta.name or base, why
        self.causes, self.quietly = causes, quietly
        if not is_generated(self.name, base):  # pods of a StatefulSet have a name beside the base of one
            base = self.name
        super().__init__(self.told(self.name))
        self.subject = self.told(base)

    def told(self, name: str) -> str:
        """The sentence about an object of that name."""
        return f'{plural_of(self.kind)} "{name}" is forbidden: {self.why}'


class Lookup(Protocol):
    """Where the plug-ins look things up: a workspace, or an API server's store."""

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object, or None."""

    def objects(self, expected: type[ObjectT]) -> list[ObjectT]:
        """All objects of a kind, sorted by namespace and name."""


def admit(ws: Lookup, obj: AnyObject) -> AnyObject:
    """The object as it would be stored.

    The plug-ins are LimitRanger, Priority, DefaultTolerationSeconds, DefaultStorageClass and
    StorageObjectInUseProtection; and of ServiceAccount the name, for whoever has no accounts.

    Raises:
        ForbiddenError: it names a PriorityClass that doesn't exist.
    """
    if isinstance(obj, Pod):
        return admit_pod(ws, obj)
    if isinstance(obj, PersistentVolumeClaim) and obj.spec.storage_class_name is None:
        name = default_storage_class(ws)
        if name is not None:
            obj = replace(obj, spec=replace(obj.spec, storage_class_name=name))
    finalizer = PROTECTION.get(kind_key(obj))
    if finalizer is None or finalizer in obj.metadata.finalizers:
        return obj
    return replace(obj, metadata=replace(obj.metadata, finalizers=(*obj.metadata.finalizers, finalizer)))


def admit_update(obj: AnyObject) -> AnyObject:
    """A changed object as it would be stored: a pod always has the tolerations of a lost node."""
    if not isinstance(obj, Pod):
        return obj
    missing = _missing_tolerations(obj.spec.tolerations)
    return replace(obj, spec=replace(obj.spec, tolerations=(*obj.spec.tolerations, *missing))) if missing else obj


def admit_pod(ws: Lookup, pod: Pod) -> Pod:
    """A new pod with limits, priority, tolerations, service account, and the status that the API server starts it
    with.

    Raises:
        ForbiddenError: as ``admit``.
    """
    ranges = ranges_of(ws, pod.metadata.namespace)
    if ranges:
        pod = limit_pod(pod, ranges)
    if pod.spec.priority_class_name:
        _check_class(pod, _priority_class(ws, pod.spec.priority_class_name))
    spec = admit_pod_spec(ws, pod.spec)
    status = replace(pod.status, phase=pod.status.phase or "Pending", qos_class=pod.status.qos_class or qos_class(spec))
    return replace(pod, spec=spec, status=status)


#: Specs that were admitted, by identity (each is kept, so that no other can have it), with the priority class they had
#: then: the pods of one template share theirs before and after.
_admitted = Remembered[int, tuple[PodSpec, PriorityClass | None, PodSpec]]()


def admit_pod_spec(ws: Lookup, spec: PodSpec) -> PodSpec:
    """The pod spec after admission; the very same object if nothing is to be added."""
    priority_class = _priority_class(ws, spec.priority_class_name)
    known = _admitted.get(id(spec))
    if known is not None and known[1] is priority_class:
        return known[2]
    admitted = _admit_pod_spec(spec, priority_class)
    _admitted[id(spec)] = (spec, priority_class, admitted)
    return admitted


def _admit_pod_spec(spec: PodSpec, priority_class: PriorityClass | None) -> PodSpec:
    changes: dict[str, object] = {}
    if not spec.service_account_name:
        changes["service_account_name"] = changes["service_account"] = "default"
    missing = _missing_tolerations(spec.tolerations)
    if missing:
        changes["tolerations"] = (*spec.tolerations, *missing)
    if spec.priority not in (None, _computed(priority_class)[0]):
        priority_class = None
    priority, policy = _computed(priority_class)
    if spec.priority is None:
        changes["priority"] = priority
    if priority_class is not None and not spec.priority_class_name:
        changes["priority_class_name"] = priority_class.metadata.name
    if spec.preemption_policy is None:
        changes["preemption_policy"] = policy
    return replace(spec, **changes) if changes else spec


def _computed(priority_class: PriorityClass | None) -> tuple[int, str]:
    """The priority and the preemption policy of pods of a class; of those without any."""
    if priority_class is None:
        return 0, _PREEMPTS
    return priority_class.value, priority_class.preemption_policy or _PREEMPTS


def check_priority(ws: Lookup, pod: Pod) -> None:
    """Priority: a pod may say of its priority only what its class does. A plan takes a pod at its word instead: the
    classes of the cluster that it comes from needn't be there.

    Raises:
        ForbiddenError: it says something else, or names a class that doesn't exist.
    """
    spec = pod.spec
    if spec.priority is None and spec.preemption_policy is None:
        return
    priority_class = _priority_class(ws, spec.priority_class_name)
    _check_class(pod, priority_class)
    priority, policy = _computed(priority_class)
    for what, said, right in (
        ("integer value of priority", spec.priority, priority),
        ("string value of PreemptionPolicy", spec.preemption_policy, policy),
    ):
        if said is not None and said != right:
            why = (
                f"the {what} ({said}) must not be provided in pod spec; priority admission controller computed {right} "
                "from the given PriorityClass name"
            )
            raise ForbiddenError(Pod.kind, pod.metadata, why)


def _check_class(pod: Pod, found: PriorityClass | None) -> None:
    name = pod.spec.priority_class_name
    if name and found is None:
        raise ForbiddenError(Pod.kind, pod.metadata, f"no PriorityClass with name {name} was found")


def ranges_of(ws: Lookup, namespace: str) -> list[LimitRange]:
    """The LimitRanges of a namespace, by name."""
    return [each for each in ws.objects(LimitRange) if each.metadata.namespace == namespace]


def _missing_tolerations(present: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    """The tolerations of a lost node that a pod doesn't already have, for five minutes each."""
    return tuple(
        Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=_TOLERATION_SECONDS)
        for key in _NODE_TROUBLE
        if not any(t.key in (key, None, "") and t.effect in ("NoExecute", None, "") for t in present)
    )


def _priority_class(ws: Lookup, name: str | None) -> PriorityClass | None:
    """The class named, or without a name the global default: of several the one with the lowest value."""
    if name:
        return SYSTEM_CLASSES.get(name) or ws.find(PriorityClass, "", name)
    defaults = [item for item in ws.objects(PriorityClass) if item.global_default]
    return min(defaults, key=lambda item: item.value, default=None)


def default_storage_class(ws: Lookup) -> str | None:
    """The class of claims that name none: of several marked as default the newest, then the first by name."""
    marked = [
        item
        for item in ws.objects(StorageClass)
        if "true" in (item.metadata.annotations.get(_DEFAULT_CLASS), item.metadata.annotations.get(_DEFAULT_CLASS_BETA))
    ]
    newest = max((item.metadata.creation_timestamp or "" for item in marked), default="")
    names = [item.metadata.name for item in marked if (item.metadata.creation_timestamp or "") == newest]
    return min(names, default=None)


# -- what isn't let in -------------------------------------------------------------------------------------------------


def terminating(namespace: Namespace) -> str:
    """NamespaceLifecycle: why nothing new comes into a namespace that is about to go; "" for others."""
    if namespace.metadata.deletion_timestamp is None and namespace.status.phase != "Terminating":
        return ""
    return f"unable to create new content in namespace {namespace.metadata.name} because it is being terminated"


def creation_problem(ws: Lookup, obj: AnyObject) -> str | None:
    """What LimitRanger and Priority have against a new object."""
    if isinstance(obj, Pod | PersistentVolumeClaim):
        ranges = ranges_of(ws, obj.metadata.namespace)
        return limit_problem(obj, ranges) if ranges else None
    return _second_default(ws, obj)


def change_problem(ws: Lookup, new: AnyObject, old: AnyObject) -> str | None:
    """What PersistentVolumeClaimResize, LimitRanger and Priority have against a change."""
    if isinstance(new, PersistentVolumeClaim) and isinstance(old, PersistentVolumeClaim):
        problem = _resize_problem(ws, new, old)
        return problem if problem or new.metadata.deletion_timestamp is not None else creation_problem(ws, new)
    return _second_default(ws, new)


def deletion_problem(obj: AnyObject) -> str | None:
    """What NamespaceLifecycle has against a deletion: some namespaces stay."""
    is_immortal = isinstance(obj, Namespace) and obj.metadata.name in _IMMORTAL
    return "this namespace may not be deleted" if is_immortal else None


def _second_default(ws: Lookup, obj: AnyObject) -> str | None:
    """Of the classes one at most is for pods that name none."""
    if isinstance(obj, PriorityClass) and obj.global_default:
        for other in ws.objects(PriorityClass):
            if other.global_default and other.metadata.name != obj.metadata.name:
                name = other.metadata.name
                return f"PriorityClass {name} is already marked as default. Only one default can exist"
    return None


def _resize_problem(ws: Lookup, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> str | None:
    """Only what a class allows to grow may be asked to grow."""
    wanted, had = _size(new), _size(old)
    if wanted is None or had is None or quantity.compare(wanted, had) <= 0:
        return None
    if old.status.phase != "Bound":
        return "Only bound persistent volume claims can be expanded"
    found = ws.find(StorageClass, "", old.spec.storage_class_name or "")
    if found is not None and found.allow_volume_expansion:
        return None
    return _NO_RESIZE


def _size(claim: PersistentVolumeClaim) -> quantity.QuantityLike | None:
    resources = claim.spec.resources
    return None if resources is None else resources.requests.get("storage")
