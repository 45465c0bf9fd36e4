"""``Api``: the Kubernetes API in process. Plain data in, plain data out; refusals are ``ApiError``.

Usable from any thread. What is written is in the store when the call returns, and seen by every call after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reconciler.apiserver import wire
from reconciler.apiserver.admission import Admission
from reconciler.apiserver.allocation import ServiceAllocator
from reconciler.apiserver.answers import Answer, Listing
from reconciler.apiserver.decode import JSON
from reconciler.apiserver.deletion import Deleted, Deleter
from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.patching import Patcher
from reconciler.apiserver.resources import Place, Registry, Resource
from reconciler.apiserver.selection import Selection, selection
from reconciler.apiserver.status import ApiError, bad_request, expired, not_found, too_large_revision, warned
from reconciler.apiserver.storage import Storage, continue_token, read_continue
from reconciler.apiserver.subresources import Subresources
from reconciler.apiserver.watching import Told, WatchStream
from reconciler.apiserver.writer import Sent, Writer, Written
from rules.services import CLUSTER_CIDR, NODE_PORTS
from state.store.base import Store
from state.store.records import CompactedError, Entry

if TYPE_CHECKING:
    from reconciler.apiserver.apply_patch import ManagedFields

#: Entries read at once where a selector decides how many of them count.
_CHUNK = 500
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def wall_clock() -> int:
    """The time, µs since the epoch."""
    return time.time_ns() // 1000


class Api:
    """All verbs over all resources of ``registry``.

    Args:
        store: where everything is.
        clock: the time in µs since the epoch.
        cidrs, node_ports: what Services get (``rules.services.Services``).
        fields: who keeps ``managedFields``; without it nobody does, and there is no server-side apply.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], int] = wall_clock,
        cidrs: Sequence[str] = (CLUSTER_CIDR,),
        node_ports: tuple[int, int] = NODE_PORTS,
        fields: ManagedFields | None = None,
    ) -> None:
        self.registry = Registry()
        self.storage = Storage(store, self.registry)
        self._told = Told()
        self.clock = clock
        services = self.registry.of_table("Service")
        assert services is not None
        admission = Admission(self.storage)
        allocator = ServiceAllocator(self.storage, services, cidrs, node_ports)
        self.writer = Writer(self.storage, admission, allocator, clock, fields)
        self.patcher = Patcher(self.writer)
        self.deleter = Deleter(self.storage, self.writer.configured, clock)
        self.subresources = Subresources(self.storage, self.writer, self.deleter, clock)

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, place: Place, revision: int | None = None) -> Answer:
        """One object, not older than a revision.

        Raises:
            ApiError: there is none, or that revision is yet to come.
        """
        if revision:
            self._check_reached(revision)
        entry = self.storage.entry(place.resource, place.namespace, place.name)
        if entry is None:
            raise not_found(*place.about)
        return Answer(200, wire.with_revision(entry.value, entry.revision), resource=place.resource)

    def list(self, place: Place, options: ListOptions) -> Listing:
        """Objects of a resource, in one namespace or (with "") in all.

        Raises:
            ApiError: that revision can't be had, or the selectors make no sense.
        """
        resource = place.resource
        chosen = selection(resource, options.labels, options.fields)
        limit = options.limit
        after = ""
        revision = options.revision or None
        if options.token:
            since, after = read_continue(options.token)
            if revision:
                raise bad_request("specifying resource version is not allowed when using continue")
            revision = since or None
        elif revision is not None:
            is_cached = options.match != "Exact" and not (limit and not options.match)
            self._check_reached(revision, is_cached=is_cached)
            if is_cached:
                revision = None
        if options.revision == 0:
            limit = 0  # as from a cache, which knows no pages
        try:
            return self._page(place, chosen, revision, limit, after)
        except ApiError as error:
            if options.token and isinstance(error.__cause__, CompactedError):
                raise _too_old(resource, after) from error
            raise

    def _check_reached(self, revision: int, *, is_cached: bool = True) -> None:
        current = self.storage.store.revision()
        if revision > current:
            raise too_large_revision(revision, current, is_cached=is_cached)

    def _page(self, place: Place, chosen: Selection, revision: int | None, limit: int, after: str) -> Listing:
        resource, namespace = place.resource, place.namespace
        name = chosen.name
        if chosen.is_everything:
            page = self.storage.page(resource, namespace, revision=revision, limit=limit or None, after=after)
            token = continue_token(resource, page.revision, page.entries[-1].key) if page.remaining else ""
            return Listing(resource, page.entries, page.revision, token, page.remaining or None, storage=self.storage)
        if name and revision is None and not limit and (namespace or not resource.namespaced):
            return self._single(Place(resource, namespace, name), chosen)
        found: list[Entry] = []
        while True:
            page = self.storage.page(
                resource, namespace, revision=revision, limit=_CHUNK if limit else None, after=after
            )
            revision = page.revision
            for index, entry in enumerate(page.entries):
                if chosen.matches(self.storage.object_of(resource, entry)):
                    found.append(entry)
                if limit and len(found) == limit and (page.remaining or index + 1 < len(page.entries)):
                    token = continue_token(resource, revision, entry.key)
                    return Listing(resource, found, revision, token, storage=self.storage)
            if not page.remaining:
                return Listing(resource, found, revision, storage=self.storage)
            after = page.entries[-1].key[len(resource.prefix) :]

    def _single(self, place: Place, chosen: Selection) -> Listing:
        resource, namespace, name, _ = place
        revision = self.storage.store.revision()
        entry = self.storage.entry(resource, namespace, name)
        entries = [entry] if entry and chosen.matches(self.storage.object_of(resource, entry)) else []
        return Listing(resource, entries, revision, storage=self.storage)

    def watch(self, place: Place, options: ListOptions, on_ready: Callable[[], None] | None = None) -> WatchStream:
        """Every change from a revision on; see ``WatchStream`` and, for ``on_ready``, ``Store.watch``.

        Raises:
            ApiError: the selectors make no sense.
        """
        chosen = selection(place.resource, options.labels, options.fields)
        return WatchStream(self.storage, place, chosen, options, told=self._told, on_ready=on_ready)

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, place: Place, body: bytes, options: WriteOptions, content_type: str = JSON) -> Answer:
        """Makes an object.

        Raises:
            ApiError: it is refused.
        """
        decoded = self.writer.decoder.body(body, place.resource, content_type, options.validation)
        with warned(decoded.warnings):
            return _written(place, self.writer.create(place, Sent.of(decoded, options)))

    def update(self, place: Place, body: bytes, options: WriteOptions, content_type: str = JSON) -> Answer:
        """Replaces an object, or its status.

        Raises:
            ApiError: it is refused.
        """
        decoded = self.writer.decoder.body(body, place.resource, content_type, options.validation)
        with warned(decoded.warnings):
            return _written(place, self.writer.update(place, Sent.of(decoded, options)))

    def patch(self, place: Place, body: bytes, content_type: str, options: WriteOptions) -> Answer:
        """Changes an object, or its status, by a patch of the type that ``content_type`` says.

        Raises:
            ApiError: it is refused.
        """
        return _written(place, self.patcher.patch(place, body, content_type, options))

    def delete(self, place: Place, options: DeleteOptions) -> Answer:
        """Deletes an object, or begins to.

        Raises:
            ApiError: there is none, or it may not be deleted.
        """
        deleted = self.deleter.delete(place, options)
        return Answer(_code(deleted), deleted.body(place.resource), deleted.warnings, place.resource, deleted.stored)

    def delete_collection(self, place: Place, chosen: ListOptions, options: DeleteOptions) -> Listing:
        """Deletes every object that a list would show, and returns that list.

        Raises:
            ApiError: one may not be deleted.
        """
        listing = self.list(place, chosen)
        for entry in listing.entries:
            namespace, name = place.resource.place(entry.key)
            try:
                self.deleter.delete(Place(place.resource, namespace, name), options)
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
        return listing


def _too_old(resource: Resource, after: str) -> ApiError:
    """What is said about a token of a list that can't be gone on with; it has one that leads on in the newest list."""
    error = expired(_TOO_OLD)
    error.meta = {"continue": continue_token(resource, -1, resource.prefix + after)}
    return error


def _written(place: Place, written: Written) -> Answer:
    code = 201 if written.is_new else 200
    return Answer(code, written.stored.json, written.warnings, place.resource, written.stored)


def _code(deleted: Deleted) -> int:
    return 202 if deleted.accepted else 200
