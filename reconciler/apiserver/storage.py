"""Objects in a versioned store: where they are, what they are, at which revision.

Each object is decoded once for each of its revisions, by whoever needs it first, and shared by the API, its watches and
the controllers.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from posixpath import normpath
from time import perf_counter
from typing import Any, NamedTuple

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.decode import read
from reconciler.apiserver.gojson import GoJsonError, loads
from reconciler.apiserver.reported import Reported
from reconciler.apiserver.resources import Registry, Resource
from reconciler.apiserver.status import (
    ApiError,
    already_exists,
    bad_request,
    expired,
    modified,
    not_found,
    too_large_revision,
    unavailable,
)
from rules.address_objects import IP_ADDRESS, service_of
from rules.service_claims import addresses_of_service
from state.errors import StateError
from state.objects import AnyObject, Endpoints, ObjectMeta, Service, replace
from state.snapshot import Key
from state.store.base import Store
from state.store.records import (
    CompactedError,
    ConflictError,
    Entry,
    ExistsError,
    Fence,
    FencedError,
    FutureRevisionError,
    NotFoundError,
    Page,
    StoreFullError,
    StoreUnavailableError,
    TooLargeError,
)

#: Older revisions that stay decoded: those that watches with a selector look back at. So many at most, and of so many
#: bytes in the store.
_REMEMBERED, _REMEMBERED_BYTES = 4096, 32 * 2**20


class Stored(NamedTuple):
    """An object as it is, or was, in the store. ``object`` has its resourceVersion, ``value`` hasn't."""

    object: AnyObject
    value: bytes
    revision: int

    @property
    def json(self) -> bytes:
        """The object as it is sent."""
        return wire.with_revision(self.value, self.revision)


class _Decoded(NamedTuple):
    """A revision of an object, and how many bytes it has in the store."""

    revision: int
    object: AnyObject
    size: int


class CorruptError(StateError):
    """What a key holds is no object of its kind."""


