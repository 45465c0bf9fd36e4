"""Nobody gives rights that they don't have: roles, bindings, impersonation; and what a change takes beyond itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.reconciler.apiserver.secured import RBAC, Client, grant

GROUP = "rbac.authorization.k8s.io"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def rule(verbs: str, resources: str = "", groups: str = "", **more: Any) -> dict[str, Any]:
    """A rule from words between blanks; the core group is ``core``."""
    named = ["" if group == "core" else group for group in groups.split()]
    fields = {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": named, **more}
    return {name: value for name, value in fields.items() if value}


WRITER = rule("create update patch delete get", "roles clusterroles rolebindings clusterrolebindings", GROUP)
PODS = rule("get list", "pods pods/log", "core")


def role(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules), **more}


def binding(name: str, kind: str, target: str, user: str = "eve") -> dict[str, Any]:
    reference = {"apiGroup": GROUP, "kind": kind, "name": target}
    subject = {"apiGroup": GROUP, "kind": "User", "name": user}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}


@pytest.mark.parametrize(
    ("held", "wanted", "missing"),
    [
        ([PODS], [rule("get", "pods", "core")], ""),
        ([PODS], [rule("get", "pods", "core", resourceNames=["a"])], ""),
        ([PODS], [rule("delete get", "pods", "core")], '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'),
        ([PODS], [rule("get", "pods", "apps core")], '{APIGroups:["apps"], Resources:["pods"], Verbs:["get"]}'),
        ([PODS], [rule("*", "pods", "core")], '{APIGroups:[""], Resources:["pods"], Verbs:["*"]}'),
        ([PODS], [rule("get", "*", "core")], '{APIGroups:[""], Resources:["*"], Verbs:["get"]}'),
        ([PODS], [rule("get", "pods/exec", "core")], '{APIGroups:[""], Resources:["pods/exec"], Verbs:["get"]}'),
        ([rule("get", "*/scale", "*")], [rule("get", "deployments/scale", "apps")], ""),
        ([rule("get", "*", "core")], [rule("get", "pods/exec", "core")], ""),
        (
            [rule("get", "pods", "core", resourceNames=["a"])],
            [rule("get", "pods", "core", resourceNames=["a", "b"])],
            '{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}',
        ),
        (
            [rule("get", "pods", "core", resourceNames=["a"])],
            [rule("get", "pods", "core")],
            '{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
        ),
        ([rule("get", nonResourceURLs=["/logs/*"])], [rule("get", nonResourceURLs=["/logs/a", "/logs/*"])], ""),
        (
            [rule("get", nonResourceURLs=["/logs/*"])],
            [rule("get", nonResourceURLs=["/*"])],
            '{NonResourceURLs:["/*"], Verbs:["get"]}',
        ),
        (
            [],
            [rule("*", "*", "*")],
            '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
        ),
        (
            [],
            [rule("list get", "pods nodes", "core")],
            (
                '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}\n'
                '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}'
            ),
        ),
    ],
)
def test_a_role_holds_no_more_than_its_author(client: Client, held: list[Any], wanted: list[Any], missing: str) -> None:
    """Right by right, and each has to be in one rule; what is missing is listed as Kubernetes does."""
    grant(client, [WRITER, *held])
    code, answer = client("POST", f"{RBAC}/clusterroles", role("new", *wanted), token="bobs")
    if not missing:
        assert code == 201, answer
        return
    assert code == 403
    assert answer["message"] == (
        'clusterroles.rbac.authorization.k8s.io "new" is forbidden: user "bob" (groups=["dev" "system:authenticated"]) '
        f"is attempting to grant RBAC permissions not currently held:\n{missing}"
    )


def test_a_role_grows_by_no_kind_of_change(client: Client) -> None:
    """PUT, patches of all types, server-side apply, and a PUT that makes one."""
    grant(client, [WRITER, PODS])
    path = f"{RBAC}/clusterroles/mine"
    assert client("POST", f"{RBAC}/clusterroles", role("mine", PODS), token="bobs")[0] == 201
    more = role("mine", rule("*", "*", "*"))
    assert client("PUT", path, more, token="bobs")[0] == 403
    assert client("PUT", f"{RBAC}/clusterroles/other", role("other", rule("*", "*", "*")), token="bobs")[0] == 403
    for media in (MERGE, "application/strategic-merge-patch+json"):
        assert client("PATCH", path, {"rules": more["rules"]}, token="bobs", content_type=media)[0] == 403
    operations = [{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]
    json_patch = "application/json-patch+json"
    assert client("PATCH", path, operations, token="bobs", content_type=json_patch)[0] == 403
    applied = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", **more}
    query = "?fieldManager=bob&force=true"
    assert client("PATCH", path + query, applied, token="bobs", content_type=APPLY)[0] == 403
    assert client("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, token="bobs", content_type=MERGE)[0] == 200


def test_a_role_in_a_namespace_is_measured_there(client: Client) -> None:
    """Rights that hold in one namespace can be given there, and nowhere else."""
    grant(client, [WRITER])
    grant(client, [PODS], "default")
    for namespace, code in (("default", 201), ("kube-system", 403)):
        assert client("POST", f"{RBAC}/namespaces/{namespace}/roles", role("new", PODS), token="bobs")[0] == code
    assert client("POST", f"{RBAC}/clusterroles", role("new", PODS), token="bobs")[0] == 403


def test_who_may_escalate_may(client: Client) -> None:
    """``escalate`` on the role, by name if the rule says so."""
    grant(client, [WRITER, rule("escalate", "clusterroles", GROUP, resourceNames=["a"])])
    everything = rule("*", "*", "*")
    for name, code in (("a", 201), ("b", 403)):
        assert client("PUT", f"{RBAC}/clusterroles/{name}", role(name, everything), token="bobs")[0] == code


def test_gathering_rules_takes_all_rights(client: Client) -> None:
    """Whoever labels a role could add to one that gathers; so it takes everything to make one."""
    grant(client, [WRITER])
    gathers = role("new", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]})
    code, answer = client("POST", f"{RBAC}/clusterroles", gathers, token="bobs")
    assert (code, answer["message"]) == (
        403,
        (
            'clusterroles.rbac.authorization.k8s.io "new" is forbidden: must have cluster-admin privileges to use the '
            "aggregationRule"
        ),
    )


def test_a_binding_gives_what_its_author_has(client: Client) -> None:
    """Or what they may ``bind``."""
    grant(client, [WRITER, PODS, rule("bind", "clusterroles", GROUP, resourceNames=["view"])])
    assert client("POST", f"{RBAC}/clusterroles", role("pods", PODS), token="bobs")[0] == 201
    path = f"{RBAC}/clusterrolebindings"
    assert client("POST", path, binding("a", "ClusterRole", "pods"), token="bobs")[0] == 201
    assert client("POST", path, binding("b", "ClusterRole", "view"), token="bobs")[0] == 201
    code, answer = client("POST", path, binding("c", "ClusterRole", "cluster-admin", "bob"), token="bobs")
    assert code == 403
    assert answer["message"].endswith(
        'not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'
    )
    code, answer = client("POST", path, binding("d", "ClusterRole", "missing"), token="bobs")
    assert (code, answer["message"]) == (404, 'clusterroles.rbac.authorization.k8s.io "missing" not found')
    assert client("GET", "/api/v1/secrets", token="eves")[0] == 403
    assert client("GET", "/api/v1/pods", token="eves")[0] == 200


def test_a_binding_cannot_be_bent(client: Client) -> None:
    """Neither by naming another role nor by adding subjects to one that gives too much."""
    grant(client, [WRITER, PODS])
    assert client("POST", f"{RBAC}/clusterroles", role("pods", PODS), token="bobs")[0] == 201
    path = f"{RBAC}/clusterrolebindings"
    assert client("POST", path, binding("mine", "ClusterRole", "pods"), token="bobs")[0] == 201
    other = {"roleRef": {"name": "cluster-admin"}}
    assert client("PATCH", f"{path}/mine", other, token="bobs", content_type=MERGE)[0] in (403, 422)
    subjects = {"subjects": [{"apiGroup": GROUP, "kind": "User", "name": "bob"}]}
    assert client("PATCH", f"{path}/cluster-admin", subjects, token="bobs", content_type=MERGE)[0] == 403
    assert client("GET", "/api/v1/secrets", token="bobs")[0] == 403


def test_in_a_namespace_its_role_is_bound(client: Client) -> None:
    """A RoleBinding refers to a Role of its own namespace; rights there suffice."""
    grant(client, [WRITER])
    grant(client, [PODS], "default")
    path = f"{RBAC}/namespaces/default"
    assert client("POST", f"{path}/roles", role("pods", PODS), token="bobs")[0] == 201
    assert client("POST", f"{path}/rolebindings", binding("a", "Role", "pods"), token="bobs")[0] == 201
    assert client("POST", f"{path}/rolebindings", binding("b", "ClusterRole", "view"), token="bobs")[0] == 403
    there = f"{RBAC}/namespaces/kube-system/rolebindings"
    assert client("POST", there, binding("a", "Role", "pods"), token="bobs")[0] == 404
    assert client("GET", "/api/v1/namespaces/default/pods", token="eves")[0] == 200


def test_the_garbage_collector_needs_no_rights_to_let_go(client: Client) -> None:
    """Finalizers and owners of a role may be changed by who doesn't have its rights."""
    grant(client, [WRITER])
    assert client("POST", f"{RBAC}/clusterroles", role("big", rule("*", "*", "*")), token="roots")[0] == 201
    change = {"metadata": {"finalizers": ["a/b"]}}
    assert client("PATCH", f"{RBAC}/clusterroles/big", change, token="bobs", content_type=MERGE)[0] == 200
    change = {"metadata": {"labels": {"a": "b"}}}
    assert client("PATCH", f"{RBAC}/clusterroles/big", change, token="bobs", content_type=MERGE)[0] == 403


