"""capacity and drain: what a user asks before scaling, and before taking a node away."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli import cli

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, resources: {requests: {cpu: "1", memory: 1Gi}}}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: big}
spec:
  nodeSelector: {topology.kubernetes.io/zone: zone-0}
  containers: [{name: big, image: nginx, resources: {requests: {cpu: "2"}}}]
"""
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""
DAEMON = """
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  nodeName: node-0
  containers: [{name: c, image: i}]
"""


def run(*args, stdin=None):
    return CliRunner().invoke(cli, list(args), input=stdin)


@pytest.fixture
def write(tmp_path):
    def put(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return [str(tmp_path / f"{name}.yaml") for name in files]

    return put


class TestCapacity:
    def test_counts_copies_of_what_makes_pods_beside_those_it_has(self, write):
        (web,) = write(web=WEB)
        result = run("capacity", "deploy/shop/web", "-f", web, "--nodes", "3x5cpu,64Gi")
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "NODES                             COPIES EACH   RUNS OUT",
            "3 nodes: node-0, node-1, node-2   3             Insufficient cpu",
            "",
            "9 more copies of deploy/shop/web fit; then: Insufficient cpu on 3 nodes",
        ]

    def test_counts_copies_of_a_manifest_that_is_not_applied(self, write):
        (pod,) = write(pod=POD)
        result = run("capacity", "--pod", pod, "--nodes", "4x4cpu,8Gi,2zones")
        rows = [line.split("   ") for line in result.stdout.splitlines()[1:3]]
        assert rows[0][0] == "2 nodes: node-0, node-2"
        assert result.stdout.splitlines()[-1].startswith("4 more copies of pod/default/big fit; then: ")
        assert "Insufficient cpu on 2 nodes" in result.stdout
        assert "node(s) didn't match Pod's node affinity/selector on 2 nodes" in result.stdout

    def test_json_says_it_per_node_and_in_all(self, write):
        (pod,) = write(pod=POD)
        found = json.loads(run("capacity", "--pod", pod, "--nodes", "2x4cpu,8Gi,2zones", "-o", "json").stdout)
        assert found["copies"] == 2
        assert found["nodes"]["node-0"] == {"copies": 2, "runsOut": ["Insufficient cpu"]}
        assert found["nodes"]["node-1"]["copies"] == 0
        assert found["runsOut"]["Insufficient cpu"] == 1
        assert found["reason"].startswith("0/2 nodes are available: 1 Insufficient cpu, ")

    def test_wide_tells_every_node(self, write):
        (pod,) = write(pod=POD)
        lines = run("capacity", "--pod", pod, "--nodes", "4x4cpu,8Gi,2zones", "-o", "wide").stdout.splitlines()
        assert [line.split()[:2] for line in lines[1:5]] == [
            [f"node-{n}", "2" if n % 2 == 0 else "0"] for n in range(4)
        ]

    def test_exit_status_says_whether_enough_fit(self, write):
        (pod,) = write(pod=POD)
        args = ("capacity", "--pod", pod, "--nodes", "1x4cpu,8Gi,1zones", "--at-least")
        assert (run(*args, "2").exit_code, run(*args, "3").exit_code) == (0, 3)

    def test_counting_stops_where_asked(self, write):
        (pod,) = write(pod=POD)
        result = run("capacity", "--pod", pod, "--nodes", "9x4cpu,8Gi,1zones", "--most", "5")
        assert result.stdout.splitlines()[-1] == "At least 5 more copies of pod/default/big fit"

    def test_a_workload_without_pods_is_counted_by_its_template(self, write):
        (web,) = write(web=WEB.replace("replicas: 6", "replicas: 0"))
        assert (
            run("capacity", "deploy/shop/web", "-f", web, "--nodes", "1").stdout.splitlines()[-1].startswith("4 more")
        )

    def test_without_nodes_nothing_fits(self, write):
        (pod,) = write(pod=POD)
        result = run("capacity", "--pod", pod)
        assert result.stdout == "0 more copies of pod/default/big fit; then: no nodes available to schedule pods\n"

    def test_what_makes_no_pods_cannot_be_counted(self, write):
        (web,) = write(web=WEB)
        assert "there is no service/default/web" in run("capacity", "svc/web", "-f", web).stderr
        assert "nothing that makes pods" in run("capacity", "ns/shop", "-f", web).stderr
        assert run("capacity", "-f", web).exit_code == 2
        assert "expected the manifest of one pod" in run("capacity", "--pod", web).stderr


class TestDrain:
    def test_says_where_pods_go_and_which_fit_nowhere(self, write):
        (web,) = write(web=WEB)
        result = run("drain", "node-0", "-f", web, "--nodes", "2x4cpu,64Gi")
        lines = [line.split("   ") for line in result.stdout.splitlines()]
        assert result.exit_code == 0
        assert [line[1].strip() for line in lines[1:4]] == ["moves", "fits nowhere", "fits nowhere"]
        assert lines[2][-1] == "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
        assert result.stdout.splitlines()[-1] == (
            "node-0 cannot be drained without loss; 3 pods: moves 1, fits nowhere 2"
        )
        assert run("drain", "node-0", "-f", web, "--nodes", "2x4cpu,64Gi", "--fail-on-waiting").exit_code == 3
        assert run("drain", "node/node-0", "-f", web, "--nodes", "3", "--fail-on-waiting").exit_code == 0

    def test_budgets_are_respected_though_the_pods_have_yet_to_start(self, write):
        web, budget = write(web=WEB, budget=BUDGET)
        found = json.loads(run("drain", "node-0", "-f", web, "-f", budget, "--nodes", "3", "-o", "json").stdout)
        assert [pod["what"] for pod in found["pods"]] == ["moves", "protected by a PodDisruptionBudget"]
        assert found["pods"][0]["to"] in ("node-1", "node-2")
        assert found["pods"][1]["reason"] == "web allows 1 of its 6 to go"

    def test_a_pod_that_nobody_would_make_again_is_named(self, write):
        web, alone = write(web=WEB, alone=DAEMON)
        result = run("drain", "node-0", "-f", web, "--observed", alone, "--nodes", "3")
        assert "default/alone" in result.stdout
        assert "has no controller, would be gone" in result.stdout

    def test_an_empty_or_unknown_node(self, write):
        (web,) = write(web=WEB.replace("replicas: 6", "replicas: 0"))
        assert run("drain", "node-0", "-f", web, "--nodes", "1").stdout == "No pod is on node-0.\n"
        result = run("drain", "node-9", "-f", web, "--nodes", "1")
        assert (result.exit_code, result.stderr) == (1, 'error: node "node-9" not found\n')
