"""The kubelet with real processes, files and sockets; also killed and started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from kubelet_node import make, make_pod

from reconciler.drivers.network.userspace import UserspaceNetwork
from reconciler.drivers.runtime import _procfs
from reconciler.drivers.runtime.clock import VirtualClock, WallClock
from reconciler.drivers.runtime.process import ProcessRuntime
from reconciler.drivers.runtime.simulated import SimulatedRuntime
from reconciler.drivers.storage.base import VolumeRequest
from reconciler.drivers.storage.directory import DirectoryStorage
from reconciler.kubelet import Kubelet, ThreadedWorkers
from reconciler.volumes import DirectoryHost
from state.objects import encode_hook, replace
from state.times import format_time

pytestmark = pytest.mark.skipif(not _procfs.supported(), reason="the process runtime needs Linux with /proc")


class RealNode:
    def __init__(self, root, pod_cidr="127.20.0.0/16"):
        self.root = root
        self.pod_cidr = pod_cidr
        self.tables = {}
        self.events = []
        self.open()

    def open(self):
        self.runtime = ProcessRuntime(self.root / "runtime", path=os.environ["PATH"])
        self.network = UserspaceNetwork(self.root / "network", pod_cidr=self.pod_cidr)
        self.storage = DirectoryStorage(self.root / "storage")
        self.kubelet = Kubelet(
            "n1",
            runtime=self.runtime,
            network=self.network,
            storage=self.storage,
            volumes=DirectoryHost(self.root / "volumes"),
            workers=ThreadedWorkers(self.runtime, WallClock(), threads=4),
            log_root=str(self.root / "logs"),
        )

    def close(self):
        self.kubelet.close()
        for driver in (self.runtime, self.network, self.storage):
            driver.close()

    def put(self, *objects):
        for obj in objects:
            self.tables.setdefault(obj.kind, {})[obj.metadata.namespace, obj.metadata.name] = obj

    def pod(self, name="web"):
        return self.tables["Pod"].get(("default", name))

    def sync(self):
        pods = list(self.tables.get("Pod", {}).values())
        result = self.kubelet.sync(pods, lambda kind: self.tables.get(kind, {}), time.time_ns() // 1000)
        self.events += [(event.reason, event.message) for event in result.events]
        for update in result.updates.values():
            pod = self.pod(update.pod.metadata.name)
            if update.finished:
                del self.tables["Pod"]["default", pod.metadata.name]
            elif pod is not None:
                self.put(replace(pod, status=update.status))

    def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"it did not happen within a minute: {self.tables.get('Pod')} {self.events}"
            self.sync()
            self.kubelet.wait(0.02)

    def is_ready(self, name="web"):
        pod = self.pod(name)
        return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)

    def delete(self, name="web", grace=2):
        pod = self.pod(name)
        now = time.time_ns() // 1000
        meta = replace(pod.metadata, deletion_timestamp=format_time(now), deletion_grace_period_seconds=grace)
        self.put(replace(pod, metadata=meta))

    def output(self, name="web", container="c"):
        status = next(
            s
            for s in (*self.pod(name).status.init_container_statuses, *self.pod(name).status.container_statuses)
            if s.name == container
        )
        instance = (status.container_id or "").removeprefix("process://")
        return [line.text.decode() for line in self.runtime.logs(instance)]


@pytest.fixture
def node(tmp_path):
    made = RealNode(tmp_path)
    yield made
    for sandbox in made.runtime.list_pod_sandboxes():
        made.runtime.remove_pod_sandbox(sandbox.id)
    made.close()


def shell(script, name="c", **container):
    return {"name": name, "image": "shell", "command": ["sh", "-c", script], **container}


def test_a_server_becomes_ready_serves_and_goes(node):
    node.put(make("ConfigMap", "page", data={"index.html": "hello"}))
    server = {
        "name": "c",
        "image": "python",
        "command": ["python3", "-m", "http.server", "--bind", "$(IP)", "--directory", "/site", "8080"],
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "livenessProbe": {"tcpSocket": {"port": "http"}, "initialDelaySeconds": 5},
        "volumeMounts": [{"name": "site", "mountPath": "/site"}],
    }
    node.put(make_pod(containers=[server], volumes=[{"name": "site", "configMap": {"name": "page"}}]))
    node.until(node.is_ready)
    status = node.pod().status
    assert status.pod_ip.startswith("127.20.")
    answer = subprocess.run(
        [sys.executable, "-c", f"import urllib.request as r; print(r.urlopen('http://{status.pod_ip}:8080').read())"],
        capture_output=True,
        check=True,
    )
    assert answer.stdout == b"b'hello'\n"
    node.put(make("ConfigMap", "page", data={"index.html": "changed"}))
    node.sync()
    assert (node.root / "volumes" / "uid-web" / "site" / "index.html").read_text() == "changed"
    node.delete()
    node.until(lambda: node.pod() is None)
    assert node.runtime.list_containers() == ()
    assert list((node.root / "volumes").iterdir()) == []
    assert node.network.observe().pods == ()


def test_init_containers_fill_a_volume_that_survives_restarts(node):
    mounts = [{"name": "work", "mountPath": "/shared"}]
    node.put(
        make_pod(
            initContainers=[shell("echo seed > /shared/log", "i", volumeMounts=mounts)],
            containers=[shell("echo run >> /shared/log; cat /shared/log; exec sleep 1000", volumeMounts=mounts)],
            volumes=[{"name": "work", "emptyDir": {}}],
        )
    )
    node.until(lambda: node.is_ready() and len(node.output()) == 2)
    assert node.output() == ["seed", "run"]
    os.kill(node.runtime.list_containers()[-1].pid, signal.SIGKILL)
    node.until(lambda: node.pod().status.container_statuses[0].restart_count == 1 and len(node.output()) == 3)
    assert node.output() == ["seed", "run", "run"]
    last = node.pod().status.container_statuses[0].last_state.terminated
    assert (last.exit_code, last.reason) == (137, "Error")


def test_a_job_like_pod_succeeds_and_its_message_is_kept(node):
    node.put(make_pod(containers=[shell("echo done > /dev/termination-log")], restartPolicy="Never"))
    node.until(lambda: node.pod().status.phase == "Succeeded")
    assert node.pod().status.container_statuses[0].state.terminated.message == "done\n"


def test_hooks_and_exec_probes_run_in_the_container(node):
    lifecycle = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo post >> /shared/hooks"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo pre >> /shared/hooks"]}},
    }
    probe = {"exec": {"command": ["grep", "-q", "post", "/shared/hooks"]}, "periodSeconds": 1}
    container = shell(
        "exec sleep 1000",
        lifecycle=lifecycle,
        readinessProbe=probe,
        volumeMounts=[{"name": "work", "mountPath": "/shared"}],
    )
    keep = node.root / "keep"
    volumes = [{"name": "work", "hostPath": {"path": str(keep), "type": "DirectoryOrCreate"}}]
    node.put(make_pod(containers=[container], volumes=volumes))
    node.until(node.is_ready)
    node.delete()
    node.until(lambda: node.pod() is None)
    assert (keep / "hooks").read_text() == "post\npre\n"


def test_a_claims_data_survives_the_pod(node):
    volume = node.storage.create_volume(VolumeRequest("pvc-1", 1 << 20))
    csi = {"driver": node.storage.name, "volumeHandle": volume.handle}
    node.put(
        make("PersistentVolume", "pv", "", spec={"csi": csi}),
        make("PersistentVolumeClaim", "data", spec={"volumeName": "pv"}, status={"phase": "Bound"}),
    )
    for number in (1, 2):
        mounts = [{"name": "v", "mountPath": "/data"}]
        name = f"p{number}"
        node.put(
            make_pod(
                name,
                containers=[shell("echo x >> /data/f; cat /data/f; exec sleep 1000", volumeMounts=mounts)],
                volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
            )
        )
        node.until(lambda: node.is_ready(name) and node.output(name) == ["x"] * number)  # noqa: B023  # used in its turn
        node.delete(name)
        node.until(lambda: node.pod(name) is None)  # noqa: B023
    assert node.storage.list_volumes()[0].publications == ()
    assert node.storage.list_volumes()[0].attachments == ()


AGENT = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import msgspec
from test_kubelet_processes import RealNode
from state.objects import Pod, decode_hook
root = Path(sys.argv[1])
node = RealNode(root)
for pod in msgspec.json.decode((root / "pods.json").read_bytes(), type=list[Pod], dec_hook=decode_hook):
    node.put(pod)
print("up", flush=True)
while True:
    node.sync()
    node.kubelet.wait(0.01)
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_kill_9_of_the_agent_loses_and_doubles_nothing(node, tmp_path, delay):
    """At any moment, though it was starting ten pods: each runs exactly once, and the next agent starts the rest."""
    node.close()
    pods = [
        make_pod(
            f"p{number}",
            initContainers=[shell(f"echo i >> {tmp_path}/runs-{number}", "i")],
            containers=[shell(f"echo c >> {tmp_path}/runs-{number}; exec sleep 1000")],
        )
        for number in range(10)
    ]
    (tmp_path / "pods.json").write_bytes(msgspec.json.encode(pods, enc_hook=encode_hook))
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[2]), str(here.parents[3])]
    agent = subprocess.Popen([sys.executable, "-c", AGENT, str(tmp_path), *paths], stdout=subprocess.PIPE)
    assert agent.stdout.readline() == b"up\n"
    time.sleep(delay)
    agent.kill()
    agent.wait()
    agent.stdout.close()
    node.open()
    node.put(*pods)
    node.until(lambda: all(node.is_ready(f"p{number}") for number in range(10)))
    node.until(lambda: all(len((tmp_path / f"runs-{number}").read_text()) == 4 for number in range(10)))
    assert [(tmp_path / f"runs-{number}").read_text() for number in range(10)] == ["i\nc\n"] * 10
    assert len({pod.status.pod_ip for pod in node.tables["Pod"].values()}) == 10
    node.tables["Pod"].clear()
    node.until(lambda: node.kubelet.pods == [])
    assert node.runtime.list_containers() == ()


def test_a_wait_ends_when_somebody_rings_and_the_next_one_waits_again():
    """Also if it was rung before the wait; nothing is missed, and nothing is heard twice."""
    bell = threading.Event()
    workers = ThreadedWorkers(SimulatedRuntime(VirtualClock(0)), WallClock(), threads=1, bell=bell)
    bell.set()
    assert workers.finished() == []
    workers.wait(60)
    assert not bell.is_set()
    workers.close()
