"""ResourceQuotas and LimitRanges: what counts, what is out of bounds, and what becomes of what controllers make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said

from reconciler import Reconciler, reconcile
from reconciler.cycle import Cycle
from rules import make_concerns
from rules.limits import limit_pod, limit_problem
from rules.quota_ledger import Ledger
from rules.quota_usage import asked_of, is_in_scope, refusal, unsaid, usage_of
from rules.quotas import Quotas
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import CronJob, Deployment, Job, Pod, ReplicaSet, ResourceQuota, replace
from state.snapshot import Change, Key, Snapshot
from state.workspace import Workspace


def pod(name, phase="Running", resources=None, **spec):
    resources = resources or {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}], **spec}
    meta = {"name": name, "namespace": "n"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": phase}}


def quota(hard, name="q", namespace="n", **spec):
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard, **spec}}


def limits(*items, name="l", namespace="n"):
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": list(items)}}


def claim(size="1Gi", storage_class=None, **more):
    spec = {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], **more}
    spec |= {"storageClassName": storage_class} if storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "n"},
        "spec": spec,
    }


def service(kind, ports, **spec):
    spec = {"type": kind, "ports": [{"port": 80 + number} for number in range(ports)], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": spec}


def settled(concerns, *manifests, now=NOW):
    found = Cycle(Snapshot.of(from_dict(each) for each in manifests), concerns())
    found.ctx.start(now)
    found.settle(now)
    found.ws.commit()
    return found


# -- what counts -------------------------------------------------------------------------------------------------------

_SIDECAR = {"name": "s", "image": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}}
_GREEDY = {"name": "g", "image": "i", "resources": {"requests": {"cpu": "2", "example.com/gpu": "1"}}}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (pod("p"), {"pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1", "count/pods": "1"}),
        (pod("p", "Succeeded"), {"count/pods": "1"}),
        (
            pod("p", initContainers=[_SIDECAR, _GREEDY], overhead={"cpu": "50m"}),
            {
                "pods": "1",
                "count/pods": "1",
                "cpu": "2150m",
                "requests.cpu": "2150m",
                "requests.example.com/gpu": "1",
                "limits.cpu": "1050m",
            },
        ),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}},
            {"configmaps": "1", "count/configmaps": "1"},
        ),
        (
            {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "m", "namespace": "n"}},
            {"count/ingresses.networking.k8s.io": "1"},
        ),
        (
            service("LoadBalancer", 2),
            {"services": "1", "count/services": "1", "services.nodeports": "2", "services.loadbalancers": "1"},
        ),
        (
            service("LoadBalancer", 2, allocateLoadBalancerNodePorts=False),
            {"services": "1", "count/services": "1", "services.nodeports": "0", "services.loadbalancers": "1"},
        ),
        (
            claim("2Gi", "fast"),
            {
                "persistentvolumeclaims": "1",
                "count/persistentvolumeclaims": "1",
                "requests.storage": "2Gi",
                "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
            },
        ),
        (
            claim("2Gi") | {"status": {"allocatedResources": {"storage": "3Gi"}}},
            {"persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "3Gi"},
        ),
    ],
)
def test_what_an_object_counts_for(manifest, expected):
    """By the names that quotas use."""
    assert usage_of(from_dict(manifest)) == expected


_ACROSS = {
    "podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "namespaces": ["other"]}]
    }
}
_NONE = {"requests": {}}


@pytest.mark.parametrize(
    ("scope", "manifest", "expected"),
    [
        ("Terminating", pod("p", activeDeadlineSeconds=5), True),
        ("Terminating", pod("p"), False),
        ("NotTerminating", pod("p"), True),
        ("BestEffort", pod("p", resources=_NONE), True),
        ("NotBestEffort", pod("p", resources=_NONE), False),
        ("NotBestEffort", pod("p"), True),
        ("PriorityClass", pod("p", priorityClassName="high"), True),
        ("PriorityClass", pod("p"), False),
        ("CrossNamespacePodAffinity", pod("p", affinity=_ACROSS), True),
        ("CrossNamespacePodAffinity", pod("p"), False),
        ("VolumeAttributesClass", claim(volumeAttributesClassName="gold"), True),
        ("VolumeAttributesClass", claim(), False),
        ("NotTerminating", claim(), False),
        ("BestEffort", service("ClusterIP", 1), False),
    ],
)
def test_a_scope_leaves_out_what_is_not_in_it(scope, manifest, expected):
    """Each scope says of which pods, or claims, a quota is."""
    assert is_in_scope(from_dict(quota({"pods": "1"}, scopes=[scope])), from_dict(manifest)) is expected


@pytest.mark.parametrize(
    ("operator", "values", "name", "expected"),
    [
        ("In", ["high"], "high", True),
        ("In", ["high"], "low", False),
        ("In", ["high"], None, False),
        ("NotIn", ["high"], "low", True),
        ("NotIn", ["high"], None, True),
        ("Exists", [], "low", True),
        ("DoesNotExist", [], None, True),
    ],
)
def test_a_scope_selector_chooses_by_priority_class(operator, values, name, expected):
    """As a label selector on the name of the class."""
    term = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    scoped = from_dict(quota({"pods": "1"}, scopeSelector={"matchExpressions": [term]}))
    more = {} if name is None else {"priorityClassName": name}
    assert is_in_scope(scoped, from_dict(pod("p", **more))) is expected


def test_every_container_has_to_say_what_a_quota_counts():
    """By name, sorted, as the API server lists them."""
    manifest = pod("p")
    manifest["spec"]["containers"].append({"name": "b", "image": "i"})
    found = unsaid(from_dict(quota({"limits.memory": "1", "requests.cpu": "1"})), from_dict(manifest))
    assert found == "failed quota: q: must specify limits.memory for: b,c; requests.cpu for: b"


def test_only_what_grows_is_asked_for():
    """A claim that is expanded asks for the difference; one that shrinks for nothing."""
    limited = from_dict(quota({"requests.storage": "5Gi", "persistentvolumeclaims": "1"}))
    small, large = usage_of(from_dict(claim("2Gi"))), usage_of(from_dict(claim("4Gi")))
    assert asked_of(limited, large, small) == {"requests.storage": "2Gi"}
    assert asked_of(limited, small, large) == {}
    why = refusal(limited, asked_of(limited, large, small), {"requests.storage": "4Gi"})
    assert why == (
        "exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=4Gi, limited: requests.storage=5Gi"
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["add", "end", "drop"])), max_size=30))
def test_books_that_were_kept_say_what_fresh_ones_say(steps):
    """Whatever came and went."""
    limited = from_dict(quota({"pods": "9", "cpu": "9", "count/pods": "9"}))
    ws = Workspace(Snapshot.of([limited]))
    kept = Ledger(ws)
    kept.used(limited)
    for number, what in steps:
        key = Key("Pod", "n", f"p{number}")
        if what == "drop":
            ws.remove(key)
        else:
            ws.put(from_dict(pod(key.name, "Succeeded" if what == "end" else "Running")))
        assert kept.used(limited) == Ledger(ws).used(limited)


# -- the status --------------------------------------------------------------------------------------------------------


def test_a_quota_says_what_is_used_of_it():
    """Pods that ended don't count, nor what its scopes leave out; what goes makes room."""

    def concerns():
        return [Quotas()]

    plain, scoped = quota({"pods": "5", "cpu": "4"}), quota({"pods": "5"}, "s", scopes=["BestEffort"])
    loop = settled(concerns, plain, scoped, pod("a"), pod("b"), pod("c", "Failed"))
    used = {each.metadata.name: each.status.used for each in loop.ws.objects(ResourceQuota)}
    assert used == {"q": {"pods": "2", "cpu": "1"}, "s": {"pods": "0"}}
    assert_settled(loop, concerns, NOW)
    key = Key("Pod", "n", "a")
    loop.observe([Change(key, loop.ws.get(key), None)])
    loop.settle(NOW)
    assert loop.ws.find(ResourceQuota, "n", "q").status.used == {"pods": "1", "cpu": "500m"}


