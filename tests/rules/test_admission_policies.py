"""The status of ValidatingAdmissionPolicies."""

from __future__ import annotations

from reconciler.cycle import Cycle
from rules.admission_policies import PolicyStatus
from state.load import from_dict
from state.snapshot import Snapshot

POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "p", "uid": "u", "generation": 2},
    "spec": {"validations": [{"expression": "object.x"}]},
}


def settled(concern: PolicyStatus, policy: dict) -> Cycle:
    cycle = Cycle(Snapshot.of([from_dict(policy)]), [concern])
    cycle.ctx.start(0)
    assert cycle.settle(0)
    return cycle


def test_a_policy_is_checked_once_for_each_change() -> None:
    """The generation that was looked at is told, and what was found."""
    asked = []

    def check(spec):
        asked.append(spec)
        return [{"fieldRef": "spec.validations[0].expression", "warning": "no such field"}]

    cycle = settled(PolicyStatus(check), POLICY)
    (obj,) = cycle.ws.table("ValidatingAdmissionPolicy.admissionregistration.k8s.io").values()
    assert obj.body.value["status"] == {
        "observedGeneration": 2,
        "typeChecking": {
            "expressionWarnings": [{"fieldRef": "spec.validations[0].expression", "warning": "no such field"}]
        },
    }
    assert asked == [POLICY["spec"]]
    done = {**POLICY, "status": {"observedGeneration": 2, "typeChecking": {}}}
    assert settled(PolicyStatus(check), done).ctx.actions == []


def test_a_plan_leaves_it_alone() -> None:
    """Nobody checks there."""
    assert settled(PolicyStatus(), POLICY).ctx.actions == []
