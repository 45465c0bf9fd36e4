"""The admission plug-ins that a cluster has by default, in their order: some complete an object before it is validated,
some say no after it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reconciler.apiserver.quota import QuotaAdmission
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import forbidden, not_found
from reconciler.apiserver.storage import Storage
from rules.admission import Admission as ControllerAdmission
from rules.admission import (
    ForbiddenError,
    admit,
    admit_update,
    change_problem,
    creation_problem,
    deletion_problem,
    terminating,
)
from rules.taints import NO_SCHEDULE, NOT_READY
from state.identity import name_suffix
from state.objects import (
    AnyObject,
    ConfigMapProjection,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    Namespace,
    Node,
    Object,
    ObjectFieldSelector,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PriorityClass,
    ProjectedVolumeSource,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Taint,
    Volume,
    VolumeMount,
    VolumeProjection,
    replace,
)
from state.workspace import Workspace

ObjectT = TypeVar("ObjectT", bound=AnyObject)

_SYSTEM_CLASSES = ("system-cluster-critical", "system-node-critical")
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS = 3607
_ROOT_CA = "kube-root-ca.crt"
_NEW = Taint(key=NOT_READY, effect=NO_SCHEDULE)
_MODE = 0o644
#: Specs of pods that are remembered with their token.
_REMEMBERED = 4096


class StoredObjects:
    """What admission looks up, as it is in the store now (a ``rules.admission.Lookup``)."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object of a typed kind, or None."""
        stored = self._storage.get(self._resource(expected), namespace, name)
        obj = None if stored is None else stored.object
        assert obj is None or isinstance(obj, expected)
        return obj

    def objects(self, expected: type[ObjectT], namespace: str = "") -> list[ObjectT]:
        """All objects of a typed kind (in a namespace), sorted by namespace and name."""
        found = (stored.object for stored in self._storage.all(self._resource(expected), namespace))
        return [obj for obj in found if isinstance(obj, expected)]

    def _resource(self, expected: type[Any]) -> Resource:
        assert issubclass(expected, Object)
        resource = self._storage.registry.of_kind(expected.api_version, expected.kind)
        assert resource is not None
        return resource


class Admission:
    """All plug-ins over one store."""

    def __init__(self, storage: Storage) -> None:
        self._lookup = StoredObjects(storage)
        self._quotas = QuotaAdmission(storage)
        self._accounts = _Accounts()

    # -- before validation ---------------------------------------------------------------------------------------------

    def complete_new(self, resource: Resource, obj: AnyObject, name: str) -> AnyObject:
        """A new object as the mutating plug-ins leave it. ``name`` is what messages call it.

        Raises:
            ApiError: one of them refuses it.
        """
        name = name or obj.metadata.generate_name or ""
        self._check_namespace(resource, obj, name)
        if isinstance(obj, Pod):
            obj = self._complete_pod(obj, name)
        obj = admit(self._lookup, obj)
        complete = _COMPLETE.get(type(obj))
        return obj if complete is None else complete(obj)

    def complete_changed(self, obj: AnyObject) -> AnyObject:
        """A changed object as the mutating plug-ins leave it."""
        return admit_update(obj)

    def _check_namespace(self, resource: Resource, obj: AnyObject, name: str) -> None:
        """NamespaceLifecycle: the namespace exists and isn't about to go."""
        namespace = obj.metadata.namespace
        if not resource.namespaced:
            return
        found = self._lookup.find(Namespace, "", namespace)
        if found is None:
            raise not_found("namespaces", "", namespace)
        why = terminating(found)
        if why:
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise forbidden(resource.plural, resource.group, name, why, [cause])

    def _complete_pod(self, pod: Pod, name: str) -> Pod:
        """ServiceAccount, and the refusals of Priority."""
        pod = replace(pod, spec=self._with_account(pod, name))
        self._check_priority(pod.spec, name)
        return pod

    def _with_account(self, pod: Pod, name: str) -> PodSpec:
        spec, namespace = pod.spec, pod.metadata.namespace
        account = spec.service_account_name or "default"
        found = self._lookup.find(ServiceAccount, namespace, account)
        if found is None:
            raise forbidden("pods", "", name, _no_account(namespace, account))
        return self._accounts.completed(spec, namespace, found)

    def _check_priority(self, spec: PodSpec, name: str) -> None:
        wanted = spec.priority_class_name
        found = self._lookup.find(PriorityClass, "", wanted) if wanted else None
        if wanted and found is None and wanted not in _SYSTEM_CLASSES:
            raise forbidden("pods", "", name, f"no PriorityClass with name {wanted} was found")
        if spec.priority is None:
            return
        computed = admit(self._lookup, Pod(spec=replace(spec, priority=None)))
        assert isinstance(computed, Pod)
        if spec.priority != computed.spec.priority:
            why = (
                f"the integer value of priority ({spec.priority}) must not be provided in pod spec; priority admission "
                f"controller computed {computed.spec.priority} from the given PriorityClass name"
            )
            raise forbidden("pods", "", name, why)

    # -- after validation ----------------------------------------------------------------------------------------------

    def check_new(self, resource: Resource, obj: AnyObject, *, dry_run: bool = False) -> None:
        """The validating plug-ins' say about a new object.

        Raises:
            ApiError: one of them refuses it.
        """
        self._refuse(resource, obj.metadata.name, creation_problem(self._lookup, obj))
        self._quotas.charge(resource, obj, dry_run=dry_run)

    def check_changed(self, resource: Resource, new: AnyObject, old: AnyObject, *, dry_run: bool = False) -> None:
        """The validating plug-ins' say about a change.

        Raises:
            ApiError: one of them refuses it.
        """
        self._refuse(resource, new.metadata.name, change_problem(self._lookup, new, old))
        self._quotas.charge(resource, new, old, dry_run=dry_run)

    def check_deleted(self, resource: Resource, obj: AnyObject) -> None:
        """The validating plug-ins' say about a deletion.

        Raises:
            ApiError: one of them refuses it.
        """
        self._refuse(resource, obj.metadata.name, deletion_problem(obj))

    @staticmethod
    def _refuse(resource: Resource, name: str, why: str | None) -> None:
        if why is not None:
            raise forbidden(resource.plural, resource.group, name, why)


