"""Namespaces are furnished and emptied, quotas count; both are at rest when nothing changes."""

from __future__ import annotations

import pytest
from loops import NOW, assert_settled

from reconciler.cycle import Cycle
from rules.namespaces import ROOT_CA, Namespaces
from rules.quotas import Quotas, usage_of
from state.load import from_dict
from state.objects import ConfigMap, Namespace, ResourceQuota, ServiceAccount, replace
from state.snapshot import Change, Key, Snapshot


def concerns():
    return [Quotas(), Namespaces("pem")]


def cycle(*manifests):
    found = Cycle(Snapshot.of(from_dict(each) for each in manifests), concerns())
    found.ctx.start(NOW)
    found.settle(NOW)
    found.ws.commit()
    return found


def namespace(name="n", **meta):
    spec, status = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **meta}, "spec": spec, "status": status}


def config_map(name, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", **meta}}


def test_a_namespace_gets_an_account_and_the_certificate():
    """What pods need in it."""
    loop = cycle(namespace())
    assert loop.ws.find(ServiceAccount, "n", "default") is not None
    published = loop.ws.find(ConfigMap, "n", ROOT_CA)
    assert published is not None
    assert published.data == {"ca.crt": "pem"}
    assert_settled(loop, concerns, NOW)


def test_a_changed_certificate_is_put_right():
    """Whoever changed it."""
    loop = cycle(namespace())
    published = loop.ws.find(ConfigMap, "n", ROOT_CA)
    loop.observe([Change(Key.of(published), published, replace(published, data={"ca.crt": "other"}))])
    loop.settle(NOW)
    assert loop.ws.find(ConfigMap, "n", ROOT_CA).data == {"ca.crt": "pem"}


def test_a_namespace_that_is_deleted_waits_for_what_holds_its_content():
    """And says so; when that is gone, so is the namespace."""
    held = config_map("held", finalizers=["example.com/hold"])
    loop = cycle(namespace(deletionTimestamp="2026-01-01T00:00:00Z"), held, config_map("free"))
    found = loop.ws.find(Namespace, "", "n")
    assert found is not None
    told = {each.type: (each.status, each.message) for each in found.status.conditions}
    assert told["NamespaceContentRemaining"] == (
        "True",
        "Some resources are remaining: configmaps. has 1 resource instances",
    )
    assert told["NamespaceFinalizersRemaining"][0] == "True"
    assert told["NamespaceDeletionContentFailure"][0] == "False"
    assert_settled(loop, concerns, NOW)
    key = Key("ConfigMap", "n", "held")
    loop.observe([Change(key, loop.ws.get(key), None)])
    loop.settle(NOW)
    assert loop.ws.find(Namespace, "", "n") is None


def pod(name, phase="Running", **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}}
    spec = {"containers": [container], **spec}
    meta = {"name": name, "namespace": "n"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (pod("p"), {"pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1", "count/pods": "1"}),
        (pod("p", "Succeeded"), {"count/pods": "1"}),
        (config_map("m"), {"configmaps": "1", "count/configmaps": "1"}),
        (
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "s", "namespace": "n"},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 81}]},
            },
            {"services": "1", "count/services": "1", "services.nodeports": "2", "services.loadbalancers": "1"},
        ),
    ],
)
def test_what_an_object_counts_for(manifest, expected):
    """By the names that quotas use."""
    assert usage_of(from_dict(manifest)) == expected


def test_a_quota_says_what_is_used_of_it():
    """Pods that ended don't count, nor what its scopes leave out."""
    plain = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "n"}}
    plain["spec"] = {"hard": {"pods": "5", "cpu": "4", "configmaps": "9"}}
    scoped = {
        **plain,
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"hard": {"pods": "5"}, "scopes": ["BestEffort"]},
    }
    loop = cycle(namespace(), plain, scoped, pod("a"), pod("b"), pod("c", "Failed"))
    used = {quota.metadata.name: quota.status.used for quota in loop.ws.objects(ResourceQuota)}
    assert used == {"q": {"pods": "2", "cpu": "1", "configmaps": "1"}, "s": {"pods": "0"}}
    assert_settled(loop, concerns, NOW)
    key = Key("Pod", "n", "a")
    loop.observe([Change(key, loop.ws.get(key), None)])
    loop.settle(NOW)
    assert loop.ws.find(ResourceQuota, "n", "q").status.used["pods"] == "1"
