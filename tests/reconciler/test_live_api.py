"""``up --kubeconfig``: kubectl works on processes that really run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from live_cluster import PATIENCE, LiveCluster

KUBECTL = shutil.which("kubectl")
pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the process runtime needs Linux"),
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed"),
]


class Kubectl:
    """kubectl with the kubeconfig that ``up`` writes."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "kubeconfig"
        self._cache = folder / "cache"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts a command."""
        assert KUBECTL is not None
        return subprocess.Popen(
            [KUBECTL, "--cache-dir", str(self._cache), *words],
            env={**os.environ, "KUBECONFIG": str(self.config)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        """What a command says: its output, or why it failed."""
        out, err = (process := self.start(*words)).communicate(timeout=PATIENCE)
        assert process.returncode == code, f"{words}: {out}{err}"
        return err if code else out

    def works(self, *words: str) -> bool:
        """Whether a command succeeds."""
        process = self.start(*words)
        process.communicate(timeout=PATIENCE)
        return process.returncode == 0


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """For the cluster of the same test."""
    return Kubectl(tmp_path)


@pytest.fixture
def cluster(tmp_path: Path, kubectl: Kubectl) -> Iterator[LiveCluster]:
    """A cluster that serves the API, with nothing in it; it is gone after the test."""
    made = LiveCluster(tmp_path)
    made.manifests.write_text("")
    made.up("--port", "0", "--kubeconfig", str(kubectl.config))
    made.wait_for("the kubeconfig", kubectl.config.exists)
    yield made
    made.kill_all()


def deployment(name: str, command: str) -> dict:
    container = {"name": "main", "image": "none", "command": ["sh", "-c", command]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def test_what_kubectl_does_happens_to_processes(cluster: LiveCluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """Apply, wait, scale, roll out, delete; and both ends see the same."""
    file = tmp_path / "web.yaml"
    file.write_text(yaml.safe_dump(deployment("web", "exec sleep 1000")))
    assert kubectl("apply", "-f", str(file)) == "deployment.apps/web created\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(cluster.processes()) == 1
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    pods = cluster.wait_ready("web", 3)
    assert sorted(cluster.processes().values()) == sorted(pods)
    assert kubectl("get", "pods", "-o", "name").split() == [f"pod/{name}" for name in sorted(pods)]
    kubectl("patch", "deployment/web", "-p", '{"spec":{"template":{"metadata":{"labels":{"v":"2"}}}}}')
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    cluster.wait_for("the old pods to be gone", lambda: len(cluster.processes()) == 3)
    assert not set(pods) & set(cluster.processes().values())
    assert cluster.output("scale", "deployment/web", "--replicas", "1") == "deployment.apps/web scaled\n"
    assert kubectl("get", "deployment/web", "-o", "jsonpath={.spec.replicas}") == "1"
    kubectl("delete", "deployment/web", "--cascade=foreground")
    assert cluster.processes() == {}


def test_files_and_kubectl_leave_each_other_alone(cluster: LiveCluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """What kubectl made is not pruned when the files change, and what the files brought is."""
    file = tmp_path / "theirs.yaml"
    file.write_text(yaml.safe_dump(deployment("theirs", "exec sleep 1000")))
    kubectl("apply", "-f", str(file))
    cluster.manifests.write_text(yaml.safe_dump(deployment("ours", "exec sleep 1000")))
    cluster.wait_ready("ours", 1)
    kubectl("annotate", "deployment/ours", "note=kept")
    changed = deployment("ours", "exec sleep 2000")
    cluster.manifests.write_text(yaml.safe_dump(changed))

    def is_changed() -> bool:
        found = kubectl("get", "deployment/ours", "-o", "jsonpath={.spec.template.spec.containers[0].command[2]}")
        return found == "exec sleep 2000"

    cluster.wait_for("the change", is_changed)
    assert kubectl("get", "deployment/ours", "-o", "jsonpath={.metadata.annotations.note}") == "kept"
    cluster.manifests.write_text("")
    cluster.wait_for("the files' pods to be gone", lambda: not cluster.pods("ours"))
    assert list(cluster.wait_ready("theirs", 1)) == list(set(cluster.processes().values()))


def test_logs_are_those_of_the_processes(cluster: LiveCluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """The last lines, those of the instance before, and new ones as they come."""
    more = tmp_path / "more"
    file = tmp_path / "talk.yaml"
    command = f"echo first; echo second >&2; while ! test -e {more}; do sleep 0.05; done; echo third; rm {more}; exit 3"
    pod = deployment("talk", command)["spec"]["template"]
    file.write_text(
        yaml.safe_dump(
            {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": {"name": "talk", "labels": {"app": "talk"}}}
        )
    )
    kubectl("apply", "-f", str(file))
    kubectl("wait", "--for=condition=Ready", "pod/talk", "--timeout=30s")
    cluster.wait_for("the first lines", lambda: kubectl("logs", "talk") == "first\nsecond\n")
    assert kubectl("logs", "talk", "--tail=1") == "second\n"
    assert kubectl("logs", "talk", "--timestamps").splitlines()[1].split("Z ")[1] == "second"
    assert "previous terminated container" in kubectl("logs", "talk", "--previous", code=1)
    following = kubectl.start("logs", "-f", "talk")
    assert following.stdout is not None
    assert [following.stdout.readline() for _ in range(2)] == ["first\n", "second\n"]
    more.touch()
    assert following.communicate(timeout=PATIENCE)[0] == "third\n"
    assert following.returncode == 0
    cluster.wait_for("the restart", lambda: cluster.pods()["talk"]["status"]["containerStatuses"][0]["restartCount"])
    assert kubectl("logs", "talk", "--previous", "--since=1h") == "first\nsecond\nthird\n"
    assert "pods/exec is not supported by this server" in kubectl("exec", "talk", "--", "true", code=1)


def test_a_kubeconfig_is_good_for_the_next_up(cluster: LiveCluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """The keys are in the state directory; and what kubectl made is there after kill -9."""
    file = tmp_path / "web.yaml"
    file.write_text(yaml.safe_dump(deployment("web", "exec sleep 1000")))
    kubectl("apply", "-f", str(file))
    before = cluster.wait_ready("web", 1)
    processes = cluster.processes()
    port = yaml.safe_load(kubectl.config.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    cluster.end(signal.SIGKILL)
    cluster.up("--port", port)
    cluster.wait_ready("web", 1)
    cluster.wait_for("the API", lambda: kubectl.works("get", "--raw", "/readyz"))
    assert kubectl("get", "pods", "-o", "name") == f"pod/{min(before)}\n"
    assert cluster.processes() == processes
    assert cluster.end() == 0
    assert cluster.processes() == {}
