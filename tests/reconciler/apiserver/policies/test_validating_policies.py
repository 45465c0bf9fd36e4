"""ValidatingAdmissionPolicies: what they are about, what they say, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.rbac import User
from reconciler.apiserver.resources import Place
from reconciler.apiserver.writer import Sent
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

Json = dict[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{ADMISSION}/validatingadmissionpolicies", f"{ADMISSION}/validatingadmissionpolicybindings"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
MERGE = "application/merge-patch+json"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def rule(*resources: str, operations: tuple[str, ...] = ("CREATE", "UPDATE"), group: str = "", **more: Any) -> Json:
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": list(operations),
        "resources": list(resources),
        **more,
    }


def bind(cluster: Cluster, actions: tuple[str, ...] = ("Deny",), **spec: Any) -> None:
    body = {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": list(actions), **spec}}
    cluster.must("POST", BINDINGS, body)


def policy(cluster: Cluster, *validations: str | Json, rules: list[Json] | None = None, **spec: Any) -> None:
    listed = [{"expression": each} if isinstance(each, str) else each for each in validations]
    constraints = {"resourceRules": rules or [rule("configmaps")], **spec.pop("constraints", {})}
    cluster.must(
        "POST",
        POLICIES,
        {"metadata": {"name": "p"}, "spec": {"matchConstraints": constraints, "validations": listed, **spec}},
    )


def create(cluster: Cluster, name: str = "m", **data: str) -> tuple[int, Json]:
    return cluster.call("POST", MAPS, {"metadata": {"name": name}, "data": data})


def test_a_refusal_names_policy_and_binding(cluster):
    """As kube-apiserver words it, with the cause that kubectl shows."""
    policy(cluster, "object.data.size() < 2")
    assert create(cluster, "before", a="1", b="2")[0] == 201  # nothing is bound to it yet
    bind(cluster)
    assert create(cluster, a="1")[0] == 201
    code, answer = create(cluster, "n", a="1", b="2")
    told = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: object.data.size() < 2"
    assert (code, answer["reason"]) == (422, "Invalid")
    assert answer["message"] == f'configmaps "n" is forbidden: {told}'
    assert answer["details"] == {"name": "n", "kind": "configmaps", "causes": [{"message": told}]}


def test_messages_and_reasons(cluster):
    """A computed message wins if there is one, the fixed one else; reasons have codes."""
    policy(
        cluster,
        {"expression": "!has(object.data.a)", "messageExpression": "'a is ' + object.data.a", "reason": "Forbidden"},
        {"expression": "!has(object.data.b)", "messageExpression": "object.data.none", "message": "no b"},
    )
    bind(cluster)
    code, answer = create(cluster, a="1")
    assert (code, answer["reason"]) == (403, "Forbidden")
    assert answer["message"].endswith("denied request: a is 1")
    code, answer = create(cluster, b="1")
    assert code == 422
    assert answer["message"].endswith("denied request: no b")


def test_what_cannot_be_evaluated_refuses_unless_failures_are_ignored(cluster):
    """By failurePolicy."""
    policy(cluster, "object.data.none == 'x'")
    bind(cluster)
    _, answer = create(cluster)
    assert answer["message"].endswith(
        "denied request: expression 'object.data.none == 'x'' resulted in error: no such key: data"
    )
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"failurePolicy": "Ignore"}}, MERGE)
    assert create(cluster)[0] == 201


def test_an_expression_and_all_together_may_take_so_much(cluster, monkeypatch):
    """Kubernetes' two limits: one for an expression, which is its own fault, and one for a policy."""
    monkeypatch.setattr("reconciler.apiserver.policies.matching.BUDGET", 1000)
    monkeypatch.setattr("reconciler.apiserver.policies.validating.BUDGET", 4000)
    data = {f"k{number}": "v" for number in range(25)}
    policy(cluster, *["object.data.all(a, object.data.all(b, a + b != ''))"] * 5, "size(object.data) == 25")
    bind(cluster)
    code, status = create(cluster, **data)
    assert code == 422
    assert status["message"].endswith("resulted in error: operation cancelled: actual cost limit exceeded")
    monkeypatch.setattr("reconciler.apiserver.policies.validating.BUDGET", 500)
    code, status = create(cluster, **data)
    why = "validation failed due to running out of cost budget, no further validation rules will be run"
    assert (code, status["message"].endswith(f"denied request: {why}")) == (422, True)


