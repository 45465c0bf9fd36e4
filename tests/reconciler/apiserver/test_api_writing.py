"""Writes: who wins, what is refused, what a deletion waits for, and what the control plane makes of conflicts."""

import json
import threading

import pytest

from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

MERGE = "application/merge-patch+json"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def deployment(replicas: int) -> dict:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "img:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"metadata": {"name": "w"}, "spec": spec}


def test_concurrent_patches_are_all_kept(cluster):
    """Patches without a revision are tried again until each is stored."""
    cluster.must("POST", MAPS, {"metadata": {"name": "m"}})

    def write(worker: int) -> None:
        for number in range(10):
            cluster.must("PATCH", f"{MAPS}/m", {"data": {f"{worker}-{number}": "x"}}, MERGE)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cluster.must("GET", f"{MAPS}/m")["data"]) == 40


def test_of_concurrent_updates_of_one_revision_one_wins(cluster):
    """The others get a Conflict."""
    made = cluster.must("POST", MAPS, {"metadata": {"name": "m"}})
    codes = []

    def write(worker: int) -> None:
        codes.append(cluster.call("PUT", f"{MAPS}/m", {**made, "data": {"w": str(worker)}})[0])

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] + [409] * 7


def test_services_never_share_an_address(cluster):
    """Many at once get different cluster IPs and node ports."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services"

    def make(worker: int) -> None:
        for number in range(5):
            spec = {"type": "NodePort", "ports": [{"port": 80}]}
            cluster.must("POST", path, {"metadata": {"name": f"s{worker}-{number}"}, "spec": spec})

    threads = [threading.Thread(target=make, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    specs = [item["spec"] for item in cluster.must("GET", path)["items"]]
    assert len({spec["clusterIP"] for spec in specs}) == 20
    assert len({spec["ports"][0]["nodePort"] for spec in specs}) == 20


def test_a_refused_service_gives_its_address_back(cluster):
    """What was set aside for a Service that isn't stored after all is free again."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services"
    service = {"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]}}
    assert cluster.call("POST", f"{path}?dryRun=All", service)[0] == 201
    assert cluster.call("POST", path, service)[0] == 201
    other = {**service, "metadata": {"name": "t"}}
    assert "provided IP is already allocated" in cluster.call("POST", path, other)[1]["message"]
    cluster.must("DELETE", f"{path}/s")
    assert cluster.call("POST", path, other)[0] == 201


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"preconditions": {"uid": "11111111-2222-3333-4444-555555555555"}}, 409),
        ({"preconditions": {"resourceVersion": "1"}}, 409),
        ({"propagationPolicy": "Sideways"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"gracePeriodSeconds": "soon"}, 400),
        ({"dryRun": ["All"]}, 200),
    ],
)
def test_a_deletion_that_is_refused_or_tried_only_deletes_nothing(cluster, options, code):
    """The object is there afterwards."""
    cluster.must("POST", MAPS, {"metadata": {"name": "m"}})
    assert cluster.call("DELETE", f"{MAPS}/m", options)[0] == code
    assert cluster.call("GET", f"{MAPS}/m")[0] == 200


def test_a_precondition_that_fails_is_told_by_kind(cluster):
    """Not by resource, as other conflicts are."""
    cluster.must("POST", MAPS, {"metadata": {"name": "m"}})
    found = cluster.call("DELETE", f"{MAPS}/m", {"preconditions": {"uid": "x"}})[1]
    assert found["message"].startswith(
        'Operation cannot be fulfilled on ConfigMap "m": the UID in the precondition (x)'
    )
    assert found["details"] == {"name": "m", "kind": "ConfigMap"}


