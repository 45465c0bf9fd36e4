"""A node is lost, as a client of the API sees it: from the silence of its kubelet to the substitutes of its pods."""

from __future__ import annotations

from typing import Any

import pytest

from state.times import SECOND, format_micro_time
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

MERGE = "application/merge-patch+json"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NODES = [f"node-{number}" for number in range(5)]
LABELS = {"app": "web"}


class Kubelets:
    """The kubelets of all nodes of a cluster, of which some fall silent."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        for name in NODES:
            meta = {"name": name, "namespace": "kube-node-lease"}
            self.cluster.must("POST", LEASES, {"metadata": meta, "spec": {"holderIdentity": name, **self._renewed()}})
        self.cluster.control.settle()

    def _renewed(self) -> dict[str, str]:
        return {"renewTime": format_micro_time(self.cluster.clock.now)}

    def live(self, seconds: int, silent: str) -> None:
        """Time passes, in which all but one go on."""
        for _ in range(seconds // 10):
            self.cluster.clock.now += 10 * SECOND
            for name in NODES:
                if name != silent:
                    self.cluster.must("PATCH", f"{LEASES}/{name}", {"spec": self._renewed()}, MERGE)
            self.cluster.control.settle()

    def node(self, name: str) -> dict[str, Any]:
        """A node: its Ready condition, and its taints."""
        found = self.cluster.must("GET", f"/api/v1/nodes/{name}")
        (ready,) = (c for c in found["status"]["conditions"] if c["type"] == "Ready")
        return {"ready": ready["status"], "taints": [t["key"] for t in found["spec"].get("taints", [])]}

    def pods(self) -> list[dict[str, Any]]:
        """All pods, in order of their names."""
        return self.cluster.must("GET", PODS)["items"]


@pytest.fixture
def kubelets() -> Kubelets:
    """A Deployment with a Service runs, a pod on each of three nodes."""
    made = Kubelets()
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "img:1"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template}
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    made.cluster.must("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    ports = {"selector": LABELS, "ports": [{"port": 80}]}
    made.cluster.must("POST", f"/api/v1/namespaces/{NAMESPACE}/services", {"metadata": {"name": "web"}, "spec": ports})
    made.cluster.control.settle()
    for pod in made.pods():
        made.cluster.report(pod["metadata"]["name"], phase="Running", ready=True)
    made.cluster.control.settle()
    return made


def endpoints_ready(cluster: Cluster) -> int:
    listed = cluster.must("GET", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices")["items"]
    return sum(endpoint["conditions"]["ready"] for slice_ in listed for endpoint in slice_["endpoints"])


def test_a_lost_node(kubelets: Kubelets) -> None:
    """After 50 s it is unreachable and serves nobody, after 300 s more its pod is replaced, and stays Terminating."""
    cluster = kubelets.cluster
    lost = kubelets.pods()[0]
    name, node = lost["metadata"]["name"], lost["spec"]["nodeName"]
    assert endpoints_ready(cluster) == 3
    kubelets.live(40, silent=node)
    assert kubelets.node(node) == {"ready": "True", "taints": []}
    kubelets.live(10, silent=node)
    unreachable = "node.kubernetes.io/unreachable"
    assert kubelets.node(node) == {"ready": "Unknown", "taints": [unreachable, unreachable]}
    assert {kubelets.node(other)["ready"] for other in NODES if other != node} == {"True"}
    assert endpoints_ready(cluster) == 2
    kubelets.live(290, silent=node)
    assert len(kubelets.pods()) == 3
    kubelets.live(10, silent=node)
    (ending,) = (pod for pod in kubelets.pods() if "deletionTimestamp" in pod["metadata"])
    assert (ending["metadata"]["name"], ending["metadata"]["deletionGracePeriodSeconds"]) == (name, 30)
    assert ending["status"]["conditions"][-1]["reason"] == "DeletionByTaintManager"
    others = [pod for pod in kubelets.pods() if pod is not ending and pod["metadata"]["name"] != name]
    assert len(others) == 3
    assert node not in {pod["spec"]["nodeName"] for pod in others}
    kubelets.live(600, silent=node)
    assert len(kubelets.pods()) == 4, "nobody says that the pod has ended"
    reasons = {event["reason"] for event in cluster.must("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]}
    assert reasons >= {"NodeNotReady", "TaintManagerEviction"}


def test_a_node_that_comes_back_in_time_keeps_its_pods(kubelets: Kubelets) -> None:
    """Its own report takes the taints away, and the deletion of its pods is off."""
    cluster = kubelets.cluster
    node = kubelets.pods()[0]["spec"]["nodeName"]
    kubelets.live(100, silent=node)
    assert kubelets.node(node)["taints"]
    conditions = [{"type": "Ready", "status": "True"}]
    cluster.must("PATCH", f"/api/v1/nodes/{node}/status", {"status": {"conditions": conditions}}, MERGE)
    kubelets.live(400, silent="")
    assert kubelets.node(node) == {"ready": "True", "taints": []}
    assert [pod["metadata"].get("deletionTimestamp") for pod in kubelets.pods()] == [None, None, None]
    listed = cluster.must("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
    messages = [event["message"] for event in listed if event["reason"] == "TaintManagerEviction"]
    assert [message.split(" Pod")[0] for message in messages] == ["Cancelling deletion of"]


def test_when_all_fall_silent_nobody_is_evicted() -> None:
    """It may be the API server that they don't reach."""
    kubelets = Kubelets()
    cluster = kubelets.cluster
    cluster.must("POST", PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "img:1"}]}})
    for _ in range(100):
        cluster.clock.now += 10 * SECOND
        cluster.control.settle()
    assert {kubelets.node(name)["ready"] for name in NODES} == {"Unknown"}
    (pod,) = kubelets.pods()
    assert "deletionTimestamp" not in pod["metadata"]
