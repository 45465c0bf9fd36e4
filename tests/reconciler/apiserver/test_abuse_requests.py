"""Bodies, paths, queries and headers that nobody sends by accident: refused as Kubernetes does, and soon."""

import gzip
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
YAML, PROTOBUF = "application/yaml", "application/vnd.kubernetes.protobuf"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
#: Longest time for any answer; the usual one is a hundredth.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with MemoryStore() as store, Server(store) as running:
        yield running


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, media: str = "application/json", **headers: str
) -> tuple[int, Any, Any]:
    """Code, answer and headers of a request that is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.putrequest(method, path)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent |= {"Content-Type": media, "Content-Length": str(len(body))}
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = (response.headers["content-type"] or "").startswith("application/json")
    return response.status, json.loads(text) if is_json and text else text, response.headers


def nested(levels: int, start: str = '{"a":', end: str = "}") -> bytes:
    return (start * levels + "1" + end * levels).encode()


def aliases(levels: int) -> bytes:
    """A billion laughs: each line is nine times the one before."""
    lines = [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(levels)]
    return "\n".join(("a: &a [x,x,x,x,x,x,x,x,x]", *lines)).encode()


def message(depth: int) -> bytes:
    """A protocol buffer of so many levels."""
    data = b""
    for _ in range(depth):
        size, length = len(data), b""
        while size >= 128:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        data = b"\x0a" + length + bytes([size]) + data
    return b"k8s\x00" + data


UNKNOWN = "the object provided is unrecognized (must be of type ConfigMap): "
PARSE = f"{UNKNOWN}couldn't get version/kind; json parse error: "


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"", 400, f"{PARSE}unexpected end of JSON input (<empty>)"),
        (b"[" * 100_000, 400, f"{PARSE}invalid character '[' exceeded max depth (5b5b"),
        (b"[" * 100_000 + b"]" * 100_000, 400, f"{PARSE}invalid character '[' exceeded max depth (5b5b"),
        (nested(100_000), 400, f"{PARSE}invalid character '{{' exceeded max depth ({{"),
        (nested(9_000), 400, f"{PARSE}exceeded max depth ({{"),
        (nested(300), 400, f"{PARSE}exceeded max depth ({{"),
        (nested(200), 422, "metadata.name: Required value"),
        (b'{"metadata":{"name":"n\x00"}}', 400, f"{PARSE}invalid character '\\x00' in string literal"),
        (b'{"metadata":{"name":"n\\u0000"}}', 422, 'metadata.name: Invalid value: "n\\x00"'),
        (b"\xff\xfe{\x00}\x00", 400, f"{PARSE}invalid character 'ÿ' looking for beginning of value"),
        (b'{"metadata":{"name":"a"}}{', 400, f"{PARSE}invalid character '{{' after top-level value"),
        (
            b'{"metadata":{"name":"a","generation":1e999999}}',
            400,
            "json: cannot unmarshal number 1e999999 into Go value of type float64",
        ),
        (b'{"metadata":{"name":"a","generation":' + b"9" * 50_000 + b"}}", 400, "json: cannot unmarshal number 999"),
        (
            b'{"metadata":{"name":"a","generation":1.5}}',
            400,
            "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (gzip.compress(b" " * (100 << 20), mtime=0), 400, f"{PARSE}invalid character '\\x1f' looking for"),
        (b"{" + b'"a":1,' * 400_000 + b'"b":[}', 400, f"{PARSE}invalid character '}}' looking for beginning of value"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_json_that_is_none_or_too_much(server: Server, body: bytes, code: int, text: str) -> None:
    """In the words of Go's decoder."""
    started = time.monotonic()
    found, answer, _ = ask(server, "POST", f"{MAPS}?dryRun=All", body)
    assert (found, text in answer["message"]) == (code, True), answer["message"][:500]
    assert time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (b'"\\ud800"', "\ufffd"),
        (b'"\\ud83d\\ude00\\ude00"', "😀\ufffd"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\\u0000"', "\x00"),
    ],
)
def test_broken_text_is_mended_as_go_does(server: Server, body: bytes, stored: str) -> None:
    """What is no Unicode becomes U+FFFD, and everybody can read it."""
    data = b'{"metadata":{"name":"mended"},"data":{"a":' + body + b"}}"
    assert ask(server, "POST", f"{MAPS}?dryRun=All", data)[1]["data"]["a"] == stored


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (aliases(9), 400, "excessive aliasing"),
        (b"a: " + b"[" * 100_000, 400, "nested deeper than 200 levels"),
        (b"{a: " * 3000 + b"}" * 3000, 400, "nested deeper than 200 levels"),
        (b"a: b\n- c", 400, f"{UNKNOWN}error converting YAML to JSON: yaml: line 2"),
        (b"\x00", 400, "error converting YAML to JSON: yaml: line 1"),
        (b"metadata: {name: !!python/object/apply:os.system [id]}", 400, "cannot unmarshal array"),
        (b"metadata: &a {name: x, annotations: *a}", 400, "yaml: line 1"),
        (b"? [a]\n: b", 400, "yaml: line 1"),
        (b"- " * 90_000, 400, "nested deeper"),
        (b"a: !!binary '%%'", 400, "yaml: line 1"),
        (b"", 422, "metadata.name: Required value"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_yaml_bombs_and_traps(server: Server, body: bytes, code: int, text: str) -> None:
    """Aliases, nesting, tags."""
    started = time.monotonic()
    found, answer, _ = ask(server, "POST", f"{MAPS}?dryRun=All", body, YAML)
    assert (found, text in answer["message"]) == (code, True), answer["message"][:500]
    assert time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize(
    "body",
    [b"", b"k8s", b"k8s\x00", b"k8s\x00" + b"\xff" * 1000, message(20_000)[: 1 << 20], b"k8s\x00\x0a\xff\xff\xff\x7f"],
    ids=lambda value: repr(value[:12]),
)
def test_protocol_buffers_that_are_none(server: Server, body: bytes) -> None:
    """Length, nesting and numbers are not to be trusted."""
    assert ask(server, "POST", f"{MAPS}?dryRun=All", body, PROTOBUF)[0] in (400, 422)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"metadata":{"name":"a"},"spec":{"containers":[' + b'{"name":"x"},' * 100_000 + b"{}]}}", 422),
        (b'{"metadata":{"name":"a"},"spec":{"containers":[],"tolerations":[' + b"{}," * 500_000 + b"{}]}}", 422),
        (b'{"metadata":{"name":"a"},"spec":{"containers":[' + b"1," * 1_000_000 + b"1]}}", 400),
        (b'{"metadata":{"name":"a"},"spec":{"x":[' + b"[]," * 500_000 + b"[]]}}", 422),
        (b'{"metadata":{"name":"a"},"data":{"k":"' + b"x" * (3 << 20) + b'"}}', 413),
        (b'{"metadata":{"name":"a","labels":{' + b",".join(b'"%d":"x"' % n for n in range(100_000)) + b"}}}", 422),
        (b"{" + b",".join(b'"f%d":1' % n for n in range(100_000)) + b"}", 422),
    ],
    ids=["containers", "tolerations", "numbers", "unknown", "large", "labels", "fields"],
)
def test_huge_objects(server: Server, body: bytes, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take some seconds and some megabytes; the memory is given back or used again."""
    monkeypatch.setattr(http.client, "_MAXHEADERS", 1000)  # there may be a hundred warnings
    ask(server, "POST", f"{PODS}?dryRun=All", body)
    before = _resident()
    for _ in range(2):
        started = time.monotonic()
        found, answer, headers = ask(server, "POST", f"{PODS}?dryRun=All", body)
        assert found == code, answer["message"][:500]
        assert len(json.dumps(answer)) < 1 << 20
        assert sum(map(len, headers.get_all("warning", ()))) < 10_000
        assert time.monotonic() - started < PATIENCE
    assert _resident() - before < 100 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("media", "code"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("a/b/c;;;=", 415),
        (";;;", 415),
        ("Application/JSON", 422),
        ("application/json; charset=utf-16", 422),
        ("", 422),
        ("application/json, text/html", 415),
        (MERGE, 415),
    ],
)
def test_media_types(server: Server, media: str, code: int) -> None:
    """Parameters don't matter; nothing else is guessed at."""
    assert ask(server, "POST", f"{MAPS}?dryRun=All", b"{}", media)[0] == code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{MAPS}/%2e%2e/secrets", 404),
        (f"{MAPS}/..", 400),
        (f"{MAPS}/..%2f..%2fsecrets", 404),
        (f"{MAPS}/..;/secrets", 404),
        (f"{MAPS}/%252e%252e", 400),
        (f"{MAPS}/a%2fb%2fc", 404),
        (f"{MAPS}/%00", 404),
        (f"{MAPS}/%ff%fe", 404),
        (f"{MAPS}/%", 400),
        (f"{MAPS}/{'a' * 60_000}", 404),
        ("/api/v1/namespaces/../../etc/passwd", 404),
        ("/api/v1/namespaces/%2e%2e/pods", 200),
        ("/api/v1/./pods", 404),
        ("//api/v1/pods", 404),
        ("/api//v1/pods", 404),
        ("/api/v1/pods/", 200),
        ("/apis/..%2f/v1", 404),
        ("/API/V1/pods", 404),
        ("/api/v1/Pods", 404),
        ("/api/v1/namespaces/default/configmaps%3fwatch=1", 404),
        ("/api/v1/namespaces/default/configmaps%20", 404),
        ("/openapi/v3/../../etc/passwd", 404),
        ("/openapi/v3/%2e%2e", 404),
        ("/metrics/..", 404),
    ],
)
def test_tricks_with_paths_lead_nowhere(server: Server, path: str, code: int) -> None:
    """A path is what it says, taken once."""
    assert ask(server, "GET", path)[0] == code


