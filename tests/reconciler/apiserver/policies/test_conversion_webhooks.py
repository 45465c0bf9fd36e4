"""Custom resources whose versions a webhook converts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.apiserver.options import ListOptions
from reconciler.apiserver.render import Renderer, negotiate
from reconciler.apiserver.resources import Place
from tests.reconciler.apiserver.policies.hook_server import Hook
from tests.reconciler.apiserver.test_crd import CRDS, TABS, Cluster, _established

Json = dict[str, Any]
OLD = TABS.replace("/v1/", "/v1beta1/")
MERGE = "application/merge-patch+json"


@pytest.fixture
def hook(tmp_path) -> Iterator[Hook]:
    made = Hook(tmp_path)
    yield made
    made.close()


def convert(request: Json) -> Json:
    """v1 has ``spec.size``, v1beta1 had ``spec.width``."""
    wanted = request["desiredAPIVersion"]
    names = ("width", "size") if wanted.endswith("/v1") else ("size", "width")
    objects = []
    for each in request["objects"]:
        spec = {names[1] if name == names[0] else name: value for name, value in each["spec"].items()}
        meta = {**each["metadata"], "uid": "changed", "labels": {"by": "hook"}}
        objects.append({**each, "apiVersion": wanted, "metadata": meta, "spec": spec})
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def version(name: str, field: str) -> Json:
    spec = {"type": "object", "properties": {field: {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": spec}}
    return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}}


@pytest.fixture
def cluster(hook) -> Iterator[Cluster]:
    hook.answer = convert
    made = Cluster()
    webhook = {"clientConfig": hook.client, "conversionReviewVersions": ["v1"]}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "tabs", "singular": "tab", "kind": "Tab"},
        "versions": [version("v1", "size"), version("v1beta1", "width")],
        "conversion": {"strategy": "Webhook", "webhook": webhook},
    }
    assert made("POST", CRDS, {"metadata": {"name": "tabs.example.com"}, "spec": spec})[0] == 201
    made.until(lambda: _established(made))
    yield made
    made.definitions.stop()


def test_what_is_written_and_read_in_another_version(cluster, hook):
    """Of the metadata only labels and annotations are the webhook's."""
    assert cluster("POST", OLD, {"metadata": {"name": "t"}, "spec": {"width": 3}})[0] == 201
    stored = cluster("GET", f"{TABS}/t")[1]
    assert stored["spec"] == {"size": 3}
    assert stored["metadata"]["uid"] != "changed"
    hook.asked.clear()
    document = cluster("GET", f"{OLD}/t")[1]
    assert (document["apiVersion"], document["spec"]) == ("example.com/v1beta1", {"width": 3})
    assert document["metadata"]["uid"] == stored["metadata"]["uid"]
    assert document["metadata"]["labels"] == {"by": "hook"}
    assert [each["desiredAPIVersion"] for each in hook.asked] == ["example.com/v1beta1"]
    assert cluster("PATCH", f"{OLD}/t", {"spec": {"width": 4}}, MERGE)[1]["spec"] == {"width": 4}
    assert cluster("GET", f"{TABS}/t")[1]["spec"] == {"size": 4}


def test_a_list_is_converted_at_once(cluster, hook):
    """One question for all."""
    for name in "abc":
        cluster("POST", TABS, {"metadata": {"name": name}, "spec": {"size": 1}})
    hook.asked.clear()
    items = cluster("GET", OLD)[1]["items"]
    assert [each["spec"] for each in items] == [{"width": 1}] * 3
    assert [len(each["objects"]) for each in hook.asked] == [3]


def test_a_watch_shows_converted_objects_and_plain_bookmarks(cluster, hook):
    """A bookmark has nothing to convert."""
    cluster("POST", TABS, {"metadata": {"name": "a"}, "spec": {"size": 1}})
    old, new = (cluster.api.registry.find("example.com", name, "tabs") for name in ("v1beta1", "v1"))
    renderer = Renderer(negotiate(""), cluster.api.storage, None, cluster.api.clock, {}, conversion=old.conversion)
    assert renderer.is_slow
    stream = cluster.api.watch(Place(new, "default"), ListOptions(watch=True, bookmarks=True))
    try:
        (event,) = stream.read()
        assert b'"spec":{"width":1}' in renderer.event(new, event, is_first=True)
        hook.asked.clear()
        assert b'"apiVersion":"example.com/v1beta1"' in renderer.event(new, stream.bookmark(), is_first=False)
        assert hook.asked == []
    finally:
        stream.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"result": {"status": "Failure", "message": "no way"}}, " failed: no way"),
        ({"result": {"status": "Success"}, "convertedObjects": []}, " returned 0 objects, expected 1"),
        (
            {"result": {"status": "Success"}, "convertedObjects": [{"kind": "Tab", "apiVersion": "x/v1"}]},
            (
                " returned invalid converted object at index 0: invalid groupVersionKind "
                "(expected example.com/v1, Kind=Tab, received x/v1, Kind=Tab)"
            ),
        ),
        ((404, b""), " failed: the server could not find the requested resource"),
    ],
)
def test_what_cannot_be_converted_is_refused(cluster, hook, answer, why):
    """With the webhook's reason."""
    hook.answer = lambda _: answer
    code, told = cluster("POST", OLD, {"metadata": {"name": "t"}, "spec": {"width": 3}})
    assert code == 500
    assert told["message"] == f"conversion webhook for example.com/v1beta1, Kind=Tab{why}"
