"""Takes desired manifests into a workspace as ``kubectl apply`` does: create what is new, merge what exists.

The manifest is kept in the annotation that kubectl uses, so that what a later manifest leaves out can be told from what
somebody else added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from reconciler import untyped
from reconciler.changes import changed_by, creation_problems, declared, definitions_in, problems_of_new, traits
from reconciler.merge import three_way_merge
from rules.admission import ForbiddenError, deletion_problem
from rules.context import Context
from rules.registry import InvalidError, prepared
from state.defaults import default
from state.dump import dump
from state.errors import InvalidObject, Problem
from state.identity import generated_name
from state.load import Refusal, from_dict
from state.objects import KINDS, AnyObject, LimitRange, Namespace, Node, ObjectMeta, kind_key, replace
from state.snapshot import Key
from state.workspace import Workspace

if TYPE_CHECKING:
    from reconciler.apiserver.resources import Resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SYSTEM_FIELDS = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
#: What others refer to comes first (the order that Helm installs in); kinds not named come last.
_ORDER = {
    kind: position
    for position, kind in enumerate(
        (
            "Namespace",
            untyped.DEFINITION,
            "PriorityClass",
            "ResourceQuota",
            "LimitRange",
            "StorageClass",
            "CSIDriver",
            "Node",
            "CSINode",
            "ServiceAccount",
            "Secret",
            "ConfigMap",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodDisruptionBudget",
            "Service",
            "Endpoints",
            "EndpointSlice",
            "DaemonSet",
            "Pod",
            "ReplicationController",
            "ReplicaSet",
            "Deployment",
            "StatefulSet",
            "Job",
            "CronJob",
        )
    )
}
#: Under whose names notes are left here.
_OWN_RULES = ("apply", "prune")
_CREATED = "{object} is desired and does not exist"
_CHANGED = "{object} is to be as its manifest says"
_NAMESPACE = "namespace {namespace} is named by {object} and does not exist"
_PRUNED = "{object} is not among the desired objects any more"


def place(obj: AnyObject, definitions: Iterable[AnyObject] = ()) -> AnyObject:
    """Completes an object's identity: namespace "default" where its kind has one and it names none; a name for
    ``generateName`` that depends on the manifest alone, so that applying it again finds the same object.
    """
    meta = obj.metadata
    namespace = place_key(Key.of(obj), definitions).namespace
    name = meta.name
    if not name and meta.generate_name:
        name = generated_name(meta.generate_name, orjson.dumps(dump(obj), option=orjson.OPT_SORT_KEYS).decode())
    if name == meta.name and namespace == meta.namespace:
        return obj
    return replace(obj, metadata=replace(meta, name=name, namespace=namespace))


def place_key(key: Key, definitions: Iterable[AnyObject] = ()) -> Key:
    """The key with the namespace in which the object is placed; the definitions are of kinds without a type."""
    kind = KINDS.get(key.kind)
    namespaced = kind.namespaced if kind is not None else untyped.is_namespaced(key.kind, definitions)
    if namespaced is None:
        return key
    return key._replace(namespace=(key.namespace or "default") if namespaced else "")


def in_order(objects: Iterable[AnyObject]) -> list[AnyObject]:
    """The objects in the order of applying: by kind as above, then by key. The order of input doesn't matter."""
    return sorted(objects, key=lambda obj: (_ORDER.get(kind_key(obj), len(_ORDER)), Key.of(obj)))


class Lookup(Protocol):
    """Where live objects are looked up: a workspace, or an API server's store."""

    def get(self, key: Key) -> AnyObject | None:
        """The object, or None."""


def prepare(
    ws: Lookup, objects: Iterable[AnyObject], definitions: Iterable[AnyObject] = ()
) -> tuple[list[AnyObject], list[Refusal]]:
    """Merges placed objects (see ``place``) with what is live, and checks them. Writes nothing.

    ``definitions`` are the CustomResourceDefinitions beside those among the objects. Returns the objects to be stored,
    in the order of applying, and the refusals with every problem.
    """
    wanted: list[AnyObject] = []
    refused = []
    known = list(definitions)
    for obj in in_order(objects):
        key = Key.of(obj)
        try:
            merged = _merged(obj, ws.get(key), untyped.resource_of(obj, known))
        except (InvalidObject, InvalidError) as error:
            refused.append(Refusal(origin=str(key), key=key, problems=error.problems))
            continue
        wanted.append(merged)
        if key.kind == untyped.DEFINITION:
            known.insert(0, merged)
    return wanted, refused