RANGE = "value out of range"


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("limit=-1", 200, ""),
        ("limit=abc", 400, 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("limit=1_0", 400, "invalid syntax"),
        ("limit=%201", 400, "invalid syntax"),
        ("limit=%D9%A1", 400, "invalid syntax"),
        (f"limit={'9' * 30}", 400, RANGE),
        (f"limit={'9' * 9000}", 400, RANGE),
        ("limit=9223372036854775808", 400, RANGE),
        ("limit=9223372036854775807", 200, ""),
        (f"resourceVersion={'9' * 9000}", 400, RANGE),
        ("resourceVersion=18446744073709551616", 400, RANGE),
        ("resourceVersion=18446744073709551615", 504, "Too large resource version"),
        ("resourceVersion=%2B1", 400, "invalid syntax"),
        ("resourceVersion=%D9%A1", 400, "invalid syntax"),
        ("resourceVersion=-1", 400, "invalid syntax"),
        (f"timeoutSeconds={'9' * 400}", 400, RANGE),
        ("watch=1&timeoutSeconds=-1&fieldSelector=metadata.name%3Dnone", 200, ""),
        ("watch=1&timeoutSeconds=0.5", 400, "invalid syntax"),
        ("watch=1&timeoutSeconds=1e400", 400, "invalid syntax"),
        ("watch=1&resourceVersion=18446744073709551616", 500, RANGE),
        ("continue=abc", 400, "continue key is not valid"),
        ("continue=%ff%ff", 400, "continue key is not valid: illegal base64"),
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0", 400, "not valid"),
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MWU5OTksInN0YXJ0IjoiYSJ9", 400, "continue key is not valid"),
        (f"continue={'W1tb' * 5000}", 400, "continue key is not valid"),
        (f"labelSelector={','.join(f'a{n}' for n in range(9000))}", 200, ""),
        (f"labelSelector=a%20in%20({','.join(f'a{n}' for n in range(9000))})", 200, ""),
        (f"labelSelector={'(' * 50_000}", 400, "found '('"),
        (f"labelSelector={'!' * 50_000}", 400, ""),
        ("labelSelector=%00", 400, ""),
        ("labelSelector=a%3D%ff", 400, ""),
        (f"fieldSelector={'a=b,' * 20_000}", 400, ""),
        (f"fieldSelector={'%5C' * 20_000}", 400, "invalid selector"),
        (f"fieldSelector={'!' * 20_000}", 400, "invalid selector"),
        ("fieldSelector=metadata.name%3D..%2f..%2fsecrets", 200, ""),
        ("fieldSelector=metadata.name%3D%00", 200, ""),
        (f"{'&'.join(f'a{n}=b' for n in range(5000))}", 200, ""),
        ("%00=%00&=&&&;;", 200, ""),
        ("limit=x;limit=y", 200, ""),
        ("limit=%zz&limit=%2", 200, ""),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_queries(server: Server, query: str, code: int, text: str) -> None:
    """Numbers are read as Go reads them; selectors of any length are read in linear time."""
    started = time.monotonic()
    found, answer, _ = ask(server, "GET", f"{MAPS}?{query}")
    assert found == code, str(answer)[:300]
    assert not text or text in answer["message"]
    assert time.monotonic() - started < PATIENCE / 4


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Accept": "a" * 50_000}, 406),
        ({"Accept": ",".join(["text/html"] * 20_000)}, 406),
        ({"Accept": ";" * 50_000}, 406),
        ({"Accept": "application/json;as=Table;g=meta.k8s.io;v=v99"}, 406),
        ({"Accept": "application/json;as=Nonsense;g=meta.k8s.io;v=v1"}, 406),
        ({"Cookie": "a" * 200_000}, 200),
        ({"Transfer_Encoding": "gzip"}, 501),
        ({"Range": "bytes=0-18446744073709551615"}, 200),
        ({"X_HTTP_Method_Override": "DELETE"}, 200),
        ({"X_Remote_User": "admin", "X_Remote_Group": "system:masters"}, 200),
    ],
    ids=lambda value: str(value)[:30],
)
def test_headers(server: Server, headers: dict[str, str], code: int) -> None:
    """Nothing in them changes what is asked for."""
    found, answer, _ = ask(server, "GET", MAPS, **headers)
    assert found == code, str(answer)[:300]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "HEAD", "PATCH", "PUT", "PROPFIND"])
