"""Takes desired manifests into a workspace as ``kubectl apply`` does: create what is new, merge what exists.

The manifest is kept in the annotation that kubectl uses, so that what a later manifest leaves out can be told from what
somebody else added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from reconciler.limits import too_much
from reconciler.merge import merge_patched, three_way_merge
from reconciler.observed import time_problems
from rules.admission import ForbiddenError, admit, admit_update
from rules.context import Context
from rules.service_update import updated_service
from state.defaults import default
from state.dump import dump
from state.errors import StateError
from state.identity import generated_name
from state.load import Refusal, from_dict
from state.objects import KINDS, AnyObject, Namespace, Node, ObjectMeta, kind_key, replace
from state.snapshot import Key
from state.validation import validate, validate_update
from state.workspace import Workspace

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
_CREATED = "{object} is desired and does not exist"
_CHANGED = "{object} is to be as its manifest says"
_NAMESPACE = "namespace {namespace} is named by {object} and does not exist"
_PRUNED = "{object} is not among the desired objects any more"


def place(obj: AnyObject) -> AnyObject:
    """Completes an object's identity: namespace "default" where its kind has one and it names none; a name for
    ``generateName`` that depends on the manifest alone, so that applying it again finds the same object.
    """
    meta = obj.metadata
    namespace = place_key(Key.of(obj)).namespace
    name = meta.name
    if not name and meta.generate_name:
        name = generated_name(meta.generate_name, orjson.dumps(dump(obj), option=orjson.OPT_SORT_KEYS).decode())
    if name == meta.name and namespace == meta.namespace:
        return obj
    return replace(obj, metadata=replace(meta, name=name, namespace=namespace))


def place_key(key: Key) -> Key:
    """The key with the namespace in which the object is placed."""
    kind = KINDS.get(key.kind)
    if kind is None:
        return key
    return key._replace(namespace=(key.namespace or "default") if kind.namespaced else "")


def in_order(objects: Iterable[AnyObject]) -> list[AnyObject]:
    """The objects in the order of applying: by kind as above, then by key. The order of input doesn't matter."""
    return sorted(objects, key=lambda obj: (_ORDER.get(kind_key(obj), len(_ORDER)), Key.of(obj)))


class Lookup(Protocol):
    """Where live objects are looked up: a workspace, or an API server's store."""

    def get(self, key: Key) -> AnyObject | None:
        """The object, or None."""


def prepare(ws: Lookup, objects: Iterable[AnyObject]) -> tuple[list[AnyObject], list[Refusal]]:
    """Merges placed objects (see ``place``) with what is live, and checks them. Writes nothing.

    Returns the objects to be stored, in the order of applying, and the refusals with every problem.
    """
    wanted, refused = [], []
    for obj in in_order(objects):
        merged = _merged(obj, ws.get(Key.of(obj)))
        if isinstance(merged, Refusal):
            refused.append(merged)
        else:
            wanted.append(merged)
    return wanted, refused


def apply(ctx: Context, wanted: Iterable[AnyObject]) -> None:
    """Stores prepared objects; one that is as it should be already is no action. Of one that admission doesn't let in a
    note says why.
    """
    for obj in wanted:
        key = Key.of(obj)
        ensure_namespace(ctx, obj)
        if ctx.ws.get(key) is None:
            ctx.because("apply", {"object": str(key)}, _CREATED, key)
            ctx.clear("apply", key)
            try:
                ctx.create(admit(ctx.ws, obj))
            except ForbiddenError as refusal:
                ctx.refused(refusal)
        else:
            ctx.because("apply", {"object": str(key)}, _CHANGED)
            update(ctx, obj)


def update(ctx: Context, obj: AnyObject) -> None:
    """Stores a changed object; one being deleted of which the change takes the last finalizer is gone."""
    meta = ctx.update(obj).metadata
    if meta.deletion_timestamp is not None and not meta.finalizers and not meta.deletion_grace_period_seconds:
        ctx.delete(obj, 0)


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
        if obj is not None:
            ctx.because("prune", {"object": str(key)}, _PRUNED)
            ctx.delete(obj)


def _merged(obj: AnyObject, live: AnyObject | None) -> AnyObject | Refusal:
    """The object as it is to be stored, before admission."""
    key = Key.of(obj)
    manifest = _manifest(obj)
    if live is None:
        wanted = default(from_dict(_with_last_applied(manifest, manifest)))
        problems = (*validate(wanted), *too_much(wanted))
    else:
        last = _last_applied(live)
        merged = three_way_merge(last, manifest, dump(live), by_item=kind_key(live) in KINDS)
        if last != manifest:
            merged = _with_last_applied(merged, manifest)
        wanted = _updated(merged, live)
        problems = (*validate(wanted), *validate_update(wanted, live), *too_much(wanted))
    return Refusal(origin=str(key), key=key, problems=problems) if problems else wanted


def _updated(document: dict[str, Any], live: AnyObject) -> AnyObject:
    """The object that an update with this document makes of the live one, before it is checked."""
    return admit_update(default(updated_service(from_dict(document), live)))


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


def patched(ws: Workspace, key: Key, patch: dict[str, Any]) -> AnyObject | Refusal:
    """An object with a JSON merge patch (RFC 7386) applied, defaulted and checked. Writes nothing.

    Raises:
        StateError: there is no such object, or the patch changes what it is.
    """
    live = ws.get(key)
    if live is None:
        msg = f"there is no {key}"
        raise StateError(msg)
    wanted = _updated(merge_patched(dump(live), patch), live)
    if Key.of(wanted) != key or wanted.metadata.uid != live.metadata.uid:
        msg = f"{key}: a patch cannot change kind, namespace, name or uid"
        raise StateError(msg)
    problems = (*validate(wanted), *validate_update(wanted, live), *time_problems(wanted), *too_much(wanted))
    return Refusal(origin=str(key), key=key, problems=problems) if problems else wanted


def ensure_namespace(ctx: Context, obj: AnyObject) -> None:
    """Creates the namespace that an object names. A cluster would refuse the object; a plan is more use with it."""
    name = obj.metadata.namespace
    if name and ctx.ws.find(Namespace, "", name) is None:
        ctx.because("namespace", {"namespace": name, "object": str(Key.of(obj))}, _NAMESPACE)
        ctx.create(default(Namespace(metadata=ObjectMeta(name=name))))
