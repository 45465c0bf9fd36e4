"""Namespaces are furnished and emptied, and at rest when nothing changes."""

from __future__ import annotations

from loops import NOW, assert_settled

from reconciler.cycle import Cycle
from rules.namespaces import ROOT_CA, Namespaces
from state.load import from_dict
from state.objects import ConfigMap, Namespace, ServiceAccount, replace
from state.snapshot import Change, Key, Snapshot


def concerns():
    return [Namespaces("pem")]


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


def test_pods_go_before_anything_else():
    """What a pod may need stays until the last of them has ended; only pods are told of until then."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 30},
    }
    loop = cycle(namespace(deletionTimestamp="2026-01-01T00:00:00Z"), pod, config_map("needed"))
    key = Key("Pod", "n", "p")
    assert loop.ws.get(key).metadata.deletion_timestamp is not None
    assert loop.ws.find(ConfigMap, "n", "needed").metadata.deletion_timestamp is None
    told = {each.type: each.message for each in loop.ws.find(Namespace, "", "n").status.conditions}
    assert told["NamespaceContentRemaining"] == "Some resources are remaining: pods. has 1 resource instances"
    assert_settled(loop, concerns, NOW)
    loop.observe([Change(key, loop.ws.get(key), None)])
    loop.settle(NOW)
    assert loop.ws.find(Namespace, "", "n") is None