def test_a_charge_without_its_object_is_taken_back_in_the_end():
    """But not at once: the object may be on its way. What is deleted makes room at once all the same."""
    patience = 5 * SECOND
    charged = quota({"pods": "5"}) | {"status": {"hard": {"pods": "5"}, "used": {"pods": "3"}}}
    loop = settled(lambda: [Quotas(patience)], charged, pod("a"), pod("b"))

    def used():
        return loop.ws.find(ResourceQuota, "n", "q").status.used["pods"]

    assert (used(), loop.wake_at) == ("3", NOW + patience)
    loop.settle(NOW + patience)
    assert (used(), loop.wake_at) == ("2", None)
    live = loop.ws.find(ResourceQuota, "n", "q")
    loop.ws.put(replace(live, status=replace(live.status, used={"pods": "3"})))
    loop.ws.remove(Key("Pod", "n", "a"))
    loop.settle(NOW + patience)
    assert used() == "1"


# -- limit ranges ------------------------------------------------------------------------------------------------------


def test_defaults_are_filled_in_and_told():
    """For init containers as well; what is said stays."""
    wanted = limits({"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"}})
    manifest = pod("p", resources={"limits": {"memory": "2Gi"}}, initContainers=[{"name": "i", "image": "i"}])
    found = limit_pod(from_dict(manifest), [from_dict(wanted)])
    assert found.spec.containers[0].resources.limits == {"cpu": "1", "memory": "2Gi"}
    assert found.spec.init_containers[0].resources.requests == {"cpu": "500m"}
    assert found.metadata.annotations["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c; "
        "cpu request for init container i; cpu, memory limit for init container i"
    )


