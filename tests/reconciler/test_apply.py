"""Desired manifests are taken in as kubectl apply takes them: created, merged, refused, pruned."""

from __future__ import annotations

import copy
import json

import pytest
from manifests_for_tests import NOW, config_map, custom, deployment, pod, replica_set, service, template

from reconciler import InvalidObject, Reconciler, reconcile
from reconciler.apply import LAST_APPLIED
from rules.replication import Replication
from state.dump import dump
from state.objects import Deployment, Pod, Service, replace
from state.snapshot import Change, Key


def changed(manifest, **spec):
    """A manifest with other fields in its spec; None removes one."""
    result = copy.deepcopy(manifest)
    for name, value in spec.items():
        result["spec"].pop(name, None)
        if value is not None:
            result["spec"][name] = value
    return result


def quiet():
    """A loop without controllers: what is seen comes from applying alone."""
    return Reconciler(now=NOW, concerns=[])


def applied(*stages):
    """What is stored after manifests were applied one after the other, with the last plan."""
    loop = quiet()
    for manifest in stages:
        loop.apply(manifest)
        plan = loop.step(NOW)
    return loop, plan


def the(loop, text):
    return dump(loop.snapshot.get(loop._key(text)))


# -- creating ----------------------------------------------------------------------------------------------------------


def test_what_is_new_is_created_with_its_manifest_beside_it():
    """The annotation is kubectl's, to the letter (recorded: api-kubectl-apply)."""
    loop, plan = applied({**deployment("w", 1), "metadata": {"name": "w"}})
    (action,) = plan.actions
    assert (action.verb, action.rule, str(action.target)) == ("create", "apply", "deployment/default/w")
    assert action.why == "deployment/default/w is desired and does not exist"
    text = the(loop, "deploy/w")["metadata"]["annotations"][LAST_APPLIED]
    assert text.endswith("\n")
    assert json.loads(text)["metadata"] == {"annotations": {}, "name": "w", "namespace": "default"}
    assert LAST_APPLIED not in text


def test_applying_again_is_no_action():
    manifests = [deployment(), service(), config_map(a="1"), pod(), custom(spec={"a": [1, {"b": None}]})]
    loop, plan = applied(manifests, manifests)
    assert plan.actions == ()
    assert loop.snapshot.revision == 1


def test_what_the_server_writes_is_not_taken_from_a_manifest():
    meta = {
        "name": "p",
        "uid": "mine",
        "resourceVersion": "77",
        "generation": 9,
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
        "managedFields": [{"manager": "me"}],
    }
    loop, _ = applied({**pod(), "metadata": meta, "status": {"phase": "Running"}})
    stored = the(loop, "pod/p")
    assert stored["metadata"]["creationTimestamp"] == NOW
    assert stored["metadata"]["uid"] != "mine"
    assert stored["metadata"]["generation"] == 1
    assert stored["metadata"]["resourceVersion"] == "1"
    assert "deletionTimestamp" not in stored["metadata"]
    assert stored["status"]["phase"] == "Pending"


def test_the_status_of_a_node_is_taken_from_its_manifest():
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4"}}}
    loop, _ = applied(node)
    assert the(loop, "node/n")["status"]["allocatable"] == {"cpu": "4"}