def test_methods_that_a_list_has_not(server: Server, method: str) -> None:
    """405, whatever they mean elsewhere."""
    assert ask(server, method, MAPS)[0] == 405


def test_a_warning_is_no_header_of_its_own(server: Server) -> None:
    """Names of unknown fields come back to the client, line ends and all Unicode among them."""
    body = json.dumps({"metadata": {"name": "w"}, "a\r\nSet-Cookie: x": 1, "ünï\u2028": 1, "z" * 9000: 1, 'q"\\': 1})
    code, _, headers = ask(server, "POST", f"{MAPS}?dryRun=All", body.encode())
    assert code == 201
    assert "set-cookie" not in headers
    warnings = headers.get_all("warning")
    assert warnings[0] == r'299 - "unknown field \"a\\r\\nSet-Cookie: x\""'
    assert warnings[3] == r'299 - "unknown field \"q\\\"\\\\\""'
    assert max(map(len, warnings)) < 300


def test_warnings_have_an_end(server: Server) -> None:
    """As in Kubernetes: so many letters in all."""
    body = json.dumps({"metadata": {"name": "w"}, **{f"field{number}" * 10: 1 for number in range(1000)}})
    headers = ask(server, "POST", f"{MAPS}?dryRun=All", body.encode())[2]
    assert 20 < len(headers.get_all("warning")) < 60
    body = json.dumps({"metadata": {"name": "w"}, **{f"f{number}": 1 for number in range(1000)}})
    headers = ask(server, "POST", f"{MAPS}?dryRun=All", body.encode())[2]
    assert 60 < len(headers.get_all("warning")) <= 90  # Python's own client takes 100 headers


