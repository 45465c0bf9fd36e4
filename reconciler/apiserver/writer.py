"""How an object gets into the store: create and update, step by step as kube-apiserver's generic registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, NamedTuple, Protocol

from reconciler.apiserver import certificate_hands, chance, pod_parts, wire
from reconciler.apiserver.addressed import check_revision, named, other_uid, placed
from reconciler.apiserver.admission import Admission
from reconciler.apiserver.allocation import ServiceAllocator
from reconciler.apiserver.decode import Decoded, Decoder
from reconciler.apiserver.options import WriteOptions, parse_put_revision
from reconciler.apiserver.policies.configured import Configured
from reconciler.apiserver.rbac import User
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import (
    ApiError,
    already_exists,
    conflict,
    internal,
    invalid,
    modified,
    not_found,
)
from reconciler.apiserver.storage import Storage, Stored
from rules import strategies
from rules.deletion import is_over
from state.defaults import default
from state.identity import generated_name
from state.objects import AnyObject, DaemonSet, Namespace, ObjectMeta, Service, replace
from state.store.records import Fence
from state.times import format_time
from state.validation import validate

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
        self,
        resource: Resource,
        live: AnyObject | None,
        new: AnyObject,
        manager: str,
        subresource: str,
        now: int,
        asked: AnyObject | None = None,
    ) -> AnyObject:
        """The object about to be stored, with what the change says about ownership. Of a new one its writer owns what
        is in it as it was ``asked`` for: not what admission and allocation have added.
        """

    def applied(  # noqa: PLR0917 - what an applied manifest is about
        self,
        resource: Resource,
        live: AnyObject | None,
        manifest: Mapping[str, Any],
        options: WriteOptions,
        subresource: str,
        now: int,
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

    def warned(self, warnings: tuple[str, ...]) -> Sent:
        """The same, with more to be told."""
        return changed(self, warnings=(*self.warnings, *warnings)) if warnings else self


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
        self.configured = Configured(storage)
        self.guard: Guard | None = None

    # -- create --------------------------------------------------------------------------------------------------------

    def create(self, place: Place, sent: Sent) -> Written:
        """Stores a new object.

        Raises:
            ApiError: it is refused.
        """
        obj = placed(place, sent.object)
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
        meta = sent.object.metadata
        if meta.uid:
            why = f"uid mismatch: the provided object specified uid {meta.uid}, and no existing object was found"
            raise conflict(*place.about, why)
        obj = replace(sent.object, metadata=replace(meta, resource_version=None))
        return self.create(place, changed(sent, object=obj))

    def _create(self, resource: Resource, placed: AnyObject, sent: Sent) -> Written:
        now = self.clock()
        obj = default(strategies.prepare_create(resource.traits, placed, now))
        obj = certificate_hands.prepared(obj, None, sent.options, now)
        asked = _asked(placed, obj)
        obj = self._admission.complete_new(resource, obj, placed.metadata.name)
        meta = placed.metadata
        attempt = self.configured.attempt("CREATE", Place(resource, meta.namespace, meta.name), sent.options)
        if attempt is not None:
            obj = attempt.completed(obj, None)
        obj = strategies.on_create(replace(obj, metadata=_new_meta(resource, obj.metadata, now)))
        if isinstance(obj, Namespace):  # its label is its name, which may have been generated
            obj = default(obj)
        problems = (*validate(obj, resource.name_rule), *resource.problems(obj))
        if problems:
            raise invalid(resource.kind, resource.group, obj.metadata.name, problems)
        if placed.metadata.resource_version:
            raise internal("resourceVersion should not be set on objects to be created")
        sent = sent.warned(resource.warnings_of(obj, None))
        if attempt is not None:
            attempt.check(obj, None)
            sent = sent.warned(attempt.warnings)
        self._admission.check_new(resource, obj, dry_run=sent.options.dry_run)

        def store(complete: AnyObject, fence: Fence | None) -> Written:
            new = self._tracked(resource, None, complete, sent, "", asked)
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

    def _tracked(  # noqa: PLR0917 - as FieldManagement has it
        self,
        resource: Resource,
        live: AnyObject | None,
        new: AnyObject,
        sent: Sent,
        subresource: str,
        asked: AnyObject | None = None,
    ) -> AnyObject:
        """The object with the record of who owns what; one that was applied has it."""
        if self.fields is None or sent.options.is_apply:
            return new
        return self.fields.updated(resource, live, new, sent.options.manager, subresource, self.clock(), asked)

    # -- update --------------------------------------------------------------------------------------------------------

    def update(self, place: Place, sent: Sent) -> Written:
        """Replaces an object, or a part of it that has a path of its own.

        Raises:
            ApiError: it is refused.
        """
        new = named(place, sent.object, is_complete=True)
        revision = parse_put_revision(new.metadata.resource_version)
        for attempt in range(ATTEMPTS):
            live = self.storage.get(place.resource, place.namespace, place.name)
            if live is None:
                if place.resource.kind in _CREATED_BY_PUT and not place.subresource and revision is None:
                    return self.create_by_update(place, sent)
                raise not_found(*place.about)
            if new.metadata.uid and new.metadata.uid != live.object.metadata.uid:
                raise other_uid(place, new.metadata.uid, live.object)
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
        check_revision(place, new.metadata, live)
        if self.guard is not None:
            self.guard.check(place, new, old, sent.options.user)
        attempt = self.configured.attempt("UPDATE", place, sent.options)
        if attempt is not None:
            new = named(place, attempt.completed(new, old))
        is_part = place.subresource in pod_parts.PARTS
        if place.subresource in ("approval", "status"):  # the former is for conditions of the latter
            new = strategies.prepare_status(resource.traits, new, old)
            new = certificate_hands.prepared(new, old, sent.options, self.clock())
        elif is_part:
            new = strategies.counted(resource.traits, pod_parts.prepare(place.subresource, new, old), old)
        else:
            new = strategies.prepare_update(resource.traits, self._admission.complete_changed(default(new)), old)
        if is_part:
            problems = (*validate(new), *pod_parts.problems(place.subresource, new, old))
        elif place.subresource:
            problems = resource.problems_of_part(new, old, place.subresource)
        else:
            problems = resource.problems_of_update(new, old)
        if problems:
            raise invalid(resource.kind, resource.group, place.name, problems)
        sent = sent.warned(resource.warnings_of(new, old))
        if attempt is not None:
            attempt.check(new, old)
            sent = sent.warned(attempt.warnings)
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
        if is_over(new):
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
            new = strategies.counted(place.resource.traits, edit(live.object), live.object)
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


def _asked(placed: AnyObject, prepared: AnyObject) -> AnyObject:
    """A new object as far as it is its writer's: as it is read, with defaults, and without what the server adds."""
    asked: AnyObject = prepared
    if isinstance(placed, Namespace):
        asked = replace(default(placed), spec=placed.spec)
    elif isinstance(prepared, DaemonSet):  # the generation of its template is part of how a DaemonSet is read
        asked = strategies.on_create(prepared)
    meta = asked.metadata
    if meta.deletion_timestamp is None and meta.deletion_grace_period_seconds is None:
        return asked
    meta = replace(meta, deletion_timestamp=None, deletion_grace_period_seconds=None)
    return replace(asked, metadata=meta)


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
        generation=1 if resource.traits.is_counted else meta.generation,
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        resource_version=None,
        self_link=None,
    )
