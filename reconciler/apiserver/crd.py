"""CustomResourceDefinitions at work: their resources are served as long as they are in the store."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace as changed
from importlib import import_module
from typing import Any

import structlog

from reconciler.apiserver.api import Api
from reconciler.apiserver.crd_columns import custom_layout
from reconciler.apiserver.crd_definition import DefinitionKind
from reconciler.apiserver.crd_kind import DefinedKind, defined
from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.tables import Layout, built_in_layout
from rules.deletion import CLEANUP
from state.errors import StateError
from state.objects import AnyObject, CustomObject, Opaque, replace
from state.store.feed import Watch
from state.times import format_time

log = structlog.get_logger("reconciler")

Json = dict[str, Any]
_OPTIONS = WriteOptions(manager="kube-apiserver")
#: Seconds after which a definition that waits for its objects to go is looked at again.
_AGAIN = 0.5
#: Seconds after which they are all looked at again when the store has failed.
_PAUSE = 1.0


def schema_of(resource: Resource) -> Mapping[str, Any] | None:
    """The OpenAPI schema of a resource without a type, if it has one."""
    return None if resource.custom is None else resource.custom.schema


class Definitions:
    """Follows the definitions in the store and says in their status that they are served: from a thread of its own
    between ``start`` and ``stop``, or whenever ``catch_up`` is called.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        found = api.registry.of_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        assert found is not None
        self._resource = changed(found, custom=DefinitionKind())
        api.registry.add(self._resource)
        self._served: dict[str, list[Resource]] = {}
        self._leaving: set[str] = set()
        self._stopped = threading.Event()
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._follow, name="definitions", daemon=True)

    def start(self) -> None:
        """Serves what is defined already, and follows what changes."""
        self._list()
        self._thread.start()

    def stop(self) -> None:
        """Follows no more."""
        self._stopped.set()
        watch = self._watch  # the thread may drop it meanwhile
        if watch is not None:
            watch.close()
        if self._thread.is_alive():
            self._thread.join()

    def catch_up(self) -> bool:
        """Serves what is defined by now. Says whether anything was new."""
        if self._watch is None:
            self._list()
            return True
        return self._take_over(0.0)

    def layout(self, resource: Resource) -> Layout:
        """The columns of any resource."""
        if isinstance(resource.custom, DefinedKind):
            return custom_layout(resource.custom.columns)
        return built_in_layout(resource.table)

    def _list(self) -> None:
        store = self._api.storage.store
        page = self._api.storage.page(self._resource, "")
        self._watch = store.watch(self._resource.prefix, page.revision)
        names = [self._resource.place(entry.key)[1] for entry in page.entries]
        for name in (*names, *sorted(self._served.keys() - set(names))):
            self._look(name)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._watch is None:
                    self._list()
                if not self._stopped.is_set():
                    self._take_over(_AGAIN if self._leaving else None)
            except ValueError:
                if not self._stopped.is_set():  # the watch was closed, and not by ``stop``
                    raise
            except (ApiError, StateError) as error:
                if not self._stopped.is_set():
                    log.error("definitions can't be followed now", cause=str(error), retry_in_seconds=_PAUSE)
                    self._unwatch()
                    self._stopped.wait(_PAUSE)

    def _take_over(self, timeout: float | None) -> bool:
        """Looks at what has changed, and again at what is to go. Says whether there was any change."""
        assert self._watch is not None
        events = self._watch.read(timeout)
        for name in sorted({self._resource.place(event.key)[1] for event in events} | self._leaving):
            self._look(name)
        return bool(events)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _look(self, name: str) -> None:
        """Looks at one definition as it is now."""
        stored = self._api.storage.get(self._resource, "", name)
        if stored is None:
            self._forget(name)
            return
        try:
            self._see(stored.object)
        except ApiError as error:
            if error.code >= 500:  # it isn't the definition's fault
                raise
            log.error("a definition can't be followed", name=name, cause=error.message)

    def _see(self, obj: AnyObject) -> None:
        assert isinstance(obj, CustomObject)
        name = obj.metadata.name
        if obj.metadata.deletion_timestamp is not None:
            self._clean(name)
            return
        wanted = [self._convertible(each, obj.body.value["spec"]) for each in defined(obj)]
        conflict = self._conflict(name, wanted)
        if not conflict:
            for gone in self._served.get(name, ()):
                if gone not in wanted:
                    self._api.registry.remove(gone)
            for resource in wanted:
                self._api.registry.add(resource)
            self._served[name] = wanted
        self._tell(obj, conflict)

    def _convertible(self, resource: Resource, spec: Json) -> Resource:
        """The resource, converted by the definition's webhook if it has one."""
        conversion, wanted = resource.conversion, spec.get("conversion") or {}
        if conversion is None or wanted.get("strategy") != "Webhook":
            return resource
        webhooks = import_module("reconciler.apiserver.crd_conversion")
        webhook = webhooks.ConversionWebhook(wanted.get("webhook") or {}, self._api.storage)
        return changed(resource, conversion=webhooks.WebhookConversion.of(conversion, webhook))

    def _conflict(self, name: str, wanted: list[Resource]) -> str:
        """Why the names can't be served, "" if they can."""
        others = [each for each in self._api.registry.resources if each not in self._served.get(name, ())]
        for resource in wanted:
            for other in others:
                if other.group != resource.group:
                    continue
                if other.plural == resource.plural:
                    return f'"{resource.plural}" is already in use'
                if other.kind == resource.kind:
                    return f'"{resource.kind}" is already in use'
        return ""

    def _tell(self, obj: CustomObject, conflict: str) -> None:
        """Writes the status, if it isn't as it should be."""

        def edit(live: AnyObject) -> AnyObject:
            assert isinstance(live, CustomObject)
            body = live.body.value
            status = _status(body, conflict, format_time(self._api.clock()))
            return replace(live, body=Opaque({**body, "status": status}))

        if edit(obj) != obj:
            self._api.writer.change(Place(self._resource, "", obj.metadata.name), edit, _OPTIONS)

    def _clean(self, name: str) -> None:
        """Deletes the objects of a definition that is to go; when the last is gone, lets it go."""
        self._leaving.add(name)
        left = False
        for resource in self._served.get(name, ())[:1]:
            place = Place(resource)
            self._api.delete_collection(place, ListOptions(), DeleteOptions())
            left = bool(self._api.storage.page(resource, "", limit=1).entries)
        if left:
            return

        def edit(live: AnyObject) -> AnyObject:
            kept = tuple(each for each in live.metadata.finalizers if each != CLEANUP)
            return replace(live, metadata=replace(live.metadata, finalizers=kept))

        self._leaving.discard(name)
        try:
            self._api.writer.change(Place(self._resource, "", name), edit, _OPTIONS)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    def _forget(self, name: str) -> None:
        self._leaving.discard(name)
        for resource in self._served.pop(name, ()):
            self._api.registry.remove(resource)


def _status(body: Json, conflict: str, now: str) -> Json:
    """The status of a definition; conditions that don't change keep their times."""
    spec, before = body["spec"], body.get("status") or {}
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    stored = [*(before.get("storedVersions") or ())]
    accepted = ("False", "NameConflict", conflict) if conflict else ("True", "NoConflicts", "no conflicts found")
    established = (
        ("False", "NotAccepted", "not all names are accepted")
        if conflict
        else ("True", "InitialNamesAccepted", "the initial names have been accepted")
    )
    known = {each["type"]: each for each in before.get("conditions") or ()}
    conditions = []
    for kind, (status, reason, message) in (("NamesAccepted", accepted), ("Established", established)):
        old = known.get(kind, {})
        if old.get("status") == status:
            conditions.append(old)
        else:
            told = {"status": status, "reason": reason, "message": message}
            conditions.append({"type": kind, "lastTransitionTime": now, **told})
    return {
        **before,
        "acceptedNames": before.get("acceptedNames") or {"kind": "", "plural": ""} if conflict else spec["names"],
        "conditions": conditions,
        "storedVersions": stored if storage in stored else [*stored, storage],
    }
