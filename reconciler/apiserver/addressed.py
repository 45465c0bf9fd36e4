"""Which object a request means: what it says of name, namespace, uid and version has to agree with where it goes."""

from __future__ import annotations

from reconciler.apiserver.options import parse_put_revision
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError, bad_request, conflict, invalid, modified
from reconciler.apiserver.storage import Stored
from state.errors import invalid as invalid_value
from state.objects import AnyObject, ObjectMeta, replace

#: The first part of keys that isn't the name of the resource.
_KUBERNETES_PREFIXES = {
    "endpoints": "services/endpoints",
    "ingresses": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "services": "services/specs",
}
_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


def placed(place: Place, obj: AnyObject) -> AnyObject:
    """The object in the namespace of its path."""
    given = obj.metadata.namespace
    if place.resource.namespaced and given not in ("", place.namespace):
        raise bad_request(_OTHER_NAMESPACE)
    namespace = place.namespace if place.resource.namespaced else ""
    return obj if given == namespace else replace(obj, metadata=replace(obj.metadata, namespace=namespace))


def named(place: Place, obj: AnyObject, *, is_complete: bool = False) -> AnyObject:
    """The object under the name of its path. A complete one has it itself.

    Raises:
        ApiError: it has another one, or none.
    """
    meta = obj.metadata
    check_named(place, meta.name, meta.namespace, is_complete=is_complete)
    namespace = place.namespace if place.resource.namespaced else ""
    return replace(obj, metadata=replace(meta, name=place.name, namespace=namespace))


def check_named(place: Place, name: str, namespace: str, *, is_complete: bool) -> None:
    """The name and the namespace of an object are those of its path.

    Raises:
        ApiError: they aren't.
    """
    if is_complete and not name:
        why = "name must be provided"
        raise bad_request(f"the name of the object ({place.name} based on URL) was undeterminable: {why}")
    if name and name != place.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({place.name})")
    if namespace and place.resource.namespaced and namespace != place.namespace:
        raise bad_request(_OTHER_NAMESPACE)


def other_uid(place: Place, uid: str, live: AnyObject) -> ApiError:
    """The request is about an object that isn't there any more, or never was."""
    return conflict(
        *place.about,
        f"StorageError: invalid object, Code: 4, Key: {_kubernetes_key(place)}, "
        f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in "
        f"object meta: {live.metadata.uid}",
    )


def check_revision(place: Place, new: ObjectMeta, live: Stored) -> None:
    """The object is the one that the request means, at the revision that it means.

    Raises:
        ApiError: Conflict, or Invalid if the revision has to be said and isn't.
    """
    revision = parse_put_revision(new.resource_version)
    if revision is None and place.resource.needs_revision:
        problem = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid(place.resource.plural, place.resource.group, place.name, [problem])
    if revision is not None and revision != live.revision:
        raise modified(*place.about)


def _kubernetes_key(place: Place) -> str:
    """Where Kubernetes itself would have stored an object, as its messages say."""
    resource = place.resource
    prefix = _KUBERNETES_PREFIXES.get(resource.plural, resource.plural)
    if resource.is_custom:
        prefix = f"{resource.group}/{prefix}"
    return "/".join(part for part in ("/registry", prefix, place.namespace, place.name) if part)
