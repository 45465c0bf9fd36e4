"""CustomResourceDefinitions: schemas, columns, and resources that come and go."""

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.crd_columns import custom_layout, json_path
from reconciler.apiserver.crd_definition import DefinitionKind
from reconciler.apiserver.crd_fields import MistypedError
from reconciler.apiserver.crd_schema import defaulted, pruned
from reconciler.apiserver.crd_values import problems
from reconciler.apiserver.http import Application
from reconciler.apiserver.openapi import OpenApi
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import ApiError
from state.objects import CustomObject, ObjectMeta, Opaque
from state.store.memory import MemoryStore

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["cron"],
            "properties": {
                "cron": {"type": "string", "pattern": "^[^ ]+$", "maxLength": 5},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "port": {"x-kubernetes-int-or-string": True},
                "items": {
                    "type": "array",
                    "maxItems": 2,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "default": "main"},
                            "on": {"type": "boolean", "default": True},
                        },
                    },
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "maybe": {"type": "string", "nullable": True},
            },
        },
        "status": {"type": "object", "properties": {"ready": {"type": "integer"}}},
    },
}


SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.ready"}


def _definition(name: str = "tabs.example.com", **version: Any) -> dict[str, Any]:
    plural, _, group = name.partition(".")
    return {
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": "Tab", "shortNames": ["tb"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, "scale": SCALE},
                    "schema": {"openAPIV3Schema": deepcopy(SCHEMA)},
                    **version,
                }
            ],
        },
    }


def _told(value: Any) -> list[str]:
    return [str(each) for each in problems({"spec": value}, SCHEMA)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"cron": "x"}, []),
        ({}, ["spec.cron: Required value"]),
        ({"cron": 1}, ['spec.cron: Invalid value: "integer": spec.cron in body must be of type string: "integer"']),
        ({"cron": "a b"}, ["spec.cron: Invalid value: \"a b\": spec.cron in body should match '^[^ ]+$'"]),
        ({"cron": "abcdef"}, ["spec.cron: Too long: may not be more than 5 bytes"]),
        (
            {"cron": "x", "replicas": 11},
            ["spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"],
        ),
        ({"cron": "x", "kind": "c"}, ['spec.kind: Unsupported value: "c": supported values: "a", "b"']),
        ({"cron": "x", "port": "http"}, []),
        (
            {"cron": "x", "port": []},
            ['spec.port: Invalid value: "array": spec.port in body must be of type integer,string: "array"'],
        ),
        ({"cron": "x", "items": [{}, {}, {"name": "a"}]}, ["spec.items: Too many: 3: must have at most 2 items"]),
        ({"cron": "x", "items": [{"name": "a"}, {"name": "a"}]}, ['spec.items[1]: Duplicate value: {"name":"a"}']),
        (
            {"cron": "x", "labels": {"a": 1}},
            ['spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"'],
        ),
        ({"cron": "x", "maybe": None}, []),
        (
            {"cron": "x", "kind": None},
            ['spec.kind: Invalid value: "null": spec.kind in body must be of type string: "null"'],
        ),
    ],
)
def test_values_are_refused_in_kubernetes_words(spec: dict[str, Any], expected: list[str]) -> None:
    told = _told(spec)
    assert told[: len(expected)] == expected
    assert bool(told) == bool(expected)


def test_unknown_fields_are_pruned_and_named() -> None:
    """But for those below a field that keeps them."""
    unknown: list[str] = []
    value = {"spec": {"cron": "x", "no": 1, "free": {"a": {"b": 1}}, "items": [{"name": "a", "z": 1}]}, "what": 1}
    kept = pruned(value, SCHEMA, "", unknown)
    assert kept == {"spec": {"cron": "x", "free": {"a": {"b": 1}}, "items": [{"name": "a"}]}}
    assert unknown == ["spec.no", "spec.items[0].z", "what"]


def test_defaults_fill_what_is_there() -> None:
    """Not the maps that are missing; a null that may not be counts as missing."""
    assert defaulted({}, SCHEMA) == {}
    assert defaulted({"spec": {"replicas": None, "items": [{}]}}, SCHEMA) == {
        "spec": {"replicas": 1, "items": [{"name": "main", "on": True}]}
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "cron", "items", "a"]), inner),
    max_leaves=10,
)


@given(_JSON)
def test_pruning_and_defaulting_are_done_once(value: Any) -> None:
    """Doing either again changes nothing; whatever comes is judged without a failure."""
    once = defaulted(pruned(value, SCHEMA), SCHEMA)
    assert defaulted(pruned(once, SCHEMA), SCHEMA) == once
    list(problems(value, SCHEMA))


