"""The metrics API: served as soon as something is reported, read by anybody, written by nobody, and never stored."""

import pytest

from reconciler.apiserver.routes import target
from reconciler.apiserver.status import ApiError
from state.load import from_dict
from state.snapshot import Key
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

METRICS = "/apis/metrics.k8s.io/v1beta1"
PODS = f"{METRICS}/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.control.settle()
    return made


def report(cluster: Cluster, name: str, cpu: str, **labels: str) -> None:
    meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
    containers = [{"name": "c", "usage": {"cpu": cpu, "memory": "1Mi"}}]
    head = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": meta}
    cluster.control.ws.put(
        from_dict({**head, "timestamp": "2026-01-01T00:00:00Z", "window": "15s", "containers": containers})
    )
    cluster.control.push()


def test_without_a_report_there_is_no_such_api(cluster):
    """So that kubectl says that metrics aren't available."""
    assert cluster.api.registry.find("metrics.k8s.io", "v1beta1", "pods") is None


def test_reports_can_be_read_and_are_not_stored(cluster):
    """By name, as a list, and by label; the latest of each."""
    revision = cluster.api.storage.store.revision()
    report(cluster, "a", "100m", app="a")
    report(cluster, "b", "200m", app="b")
    report(cluster, "a", "150m", app="a")
    assert cluster.must("GET", f"{PODS}/a")["containers"][0]["usage"]["cpu"] == "150m"
    listed = cluster.must("GET", PODS)
    assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == ("PodMetricsList", ["a", "b"])
    assert [
        each["metadata"]["name"] for each in cluster.must("GET", f"{METRICS}/pods?labelSelector=app=b")["items"]
    ] == ["b"]
    assert cluster.must("GET", f"{METRICS}/nodes")["items"] == []
    assert cluster.api.storage.store.revision() == revision


def test_reports_go_with_what_they_are_about(cluster):
    """A pod that is gone has no metrics."""
    report(cluster, "a", "100m")
    cluster.control.ws.remove(Key("PodMetrics.metrics.k8s.io", NAMESPACE, "a"))
    cluster.control.push()
    assert cluster.call("GET", f"{PODS}/a")[0] == 404


def test_nobody_writes_them(cluster):
    """They can only be read."""
    report(cluster, "a", "100m")
    assert cluster.call("POST", PODS, {"metadata": {"name": "x"}})[0] == 405
    assert cluster.call("DELETE", f"{PODS}/a")[0] == 405
    with pytest.raises(ApiError) as refused:
        target(cluster.api.registry, PODS, "GET", wants_watch=True)
    assert refused.value.code == 405


def test_an_autoscaler_goes_by_them(cluster):
    """In the control plane as in a plan."""
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [container]}}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": "w"}}, "template": template}
    deployments = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    cluster.must("POST", deployments, {"metadata": {"name": "w"}, "spec": body})
    cluster.control.settle()
    cluster.act_as_kubelet("auto")
    cluster.control.settle()
    (pod,) = cluster.must("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    report(cluster, pod["metadata"]["name"], "400m")
    target = {"type": "AverageValue", "averageValue": "100m"}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"},
        "maxReplicas": 9,
        "metrics": [
            {"type": "Resource", "resource": {"name": "memory", "target": {**target, "averageValue": "256Ki"}}}
        ],
    }
    scalers = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    cluster.must("POST", scalers, {"metadata": {"name": "w"}, "spec": spec})
    cluster.control.settle()
    assert cluster.must("GET", f"{deployments}/w")["spec"]["replicas"] == 4
    status = cluster.must("GET", f"{scalers}/w")["status"]
    assert (status["desiredReplicas"], status["currentMetrics"][0]["resource"]["current"]) == (
        4,
        {"averageValue": "1048576"},
    )
