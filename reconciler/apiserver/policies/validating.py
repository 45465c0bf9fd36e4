"""ValidatingAdmissionPolicies: expressions that say whether a write is let in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from reconciler.apiserver import wire
from reconciler.apiserver.cel import CelBudgetError, CelError, Lazy, Steps, compiled, kind_name
from reconciler.apiserver.policies.attempt import Attempt
from reconciler.apiserver.policies.matching import Aim, Match, Selector, conditions_hold, evaluated
from reconciler.apiserver.policies.metrics import PolicyMetrics
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.storage import Storage
from state.objects import AnyObject

log = structlog.get_logger("reconciler")

Json = dict[str, Any]
#: Steps that all expressions of one policy may take for one write: Kubernetes' ``RuntimeCELCostBudget``.
BUDGET = 10_000_000
_MESSAGE_BYTES = 5 * 1024
_ANNOTATION_BYTES = 10 * 1024
_CODES = {"Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413, "Unauthorized": 401}


class Variables(dict[str, Any]):
    """The variables that a policy defines: each is computed when it is first used, and may use those before it."""

    cel_type = "kubernetes.variables"

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return value.get() if type(value) is Lazy else value


@dataclass(frozen=True, slots=True)
class _Decision:
    """What one validation says."""

    message: str
    reason: str
    error_type: str
    index: int
    seconds: float


class Binding:
    """Has a policy be about something, with what parameters, and what follows."""

    def __init__(self, name: str, spec: Json) -> None:
        self.name, self.policy = name, spec.get("policyName") or ""
        self.actions = [each for each in spec.get("validationActions") or () if isinstance(each, str)]
        self.match = Match(spec.get("matchResources") or {})
        self._ref: Json | None = spec.get("paramRef")

    def params(self, kind: Json | None, storage: Storage, namespace: str) -> list[Json | None]:
        """The parameters that the policy is evaluated with, one after the other.

        Raises:
            CelError: they can't be told.
        """
        ref = self._ref
        if kind is None or ref is None:
            return [None]
        resource = storage.registry.of_kind(kind.get("apiVersion") or "", kind.get("kind") or "")
        if resource is None:
            group, _, version = str(kind.get("apiVersion")).rpartition("/")
            shown = f"{group}/{version}, Kind={kind.get('kind')}"
            raise CelError(f"failed to find resource referenced by paramKind: '{shown}'")
        found = self._found(resource, storage, ref, namespace)
        if not found and ref.get("parameterNotFoundAction") == "Deny":
            raise CelError("no params found for policy binding with `Deny` parameterNotFoundAction")
        return list(found)

    def _found(self, resource: Resource, storage: Storage, ref: Json, namespace: str) -> list[Json]:
        if resource.namespaced:
            namespace = ref.get("namespace") or namespace
            if not namespace:
                raise CelError("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
        elif ref.get("namespace"):
            raise CelError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        else:
            namespace = ""
        if ref.get("name"):
            stored = storage.get(resource, namespace, ref["name"])
            return [] if stored is None else [wire.document(stored.object)]
        chosen = Selector(ref.get("selector"))
        return [
            wire.document(each.object)
            for each in storage.all(resource, namespace)
            if chosen.takes(each.object.metadata.labels)
        ]


class Policy:
    """One policy with its bindings."""

    def __init__(
        self, name: str, spec: Json, bindings: list[Binding], storage: Storage, metrics: PolicyMetrics
    ) -> None:
        self.name, self._bindings = name, bindings
        self._storage, self._metrics = storage, metrics
        self._match = Match(spec.get("matchConstraints") or {})
        self._spec = spec
        self._kind: Json | None = spec.get("paramKind")
        self._ignores = spec.get("failurePolicy") == "Ignore"

    def check(self, attempt: Attempt, aim: Aim, new: AnyObject | None, old: AnyObject | None) -> None:
        """Evaluates it for a write.

        Raises:
            ApiError: the write is refused.
        """
        resource = self._match.finds(aim)
        if resource is None:
            return
        names = attempt.names(resource, new, old)
        for binding, params in self._bound(attempt, aim):
            for param in params:
                self._evaluate(attempt, binding, {**names, "params": param})

    def _bound(self, attempt: Attempt, aim: Aim) -> Iterator[tuple[Binding, list[Json | None]]]:
        """The bindings that are about a write, with their parameters.

        Raises:
            ApiError: those can't be told, and the write is refused.
        """
        for binding in self._bindings:
            if binding.match.finds(aim, is_binding=True) is None:
                continue
            try:
                params = binding.params(self._kind, self._storage, attempt.place.namespace)
            except CelError as error:
                if self._ignores:
                    continue
                raise self._refused(attempt, binding, f"failed to configure binding: {error}", "") from error
            yield binding, params

    def _refused(self, attempt: Attempt, binding: Binding, message: str, reason: str) -> ApiError:
        told = f"ValidatingAdmissionPolicy '{self.name}' with binding '{binding.name}' denied request: {message}"
        reason = reason or "Invalid"
        error = attempt.refusal(told, reason, _CODES.get(reason, 422))
        assert error.details is not None
        error.details["causes"] = [{"message": told}]
        return error

    def _evaluate(self, attempt: Attempt, binding: Binding, names: Json) -> None:
        steps = Steps(BUDGET)
        names["variables"] = self._variables(names, steps)
        refused: _Decision | None = None
        for decision in self._decisions(names, steps):
            for action in binding.actions:
                self._metrics.decided(self.name, binding.name, action, decision.error_type, decision.seconds)
                if action == "Deny":
                    refused = refused or decision
                elif action == "Warn":
                    attempt.warnings.append(
                        f"Validation failed for ValidatingAdmissionPolicy '{self.name}' with binding '{binding.name}': "
                        f"{decision.message}"
                    )
                else:
                    self._publish(attempt, binding, {"validation_failure": decision.message})
        try:
            annotations = dict(self._annotations(names, steps))
        except CelError as error:
            if not self._ignores and refused is None:
                raise self._refused(attempt, binding, str(error), "") from error
            annotations = {}
        if annotations:
            self._publish(attempt, binding, annotations)
        if refused is not None:
            raise self._refused(attempt, binding, refused.message, refused.reason)

    def _publish(self, attempt: Attempt, binding: Binding, annotations: Json) -> None:
        place = attempt.place
        log.info(
            "a policy has something for the audit",
            policy=self.name,
            binding=binding.name,
            user=attempt.user.name,
            operation=attempt.operation,
            resource=place.resource.plural,
            namespace=place.namespace,
            name=place.name,
            annotations=annotations,
        )

    def _variables(self, names: Json, steps: Steps) -> Variables:
        found = Variables()
        inner = {**names, "variables": found}
        for each in self._spec.get("variables") or ():
            name = str(each.get("name"))
            found[name] = Lazy(_variable(name, text_of(each, "expression"), inner, steps))
        return found

    def _decisions(self, names: Json, steps: Steps) -> Iterator[_Decision]:
        """The validations that don't hold."""
        try:
            if not conditions_hold(self._spec.get("matchConditions") or (), names, steps):
                return
        except CelError as error:
            if not self._ignores:
                yield _Decision(str(error), "", _error_type(error), 0, 0.0)
            return
        for index, validation in enumerate(self._spec.get("validations") or ()):
            started = time.perf_counter()
            try:
                if evaluated(text_of(validation, "expression"), names, steps) is True:
                    continue
            except CelError as error:
                if not self._ignores:
                    yield _Decision(str(error), "", _error_type(error), index, time.perf_counter() - started)
                continue
            message = self._message(validation, names, steps)
            yield _Decision(message, validation.get("reason") or "", "no_error", index, time.perf_counter() - started)

    def _message(self, validation: Json, names: Json, steps: Steps) -> str:
        told = validation.get("messageExpression")
        if told:
            without = {name: value for name, value in names.items() if name != "authorizer"}
            try:
                found = evaluated(told, without, steps)
            except CelError as error:
                log.warning("a policy's message can't be told", policy=self.name, cause=str(error))
                found = ""
            text = found.strip() if isinstance(found, str) else ""
            if text and "\n" not in text and len(text.encode()) <= _MESSAGE_BYTES:
                return text
        return (validation.get("message") or "").strip() or f"failed expression: {text_of(validation, 'expression')}"

    def _annotations(self, names: Json, steps: Steps) -> Iterator[tuple[str, str]]:
        """What the policy has for the audit.

        Raises:
            CelError: that can't be told.
        """
        for each in self._spec.get("auditAnnotations") or ():
            value = evaluated(text_of(each, "valueExpression"), names, steps)
            if isinstance(value, str):
                if value.strip():
                    yield f"{self.name}/{each.get('key')}", value.strip()[:_ANNOTATION_BYTES]
            elif value is not None:
                raise CelError(
                    f"valueExpression '{text_of(each, 'valueExpression')}' resulted in unsupported return type: "
                    f"{kind_name(value)}. Return type must be either string or null."
                )


def text_of(holder: Json, name: str) -> str:
    """An expression as it is evaluated; "" if there is none, which has no value."""
    return str(holder.get(name) or "").strip()


def _error_type(error: CelError) -> str:
    return "out_of_budget" if isinstance(error, CelBudgetError) else "invalid_error"


def _variable(name: str, text: str, names: Json, steps: Steps) -> Callable[[], Any]:
    def make() -> Any:
        try:
            return compiled(text).evaluate(names, steps)
        except CelBudgetError:
            raise
        except (CelError, ValueError) as error:
            raise CelError(f'composited variable "{name}" fails to evaluate: {error}') from error

    return make