@given(_JSON)
def test_definitions_that_make_no_sense_are_refused(value: Any) -> None:
    """Wherever the nonsense is."""
    kind = DefinitionKind()
    good = _definition()
    for path in (("spec",), ("spec", "names"), ("spec", "versions"), ("status",)):
        body = json.loads(json.dumps({key: good[key] for key in ("spec",)}))
        inner = body
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        try:
            completed, _ = kind.completed(body)
        except MistypedError:
            continue
        obj = CustomObject(
            api_version="apiextensions.k8s.io/v1",
            kind="CustomResourceDefinition",
            metadata=ObjectMeta(name="tabs.example.com"),
            body=Opaque(completed),
        )
        assert list(kind.problems(obj, None)) or path == ("status",)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.a", [1]),
        ("$.spec['a']", [1]),
        (".list[0].n", ["x"]),
        (".list[*].n", ["x", "y"]),
        ('.list[?(@.n=="y")].v', [2]),
        (".metadata.annotations.a\\.b/c", ["z"]),
        (".nothing.here", []),
    ],
)
def test_json_paths(path: str, expected: list[Any]) -> None:
    document = {
        "spec": {"a": 1},
        "list": [{"n": "x"}, {"n": "y", "v": 2}],
        "metadata": {"annotations": {"a.b/c": "z"}},
    }
    assert json_path(path)(document) == expected


def test_a_wrong_json_path_is_an_error() -> None:
    with pytest.raises(ValueError, match="no step"):
        json_path("spec[")


