"""What a cluster's default admission plug-ins add to a new object, beyond the static defaults of its type, and what
they don't let in.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from rules.limits import limit_pod, limit_problem
from rules.quota_ledger import Ledger
from rules.quota_usage import asked_of, is_in_scope, plural_of, refusal, unknown, unsaid
from rules.taints import NOT_READY, UNREACHABLE
from state import quantity
from state.errors import StateError
from state.identity import is_generated
from state.objects import (
    AnyObject,
    LimitRange,
    Namespace,
    ObjectMeta,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PriorityClass,
    ResourceQuota,
    StorageClass,
    Toleration,
    kind_key,
    replace,
)
from state.qos import qos_class
from state.workspace import Workspace

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
#: Namespaces that can't be deleted.
_IMMORTAL = frozenset({"default", "kube-public", "kube-system"})
#: The classes that every cluster has.
SYSTEM_CLASSES = {
    name: PriorityClass(metadata=ObjectMeta(name=name), value=value)
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000))
}


class ForbiddenError(StateError):
    """A new object that isn't let in. ``subject`` is what is said about any object of its kind that has no name yet,
    ``quietly`` whether its controller is to say nothing of it.
    """

    def __init__(self, kind: str, meta: ObjectMeta, why: str, *, quietly: bool = False) -> None:
        base = meta.generate_name or meta.name
        name = meta.name or base
        if not is_generated(name, base):  # pods of a StatefulSet have a name beside the base of one
            base = name
        super().__init__(f'{plural_of(kind)} "{name}" is forbidden: {why}')
        self.subject = f'{plural_of(kind)} "{base}" is forbidden: {why}'
        self.quietly = quietly
        self.kind, self.name = kind, meta.name


class Lookup(Protocol):
    """Where the plug-ins look things up: a workspace, or an API server's store."""

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object, or None."""

    def objects(self, expected: type[ObjectT]) -> list[ObjectT]:
        """All objects of a kind, sorted by namespace and name."""


def admit(ws: Lookup, obj: AnyObject) -> AnyObject:
    """The object as it would be stored.

    The plug-ins are LimitRanger, Priority, ServiceAccount, DefaultTolerationSeconds and DefaultStorageClass. No token
    volume is added: no token is issued here.

    Raises:
        ForbiddenError: it names a PriorityClass that doesn't exist.
    """
    if isinstance(obj, Pod):
        return admit_pod(ws, obj)
    if isinstance(obj, PersistentVolumeClaim) and obj.spec.storage_class_name is None:
        name = default_storage_class(ws)
        if name is not None:
            return replace(obj, spec=replace(obj.spec, storage_class_name=name))
    return obj


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
        ForbiddenError: it names a PriorityClass that doesn't exist.
    """
    ranges = ranges_of(ws, pod.metadata.namespace)
    if ranges:
        pod = limit_pod(pod, ranges)
    name = pod.spec.priority_class_name
    if name and _priority_class(ws, name) is None:
        raise ForbiddenError(Pod.kind, pod.metadata, f"no PriorityClass with name {name} was found")
    spec = admit_pod_spec(ws, pod.spec)
    status = replace(pod.status, phase=pod.status.phase or "Pending", qos_class=pod.status.qos_class or qos_class(spec))
    return replace(pod, spec=spec, status=status)


#: Specs that were admitted, by identity (each is kept, so that no other can have it), with the priority class they had
#: then: the pods of one template share theirs before and after.
_admitted: dict[int, tuple[PodSpec, PriorityClass | None, PodSpec]] = {}
_REMEMBERED = 4096


def admit_pod_spec(ws: Lookup, spec: PodSpec) -> PodSpec:
    """The pod spec after admission; the very same object if nothing is to be added."""
    priority_class = _priority_class(ws, spec.priority_class_name) if spec.priority is None else None
    known = _admitted.get(id(spec))
    if known is not None and known[1] is priority_class:
        return known[2]
    admitted = _admit_pod_spec(spec, priority_class)
    if len(_admitted) >= _REMEMBERED:
        _admitted.clear()
    _admitted[id(spec)] = (spec, priority_class, admitted)
    return admitted


def _admit_pod_spec(spec: PodSpec, priority_class: PriorityClass | None) -> PodSpec:
    changes: dict[str, object] = {}
    if not spec.service_account_name:
        changes["service_account_name"] = changes["service_account"] = "default"
    tolerations = (*spec.tolerations, *_missing_tolerations(spec.tolerations))
    if len(tolerations) != len(spec.tolerations):
        changes["tolerations"] = tolerations
    if spec.priority is None:
        changes["priority"] = 0 if priority_class is None else priority_class.value
        policy = None if priority_class is None else priority_class.preemption_policy
        if spec.preemption_policy is None:
            changes["preemption_policy"] = policy or "PreemptLowerPriority"
        if priority_class is not None and not spec.priority_class_name:
            changes["priority_class_name"] = priority_class.metadata.name
    return replace(spec, **changes) if changes else spec


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


class Admission:
    """What the plug-ins that say no have against what is created in a workspace: NamespaceLifecycle, LimitRanger,
    Priority and ResourceQuota.

    ``charges`` is for a control plane beside an API server: both write what they take of a quota into its status, and
    go by what stands there. A plan has nobody beside it and goes by the objects.
    """

    def __init__(self, ws: Workspace, *, charges: bool = False) -> None:
        self._ws, self._charges = ws, charges
        self.ledger = Ledger(ws)

    def __call__(self, obj: AnyObject) -> AnyObject:
        """A new object, which has its name, as it is stored.

        Raises:
            ForbiddenError: it isn't.
        """
        namespace = self._ws.find(Namespace, "", obj.metadata.namespace)
        if namespace is not None and (why := terminating(namespace)):
            raise ForbiddenError(kind_key(obj), obj.metadata, why, quietly=True)
        obj = self._completed(obj)
        if self._ws.table(LimitRange.kind) or isinstance(obj, PriorityClass):
            problem = creation_problem(self._ws, obj)
            if problem is not None:
                raise ForbiddenError(kind_key(obj), obj.metadata, problem)
        if self._ws.table(ResourceQuota.kind):
            self._check_quotas(obj)
        return obj

    def _completed(self, obj: AnyObject) -> AnyObject:
        """The object with what is added to it where it is made. Raises ForbiddenError: it isn't made."""
        return obj

    def _check_quotas(self, obj: AnyObject) -> None:
        """Every quota has to have room; only then each is charged."""
        charged = []
        for quota in self._ws.objects(ResourceQuota):
            if quota.metadata.namespace != obj.metadata.namespace or not is_in_scope(quota, obj):
                continue
            used = quota.status.used if self._charges else self.ledger.used(quota)
            asked = asked_of(quota, self.ledger.usage(obj))
            problem = unsaid(quota, obj) or unknown(quota, asked, used) or refusal(quota, asked, used)
            if problem is not None:
                raise ForbiddenError(kind_key(obj), obj.metadata, problem)
            total = {name: quantity.add(used[name], amount) for name, amount in asked.items()}
            charged.append((quota, {**used, **total}))
        if self._charges:
            for quota, used in charged:
                self._ws.put(replace(quota, status=replace(quota.status, used=used)))
