"""Built-in kinds that have no type here: their fields, defaults and checks, and how they are patched and applied."""

import pytest

from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.messages import cleaned, fields_of
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"
ROLES = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles"
BINDINGS = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def test_messages_are_cleaned_and_checked():
    """Nulls and unknown fields go, the latter are told; the first value of a wrong type is told as Go does."""
    unknown = []
    body = {"spec": {"rules": [{"host": None, "hots": "x"}], "tls": None}, "extra": 1}
    assert cleaned("networking.v1.Ingress", body, unknown) == {"spec": {"rules": [{}]}}
    assert unknown == ["spec.rules[0].hots", "extra"]
    assert message_fault("networking.v1.Ingress", {"spec": {"rules": {}}}) == (
        "json: cannot unmarshal object into Go struct field IngressSpec.spec.rules of type []v1.IngressRule"
    )
    assert message_fault("networking.v1.Ingress", {"spec": {"rules": [1]}}) == (
        "json: cannot unmarshal number into Go struct field IngressSpec.spec.rules of type v1.IngressRule"
    )
    assert "regular expression" in message_fault(
        "autoscaling.v2.HorizontalPodAutoscaler",
        {"spec": {"metrics": [{"resource": {"name": "cpu", "target": {"averageValue": "x"}}}]}},
    )
    assert message_fault("rbac.v1.Role", {"rules": [{"verbs": ["get"]}]}) == ""


def test_fields_without_a_name_are_their_parent_s():
    """As Go embeds structs."""
    assert {"handler", "overhead", "metadata"} <= set(fields_of("node.v1.RuntimeClass"))
    assert "exec" in fields_of("core.v1.Probe")


@pytest.mark.parametrize(
    ("path", "body", "causes"),
    [
        (INGRESSES, {"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        (
            INGRESSES,
            {"spec": {"rules": [{"http": {"paths": [{"path": "x", "pathType": "Exact", "backend": BACKEND}]}}]}},
            ['spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path'],
        ),
        (
            INGRESSES,
            {"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": {}}]}}]}},
            [
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
            ],
        ),
        (
            POLICIES,
            {"spec": {"ingress": [{"from": [{}]}], "policyTypes": ["Sideways"]}},
            [
                "spec.ingress[0].from[0]: Required value: must specify a peer",
                'spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"',
            ],
        ),
        (
            ROLES,
            {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}, {"verbs": []}]},
            [
                'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
                "rules[1].verbs: Required value: verbs must contain at least one value",
                "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[1].resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            BINDINGS,
            {"roleRef": {"kind": "Rule", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]},
            [
                'roleRef.kind: Unsupported value: "Rule": supported values: "Role", "ClusterRole"',
            ],
        ),
    ],
)
def test_what_is_not_allowed_is_refused(cluster, path, body, causes):
    """In the API server's words, all of it at once."""
    code, status = cluster.call("POST", path, {"metadata": {"name": "wrong"}, **body})
    told = [f"{each['field']}: {each['message']}" for each in status["details"]["causes"]]
    assert (code, told) == (422, causes)


def test_defaults(cluster):
    """What may be left out is filled in; the status begins as Go writes an empty one."""
    ingress = cluster.must("POST", INGRESSES, {"metadata": {"name": "i"}, "spec": {"defaultBackend": BACKEND}})
    assert ingress["status"] == {"loadBalancer": {}}
    policy = {"metadata": {"name": "p"}, "spec": {"egress": [{"ports": [{"port": 53}]}]}}
    assert cluster.must("POST", POLICIES, policy)["spec"] == {
        "podSelector": {},
        "egress": [{"ports": [{"protocol": "TCP", "port": 53}]}],
        "policyTypes": ["Ingress", "Egress"],
    }
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}}
    made = cluster.must("POST", BINDINGS, {**binding, "subjects": [{"kind": "User", "name": "jane"}]})
    group = "rbac.authorization.k8s.io"
    assert (made["roleRef"]["apiGroup"], made["subjects"][0]["apiGroup"]) == (group, group)


def test_what_never_changes(cluster):
    """The role of a binding."""
    path = f"{BINDINGS}/fixed"
    binding = {"metadata": {"name": "fixed"}, "roleRef": {"kind": "Role", "name": "r"}}
    cluster.must("POST", BINDINGS, binding)
    code, status = cluster.call("PATCH", path, {"roleRef": {"name": "other"}}, STRATEGIC)
    assert (code, "cannot change roleRef" in status["message"]) == (422, True)


