"""MutatingAdmissionPolicies: expressions that change an object before it is validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.apiserver.apply_shapes import Shape, shape_of, shape_of_built_in, shape_of_custom
from reconciler.apiserver.apply_walk import merge
from reconciler.apiserver.cel import CelError, Steps, kind_name
from reconciler.apiserver.patches import json_patch
from reconciler.apiserver.policies.attempt import Attempt, document
from reconciler.apiserver.policies.matching import conditions_hold, evaluated
from reconciler.apiserver.policies.validating import BUDGET, Binding, Policy, text_of
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError
from state.objects import AnyObject

Json = dict[str, Any]
#: Makes an object of what it was changed to.
Read = Callable[[Resource, Json], AnyObject]
_APPLY = "ApplyConfiguration"


class MutatingPolicy(Policy):
    """One such policy with its bindings."""

    @property
    def is_reinvoked(self) -> bool:
        """Whether it is evaluated again if others change the object after it."""
        return self._spec.get("reinvocationPolicy") == "IfNeeded"

    def completed(self, attempt: Attempt, new: AnyObject, old: AnyObject | None, read: Read) -> AnyObject:
        """The object as the policy leaves it.

        Raises:
            ApiError: the write is refused.
        """
        aim = attempt.aim(new, old)
        resource = self._match.finds(aim)
        if resource is None:
            return new
        for binding, params in self._bound(attempt, aim):
            for param in params:
                try:
                    new = self._changed(attempt, resource, (new, old), param, read)
                except CelError as error:
                    if not self._ignores:
                        raise self._refused(attempt, binding, str(error), "") from error
        return new

    def _refused(self, attempt: Attempt, binding: Binding, message: str, reason: str) -> ApiError:
        told = f"policy '{self.name}' with binding '{binding.name}' denied request: {message}"
        error = attempt.refusal(told, reason or "Forbidden")
        error.message = told
        error.details = {**(error.details or {}), "causes": [{"message": told}]}
        return error

    def _changed(
        self,
        attempt: Attempt,
        resource: Resource,
        objects: tuple[AnyObject, AnyObject | None],
        param: Json | None,
        read: Read,
    ) -> AnyObject:
        """The object after all mutations, one after the other.

        Raises:
            CelError: one has no value, or it can't be done.
        """
        new, old = objects
        steps = Steps(BUDGET)
        names = {**attempt.names(resource, new, old), "params": param}
        names["variables"] = self._variables(names, steps)
        if not conditions_hold(self._spec.get("matchConditions") or (), names, steps):
            return new
        for mutation in self._spec.get("mutations") or ():
            names = {**attempt.names(resource, new, old), "params": param}
            names["variables"] = self._variables(names, steps)
            shown = document(new, resource)
            assert shown is not None
            try:
                new = read(resource, _mutated(resource, shown, mutation, names, steps))
            except ApiError as error:
                raise CelError(error.message) from error
        return new


def _mutated(resource: Resource, shown: Json, mutation: Json, names: Json, steps: Steps) -> Json:
    if mutation.get("patchType") == _APPLY:
        found = evaluated(text_of(mutation.get("applyConfiguration") or {}, "expression"), names, steps)
        if not isinstance(found, dict):
            raise CelError(f"ApplyConfiguration expression must evaluate to Object but got {kind_name(found)}")
        merged: Json = merge(shown, found, _shape(resource))
        return merged
    found = evaluated(text_of(mutation.get("jsonPatch") or {}, "expression"), names, steps)
    if not isinstance(found, list):
        raise CelError(f"JSONPatch expression must evaluate to array but got {kind_name(found)}")
    changed = json_patch(shown, found)
    if not isinstance(changed, dict):
        raise CelError("a patched object is no object")
    return changed


def _shape(resource: Resource) -> Shape:
    if resource.merged is None:
        return shape_of_custom(None if resource.custom is None else resource.custom.schema)
    return shape_of_built_in(resource.merged) if isinstance(resource.merged, str) else shape_of(resource.merged)
