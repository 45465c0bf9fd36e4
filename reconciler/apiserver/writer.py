"""How an object gets into the store: create and update, step by step as kube-apiserver's generic registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reconciler.apiserver import certificate_hands, chance, pod_parts, wire
from reconciler.apiserver.addressed import check_revision, named, other_uid, placed
from reconciler.apiserver.admission import Admission, Requested, refusal
from reconciler.apiserver.allocation import ServiceAllocator
from reconciler.apiserver.decode import Decoded, Decoder
from reconciler.apiserver.options import WriteOptions, parse_put_revision
from reconciler.apiserver.policies.configured import Configured
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import (
    ApiError,
    conflict,
    internal,
    modified,
    not_found,
)
from reconciler.apiserver.storage import Storage, Stored
from rules import registry, strategies
from rules.admission import ForbiddenError
from rules.deletion import is_over
from state.defaults import default
from state.errors import Problem
from state.identity import generated_name
from state.objects import AnyObject, CustomObject, DaemonSet, Namespace, Service, kind_key, replace
from state.store.records import Fence
from state.times import format_time
from state.validation import validate

if TYPE_CHECKING:
    from reconciler.apiserver.apply_patch import ManagedFields
    from reconciler.apiserver.rbac_escalation import Escalation

#: As whom the API server itself writes.
MANAGER = WriteOptions(manager="kube-apiserver")
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
        fields: ManagedFields | None = None,
    ) -> None:
        self.storage, self.clock, self.fields = storage, clock, fields
        self._admission, self._allocator = admission, allocator
        self.decoder = Decoder(storage.registry)
        self.configured = Configured(storage)
        self.guard: Escalation | None = None

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
        now, meta = self.clock(), placed.metadata
        obj = registry.prepared(resource.traits, placed, now)
        obj = certificate_hands.prepared(obj, None, sent.options, now)
        asked = _asked(placed, obj)

        def problems(new: AnyObject) -> Iterator[Problem]:
            yield from validate(new, resource.name_rule, is_new=True)
            yield from resource.problems(new)

        admission = self._requested("CREATE", Place(resource, meta.namespace, meta.name), sent.options)
        try:
            obj = registry.created(obj, admission, partial(_identified, now=now), problems)
        except ForbiddenError as error:
            raise refusal(resource, error) from error
        if meta.resource_version:
            raise internal("resourceVersion should not be set on objects to be created")
        sent = sent.warned(admission.warnings)

        def store(complete: AnyObject, fence: Fence | None) -> Written:
            new = self._tracked(resource, None, complete, sent, "", asked)
            if sent.options.dry_run:
                return Written(self._unstored(resource, new), sent.warnings, is_new=True)
            return Written(self.storage.create(resource, new, fence), sent.warnings, is_new=True)

        return self._allocated(obj, now, sent, store)

    def _requested(self, operation: str, place: Place, options: WriteOptions) -> Requested:
        attempt = self.configured.attempt(operation, place, options)
        return Requested(self._admission, attempt, place, dry_run=options.dry_run)

    def _unstored(self, resource: Resource, obj: AnyObject) -> Stored:
        """What a dry run shows."""
        meta = obj.metadata
        if self.storage.entry(resource, meta.namespace, meta.name) is not None:
            raise self.storage.taken(resource, obj)
        return _DryRun(obj, wire.encode(obj), 0)

    def _allocated(
        self, obj: AnyObject, now: int, sent: Sent, store: Callable[[AnyObject, Fence | None], Written]
    ) -> Written:
        if isinstance(obj, Service):
            return self._allocator.complete(obj, now, store, None if sent.options.dry_run else self._record)
        return store(obj, None)

    def _record(self, record: CustomObject) -> None:
        """Stores the IPAddress of a Service that is about to be stored."""
        resource = self.storage.registry.of_table(kind_key(record))
        assert resource is not None
        self.create(Place(resource), Sent(record, MANAGER))

    def _tracked(  # noqa: PLR0917 - as ``ManagedFields.updated`` has it
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
        admission = self._requested("UPDATE", place, sent.options)
        try:
            new = registry.changed(new, old, admission, self._prepare(place, sent.options), _problems_of(place))
        except ForbiddenError as error:
            raise refusal(resource, error) from error
        sent = sent.warned(admission.warnings)
        if place.subresource or new == old:
            return self._store(place, new, live, sent)
        return self._allocated(
            new, self.clock(), sent, lambda complete, fence: self._store(place, complete, live, sent, fence)
        )

    def _prepare(self, place: Place, options: WriteOptions) -> registry.Prepare:
        """How a change of an object, or of a part that has a path of its own, becomes what is stored."""
        traits, part = place.resource.traits, place.subresource
        if part in pod_parts.PARTS:
            return lambda new, old: strategies.counted(traits, pod_parts.prepare(part, new, old), old)
        if part not in ("approval", "status"):  # the former is for conditions of the latter
            return registry.update_of(traits)
        now = self.clock()
        return lambda new, old: certificate_hands.prepared(
            strategies.prepare_status(traits, new, old), old, options, now
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
    if isinstance(placed, Namespace):
        return replace(default(placed), metadata=prepared.metadata, spec=placed.spec)
    # the generation of its template is part of how a DaemonSet is read
    return strategies.on_create(prepared) if isinstance(prepared, DaemonSet) else prepared


def _identified(obj: AnyObject, now: int) -> AnyObject:
    """A new object with its name, its uid and the time."""
    meta = obj.metadata
    name = meta.name
    if not name and meta.generate_name:
        name = generated_name(meta.generate_name, chance.sixteen().hex())
    return replace(obj, metadata=replace(meta, name=name, uid=chance.uid(), creation_timestamp=format_time(now)))


def _problems_of(place: Place) -> registry.ChangeProblems:
    """What looks at a change of an object, or of a part of it."""
    resource, part = place.resource, place.subresource
    if part in pod_parts.PARTS:
        return lambda new, old: (*validate(new), *pod_parts.problems(part, new, old))
    if part:
        return partial(resource.problems_of_part, subresource=part)
    return resource.problems_of_update
