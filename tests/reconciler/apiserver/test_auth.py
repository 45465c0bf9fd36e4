"""Who may do what: paths to attributes, roles, tokens, certificates, and the middleware as a whole."""

from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apiserver.auth import attributes, certificate_user
from reconciler.apiserver.auth_tokens import ISSUER, AccountTokens, FixedTokens, TokenFileError, signing_key
from reconciler.apiserver.kubeconfig import kubeconfig, write
from reconciler.apiserver.options import read_flag
from reconciler.apiserver.queries import read_query
from reconciler.apiserver.rbac import MASTERS, Attributes, User
from reconciler.apiserver.resources import Registry
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.tls import Authority, CertificateError, KeyPair, server_context
from tests.reconciler.apiserver.secured import NOW, RBAC, SECOND, Client, grant

REVIEWS = "/apis/authorization.k8s.io/v1"
REGISTRY = Registry()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", "", Attributes("list", version="v1", resource="pods")),
        ("GET", "/api/v1/pods", "watch=1", Attributes("watch", version="v1", resource="pods")),
        ("GET", "/api/v1/watch/pods", "", Attributes("watch", version="v1", resource="pods")),
        (
            "GET",
            "/api/v1/secrets",
            "fieldSelector=metadata.name%3Da",
            Attributes("list", version="v1", resource="secrets", name="a"),
        ),
        ("GET", "/api/v1/namespaces/a", "", Attributes("get", "", "v1", "namespaces", "", "a", "a")),
        (
            "PUT",
            "/api/v1/namespaces/a/finalize",
            "",
            Attributes("update", "", "v1", "namespaces", "finalize", "a", "a"),
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            "",
            Attributes("patch", "apps", "v1", "deployments", "scale", "a", "d"),
        ),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            "",
            Attributes("deletecollection", "apps", "v1", "deployments", "", "a"),
        ),
        ("GET", "/apis/apps/v1", "", Attributes("get", path="/apis/apps/v1")),
        ("GET", "/healthz/ping", "", Attributes("get", path="/healthz/ping")),
    ],
)
def test_paths_are_read_as_kubernetes_reads_them(method: str, path: str, query: str, expected: Attributes) -> None:
    assert attributes(method, path, query.encode()) == expected


@pytest.mark.parametrize("path", ["/api/v1/watch/pods", "/api/v1/watch/namespaces/a/pods/b"])
def test_a_watch_can_only_be_read(path: str) -> None:
    with pytest.raises(ApiError, match="does not allow this method"):
        attributes("POST", path)


WORDS = ["", "a", "..", "%2f", "*", "watch", "namespaces", "pods", "nodes", "deployments", "status", "scale"]
ROOTS = ["/api/v1", "/apis/apps/v1", "/api//v1", "/api/v1/watch", "/apis/apps/v1/namespaces/a", "/api/v1/namespaces/a"]


@settings(max_examples=500)
@given(
    st.sampled_from(ROOTS),
    st.lists(st.sampled_from(WORDS), max_size=5),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    st.sampled_from(["", "watch=1", "watch=0", "watch", "watch=%zz", "watch=1;x", "limit=1"]),
)
def test_what_is_allowed_is_what_is_done(root: str, words: list[str], method: str, text: str) -> None:
    """However odd a path is: both who checks a right and who acts read the same from it."""
    path, query = "/".join([root, *words]), text.encode()
    wants_watch = bool(read_flag(read_query(query), "watch"))
    try:
        place, verb = target(REGISTRY, path.rstrip("/"), method, wants_watch=wants_watch)
    except (ApiError, UnknownPathError):
        return
    namespace = place.name if place.resource.plural == "namespaces" else place.namespace
    about = (place.resource.group, place.resource.version, place.resource.plural, place.subresource)
    found = attributes(method, path, query)
    assert found == Attributes(verb, *about, namespace, place.name)


def test_a_stranger_sees_health_and_version_only(client: Client) -> None:
    """The anonymous user has the rights that Kubernetes gives them."""
    assert client("GET", "/healthz") == (200, "ok")
    assert client("GET", "/version")[0] == 200
    code, status = client("GET", "/api/v1/namespaces/default/secrets")
    assert code == 403
    assert status["message"] == (
        'secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" in the '
        'namespace "default"'
    )
    assert client("GET", "/metrics")[1]["message"] == 'forbidden: User "system:anonymous" cannot get path "/metrics"'


