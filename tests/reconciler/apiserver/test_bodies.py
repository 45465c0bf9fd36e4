"""What is read from bodies, and what patches make of documents."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.decode import JSON, YAML, Decoder
from reconciler.apiserver.gojson import syntax_error
from reconciler.apiserver.patches import json_patch, merge_patch
from reconciler.apiserver.resources import Registry
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.strategic import strategic_patch
from reconciler.apiserver.wire import document, encode, with_revision
from state.objects import Deployment, Pod
from tests.reconciler.apiserver.recorded_requests import FOLDER, NAMESPACE, Cluster

REGISTRY = Registry()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_json_has_no_syntax_error(value):
    """Whatever is JSON is none for the scanner either, with spaces or without."""
    assert not syntax_error(json.dumps(value).encode())
    assert not syntax_error(json.dumps(value, indent=1, ensure_ascii=False).encode())


@given(VALUES, st.data())
def test_broken_json_has_one(value, data):
    """What Python can't read, the scanner doesn't let pass."""
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.sampled_from(["", "}", "]", ",", "x", '"', "\\", "01", "\n"])) + text[at + 1 :]
    try:
        json.loads(broken)
    except ValueError:
        assert syntax_error(broken.encode())
    else:
        assert not syntax_error(broken.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unexpected end of JSON input"),
        ("{not", "invalid character 'n' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("nul", "unexpected end of JSON input"),
        ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ('"a\nb"', r"invalid character '\n' in string literal"),
        ("{} {}", "invalid character '{' after top-level value"),
    ],
)
def test_syntax_errors_are_go_s(text, message):
    """In the words of encoding/json."""
    assert syntax_error(text.encode()) == message


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/l/-", "value": 3}], {"a": {"b": 1}, "l": [1, 2, 3]}),
        ([{"op": "add", "path": "/l/0", "value": 0}], {"a": {"b": 1}, "l": [0, 1, 2]}),
        ([{"op": "remove", "path": "/l/0"}, {"op": "test", "path": "/l/0", "value": 2}], {"a": {"b": 1}, "l": [2]}),
        ([{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "l": [1, 2], "c": 1}),
        ([{"op": "replace", "path": "", "value": {"x": 1}}], {"x": 1}),
        ([{"op": "remove", "path": "/none"}], None),
        ([{"op": "add", "path": "/l/9", "value": 1}], None),
        ([{"op": "add", "path": "l", "value": 1}], None),
        ([{"op": "add", "path": "/x"}], None),
        ([1], None),
    ],
)
def test_json_patch(operations, result):
    """As RFC 6902 says; what can't be done is refused as a whole."""
    original = {"a": {"b": 1}, "l": [1, 2]}
    if result is None:
        with pytest.raises(ApiError):
            json_patch(original, operations)
    else:
        assert json_patch(original, operations) == result
    assert original == {"a": {"b": 1}, "l": [1, 2]}


def test_merge_patch():
    """Null removes, maps merge, everything else replaces."""
    assert merge_patch({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None}, "l": [2], "n": {"x": None}}) == {
        "a": {"c": 2},
        "l": [2],
        "n": {},
    }


@pytest.mark.parametrize(
    ("patch", "finalizers"),
    [
        ({"finalizers": ["c"]}, ["c", "a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a"]}, ["b"]),
        ({"$setElementOrder/finalizers": ["b", "a"]}, ["b", "a"]),
        ({"finalizers": None}, None),
    ],
)
def test_lists_of_plain_values_are_merged_as_sets(patch, finalizers):
    """Finalizers are added, taken out and ordered one by one."""
    merged = strategic_patch({"metadata": {"finalizers": ["a", "b"]}}, {"metadata": patch}, Pod)
    assert merged["metadata"].get("finalizers") == finalizers


