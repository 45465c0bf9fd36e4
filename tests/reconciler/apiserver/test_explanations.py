"""What kubectl explain says: texts for what is there, and values that are right."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler.apiserver.explanations import explanations
from reconciler.apiserver.openapi import OpenApi
from reconciler.apiserver.openapi_untyped import known_schemas
from reconciler.apiserver.resources import Registry


def by_type() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, schema in known_schemas().items():
        found.setdefault(name.rpartition(".")[2], []).append(schema.get("properties", {}))
    return found


def test_every_text_is_about_a_type_or_field_that_there_is() -> None:
    """So that none is left when a field goes."""
    types, known = by_type(), explanations()
    kinds = {resource.kind for resource in Registry().resources}
    assert {name for name in known.types if name not in types and name not in kinds} == set()
    anywhere = {field for schemas in types.values() for fields in schemas for field in fields}
    used = {
        (field, text)
        for (kind, field), text in known.fields.items()
        if (field in anywhere if kind == "*" else any(field in fields for fields in types[kind]))
    }
    assert {(field, text) for (_, field), text in known.fields.items()} == used


def test_texts_are_short_sentences() -> None:
    """For a terminal."""
    texts = [*explanations().types.values(), *(each.text for each in explanations().fields.values())]
    assert len(texts) > 600
    assert [text for text in texts if len(text) > 240 or not text.endswith((".", "}"))] == []


@pytest.fixture(scope="module")
def documents() -> OpenApi:
    return OpenApi(Registry())


def test_they_are_in_both_documents(documents: OpenApi) -> None:
    """With allowed values; a field that refers to a type keeps the reference."""
    v3 = orjson.loads(documents.v3("apis/apps/v1") or b"")["components"]["schemas"]
    v2 = orjson.loads(documents.v2())["definitions"]
    for schemas in (v2, v3):
        deployment = schemas["io.k8s.api.apps.v1.Deployment"]
        assert deployment["description"].startswith("Pods that are all alike")
        assert deployment["properties"]["spec"]["description"] == "What is wanted."
        strategy = schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["type"]
        assert strategy["enum"] == ["Recreate", "RollingUpdate"]
        assert "Defaults to RollingUpdate." in strategy["description"]
    assert v2["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]["$ref"].endswith("DeploymentSpec")
    assert "allOf" in v3["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]


def test_every_kind_is_described(documents: OpenApi) -> None:
    """In words of its own."""
    v2 = orjson.loads(documents.v2())["definitions"]
    kinds = {
        name: schema
        for name, schema in v2.items()
        if "x-kubernetes-group-version-kind" in schema and not name.endswith("List")
    }
    assert [name for name, schema in kinds.items() if not schema.get("description")] == []


def test_every_field_is_described(documents: OpenApi) -> None:
    """Of all built-in kinds, down to the last."""
    v2 = orjson.loads(documents.v2())["definitions"]
    fields = {
        f"{name}.{field}": value
        for name, schema in v2.items()
        if name.startswith("io.k8s.")
        for field, value in schema.get("properties", {}).items()
    }
    assert len(fields) > 2_000
    assert sorted(path for path, value in fields.items() if not value.get("description")) == []
