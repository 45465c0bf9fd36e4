"""Lists and watches from before a compaction: what etcd has forgotten at another's command, the server still knows
for a while, as kube-apiserver's watch cache does.
"""

from __future__ import annotations

import pytest
from etcd_server import EtcdServer

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.options import ListOptions, WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore

_OPTIONS = WriteOptions(manager="test")


def filled(store):
    """An API with six ConfigMaps, and where they are."""
    api = Api(store)
    bootstrap(api)
    resource = api.registry.of_kind("v1", "ConfigMap")
    place = Place(resource, "default")
    for number in range(6):
        api.create(place, b'{"metadata": {"name": "p%d"}}' % number, _OPTIONS)
    return api, place


def listed(api, place, **query):
    """A list, and the names in it."""
    found = api.list(place, ListOptions.read({name: (value,) for name, value in query.items()}))
    return found, [entry.key.rpartition("/")[2] for entry in found.entries]


def test_a_continue_token_survives_a_compaction_by_somebody_else(tmp_path):
    with EtcdServer(tmp_path) as server, server.open() as store:
        api, place = filled(store)
        page, names = listed(api, place, limit="2")
        api.create(place, b'{"metadata": {"name": "p11"}}', _OPTIONS)
        with server.open() as other:
            other.compact(store.revision())
        following, more = listed(api, place, limit="2", **{"continue": page.token})
        assert (names, more) == (["p0", "p1"], ["p2", "p3"])
        last, rest = listed(api, place, limit="2", **{"continue": following.token})
        assert (rest, last.token) == (["p4", "p5"], "")
        assert listed(api, place)[1] == ["p0", "p1", "p11", "p2", "p3", "p4", "p5"]
        with server.open() as late, pytest.raises(ApiError, match="too old to display") as caught:
            listed(Api(late), place, limit="2", **{"continue": page.token})
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
        assert listed(api, place, **{"continue": caught.value.meta["continue"]})[1] == ["p11", "p2", "p3", "p4", "p5"]


def test_a_new_cluster_has_no_history_of_how_it_was_made():
    with MemoryStore() as store:
        api, place = filled(store)
        stream = api.watch(place, ListOptions.read({"watch": ("true",), "resourceVersion": ("1",)}))
        (event,) = stream.read()
        assert (event.type, b"too old resource version: 1 (" in event.object) == ("ERROR", True)