def test_the_order_of_manifests_does_not_matter_and_what_others_need_comes_first():
    objects = [
        deployment(),
        custom(),
        service(),
        config_map("c", "shop"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    ]
    plan = applied(objects)[1]
    assert [str(action.target) for action in plan.actions] == [
        "namespace/shop",
        "configmap/shop/c",
        "service/default/web",
        "deployment/default/web",
        "widget.example.com/thing",
    ]
    assert applied(objects[::-1])[1].to_json() == plan.to_json()


def test_a_namespace_that_is_named_and_missing_is_created_and_said_so():
    _, plan = applied([config_map("a", "shop"), config_map("b", "shop"), config_map("c")])
    assert [str(action.target) for action in plan.actions] == [
        "configmap/default/c",
        "namespace/shop",
        "configmap/shop/a",
        "configmap/shop/b",
    ]
    assert plan.actions[1].why == "namespace shop is named by configmap/shop/a and does not exist"


def test_a_generated_name_is_found_again():
    manifest = {**pod(), "metadata": {"generateName": "job-"}}
    loop, plan = applied(manifest, manifest)
    assert plan.actions == ()
    assert [obj.metadata.name[:4] for obj in loop.snapshot.objects("Pod")] == ["job-"]


def test_of_two_manifests_of_one_object_the_last_counts_and_a_warning_says_so():
    _, plan = applied([config_map(a="1"), config_map(a="2")])
    (action,) = plan.actions
    assert action.object.data == {"a": "2"}
    assert plan.warnings == ("configmap/default/settings is desired more than once; the last manifest counts",)


# -- merging -----------------------------------------------------------------------------------------------------------


def test_a_field_that_is_dropped_goes_and_the_default_comes_back():
    loop, plan = applied(deployment(replicas=5), deployment(replicas=None))
    assert the(loop, "deploy/web")["spec"]["replicas"] == 1
    (action,) = plan.actions
    assert (action.verb, action.rule) == ("update", "apply")
    assert action.why == "deployment/default/web is to be as its manifest says"


def test_fields_of_others_stay():
    """Somebody scaled a Deployment whose manifest doesn't say how many, and labelled it."""
    manifest = deployment(replicas=None)
    loop, _ = applied(manifest)
    loop.patch("deploy/web", {"spec": {"replicas": 7}, "metadata": {"labels": {"team": "a"}}})
    loop.apply(changed(manifest, minReadySeconds=5))
    plan = loop.step(NOW)
    stored = the(loop, "deploy/web")
    assert (stored["spec"]["replicas"], stored["spec"]["minReadySeconds"]) == (7, 5)
    assert stored["metadata"]["labels"] == {"team": "a"}
    assert len(plan.actions) == 2


def test_drift_is_corrected():
    """A field that the manifest says was changed by somebody; the manifest itself is the same as ever."""
    loop, _ = applied(deployment(replicas=2))
    loop.patch("deploy/web", {"spec": {"replicas": 9}})
    loop.step(NOW)
    loop.apply(deployment(replicas=2))
    (action,) = loop.step(NOW).actions
    assert action.details()["patch"]["spec"] == {"replicas": 2}
    assert LAST_APPLIED not in action.details()["patch"]["metadata"].get("annotations", {})


def test_containers_are_merged_by_name():
    two = [{"name": "main", "image": "app:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]}]
    first = deployment(template=template("web", containers=two))
    loop, _ = applied(first)
    loop.patch("deploy/web", {"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}})
    one = [{"name": "main", "image": "app:2", "env": [{"name": "B", "value": "2"}]}]
    loop.apply(deployment(template=template("web", containers=one)))
    loop.step(NOW)
    stored = the(loop, "deploy/web")["spec"]["template"]
    assert stored["metadata"]["annotations"] == {"restarted": "yes"}
    (container,) = stored["spec"]["containers"]
    assert (container["image"], container["env"]) == ("app:2", [{"name": "B", "value": "2"}])
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_a_volume_can_change_its_source_and_a_deployment_its_strategy():
    def with_volume(**source):
        return deployment(template=template("web", volumes=[{"name": "data", **source}]), strategy=source_strategy)

    source_strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    loop, _ = applied(with_volume(emptyDir={}))
    source_strategy = {"type": "Recreate"}
    loop.apply(with_volume(hostPath={"path": "/data"}))
    loop.step(NOW)
    spec = the(loop, "deploy/web")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["template"]["spec"]["volumes"] == [{"name": "data", "hostPath": {"path": "/data", "type": ""}}]


def test_what_was_allocated_to_a_service_stays():
    """Also for two ports of one number, and when a port changes its number but not its name."""
    ports = [{"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}, {"name": "web", "port": 80}]
    loop, _ = applied(service("web", "NodePort", *ports))
    live = loop.snapshot.get(Key("Service", "default", "web"))
    numbered = tuple(replace(port, node_port=30_000 + n) for n, port in enumerate(live.spec.ports))
    allocated = replace(
        live, spec=replace(live.spec, cluster_ip="10.96.0.7", cluster_ips=("10.96.0.7",), ports=numbered)
    )
    loop.observe([Change(Key.of(live), live, allocated)])
    ports[2] = {"name": "web", "port": 8080}
    loop.apply(service("web", "NodePort", *ports, sessionAffinity="ClientIP"))
    loop.step(NOW)
    stored = loop.snapshot.get(Key("Service", "default", "web"))
    assert isinstance(stored, Service)
    assert stored.spec.cluster_ip == "10.96.0.7"
    assert [(p.name, p.port, p.node_port) for p in stored.spec.ports] == [
        ("udp", 53, 30000),
        ("tcp", 53, 30001),
        ("web", 8080, 30002),
    ]
    loop.patch("svc/web", {"spec": {"clusterIP": None, "ports": [{"name": "tcp", "port": 54}]}})
    loop.step(NOW)
    stored = loop.snapshot.get(Key("Service", "default", "web"))
    assert (stored.spec.cluster_ip, [p.node_port for p in stored.spec.ports]) == ("10.96.0.7", [30001])


def test_the_volume_of_a_claim_stays():
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    loop, _ = applied(claim)
    loop.patch("pvc/c", {"spec": {"volumeName": "v"}})
    loop.apply({**claim, "metadata": {"name": "c", "labels": {"a": "b"}}})
    loop.step(NOW)
    assert the(loop, "pvc/c")["spec"]["volumeName"] == "v"


def test_a_pod_with_tolerations_of_its_own_can_be_applied_again():
    """The list in the manifest replaces the live one, and admission adds to it what it added before."""
    manifest = pod(tolerations=[{"key": "a", "operator": "Exists"}])
    loop, plan = applied(manifest, manifest)
    assert plan.actions == ()
    assert len(the(loop, "pod/p")["spec"]["tolerations"]) == 3


def test_of_an_unknown_kind_lists_are_replaced_whole():
    loop, _ = applied(custom(spec={"containers": [{"name": "a"}], "size": 1}))
    loop.patch("widget/thing", {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "more": True}})
    loop.apply(custom(spec={"containers": [{"name": "a", "x": 1}]}))
    loop.step(NOW)
    stored = the(loop, "widget/thing")
    assert stored["spec"] == {"containers": [{"name": "a", "x": 1}], "more": True}


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"spec":{"containers":[{"name":["x"]},5]},"metadata":7}', "[" * 2000]
)
def test_nonsense_in_the_annotation_of_the_last_manifest_is_no_obstacle(text):
    observed = {**pod(), "metadata": {"name": "p", "annotations": {LAST_APPLIED: text}}}
    plan = reconcile(pod(), [observed], now=NOW, concerns=[])
    (action,) = plan.actions
    assert action.verb == "update"
    assert reconcile(pod(), plan.snapshot, now=NOW, concerns=[]).actions == ()


# -- refusing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        (replica_set("rs"), changed(replica_set("rs"), selector={"matchLabels": {"app": "x"}}), "spec.selector"),
        (pod(), pod(nodeName="n1"), "spec"),
        (service(clusterIP="10.96.0.9"), service(clusterIP="10.96.0.10"), "spec.clusterIPs[0]"),
    ],
)
def test_an_immutable_field_is_refused_with_its_path_and_nothing_is_applied(before, after, path):
    if before["kind"] == "ReplicaSet":
        after["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
    loop, _ = applied(before)
    revision = loop.snapshot.revision
    with pytest.raises(InvalidObject) as caught:
        loop.apply([after, config_map()])
    assert path in [problem.path for problem in caught.value.problems]
    assert loop.step(NOW).actions == ()
    assert loop.snapshot.revision == revision


def test_with_skip_the_rest_goes_through():
    bad = deployment("bad", replicas=-1)
    unreadable = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "u"}, "spec": 5}
    plan = reconcile([bad, unreadable, config_map()], now=NOW, on_invalid="skip", concerns=[])
    assert [str(action.target) for action in plan.actions] == ["configmap/default/settings"]
    assert {str(refusal.key): refusal.problems[0].path for refusal in plan.refused} == {
        "pod/u": "spec",
        "deployment/default/bad": "spec.replicas",
    }


def test_every_problem_of_every_object_is_told_at_once():
    objects = [deployment("a", replicas=-1, minReadySeconds=-1), deployment("b", replicas=-1), config_map()]
    with pytest.raises(InvalidObject) as caught:
        reconcile(objects, now=NOW)
    assert [problem.path for problem in caught.value.problems] == [
        "spec.replicas",
        "spec.minReadySeconds",
        "spec.replicas",
    ]
    assert "deployment/default/a: [spec.replicas: Invalid value: -1: must be greater than or equal to 0" in str(
        caught.value
    )


# -- pruning -----------------------------------------------------------------------------------------------------------


def pruned(loop):
    return [str(action.target) for action in loop.step(NOW).actions if action.rule == "prune"]


def test_what_was_applied_and_is_desired_no_more_is_deleted():
    loop = Reconciler(config_map("other"), observed=[config_map("theirs")], now=NOW, concerns=[])
    loop.apply([config_map("a"), config_map("b")])
    loop.step(NOW)
    loop.apply([config_map("b"), config_map("c")], prune_others=True)
    plan = loop.step(NOW)
    assert [(action.verb, str(action.target)) for action in plan.actions] == [
        ("create", "configmap/default/c"),
        ("delete", "configmap/default/a"),
        ("delete", "configmap/default/other"),
    ]
    assert plan.actions[1].why == "configmap/default/a is not among the desired objects any more"
    assert loop.snapshot.get(Key("ConfigMap", "default", "theirs")) is not None


def test_an_object_whose_manifest_was_refused_is_not_pruned():
    """A slip of the pen in a manifest must not delete what it names."""
    loop = Reconciler(now=NOW, concerns=[], on_invalid="skip")
    loop.apply([config_map("a"), config_map("b"), config_map("c")])
    loop.step(NOW)
    loop.apply([{**config_map("a"), "data": 5}, {**config_map("b"), "data": {"/": "x"}}], prune_others=True)
    assert pruned(loop) == ["configmap/default/c"]


def test_nothing_is_pruned_while_a_manifest_cannot_be_told():
    loop = Reconciler(now=NOW, concerns=[], on_invalid="skip")
    loop.apply([config_map("a"), config_map("b")])
    loop.step(NOW)
    loop.apply("kind: ConfigMap\nmetadata: {name: [b\n", prune_others=True)
    assert pruned(loop) == []


# -- patching ----------------------------------------------------------------------------------------------------------


def test_a_patch_is_checked_like_an_update():
    loop, _ = applied(deployment())
    with pytest.raises(InvalidObject, match=r"spec.replicas: Invalid value: -1"):
        loop.patch("deploy/web", {"spec": {"replicas": -1}})
    with pytest.raises(InvalidObject, match=r"spec\.template\.spec\.containers: Required value"):
        loop.patch("deploy/web", {"spec": {"template": {"spec": {"containers": None}}}})
    with pytest.raises(InvalidObject, match="field is immutable"):
        loop.patch("deploy/web", {"spec": {"selector": {"matchLabels": {"app": "x"}}}})


@pytest.mark.parametrize("patch", [{"metadata": {"name": "x"}}, {"metadata": None}, {"metadata": {"uid": "x"}}])
def test_a_patch_does_not_make_another_object_of_it(patch):
    loop, _ = applied(deployment())
    with pytest.raises((InvalidObject, Exception), match="cannot change kind, namespace, name or uid"):
        loop.patch("deploy/web", patch)


def test_a_patch_of_what_is_not_there_is_refused():
    with pytest.raises(Exception, match="there is no deployment/default/web"):
        quiet().patch("deploy/web", {})


def test_a_patch_of_the_status_alone_is_a_report_and_no_action():
    loop, _ = applied(pod())
    loop.patch("pod/p", {"status": {"phase": "Running"}})
    plan = loop.step(NOW)
    assert plan.actions == ()
    stored = plan.snapshot.get(Key("Pod", "default", "p"))
    assert isinstance(stored, Pod)
    assert stored.status.phase == "Running"
    revision = plan.snapshot.revision
    loop.patch("pod/p", {"status": {"phase": "Running"}})
    assert loop.step(NOW).snapshot.revision == revision
    with pytest.raises(InvalidObject, match=r"status.conditions\[0\].lastTransitionTime"):
        loop.patch(
            "pod/p", {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "x"}]}}
        )


