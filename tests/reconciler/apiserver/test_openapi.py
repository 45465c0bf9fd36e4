"""OpenAPI documents: complete, consistent, and what kubectl reads of them is there."""

import json
from typing import Any

import pytest

from reconciler.apiserver.openapi import OpenApi
from reconciler.apiserver.openapi_schemas import references
from reconciler.apiserver.openapi_untyped import known_schemas
from reconciler.apiserver.protobuf import _fields
from reconciler.apiserver.resources import Registry


@pytest.fixture(scope="module")
def documents() -> OpenApi:
    return OpenApi(Registry())


def test_each_group_and_version_has_a_document(documents: OpenApi) -> None:
    """The index says where, with a digest of what is there."""
    paths = json.loads(documents.index())["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1"} <= set(paths)
    for place, entry in paths.items():
        assert entry["serverRelativeURL"].startswith(f"/openapi/v3/{place}?hash=")
        document = json.loads(documents.v3(place) or b"")
        schemas = document["components"]["schemas"]
        assert {each.removeprefix("#/components/schemas/") for each in references(document)} <= set(schemas)
    assert documents.v3("apis/nothing/v1") is None


def test_references_of_version_2_lead_somewhere(documents: OpenApi) -> None:
    document = json.loads(documents.v2())
    assert {each.removeprefix("#/definitions/") for each in references(document)} <= set(document["definitions"])


def test_kinds_have_paths_and_ties(documents: OpenApi) -> None:
    """``kubectl explain`` finds a kind by its path, and a schema by the kind."""
    document = json.loads(documents.v3("apis/apps/v1") or b"")
    item = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    kind = {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert item["get"]["x-kubernetes-group-version-kind"] == kind
    names = {each["name"] for each in item["patch"]["parameters"]}
    assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= names
    schema = document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]
    assert schema["x-kubernetes-group-version-kind"] == [kind]


def test_lists_say_how_they_are_merged(documents: OpenApi) -> None:
    """Strategy and key of patches, type and keys of server-side apply."""
    schemas = json.loads(documents.v3("api/v1") or b"")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert schemas["io.k8s.api.core.v1.Container"]["required"] == ["name"]


def _strings(data: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    return found


def test_the_protocol_buffer_says_the_same(documents: OpenApi) -> None:
    """All definitions and paths of version 2, and the fields of one."""
    document = json.loads(documents.v2())
    message = _strings(documents.v2_protobuf())
    assert message[1] == [b"2.0"]
    paths = [_strings(each)[1][0].decode() for each in _strings(message[8][0])[2]]
    assert paths == list(document["paths"])
    named = {_strings(each)[1][0].decode(): _strings(each)[2][0] for each in _strings(message[9][0])[1]}
    assert list(named) == list(document["definitions"])
    pod = _strings(named["io.k8s.api.core.v1.Pod"])
    fields = [_strings(each)[1][0].decode() for each in _strings(pod[25][0])[1]]
    assert fields == list(document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"])


def test_kinds_without_a_type_are_described_too(documents: OpenApi) -> None:
    """Their fields are those of their protocol buffers."""
    schemas = json.loads(documents.v3("apis/networking.k8s.io/v1") or b"")["components"]["schemas"]
    ingress = schemas["io.k8s.api.networking.v1.Ingress"]["properties"]
    assert ingress["spec"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.networking.v1.IngressSpec"}]
    assert {"apiVersion", "kind", "metadata", "status"} <= set(ingress)
    role = json.loads(documents.v3("apis/rbac.authorization.k8s.io/v1") or b"")["components"]["schemas"]
    rule = role["io.k8s.api.rbac.v1.PolicyRule"]["properties"]
    described = rule["verbs"].pop("description")
    assert described.startswith("What is allowed")
    assert rule["verbs"] == {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}


def test_what_a_manifest_has_to_have_is_required() -> None:
    """As in Kubernetes' own document; every field that is required is there."""
    schemas = known_schemas()
    for name, schema in schemas.items():
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), name
    required = {name.removeprefix("io.k8s.api."): schema.get("required", []) for name, schema in schemas.items()}
    assert required["apps.v1.DeploymentSpec"] == ["selector", "template"]
    assert required["core.v1.PodSpec"] == ["containers"]
    assert required["core.v1.Container"] == ["name"]
    assert required["autoscaling.v2.MetricSpec"] == ["type"]
    assert required["events.v1.Event"] == ["eventTime", "metadata"]