def test_variables_conditions_and_the_old_object(cluster):
    """Variables may use one another; a condition that doesn't hold leaves the policy out."""
    policy(
        cluster,
        "variables.isSame",
        variables=[
            {"name": "old", "expression": "oldObject == null ? {} : oldObject.data"},
            {"name": "isSame", "expression": "oldObject == null || variables.old == object.data"},
        ],
        matchConditions=[{"name": "c", "expression": "!object.metadata.name.startsWith('free')"}],
    )
    bind(cluster)
    assert create(cluster, a="1")[0] == create(cluster, "free", a="1")[0] == 201
    assert cluster.call("PATCH", f"{MAPS}/m", {"data": {"a": "2"}}, MERGE)[0] == 422
    assert cluster.call("PATCH", f"{MAPS}/free", {"data": {"a": "2"}}, MERGE)[0] == 200
    assert cluster.call("PATCH", f"{MAPS}/m", {"metadata": {"labels": {"x": "y"}}}, MERGE)[0] == 200


def test_parameters(cluster):
    """By name or by labels; without any, the binding says what follows."""
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    policy(cluster, "object.data.n == params.data.n", paramKind=kind, constraints=selector)
    reference = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
    bind(cluster, paramRef=reference)
    _, answer = create(cluster, n="1")
    assert answer["message"].endswith(
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )
    limits = {"metadata": {"name": "limits", "labels": {"l": "1"}}, "data": {"n": "1"}}
    cluster.must("PATCH", f"{BINDINGS}/b", {"spec": {"paramRef": {"parameterNotFoundAction": "Allow"}}}, MERGE)
    assert create(cluster, "x", n="9")[0] == 201  # nothing to compare with
    cluster.must("POST", "/api/v1/namespaces/default/configmaps", limits)
    assert create(cluster, "one", n="1")[0] == 201
    assert create(cluster, "two", n="2")[0] == 422
    selected = {"name": None, "selector": {"matchLabels": {"l": "1"}}}
    cluster.must("PATCH", f"{BINDINGS}/b", {"spec": {"paramRef": selected}}, MERGE)
    assert create(cluster, "three", n="2")[0] == 422
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"paramKind": {"kind": "Nothing"}}}, MERGE)
    _, answer = create(cluster, "four", n="1")
    assert "failed to find resource referenced by paramKind: '/v1, Kind=Nothing'" in answer["message"]


