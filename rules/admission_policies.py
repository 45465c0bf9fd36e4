"""ValidatingAdmissionPolicies: their status tells that they were looked at, and which fields they name in vain; as
kube-controller-manager's validatingadmissionpolicy-status controller.

What fields there are is known by who has the API's schema (``Check``). A plan does without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from rules.actions import Fact
from rules.concern import Touched, itself
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from state.objects import CustomObject, Opaque, replace
from state.snapshot import Key
from state.workspace import Workspace

KIND = "ValidatingAdmissionPolicy.admissionregistration.k8s.io"
#: The warnings about the expressions of a policy's spec, each with ``fieldRef`` and ``warning``.
Check = Callable[[Mapping[str, Any]], Sequence[dict[str, str]]]


class PolicyStatus(MethodConcern):
    """Writes the status of policies.

    Args:
        check: checks the types of expressions; None leaves the status to others.
    """

    name: ClassVar[str] = "admission-policy-status"
    subjects: ClassVar[tuple[str, ...]] = (KIND,)
    watches: ClassVar[Mapping[str, Touched]] = {KIND: itself}

    def __init__(self, check: Check | None = None) -> None:
        super().__init__()
        self._check = check

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the policy's status is about the policy as it is."""
        obj = ws.get(key)
        if self._check is None or not isinstance(obj, CustomObject):
            return None
        observed = (obj.body.value.get("status") or {}).get("observedGeneration")
        return {"name": key.name, "is_new": observed != obj.metadata.generation}

    def _tell(self, ctx: Context, key: Key, _: Fact) -> None:
        obj = ctx.ws.get(key)
        assert isinstance(obj, CustomObject)
        assert self._check is not None
        body = obj.body.value
        warnings = list(self._check(body.get("spec") or {}))
        checked = {"expressionWarnings": warnings} if warnings else {}
        status = {
            **(body.get("status") or {}),
            "observedGeneration": obj.metadata.generation,
            "typeChecking": checked,
        }
        ctx.update_status(replace(obj, body=Opaque({**body, "status": status})))

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="admission-policy-checked",
            when=m.is_new == True,  # noqa: E712 - durable-rules' own expressions
            then=_tell,
            why="policy {name} has changed since its expressions were checked",
        ),
    )
