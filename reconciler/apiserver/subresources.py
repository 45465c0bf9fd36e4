"""The parts of objects that have a path of their own and aren't a status: scale, binding, eviction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from reconciler.apiserver.addressed import check_named, other_uid
from reconciler.apiserver.answers import Answer
from reconciler.apiserver.built_in import BuiltInKind
from reconciler.apiserver.decode import Decoded, part
from reconciler.apiserver.deletion import Deleter
from reconciler.apiserver.log_options import LogSource
from reconciler.apiserver.options import DeleteOptions, WriteOptions, parse_put_revision
from reconciler.apiserver.patching import (
    APPLY,
    CUSTOM_PATCHES,
    MERGE_PATCH,
    STRATEGIC,
    check_applied,
    patched,
    read_patch,
    repeated_in,
)
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import (
    ApiError,
    bad_request,
    conflict,
    internal,
    invalid,
    modified,
    not_found,
    success,
    too_many_requests,
    unsupported_media_type,
)
from reconciler.apiserver.storage import Storage, Stored
from reconciler.apiserver.writer import Writer
from rules import scale
from rules.scale import ScalePaths
from state import selectors
from state.errors import invalid as invalid_value
from state.errors import required
from state.objects import (
    AnyObject,
    CustomObject,
    Namespace,
    ObjectMeta,
    Opaque,
    Pod,
    PodCondition,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    replace,
)
from state.times import format_time

#: What a scale is shown as; it has no place of its own.
SCALE = Resource("autoscaling", "v1", "scales", "Scale", namespaced=True, custom=BuiltInKind("autoscaling.v1.Scale"))
_FINISHED = ("Succeeded", "Failed")
#: Evictions that a budget remembers at once (``disruptedPods``).
_MAX_DISRUPTED = 2000


def scale_of(obj: AnyObject, paths: ScalePaths | None = None, *, is_written: bool = False) -> dict[str, Any]:
    """The autoscaling/v1 Scale of an object; a custom resource has it at the ``paths``, or gets it if it is written.

    Raises:
        ApiError: it isn't there.
    """
    if is_written and paths is not None and isinstance(obj, CustomObject) and not scale.has_scale(obj, paths):
        obj = scale.scaled(obj, 0, paths)
    try:
        wanted, actual, text = scale.scale_of(obj, paths)
    except scale.NoScaleError as error:
        raise ApiError(500, "InternalError", f"Internal error occurred: {error}", _cause(error)) from error
    meta = obj.metadata
    identity = {
        "name": meta.name,
        "namespace": meta.namespace,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
        "creationTimestamp": meta.creation_timestamp,
    }
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: value for name, value in identity.items() if value},
        "spec": {"replicas": wanted} if wanted else {},
        "status": {"replicas": actual, **({"selector": text} if text else {})},
    }


def _cause(error: Exception) -> dict[str, Any]:
    return {"causes": [{"message": str(error)}]}


class Subresources:
    """Carries out requests to subresources."""

    def __init__(self, storage: Storage, writer: Writer, deleter: Deleter, clock: Callable[[], int]) -> None:
        self._storage, self._writer, self._deleter, self._clock = storage, writer, deleter, clock
        #: Opens what a container wrote; None where no node keeps that.
        self.logs: LogSource | None = None

    # -- scale ---------------------------------------------------------------------------------------------------------

    def get_scale(self, place: Place) -> dict[str, Any]:
        """The scale of an object.

        Raises:
            ApiError: there is no such object.
        """
        return scale_of(self._live(place).object, _paths(place))

    def _live(self, place: Place) -> Stored:
        live = self._storage.get(place.resource, place.namespace, place.name)
        if live is None:
            raise not_found(*place.about)
        return live

    def put_scale(self, place: Place, body: bytes, content_type: str, options: WriteOptions) -> Answer:
        """Scales an object.

        Raises:
            ApiError: it can't be scaled so.
        """
        decoded = self._writer.decoder.body(body, SCALE, content_type, options.validation)
        meta = decoded.object.metadata
        return self._scale(place, decoded, options, meta.uid, meta.resource_version)

    def patch_scale(self, place: Place, body: bytes, content_type: str, options: WriteOptions) -> Answer:
        """Scales an object by a patch of its Scale.

        Raises:
            ApiError: it can't be scaled so.
        """
        if content_type == STRATEGIC and place.resource.is_custom:
            raise unsupported_media_type(CUSTOM_PATCHES)
        options = options.as_apply() if content_type == APPLY else options.as_patch()
        own = Place(SCALE, place.namespace, place.name)
        patch = read_patch(body, content_type)
        if content_type == APPLY:
            check_applied(own, patch)
        live = scale_of(self._live(place).object, _paths(place), is_written=True)
        repeated = repeated_in(body, patch, content_type)
        how = MERGE_PATCH if content_type == APPLY else content_type
        decoded = patched(own, live, patch, how, options.validation, repeated=repeated)
        said = (patch.get("metadata") or {}) if isinstance(patch, dict) else {}
        return self._scale(place, decoded, options, None, said.get("resourceVersion"))

    def _scale(
        self, place: Place, decoded: Decoded, options: WriteOptions, uid: str | None, version: str | None
    ) -> Answer:
        """Scales an object: the one that has the uid, and is at the version, as far as these are given."""
        sent = decoded.object
        assert isinstance(sent, CustomObject)
        meta, replicas = sent.metadata, sent.body.value.get("spec", {}).get("replicas", 0)
        check_named(place, meta.name, meta.namespace, is_complete=True)
        if replicas < 0:
            raise _negative(place, replicas)
        revision = parse_put_revision(version)

        def edit(obj: AnyObject) -> AnyObject:
            if uid and uid != obj.metadata.uid:
                raise other_uid(place, uid, obj)
            if revision is not None and str(revision) != obj.metadata.resource_version:
                raise modified(*place.about)
            new = scale.scaled(obj, replicas, _paths(place))
            before = scale_of(obj, _paths(place), is_written=True)
            self._ask("UPDATE", place, options, scale_of(new, _paths(place)), before)
            return new

        written = scale_of(self._writer.change(place, edit, options).stored.object, _paths(place))
        return Answer(200, orjson.dumps(written), decoded.warnings, SCALE)

    def _ask(self, operation: str, place: Place, options: WriteOptions, *documents: dict[str, Any]) -> None:
        """Policies' and webhooks' say about a part of an object: what is sent, and what there was.

        Raises:
            ApiError: one refuses.
        """
        attempt = self._writer.configured.attempt(operation, place, options)
        if attempt is not None:
            new, *old = (_part_of(place, each) for each in documents)
            attempt.check(new, old[0] if old else None)

    # -- binding -------------------------------------------------------------------------------------------------------

    def bind(self, place: Place, body: Any, options: WriteOptions) -> dict[str, Any]:
        """Assigns a pod to a node, as schedulers do.

        Raises:
            ApiError: it can't be assigned.
        """
        name = place.name
        meta, target = part(body, "metadata", "Binding"), part(body, "target", "Binding")
        if meta.get("name") not in (None, "", name):
            raise bad_request("name in URL does not match name in Binding object")
        if target.get("kind") not in (None, "", "Node"):
            problem = invalid_value("target.kind", target["kind"], 'must be empty or "Node"')
            raise invalid("Binding", "", name, [problem])
        node = str(target.get("name") or "")
        now = self._clock()

        def edit(obj: AnyObject) -> AnyObject:
            assert isinstance(obj, Pod)
            why = ""
            if meta.get("uid") and meta["uid"] != obj.metadata.uid:
                why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {obj.metadata.uid}"
            elif obj.metadata.deletion_timestamp is not None:
                why = f"pod {name} is being deleted, cannot be assigned to a host"
            elif obj.spec.node_name:
                why = f'pod {name} is already assigned to node "{obj.spec.node_name}"'
            elif obj.spec.scheduling_gates:
                why = f"pod {name} has non-empty .spec.schedulingGates"
            if why:
                raise conflict("pods/binding", "", name, why)
            return bound(obj, node, format_time(now))

        if not node:
            raise invalid("Binding", "", name, [required("target.name")])
        self._ask("CREATE", place, options, {**body, "apiVersion": "v1", "kind": "Binding"})
        self._writer.change(place, edit, options)
        return success(code=201)

    # -- namespaces and logs -------------------------------------------------------------------------------------------

    def finalize(self, place: Place, body: bytes, content_type: str, options: WriteOptions) -> Answer:
        """Changes a namespace's own finalizers; without any, one that is being deleted is gone.

        Raises:
            ApiError: there is no such namespace.
        """
        sent = self._writer.decoder.body(body, place.resource, content_type, options.validation).object
        assert isinstance(sent, Namespace)

        def edit(obj: AnyObject) -> AnyObject:
            assert isinstance(obj, Namespace)
            return replace(obj, spec=sent.spec)

        written = self._writer.change(place, edit, options)
        return Answer(200, written.stored.json, resource=place.resource, stored=written.stored)

    # -- eviction ------------------------------------------------------------------------------------------------------

    def evict(self, place: Place, body: Any, options: WriteOptions) -> dict[str, Any]:
        """Deletes a pod unless a PodDisruptionBudget is against it.

        Raises:
            ApiError: it is, or there is no such pod.
        """
        if part(body, "metadata", "Eviction").get("name") not in (None, "", place.name):
            raise bad_request("name in URL does not match name in Eviction object")
        pod = self._live(place).object
        assert isinstance(pod, Pod)
        self._ask("CREATE", place, options, {**body, "apiVersion": "policy/v1", "kind": "Eviction"})
        deletion = DeleteOptions.read({}, part(body, "deleteOptions", "Eviction"), options.user)
        if options.dry_run and not deletion.dry_run:
            deletion = DeleteOptions.read({"dryRun": ("All",)}, None, options.user)
        if pod.status.phase not in (*_FINISHED, "Pending", None) and pod.metadata.deletion_timestamp is None:
            self._ask_budgets(pod, options)
        self._deleter.delete(place, deletion)
        return success(code=201)

    def _ask_budgets(self, pod: Pod, options: WriteOptions) -> None:
        resource = self._storage.registry.of_table("PodDisruptionBudget")
        assert resource is not None
        budgets = [
            stored.object
            for stored in self._storage.all(resource, pod.metadata.namespace)
            if isinstance(stored.object, PodDisruptionBudget)
            and selectors.matches(stored.object.spec.selector, pod.metadata.labels)
        ]
        if len(budgets) > 1:
            raise internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        for budget in budgets:
            if not _is_ready(pod) and _may_evict_unready(budget):
                continue
            self._take_from(resource, budget, pod, options)

    def _take_from(self, resource: Resource, budget: PodDisruptionBudget, pod: Pod, options: WriteOptions) -> None:
        name = budget.metadata.name

        def edit(obj: AnyObject) -> AnyObject:
            assert isinstance(obj, PodDisruptionBudget)
            status = obj.status
            if (status.observed_generation or 0) < (obj.metadata.generation or 0):
                causes = [
                    {
                        "reason": "DisruptionBudget",
                        "message": f"The disruption budget {name} is still being processed by the server.",
                    }
                ]
                raise _no_eviction({"retryAfterSeconds": 10, "causes": causes})
            if status.disruptions_allowed <= 0:
                message = (
                    f"The disruption budget {name} needs {status.desired_healthy} healthy pods and has "
                    f"{_healthy(status)} currently"
                )
                raise _no_eviction({"causes": [{"reason": "DisruptionBudget", "message": message}]})
            if len(status.disrupted_pods) > _MAX_DISRUPTED:
                raise too_many_requests(
                    "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
                )
            evicted = {**status.disrupted_pods, pod.metadata.name: format_time(self._clock())}
            return replace(
                obj,
                status=replace(status, disruptions_allowed=status.disruptions_allowed - 1, disrupted_pods=evicted),
            )

        self._writer.change(Place(resource, budget.metadata.namespace, name), edit, options)


def _healthy(status: PodDisruptionBudgetStatus) -> int:
    """How many healthy pods there are, also if the controller has yet to count those just evicted out: until then more
    are counted than are needed, though none may go.
    """
    return min(status.current_healthy, status.desired_healthy) if status.disrupted_pods else status.current_healthy


def _part_of(place: Place, document: dict[str, Any]) -> CustomObject:
    """What is sent to a part of an object, under the object's name."""
    body = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
    meta = ObjectMeta(namespace=place.namespace, name=place.name)
    return CustomObject(api_version=document["apiVersion"], kind=document["kind"], metadata=meta, body=Opaque(body))


def bound(pod: Pod, node: str, at: str) -> Pod:
    """A pod on a node."""
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=at)
    others = tuple(each for each in pod.status.conditions if each.type != "PodScheduled")
    status = replace(pod.status, conditions=(*others, scheduled))
    return replace(pod, spec=replace(pod.spec, node_name=node), status=status)


def _negative(place: Place, replicas: int) -> ApiError:
    paths = _paths(place)
    if paths is None:
        problem = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        return invalid("Scale", "autoscaling", place.name, [problem])
    problem = invalid_value(paths.wanted, replicas, "should be a non-negative integer")
    return invalid(place.resource.kind, place.resource.group, place.name, [problem])


def _paths(place: Place) -> ScalePaths | None:
    """Where a custom resource has its scale."""
    return place.resource.subresources["scale"].paths


def _is_ready(pod: Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def _may_evict_unready(budget: PodDisruptionBudget) -> bool:
    """Whether a pod that isn't ready may go: always, or while enough others are."""
    if budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow":
        return True
    status = budget.status
    return status.current_healthy >= status.desired_healthy > 0


def _no_eviction(details: dict[str, Any]) -> ApiError:
    return too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", details)