class Storage:
    """The objects of all resources. Usable from any thread."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.reported = Reported(registry)
        #: Is told of each request to the store: what was done, to which resource, in how many seconds.
        self.on_request: Callable[[str, str, float], None] | None = None
        self._decoded: dict[str, _Decoded] = {}
        self._older: OrderedDict[tuple[str, int], _Decoded] = OrderedDict()
        self._older_bytes = 0
        self._lock = threading.Lock()

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        """The object as it is now, or None."""
        entry = self.entry(resource, namespace, name)
        return None if entry is None else self.stored(resource, entry)

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """What the store holds of an object now, or what was reported of it; or None."""
        if resource.is_reported:
            return self.reported.get(resource.key(namespace, name))
        with _Request(self, "get", resource, name):
            return self.store.get(resource.key(namespace, name))

    def page(
        self,
        resource: Resource,
        namespace: str,
        *,
        revision: int | None = None,
        limit: int | None = None,
        after: str = "",
    ) -> Page:
        """Entries of a resource, in one namespace or (with "") in all, sorted by namespace and name.

        ``after`` is a key within the resource, as a continue token has it.
        """
        prefix = f"{resource.prefix}{namespace}/" if namespace and resource.namespaced else resource.prefix
        after = f"{resource.prefix}{after}" if after else ""
        with _Request(self, "list", resource):
            if resource.is_reported:
                return self.reported.page(prefix, limit, after, self.store.revision())
            return self.store.list(prefix, revision=revision, limit=limit, after=after)

    def all(self, resource: Resource, namespace: str = "") -> Iterator[Stored]:
        """All objects of a resource as they are now."""
        for entry in self.page(resource, namespace).entries:
            yield self.stored(resource, entry)

    def stored(self, resource: Resource, entry: Entry) -> Stored:
        """An entry of the store with its object."""
        return Stored(self.object_of(resource, entry), entry.value, entry.revision)

    def object_of(self, resource: Resource, entry: Entry) -> AnyObject:
        """The object that an entry holds.

        Raises:
            CorruptError: it holds none.
        """
        known = self._decoded.get(entry.key)
        if known is None or known.revision != entry.revision:
            known = self._older.get((entry.key, entry.revision))
        if known is not None:
            return known.object
        found, fault = read(_manifest(entry), resource)
        if found is None:
            raise CorruptError(f"{entry.key} at revision {entry.revision}: {fault}")
        return self._remember(entry, found[0])

    def read(self, resource: Resource, document: dict[str, Any]) -> AnyObject:
        """The object that is sent as a document.

        Raises:
            CorruptError: it is none.
        """
        found, fault = read(document, resource)
        if found is None:
            raise CorruptError(fault)
        return found[0]

    def _remember(self, entry: Entry, obj: AnyObject) -> AnyObject:
        obj = replace(obj, metadata=replace(obj.metadata, resource_version=str(entry.revision)))
        new, known = _Decoded(entry.revision, obj, len(entry.value)), self._decoded.get(entry.key)
        if known is not None and known.revision >= new.revision:
            self._keep_older(entry.key, new)
            return obj
        self._decoded[entry.key] = new
        if known is not None:
            self._keep_older(entry.key, known)
        return obj

    def _keep_older(self, key: str, older: _Decoded) -> None:
        with self._lock:
            if (key, older.revision) in self._older:
                return
            self._older[key, older.revision] = older
            self._older_bytes += older.size
            while len(self._older) > _REMEMBERED or self._older_bytes > _REMEMBERED_BYTES:
                self._older_bytes -= self._older.popitem(last=False)[1].size

    def forget(self, key: str, revision: int) -> None:
        """Says that a key was deleted at a revision."""
        known = self._decoded.get(key)
        if known is not None and known.revision <= revision:
            self._decoded.pop(key, None)

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, obj: AnyObject, fence: Fence | None = None) -> Stored:
        """Stores a new object.

        Raises:
            ApiError: AlreadyExists.
        """
        name = obj.metadata.name
        value = wire.encode(obj)
        with _Request(self, "create", resource, name):
            try:
                entry = self.store.create(resource.key(obj.metadata.namespace, name), value, fence)
            except ExistsError as error:
                raise self.taken(resource, obj) from error
        return Stored(self._remember(entry, obj), value, entry.revision)

    def taken(self, resource: Resource, obj: AnyObject) -> ApiError:
        """How an object is refused whose name another has."""
        meta = obj.metadata
        entry = self.entry(resource, meta.namespace, meta.name)
        is_ending = entry is not None and self.object_of(resource, entry).metadata.deletion_timestamp is not None
        return already_exists(resource.plural, resource.group, meta.name, is_ending=is_ending)

    def update(self, resource: Resource, obj: AnyObject, live: Stored, fence: Fence | None = None) -> Stored:
        """Stores a changed object over a live one; if it has not changed, that one stays as it is.

        Raises:
            ApiError: Conflict, NotFound.
        """
        name = obj.metadata.name
        value = wire.encode(obj)
        if value == live.value or _is_same(obj, live.object):
            return live
        with _Request(self, "update", resource, name):
            entry = self.store.update(resource.key(obj.metadata.namespace, name), value, live.revision, fence)
        return Stored(self._remember(entry, obj), value, entry.revision)

    def turn(self, resource: Resource) -> Fence | None:
        """Takes the turn at something about a resource that one server at a time does. Writes with this fence are done
        only as long as no other one takes it. None where the store belongs to this server alone.
        """
        if not self.store.shared:
            return None
        key = f"/fences{resource.prefix}"
        with _Request(self, "update", resource):
            try:
                entry = self.store.update(key, b"", None)
            except NotFoundError:
                with suppress(ExistsError):
                    self.store.create(key, b"")
                entry = self.store.update(key, b"", None)
        return Fence(key, entry.revision)

    def delete(self, resource: Resource, live: Stored) -> Stored:
        """Takes a live object away. The answer has the revision of the deletion.

        Raises:
            ApiError: Conflict, NotFound.
        """
        meta = live.object.metadata
        with _Request(self, "delete", resource, meta.name):
            entry = self.store.delete(resource.key(meta.namespace, meta.name), live.revision)
        self.forget(entry.key, entry.revision)
        if isinstance(live.object, Service):
            self._delete_endpoints(meta)
            for address in addresses_of_service(live.object):
                self.release(Key.of(live.object), address)
        return live._replace(revision=entry.revision)

    def _delete_endpoints(self, service: ObjectMeta) -> None:
        """The Endpoints of a Service go with it, whoever wrote them (afterDelete in the registry of Services)."""
        resource = self.registry.of_table(Endpoints.kind)
        assert resource is not None
        live = self.get(resource, service.namespace, service.name)
        if live is not None:
            with suppress(ApiError):  # somebody else was faster; the service is gone in any case
                self.delete(resource, live)

    def release(self, service: Key, address: str) -> None:
        """Deletes the IPAddress of a cluster IP that a Service gives up. What isn't deleted here, be it another's, held
        by a finalizer or because the store can't be reached, is the controllers' to tidy up (``rules.ip_addresses``).
        """
        resource = self.registry.of_table(IP_ADDRESS)
        assert resource is not None
        with suppress(ApiError):
            live = self.get(resource, "", address)
            if live is not None and service_of(live.object) == service and not live.object.metadata.finalizers:
                self.delete(resource, live)


def _manifest(entry: Entry) -> dict[str, Any]:
    """What an entry holds, as plain data.

    Raises:
        CorruptError: it can't be an object.
    """
    try:
        manifest = orjson.loads(entry.value)
    except orjson.JSONDecodeError as error:
        raise CorruptError(f"{entry.key} at revision {entry.revision}: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("metadata"), dict):
        raise CorruptError(f"{entry.key} at revision {entry.revision}: expected an object with metadata")
    return manifest


def _is_same(obj: AnyObject, live: AnyObject) -> bool:
    """Whether nothing but the order of maps differs."""
    return replace(obj, metadata=replace(obj.metadata, resource_version=live.metadata.resource_version)) == live


class _Request:
    """One request to the store: what that refuses is told as the API does; how long it took, to who wants to know."""

    __slots__ = ("_name", "_operation", "_resource", "_started", "_storage")

    def __init__(self, storage: Storage, operation: str, resource: Resource, name: str = "") -> None:
        self._storage, self._operation, self._resource, self._name = storage, operation, resource, name
        self._started = perf_counter()

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        observe = self._storage.on_request
        if observe is not None:
            observe(self._operation, self._resource.plural, perf_counter() - self._started)
        if error is not None and (told := self._told(error)) is not None:
            raise told from error

    def _told(self, error: BaseException) -> ApiError | None:
        where = (self._resource.plural, self._resource.group, self._name)
        if isinstance(error, FencedError):
            return unavailable("another server on the same store was faster; try again")
        if isinstance(error, ConflictError):
            return modified(*where)
        if isinstance(error, NotFoundError):
            return not_found(*where)
        if isinstance(error, CompactedError):
            return expired("The resourceVersion for the provided list is too old.")
        if isinstance(error, FutureRevisionError):
            return too_large_revision(error.revision, error.current)
        if isinstance(error, TooLargeError):
            return ApiError(413, "RequestEntityTooLarge", f"etcdserver: request is too large: {error}")
        if isinstance(error, StoreFullError | StoreUnavailableError):
            return unavailable(str(error))
        return None


# -- continue tokens ---------------------------------------------------------------------------------------------------


def continue_token(resource: Resource, revision: int, key: str) -> str:
    """The token that leads on after a key, in a list as of a revision."""
    start = key[len(resource.prefix) :] + "\0"
    text = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_continue(token: str) -> tuple[int, str]:
    """The revision of a list (0 for the newest one), and the key within the resource after which it goes on.

    Raises:
        ApiError: it is no such token.
    """
    try:
        data = loads(_from_base64(token))
    except GoJsonError as error:
        raise _no_token(f"continue key is not valid: {error}") from error
    if not isinstance(data, dict) or data.get("v") != "meta.k8s.io/v1":
        raise _no_token("continue key is not valid: server does not recognize this encoded version")
    revision, start = data.get("rv"), data.get("start")
    if not isinstance(revision, int) or revision == 0:
        raise _no_token("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise _no_token("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
    key = start if start.startswith("/") else f"/{start}"
    if normpath(key) != key or key.startswith("//"):
        raise _no_token(f"continue key is not valid: {start}")
    return max(revision, 0), key[1:].rstrip("\0")


def _from_base64(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        at = next((i for i, c in enumerate(token) if not (c.isascii() and (c.isalnum() or c in "-_"))), None)
        where = len(token) if at is None else at
        raise _no_token(f"continue key is not valid: illegal base64 data at input byte {where}") from error


def _no_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: {why}")