def test_items_that_only_the_server_has_stay_where_they_were():
    """A patch in the order of kubectl keeps the live order of what it doesn't name."""
    live = {"spec": {"template": {"spec": {"containers": [{"name": name} for name in "abc"]}}}}
    patch = {"$setElementOrder/containers": [{"name": "a"}, {"name": "c"}], "containers": [{"name": "c", "image": "i"}]}
    merged = strategic_patch(live, {"spec": {"template": {"spec": patch}}}, Deployment)
    assert [item["name"] for item in merged["spec"]["template"]["spec"]["containers"]] == ["a", "b", "c"]


def test_a_stored_object_has_its_revision_put_in():
    """The bytes in the store have none, those that are sent have the store's."""
    resource = REGISTRY.of_kind("v1", "Pod")
    obj = Decoder(REGISTRY).body(b'{"metadata":{"name":"p"},"spec":{}}', resource).object
    assert b"resourceVersion" not in encode(obj)
    assert json.loads(with_revision(encode(obj), 7))["metadata"] == {"name": "p", "resourceVersion": "7"}
    assert document(obj)["spec"] == {"containers": None}


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"a: [", YAML, "error converting YAML to JSON"),
        (
            b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":[]}}',
            JSON,
            "unmarshal array into Go struct field ObjectMeta",
        ),
        (b'{"kind":"Node"}', JSON, "converting (v1.Node) to (core.Pod): unknown conversion"),
        (b'{"apiVersion":"x/v1"}', JSON, 'no kind "Pod" is registered for version "x/v1"'),
    ],
)
def test_bodies_that_are_refused(body, content_type, message):
    """With a 400 that says what is wrong."""
    with pytest.raises(ApiError) as refused:
        Decoder(REGISTRY).body(body, REGISTRY.of_kind("v1", "Pod"), content_type)
    assert refused.value.code == 400
    assert message in refused.value.message


# -- anything at all ---------------------------------------------------------------------------------------------------

ODD = [
    None,
    "",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    "x" * 300,
    "a/b",
    "\0",
    [None],
    {"a": None},
    [[]],
    {"": ""},
    10**20,
    "\U0010ffff",
]
DIRECTIVES = ["$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "metadata"]
PATCHES = ["json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"]
#: What Kubernetes itself answers with a 500 for.
INTERNAL = (
    "does not contain declared merge key",
    "doesn't match $setElementOrder list",
    "expected a []interface {}",
    "failed to create typed patch object",
    "list element types are not identical",
    "merging lists cannot yet be specified",
    "unknown patch type",
    "ParseUint",
    "should not be set",
)


def _damaged(chance: random.Random, body: object) -> object:
    body = json.loads(json.dumps(body))
    for _ in range(chance.randint(1, 3)):
        ways = list(_ways(body))
        if not ways:
            return chance.choice(ODD)
        *way, last = chance.choice(ways)
        parent = body
        for key in way:
            parent = parent[key]
        key = chance.choice(DIRECTIVES) if isinstance(parent, dict) and chance.random() < 0.2 else last
        parent[key] = json.loads(json.dumps(chance.choice(ODD)))
    return body


def _ways(value, way=()):
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*way, key)
        yield from _ways(item, (*way, key))


@pytest.mark.parametrize("seed", range(4))
def test_no_body_is_too_odd(seed):
    """Recorded requests with parts of their bodies replaced are answered, and what they leave can still be read."""
    chance = random.Random(seed)
    requests = [
        step
        for path in sorted(FOLDER.glob("[adg]*.json"))
        for step in json.loads(path.read_text())["steps"]
        if step["op"] == "http" and step.get("body")
    ]
    cluster = Cluster()
    for number in range(500):
        step = json.loads(json.dumps(chance.choice(requests)).replace("{ns}", NAMESPACE))
        body = step["body"] if isinstance(step["body"], str) else _damaged(chance, step["body"])
        media = step.get("contentType", "application/json")
        if step["method"] == "PATCH" and chance.random() < 0.3:
            media = f"application/{chance.choice(PATCHES)}"
        code, answer = cluster.call(step["method"], step["path"], body, media)
        assert code < 500 or any(text in answer["message"] for text in INTERNAL), answer
        if number % 100 == 0:
            cluster.control.settle()
