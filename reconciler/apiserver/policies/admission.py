"""A write's way through the policies and webhooks of one moment. Loaded when there are any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from reconciler.apiserver.decode import Decoder
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.policies.attempt import Allows, Attempt, document
from reconciler.apiserver.policies.calls import Caller
from reconciler.apiserver.policies.matching import equivalents
from reconciler.apiserver.policies.metrics import PolicyMetrics
from reconciler.apiserver.policies.mutating import MutatingPolicy
from reconciler.apiserver.policies.validating import Binding, Policy
from reconciler.apiserver.policies.webhooks import Kind, Webhook
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.storage import Storage
from state.defaults import default
from state.objects import AnyObject, CustomObject, Namespace

Json = dict[str, Any]
PolicyT = TypeVar("PolicyT", bound=Policy)
ChangerT = TypeVar("ChangerT", MutatingPolicy, Webhook)
_API_VERSION = "admissionregistration.k8s.io/v1"
#: Webhooks that are asked at once about one write.
_AT_ONCE = 16


class Configuration:
    """Policies and webhooks of one moment."""

    def __init__(self, storage: Storage, metrics: PolicyMetrics) -> None:
        self._storage, self._metrics = storage, metrics
        self._decoder = Decoder(storage.registry)
        caller = Caller(storage)
        self.mutating = list(_webhooks(storage, "MutatingWebhookConfiguration", "admit", caller, metrics))
        self.validating = list(_webhooks(storage, "ValidatingWebhookConfiguration", "validating", caller, metrics))
        self.mutations = list(_policies(storage, "MutatingAdmissionPolicy", MutatingPolicy, metrics))
        self.policies = list(_policies(storage, "ValidatingAdmissionPolicy", Policy, metrics))

    def attempt(self, operation: str, place: Place, options: WriteOptions, allows: Allows | None) -> Attempted:
        """A write's way through all of it."""
        registry = self._storage.registry
        namespace = self._namespace(place)
        made = Attempt(operation, place, options, equivalents(registry, place.resource), namespace, allows)
        return Attempted(self, made, self._decoder, self._metrics)

    def _namespace(self, place: Place) -> Namespace | None:
        if not place.namespace or not place.resource.namespaced:
            return None
        resource = self._storage.registry.of_table("Namespace")
        assert resource is not None
        stored = self._storage.get(resource, "", place.namespace)
        return stored.object if stored is not None and isinstance(stored.object, Namespace) else None


def _policies(storage: Storage, kind: str, made: type[PolicyT], metrics: PolicyMetrics) -> Iterator[PolicyT]:
    """The policies of a kind that are bound to anything, by name."""
    bindings = [Binding(name, body.get("spec") or {}) for name, body in _bodies(storage, f"{kind}Binding")]
    for name, body in _bodies(storage, kind):
        own = [each for each in bindings if each.policy == name]
        if own:
            yield made(name, body.get("spec") or {}, own, storage, metrics)


def _bodies(storage: Storage, kind: str) -> Iterator[tuple[str, Json]]:
    """The objects of a kind, by name."""
    resource = storage.registry.of_kind(_API_VERSION, kind)
    assert resource is not None
    for stored in storage.all(resource):
        if isinstance(stored.object, CustomObject):
            yield stored.object.metadata.name, stored.object.body.value


def _webhooks(storage: Storage, kind: str, called: Kind, caller: Caller, metrics: PolicyMetrics) -> Iterator[Webhook]:
    for _, body in _bodies(storage, kind):
        yield from (Webhook(hook, called, caller, metrics) for hook in body.get("webhooks") or ())


class Attempted:
    """A write and what is configured: to be completed before it is validated, and checked after."""

    def __init__(self, now: Configuration, attempt: Attempt, decoder: Decoder, metrics: PolicyMetrics) -> None:
        self._now, self._attempt = now, attempt
        self._decoder, self._metrics = decoder, metrics

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the client is to be told."""
        return tuple(self._attempt.warnings)

    def completed(self, new: AnyObject, old: AnyObject | None) -> AnyObject:
        """The object as mutating policies and webhooks leave it.

        Raises:
            ApiError: one refuses.
        """
        if self._now.mutations:
            with self._step("MutatingAdmissionPolicy", "admit"):
                new = self._in_turn(
                    self._now.mutations, new, lambda each, obj: each.completed(self._attempt, obj, old, self._read)
                )
        if self._now.mutating:
            with self._step("MutatingAdmissionWebhook", "admit"):
                new = self._in_turn(self._now.mutating, new, lambda each, obj: self._passed(each, obj, old))
        return new

    @staticmethod
    def _in_turn(
        changers: Sequence[ChangerT], new: AnyObject, change: Callable[[ChangerT, AnyObject], AnyObject]
    ) -> AnyObject:
        """The object after one after the other; who wants to is asked again if others changed it afterwards."""
        seen: list[tuple[ChangerT, AnyObject]] = []
        for each in changers:
            new = change(each, new)
            if each.is_reinvoked:
                seen.append((each, new))
        for each, left in seen:
            if new != left:
                new = change(each, new)
        return new

    def _passed(self, hook: Webhook, new: AnyObject, old: AnyObject | None) -> AnyObject:
        attempt = self._attempt
        resource = hook.meant(attempt, attempt.aim(new, old), new, old)
        if resource is None:
            return new
        shown = document(new, resource)
        assert shown is not None
        patch = hook.ask(attempt, resource, shown, old)
        return new if not patch else self._read(resource, hook.changed(shown, patch))

    def _read(self, resource: Resource, changed: Json) -> AnyObject:
        stored = self._attempt.place.resource
        if resource.conversion is not None:
            changed = resource.conversion.written(changed)
        found = default(self._decoder.manifest(changed, stored).object)
        assert isinstance(found, AnyObject)
        return found

    def check(self, new: AnyObject | None, old: AnyObject | None) -> None:
        """Policies' and validating webhooks' say.

        Raises:
            ApiError: one refuses.
        """
        attempt = self._attempt
        aim = attempt.aim(new, old)
        if new is None and self._now.mutating:  # a deletion: nothing can be changed, but refused it can be
            with self._step("MutatingAdmissionWebhook", "admit"):
                self._ask(self._now.mutating, new, old)
        if self._now.policies:
            with self._step("ValidatingAdmissionPolicy", "validate"):
                for policy in self._now.policies:
                    policy.check(attempt, aim, new, old)
        if self._now.validating:
            with self._step("ValidatingAdmissionWebhook", "validate"):
                self._ask(self._now.validating, new, old)

    def _ask(self, hooks: list[Webhook], new: AnyObject | None, old: AnyObject | None) -> None:
        attempt = self._attempt
        aim = attempt.aim(new, old)
        calls: list[Callable[[], Any]] = []
        for hook in hooks:
            resource = hook.meant(attempt, aim, new, old)
            if resource is not None:
                calls.append(partial(hook.ask, attempt, resource, document(new, resource), old))
        if len(calls) == 1:
            calls[0]()
        elif calls:
            with ThreadPoolExecutor(min(len(calls), _AT_ONCE)) as pool:
                for done in [pool.submit(call) for call in calls]:
                    done.result()

    @contextmanager
    def _step(self, plugin: str, kind: str) -> Iterator[None]:
        started, rejected = time.perf_counter(), False
        try:
            yield
        except ApiError:
            rejected = True
            raise
        finally:
            operation = self._attempt.operation
            self._metrics.stepped(plugin, kind, operation, time.perf_counter() - started, rejected=rejected)