@pytest.mark.parametrize(
    ("constraints", "is_refused"),
    [
        ({"objectSelector": {"matchLabels": {"checked": "yes"}}}, True),
        ({"objectSelector": {"matchLabels": {"checked": "no"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}, True),
        ({"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, False),
        ({"excludeResourceRules": [rule("configmaps", operations=("*",))]}, False),
        ({"resourceRules": [rule("configmaps", operations=("UPDATE",))]}, False),
        ({"resourceRules": [rule("*", scope="Cluster")]}, False),
        ({"resourceRules": [rule("*", scope="Namespaced")]}, True),
        ({"resourceRules": [rule("*/*")]}, True),
        ({"resourceRules": [rule("configmaps/status")]}, False),
        ({"resourceRules": [rule("configmaps", resourceNames=["other"])]}, False),
        ({"resourceRules": [rule("configmaps", group="apps")]}, False),
    ],
)
def test_what_a_policy_is_about(cluster, constraints, is_refused):
    """Rules and selectors of the policy."""
    policy(cluster, "false", constraints=constraints)
    bind(cluster)
    code, _ = cluster.call("POST", MAPS, {"metadata": {"name": "m", "labels": {"checked": "yes"}}})
    assert (code == 422) is is_refused


def test_a_binding_narrows_and_only_warns_if_it_says_so(cluster):
    """Warnings go to the client."""
    policy(cluster, {"expression": "false", "message": "old-fashioned"})
    bind(cluster, ("Warn", "Audit"), matchResources={"objectSelector": {"matchLabels": {"a": "b"}}})
    resource = cluster.api.registry.of_kind("v1", "ConfigMap")
    place = Place(resource, NAMESPACE)
    warnings = {}
    for name, labels in (("meant", {"a": "b"}), ("other", {})):
        manifest = {"metadata": {"name": name, "labels": labels}, "apiVersion": "v1", "kind": "ConfigMap"}
        decoded = cluster.api.writer.decoder.manifest(manifest, resource)
        warnings[name] = cluster.api.writer.create(place, Sent.of(decoded, WriteOptions())).warnings
    assert warnings == {
        "meant": ("Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': old-fashioned",),
        "other": (),
    }


def test_deletions_subresources_and_other_versions(cluster):
    """A deleted object is the old one; a rule for autoscaling/v1 is about what comes as v2, too."""
    policy(cluster, "oldObject.metadata.name != 'kept'", rules=[rule("configmaps", operations=("DELETE",))])
    bind(cluster)
    create(cluster, "kept")
    create(cluster, "other")
    assert cluster.call("DELETE", f"{MAPS}/kept")[0] == 422
    assert cluster.call("DELETE", f"{MAPS}/other")[0] == 200
    status = rule("deployments/status", group="apps", operations=("UPDATE",))
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"matchConstraints": {"resourceRules": [status]}}}, MERGE)
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"validations": [{"expression": "false"}]}}, MERGE)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    cluster.must("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})
    assert cluster.call("PATCH", f"{DEPLOYMENTS}/d/status", {"status": {"replicas": 1}}, MERGE)[0] == 422
    old = {"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"]}
    scalers = {**old, "resources": ["horizontalpodautoscalers"]}
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"matchConstraints": {"resourceRules": [scalers]}}}, MERGE)
    scaler = {
        "metadata": {"name": "s"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
    }
    path = f"/apis/autoscaling/{{}}/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    assert cluster.call("POST", path.format("v2"), scaler)[0] == 422
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"matchConstraints": {"matchPolicy": "Exact"}}}, MERGE)
    assert cluster.call("POST", path.format("v2"), scaler)[0] == 201


def test_scales_evictions_and_bindings(cluster):
    """Parts with kinds of their own: the object is what is sent."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    cluster.must("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})
    cluster.must("POST", PODS, {"metadata": {"name": "p"}, "spec": template["spec"]})
    policy(
        cluster,
        "request.kind.kind == 'Scale' && oldObject.spec.replicas == 1 ? object.spec.replicas < 3 : false",
        rules=[rule("deployments/scale", group="apps"), rule("pods/eviction", "pods/binding")],
    )
    bind(cluster)
    assert cluster.call("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 3}}, MERGE)[0] == 422
    code, answer = cluster.call("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}}, MERGE)
    assert (code, answer["spec"]) == (200, {"replicas": 2})
    assert cluster.call("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})[0] == 422
    assert cluster.call("POST", f"{PODS}/p/binding", {"target": {"name": "node-0"}})[0] == 422


def test_who_asks_and_what_they_may(cluster):
    """The request's user, and the authoriser."""
    policy(
        cluster,
        "request.userInfo.username == 'ada' && request.operation == 'CREATE' && request.namespace == 'recorded'",
        "authorizer.group('').resource('pods').namespace('x').check('delete').allowed()",
        "!authorizer.serviceAccount('a', 'b').path('/metrics').check('get').allowed()",
        "authorizer.requestResource.check('custom').allowed()",
        "namespaceObject.metadata.name == request.namespace",
    )
    bind(cluster)
    asked: list[tuple[str, str, str]] = []

    def allows(user, wanted):
        asked.append((user.name, wanted.verb, wanted.resource or wanted.path))
        return user.name == "ada"

    cluster.api.writer.configured.allows = allows
    resource = cluster.api.registry.of_kind("v1", "ConfigMap")
    decoded = cluster.api.writer.decoder.manifest(
        {"metadata": {"name": "m"}, "apiVersion": "v1", "kind": "ConfigMap"}, resource
    )
    cluster.api.writer.create(Place(resource, NAMESPACE), Sent.of(decoded, WriteOptions(user=User("ada"))))
    assert asked == [
        ("ada", "delete", "pods"),
        ("system:serviceaccount:a:b", "get", "/metrics"),
        ("ada", "custom", "configmaps"),
    ]
    assert create(cluster, "n")[0] == 422