def test_a_finalizer_holds_an_object_until_it_is_taken_off(cluster):
    """While it does, no new finalizer can be added, and a new object of that name is told why it has to wait."""
    cluster.must("POST", MAPS, {"metadata": {"name": "m", "finalizers": ["example.com/hold"]}})
    held = cluster.must("DELETE", f"{MAPS}/m")
    assert held["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert cluster.call("PATCH", f"{MAPS}/m", more, MERGE)[0] == 422
    for path in (MAPS, f"{MAPS}?dryRun=All"):
        code, refusal = cluster.call("POST", path, {"metadata": {"name": "m"}})
        assert (code, refusal["message"]) == (409, 'object is being deleted: configmaps "m" already exists')
    cluster.must("PATCH", f"{MAPS}/m", {"metadata": {"finalizers": None}}, MERGE)
    assert cluster.call("GET", f"{MAPS}/m")[0] == 404


def test_a_namespace_is_emptied_and_goes(cluster):
    """Its content goes first, whatever it is; then nothing can be created in it."""
    cluster.must("POST", DEPLOYMENTS, deployment(2))
    cluster.control.settle()
    cluster.act_as_kubelet("auto")
    cluster.must("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    cluster.control.settle()
    assert cluster.call("POST", MAPS, {"metadata": {"name": "late"}})[0] == 403
    cluster.act_as_kubelet("auto")
    assert cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}")[0] == 404
    assert cluster.call("POST", MAPS, {"metadata": {"name": "after"}})[0] == 404


def test_the_control_plane_gives_way_to_whoever_was_first(cluster):
    """A write that comes between its look and its own write stays, and it takes that into account."""
    cluster.must("POST", DEPLOYMENTS, deployment(1))
    cluster.control.settle()
    cluster.must("PATCH", f"{DEPLOYMENTS}/w", {"spec": {"replicas": 2}}, MERGE)
    store = cluster.api.storage.store
    write, between = store.write, [True]

    def late(writes):
        if between and any("/replicasets/" in each.key for each in writes):
            between.clear()
            name = cluster.must("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets")["items"][0]["metadata"][
                "name"
            ]
            path = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/{name}"
            cluster.must("PATCH", path, {"metadata": {"labels": {"mine": "yes"}}}, MERGE)
        return write(writes)

    store.write = late
    cluster.control.settle()
    (replica_set,) = cluster.must("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets")["items"]
    assert replica_set["metadata"]["labels"]["mine"] == "yes"
    assert replica_set["spec"]["replicas"] == 2
    assert len(cluster.must("GET", PODS)["items"]) == 2


def test_a_new_control_plane_finds_nothing_to_do(cluster):
    """What one left settled, another takes over without a write."""
    from reconciler.apiserver.control import ControlPlane

    cluster.must("POST", DEPLOYMENTS, deployment(3))
    cluster.control.settle()
    cluster.act_as_kubelet("auto")
    cluster.control.stop()
    revision = cluster.api.storage.store.revision()
    other = ControlPlane(cluster.api)
    other.settle()
    assert cluster.api.storage.store.revision() == revision


def test_unknown_fields_are_refused_dropped_with_a_warning_or_dropped(cluster):
    """As fieldValidation says; a warning is what happens if it says nothing."""
    body = {"metadata": {"name": "m"}, "data": {}, "date": {}}
    code, answer = cluster.call("POST", f"{MAPS}?fieldValidation=Strict", body)
    assert (code, 'strict decoding error: unknown field "date"' in answer["message"]) == (400, True)
    place = Place(cluster.api.registry.of_table("ConfigMap"), NAMESPACE)
    answer = cluster.api.create(place, json.dumps(body).encode(), WriteOptions())
    assert answer.warnings == ('unknown field "date"',)
    assert "date" not in answer.document


def test_limit_ranges_fill_in_and_refuse(cluster):
    """A pod gets the default request and limit, and must keep within the maximum."""
    limits = [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}, "max": {"cpu": "2"}}]
    cluster.must(
        "POST", f"/api/v1/namespaces/{NAMESPACE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}}
    )
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    stored = cluster.must("POST", PODS, pod)
    assert stored["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}
    assert stored["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    }
    big = {
        "metadata": {"name": "q"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "3"}}}]},
    }
    code, answer = cluster.call("POST", PODS, big)
    assert (code, answer["message"]) == (
        403,
        'pods "q" is forbidden: maximum cpu usage per Container is 2, but limit is 3',
    )


def test_a_quota_is_kept_and_its_use_is_told(cluster):
    """What has no room is refused, and what is deleted makes room again."""
    path = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
    cluster.must("POST", path, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.cpu": "1"}}})
    cluster.control.settle()

    def pod(name: str, cpu: str) -> dict:
        container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}} if cpu else {}}
        return {"metadata": {"name": name}, "spec": {"containers": [container]}}

    cluster.must("POST", PODS, pod("a", "600m"))
    code, answer = cluster.call("POST", PODS, pod("b", "600m"))
    assert code == 403
    assert answer["message"] == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    code, answer = cluster.call("POST", PODS, pod("b", ""))
    assert (code, answer["message"]) == (
        403,
        'pods "b" is forbidden: failed quota: q: must specify requests.cpu for: c',
    )
    cluster.control.settle()
    assert cluster.must("GET", f"{path}/q")["status"] == {
        "hard": {"pods": "2", "requests.cpu": "1"},
        "used": {"pods": "1", "requests.cpu": "600m"},
    }
    cluster.must("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    cluster.control.settle()
    cluster.must("POST", PODS, pod("b", "600m"))


def test_deletecollection_deletes_what_is_selected(cluster):
    """And returns it as a list."""
    for name, value in (("a", "1"), ("b", "2"), ("c", "1")):
        cluster.must("POST", MAPS, {"metadata": {"name": name, "labels": {"k": value}}})
    place = Place(cluster.api.registry.of_table("ConfigMap"), NAMESPACE)
    gone = cluster.api.delete_collection(place, ListOptions(labels="k=1"), DeleteOptions()).document
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "c"]
    left = [item["metadata"]["name"] for item in cluster.must("GET", MAPS)["items"]]
    assert left == ["b", "kube-root-ca.crt"]


def test_only_a_balanced_service_has_the_address_of_a_load_balancer(cluster):
    """It goes with the type, and none is taken without it."""
    services = MAPS.replace("configmaps", "services")
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    cluster.must(
        "POST", services, {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    )
    assert cluster.must("PATCH", f"{services}/s/status", balanced, MERGE)["status"]["loadBalancer"]["ingress"]
    former = cluster.must("PATCH", f"{services}/s", {"spec": {"type": "ClusterIP"}}, MERGE)
    assert former["status"] == {"loadBalancer": {}}
    code, refusal = cluster.call("PATCH", f"{services}/s/status", balanced, MERGE)
    why = "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    assert (code, refusal["message"]) == (422, f'Service "s" is invalid: {why}')


def test_a_status_is_written_by_itself(cluster):
    """A plain update leaves it, an update of the status leaves the rest."""
    cluster.must("POST", DEPLOYMENTS, deployment(0))
    body = {"spec": {"replicas": 5}, "status": {"replicas": 9}}
    assert cluster.must("PATCH", f"{DEPLOYMENTS}/w/status", body, MERGE)["spec"]["replicas"] == 0
    assert cluster.must("PATCH", f"{DEPLOYMENTS}/w", {"status": {"replicas": 3}}, MERGE)["status"]["replicas"] == 9


def test_other_errors_are_api_errors():
    """An ApiError knows how to be a Status."""
    status = ApiError(418, "Teapot", "no coffee").to_dict()
    assert (status["kind"], status["code"], status["reason"], status["message"]) == (
        "Status",
        418,
        "Teapot",
        "no coffee",
    )
