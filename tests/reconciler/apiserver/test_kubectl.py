"""Real kubectl against the server, over TLS, with the kubeconfig that the server writes."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.kubeconfig import write
from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (Debian: kubernetes-client)")


class Kubectl:
    """Runs kubectl in a folder of its own."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(folder), "EDITOR": "true"}

    def run(self, *words: str, manifest: Any = None) -> "subprocess.CompletedProcess[str]":
        """Runs a command; a manifest goes to its stdin."""
        return subprocess.run(
            [str(KUBECTL), *words],
            input=None if manifest is None else json.dumps(manifest),
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, command: str, manifest: Any = None) -> str:
        """What a command prints; it has to succeed."""
        done = self.run(*command.split(), manifest=manifest)
        assert done.returncode == 0, f"kubectl {command}: {done.stderr}"
        return done.stdout

    def fails(self, command: str, manifest: Any = None) -> str:
        """What a command says on stderr; it has to fail."""
        done = self.run(*command.split(), manifest=manifest)
        assert done.returncode != 0, f"kubectl {command}: {done.stdout}"
        return done.stderr

    def until(self, command: str, expected: str) -> None:
        """Repeats a command until it prints what is expected."""
        for _ in range(100):
            found = self(command)
            if found == expected:
                return
            time.sleep(0.05)
        raise AssertionError(f"kubectl {command}: found {found!r}, expected {expected!r}")


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    folder = tmp_path_factory.mktemp("kubectl")
    security = Security(folder / "keys", time.time_ns() // 1000)
    with MemoryStore() as store, Server(store, security=security) as server:
        write(security.admin_config(server.url), folder / "config")
        runner = Kubectl(folder, folder / "config")
        runner("create -f -", _NODE)
        runner("taint node n1 node.kubernetes.io/not-ready:NoSchedule-")
        yield runner


_ROOM = {"cpu": "8", "memory": "16Gi", "pods": "110"}
_NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "status": {"capacity": _ROOM, "allocatable": _ROOM, "conditions": [{"type": "Ready", "status": "True"}]},
}