@pytest.mark.parametrize(
    ("item", "manifest", "expected"),
    [
        (
            {"type": "Container", "max": {"cpu": "800m"}, "min": {"memory": "1Mi"}},
            pod("p"),
            (
                "[minimum memory usage per Container is 1Mi.  No request is specified, "
                "maximum cpu usage per Container is 800m, but limit is 1]"
            ),
        ),
        (
            {"type": "Container", "min": {"cpu": "600m"}},
            pod("p"),
            "minimum cpu usage per Container is 600m, but request is 500m",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "1500m"}},
            pod("p"),
            "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"memory": "2"}},
            pod("p"),
            "memory max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        (
            {"type": "Pod", "max": {"memory": "1Gi"}},
            pod("p"),
            "maximum memory usage per Pod is 1Gi.  No limit is specified",
        ),
        ({"type": "Pod", "max": {"cpu": "1"}}, pod("p"), None),
        (
            {"type": "PersistentVolumeClaim", "min": {"storage": "2Gi"}},
            claim("1Gi"),
            "minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi",
        ),
        (
            {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}},
            claim("3Gi"),
            "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
        ),
    ],
)
def test_what_is_out_of_bounds(item, manifest, expected):
    """In LimitRanger's words."""
    assert limit_problem(from_dict(manifest), [from_dict(limits(item))]) == expected


# -- what controllers make ---------------------------------------------------------------------------------------------

_TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
}


def workload(kind, replicas=3, **spec):
    group = "v1" if kind == "ReplicationController" else "batch/v1" if kind == "Job" else "apps/v1"
    template = {**_TEMPLATE, "spec": {**_TEMPLATE["spec"], **spec}}
    body = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    if kind == "ReplicationController":
        body = {"selector": {"app": "a"}, "template": template}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        body = {"template": template, "parallelism": replicas, "completions": replicas}
    elif kind != "DaemonSet":
        body["replicas"] = replicas
    if kind == "StatefulSet":
        body |= {"podManagementPolicy": "Parallel", "serviceName": "a"}
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "w", "namespace": "n"}, "spec": body}


