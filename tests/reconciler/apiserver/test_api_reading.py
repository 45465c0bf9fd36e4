"""Lists, pages, selectors and watches: what a client sees of the store, and when it is told that it can't."""

from __future__ import annotations

import json

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore

OPTIONS = WriteOptions()
MERGE = "application/merge-patch+json"


class Client:
    """ConfigMaps of the namespace default."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.api = Api(self.store)
        bootstrap(self.api)
        resource = self.api.registry.of_table("ConfigMap")
        assert resource is not None
        self.place = Place(resource, "default")

    def create(self, name: str, **labels: str) -> str:
        body = {"metadata": {"name": name, "labels": labels}, "data": {"v": "1"}}
        return self.api.create(self.place, json.dumps(body).encode(), OPTIONS).document["metadata"]["resourceVersion"]

    def patch(self, name: str, patch: dict) -> str:
        place = self.place._replace(name=name)
        answer = self.api.patch(place, json.dumps(patch).encode(), MERGE, OPTIONS)
        return answer.document["metadata"]["resourceVersion"]

    def delete(self, name: str) -> None:
        self.api.delete(self.place._replace(name=name), DeleteOptions())

    def names(self, **query: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.list(**query)["items"]]

    def list(self, **query: str) -> dict:
        return self.api.list(self.place, ListOptions.read({key: (value,) for key, value in query.items()})).document

    def watch(self, **query: str):
        options = ListOptions.read({"watch": ("true",), **{key: (value,) for key, value in query.items()}})
        return self.api.watch(self.place, options)

    def seen(self, stream) -> list[tuple[str, str]]:
        told = []
        while events := stream.read():
            told += [(event.type, json.loads(event.object)["metadata"].get("name", "")) for event in events]
        return told


@pytest.fixture
def client() -> Client:
    return Client()


def test_pages_show_one_moment_whatever_happens_in_between(client):
    """All pages of a list are as of the revision of the first one, and their names are all different."""
    for number in range(5):
        client.create(f"p{number}")
    first = client.list(limit="2")
    client.create("p00")
    client.delete("p3")
    second = client.list(limit="2", **{"continue": first["metadata"]["continue"]})
    third = client.list(limit="2", **{"continue": second["metadata"]["continue"]})
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == ["p0", "p1", "p2", "p3", "p4"]
    assert [page["metadata"].get("remainingItemCount") for page in (first, second, third)] == [3, 1, None]
    assert "continue" not in third["metadata"]
    assert len({page["metadata"]["resourceVersion"] for page in (first, second, third)}) == 1


def test_pages_with_a_selector_count_what_it_selects(client):
    """With a selector a page is full of what it selects, and nobody says how much remains."""
    for number in range(7):
        client.create(f"p{number}", k="in" if number % 2 else "out")
    first = client.list(limit="2", labelSelector="k=in")
    assert [item["metadata"]["name"] for item in first["items"]] == ["p1", "p3"]
    assert "remainingItemCount" not in first["metadata"]
    rest = client.list(limit="2", labelSelector="k=in", **{"continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["p5"]


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("!!", "invalid continue token: continue key is not valid: illegal base64 data at input byte 0"),
        ("e30", "invalid continue token: continue key is not valid: server does not recognize this encoded version"),
    ],
)
def test_a_token_that_is_none_is_a_bad_request(client, token, message):
    """A made-up continue token is refused with what is wrong with it."""
    with pytest.raises(ApiError) as refused:
        client.list(**{"continue": token})
    assert (refused.value.code, refused.value.message) == (400, message)


def test_an_old_page_is_gone_after_compaction_with_a_way_on(client):
    """The token of a compacted list is 410, and the answer has one that leads on from the newest state."""
    for number in range(4):
        client.create(f"p{number}")
    token = client.list(limit="2")["metadata"]["continue"]
    client.store.compact(int(client.create("p9")))
    with pytest.raises(ApiError) as refused:
        client.list(limit="2", **{"continue": token})
    assert refused.value.code == 410
    onwards = refused.value.to_dict()["metadata"]["continue"]
    assert client.names(**{"continue": onwards}) == ["p2", "p3", "p9"]


def test_an_exact_list_is_of_then(client):
    """resourceVersionMatch=Exact shows the past; without it a revision is a minimum."""
    then = client.create("a")
    client.create("b")
    assert client.names(resourceVersion=then, resourceVersionMatch="Exact") == ["a"]
    assert client.names(resourceVersion=then) == ["a", "b"]


def test_selectors(client):
    """Label selectors of all forms, and field selectors on the name."""
    client.create("a", k="1", t="x")
    client.create("b", k="2")
    client.create("c")
    assert client.names(labelSelector="k in (1,2),t!=x") == ["b"]
    assert client.names(labelSelector="!k") == ["c"]
    assert client.names(fieldSelector="metadata.name=a") == ["a"]
    assert client.names(fieldSelector="metadata.name!=a,metadata.namespace=default") == ["b", "c"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"fieldSelector": "data.v=1"},
            '"data.v" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ({"fieldSelector": "x"}, "invalid selector: 'x'; can't understand 'x'"),
        ({"resourceVersionMatch": "Exact"}, None),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(client, query, message):
    """Nothing is selected by mistake."""
    with pytest.raises(ApiError) as refused:
        client.list(**query)
    assert refused.value.code in (400, 422)
    assert message is None or refused.value.message == message


def test_a_watch_tells_what_happens_and_what_enters_and_leaves(client):
    """From a revision on, each change once; with a selector, what leaves it is deleted for the watcher."""
    revision = client.create("a", k="in")
    plain, chosen = client.watch(resourceVersion=revision), client.watch(resourceVersion=revision, labelSelector="k=in")
    client.patch("a", {"data": {"v": "2"}})
    client.patch("a", {"metadata": {"labels": {"k": "out"}}})
    client.patch("a", {"metadata": {"labels": {"k": "in"}}})
    client.delete("a")
    assert client.seen(plain) == [("MODIFIED", "a")] * 3 + [("DELETED", "a")]
    assert client.seen(chosen) == [("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]


def test_a_watch_without_a_revision_begins_with_what_there_is(client):
    """Everything is ADDED first; with sendInitialEvents a bookmark says when that is over."""
    client.create("a")
    assert client.seen(client.watch()) == [("ADDED", "a")]
    stream = client.watch(sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true")
    events = stream.read()
    assert [event.type for event in events] == ["ADDED", "BOOKMARK"]
    assert json.loads(events[1].object)["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_from_before_the_compaction_ends_with_410(client):
    """It is one ERROR event, and then the watch is over."""
    old = client.create("a")
    client.patch("a", {"data": {"v": "2"}})
    client.store.compact(int(client.create("b")))
    stream = client.watch(resourceVersion=old)
    (event,) = stream.read()
    assert event.type == "ERROR"
    assert json.loads(event.object)["code"] == 410
    assert stream.is_over


def test_the_deleted_object_has_the_revision_of_its_deletion(client):
    """A watch can go on from a DELETED event."""
    revision = client.create("a")
    stream = client.watch(resourceVersion=revision)
    client.delete("a")
    (event,) = stream.read()
    assert int(json.loads(event.object)["metadata"]["resourceVersion"]) == client.store.revision()