def _deployment(**spec: Any) -> dict[str, Any]:
    labels = {"app": "applied"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "img:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "applied"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def test_creating_and_showing(kubectl: Kubectl) -> None:
    """``create``, ``run``, ``expose``, and the forms of ``get``."""
    kubectl("create deployment web --image=nginx --replicas=2")
    kubectl("expose deployment web --port=80")
    kubectl("run solo --image=nginx --labels=one=two")
    kubectl.until("get deploy web -o jsonpath={.status.replicas}", "2")
    table = kubectl("get deployments,services,pods -o wide")
    assert "deployment.apps/web   0/2     2            0" in table
    assert "service/web" in table
    assert table.count("pod/web-") == 2
    assert kubectl("get pods -l one=two -o custom-columns=N:.metadata.name --no-headers") == "solo\n"
    assert kubectl("get pods --field-selector metadata.name=solo -o name") == "pod/solo\n"
    assert "image: nginx" in kubectl("get pod solo -o yaml")
    assert "Replicas:" in kubectl("describe deployment web")
    assert "Node:" in kubectl("describe pod solo")
    for what in ("configmap c --from-literal=a=b", "secret generic s --from-literal=a=b", "quota q --hard=pods=99"):
        assert "created" in kubectl(f"create {what}")
    assert "created" in kubectl("create job j --image=i -- true")
    assert "pod/solo" in kubectl("get all -A")


def test_changing(kubectl: Kubectl) -> None:
    """``scale``, ``set``, ``label``, ``annotate``, ``patch``, ``edit``, ``rollout``."""
    kubectl("create deployment roll --image=nginx:1")
    assert kubectl("scale deployment roll --replicas=3") == "deployment.apps/roll scaled\n"
    assert kubectl("set image deployment/roll nginx=nginx:2") == "deployment.apps/roll image updated\n"
    kubectl.until(
        "get rs -l app=roll -o jsonpath={.items[*].spec.template.spec.containers[0].image}", "nginx:1 nginx:2"
    )
    assert "REVISION" in kubectl("rollout history deployment/roll")
    assert kubectl("rollout undo deployment/roll") == "deployment.apps/roll rolled back\n"
    for word, said in (("pause", "paused"), ("resume", "resumed"), ("restart", "restarted")):
        assert kubectl(f"rollout {word} deployment/roll") == f"deployment.apps/roll {said}\n"
    assert "labeled" in kubectl("label deployment roll a=b")
    assert "annotate" in kubectl("annotate deployment roll a=b")
    assert "patched" in kubectl('patch deployment roll -p {"spec":{"minReadySeconds":1}}')
    assert "Waiting for deployment" in kubectl.run("rollout", "status", "deploy/roll", "--timeout=1s").stdout


def test_applying(kubectl: Kubectl) -> None:
    """On the client's and the server's side, with a difference shown, and a conflict told."""
    assert "created" in kubectl("apply -f -", _deployment(replicas=1))
    assert "unchanged" in kubectl("apply -f -", _deployment(replicas=1))
    shown = kubectl.run("diff", "-f", "-", manifest=_deployment(replicas=2))
    assert (shown.returncode, "+  replicas: 2" in shown.stdout) == (1, True)
    assert "configured" in kubectl("apply -f -", _deployment(replicas=2))
    assert "serverside-applied" in kubectl("apply --server-side -f -", _deployment(replicas=2))
    kubectl("scale deployment applied --replicas=5")
    assert ".spec.replicas" in kubectl.fails("apply --server-side -f -", _deployment(replicas=2))
    assert "serverside-applied" in kubectl("apply --server-side --force-conflicts -f -", _deployment(replicas=2))
    assert kubectl("get deploy applied -o jsonpath={.spec.replicas}") == "2"
    assert "dry run" in kubectl("apply --dry-run=server -f -", _deployment(replicas=9))


def test_mistakes_are_told(kubectl: Kubectl) -> None:
    """Unknown fields, wrong values, what isn't there."""
    assert "replica" in kubectl.fails("apply -f -", _deployment(replica=1))
    assert "spec.replicas: Invalid value: -1" in kubectl.fails("create -f -", _deployment(replicas=-1))
    assert 'pods "nobody" not found' in kubectl.fails("get pod nobody")


def test_explaining(kubectl: Kubectl) -> None:
    """``explain`` and ``api-resources``."""
    assert "containers" in kubectl("explain pod.spec")
    assert "maxSurge" in kubectl("explain deployment.spec.strategy.rollingUpdate")
    assert "deployments" in kubectl("api-resources --api-group=apps")
    assert "apps/v1" in kubectl("api-versions")


def test_nodes(kubectl: Kubectl) -> None:
    """``taint``, ``cordon``, ``drain``, ``uncordon``."""
    kubectl("run leaving --image=i")
    kubectl.until("get pod leaving -o jsonpath={.spec.nodeName}", "n1")
    assert "cordoned" in kubectl("cordon n1")
    assert "Ready,SchedulingDisabled" in kubectl("get nodes")
    drained = kubectl.run("drain", "n1", "--force", "--timeout=1s")  # no kubelet ends the pods
    assert "evict" in drained.stdout + drained.stderr
    assert "uncordoned" in kubectl("uncordon n1")
    assert "tainted" in kubectl("taint node n1 a=b:NoSchedule")
    assert "untainted" in kubectl("taint node n1 a=b:NoSchedule-")


def test_rights(kubectl: Kubectl) -> None:
    """``auth can-i`` and ``whoami``, tokens, and a refusal."""
    kubectl("create serviceaccount robot")
    kubectl("create role reader --verb=get,list --resource=pods")
    kubectl("create rolebinding reader --role=reader --serviceaccount=default:robot")
    robot = "--as=system:serviceaccount:default:robot"
    assert kubectl("auth can-i delete nodes") == "yes\n"
    assert kubectl(f"auth can-i list pods {robot}") == "yes\n"
    assert kubectl.run("auth", "can-i", "list", "secrets", robot).stdout.startswith("no")
    assert "pods" in kubectl(f"auth can-i --list {robot}")
    assert 'cannot list resource "secrets"' in kubectl.fails(f"get secrets {robot}")


def test_custom_resources(kubectl: Kubectl) -> None:
    """Defined, waited for, used, explained, deleted."""
    spec = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "description": "How many."}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        "additionalPrinterColumns": [{"name": "Many", "type": "integer", "jsonPath": ".spec.n"}],
    }
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    kubectl("apply -f -", definition)
    kubectl("wait --for=condition=established crd/things.example.com --timeout=10s")
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 3}}
    assert kubectl("apply -f -", thing) == "thing.example.com/a created\n"
    assert kubectl("get th --no-headers").split() == ["a", "3"]
    assert "How many." in kubectl("explain thing.spec.n")
    assert "must be of type integer" in kubectl.fails("apply --validate=false -f -", {**thing, "spec": {"n": "x"}})
    assert kubectl("delete thing a") == 'thing.example.com "a" deleted\n'
    assert "deleted" in kubectl("delete crd things.example.com")


def test_deleting(kubectl: Kubectl) -> None:
    """``delete`` waits until it is gone."""
    kubectl("create configmap gone --from-literal=a=b")
    assert kubectl("delete configmap gone") == 'configmap "gone" deleted\n'
    kubectl("create namespace team")
    assert kubectl("delete namespace team") == 'namespace "team" deleted\n'
    assert kubectl("delete deployment --all").count("deleted") >= 1
