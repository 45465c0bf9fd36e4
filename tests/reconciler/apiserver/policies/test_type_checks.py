"""Fields that expressions name and that no object has."""

from __future__ import annotations

import pytest

from reconciler.apiserver.policies.type_checks import TypeChecks
from reconciler.apiserver.resources import Registry

CHECKS = TypeChecks(Registry())


def told(expression: str, group: str = "apps", resource: str = "deployments", **more: str) -> list[dict[str, str]]:
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["*"], "resources": [resource]}
    validation = {"expression": expression, **more}
    return CHECKS({"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]})


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas > 1 && oldObject.metadata.labels.whatever == 'x'",
        "object.spec.template.spec.containers.all(c, c.image != '' && c.resources.limits.cpu != null)",
        "object.spec.template.spec.containers[0].name == 'x'",
        "params.anything && variables.what && request.userInfo.username == ''",
        "[object.spec].all(s, s.replicas > 1)",
        "object.?spec.?replicas.orValue(1) > 1",
        "object.apiVersion == object.kind",
    ],
)
def test_what_is_there(expression):
    """Maps have any key; of parameters and variables nothing is known."""
    assert told(expression) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("object.foo > 1", "ERROR: <input>:1:7: undefined field 'foo'\n | object.foo > 1\n | ......^"),
        ("has(object.spec.nope)", "undefined field 'nope'"),
        ("object.spec.template.spec.containers.all(c, c.imagee != '')", "undefined field 'imagee'"),
        ("object.spec.template.spec.containers[0].imagee == ''", "undefined field 'imagee'"),
        ("[object.spec].all(s, s.nope > 1)", "undefined field 'nope'"),
        ("object.spec.replicas == 'x'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("object.metadata.name.size() > 'x'", "found no matching overload for '_>_' applied to '(int, string)'"),
    ],
)
def test_what_is_not(expression, fault):
    """With the kind, and the place."""
    (warning,) = told(expression)
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert warning["warning"].startswith("apps/v1, Kind=Deployment: ")
    assert fault in warning["warning"]


def test_messages_are_checked_and_what_is_meant_by_a_star_is_not():
    """There would be no end of kinds."""
    (warning,) = told("true", messageExpression="object.nope")
    assert warning["fieldRef"] == "spec.validations[0].messageExpression"
    assert told("object.nope", resource="*") == []
    assert told("object.nope", group="", resource="configmaps")[0]["warning"].startswith("/v1, Kind=ConfigMap: ")