_REFUSED = 'pods "{}" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'


@pytest.mark.parametrize("kind", ["DaemonSet", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"])
def test_what_a_quota_refuses_is_noted_reported_and_made_when_there_is_room(kind):
    """Of three pods two fit: the owner says so, once, and makes the third when the quota grows."""
    loop = Reconciler([workload(kind), quota({"pods": "2"})], nodes=3, now=NOW)
    plan = loop.step()
    assert len(plan.snapshot.table("Pod")) == 2
    (note,) = (each for each in plan.notes if each.target.kind == kind)
    base = "w-2" if kind == "StatefulSet" else "w-"
    assert note.why.endswith(_REFUSED.format(base))
    (failure,) = (each for each in plan.events if each.reason == "FailedCreate")
    text = "create Pod w-2 in StatefulSet w failed error: pods" if kind == "StatefulSet" else "Error creating: pods"
    assert failure.message.startswith(text)
    assert (failure.type, failure.target.kind) == ("Warning", kind)
    again = loop.step()
    assert (list(again.actions), list(again.events)) == ([], [])
    loop.apply(quota({"pods": "3"}))
    plan = loop.step()
    assert len(plan.snapshot.table("Pod")) == 3
    assert not [each for each in plan.notes if "forbidden" in each.why]


def test_a_replica_set_and_its_deployment_have_the_condition_while_it_lasts():
    """With the message of the first failure; what is there is counted all the same."""
    loop = Reconciler([workload("Deployment"), quota({"pods": "2"})], nodes=3, now=NOW)
    plan = loop.step()
    (replica_set,) = plan.snapshot.table("ReplicaSet").values()
    (failure,) = replica_set.status.conditions
    assert (failure.type, failure.status, failure.reason) == ("ReplicaFailure", "True", "FailedCreate")
    assert replica_set.status.replicas == 2
    deployment = plan.snapshot.table("Deployment")["n", "w"]
    assert next(c for c in deployment.status.conditions if c.type == "ReplicaFailure").message == failure.message
    loop.apply(quota({"pods": "3"}))
    plan = loop.step()
    (replica_set,) = plan.snapshot.table("ReplicaSet").values()
    assert replica_set.status.conditions == ()
    conditions = plan.snapshot.table("Deployment")["n", "w"].status.conditions
    assert "ReplicaFailure" not in {each.type for each in conditions}


def test_room_is_made_by_what_is_deleted():
    """A quota whose pods go lets others in."""
    naked = pod("naked")
    loop = Reconciler([workload("ReplicaSet"), quota({"pods": "3"}), naked], nodes=3, now=NOW)
    assert len(loop.step().snapshot.table("Pod")) == 3
    loop.delete("pod/n/naked", grace_period=0)
    names = {name for _, name in loop.step().snapshot.table("Pod")}
    assert len(names) == 3
    assert "naked" not in names


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
def test_what_isnt_a_pod_can_be_refused_too(kind):
    """A ReplicaSet and a Job count as objects."""
    owner = workload("Deployment")
    hard = {"count/replicasets.apps": "0"}
    text = 'Failed to create new replica set "w-'
    reason = "ReplicaSetCreateError"
    if kind == "CronJob":
        job = workload("Job")["spec"]
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": job}}
        meta = {"name": "w", "namespace": "n", "creationTimestamp": "2025-12-31T23:00:00Z"}
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec}
        hard, text, reason = {"count/jobs.batch": "0"}, "Error creating job: jobs.batch", "FailedCreate"
    cycle = Cycle(Snapshot.of([default(from_dict(each)) for each in (owner, quota(hard))]), make_concerns())
    cycle.ctx.start(NOW + 90 * SECOND)
    cycle.settle(NOW + 90 * SECOND)
    (event,) = (each for each in cycle.ctx.events if each.reason == reason)
    assert event.message.startswith(text)
    assert not cycle.ws.objects(ReplicaSet) + cycle.ws.objects(Job)
    if kind == "Deployment":
        deployment = cycle.ws.find(Deployment, "n", "w")
        assert {c.type: c.reason for c in deployment.status.conditions}["Progressing"] == reason
    else:
        assert cycle.ws.find(CronJob, "n", "w").status.last_schedule_time is None
        assert cycle.wake_at is not None


def test_a_warm_loop_and_a_cold_one_say_the_same_about_what_is_refused():
    """The note has no generated name in it."""
    cycle = settled(make_concerns, quota({"pods": "1"}), dump(default(from_dict(workload("ReplicaSet")))))
    assert any("exceeded quota" in why for _, _, why in said(cycle))
    assert_settled(cycle, make_concerns, NOW)


def test_pods_of_controllers_get_the_defaults_of_limit_ranges_and_keep_within_them():
    """As pods that somebody else makes."""
    spec = {"containers": [{"name": "c", "image": "i"}]}
    filled = reconcile(
        [workload("ReplicaSet", 1, **spec), limits({"type": "Container", "default": {"cpu": "1"}})], nodes=1, now=NOW
    )
    (found,) = filled.snapshot.table("Pod").values()
    assert isinstance(found, Pod)
    assert found.spec.containers[0].resources.limits == {"cpu": "1"}
    for bound, words in (
        ({"min": {"cpu": "200m"}}, "minimum cpu usage per Container is 200m, but request is 100m"),
        # the bound is what a container is limited to that says nothing, and that makes an invalid pod
        ({"max": {"cpu": "50m"}}, 'Invalid value: "100m": must be less than or equal to cpu limit of 50m'),
    ):
        refused = reconcile([workload("ReplicaSet", 1), limits({"type": "Container", **bound})], nodes=1, now=NOW)
        assert not refused.snapshot.table("Pod")
        (note,) = (each for each in refused.notes if each.target.kind == "ReplicaSet")
        assert words in note.why


def test_a_priority_class_that_does_not_exist_is_named():
    """For pods of controllers and for naked ones; with the class all are made."""
    missing = "no PriorityClass with name high was found"
    objects = [workload("ReplicaSet", 1, priorityClassName="high"), pod("naked", priorityClassName="high")]
    plan = reconcile(objects, nodes=1, now=NOW)
    assert not plan.snapshot.table("Pod")
    assert sorted(each.why.partition(": ")[2] for each in plan.notes) == [
        f'pods "naked" is forbidden: {missing}',
        f'pods "w-" is forbidden: {missing}',
    ]
    known = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 5}
    assert len(reconcile([*objects, known], nodes=1, now=NOW).snapshot.table("Pod")) == 2


@given(
    hard=st.integers(0, 6),
    sizes=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5)), min_size=1, max_size=6),
)
def test_no_quota_is_ever_exceeded_and_all_that_fits_is_made(hard, sizes):
    """Whatever is scaled, one after the other; the quota says what there is."""
    loop = Reconciler([quota({"pods": str(hard)})], now=NOW)  # without nodes: what is deleted is gone at once
    wanted = {}
    for name, size in sizes:
        wanted[name] = size
        manifest = workload("ReplicaSet", size)
        manifest["metadata"]["name"] = name
        labels = {"app": name}
        manifest["spec"] |= {"selector": {"matchLabels": labels}}
        manifest["spec"]["template"] = {**_TEMPLATE, "metadata": {"labels": labels}}
        loop.apply(manifest)
        plan = loop.step()
        pods = len(plan.snapshot.table("Pod"))
        assert pods == min(hard, sum(wanted.values()))
        assert plan.snapshot.table("ResourceQuota")["n", "q"].status.used == {"pods": str(pods)}
        assert list(loop.step().actions) == []
