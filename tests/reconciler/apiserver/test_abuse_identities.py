"""Nothing can be read or changed without the right: forged and foreign identities, and every verb of every resource."""

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.auth_tokens import ISSUER, AccountTokens, signing_key
from reconciler.apiserver.rbac import MASTERS
from reconciler.apiserver.resources import Registry, Resource
from reconciler.apiserver.server import Server
from reconciler.apiserver.tls import Authority, KeyPair
from state.store.memory import MemoryStore
from tests.reconciler.apiserver.secured import NOW, SECOND, Client, grant

DAY = 86_400 * SECOND
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def server(keys: Path) -> Iterator[Server]:
    with MemoryStore() as store, Server(store, security=Security(keys, time.time_ns() // 1000)) as running:
        yield running


def ask(server: Server, keys: Path, pair: KeyPair | None, path: str = "/api/v1/secrets") -> int:
    """The code of an answer to somebody with a certificate; 0 if there is none."""
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    if pair is not None:
        pair.save(keys / "client", "own")
        context.load_cert_chain(keys / "client" / "own.crt", keys / "client" / "own.key")
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            text = client.recv(4096)
    except (ssl.SSLError, ConnectionError):
        return 0
    return int(text.split()[1]) if text else 0


def test_certificates_are_checked(server: Server, keys: Path) -> None:
    """Those of this authority count until they expire; others end the connection before anything is said."""
    now = time.time_ns() // 1000
    own, foreign = Authority.kept_in(keys, now), Authority.create(now)
    assert ask(server, keys, own.client("admin", [MASTERS], now)) == 200
    assert ask(server, keys, own.client("bob", [], now)) == 403
    assert ask(server, keys, None) == 403
    assert ask(server, keys, foreign.client("admin", [MASTERS], now)) == 0
    assert ask(server, keys, own.client("admin", [MASTERS], now - 400 * DAY)) == 0
    assert ask(server, keys, own.client("admin", [MASTERS], now + 10 * DAY)) == 0
    assert ask(server, keys, KeyPair.load(keys, "serving")) == 0


@pytest.mark.parametrize("name", ["admin,O=system:masters", "admin\x00system:masters", "system:masters", "a/b"])
def test_a_name_is_no_group(server: Server, keys: Path, name: str) -> None:
    """Whatever is written into it."""
    now = time.time_ns() // 1000
    assert ask(server, keys, Authority.kept_in(keys, now).client(name, [], now)) == 403


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b"\x00" * 1000])
def test_only_tls_is_spoken(server: Server, keys: Path, start: bytes) -> None:
    """Anything else ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        plain.sendall(start)
        plain.shutdown(socket.SHUT_WR)
        try:
            text = plain.recv(4096)
        except ConnectionError:
            text = b""
    assert b"HTTP/1.1 2" not in text
    assert ask(server, keys, None, "/readyz") == 200


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def coded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused(client: Client, tmp_path: Path) -> None:
    """Without a signature, with another algorithm, with another key, for somebody else, too early and too late."""
    assert client("POST", ACCOUNTS, {"metadata": {"name": "robot"}}, token="roots")[0] == 201
    uid = client("GET", f"{ACCOUNTS}/robot", token="roots")[1]["metadata"]["uid"]
    own, other = AccountTokens(signing_key(tmp_path)), AccountTokens(ec.generate_private_key(ec.SECP256R1()))

    def issue(tokens: AccountTokens = own, **more: Any) -> str:
        fields = {"name": "robot", "uid": uid, "audiences": [], "seconds": 600, "now": NOW, **more}
        name, identity = fields.pop("name"), fields.pop("uid")
        return tokens.issue("default", name, identity, **fields)

    good = issue()
    assert client("GET", "/api", token=good)[0] == 200
    header, claims, signature = good.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    for forged in (
        f"{coded({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        f"{coded({'alg': 'HS256', 'typ': 'JWT'})}.{claims}.{signature}",
        f"{coded({'alg': 'ES256', 'typ': 'JWT', 'jwk': {}})}.{claims}.{signature}",
        f"{header}.{coded({**decoded, 'sub': 'system:serviceaccount:kube-system:default'})}.{signature}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{claims}.{'A' * 86}",
        f"{header}.{claims}.{signature}=",
        issue(other),
        issue(uid="another"),
        issue(name="default"),
        issue(audiences=["vault"]),
        issue(now=NOW - 601 * SECOND),
        issue(now=NOW + 10 * SECOND),
        "x" * 100_000,
        "\xff\xfe",
    ):
        assert client("GET", "/api", token=forged)[0] == 401, forged[:100]


def test_a_review_tells_for_whom_a_token_is(client: Client, tmp_path: Path) -> None:
    """A token for others isn't one for this server, nor the reverse."""
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    assert client("POST", ACCOUNTS, {"metadata": {"name": "robot"}}, token="roots")[0] == 201
    spec = {"spec": {"audiences": ["vault"]}}
    token = client("POST", f"{ACCOUNTS}/robot/token", spec, token="roots")[1]["status"]["token"]
    for audiences, expected in ((["vault", "b"], ["vault"]), ([], None), (["b"], None), ([ISSUER], None)):
        review = {"spec": {"token": token, "audiences": audiences}}
        status = client("POST", path, review, token="roots")[1]["status"]
        assert (status.get("authenticated", False), status.get("audiences")) == (expected is not None, expected)


