"""Stores by URL."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from state.store import StoreError, StoreUnavailableError, open_store, registry
from state.store.memory import MemoryStore
from state.store.sqlite import SqliteStore


def test_the_scheme_says_which_store(tmp_path):
    with open_store("memory:") as store:
        assert isinstance(store, MemoryStore)
    with open_store(f"sqlite:{tmp_path / 'a:b.db'}") as store:
        assert isinstance(store, SqliteStore)
    assert (tmp_path / "a:b.db").exists()


@pytest.mark.parametrize("url", ["redis://localhost", "memory", "", ":", "/var/lib/store.db"])
def test_an_unknown_scheme_lists_the_known_ones(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    forms = "etcd://HOST:PORT[,…], memory: or sqlite:PATH"
    assert str(caught.value) == f"{url!r} names no store; expected {forms}"


@pytest.mark.parametrize(
    "url",
    ["memory:x", "sqlite:", "etcd:", "etcd:localhost:1", "etcd://", "etcd://host", "etcd://h:1,", "etcd://h:70000"],
)
def test_a_place_that_makes_no_sense_is_refused(url):
    with pytest.raises(StoreError, match="names no store; expected"):
        open_store(url)


def test_a_place_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailableError, match="No such file or directory"):
        open_store(f"sqlite:{tmp_path / 'missing' / 'store.db'}")


def test_another_distribution_can_bring_a_store(monkeypatch):
    points = [EntryPoint("forgetful", "state.store.memory:MemoryStore.at", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])
    with open_store("forgetful:", keep=3) as store:
        assert isinstance(store, MemoryStore)
    with pytest.raises(StoreError, match=r"expected etcd://HOST:PORT\[,…\], forgetful:…, memory: or sqlite:PATH"):
        open_store("other:")
    points.append(EntryPoint("forgetful", "elsewhere:Store", registry.GROUP))
    with pytest.raises(StoreError, match="ambiguous: elsewhere:Store, state"):
        open_store("forgetful:")


def test_a_store_whose_client_is_not_installed_says_what_it_needs(monkeypatch):
    points = [EntryPoint("far", "not_installed.store:Store", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(StoreError, match="needs not_installed, which is not installed"):
        open_store("far:away")


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_history_is_kept_as_long_as_asked(tmp_path, scheme):
    url = "memory:" if scheme == "memory" else f"sqlite:{tmp_path / 'store.db'}"
    with open_store(url, keep=20) as store:
        for number in range(100):
            store.create(f"/{number}", b"")
        now = store.revision()
        assert now - 25 <= store.compacted() <= now - 20
        assert len(store.list("/").entries) == 100