def test_making_an_object_by_changing_it_takes_the_right_to_create(client: Client) -> None:
    """A PUT of a Lease and an apply of a ConfigMap that aren't there."""
    grant(client, [rule("update patch get", "configmaps leases", "core coordination.k8s.io")])
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    code, answer = client("PUT", lease, {"metadata": {"name": "a"}}, token="bobs")
    assert (code, answer["message"]) == (
        403,
        (
            'leases.coordination.k8s.io "a" is forbidden: User "bob" cannot create resource "leases" in API group '
            '"coordination.k8s.io" in the namespace "default"'
        ),
    )
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    path = "/api/v1/namespaces/default/configmaps/a"
    assert client("PATCH", f"{path}?fieldManager=b", applied, token="bobs", content_type=APPLY)[0] == 403
    assert client("PATCH", f"{path}?fieldManager=b", applied, token="roots", content_type=APPLY)[0] == 201
    assert client("PATCH", f"{path}?fieldManager=b&force=1", applied, token="bobs", content_type=APPLY)[0] == 200


@pytest.mark.parametrize(
    ("rules", "headers", "code"),
    [
        ([], {"impersonate_user": "eve"}, 403),
        ([rule("impersonate", "users", "core")], {"impersonate_user": "eve"}, 201),
        ([rule("impersonate", "users", "core", resourceNames=["ann"])], {"impersonate_user": "eve"}, 403),
        ([rule("impersonate", "users", "core")], {"impersonate_user": "eve", "impersonate_group": "ops"}, 403),
        ([rule("impersonate", "users groups", "core")], {"impersonate_user": "eve", "impersonate_group": "ops"}, 201),
        ([rule("impersonate", "users", "core")], {"impersonate_user": "system:serviceaccount:a:b"}, 403),
        ([rule("impersonate", "serviceaccounts", "core")], {"impersonate_user": "system:serviceaccount:a:b"}, 201),
        ([rule("impersonate", "users", "core")], {"impersonate_user": "eve", "impersonate_uid": "1"}, 403),
        (
            [rule("impersonate", "users uids", "core authentication.k8s.io")],
            {"impersonate_user": "eve", "impersonate_uid": "1"},
            201,
        ),
        ([rule("impersonate", "users", "core")], {"impersonate_user": "eve", "impersonate_extra_scopes": "all"}, 403),
        (
            [rule("impersonate", "users userextras/scopes", "core authentication.k8s.io")],
            {"impersonate_user": "eve", "impersonate_extra_scopes": "all"},
            201,
        ),
        ([rule("impersonate", "users groups", "core")], {"impersonate_group": "ops"}, 500),
        ([rule("impersonate", "groups", "core")], {"impersonate_user": "", "impersonate_group": "system:masters"}, 500),
    ],
)
def test_each_part_of_another_identity_takes_a_right(
    client: Client, rules: list[Any], headers: dict[str, str], code: int
) -> None:
    """User, groups, uid and extra are rights of their own."""
    grant(client, [rule("create", "selfsubjectreviews", "authentication.k8s.io"), *rules])
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    found, answer = client("POST", path, {}, token="bobs", **headers)
    assert found == code, answer
    if code == 201:
        info = answer["status"]["userInfo"]
        assert info["username"] == headers["impersonate_user"]
        assert ("extra" in info) == ("impersonate_extra_scopes" in headers)