def apply(ctx: Context, wanted: Iterable[AnyObject]) -> None:
    """Stores prepared objects; one that is as it should be already is no action. Of one that admission doesn't let in a
    note says why, until something else is applied.
    """
    for subject in [each for each in ctx.refusals if each[0] in _OWN_RULES]:
        ctx.clear(*subject)
    for obj in wanted:
        key = Key.of(obj)
        ensure_namespace(ctx, obj)
        if ctx.ws.get(key) is None:
            ctx.because("apply", {"object": str(key)}, _CREATED, key)
            write = _create
        else:
            ctx.because("apply", {"object": str(key)}, _CHANGED, key)
            write = update
        try:
            write(ctx, obj)
        except ForbiddenError as refusal:
            ctx.refused(refusal)


def update(ctx: Context, obj: AnyObject) -> None:
    """Stores a changed object.

    Raises:
        ForbiddenError: admission doesn't let the change in.
    """
    live = ctx.ws.get(Key.of(obj))
    if live is not None:
        ctx.admission.check(obj, live)
    ctx.update(obj)


def _create(ctx: Context, obj: AnyObject) -> None:
    """Stores a new object that was found valid; a LimitRange may make something else of it.

    Raises:
        ForbiddenError: admission doesn't let it in, or what that has made of it isn't valid.
    """
    resource = untyped.resource_of(obj, definitions_in(ctx.ws))
    problems = problems_of_new(resource) if ctx.ws.table(LimitRange.kind) else _nothing_wrong
    ctx.create(prepared(traits(obj, resource), obj, ctx.now), problems)


def _nothing_wrong(_: AnyObject) -> tuple[Problem, ...]:
    return ()


def applied(ws: Workspace) -> set[Key]:
    """What was applied, by whichever call: what carries its manifest, as ``kubectl apply --prune`` has it."""
    return {
        Key(kind, *ns_name)
        for kind in ws.kinds
        for ns_name, obj in ws.table(kind).items()
        if LAST_APPLIED in obj.metadata.annotations
    }


def prune(ctx: Context, keys: Iterable[Key]) -> None:
    """Deletes objects that were applied before and are desired no more."""
    for key in sorted(keys):
        obj = ctx.ws.get(key)
        if obj is None:
            continue
        ctx.because("prune", {"object": str(key)}, _PRUNED, key)
        problem = deletion_problem(obj)
        if problem is None:
            ctx.delete(obj, policy="Background")
        else:
            ctx.refused(ForbiddenError(key.kind, obj.metadata, problem))


def _merged(obj: AnyObject, live: AnyObject | None, resource: Resource | None) -> AnyObject:
    """The object as it is to be stored, before admission.

    Raises:
        InvalidObject, InvalidError: it isn't valid.
    """
    manifest = _manifest(obj)
    if live is None:
        new = default(untyped.completed(from_dict(_with_last_applied(manifest, manifest)), resource))
        problems = creation_problems(new, resource)
        if problems:
            raise InvalidError(new, problems)
        return new
    last = _last_applied(live)
    before = dump(live)
    merged = three_way_merge(last, manifest, before, declared(live, resource))
    if last != manifest:
        merged = _with_last_applied(merged, manifest)
    elif merged == before:
        return live
    new = untyped.completed(from_dict(merged), resource)
    parts = {"spec", "status"} if isinstance(new, Node) else {"spec"}  # nobody else reports how a node is
    return changed_by(new, live, resource, parts)


def _manifest(obj: AnyObject) -> dict[str, Any]:
    """What the user may say: no system fields; no status but a node's (as the API server takes them)."""
    manifest = dump(obj)
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _SYSTEM_FIELDS}
    annotations = {name: text for name, text in metadata.get("annotations", {}).items() if name != LAST_APPLIED}
    manifest["metadata"] = {**metadata, "annotations": annotations}
    if kind_key(obj) in KINDS and not isinstance(obj, Node):
        manifest.pop("status", None)
    return manifest


def _last_applied(live: AnyObject) -> dict[str, Any]:
    text = live.metadata.annotations.get(LAST_APPLIED)
    if text is None:
        return {}
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return last if isinstance(last, dict) else {}


def _with_last_applied(document: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    text = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    metadata = document["metadata"]
    annotations = {**metadata.get("annotations", {}), LAST_APPLIED: text}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


def ensure_namespace(ctx: Context, obj: AnyObject) -> None:
    """Creates the namespace that an object names. A cluster would refuse the object; a plan is more use with it."""
    name = obj.metadata.namespace
    if name and ctx.ws.find(Namespace, "", name) is None:
        ctx.because("namespace", {"namespace": name, "object": str(Key.of(obj))}, _NAMESPACE)
        _create(ctx, Namespace(metadata=ObjectMeta(name=name)))