# -- every verb of every resource --------------------------------------------------------------------------------------

RULES = [
    {"apiGroups": ["", "apps"], "resources": ["pods", "deployments", "secrets"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
    {"apiGroups": ["*"], "resources": ["*/status"], "verbs": ["patch"]},
]
REQUESTS = {
    "get": ("GET", "/fuzzed", None),
    "list": ("GET", "", None),
    "watch": ("GET", "?watch=1&timeoutSeconds=-1", None),
    "create": ("POST", "", {}),
    "update": ("PUT", "/fuzzed", {}),
    "patch": ("PATCH", "/fuzzed", {}),
    "delete": ("DELETE", "/fuzzed", None),
    "deletecollection": ("DELETE", "", None),
}


def may(verb: str, resource: Resource, namespace: str, part: str = "") -> bool:
    """What ``RULES`` allow, said in another way."""
    name = (resource.group, resource.plural)
    if part:
        return (part, verb) == ("status", "patch")
    if namespace != "default":
        return False
    if name == ("", "configmaps"):
        return True
    return verb in ("get", "list") and name in {("", "pods"), ("", "secrets"), ("apps", "deployments")}


@pytest.mark.parametrize("token", ["", "bobs", "robots"])
def test_only_what_a_role_allows_is_done(client: Client, token: str) -> None:
    """Each verb on each resource and its status: for strangers, a user and an account with a Role in one namespace."""
    if token == "robots":
        assert client("POST", ACCOUNTS, {"metadata": {"name": "robot"}}, token="roots")[0] == 201
        token = client("POST", f"{ACCOUNTS}/robot/token", {}, token="roots")[1]["status"]["token"]
        grant(client, RULES, "default", "system:serviceaccount:default:robot")
    else:
        grant(client, RULES, "default")
    wrong = []
    for resource in Registry().resources:
        prefix = f"/apis/{resource.group}" if resource.group else "/api"
        for namespace in ("default", "kube-system") if resource.namespaced else ("",):
            inside = f"/namespaces/{namespace}" if namespace else ""
            base = f"{prefix}/{resource.version}{inside}/{resource.plural}"
            asked = [(verb, "", *REQUESTS[verb]) for verb in resource.verbs]
            if "status" in resource.subresources:
                asked.append(("patch", "status", "PATCH", "/fuzzed/status", {}))
            for verb, part, method, rest, body in asked:
                code, answer = client(method, base + rest, body, token=token)
                expected = bool(token) and (may(verb, resource, namespace, part) if namespace == "default" else False)
                if (code not in (401, 403)) != expected or (code == 403 and "cannot" not in str(answer)):
                    wrong.append((verb, base + rest, code))
    allowed_to_all = {"selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews"}
    assert [each for each in wrong if not (token and each[1].rpartition("/")[2] in allowed_to_all)] == []


def test_a_refusal_tells_nothing(client: Client) -> None:
    """What exists and what doesn't are refused in the same words."""
    assert client("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "one"}}, token="roots")[0] == 201
    path = "/api/v1/namespaces/default/secrets"
    one, two = (json.dumps(client("GET", f"{path}/{name}", token="bobs")[1]) for name in ("one", "two"))
    assert one.replace("one", "two") == two


# -- the log -----------------------------------------------------------------------------------------------------------


def test_the_log_says_who_did_what_and_no_secrets(client: Client) -> None:
    """User and in whose name, verb, object and code; neither bodies nor queries nor tokens."""
    grant(client, [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}])
    body = {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    with structlog.testing.capture_logs() as lines:
        client("POST", "/api/v1/namespaces/default/secrets?fieldManager=qqq", body, token="roots", user_agent="k/1")
        client("PATCH", "/api/v1/namespaces/default/pods/p", {"a": "hunter2"}, token="bobs", impersonate_user="eve")
        client("GET", "/api/v1/nodes", token="wrongtoken")
        client("DELETE", "/api/v1/namespaces/default/secrets/s", token="roots")
        client("GET", "/api/v1/namespaces/default/secrets", token="roots")
    told = [line for line in lines if line["event"] == "audit"]
    fields = ("user", "impersonated", "verb", "resource", "namespace", "name", "code")
    assert [tuple(line[name] for name in fields) for line in told] == [
        ("root", None, "create", "secrets", "default", "", 201),
        ("bob", "eve", "patch", "pods", "default", "p", 403),
        ("system:anonymous", None, "", "", "", "", 401),
        ("root", None, "delete", "secrets", "default", "s", 200),
    ]
    text = repr(lines)
    assert not [word for word in ("hunter2", "qqq", "roots", "bobs", "wrongtoken") if word in text]


def test_the_audit_log_can_have_a_file_of_its_own(tmp_path: Path) -> None:
    """A line of JSON each, whatever the level of the log."""
    path = tmp_path / "audit.log"
    with path.open("a", encoding="utf-8") as file:
        client = Client(tmp_path, audit=file)
        client("DELETE", "/api/v1/namespaces/default/configmaps/ü", token="bobs")
        client("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}, token="roots")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(line["user"], line["verb"], line["name"], line["code"]) for line in lines] == [
        ("bob", "delete", "ü", 403),
        ("root", "create", "", 201),
    ]
    assert all(line["time"].endswith("Z") and line["milliseconds"] >= 0 for line in lines)
