"""Kinds without a type are checked and completed in plans as an API server does it."""

import manifests_for_tests
import pytest
from manifests_for_tests import NOW, custom

from reconciler import InvalidObject, Reconciler, StateError
from reconciler.check import check
from state.dump import dump
from state.objects import Object
from state.snapshot import Key

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"size": {"type": "integer", "default": 3, "maximum": 9}, "color": {"type": "string"}},
        },
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
    },
}


def definition(**version):
    return manifests_for_tests.definition(SCHEMA, **version)


def policy(**spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec}


def the(loop, text):
    return dump(loop.snapshot.get(loop._key(text)))


def applied(*manifests):
    loop = Reconciler(list(manifests), now=NOW, concerns=[])
    loop.step()
    return loop


def test_the_rest_of_kubernetes_kinds_have_their_defaults_and_generation():
    loop = applied(policy(podSelector={}, egress=[{"ports": [{"port": 53}]}]))
    stored = the(loop, "networkpolicy.networking.k8s.io/p")
    assert stored["metadata"]["generation"] == 1
    assert stored["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert stored["spec"]["egress"] == [{"ports": [{"port": 53, "protocol": "TCP"}]}]
    loop.patch("networkpolicy.networking.k8s.io/p", {"spec": {"policyTypes": ["Egress"]}})
    (action,) = loop.step().actions
    assert action.object.metadata.generation == 2


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (policy(podSelector={}, ingress=[{"from": [{}]}]), "spec.ingress[0].from[0]"),
        (policy(podSelector={}, nothing=1), "spec.nothing"),
        ({**custom(spec={"size": 10})}, "spec.size"),
        ({**custom(spec={"shape": "round"})}, "spec.shape"),
    ],
)
def test_what_the_api_would_refuse_is_refused(manifest, path):
    """In a plan, by validation alone, and when it is what a patch would make."""
    with pytest.raises(InvalidObject) as caught:
        Reconciler([definition(), manifest], now=NOW)
    assert caught.value.problems[0].path == path
    assert [each["path"] for each in check([definition(), manifest])["problems"]][:1] == [path]


def test_custom_resources_are_as_their_definition_says():
    """It may be among the objects already, or come with them, in any order."""
    loop = applied(custom(spec={"color": "red"}), definition(subresources={"status": {}}))
    assert the(loop, "widgets.example.com/thing")["spec"] == {"color": "red", "size": 3}
    loop.patch("widgets/thing", {"spec": {"size": 4}, "status": {"ready": True}})
    loop.step()
    stored = the(loop, "widgets/thing")
    assert (stored["metadata"]["generation"], stored["status"], stored["spec"]["size"]) == (2, {"ready": True}, 4)
    loop.apply(custom(spec={"color": "blue"}))
    loop.step()
    stored = the(loop, "widgets/thing")
    assert (stored["spec"]["color"], stored["status"]) == ("blue", {"ready": True})


def test_lists_are_merged_by_the_keys_that_their_kind_declares():
    """Those of Kubernetes' own kinds; custom resources know no strategic merge patch."""
    hook = {"clientConfig": {"url": "https://a.example"}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    webhooks = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "hooks"},
        "webhooks": [{**hook, "name": name} for name in ("a.example.com", "b.example.com")],
    }
    loop = applied(webhooks, definition(), custom())
    name = "validatingwebhookconfiguration.admissionregistration.k8s.io/hooks"
    items = [{"name": "b.example.com", "timeoutSeconds": 3}, {"name": "a.example.com", "$patch": "delete"}]
    loop.patch(name, {"webhooks": items}, "strategic")
    loop.step()
    (stored,) = the(loop, name)["webhooks"]
    assert (stored["name"], stored["timeoutSeconds"], stored["sideEffects"]) == ("b.example.com", 3, "None")
    with pytest.raises(StateError, match="but for custom resources"):
        loop.patch("widgets/thing", {}, "strategic")


def test_what_has_namespaces_is_in_one():
    """As requests for it would have it; a cluster's own kinds aren't."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": []}
    loop = applied(definition(), custom(), policy(podSelector={}), role)
    assert [str(Key.of(obj)) for obj in loop.snapshot if not isinstance(obj, Object)] == [
        "clusterrole.rbac.authorization.k8s.io/r",
        "customresourcedefinition.apiextensions.k8s.io/widgets.example.com",
        "networkpolicy.networking.k8s.io/default/p",
        "widget.example.com/default/thing",
    ]
    loop.apply([definition(), policy(podSelector={}), role], prune_others=True)
    assert [str(action.target) for action in loop.step().actions] == ["widget.example.com/default/thing"]


def test_what_nothing_is_known_of_is_taken_as_it_comes():
    """No definition, one of another version, or one that isn't right."""
    assert the(applied(custom(spec={"a": 1})), "widgets/thing")["spec"] == {"a": 1}
    assert the(applied(definition(name="v2"), custom(spec={"a": 1})), "widgets/thing")["spec"] == {"a": 1}
    broken = definition()
    del broken["spec"]["versions"][0]["schema"]
    loop = Reconciler(observed=[broken], now=NOW, concerns=[])
    loop.apply(custom(spec={"a": 1}))
    loop.step()
    assert the(loop, "widgets/thing")["spec"] == {"a": 1}
