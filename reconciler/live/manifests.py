"""Manifests are applied to a running cluster as ``kubectl apply --prune`` does it: through the API, and what they
brought before and don't name any more is deleted.

What they brought stands in a ConfigMap of the cluster itself, so that what others create is never taken for theirs,
whoever runs next on the same store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import orjson
import structlog

from reconciler.apiserver.api import Api
from reconciler.apiserver.options import DeleteOptions, WriteOptions
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.writer import ATTEMPTS, Sent
from reconciler.apply import in_order, place, prepare
from state.dump import dump
from state.errors import StateError
from state.load import Loaded, LoadError
from state.objects import (
    AnyObject,
    ConfigMap,
    CustomObject,
    Namespace,
    ObjectMeta,
    ResourceQuota,
    kind_key,
    replace,
)
from state.snapshot import Key

log = structlog.get_logger("reconciler")

#: The ConfigMap, and its one entry: a list of [kind, namespace, name]. Where several programs bring manifests to one
#: cluster, each has its own, with a name added.
INVENTORY = Key("ConfigMap", "kube-system", "reconciler-up")
_ENTRY = "brought"
_OPTIONS = WriteOptions(manager="reconciler-up")
_DEFINITION = "CustomResourceDefinition.apiextensions.k8s.io"
#: How long it may take until a kind is served after its definition is stored, and a quota is counted, in seconds.
_FOLLOWED_SECONDS = 5.0
#: What may be different when one looks again.
_RACES = ("AlreadyExists", "Conflict", "NotFound")


class ApplyError(StateError):
    """Some objects were not taken over; the others were."""


class Manifests:
    """What manifests say, in a cluster. A pure client of the API: usable from any thread, by one at a time.

    ``owner`` says whose manifests they are, where there are others': what those brought stays.
    """

    def __init__(self, api: Api, owner: str = "") -> None:
        self._api = api
        self._inventory = INVENTORY._replace(name=f"{INVENTORY.name}-{owner}") if owner else INVENTORY

    def get(self, key: Key) -> AnyObject | None:
        """The object as it is now, or None."""
        resource = self._api.registry.of_table(key.kind)
        stored = None if resource is None else self._api.storage.get(resource, key.namespace, key.name)
        return None if stored is None else stored.object

    def apply(self, loaded: Loaded, settle: Callable[[], object]) -> None:
        """Makes the cluster have what manifests say, and nothing that earlier ones said and these don't.

        Namespaces that they name are made; ``settle`` is called when they are there, and has to see to it that they are
        furnished, and that quotas are counted: until then these let nothing in. Kinds that nobody serves are left out,
        with a warning.

        Raises:
            LoadError: something is wrong with the manifests; nothing was taken over.
            ApplyError: see there.
            StoreError: the store can't be written; some of it may have been taken over.
        """
        if loaded.refused:
            raise LoadError(loaded.refused)
        for warning in loaded.warnings:
            log.warning("a manifest may not mean what it says", cause=warning)
        _, refused = prepare(self, self._placed(loaded.objects).values())
        if refused:
            raise LoadError(refused)
        errors = self._lay_foundations(loaded.objects)
        settle()
        desired = self._placed(loaded.objects, tell=True)
        before = self._brought(self._inventory)
        self._remember(before | desired.keys())
        ordered = in_order(desired.values())
        quotas = [obj for obj in ordered if isinstance(obj, ResourceQuota)]
        errors += [error for obj in quotas if (error := self._store(obj))]
        _wait_until(lambda: all(map(self._is_counted, quotas)), settle)
        errors += [error for obj in ordered if not isinstance(obj, ResourceQuota) and (error := self._store(obj))]
        gone = before - desired.keys()
        errors += [error for key in sorted(gone - self._of_others() if gone else gone) if (error := self._delete(key))]
        if errors:
            raise ApplyError("\n".join(errors))
        self._remember(set(desired))

    # -- what is meant -------------------------------------------------------------------------------------------------

    def _placed(self, objects: Iterable[AnyObject], *, tell: bool = False) -> dict[Key, AnyObject]:
        """The objects under their keys, without those of kinds that nobody serves."""
        found: dict[Key, AnyObject] = {}
        for obj in map(place, objects):
            resource = self._api.registry.of_table(kind_key(obj))
            if resource is None:
                if tell:
                    cause = f'no matches for kind "{obj.kind}" in version "{obj.api_version}"'
                    log.warning("a manifest is left out", object=str(Key.of(obj)), cause=cause)
                continue
            namespace = (obj.metadata.namespace or "default") if resource.namespaced else ""
            placed = replace(obj, metadata=replace(obj.metadata, namespace=namespace))
            key = Key.of(placed)
            if tell and key in found:
                log.warning("an object is desired more than once; the last manifest counts", object=str(key))
            found[key] = placed
        return found

    def _lay_foundations(self, objects: Iterable[AnyObject]) -> list[str]:
        """Stores what others need: namespaces and definitions; says what went wrong."""
        placed = self._placed(objects)
        first = [obj for obj in placed.values() if isinstance(obj, Namespace) or kind_key(obj) == _DEFINITION]
        named = {key.namespace for key in placed} - {"", *(obj.metadata.name for obj in first)}
        missing = [name for name in sorted(named) if self.get(Key("Namespace", "", name)) is None]
        made = [Namespace(metadata=ObjectMeta(name=name)) for name in missing]
        self._remember(self._brought(self._inventory) | {Key.of(obj) for obj in first})
        errors = [error for obj in first if (error := self._store(obj))]
        errors += [error for obj in made if (error := self._try(obj, lambda obj: self._write(obj, None)))]
        self._wait_for(obj for obj in first if isinstance(obj, CustomObject))
        return errors

    def _wait_for(self, definitions: Iterable[CustomObject]) -> None:
        """Returns when kinds that are defined are served, or seem to have no prospect of it."""
        kinds = set()
        for definition in definitions:
            spec = definition.body.value.get("spec", {})
            kinds.add(f"{spec.get('names', {}).get('kind')}.{spec.get('group')}")
        _wait_until(lambda: all(self._api.registry.of_table(kind) is not None for kind in kinds))

    def _is_counted(self, desired: ResourceQuota) -> bool:
        """Whether a quota's status says of all that it limits how much is used; one that isn't there limits nothing."""
        quota = self.get(Key.of(desired))
        return not isinstance(quota, ResourceQuota) or (
            quota.status.hard == quota.spec.hard and quota.status.used.keys() >= quota.spec.hard.keys()
        )

    # -- the inventory -------------------------------------------------------------------------------------------------

    def _of_others(self) -> set[Key]:
        """What manifests of others brought."""
        configs = self._api.storage.all(self._resource(INVENTORY), INVENTORY.namespace)
        keys = {Key.of(stored.object) for stored in configs} - {self._inventory}
        return {found for key in keys if key.name.startswith(INVENTORY.name) for found in self._brought(key)}

    def _brought(self, inventory: Key) -> set[Key]:
        """What manifests brought so far.

        Raises:
            ApplyError: somebody wrote something else there.
        """
        config = self.get(inventory)
        if config is None:
            return set()
        assert isinstance(config, ConfigMap)
        try:
            return {Key(str(kind), str(ns), str(name)) for kind, ns, name in orjson.loads(config.data.get(_ENTRY, ""))}
        except (orjson.JSONDecodeError, TypeError, ValueError) as error:
            msg = f"{inventory} is no list of what manifests brought: {error}; delete it, and nothing is pruned"
            raise ApplyError(msg) from error

    def _remember(self, keys: Iterable[Key]) -> None:
        data = {_ENTRY: orjson.dumps([list(key) for key in sorted(keys)]).decode()}
        live = self.get(self._inventory)
        if isinstance(live, ConfigMap):
            if live.data != data:
                self._write(replace(live, data=data), live)
        else:
            meta = ObjectMeta(name=self._inventory.name, namespace=INVENTORY.namespace)
            self._write(ConfigMap(metadata=meta, data=data), None)

    # -- one object ----------------------------------------------------------------------------------------------------

    def _store(self, obj: AnyObject) -> str:
        """Has an object be as its manifest says; returns why that wasn't possible, or ""."""
        return self._try(obj, self._merge)

    def _try(self, obj: AnyObject, do: Callable[[AnyObject], None]) -> str:
        """Does something about an object, again if others are at it, too; returns why that wasn't possible, or ""."""
        for attempt in range(ATTEMPTS):
            try:
                do(obj)
            except ApiError as error:
                if error.reason not in _RACES or attempt == ATTEMPTS - 1:
                    return f"{Key.of(obj)}: {error.message}"
            except LoadError as error:
                return str(error)
            else:
                return ""
        raise AssertionError("the last attempt returns")

    def _merge(self, obj: AnyObject) -> None:
        """Raises LoadError if the object, as it is now, can't become what is desired."""
        wanted, refused = prepare(self, [obj])
        if refused:
            raise LoadError(refused)
        live = self.get(Key.of(obj))
        if wanted[0] != live:
            self._write(wanted[0], live)

    def _write(self, obj: AnyObject, live: AnyObject | None) -> None:
        """Raises ApiError: it is refused."""
        writer, resource = self._api.writer, self._resource(Key.of(obj))
        sent = Sent(obj, _OPTIONS)
        if resource.type is None:  # its definition completes it
            sent = Sent.of(writer.decoder.manifest(dump(obj), resource), _OPTIONS)
        if live is None:
            writer.create(Place(resource, obj.metadata.namespace), sent)
        else:
            writer.update(Place(resource, obj.metadata.namespace, obj.metadata.name), sent)

    def _resource(self, key: Key) -> Resource:
        found = self._api.registry.of_table(key.kind)
        assert found is not None
        return found

    def _delete(self, key: Key) -> str:
        """Deletes what is desired no more; returns why that wasn't possible, or ""."""
        if self.get(key) is None:
            return ""
        try:
            self._api.delete(Place(self._resource(key), key.namespace, key.name), DeleteOptions(policy="Background"))
        except ApiError as error:
            return "" if error.reason == "NotFound" else f"{key}: {error.message}"
        return ""


def _wait_until(is_so: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Returns when something is so, or seems to have no prospect of it."""
    waited = threading.Event()
    for _ in range(int(_FOLLOWED_SECONDS * 100)):
        if is_so():
            return
        meanwhile()
        waited.wait(0.01)