def test_controllers_are_asked_too_and_try_again(cluster):
    """A ReplicaSet whose pods aren't let in says so, and has them once the policy is gone."""
    policy(cluster, "object.spec.containers.all(c, c.image.contains(':'))", rules=[rule("pods")])
    bind(cluster)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "untagged"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    cluster.must("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})
    cluster.control.settle()
    assert cluster.must("GET", PODS)["items"] == []
    (told,) = [
        each["message"]
        for each in cluster.must("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        if each["reason"] == "FailedCreate"
    ]
    assert "denied request: failed expression: object.spec.containers.all(c, c.image.contains(':'))" in told
    cluster.must("DELETE", f"{BINDINGS}/b")
    cluster.clock.now += 10_000_000
    cluster.control.settle()
    assert len(cluster.must("GET", PODS)["items"]) == 1


def test_policies_are_not_about_policies(cluster):
    """So that a mistake can be undone."""
    policy(cluster, "false", rules=[{**rule("*"), "apiGroups": ["*"], "operations": ["*"]}])
    bind(cluster)
    assert create(cluster)[0] == 422
    assert cluster.call("DELETE", f"{BINDINGS}/b")[0] == 200
    assert create(cluster)[0] == 201


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"matchConstraints": None}, "spec.matchConstraints", "Required value"),
        ({"validations": []}, "spec.validations", "validations or auditAnnotations must contain at least one item"),
        (
            {"validations": [{"expression": "object.x ++"}]},
            "spec.validations[0].expression",
            "compilation failed: ERROR: <input>:1:11: Syntax error",
        ),
        (
            {"validations": [{"expression": "params.x == 1"}]},
            "spec.validations[0].expression",
            "undeclared reference to 'params' (in container '')",
        ),
        ({"validations": [{"expression": "true", "reason": "No"}]}, "spec.validations[0].reason", "Unsupported value"),
        ({"variables": [{"name": "a-b", "expression": "1"}]}, "spec.variables[0].name", "not a valid CEL identifier"),
        ({"failurePolicy": "No"}, "spec.failurePolicy", "Unsupported value"),
    ],
)
def test_what_is_no_policy(cluster, change, path, message):
    """Expressions are compiled when they are stored."""
    spec = {"matchConstraints": {"resourceRules": [rule("pods")]}, "validations": [{"expression": "true"}], **change}
    code, answer = cluster.call("POST", POLICIES, {"metadata": {"name": "p"}, "spec": spec})
    assert code == 422
    cause = next(each for each in answer["details"]["causes"] if each["field"] == path)
    assert message in cause["message"]


def test_what_is_no_binding(cluster):
    """What is to follow has to be said, once."""
    spec = {"paramRef": {"name": "a", "selector": {}}, "validationActions": ["Deny", "Warn", "Shout"]}
    code, answer = cluster.call("POST", BINDINGS, {"metadata": {"name": "b"}, "spec": spec})
    assert code == 422
    assert [each["field"] for each in answer["details"]["causes"]] == [
        "spec.policyName",
        "spec.paramRef.parameterNotFoundAction",
        "spec.validationActions[2]",
        "spec.validationActions",
    ]


@pytest.mark.parametrize("kind", [POLICIES, BINDINGS, f"{ADMISSION}/validatingwebhookconfigurations"])
def test_odd_objects_are_refused_or_harmless(cluster, kind):
    """Nulls where lists have items, and texts that are nothing."""
    odd = [
        {
            "matchConstraints": {
                "resourceRules": [{"operations": [None], "resources": [None, "*"], "apiGroups": [None]}]
            }
        },
        {"validations": [None], "variables": [{}], "auditAnnotations": [{}], "matchConditions": [None]},
        {"validationActions": [None], "paramRef": {}, "matchResources": {"excludeResourceRules": [None]}},
    ]
    for number, spec in enumerate(odd):
        body = {"metadata": {"name": f"p{number}"}, "spec": spec, "webhooks": [None, {"clientConfig": {"url": "::"}}]}
        assert cluster.call("POST", f"{kind}?fieldValidation=Ignore", body)[0] in (201, 400, 422)
    assert create(cluster)[0] == 201