@pytest.mark.parametrize("token", ["wrong", "a.b.c", "e30.e30.e30", "Bobs", ".."])
def test_an_unknown_token_is_401(client: Client, token: str) -> None:
    """Not even what strangers may see is shown for it."""
    code, status = client("GET", "/healthz", token=token)
    assert (code, status["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer {}", 200),
        ("bearer {}", 200),
        (" Bearer {} ", 200),
        ("Bearer {} more", 200),
        ("Bearer", 403),
        ("Bearer ", 403),
        ("Bearer  {}", 403),
        ("Basic {}", 403),
        ("{}", 403),
        ("Bearer x{}", 401),
    ],
)
def test_a_token_is_the_second_word(client: Client, header: str, code: int) -> None:
    """Who shows none is anonymous, and may do little."""
    assert client("GET", "/api/v1/nodes", authorization=header.format("roots"))[0] == code


def test_a_role_gives_what_it_says_and_no_more(client: Client) -> None:
    """In its namespace, for its verbs, its resources and names."""
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get", "list"]},
    ]
    grant(client, rules, "default")
    base = "/api/v1/namespaces/default"
    assert client("GET", f"{base}/pods", token="bobs")[0] == 200
    assert client("GET", f"{base}/pods?watch=1&timeoutSeconds=1", token="bobs")[0] == 403
    assert client("GET", "/api/v1/pods", token="bobs")[0] == 403
    assert client("GET", "/api/v1/namespaces/kube-system/pods", token="bobs")[0] == 403
    assert client("GET", f"{base}/configmaps/mine", token="bobs")[0] == 404
    assert client("GET", f"{base}/configmaps/other", token="bobs")[0] == 403
    assert client("GET", f"{base}/configmaps", token="bobs")[0] == 403
    assert client("GET", f"{base}/configmaps?fieldSelector=metadata.name=mine", token="bobs")[0] == 200
    assert client("DELETE", f"{base}/pods", token="bobs")[0] == 403


def test_a_right_ends_with_its_binding(client: Client) -> None:
    """Changes count from the next request on."""
    grant(client, [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["*"]}])
    assert client("GET", "/api/v1/nodes", token="bobs")[0] == 200
    assert client("DELETE", f"{RBAC}/clusterrolebindings/r", token="roots")[0] == 200
    assert client("GET", "/api/v1/nodes", token="bobs")[0] == 403


def test_roles_that_make_no_sense_are_refused(client: Client) -> None:
    """In the API server's words; nobody gets a right by them."""
    broken = {"metadata": {"name": "x"}, "roleRef": [], "subjects": "bob"}
    code, status = client("POST", f"{RBAC}/clusterrolebindings", broken, token="roots")
    text = "json: cannot unmarshal array into Go struct field ClusterRoleBinding.roleRef of type v1.RoleRef"
    assert (code, text in status["message"]) == (400, True)
    role = {"metadata": {"name": "x"}, "rules": [{"resources": ["pods"]}]}
    code, status = client("POST", f"{RBAC}/clusterroles", role, token="roots")
    assert (code, "verbs must contain at least one value" in status["message"]) == (422, True)
    assert client("GET", "/api/v1/nodes", token="bobs")[0] == 403


def test_aggregated_roles_have_the_rules_of_others(client: Client) -> None:
    """As ``admin`` of a cluster gathers rules by label."""
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    part = {"metadata": {"name": "part", "labels": {"to": "sum"}}, "rules": [rule]}
    assert client("POST", f"{RBAC}/clusterroles", part, token="roots")[0] == 201
    whole = {
        "metadata": {"name": "whole"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]},
    }
    assert client("POST", f"{RBAC}/clusterroles", whole, token="roots")[0] == 201
    binding = {
        "metadata": {"name": "whole"},
        "roleRef": {"kind": "ClusterRole", "name": "whole"},
        "subjects": [{"kind": "Group", "name": "dev"}],
    }
    assert client("POST", f"{RBAC}/clusterrolebindings", binding, token="roots")[0] == 201
    assert client("GET", "/api/v1/nodes", token="bobs")[0] == 200


def test_a_certificate_names_user_and_groups(client: Client) -> None:
    """Organisations are groups."""
    peer = {"subject": ((("organizationName", MASTERS),), (("commonName", "admin"),))}
    assert certificate_user(peer) == User("admin", (MASTERS,))
    assert client("GET", "/api/v1/secrets", peer=peer)[0] == 200
    assert certificate_user({}) is None