def test_strategic_patches_merge_by_key(cluster):
    """Webhooks by their names; rules of a role are replaced."""
    client = {"url": "https://example.com"}
    hook = {"clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    hooks = [{"name": f"{name}.example.com", **hook} for name in ("a", "b")]
    cluster.must("POST", HOOKS, {"metadata": {"name": "h"}, "webhooks": hooks})
    change = {"webhooks": [{"name": "b.example.com", "timeoutSeconds": 3}]}
    patched = cluster.must("PATCH", f"{HOOKS}/h", change, STRATEGIC)["webhooks"]
    assert sorted((each["name"], each["timeoutSeconds"]) for each in patched) == [
        ("a.example.com", 10),
        ("b.example.com", 3),
    ]
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    cluster.must("POST", ROLES, {"metadata": {"name": "r"}, "rules": [rule, rule]})
    patched = cluster.must("PATCH", f"{ROLES}/r", {"rules": [{**rule, "verbs": ["list"]}]}, STRATEGIC)
    assert [each["verbs"] for each in patched["rules"]] == [["list"]]


def test_kinds_of_which_nothing_is_known_are_patched_too(cluster):
    """Newer built-in kinds: lists are replaced."""
    classes = "/apis/resource.k8s.io/v1/deviceclasses"
    rule = {"cel": {"expression": "true"}}
    cluster.must("POST", classes, {"metadata": {"name": "d"}, "spec": {"selectors": [rule, rule]}})
    patched = cluster.must("PATCH", f"{classes}/d", {"spec": {"selectors": [rule]}}, STRATEGIC)
    assert patched["spec"]["selectors"] == [rule]


def test_fields_are_owned_and_checked_when_applied(cluster):
    """Server-side apply knows the fields of these kinds: a conflict names the one, an unknown one is refused."""
    path = f"{INGRESSES}/owned?fieldManager="
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "owned"}}
    cluster.must("PATCH", f"{path}one", {**ingress, "spec": {"defaultBackend": BACKEND}}, APPLY)
    other = {"service": {"name": "other", "port": {"number": 80}}}
    code, status = cluster.call("PATCH", f"{path}two", {**ingress, "spec": {"defaultBackend": other}}, APPLY)
    assert code == 409
    assert [each["field"] for each in status["details"]["causes"]] == [".spec.defaultBackend.service.name"]
    code, status = cluster.call("PATCH", f"{path}two", {**ingress, "spec": {"backend": other}}, APPLY)
    assert (code, "field not declared in schema" in status["message"]) == (500, True)


def test_times_may_come_in_any_form(cluster):
    """An object that comes back with its times written in another way is the same object."""
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    made = cluster.must("POST", maps, {"metadata": {"name": "m"}, "data": {"a": "b"}})
    at = made["metadata"]["creationTimestamp"].replace("Z", "+00:00")
    for entry in made["metadata"]["managedFields"]:
        entry["time"] = entry["time"].replace("Z", ".000+00:00")
    again = {**made, "metadata": {**made["metadata"], "creationTimestamp": at}}
    assert cluster.must("PUT", f"{maps}/m", again)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_containers_are_added_to_debug_a_pod(cluster):
    """Ephemeral containers by their own path: they can be added, and neither changed nor removed."""
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    cluster.must("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    path = f"{pods}/p/ephemeralcontainers"
    debugger = {"name": "d", "image": "tools"}
    patched = cluster.must("PATCH", path, {"spec": {"ephemeralContainers": [debugger]}}, STRATEGIC)
    assert [each["name"] for each in patched["spec"]["ephemeralContainers"]] == ["d"]
    for change, word in (({"image": "other"}, "changed"), ({"$patch": "delete"}, "removed")):
        body = {"spec": {"ephemeralContainers": [{**debugger, **change}]}}
        code, status = cluster.call("PATCH", path, body, STRATEGIC)
        assert (code, f'"d" may not be {word}' in status["message"]) == (422, True)


def test_a_pod_is_resized(cluster):
    """Resources by their own path, as long as the quality of service stays."""
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    resources = {"requests": {"cpu": "1"}}
    container = {"name": "c", "image": "i", "resources": resources}
    cluster.must("POST", pods, {"metadata": {"name": "q"}, "spec": {"containers": [container]}})
    smaller = {"name": "c", "resources": {"requests": {"cpu": "500m"}}}
    body = {"spec": {"containers": [smaller]}}
    found = cluster.must("PATCH", f"{pods}/q/resize", body, STRATEGIC)["spec"]["containers"][0]
    assert found["resources"]["requests"]["cpu"] == "500m"
    body = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": None}}}]}}
    code, status = cluster.call("PATCH", f"{pods}/q/resize", body, STRATEGIC)
    assert (code, "Pod QOS Class may not change" in status["message"]) == (422, True)
