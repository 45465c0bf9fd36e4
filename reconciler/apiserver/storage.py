"""Objects in a versioned store: where they are, what they are, at which revision.

Each object is decoded once for each of its revisions, by whoever needs it first, and shared by the API, its watches and
the controllers.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.decode import read
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
from state.errors import StateError
from state.objects import AnyObject, replace
from state.store.base import Store
from state.store.records import (
    CompactedError,
    ConflictError,
    Entry,
    ExistsError,
    FutureRevisionError,
    NotFoundError,
    Page,
    StoreFullError,
    StoreUnavailableError,
    TooLargeError,
)

#: Older revisions that stay decoded: those that watches with a selector look back at.
_REMEMBERED = 4096


class Stored(NamedTuple):
    """An object as it is, or was, in the store. ``object`` has its resourceVersion, ``value`` hasn't."""

    object: AnyObject
    value: bytes
    revision: int

    @property
    def json(self) -> bytes:
        """The object as it is sent."""
        return wire.with_revision(self.value, self.revision)


class CorruptError(StateError):
    """What a key holds is no object of its kind."""


class Storage:
    """The objects of all resources. Usable from any thread."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._decoded: dict[str, tuple[int, AnyObject]] = {}
        self._older: OrderedDict[tuple[str, int], AnyObject] = OrderedDict()

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        """The object as it is now, or None."""
        entry = self.entry(resource, namespace, name)
        return None if entry is None else self.stored(resource, entry)

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """What the store holds of an object now, or None."""
        with _failures(resource, name):
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
        with _failures(resource, ""):
            return self.store.list(
                prefix, revision=revision, limit=limit, after=f"{resource.prefix}{after}" if after else ""
            )

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
        if known is not None and known[0] == entry.revision:
            return known[1]
        older = self._older.get((entry.key, entry.revision))
        if older is not None:
            return older
        found, fault = read(orjson.loads(entry.value), resource)
        if found is None:
            raise CorruptError(f"{entry.key} at revision {entry.revision}: {fault}")
        return self._remember(entry.key, entry.revision, found[0])

    def read(self, resource: Resource, document: dict[str, Any]) -> AnyObject:
        """The object that is sent as a document.

        Raises:
            CorruptError: it is none.
        """
        found, fault = read(document, resource)
        if found is None:
            raise CorruptError(fault)
        return found[0]

    def _remember(self, key: str, revision: int, obj: AnyObject) -> AnyObject:
        obj = replace(obj, metadata=replace(obj.metadata, resource_version=str(revision)))
        known = self._decoded.get(key)
        if known is None or known[0] < revision:
            self._decoded[key] = (revision, obj)
            if known is not None:
                self._keep_older(key, *known)
        else:
            self._keep_older(key, revision, obj)
        return obj

    def _keep_older(self, key: str, revision: int, obj: AnyObject) -> None:
        self._older[key, revision] = obj
        if len(self._older) > _REMEMBERED:
            self._older.popitem(last=False)

    def forget(self, key: str, revision: int) -> None:
        """Says that a key was deleted at a revision."""
        known = self._decoded.get(key)
        if known is not None and known[0] <= revision:
            self._decoded.pop(key, None)

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, obj: AnyObject) -> Stored:
        """Stores a new object.

        Raises:
            ApiError: AlreadyExists.
        """
        name = obj.metadata.name
        value = wire.encode(obj)
        with _failures(resource, name):
            entry = self.store.create(resource.key(obj.metadata.namespace, name), value)
        return Stored(self._remember(entry.key, entry.revision, obj), value, entry.revision)

    def update(self, resource: Resource, obj: AnyObject, live: Stored) -> Stored:
        """Stores a changed object over a live one; if it has not changed, that one stays as it is.

        Raises:
            ApiError: Conflict, NotFound.
        """
        name = obj.metadata.name
        value = wire.encode(obj)
        if value == live.value or _is_same(obj, live.object):
            return live
        with _failures(resource, name):
            entry = self.store.update(resource.key(obj.metadata.namespace, name), value, live.revision)
        return Stored(self._remember(entry.key, entry.revision, obj), value, entry.revision)

    def delete(self, resource: Resource, live: Stored) -> Stored:
        """Takes a live object away. The answer has the revision of the deletion.

        Raises:
            ApiError: Conflict, NotFound.
        """
        meta = live.object.metadata
        with _failures(resource, meta.name):
            entry = self.store.delete(resource.key(meta.namespace, meta.name), live.revision)
        self.forget(entry.key, entry.revision)
        return live._replace(revision=entry.revision)


def _is_same(obj: AnyObject, live: AnyObject) -> bool:
    """Whether nothing but the order of maps differs."""
    return replace(obj, metadata=replace(obj.metadata, resource_version=live.metadata.resource_version)) == live


class _failures:  # noqa: N801 - it is used like a function
    """Tells what the store refuses as the API does."""

    __slots__ = ("_name", "_resource")

    def __init__(self, resource: Resource, name: str) -> None:
        self._resource, self._name = resource, name

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and (told := self._told(error)) is not None:
            raise told from error

    def _told(self, error: BaseException) -> ApiError | None:
        where = (self._resource.plural, self._resource.group, self._name)
        if isinstance(error, ExistsError):
            return already_exists(*where)
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
        data = orjson.loads(_from_base64(token))
    except orjson.JSONDecodeError as error:
        raise _no_token(f"continue key is not valid: {error}") from error
    if not isinstance(data, dict) or data.get("v") != "meta.k8s.io/v1":
        raise _no_token("continue key is not valid: server does not recognize this encoded version")
    revision, start = data.get("rv"), data.get("start")
    if not isinstance(revision, int) or revision == 0:
        raise _no_token("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise _no_token("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
    if start.startswith("/") or ".." in start.split("/"):
        raise _no_token(f"continue key is not valid: {start}")
    return max(revision, 0), start.rstrip("\0")


def _from_base64(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        at = next((i for i, c in enumerate(token) if not (c.isascii() and (c.isalnum() or c in "-_"))), None)
        where = len(token) if at is None else at
        raise _no_token(f"continue key is not valid: illegal base64 data at input byte {where}") from error


def _no_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: {why}")