def test_a_long_warning_is_told_whole(server: Server) -> None:
    """And only once, as long as there are few."""
    body = json.dumps({"metadata": {"name": "w"}, "z" * 2000: 1})
    warnings = ask(server, "POST", f"{MAPS}?dryRun=All", body.encode())[2].get_all("warning")
    assert warnings == [f'299 - "unknown field \\"{"z" * 2000}\\""']


# -- patches -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patched(server: Server) -> str:
    """The path of an object with some data."""
    data = {f"k{number}": "v" * 20 for number in range(5000)}
    assert ask(server, "POST", MAPS, json.dumps({"metadata": {"name": "p"}, "data": data}).encode())[0] == 201
    return f"{MAPS}/p?dryRun=All"


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "copy", "from": "", "path": "/metadata/annotations"}] * 40, 422),
        ([{"op": "copy", "from": "/data", "path": "/data/x"}] * 10_000, 422),
        ([{"op": "move", "from": "/data", "path": "/x"}, {"op": "move", "from": "/x", "path": "/data"}] * 5000, 200),
        ([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_000, 200),
        ([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001, 413),
        ([{"op": "add", "path": "/a" * 10_000, "value": 1}], 422),
        ([{"op": "move", "from": "/data", "path": "/data/a"}], 422),
        ([{"op": "add", "path": "/data", "value": json.loads(nested(100))}] * 2, 422),
        ([{"op": "add", "path": "", "value": []}], 422),
        ([{"op": "remove", "path": ""}], 422),
        ([1, "a", None], 400),
        ([{"op": {}, "path": []}], 400),
    ],
    ids=range(12),
)
def test_patches_that_multiply(server: Server, patched: str, operations: list[Any], code: int) -> None:
    """Each could double the document; their number and what they copy is bounded, as in Kubernetes."""
    started, before = time.monotonic(), _resident()
    found, answer, _ = ask(server, "PATCH", patched, json.dumps(operations).encode(), JSON_PATCH)
    assert found == code, answer["message"][:300]
    assert time.monotonic() - started < PATIENCE / 2
    assert _resident() - before < 200 << 20