def test_impersonation_needs_a_right(client: Client) -> None:
    """Root may be bob; bob may not be root."""
    code, document = client(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token="roots", impersonate_user="bob"
    )
    assert (code, document["status"]["userInfo"]) == (
        201,
        {"username": "bob", "groups": ["system:authenticated"]},
    )
    assert client("GET", "/version", token="bobs", impersonate_user="root")[0] == 403
    assert client("GET", "/version", token="bobs", impersonate_group=MASTERS)[0] == 500


def test_can_i(client: Client) -> None:
    """SelfSubjectAccessReview and SubjectAccessReview agree with what happens."""
    grant(client, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])

    def ask(verb: str, path: str = "selfsubjectaccessreviews", token: str = "bobs", **more: Any) -> Any:
        spec = {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}, **more}
        return client("POST", f"{REVIEWS}/{path}", {"spec": spec}, token=token)

    assert ask("get")[1]["status"]["allowed"] is True
    assert ask("delete")[1]["status"]["allowed"] is False
    assert ask("get", "subjectaccessreviews", "roots", user="bob")[1]["status"]["allowed"] is True
    assert ask("get", "subjectaccessreviews", "roots", user="eve")[1]["status"]["allowed"] is False
    assert ask("get", "subjectaccessreviews", user="eve")[0] == 403
    assert client("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {}}, token="bobs")[0] == 422
    assert client("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": []}, token="bobs")[0] == 400
    assert client("POST", f"{REVIEWS}/selfsubjectaccessreviews", [1], token="bobs")[0] == 400
    assert client("GET", f"{REVIEWS}/selfsubjectaccessreviews", token="roots")[0] == 405
    assert client("DELETE", f"{REVIEWS}/subjectaccessreviews/x", token="roots")[0] == 404


POD = {"resource": "pods", "verb": "get", "namespace": "default"}
ROOT = {"path": "/", "verb": "get"}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (
            "selfsubjectaccessreviews",
            {"spec": {}},
            '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: "null": exactly one of ',
        ),
        (
            "selfsubjectaccessreviews",
            {"spec": {"resourceAttributes": POD, "nonResourceAttributes": ROOT}},
            "cannot be specified in combination with resourceAttributes",
        ),
        (
            "selfsubjectaccessreviews",
            {"metadata": {"name": "x"}, "spec": {"nonResourceAttributes": ROOT}},
            'metadata: Invalid value: {"name":"x"}: must be empty',
        ),
        (
            "subjectaccessreviews",
            {"spec": {"resourceAttributes": POD}},
            'spec.user: Invalid value: "": at least one of user or group must be specified',
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"spec": {"user": "u", "resourceAttributes": {**POD, "namespace": "x"}}},
            'spec.resourceAttributes.namespace: Invalid value: "x": must match metadata.namespace',
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"spec": {"user": "u", "nonResourceAttributes": ROOT}},
            "disallowed on this kind of request",
        ),
        (
            "subjectaccessreviews",
            {"spec": {"user": ["u"]}},
            "json: cannot unmarshal array into Go struct field SubjectAccessReviewSpec.spec.user of type string",
        ),
        (
            "subjectaccessreviews",
            {"kind": "Pod"},
            'Pod in version "v1" cannot be handled as a SubjectAccessReview: no kind "Pod" is registered',
        ),
    ],
)
def test_questions_that_make_no_sense(client: Client, path: str, body: Any, message: str) -> None:
    """They are refused in kube-apiserver's words."""
    code, status = client("POST", f"{REVIEWS}/{path}", body, token="roots")
    assert code in (400, 422)
    assert message in status["message"]


