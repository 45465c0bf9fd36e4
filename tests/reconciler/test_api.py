"""The front door: what is observed is completed and checked, and a loop stays warm and usable."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from manifests_for_tests import NOW, config_map, custom, deployment, pod, replica_set

from reconciler import InvalidObject, Reconciler, StateError, reconcile
from reconciler.nodes import make_node
from rules.actions import Action
from rules.concern import Concern, ConsequentError, itself
from rules.engine import Rule, m
from state.dump import dump
from state.objects import ConfigMap, Pod, replace
from state.snapshot import Change, Key

KEY = Key("ConfigMap", "default", "settings")


# -- observed ----------------------------------------------------------------------------------------------------------


def test_observed_as_dicts_is_observed_as_a_snapshot():
    """The objects of a snapshot, dumped and read again, lead to the same plan."""
    snapshot = reconcile([deployment(), config_map()], nodes=2, now=NOW).snapshot
    more = [deployment(replicas=5), pod()]
    from_snapshot = reconcile(more, snapshot, now=NOW)
    from_dicts = reconcile(more, [dump(obj) for obj in snapshot], now=NOW)
    assert from_dicts.to_json(objects=True) == from_snapshot.to_json(objects=True)
    from_list = {"apiVersion": "v1", "kind": "List", "items": [dump(obj) for obj in snapshot]}
    assert reconcile(more, from_list, now=NOW).to_json() == from_snapshot.to_json()


def test_an_observed_object_is_completed():
    """Namespace, defaults and a uid, which depends on the key alone; the namespaces of every cluster are there."""
    snapshot = reconcile([], [pod()], now=NOW, concerns=[]).snapshot
    (stored,) = snapshot.objects("Pod")
    assert isinstance(stored, Pod)
    assert stored.metadata.namespace == "default"
    assert stored.spec.restart_policy == "Always"
    assert stored.metadata.uid == reconcile([], [pod()], concerns=[]).snapshot.objects("Pod")[0].metadata.uid
    names = [obj.metadata.name for obj in snapshot.objects("Namespace")]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]


def test_an_observed_object_may_say_little():
    """One that is written by hand has no containers, no template, no selector; nothing fails over it."""
    observed = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "node-0"}},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
    ]
    plan = reconcile(pod("q"), observed, nodes=1, now=NOW)
    assert plan.snapshot.get(Key("Pod", "default", "q")).spec.node_name == "node-0"


@pytest.mark.parametrize(
    ("observed", "path"),
    [
        ({**pod(), "metadata": {}}, "metadata.name"),
        ({**pod(), "metadata": {"name": "X" * 1_000_000}}, "metadata.name"),
        ({**pod(), "metadata": {"name": "p", "namespace": "a/b"}}, "metadata.namespace"),
        ({**pod(), "metadata": {"name": "p", "creationTimestamp": "x"}}, "metadata.creationTimestamp"),
        ({**pod(), "metadata": {"name": "p", "deletionTimestamp": "x"}}, "metadata.deletionTimestamp"),
        ({**pod(), "status": {"startTime": "x"}}, "status.startTime"),
        (
            {**pod(), "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "x"}]}},
            "status.conditions[0].lastTransitionTime",
        ),
        (
            pod(containers=[{"name": "c", "resources": {"requests": {"cpu": "abc"}}}]),
            "spec.containers[0].resources.requests[cpu]",
        ),
        (
            replica_set(selector={"matchExpressions": [{"key": "a", "operator": "Like"}]}),
            "spec.selector.matchExpressions[0].operator",
        ),
        (deployment(strategy={"rollingUpdate": {"maxSurge": "x%"}}), "spec.strategy.rollingUpdate.maxSurge"),
    ],
)
def test_an_observed_object_that_cannot_be_worked_with_is_refused(observed, path):
    with pytest.raises(InvalidObject) as caught:
        reconcile([], [observed], now=NOW)
    assert path in [problem.path for problem in caught.value.problems]
    plan = reconcile(config_map(), [observed], now=NOW, on_invalid="skip")
    assert path in [problem.path for refusal in plan.refused for problem in refusal.problems]
    assert len(plan.actions) == 1


def test_long_texts_are_no_obstacle():
    """The engine takes texts of 1,024 characters; facts only cut what feeds sentences."""
    long = "x" * 1_000_000
    owner = {"apiVersion": "v1", "kind": "ReplicaSet", "name": long, "uid": long, "controller": True}
    gates = [{"name": f"example.com/{letter * 60}"} for letter in "abcdefghijklmnopqrstuvwxyz"]
    observed = [
        {**pod("owned"), "metadata": {"name": "owned", "ownerReferences": [owner]}},
        {**pod("bound", nodeName=long[:253])},
        custom(long),
    ]
    desired = [pod("gated", schedulingGates=gates), pod("foreign", schedulerName="s" * 5_000)]
    plan = reconcile(desired, observed, nodes=1, now=NOW)
    assert {note.rule for note in plan.notes} >= {"pod-gated", "pod-foreign", "carried"}
    assert all(note.why for note in plan.notes)


def test_made_up_nodes_can_be_objects():
    node = make_node("big", {"cpu": "64", "memory": "256Gi", "pods": "500"})
    plan = reconcile(pod(), nodes=[node], now=NOW)
    assert plan.snapshot.get(Key("Pod", "default", "p")).spec.node_name == "big"


@pytest.mark.parametrize("now", ["2026-01-01T00:00:00Z", 1_767_225_600_000_000])
def test_a_time_is_text_or_microseconds(now):
    assert reconcile(config_map(), now=now).actions[0].object.metadata.creation_timestamp == NOW


# -- a warm loop -------------------------------------------------------------------------------------------------------


class Broken(Concern):
    """Fails on every ConfigMap that says so."""

    name = "broken"
    subjects = ("ConfigMap",)
    rules = (Rule("break", m.bad == True, lambda ctx, key, fact: fact["absent"], "{name} is bad"),)  # noqa: E712
    watches = MappingProxyType({"ConfigMap": itself})

    def fact(self, ws, key, now):
        obj = ws.find(ConfigMap, key.namespace, key.name)
        return None if obj is None else {"name": key.name, "bad": "bad" in obj.data}


def test_a_failing_rule_is_named_with_its_object_and_cause():
    loop = Reconciler(config_map(bad="1"), now=NOW, concerns=[Broken()])
    with pytest.raises(ConsequentError) as caught:
        loop.step()
    assert str(caught.value) == ("rule 'break' of broken failed on configmap/default/settings: KeyError: 'absent'")
    assert isinstance(caught.value.__cause__, KeyError)
    assert (caught.value.rule, caught.value.key) == ("break", KEY)


def test_after_a_failed_step_the_loop_goes_on_from_the_last_snapshot():
    loop = Reconciler(config_map("good"), now=NOW, concerns=[Broken()])
    loop.step()
    before = loop.snapshot
    loop.apply(config_map(bad="1"))
    with pytest.raises(ConsequentError):
        loop.step()
    assert loop.snapshot == before
    assert loop.ws.get(KEY) is None
    loop.apply(config_map(a="1"))
    assert [str(action.target) for action in loop.step().actions] == [str(KEY)]


def test_a_step_moves_the_time():
    loop = Reconciler(now=NOW, concerns=[])
    assert loop.step("2026-01-01T00:01:00Z").now == loop.now
    loop.apply(config_map())
    assert loop.step().actions[0].object.metadata.creation_timestamp == "2026-01-01T00:01:00Z"


def test_what_others_changed_is_observed():
    loop = Reconciler(config_map(), now=NOW, concerns=[])
    loop.step()
    live = loop.snapshot.get(KEY)
    assert isinstance(live, ConfigMap)
    loop.observe([Change(KEY, live, replace(live, data={"theirs": "1"}))])
    plan = loop.step()
    assert plan.actions == ()
    assert plan.snapshot.get(KEY).data == {"theirs": "1"}


@pytest.mark.parametrize("target", ["cm/settings", "configmap/default/settings", KEY])
def test_an_object_is_deleted_on_request(target):
    loop = Reconciler(config_map(), now=NOW, concerns=[])
    loop.step()
    assert loop.delete(target)
    (action,) = loop.step().actions
    assert isinstance(action, Action)
    assert (action.verb, action.rule, action.why) == ("delete", "delete", f"{KEY} is to be deleted")
    assert not loop.delete(target)


def test_an_unknown_policy_is_refused():
    loop = Reconciler(config_map(), now=NOW, concerns=[])
    with pytest.raises(StateError, match="expected Background, Foreground or Orphan"):
        loop.delete("cm/settings", policy="background")


def test_only_the_object_that_is_meant_is_deleted():
    """The preconditions of a DELETE, in the words of kube-apiserver."""
    loop = Reconciler(config_map(), now=NOW, concerns=[])
    meta = loop.step().snapshot.get(KEY).metadata
    with pytest.raises(
        StateError, match=rf"the UID in the precondition \(a\) does not match the UID in record .{meta.uid}"
    ):
        loop.delete(KEY, preconditions={"uid": "a"})
    with pytest.raises(StateError, match=r"the ResourceVersion in the precondition \(0\) does not match"):
        loop.delete(KEY, preconditions={"uid": meta.uid, "resourceVersion": "0"})
    with pytest.raises(StateError, match="expected a text as uid, resourceVersion or both"):
        loop.delete(KEY, preconditions={"version": "0"})
    assert loop.delete(KEY, preconditions={"uid": meta.uid, "resourceVersion": meta.resource_version})


def test_what_grows_has_to_fit_into_the_quota_and_what_shrinks_makes_room():
    """A quota has a say in changes that ask for more: here by the type of a Service."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    hard = {"services.nodeports": "1", "configmaps": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    loop = Reconciler([quota, service, config_map()], now=NOW)
    two = {"spec": {"type": "NodePort", "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}
    with pytest.raises(StateError, match=r"exceeded quota: q, requested: services\.nodeports=2, used"):
        loop.patch("service/s", two)
    loop.patch("service/s", {"spec": {"type": "NodePort"}})
    loop.patch("cm/settings", {"data": {"other": "1"}})
    loop.apply({**service, "spec": two["spec"]})
    (note,) = (each for each in loop.step().notes if each.target.kind == "Service")
    assert "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1" in note.why
    loop.patch("service/s", {"spec": {"type": "ClusterIP", "ports": [{"port": 80, "nodePort": None}]}})
    loop.apply({**service, "metadata": {"name": "t"}, "spec": {**service["spec"], "type": "NodePort"}})
    assert not [each for each in loop.step().notes if each.target.name == "t"]


def test_a_kind_without_a_type_can_be_deleted_and_patched_by_its_name():
    loop = Reconciler(custom(size=1), now=NOW, concerns=[])
    loop.patch("widgets/thing", {"size": 2})
    loop.step()
    assert loop.delete("widget.example.com/thing")
    loop.step()
    assert "Widget.example.com" not in loop.snapshot.kinds


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_namespace_takes_what_is_in_it_along():
    """Nothing new comes into it meanwhile, and the namespaces that every cluster has stay."""
    loop = Reconciler([config_map("a", "shop"), config_map("b")], now=NOW)
    loop.step()
    loop.delete("namespace/shop")
    loop.apply(config_map("c", "shop"))
    plan = loop.step()
    assert [str(key) for key in map(Key.of, plan.snapshot.objects("ConfigMap"))] == ["configmap/default/b"]
    assert plan.snapshot.get(Key("Namespace", "", "shop")) is None
    (note,) = plan.notes
    assert note.target == Key("ConfigMap", "shop", "c")
    assert note.why.endswith("unable to create new content in namespace shop because it is being terminated")
    with pytest.raises(StateError, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        loop.delete("namespace/default")


@pytest.mark.parametrize(
    ("form", "patch"),
    [
        ("merge", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}),
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:2"}]),
    ],
)
def test_a_patch_has_one_of_three_forms(form, patch):
    loop = Reconciler(deployment("web"), now=NOW, concerns=[])
    loop.step()
    loop.patch("deploy/web", patch, form)
    (action,) = loop.step().actions
    assert (action.verb, action.object.spec.template.spec.containers[0].image) == ("update", "app:2")
    assert action.object.metadata.generation == 2


def test_what_a_patch_says_of_the_status_is_reported():
    """Together with other fields, or alone; then it is no action."""
    loop = Reconciler(deployment("web"), now=NOW, concerns=[])
    loop.step()
    loop.patch("deploy/web", {"status": {"replicas": 1}})
    assert loop.step().actions == ()
    loop.patch("deploy/web", {"status": {"replicas": 2}, "spec": {"paused": True}})
    (action,) = loop.step().actions
    assert (action.object.status.replicas, action.object.spec.paused) == (2, True)


@pytest.mark.parametrize(
    ("form", "patch", "why"),
    [
        ("merge", {"metadata": {"resourceVersion": "99"}}, "the object has been modified"),
        ("merge", {"metadata": {"name": "other"}}, "a patch cannot change kind, namespace, name or uid"),
        ("merge", [], "expected a patch of form json"),
        ("json", [{"op": "test", "path": "/kind", "value": "x"}], "the server rejected our request"),
        ("strategic", {"$patch": "turn"}, "(?i)unknown patch type"),
        ("yaml", {}, "expected a patch of form json"),
    ],
)
def test_a_patch_that_cannot_be_carried_out_is_refused(form, patch, why):
    loop = Reconciler(config_map(), now=NOW)
    loop.step()
    with pytest.raises(StateError, match=why):
        loop.patch("configmap/settings", patch, form)


def test_what_only_the_server_sets_stays_as_it_is():
    """As an update of a registry takes it."""
    loop = Reconciler(pod("p"), now=NOW, nodes=1)
    loop.step()
    before = loop.snapshot.get(Key("Pod", "default", "p"))
    loop.patch("pod/p", {"metadata": {"generation": 9, "labels": {"a": "b"}}})
    after = loop.step().snapshot.get(Key("Pod", "default", "p"))
    assert (after.spec.node_name, after.metadata.labels) == (before.spec.node_name, {"a": "b"})
    assert after.metadata.generation == before.metadata.generation
    with pytest.raises(StateError, match="pod updates may not change fields"):
        loop.patch("pod/p", {"spec": {"nodeName": None}})


def test_a_change_that_admission_refuses_is_refused():
    """Priority: of the classes one at most is for pods that name none. Of an applied manifest a note says so."""
    first, second = (
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1}
        for name in ("a", "b")
    )
    loop = Reconciler([{**first, "globalDefault": True}, second], now=NOW)
    assert loop.step().notes == ()
    with pytest.raises(StateError, match=r"PriorityClass a is already marked as default\."):
        loop.patch("priorityclass/b", {"globalDefault": True})
    loop.apply({**second, "globalDefault": True})
    (note,) = loop.step().notes
    assert note.why.endswith("PriorityClass a is already marked as default. Only one default can exist")
    loop.apply(second)
    assert loop.step().notes == ()
