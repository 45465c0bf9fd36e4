"""fieldValidation: unknown and repeated fields, refused, warned of or passed over, in the words of Go's decoders."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.gojson import GoJsonError, loads
from reconciler.apiserver.http import Application
from reconciler.apiserver.routes import target
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.strict import Text, faults_of
from state.store.memory import MemoryStore

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
YAML, MERGE = "application/yaml", "application/merge-patch+json"

POD = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "bogus": 1, "spec": {
  "bar": 2, "bar": 3, "restartPolicy": "Never", "restartPolicy": "Always",
  "containers": [{"name": "a", "image": "x", "foo": 1, "env": [{"name": "x", "value": "1", "value": "2"}],
                  "imagePullPolicy": "Always", "imagePullPolicy": "Never"}]}}"""
FAULTS = [
    'unknown field "bogus"',
    'unknown field "spec.bar"',
    'duplicate field "spec.restartPolicy"',
    'unknown field "spec.containers[0].foo"',
    'duplicate field "spec.containers[0].env[0].value"',
    'duplicate field "spec.containers[0].imagePullPolicy"',
]
POD_YAML = """apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  bar: 2
  restartPolicy: Never
  restartPolicy: Always
  containers:
  - name: a
    image: x
    image: z
    foo: 1
"""
LINES = ['line 7: key "restartPolicy" already set in map', 'line 11: key "image" already set in map']
UNKNOWN = ['unknown field "spec.bar"', 'unknown field "spec.containers[0].foo"']


class Client:
    def __init__(self) -> None:
        api = Api(MemoryStore())
        bootstrap(api)
        self.application = Application(api)

    def __call__(self, method: str, path: str, body: str, media: str = "application/json") -> tuple[int, Any]:
        """Code and, of a success, the warnings; of a failure, the message."""
        path, _, query = path.partition("?")
        aim = target(self.application.api.registry, path, method)
        try:
            answer = self.application.perform(aim, parse_qs(query), body.encode(), media)
        except ApiError as error:
            return error.code, error.message
        return answer.code, list(answer.warnings)


@pytest.fixture
def client() -> Client:
    found = Client()
    accounts = PODS.replace("pods", "serviceaccounts")
    assert found("POST", accounts, '{"metadata": {"name": "default"}}')[0] == 201
    return found


def test_json_is_read_strictly(client: Client) -> None:
    """Faults come in the order of the text; what is unknown and repeated is unknown."""
    code, message = client("POST", f"{PODS}?fieldValidation=Strict", POD)
    refused = 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
    assert (code, message) == (400, refused + ", ".join(FAULTS))
    assert client("POST", f"{PODS}?dryRun=All", POD) == (201, FAULTS)
    assert client("POST", f"{PODS}?dryRun=All&fieldValidation=Warn", POD) == (201, FAULTS)
    assert client("POST", f"{PODS}?dryRun=All&fieldValidation=Ignore", POD) == (201, [])


def test_yaml_is_read_strictly(client: Client) -> None:
    """Keys that are there twice are told by line, before unknown fields."""
    code, message = client("POST", f"{PODS}?fieldValidation=Strict", POD_YAML, YAML)
    lines = "\n  ".join(("yaml: unmarshal errors:", *LINES))
    refused = f'Pod in version "v1" cannot be handled as a Pod: strict decoding error: {lines}, '
    assert (code, message) == (400, refused + ", ".join(UNKNOWN))
    assert client("POST", f"{PODS}?dryRun=All", POD_YAML, YAML) == (201, [*LINES, *UNKNOWN])


def test_patches_are_read_strictly(client: Client) -> None:
    """The patch itself, and what it makes of the object."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
    assert client("POST", PODS, json.dumps(pod))[0] == 201
    patch = '{"metadata": {"labels": {"a": "b", "a": "c"}}, "spec": {"bar": 1}}'
    told = ['duplicate field "metadata.labels.a"', 'unknown field "spec.bar"']
    assert client("PATCH", f"{PODS}/p?dryRun=All", patch, MERGE) == (200, told)
    code, message = client("PATCH", f"{PODS}/p?fieldValidation=Strict", patch, MERGE)
    assert (code, message.endswith(f"strict decoding error: {', '.join(told)}")) == (422, True)
    assert client("PATCH", f"{PODS}/p?fieldValidation=Ignore&dryRun=All", patch, MERGE) == (200, [])


def test_strict_is_satisfied_by_what_is_right(client: Client) -> None:
    """Spaces, escapes and words that look like keys make no fault."""
    text = '{ "metadata" : {"name" :"p", "annotations":{"a":"\\"b\\":1","b":"x\\u0022","c":"\\u003a"}},\n'
    text += '"spec"\t: {"containers"\n:[{"name":"a","image":"x"}]}}'
    assert client("POST", f"{PODS}?fieldValidation=Strict", text) == (201, [])


def test_faults_have_an_end() -> None:
    """A hundred are told."""
    text = ("{" + ",".join('"a":1' for _ in range(50)) + ',"b":{' + '"c":1,' * 9 + '"d":1}}').encode()
    assert faults_of(Text(text), loads(text), [], is_custom=False).fields == [
        'duplicate field "a"',
        'duplicate field "b.c"',
    ]
    many = "{" + ",".join(f'"k{number}":1,"k{number}":2' for number in range(500)) + "}"
    assert len(faults_of(Text(many.encode()), loads(many.encode()), [], is_custom=False).fields) == 100


KEYS = st.text('ab"\\:{} \u00e9', min_size=1, max_size=3)
VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def written(value: Any, *, spaced: bool) -> str:
    """JSON of a value in which tuples are maps with all of their keys."""
    if isinstance(value, tuple):
        colon = " : " if spaced else ":"
        return "{" + ",".join(f"{json.dumps(key)}{colon}{written(item, spaced=spaced)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(item, spaced=spaced) for item in value) + "]"
    return json.dumps(value, ensure_ascii=spaced)


def repeats(value: Any) -> bool:
    """Whether a map anywhere has a key twice."""
    if isinstance(value, tuple):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(repeats(item) for _, item in value)
    return isinstance(value, list) and any(map(repeats, value))


@given(VALUES, st.booleans())
def test_repeated_keys_are_always_found(value: Any, spaced: bool) -> None:
    """However the text is written, and only where there are some."""
    body = written(value, spaced=spaced).encode()
    assert bool(faults_of(Text(body), loads(body), [], is_custom=False).fields) == repeats(value)


@given(st.binary(max_size=40) | st.text('{}[]",:\\ud8900123456789eE+-. truefalsn', max_size=40).map(str.encode))
def test_any_text_is_read_or_refused(text: bytes) -> None:
    """Go's reader has an answer to everything, and what is read can be written."""
    with suppress(GoJsonError):
        json.dumps(loads(text)).encode()