def test_columns_of_a_custom_resource() -> None:
    """The name, then what the definition names; ages as kubectl has them."""
    layout = custom_layout(
        [
            {"name": "Cron", "type": "string", "jsonPath": ".spec.cron", "priority": 1},
            {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ]
    )
    obj = CustomObject(
        api_version="a/v1",
        kind="A",
        metadata=ObjectMeta(name="x", creation_timestamp="2025-12-31T23:59:00Z"),
        body=Opaque({"spec": {"cron": "* *", "n": "three"}}),
    )
    assert list(layout.cells(obj, 1_767_225_600_000_000)) == ["x", "* *", None, "60s"]
    assert [each["priority"] for each in layout.definitions] == [0, 1, 0, 0]


class Cluster:
    """An API with definitions at work."""

    def __init__(self) -> None:
        self.api = Api(MemoryStore(), fields=ManagedFields(schema_of))
        bootstrap(self.api)
        self.definitions = Definitions(self.api)
        self.application = Application(self.api, "", self.definitions.layout)
        self.definitions.start()

    def __call__(self, method: str, path: str, body: Any = None, media: str = "application/json") -> tuple[int, Any]:
        path, _, query = path.partition("?")
        if method in ("POST", "PUT") and path.startswith("/apis/example.com/") and not path.endswith("/scale"):
            body = {"apiVersion": "/".join(path.split("/")[2:4]), "kind": "Tab", **body}
        data = b"" if body is None else json.dumps(body).encode()
        try:
            aim = target(self.api.registry, path, method)
            answer = self.application.perform(aim, parse_qs(query), data, media)
        except ApiError as error:
            return error.code, error.to_dict()
        except UnknownPathError:
            return 404, None
        document, conversion = answer.document, aim.place.resource.conversion
        if conversion is not None:
            document = (conversion.read_list if aim.verb == "list" else conversion.read)(document)
        return getattr(answer, "code", 200), document

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits until the definitions have been followed."""
        for _ in range(1000):
            if holds():
                return
            time.sleep(0.005)
        raise AssertionError("it doesn't come to hold")


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABS = "/apis/example.com/v1/namespaces/default/tabs"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.definitions.stop()


def _established(cluster: Cluster, name: str = "tabs.example.com") -> bool:
    conditions = cluster("GET", f"{CRDS}/{name}")[1].get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def test_a_life(cluster: Cluster) -> None:
    """Defined, used, checked, scaled, deleted with everything of its kind."""
    assert cluster("GET", TABS)[0] == 404
    assert cluster("POST", CRDS, _definition())[0] == 201
    cluster.until(lambda: _established(cluster))
    tab = {"metadata": {"name": "t"}, "spec": {"cron": "x", "no": 1}, "status": {"ready": 5}}
    code, document = cluster("POST", TABS, tab)
    assert (code, document["spec"]) == (201, {"cron": "x", "replicas": 1})
    assert "status" not in document
    assert document["apiVersion"] == "example.com/v1"
    code, status = cluster("POST", f"{TABS}?fieldValidation=Strict", tab)
    assert (code, 'unknown field "spec.no"' in status["message"]) == (400, True)
    code, status = cluster("PUT", f"{TABS}/t", {**tab, "spec": {"cron": "x y"}})
    assert (code, status["reason"]) == (422, "Invalid")
    patch = {"status": {"ready": 2}, "spec": {"cron": "y"}}
    document = cluster("PATCH", f"{TABS}/t/status", patch, "application/merge-patch+json")[1]
    assert (document["status"], document["spec"]["cron"], document["metadata"]["generation"]) == ({"ready": 2}, "x", 1)
    scaled = cluster("PATCH", f"{TABS}/t/scale", {"spec": {"replicas": 4}}, "application/merge-patch+json")
    assert (scaled[1]["spec"], scaled[1]["status"]) == ({"replicas": 4}, {"replicas": 2})
    schemas = json.loads(OpenApi(cluster.api.registry, schema_of).v3("apis/example.com/v1") or b"")["components"]
    assert "com.example.v1.Tab" in schemas["schemas"]
    assert "finalizers" not in cluster("GET", f"{CRDS}/tabs.example.com")[1]["metadata"]
    code, leaving = cluster("DELETE", f"{CRDS}/tabs.example.com")
    assert (code, leaving["metadata"]["finalizers"]) == (200, ["customresourcecleanup.apiextensions.k8s.io"])
    assert leaving["status"]["conditions"][-1]["type"] == "Terminating"
    cluster.until(lambda: cluster("GET", f"{CRDS}/tabs.example.com")[0] == 404)
    cluster.until(lambda: cluster("GET", TABS)[0] == 404)
    assert not [key for key in _keys(cluster) if "example.com/tabs" in key]


def test_what_is_wrong_with_a_scale(cluster: Cluster) -> None:
    """An object without a number of replicas has no Scale to read, but one to write; faults name its field."""
    definition = _definition()
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["replicas"]["default"]
    assert cluster("POST", CRDS, definition)[0] == 201
    cluster.until(lambda: _established(cluster))
    assert cluster("POST", TABS, {"metadata": {"name": "t"}, "spec": {"cron": "x"}})[0] == 201
    code, status = cluster("GET", f"{TABS}/t/scale")
    assert (code, 'the spec replicas field ".spec.replicas" does not exist' in status["message"]) == (500, True)
    wanted, merge = {"spec": {"replicas": 3}}, "application/merge-patch+json"
    assert cluster("PATCH", f"{TABS}/t/scale", wanted, "application/strategic-merge-patch+json")[0] == 415
    assert cluster("PATCH", f"{TABS}/t/scale", wanted, merge)[1]["spec"] == {"replicas": 3}
    code, status = cluster("PATCH", f"{TABS}/t/scale", {"spec": {"replicas": -1}}, merge)
    text = 'Tab.example.com "t" is invalid: .spec.replicas: Invalid value: -1: should be a non-negative integer'
    assert (code, status["message"]) == (422, text)


def _keys(cluster: Cluster) -> list[str]:
    return [entry.key for entry in cluster.api.storage.store.list("/").entries]


def test_every_version_shows_the_same_objects(cluster: Cluster) -> None:
    """Without a conversion nothing but the version differs, whichever one an object was written in."""
    definition = _definition()
    (first,) = definition["spec"]["versions"]
    definition["spec"]["versions"].append({**first, "name": "v2", "storage": False})
    assert cluster("POST", CRDS, definition)[0] == 201
    cluster.until(lambda: _established(cluster))
    other = TABS.replace("/v1/", "/v2/")
    for path, name in ((TABS, "a"), (other, "b")):
        code, made = cluster("POST", path, {"metadata": {"name": name}, "spec": {"cron": "x"}})
        assert (code, made["apiVersion"]) == (201, path.split("/")[2] + "/" + path.split("/")[3])
    for path, version in ((TABS, "example.com/v1"), (other, "example.com/v2")):
        assert [cluster("GET", f"{path}/{name}")[1]["apiVersion"] for name in "ab"] == [version, version]
        listed = cluster("GET", path)[1]
        assert (listed["apiVersion"], [each["apiVersion"] for each in listed["items"]]) == (version, [version, version])
    patched = cluster("PATCH", f"{TABS}/b", {"spec": {"cron": "y"}}, "application/merge-patch+json")[1]
    assert (patched["apiVersion"], patched["spec"]["cron"]) == ("example.com/v1", "y")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([{}], "[0].rule: Required value: rule is not specified"),
        ([{"rule": "true", "message": "a\nb"}], '[0].message: Invalid value: "a\\nb": must not contain line breaks'),
        ([{"rule": "true", "fieldPath": ".no"}], '[0].fieldPath: Invalid value: ".no": must be a valid path'),
        ([{"rule": "true", "reason": "No"}], '[0].reason: Unsupported value: "No"'),
    ],
)
def test_rules_have_to_be_rules(cluster: Cluster, rules: Any, expected: str) -> None:
    """A definition with others is refused."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-validations": rules}}
    code, status = cluster("POST", CRDS, _definition(schema=schema))
    assert code == 422
    assert expected in status["message"]


