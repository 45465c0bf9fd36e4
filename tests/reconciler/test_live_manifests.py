"""Manifests in a running cluster: applied through the API, and pruned as far as they brought something."""

from __future__ import annotations

import json

import pytest
import yaml
from structlog.testing import capture_logs

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.options import DeleteOptions, WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.live.manifests import INVENTORY, ApplyError, Manifests
from state.errors import InvalidObject
from state.load import load
from state.snapshot import Key
from state.store.memory import MemoryStore


class Cluster:
    """An API with its controllers, and manifests."""

    def __init__(self, store):
        self.api = Api(store, clock=lambda: 0, fields=ManagedFields(schema_of))
        bootstrap(self.api)
        self.control = ControlPlane(self.api)
        self.definitions = Definitions(self.api)
        self.definitions.start()
        self.manifests = Manifests(self.api)

    def apply(self, *objects):
        """As ``up`` does when files have changed."""
        self.manifests.apply(load(list(objects)), self.control.turn)

    def get(self, kind, name, namespace="default"):
        return self.manifests.get(Key(kind, namespace, name))

    def place(self, kind, name="", namespace="default"):
        return Place(self.api.registry.of_table(kind), namespace, name)

    def patch(self, kind, name, change):
        """As somebody else does."""
        body, media = json.dumps(change).encode(), "application/merge-patch+json"
        self.api.patch(self.place(kind, name), body, media, WriteOptions(manager="somebody"))


@pytest.fixture
def cluster():
    with MemoryStore() as store:
        cluster = Cluster(store)
        yield cluster
        cluster.definitions.stop()


def config(name, namespace="", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def test_what_is_named_no_more_goes_and_what_others_made_stays(cluster):
    cluster.apply(config("a", v="1"), config("b"))
    body = json.dumps({**config("c"), "metadata": {"name": "c"}}).encode()
    cluster.api.create(cluster.place("ConfigMap"), body, WriteOptions(manager="somebody"))
    cluster.apply(config("a", v="2"))
    assert cluster.get("ConfigMap", "a").data == {"v": "2"}
    assert cluster.get("ConfigMap", "b") is None
    assert cluster.get("ConfigMap", "c") is not None
    cluster.apply()
    assert cluster.get("ConfigMap", "a") is None
    assert cluster.get("ConfigMap", "c") is not None


def test_it_is_remembered_from_one_program_to_the_next(cluster):
    cluster.apply(config("a"), config("b"))
    Manifests(cluster.api).apply(load([config("b")]), cluster.control.turn)
    assert cluster.get("ConfigMap", "a") is None


def test_applying_again_writes_nothing(cluster):
    cluster.apply(config("a", v="1"))
    cluster.control.settle()
    revision = cluster.api.storage.store.revision()
    cluster.apply(config("a", v="1"))
    assert cluster.api.storage.store.revision() == revision


def test_what_others_set_stays_unless_a_manifest_says_otherwise(cluster):
    cluster.apply(config("a", v="1", w="1"))
    cluster.patch("ConfigMap", "a", {"data": {"v": "9", "x": "9"}})
    cluster.apply(config("a", v="1"))
    assert cluster.get("ConfigMap", "a").data == {"v": "1", "x": "9"}


def test_a_namespace_is_made_and_furnished_for_those_who_name_it(cluster):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "new"}}
    cluster.apply({**pod, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    assert cluster.get("Pod", "p", "new").spec.service_account_name == "default"
    cluster.apply()
    assert cluster.get("Pod", "p", "new") is None
    assert cluster.get("Namespace", "new", "") is not None


def test_services_get_their_addresses(cluster):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    cluster.apply(service)
    address = cluster.get("Service", "s").spec.cluster_ip
    service["spec"]["ports"][0]["port"] = 81
    cluster.apply(service)
    assert address
    assert cluster.get("Service", "s").spec.cluster_ip == address


DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.sea.example.com}
spec:
  group: sea.example.com
  names: {kind: Boat, plural: boats, singular: boat, listKind: BoatList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {sails: {type: integer, default: 2}}}}