def test_patches_nest_as_deep_as_bodies(server: Server, patched: str) -> None:
    """Deep in deep is too deep."""
    for value in (nested(240), nested(300), nested(5000)):
        code, answer, _ = ask(server, "PATCH", patched, b'{"data":' + value + b"}", MERGE)
        assert code in (400, 422), answer
    operations = [{"op": "add", "path": "/data/k", "value": json.loads(nested(240))}]
    operations += [{"op": "copy", "from": "/data", "path": f"/data/k{'/a' * 240}"}] * 3
    code, answer, _ = ask(server, "PATCH", patched, json.dumps(operations).encode(), JSON_PATCH)
    assert code == 422, answer


# -- definitions -------------------------------------------------------------------------------------------------------


def test_a_pattern_takes_no_longer_than_its_text(server: Server) -> None:
    """Patterns of custom resources are Go's, which know no backtracking; others aren't taken."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def definition(pattern: str) -> bytes:
        text = {"type": "string", "pattern": pattern}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": text}}}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": "slows", "singular": "slow", "kind": "Slow", "listKind": "SlowList"}
        spec = {"group": "abuse.io", "names": names, "scope": "Cluster", "versions": [version]}
        return json.dumps({"metadata": {"name": "slows.abuse.io"}, "spec": spec}).encode()

    code, answer, _ = ask(server, "POST", crds, definition("(?=a)"))
    assert (code, "must be a valid regular expression, but isn't" in answer["message"]) == (422, True)
    assert ask(server, "POST", crds, definition("^(a+)+$"))[0] == 201
    end = time.monotonic() + PATIENCE
    while ask(server, "GET", "/apis/abuse.io/v1/slows")[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    slow = {"apiVersion": "abuse.io/v1", "kind": "Slow", "metadata": {"name": "a"}, "spec": {"a": "a" * 100_000 + "b"}}
    body = json.dumps(slow).encode()
    started = time.monotonic()
    code, answer, _ = ask(server, "POST", "/apis/abuse.io/v1/slows", body)
    assert (code, "should match '^(a+)+$'" in answer["message"]) == (422, True)
    assert time.monotonic() - started < 5


# -- parts of objects --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scaled(server: Server) -> str:
    """The path of the scale of a ReplicaSet."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/replicasets"
    body = json.dumps({"metadata": {"name": "r"}, "spec": spec}).encode()
    assert ask(server, "POST", path, body)[0] == 201
    return f"{path}/r/scale"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"spec": {"replicas": 2**63}},
            "number 9223372036854775808 into Go struct field ScaleSpec.spec.replicas of type",
        ),
        ({"spec": {"replicas": 2**31}}, "number 2147483648 into Go struct field ScaleSpec.spec.replicas of type int32"),
        ({"spec": {"replicas": "3"}}, "string into Go struct field ScaleSpec.spec.replicas of type int32"),
        ({"spec": [], "metadata": {}}, "array into Go struct field Scale.spec of type v1.ScaleSpec"),
        (
            {"metadata": {"resourceVersion": 5}},
            "number into Go struct field ObjectMeta.metadata.resourceVersion of type",
        ),
        ({"metadata": "x"}, "string into Go struct field Scale.metadata of type v1.ObjectMeta"),
    ],
)
def test_scales(server: Server, scaled: str, body: Any, text: str) -> None:
    """Whole and as a patch: types are checked, and numbers have to fit."""
    for method, media, expected in (("PUT", "application/json", 400), ("PATCH", MERGE, 422)):
        code, answer, _ = ask(server, method, scaled, json.dumps(body).encode(), media)
        assert (code, text in answer["message"]) == (expected, True), answer["message"]