class PodAdmission(ControllerAdmission):
    """What admission does to what controllers make, given the state that they work on.

    Pods of one template share their spec, before and after: the volume of the token has a name that follows from it.
    """

    def __init__(self, ws: Workspace) -> None:
        super().__init__(ws, charges=True)
        self._accounts = _Accounts()

    def _completed(self, obj: AnyObject) -> AnyObject:
        """The object with a token, a finalizer or a taint."""
        if isinstance(obj, Pod):
            return replace(obj, spec=self._with_account(obj))
        complete = _COMPLETE.get(type(obj))
        return obj if complete is None else complete(obj)

    def _with_account(self, pod: Pod) -> PodSpec:
        spec, namespace = pod.spec, pod.metadata.namespace
        name = spec.service_account_name or "default"
        account = self._ws.find(ServiceAccount, namespace, name)
        if account is None:
            meta = replace(pod.metadata, name="" if pod.metadata.generate_name else pod.metadata.name)
            raise ForbiddenError(Pod.kind, meta, _no_account(namespace, name))
        return self._accounts.completed(spec, namespace, account)


def _no_account(namespace: str, account: str) -> str:
    return f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'


class _Accounts:
    """Completes pods by their accounts. Pods that share a spec share the completed one."""

    def __init__(self) -> None:
        #: By the identity of a spec (which is kept, so that no other can have it), with the account that it was for.
        self._known: dict[tuple[int, str], tuple[PodSpec, ServiceAccount, PodSpec]] = {}

    def completed(self, spec: PodSpec, namespace: str, account: ServiceAccount) -> PodSpec:
        """The spec with what the account gives it."""
        known = self._known.get((id(spec), namespace))
        if known is not None and known[1] is account:
            return known[2]
        name = account.metadata.name
        named = replace(spec, service_account_name=name, service_account=name)
        completed = with_account(named, account, f"kube-api-access-{name_suffix(f'{namespace}/{spec!r}')}")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[id(spec), namespace] = (spec, account, completed)
        return completed


def with_account(spec: PodSpec, account: ServiceAccount, volume: str) -> PodSpec:
    """The pod with what its account gives it: secrets for images, and a token unless one of both doesn't want it."""
    if account.image_pull_secrets and not spec.image_pull_secrets:
        spec = replace(spec, image_pull_secrets=account.image_pull_secrets)
    wanted = spec.automount_service_account_token
    if wanted is None:
        wanted = account.automount_service_account_token
    return spec if wanted is False else with_token(spec, volume)


def with_token(spec: PodSpec, volume: str) -> PodSpec:
    """The pod with a volume of that name that holds its token, mounted wherever nothing else is at its place."""
    mount = VolumeMount(name=volume, read_only=True, mount_path=_TOKEN_PATH)
    changed = False
    lists: dict[str, Any] = {}
    for field in ("init_containers", "containers"):
        containers = []
        for container in getattr(spec, field):
            if any(each.mount_path == _TOKEN_PATH for each in container.volume_mounts):
                containers.append(container)
            else:
                changed = True
                containers.append(replace(container, volume_mounts=(*container.volume_mounts, mount)))
        lists[field] = tuple(containers)
    return replace(spec, **lists, volumes=(*spec.volumes, _token_volume(volume))) if changed else spec


def _token_volume(name: str) -> Volume:
    sources = (
        VolumeProjection(
            service_account_token=ServiceAccountTokenProjection(expiration_seconds=_TOKEN_SECONDS, path="token")
        ),
        VolumeProjection(
            config_map=ConfigMapProjection(name=_ROOT_CA, items=(KeyToPath(key="ca.crt", path="ca.crt"),))
        ),
        VolumeProjection(
            downward_api=DownwardAPIProjection(
                items=(
                    DownwardAPIVolumeFile(
                        path="namespace",
                        field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace"),
                    ),
                )
            )
        ),
    )
    return Volume(name=name, projected=ProjectedVolumeSource(sources=sources, default_mode=_MODE))


def _with_finalizer(finalizer: str) -> Callable[[Any], AnyObject]:
    """StorageObjectInUseProtection."""

    def complete(obj: AnyObject) -> AnyObject:
        finalizers = obj.metadata.finalizers
        if finalizer in finalizers:
            return obj
        return replace(obj, metadata=replace(obj.metadata, finalizers=(*finalizers, finalizer)))

    return complete


def _taint(node: Node) -> Node:
    """TaintNodesByCondition: nothing is placed on a node before it was found ready."""
    if any((taint.key, taint.effect) == (_NEW.key, _NEW.effect) for taint in node.spec.taints):
        return node
    return replace(node, spec=replace(node.spec, taints=(*node.spec.taints, _NEW)))


_COMPLETE: dict[type, Callable[[Any], AnyObject]] = {
    Node: _taint,
    PersistentVolume: _with_finalizer("kubernetes.io/pv-protection"),
    PersistentVolumeClaim: _with_finalizer("kubernetes.io/pvc-protection"),
}