def test_rules_are_enforced(cluster: Cluster) -> None:
    """For creations and changes."""
    rule = {"rule": "self.cron != oldSelf.cron", "message": "cron must change"}
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"]}}
    schema["properties"]["spec"] = {**SCHEMA["properties"]["spec"], "x-kubernetes-validations": [rule]}
    assert cluster("POST", CRDS, _definition(schema={"openAPIV3Schema": schema}))[0] == 201
    cluster.until(lambda: _established(cluster))
    assert cluster("POST", TABS, {"metadata": {"name": "t"}, "spec": {"cron": "x"}})[0] == 201
    merge = "application/merge-patch+json"
    code, status = cluster("PATCH", f"{TABS}/t", {"spec": {"replicas": 3}}, merge)
    assert (code, status["message"]) == (
        422,
        'Tab.example.com "t" is invalid: spec: Invalid value: cron must change',
    )
    assert cluster("PATCH", f"{TABS}/t", {"spec": {"cron": "y"}}, merge)[0] == 200


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ({}, "[spec.subresources.scale.specReplicasPath: Required value, "),
        (
            {**SCALE, "specReplicasPath": ".a"},
            'specReplicasPath: Invalid value: ".a": should be a json path under .spec',
        ),
        (
            {**SCALE, "labelSelectorPath": ".a"},
            'labelSelectorPath: Invalid value: ".a": should be a json path under either .spec or .status',
        ),
    ],
)
def test_a_scale_has_to_be_somewhere(cluster: Cluster, scale: dict[str, str], expected: str) -> None:
    """In the wish and in the report."""
    code, status = cluster("POST", CRDS, _definition(subresources={"scale": scale}))
    assert code == 422
    assert expected in status["message"]


def test_server_side_apply_follows_the_schema(cluster: Cluster) -> None:
    """Items of a list with keys have owners of their own; what isn't in the schema is refused."""
    cluster("POST", CRDS, _definition())
    cluster.until(lambda: _established(cluster))
    apply = "application/apply-patch+yaml"
    base = {"apiVersion": "example.com/v1", "kind": "Tab", "metadata": {"name": "t"}}
    one = {**base, "spec": {"cron": "x", "items": [{"name": "a"}]}}
    assert cluster("PATCH", f"{TABS}/t?fieldManager=one", one, apply)[0] == 201
    two = {**base, "spec": {"items": [{"name": "b", "on": False}]}}
    document = cluster("PATCH", f"{TABS}/t?fieldManager=two", two, apply)[1]
    assert {each["name"]: each["on"] for each in document["spec"]["items"]} == {"a": True, "b": False}
    code, status = cluster("PATCH", f"{TABS}/t?fieldManager=two", {**base, "spec": {"no": 1}}, apply)
    assert (code, status["message"].rpartition(": ")[2]) == (500, "field not declared in schema")


def test_a_second_definition_of_the_same_kind_has_to_wait(cluster: Cluster) -> None:
    """Names belong to the first; nothing of the second is served."""
    cluster("POST", CRDS, _definition())
    cluster.until(lambda: _established(cluster))
    assert cluster("POST", CRDS, _definition("others.example.com"))[0] == 201
    path = f"{CRDS}/others.example.com"
    assert cluster("GET", path)[1]["status"]["storedVersions"] == ["v1"]
    cluster.until(lambda: bool(cluster("GET", path)[1]["status"]["conditions"]))
    conditions = {each["type"]: each for each in cluster("GET", path)[1]["status"]["conditions"]}
    assert conditions["NamesAccepted"]["reason"] == "NameConflict"
    assert cluster("GET", "/apis/example.com/v1/namespaces/default/others")[0] == 404


def test_a_wrong_definition_is_refused_with_all_that_is_wrong(cluster: Cluster) -> None:
    """Name, versions, schema, patterns, columns."""
    wrong = _definition(
        storage=False,
        schema={"openAPIV3Schema": {"type": "string", "pattern": "("}},
        additionalPrinterColumns=[{"name": "a", "type": "string", "jsonPath": "x["}],
    )
    wrong["metadata"]["name"] = "x.example.com"
    code, status = cluster("POST", CRDS, wrong)
    assert code == 422
    fields = [each["field"] for each in status["details"]["causes"]]
    assert fields == [
        "metadata.name",
        "spec.versions",
        "spec.validation.openAPIV3Schema.pattern",
        "spec.validation.openAPIV3Schema.type",
        "spec.additionalPrinterColumns[0].JSONPath",
        "status.storedVersions",
    ]


def test_definitions_in_the_store_are_served_from_the_start(cluster: Cluster) -> None:
    """A server that starts again knows what it served."""
    cluster("POST", CRDS, _definition())
    cluster.until(lambda: _established(cluster))
    again = Api(cluster.api.storage.store)
    definitions = Definitions(again)
    definitions.start()
    try:
        assert again.registry.find("example.com", "v1", "tabs") is not None
    finally:
        definitions.stop()
