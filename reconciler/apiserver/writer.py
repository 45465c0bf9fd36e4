"""How an object gets into the store: create and update, step by step as kube-apiserver's generic registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from reconciler.apiserver import chance, pod_parts, strategy, wire
from reconciler.apiserver.admission import Admission
from reconciler.apiserver.allocation import ServiceAllocator
from reconciler.apiserver.decode import Decoded, Decoder
from reconciler.apiserver.options import WriteOptions, parse_put_revision
from reconciler.apiserver.rbac import User
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    internal,
    invalid,
    modified,
    not_found,
)
from reconciler.apiserver.storage import Storage, Stored
from rules.strategies import on_create
from state.defaults import default
from state.identity import generated_name
from state.objects import AnyObject, Namespace, ObjectMeta, Service, replace
from state.store.records import Fence
from state.times import format_time
from state.validation import validate, validate_update

#: Attempts to store a change that others get in before.
ATTEMPTS = 10
#: Attempts to find a generated name that nobody has.
_NAMES = 8
#: Kinds of which a PUT makes an object that isn't there.
_CREATED_BY_PUT = frozenset(
    [
        "ClusterRole",
        "ClusterRoleBinding",
        "Endpoints",
        "Event",
        "Lease",
        "LimitRange",
        "Role",
        "RoleBinding",
        "Service",
    ]
)


class Written(NamedTuple):
    """What became of a write; ``is_new`` if it made the object."""

    stored: Stored
    warnings: tuple[str, ...] = ()
    is_new: bool = False


class FieldManagement(Protocol):
    """Who owns which field (``metadata.managedFields``), and server-side apply. Pure: time is an argument."""

    def updated(  # noqa: PLR0917 - what a record of a change consists of
        self, resource: Resource, live: AnyObject | None, new: AnyObject, manager: str, subresource: str, now: int
    ) -> AnyObject:
        """The object about to be stored, with what the change says about ownership."""

    def applied(
        self, resource: Resource, live: AnyObject | None, manifest: Mapping[str, Any], options: WriteOptions, now: int
    ) -> dict[str, Any]:
        """The live object (as ``wire.document``) with a manifest applied, managedFields included.

        Raises:
            ApiError: fields belong to others, or aren't in the schema.
        """


class Guard(Protocol):
    """Refuses changes because of who makes them."""

    def check(self, place: Place, new: AnyObject, old: AnyObject | None, user: User | None) -> None:
        """Lets a change pass.

        Raises:
            ApiError: the user may not make it.
        """

    def check_creation(self, place: Place, user: User | None) -> None:
        """Lets an update make an object.

        Raises:
            ApiError: the user may not.
        """


@dataclass(frozen=True, slots=True)
class Sent:
    """An object that is to be written, as it was sent."""

    object: AnyObject
    options: WriteOptions
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, decoded: Decoded, options: WriteOptions) -> Sent:
        """A decoded object."""
        return cls(decoded.object, options, decoded.warnings)


class Writer:
    """Writes objects of any resource."""

    def __init__(
        self,
        storage: Storage,
        admission: Admission,
        allocator: ServiceAllocator,
        clock: Callable[[], int],
        fields: FieldManagement | None = None,
    ) -> None:
        self.storage, self.clock, self.fields = storage, clock, fields
        self._admission, self._allocator = admission, allocator
        self.decoder = Decoder(storage.registry)
        self.guard: Guard | None = None

    # -- create --------------------------------------------------------------------------------------------------------

    def create(self, place: Place, sent: Sent) -> Written:
        """Stores a new object.

        Raises:
            ApiError: it is refused.
        """
        obj = _placed(place, sent.object)
        if self.guard is not None:
            self.guard.check(place, obj, None, sent.options.user)
        for attempt in range(_NAMES):
            try:
                return self._create(place.resource, obj, sent)
            except ApiError as error:
                is_generated = obj.metadata.generate_name and not obj.metadata.name
                if error.reason != "AlreadyExists" or not is_generated or attempt == _NAMES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def create_by_update(self, place: Place, sent: Sent) -> Written:
        """Stores a new object as an update or an applied manifest brings it: that takes the right to create, too.

        Raises:
            ApiError: it is refused.
        """
        if self.guard is not None:
            self.guard.check_creation(place, sent.options.user)
        return self.create(place, sent)

    def _create(self, resource: Resource, placed: AnyObject, sent: Sent) -> Written:
        now = self.clock()
        obj = default(strategy.prepare_create(resource, placed, now))
        obj = self._admission.complete_new(resource, obj, placed.metadata.name)
        obj = on_create(replace(obj, metadata=_new_meta(resource, obj.metadata, now)))
        if isinstance(obj, Namespace):  # its label is its name, which may have been generated
            obj = strategy.prepare_create(resource, obj, now)
        problems = (*validate(obj), *resource.problems(obj))
        if problems:
            raise invalid(resource.kind, resource.group, obj.metadata.name, problems)
        if placed.metadata.resource_version:
            raise internal("resourceVersion should not be set on objects to be created")
        self._admission.check_new(resource, obj, dry_run=sent.options.dry_run)

        def store(complete: AnyObject, fence: Fence | None) -> Written:
            new = self._tracked(resource, None, complete, sent, "")
            if sent.options.dry_run:
                return Written(self._unstored(resource, new), sent.warnings, is_new=True)
            return Written(self.storage.create(resource, new, fence), sent.warnings, is_new=True)

        return self._allocated(obj, now, store)

    def _unstored(self, resource: Resource, obj: AnyObject) -> Stored:
        """What a dry run shows."""
        meta = obj.metadata
        if self.storage.entry(resource, meta.namespace, meta.name) is not None:
            raise already_exists(resource.plural, resource.group, meta.name)
        return _DryRun(obj, wire.encode(obj), 0)

    def _allocated(self, obj: AnyObject, now: int, store: Callable[[AnyObject, Fence | None], Written]) -> Written:
        if isinstance(obj, Service):
            return self._allocator.complete(obj, now, store)
        return store(obj, None)

    def _tracked(
        self, resource: Resource, live: AnyObject | None, new: AnyObject, sent: Sent, subresource: str
    ) -> AnyObject:
        """The object with the record of who owns what; one that was applied has it."""
        if self.fields is None or sent.options.is_apply:
            return new
        return self.fields.updated(resource, live, new, sent.options.manager, subresource, self.clock())

    # -- update --------------------------------------------------------------------------------------------------------

    def update(self, place: Place, sent: Sent) -> Written:
        """Replaces an object, or a part of it that has a path of its own.

        Raises:
            ApiError: it is refused.
        """
        new = named(place, sent.object)
        revision = parse_put_revision(new.metadata.resource_version)
        for attempt in range(ATTEMPTS):
            live = self.storage.get(place.resource, place.namespace, place.name)
            if live is None:
                if place.resource.kind in _CREATED_BY_PUT and not place.subresource and revision is None:
                    return self.create_by_update(place, sent)
                raise not_found(*place.about)
            try:
                return self.replace(place, new, live, sent)
            except ApiError as error:
                if not is_race(error) or revision is not None or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def replace(self, place: Place, new: AnyObject, live: Stored, sent: Sent) -> Written:
        """Stores a changed object over a live one, if that is still the one in the store.

        Raises:
            ApiError: it is refused; ``is_race`` says of a Conflict if it may be tried again.
        """
        resource, old = place.resource, live.object
        _check_identity(place, new.metadata, live)
        if self.guard is not None:
            self.guard.check(place, new, old, sent.options.user)
        is_part = place.subresource in pod_parts.PARTS
        if place.subresource in ("approval", "status"):  # the former is for conditions of the latter
            new = strategy.prepare_status(resource, new, old)
        elif is_part:
            new = strategy.counted(resource, pod_parts.prepare(place.subresource, new, old), old)
        else:
            new = strategy.prepare_update(resource, self._admission.complete_changed(default(new)), old)
        changed = pod_parts.problems(place.subresource, new, old) if is_part else validate_update(new, old)
        problems = (*validate(new), *changed, *resource.problems(new, old))
        if problems:
            raise invalid(resource.kind, resource.group, place.name, problems)
        if place.subresource != "status":
            self._admission.check_changed(resource, new, old, dry_run=sent.options.dry_run)
        if place.subresource or new == old:
            return self._store(place, new, live, sent)
        return self._allocated(
            new, self.clock(), lambda complete, fence: self._store(place, complete, live, sent, fence)
        )

    def _store(self, place: Place, new: AnyObject, live: Stored, sent: Sent, fence: Fence | None = None) -> Written:
        new = self._tracked(place.resource, live.object, new, sent, place.subresource)
        if sent.options.dry_run:
            return Written(_DryRun(new, wire.encode(new), live.revision), sent.warnings)
        if _ends_with_update(new):
            gone = self.storage.delete(place.resource, live)
            return Written(Stored(new, wire.encode(new), gone.revision), sent.warnings)
        return Written(self.storage.update(place.resource, new, live, fence), sent.warnings)

    def change(self, place: Place, edit: Callable[[AnyObject], AnyObject], options: WriteOptions) -> Written:
        """Stores what ``edit`` makes of the live object, as often as it takes; nothing but system fields is checked.

        Raises:
            ApiError: there is no such object, or ``edit`` refuses.
        """
        for _ in range(ATTEMPTS):
            live = self.storage.get(place.resource, place.namespace, place.name)
            if live is None:
                raise not_found(*place.about)
            new = strategy.counted(place.resource, edit(live.object), live.object)
            try:
                return self._store(place, new, live, Sent(new, options))
            except ApiError as error:
                if not is_race(error):
                    raise
        raise modified(*place.about)


class _DryRun(Stored):
    """An object that was not stored: it has the resourceVersion of the live one, if there is one."""

    __slots__ = ()

    @property
    def json(self) -> bytes:
        """The object as it is sent."""
        return wire.with_revision(self.value, self.revision) if self.revision else self.value


def is_race(error: ApiError) -> bool:
    """Whether a refusal is the store's, because somebody else wrote meanwhile, and not the request's own fault."""
    return error.reason == "Conflict" and error.__cause__ is not None


def _ends_with_update(obj: AnyObject) -> bool:
    """Whether nothing holds an object any more that is being deleted: the last finalizer is gone, and grace is over."""
    meta = obj.metadata
    if meta.deletion_timestamp is None or meta.finalizers or meta.deletion_grace_period_seconds:
        return False
    return not (isinstance(obj, Namespace) and obj.spec.finalizers)


def _placed(place: Place, obj: AnyObject) -> AnyObject:
    """The object in the namespace of its path."""
    given = obj.metadata.namespace
    if place.resource.namespaced and given not in ("", place.namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if not place.resource.namespaced or given == place.namespace:
        return obj
    return replace(obj, metadata=replace(obj.metadata, namespace=place.namespace))


def named(place: Place, obj: AnyObject) -> AnyObject:
    """The object under the name of its path.

    Raises:
        ApiError: it has another one.
    """
    meta = obj.metadata
    if meta.name and meta.name != place.name:
        raise bad_request(f"the name of the object ({meta.name}) does not match the name on the URL ({place.name})")
    namespace = place.namespace if place.resource.namespaced else ""
    if meta.namespace and namespace and meta.namespace != namespace:
        raise bad_request(
            f"the namespace of the object ({meta.namespace}) does not match the namespace on the URL ({namespace})"
        )
    return replace(obj, metadata=replace(meta, name=place.name, namespace=namespace))


def _new_meta(resource: Resource, meta: ObjectMeta, now: int) -> ObjectMeta:
    """What a creation sets anew, whatever was sent."""
    name = meta.name
    if not name and meta.generate_name:
        name = generated_name(meta.generate_name, chance.sixteen().hex())
    return replace(
        meta,
        name=name,
        uid=chance.uid(),
        creation_timestamp=format_time(now),
        generation=1 if strategy.is_counted(resource) else None,
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        resource_version=None,
        self_link=None,
    )


def _check_identity(place: Place, new: ObjectMeta, live: Stored) -> None:
    """The object is the one that the request means, at the revision that it means.

    Raises:
        ApiError: Conflict.
    """
    revision = parse_put_revision(new.resource_version)
    if new.uid and new.uid != live.object.metadata.uid:
        raise conflict(
            *place.about,
            f"StorageError: invalid object, Code: 4, Key: {place.resource.key(place.namespace, place.name)}, "
            f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {new.uid}, UID in "
            f"object meta: {live.object.metadata.uid}",
        )
    if revision is not None and revision != live.revision:
        raise modified(*place.about)