def test_an_answer_is_an_object(client: Client) -> None:
    """Of its kind, with what was asked, as Go would write it."""
    own = client("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": POD}}, token="roots")
    assert own[1] == {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {"resourceAttributes": POD},
        "status": {"allowed": True},
    }
    who = client("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token="bobs")[1]
    assert (who["kind"], list(who)) == ("SelfSubjectReview", ["kind", "apiVersion", "metadata", "status"])
    assert who["metadata"] == {"creationTimestamp": "2027-01-15T08:00:00Z"}
    rules = client("POST", f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": "x"}}, token="bobs")[1]
    assert (rules["kind"], rules["spec"]) == ("SelfSubjectRulesReview", {})
    account = "/api/v1/namespaces/default/serviceaccounts/robot"
    client("POST", account.removesuffix("/robot"), {"metadata": {"name": "robot"}}, token="roots")
    made = client("POST", f"{account}/token", {}, token="roots")[1]
    assert made["metadata"]["name"] == "robot"
    assert made["spec"] == {"audiences": [ISSUER], "expirationSeconds": 3600, "boundObjectRef": None}
    told = client("POST", f"{account}/token", {"metadata": {"name": "other"}}, token="roots")[1]["message"]
    assert told.endswith('metadata.name: Invalid value: "other": must match the service account name if specified')


def test_tokens_of_service_accounts(client: Client) -> None:
    """They are good until they expire, or until the account is gone."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    assert client("POST", accounts, {"metadata": {"name": "robot"}}, token="roots")[0] == 201
    code, answer = client("POST", f"{accounts}/robot/token", {"spec": {"expirationSeconds": 600}}, token="roots")
    token = answer["status"]["token"]
    assert code == 201
    review = {"spec": {"token": token}}
    _, answer = client("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review, token="roots")
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:robot"
    assert client("GET", "/api", token=token)[0] == 200
    header, claims, signature = token.split(".")
    for forged in (
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims[:-2]}fQ.{signature}",
        f"{header}.{claims}.",
    ):
        assert client("GET", "/api", token=forged)[0] == 401
    client.clock.now += 601 * SECOND
    assert client("GET", "/api", token=token)[0] == 401
    client.clock.now = NOW
    client("DELETE", f"{accounts}/robot", token="roots")
    assert client("GET", "/api", token=token)[0] == 401
    assert client("POST", f"{accounts}/robot/token", {}, token="roots")[0] == 404
    assert client("POST", f"{accounts}/default/token", {"spec": {"expirationSeconds": 1}}, token="roots")[0] in (
        404,
        422,
    )


def test_a_token_for_others_is_not_for_this_server(tmp_path: Path) -> None:
    """The audience counts; so does the key."""
    tokens = AccountTokens(signing_key(tmp_path))
    token = tokens.issue("ns", "a", "1", audiences=["vault"], seconds=600, now=NOW)
    assert tokens.claims(token, NOW) is None
    claims = tokens.claims(token, NOW, "vault")
    assert claims is not None
    assert claims[:3] == ("ns", "a", "1")
    assert AccountTokens(signing_key(tmp_path / "other")).claims(token, NOW, "vault") is None


def test_changes_and_refusals_are_in_the_log(client: Client) -> None:
    """Who did what, and with what result; reading isn't told."""
    with structlog.testing.capture_logs() as lines:
        client("GET", "/api/v1/nodes", token="roots")
        client("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}, token="roots")
        client("GET", "/api/v1/nodes", token="bobs")
    told = [(line["user"], line["verb"], line["path"], line["code"]) for line in lines if line["event"] == "audit"]
    assert told == [("root", "create", "/api/v1/namespaces", 201), ("bob", "list", "/api/v1/nodes", 403)]


def test_token_files(tmp_path: Path) -> None:
    """kube-apiserver's format; what is wrong is named with its line."""
    path = tmp_path / "tokens"
    path.write_text('t,ann,1,"dev,ops"\n# none\n\n')
    assert FixedTokens.read(path).user("t") == User("ann", ("dev", "ops"), "1")
    path.write_text("only\n")
    with pytest.raises(TokenFileError, match=r"tokens:1: expected token,user,uid"):
        FixedTokens.read(path)
    with pytest.raises(TokenFileError):
        FixedTokens.read(tmp_path / "missing")


def test_keys_are_kept_and_renewed(tmp_path: Path) -> None:
    """The authority stays; the serving certificate is made anew for other names and when it runs out."""
    authority = Authority.kept_in(tmp_path, NOW)
    server_context(authority, tmp_path, ["127.0.0.1"], NOW)
    first = (tmp_path / "serving.crt").read_bytes()
    server_context(Authority.kept_in(tmp_path, NOW), tmp_path, ["127.0.0.1"], NOW)
    assert (tmp_path / "serving.crt").read_bytes() == first
    for hosts, now in ((["127.0.0.1", "here.example"], NOW), (["127.0.0.1"], NOW + 364 * 86_400 * SECOND)):
        before = (tmp_path / "serving.crt").read_bytes()
        server_context(authority, tmp_path, hosts, now)
        assert (tmp_path / "serving.crt").read_bytes() != before
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "ca.key").write_text("nonsense")
    with pytest.raises(CertificateError):
        KeyPair.load(tmp_path, "ca")


def test_a_kubeconfig_is_for_its_owner_only(tmp_path: Path) -> None:
    """It replaces an older one at once."""
    path = tmp_path / "config"
    path.write_text("old")
    write(kubeconfig("https://127.0.0.1:1", token="t"), path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "token: t" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