@pytest.mark.parametrize(
    ("method", "body", "code", "text"),
    [
        ("PUT", {"metadata": {"name": "b"}}, 400, "the name of the object (b) does not match the name on the URL (r)"),
        ("PUT", {"spec": {"replicas": 0}}, 400, "the name of the object (r based on URL) was undeterminable"),
        ("PUT", {"metadata": {"name": "r", "namespace": "x"}}, 400, "does not match the namespace sent on the request"),
        ("PUT", {"metadata": {"name": "r", "uid": "x"}}, 409, "Precondition failed: UID in precondition: x"),
        (
            "PATCH",
            {"metadata": {"name": "b"}},
            400,
            "the name of the object (b) does not match the name on the URL (r)",
        ),
        ("PATCH", {"metadata": {"uid": "x"}}, 200, ""),
    ],
)
def test_scales_are_of_an_object(server: Server, scaled: str, method: str, body: Any, code: int, text: str) -> None:
    """A Scale says whose it is, as the object itself does."""
    media = MERGE if method == "PATCH" else "application/json"
    found, answer, _ = ask(server, method, scaled, json.dumps(body).encode(), media)
    assert (found, text in answer.get("message", "")) == (code, True), answer


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("binding", {"target": []}),
        ("binding", {"target": {"name": 5}}),
        ("binding", []),
        ("eviction", {"metadata": {"name": {}}}),
        ("eviction", {"deleteOptions": {"gracePeriodSeconds": "x"}}),
        ("eviction", {"deleteOptions": 5}),
    ],
)
def test_bindings_and_evictions(server: Server, part: str, body: Any) -> None:
    """Nothing in them is taken on trust."""
    code, answer, _ = ask(server, "POST", f"{PODS}/p/{part}", json.dumps(body).encode())
    assert code in (400, 404, 422), answer