def test_impersonating_gives_no_rights_of_ones_own(client: Client) -> None:
    """Only those of the other one count."""
    grant(client, [rule("*", "nodes", "core"), rule("impersonate", "users", "core")])
    assert client("GET", "/api/v1/nodes", token="bobs")[0] == 200
    assert client("GET", "/api/v1/nodes", token="bobs", impersonate_user="eve")[0] == 403


POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
AUTHOR = rule(
    "create get patch", "validatingadmissionpolicies validatingadmissionpolicybindings", "admissionregistration.k8s.io"
)


def policy(name: str) -> dict[str, Any]:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "true"}],
    }
    return {"metadata": {"name": name}, "spec": spec}


def test_parameters_of_policies_are_read_with_the_rights_of_their_author(client: Client) -> None:
    """All of their kind; with the right to get them it goes, and nobody is asked again for what was there before."""
    grant(client, [AUTHOR])
    code, refused = client("POST", POLICIES, policy("p"), token="bobs")
    assert (code, refused["details"]["causes"][0]["field"]) == (422, "spec.paramKind")
    assert (
        'must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)'
        in (refused["message"])
    )
    grant(client, [AUTHOR, rule("get", "configmaps", "core")], user="eve", name="reader")
    assert client("POST", POLICIES, policy("p"), token="eves")[0] == 201


def test_a_binding_names_only_parameters_that_its_author_may_get(client: Client) -> None:
    """One object of the policy's kind."""
    assert client("POST", POLICIES, policy("p"), token="roots")[0] == 201
    named = rule("get", "configmaps", "core", resourceNames=["mine"])
    grant(client, [AUTHOR, named])
    for name, expected in (("mine", 201), ("yours", 422)):
        reference = {"name": name, "namespace": "default", "parameterNotFoundAction": "Deny"}
        spec = {"policyName": "p", "paramRef": reference, "validationActions": ["Deny"]}
        body = {"metadata": {"name": name}, "spec": spec}
        code, answer = client("POST", f"{POLICIES.removesuffix('ies')}ybindings", body, token="bobs")
        assert code == expected, answer
    assert answer["message"].endswith('does not have "get" permission on the object referenced by paramRef')
