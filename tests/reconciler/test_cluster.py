"""A cluster in process: what a server answers, without one."""

import pytest
from manifests_for_tests import config_map, custom, definition, deployment, pod

from reconciler import ApiError, Cluster
from state.errors import StateError

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def cluster():
    with Cluster(nodes=2, now=NOW) as found:
        yield found


def names(listing):
    return [item["metadata"]["name"] for item in listing["items"]]


def types(events):
    return [event["type"] for event in events]


def test_what_is_created_comes_to_life_when_it_is_let(cluster):
    """Controllers, scheduler and nodes act in settle and at no other time."""
    made = cluster.create(deployment("web", 3))
    assert (made["metadata"]["uid"] != "", made["metadata"]["generation"]) == (True, 1)
    assert names(cluster.list("pods")) == []
    cluster.settle()
    pods = cluster.list("po", "default", labelSelector="app=web")["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-0", "node-1"}
    assert cluster.get("deployments.apps", "web")["status"]["readyReplicas"] == 3


@pytest.mark.parametrize(
    ("form", "patch"),
    [
        ("json", [{"op": "replace", "path": "/data/a", "value": "2"}]),
        ("merge", {"data": {"a": "2"}}),
        ("strategic", {"data": {"a": "2"}}),
        ("apply", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}}),
    ],
)
def test_patches_of_every_form(cluster, form, patch):
    cluster.create(config_map(a="1"))
    options = {"fieldManager": "me", "force": "true"} if form == "apply" else {}
    assert cluster.patch("configmap", "settings", patch, form=form, **options)["data"] == {"a": "2"}


def test_refusals_are_those_of_the_api(cluster):
    """Code, reason and message, as kubectl would show them."""
    cluster.create(config_map())
    with pytest.raises(ApiError, match='configmaps "settings" already exists') as caught:
        cluster.create(config_map())
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")
    for refused in (lambda: cluster.get("cm", "none"), lambda: cluster.list("gadgets"), lambda: cluster.create({})):
        with pytest.raises(ApiError) as caught:
            refused()
        assert caught.value.code == 404
    stale = {**cluster.get("cm", "settings"), "data": {"a": "1"}}
    cluster.update(stale)
    with pytest.raises(ApiError, match="please apply your changes to the latest version and try again"):
        cluster.update(stale)


def test_a_watch_tells_what_has_happened_since_it_was_looked_at(cluster):
    watch = cluster.watch("configmaps", "default", fieldSelector="metadata.name=settings")
    assert types(watch) == []
    cluster.create(config_map())
    cluster.patch("configmaps", "settings", {"data": {"a": "1"}})
    assert types(watch) == ["ADDED", "MODIFIED"]
    cluster.delete("configmaps", "settings")
    assert types(watch) == ["DELETED"]
    watch.close()
    assert types(watch) == []


def test_a_dry_run_changes_nothing(cluster):
    assert cluster.create(config_map(), dryRun="All")["metadata"]["name"] == "settings"
    assert "settings" not in names(cluster.list("configmaps"))


def test_parts_of_objects(cluster):
    cluster.create(deployment("web", 1))
    scale = cluster.get("deploy", "web", subresource="scale")
    cluster.request("PUT", "/apis/apps/v1/namespaces/default/deployments/web/scale", {**scale, "spec": {"replicas": 2}})
    cluster.settle()
    assert cluster.get("deploy", "web")["status"]["replicas"] == 2
    pod = cluster.get("pod", names(cluster.list("pods"))[0])
    answer = cluster.update({**pod, "status": {**pod["status"], "message": "hello"}}, subresource="status")
    assert answer["status"]["message"] == "hello"


def test_deletions_have_options_and_take_their_time(cluster):
    """A pod that nobody stops goes when its container has ended; the owner in the foreground goes last."""
    cluster.create(deployment("web", 1))
    cluster.settle()
    held = cluster.delete("deployment", "web", propagationPolicy="Foreground")
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    cluster.settle()
    assert (names(cluster.list("pods")), names(cluster.list("deployments"))) == ([], [])


def test_without_a_kubelet_the_status_of_pods_is_reported_by_the_caller():
    with Cluster(nodes=1, kubelet=False) as cluster:
        cluster.create(pod("p"))
        cluster.settle()
        waiting = cluster.get("pod", "p")
        assert (waiting["spec"]["nodeName"], waiting["status"]["phase"]) == ("node-0", "Pending")
        cluster.patch("pod", "p", {"status": {"phase": "Succeeded"}}, subresource="status")
        assert cluster.get("pod", "p")["status"]["phase"] == "Succeeded"


def test_the_quality_of_service_is_that_of_the_pod_with_its_limits(cluster):
    """What a LimitRange adds counts: the registry looks at a pod after admission has."""
    limits = {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}}]}
    cluster.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": limits})
    assert cluster.create(pod("p"))["status"]["qosClass"] == "Guaranteed"


def test_time_passes_when_it_is_told_to(cluster):
    """What is due meanwhile happens at its time."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "often"},
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "job:1"}]},
                    }
                }
            },
        },
    }
    cluster.create(job)
    cluster.advance("2m30s")
    assert [item["metadata"]["creationTimestamp"] for item in cluster.list("jobs")["items"]] == [
        "2026-01-01T00:01:00Z",
        "2026-01-01T00:02:00Z",
    ]
    with pytest.raises(StateError):
        cluster.advance("soon")


def test_custom_resources_are_served_when_they_are_defined(cluster):
    """As with a server, that takes a moment; and what is of a kind goes with it."""
    cluster.create(definition({"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    cluster.settle()
    cluster.create(custom("w", size=3))
    assert cluster.get("widgets", "w")["size"] == 3
    cluster.delete("crd", "widgets.example.com")
    cluster.settle()
    assert names(cluster.list("crds")) == []
    with pytest.raises(ApiError, match="could not find the requested resource"):
        cluster.get("widgets", "w")


def test_what_a_server_says_about_itself(cluster):
    assert cluster.request("GET", "/version")["gitVersion"].startswith("v1.")
    assert "apps" in [group["name"] for group in cluster.request("GET", "/apis")["groups"]]
    with pytest.raises(ApiError, match="could not find the requested resource"):
        cluster.request("GET", "/nothing")