"""
BOAT = {"apiVersion": "sea.example.com/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {}}


def test_definitions_come_before_what_they_define(cluster):
    cluster.apply(BOAT, yaml.safe_load(DEFINITION))
    assert cluster.get("Boat.sea.example.com", "b").body.value["spec"] == {"sails": 2}


def test_kinds_that_nobody_serves_are_left_out_with_a_warning(cluster):
    with capture_logs() as said:
        cluster.apply(BOAT, config("a"))
    assert cluster.get("ConfigMap", "a") is not None
    assert [each["cause"] for each in said] == ['no matches for kind "Boat" in version "sea.example.com/v1"']


def test_a_wrong_manifest_changes_nothing(cluster):
    cluster.apply(config("a"))
    with pytest.raises(InvalidObject, match="deployment/default/web"):
        cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {}})
    assert cluster.get("ConfigMap", "a") is not None


def test_what_is_refused_is_told_and_the_rest_is_taken_over(cluster):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"secrets": "0"}}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    cluster.apply(quota)
    cluster.control.settle()
    with pytest.raises(ApplyError, match=r"secret/default/s: .*exceeded quota: q"):
        cluster.apply(quota, secret, config("a"))
    assert cluster.get("ConfigMap", "a") is not None
    cluster.apply(quota)
    assert cluster.get("ConfigMap", "a") is None


def test_who_was_faster_is_merged_with(cluster, monkeypatch):
    cluster.apply(config("a", v="1"))
    update = cluster.api.writer.update
    raced = []

    def late(place, sent):
        if place.name == "a" and not raced:
            raced.append(place)
            cluster.patch("ConfigMap", "a", {"data": {"x": "9"}})
        return update(place, sent)

    monkeypatch.setattr(cluster.api.writer, "update", late)
    cluster.apply(config("a", v="2"))
    assert raced
    assert cluster.get("ConfigMap", "a").data == {"v": "2", "x": "9"}


def test_what_is_gone_already_needs_no_deletion(cluster):
    cluster.apply(config("a"))
    cluster.api.delete(cluster.place("ConfigMap", "a"), DeleteOptions())
    cluster.apply()
    assert json.loads(cluster.manifests.get(INVENTORY).data["brought"]) == []


def test_an_inventory_that_is_none_is_told(cluster):
    """Rather than that anything is guessed."""
    cluster.apply(config("a"))
    body, media = b'{"data":{"brought":"everything"}}', "application/merge-patch+json"
    place = Place(cluster.api.registry.of_table("ConfigMap"), INVENTORY.namespace, INVENTORY.name)
    cluster.api.patch(place, body, media, WriteOptions())
    with pytest.raises(ApplyError, match="delete it, and nothing is pruned"):
        cluster.apply()
    assert cluster.get("ConfigMap", "a") is not None


def bare(name):
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def quota(pods):
    spec = {"hard": {"pods": pods}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec}


def test_pods_wait_until_the_quota_that_comes_with_them_is_counted(cluster):
    """Without a status it would let nothing in; one that is raised lets in what it says now."""
    cluster.apply(bare("a"), quota("1"))
    assert cluster.get("Pod", "a") is not None
    cluster.apply(bare("a"), bare("b"), quota("2"))
    assert cluster.get("Pod", "b") is not None
    with pytest.raises(ApplyError, match="exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"):
        cluster.apply(bare("a"), bare("b"), bare("c"), quota("2"))


def test_a_quota_that_nobody_counts_is_not_waited_for_without_end(cluster, monkeypatch):
    cluster.apply()
    monkeypatch.setattr("reconciler.live.manifests._FOLLOWED_SECONDS", 0.05)
    with pytest.raises(ApplyError, match="status unknown for quota: q, resources: pods"):
        cluster.manifests.apply(load([bare("a"), quota("1")]), lambda: None)
