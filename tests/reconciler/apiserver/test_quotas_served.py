"""Quotas and limits in the API server: of many that come at once none gets too much, controllers included."""

import threading

import pytest

from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

CORE = f"/api/v1/namespaces/{NAMESPACE}"
PODS = f"{CORE}/pods"
QUOTAS = f"{CORE}/resourcequotas"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
MERGE = "application/merge-patch+json"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def pod(name: str, **spec) -> dict:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def deployment(replicas: int) -> dict:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "img:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"metadata": {"name": "w"}, "spec": spec}


def quota(cluster: Cluster, **hard: str) -> None:
    hard = {name.replace("_", "."): amount for name, amount in hard.items()}
    cluster.must("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    cluster.control.settle()


def used(cluster: Cluster) -> dict:
    return cluster.must("GET", f"{QUOTAS}/q")["status"]["used"]


def test_a_quota_that_nobody_counted_yet_lets_nothing_in(cluster):
    """What is used of it is not known."""
    cluster.must("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
    code, answer = cluster.call("POST", PODS, pod("p"))
    assert (code, answer["message"]) == (403, 'pods "p" is forbidden: status unknown for quota: q, resources: pods')


def test_of_many_at_once_no_more_get_in_than_there_is_room_for(cluster):
    """Each is charged before it is stored."""
    quota(cluster, pods="10")
    codes = []

    def create(worker: int) -> None:
        codes.extend(cluster.call("POST", PODS, pod(f"p{worker}-{number}"))[0] for number in range(5))

    threads = [threading.Thread(target=create, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        cluster.control.turn()
    assert sorted(codes) == [201] * 10 + [403] * 30
    cluster.control.settle()
    assert used(cluster) == {"pods": "10"}


def test_a_controller_gets_no_more_than_anybody_else(cluster):
    """What it can't make it reports, and makes when there is room."""
    quota(cluster, pods="3")
    cluster.must("POST", PODS, pod("mine"))
    cluster.must("POST", DEPLOYMENTS, deployment(5))
    cluster.control.settle()
    assert used(cluster) == {"pods": "3"}
    assert len(cluster.must("GET", PODS)["items"]) == 3
    (condition,) = (
        each
        for each in cluster.must("GET", f"{DEPLOYMENTS}/w")["status"]["conditions"]
        if each["type"] == "ReplicaFailure"
    )
    assert condition["reason"] == "FailedCreate"
    assert condition["message"].endswith("exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3")
    failures = [each for each in cluster.must("GET", f"{CORE}/events")["items"] if each["reason"] == "FailedCreate"]
    assert [each["involvedObject"]["kind"] for each in failures] == ["ReplicaSet"]
    cluster.must("DELETE", f"{PODS}/mine", {"gracePeriodSeconds": 0})
    cluster.control.settle()
    names = {each["metadata"]["name"] for each in cluster.must("GET", PODS)["items"]}
    assert len(names) == 3
    assert "mine" not in names
    cluster.must("PATCH", f"{QUOTAS}/q", {"spec": {"hard": {"pods": "9"}}}, MERGE)
    cluster.control.settle()
    assert used(cluster) == {"pods": "5"}
    assert len(cluster.must("GET", PODS)["items"]) == 5


def test_a_controller_and_somebody_else_together_get_no_more(cluster):
    """A charge that came in between makes the controllers look again before anything is stored."""
    quota(cluster, pods="4")
    cluster.must("POST", DEPLOYMENTS, deployment(4))
    store = cluster.api.storage.store
    write, late = store.write, [pod("late-1"), pod("late-2")]

    def write_late(writes):
        if late and any("resourcequotas" in each.key for each in writes):
            body, store.write = late.pop(), write
            cluster.must("POST", PODS, body)
            store.write = write_late
        return write(writes)

    store.write = write_late
    cluster.control.settle()
    assert not late
    assert used(cluster) == {"pods": "4"}
    names = [each["metadata"]["name"] for each in cluster.must("GET", PODS)["items"]]
    assert len(names) == 4
    assert {"late-1", "late-2"} <= set(names)


def test_what_grows_is_charged(cluster):
    """A Service that is given ports for nodes, but not when it is only tried."""
    quota(cluster, services_nodeports="1")
    services = f"{CORE}/services"
    for name in ("a", "b"):
        cluster.must("POST", services, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
    change = {"spec": {"type": "NodePort"}}
    cluster.must("PATCH", f"{services}/a?dryRun=All", change, MERGE)
    cluster.must("PATCH", f"{services}/a", change, MERGE)
    code, answer = cluster.call("PATCH", f"{services}/b", change, MERGE)
    assert code == 403
    assert answer["message"] == (
        'services "b" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, '
        "limited: services.nodeports=1"
    )


def test_pods_of_controllers_need_their_account(cluster):
    """They wait for it, and get what it gives."""
    body = deployment(1)
    body["spec"]["template"]["spec"]["serviceAccountName"] = "robot"
    cluster.must("POST", DEPLOYMENTS, body)
    cluster.control.settle()
    assert cluster.must("GET", PODS)["items"] == []
    (event,) = (each for each in cluster.must("GET", f"{CORE}/events")["items"] if each["reason"] == "FailedCreate")
    assert event["message"].endswith(
        f'is forbidden: error looking up service account {NAMESPACE}/robot: serviceaccount "robot" not found'
    )
    account = {"metadata": {"name": "robot"}, "imagePullSecrets": [{"name": "key"}]}
    cluster.must("POST", f"{CORE}/serviceaccounts", account)
    cluster.control.settle()
    (made,) = cluster.must("GET", PODS)["items"]
    assert made["spec"]["imagePullSecrets"] == [{"name": "key"}]
    assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")


def test_a_claim_may_not_grow_beyond_its_limit_range(cluster):
    """The bounds hold for changes of claims, too."""
    item = {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}}
    cluster.must("POST", f"{CORE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [item]}})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}}
    code, answer = cluster.call("POST", f"{CORE}/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": spec})
    assert code == 403
    assert answer["message"] == (
        'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, '
        "but request is 3Gi"
    )


def test_only_one_priority_class_is_the_default(cluster):
    """Another one is refused, made or changed."""
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    cluster.must("POST", classes, {"metadata": {"name": "a"}, "value": 1, "globalDefault": True})
    cluster.must("PATCH", f"{classes}/a", {"description": "first"}, MERGE)
    code, answer = cluster.call("POST", classes, {"metadata": {"name": "b"}, "value": 2, "globalDefault": True})
    assert code == 403
    why = "PriorityClass a is already marked as default. Only one default can exist"
    assert answer["message"] == f'priorityclasses.scheduling.k8s.io "b" is forbidden: {why}'