def test_what_is_being_deleted_goes_with_its_last_finalizer():
    held = {**config_map(), "metadata": {"name": "settings", "finalizers": ["example.com/a", "example.com/b"]}}
    loop, _ = applied(held)
    loop.delete("cm/settings")
    loop.patch("cm/settings", {"metadata": {"finalizers": ["example.com/b"]}})
    loop.step(NOW)
    assert the(loop, "cm/settings")["metadata"]["deletionTimestamp"] == NOW
    loop.patch("cm/settings", {"metadata": {"finalizers": None}})
    plan = loop.step(NOW)
    assert [action.verb for action in plan.actions] == ["update", "delete"]
    assert plan.snapshot.get(Key("ConfigMap", "default", "settings")) is None


def test_a_patched_spec_raises_the_generation():
    loop, _ = applied(deployment())
    loop.patch("deploy/web", {"spec": {"replicas": 3}})
    loop.step(NOW)
    stored = loop.snapshot.get(Key("Deployment", "default", "web"))
    assert isinstance(stored, Deployment)
    assert stored.metadata.generation == 2


def test_a_set_that_shrinks_and_grows_by_apply_has_the_pods_it_should():
    loop = Reconciler(replica_set(replicas=3), now=NOW, concerns=[Replication()])
    counts = []
    for replicas in (3, 1, 4):
        loop.apply(replica_set(replicas=replicas))
        counts.append(len(loop.step(NOW).snapshot.objects("Pod")))
    assert counts == [3, 1, 4]
