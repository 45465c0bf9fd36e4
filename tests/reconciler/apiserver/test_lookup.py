"""What admission looks up: lists are at hand, and never older than what the store holds."""

from __future__ import annotations

import random

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.lookup import StoredObjects
from state.objects import LimitRange, ObjectMeta
from state.store import StoreUnavailableError, open_store


@pytest.fixture(params=["memory:", "sqlite:"])
def store(request, tmp_path):
    with open_store(request.param + (str(tmp_path / "store") if request.param == "sqlite:" else "")) as store:
        yield store


@pytest.fixture
def api(store):
    return Api(store)


def ranges(api):
    found = api.storage.registry.of_kind("v1", "LimitRange")
    assert found is not None
    return found


def made(namespace, name, labels=None):
    return LimitRange(metadata=ObjectMeta(namespace=namespace, name=name, labels=labels or {}))


def test_lists_are_as_the_store_has_them_after_any_writes(api):
    lookup, resource, chance = StoredObjects(api.storage), ranges(api), random.Random(7)
    for number in range(300):
        namespace, name = chance.choice("abc"), chance.choice("xyz")
        live = api.storage.get(resource, namespace, name)
        if live is None:
            api.storage.create(resource, made(namespace, name))
        elif chance.random() < 0.5:
            api.storage.update(resource, made(namespace, name, {"number": str(number)}), live)
        else:
            api.storage.store.delete(resource.key(namespace, name))
        if chance.random() < 0.6:  # else several at once are news
            for asked in ("", "a", "b", "c", "d"):
                stored = [each.object for each in api.storage.all(resource, asked)]
                assert lookup.objects(LimitRange, asked) == stored


def test_lists_without_changes_are_not_read_again(api, monkeypatch):
    lookup, resource = StoredObjects(api.storage), ranges(api)
    api.storage.create(resource, made("a", "x"))
    assert [each.metadata.name for each in lookup.objects(LimitRange)] == ["x"]
    monkeypatch.setattr(api.storage, "page", None)
    assert [each.metadata.name for each in lookup.objects(LimitRange, "a")] == ["x"]
    api.storage.create(resource, made("a", "y"))
    assert [each.metadata.name for each in lookup.objects(LimitRange, "a")] == ["x", "y"]


def test_what_was_compacted_in_between_is_read_anew(api, store):
    lookup, resource = StoredObjects(api.storage), ranges(api)
    api.storage.create(resource, made("a", "x"))
    lookup.objects(LimitRange)
    api.storage.create(resource, made("a", "y"))
    store.delete(resource.key("a", "x"))
    store.feed.skip(store.revision())
    store.compact(store.revision())
    assert [each.metadata.name for each in lookup.objects(LimitRange)] == ["y"]


def test_after_a_failure_everything_is_read_anew(api, monkeypatch):
    lookup, resource = StoredObjects(api.storage), ranges(api)
    lookup.objects(LimitRange)
    api.storage.create(resource, made("a", "x"))
    with monkeypatch.context() as broken:
        broken.setattr(api.storage, "object_of", None)
        with pytest.raises(TypeError):
            lookup.objects(LimitRange)
    assert [each.metadata.name for each in lookup.objects(LimitRange)] == ["x"]


def test_a_closed_store_says_so():
    store = open_store("memory:")
    lookup = StoredObjects(Api(store).storage)
    lookup.objects(LimitRange)
    store.close()
    with pytest.raises(StoreUnavailableError):
        lookup.objects(LimitRange)


def test_a_failure_while_everything_is_read_anew_is_none_for_ever(api, store, monkeypatch):
    lookup, resource = StoredObjects(api.storage), ranges(api)
    api.storage.create(resource, made("a", "x"))
    lookup.objects(LimitRange)
    api.storage.create(resource, made("a", "y"))
    store.feed.skip(store.revision())
    store.compact(store.revision())
    with monkeypatch.context() as broken:
        broken.setattr(store, "watch", None)
        with pytest.raises(TypeError):
            lookup.objects(LimitRange)
    assert [each.metadata.name for each in lookup.objects(LimitRange)] == ["x", "y"]
