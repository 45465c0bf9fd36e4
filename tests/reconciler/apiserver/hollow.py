"""A cluster for tests of clients: a server with hollow nodes, whose kubelet reports and runs nothing."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from reconciler.apiserver.api import Api
from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.kubeconfig import write
from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.patching import MERGE_PATCH
from reconciler.apiserver.resources import Place
from reconciler.apiserver.server import Server
from reconciler.apiserver.status import ApiError
from state.store.base import Store
from state.times import format_micro_time, format_time

_ROOM = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
#: µs between two renewals of a node's Lease.
_RENEW = 10_000_000
_KUBELET = WriteOptions(manager="kubelet")
_INFO = {"kubeletVersion": "v1.34.0", "osImage": "Hollow", "architecture": "amd64", "operatingSystem": "linux"}


class HollowNodes:
    """Nodes named n1, n2, … whose pods are ready as soon as they are bound; pods of Jobs succeed instead."""

    def __init__(self, api: Api, count: int) -> None:
        self._api = api
        self._stopped = threading.Event()
        self._addresses = 0
        self._count = count
        resources = (api.registry.of_table(name) for name in ("Pod", "Node", "Lease"))
        self._pods, self._nodes, self._leases = (Place(each) for each in resources if each is not None)
        for number in range(1, count + 1):
            api.create(self._nodes, json.dumps(self._node(number)).encode(), _KUBELET)
            place = self._nodes._replace(name=f"n{number}")
            api.patch(place, b'{"spec":{"taints":null}}', MERGE_PATCH, _KUBELET)  # it is ready from the start
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def _now(self) -> str:
        return format_time(self._api.clock())

    def _node(self, number: int) -> dict[str, Any]:
        name = f"n{number}"
        times = {"lastHeartbeatTime": self._now(), "lastTransitionTime": self._now()}
        addresses = [{"type": "InternalIP", "address": f"192.0.2.{number}"}, {"type": "Hostname", "address": name}]
        return {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
            "status": {
                "capacity": _ROOM,
                "allocatable": _ROOM,
                "addresses": addresses,
                "nodeInfo": _INFO,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "KubeletReady",
                        "message": "kubelet is posting ready status",
                        **times,
                    }
                ],
            },
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        stream = self._api.watch(self._pods, ListOptions.read({}))
        renew_at = 0
        while not self._stopped.is_set():
            if self._api.clock() > renew_at:
                renew_at = self._api.clock() + _RENEW
                self._renew()
            for event in stream.read(0.1):
                if event.type in ("ADDED", "MODIFIED"):
                    self._look_at(json.loads(event.object))
        stream.close()

    def _renew(self) -> None:
        """Says that the nodes are alive."""
        for number in range(1, self._count + 1):
            name = f"n{number}"
            spec = {
                "holderIdentity": name,
                "leaseDurationSeconds": 40,
                "renewTime": format_micro_time(self._api.clock()),
            }
            body = json.dumps({"metadata": {"name": name}, "spec": spec}).encode()
            place = self._leases._replace(namespace="kube-node-lease", name=name)
            try:
                self._api.patch(place, body, MERGE_PATCH, _KUBELET)
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
                self._api.create(place._replace(name=""), body, _KUBELET)

    def _look_at(self, pod: dict[str, Any]) -> None:
        meta, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
        place = self._pods._replace(namespace=meta["namespace"], name=meta["name"])
        try:
            if not spec.get("nodeName"):
                return
            if "deletionTimestamp" in meta:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
                self._api.delete(place, DeleteOptions.read({}, options))
            elif status.get("phase") == "Pending":
                patch = {"metadata": {"uid": meta["uid"]}, "status": self._status(pod)}
                body = json.dumps(patch).encode()
                self._api.patch(place._replace(subresource="status"), body, MERGE_PATCH, _KUBELET)
        except ApiError as error:
            is_other_pod = error.reason == "Invalid" and "metadata.uid" in str(error)
            if error.reason not in ("NotFound", "Conflict") and not is_other_pod:  # somebody was quicker
                raise

    def _status(self, pod: dict[str, Any]) -> dict[str, Any]:
        now, spec = self._now(), pod["spec"]
        is_over = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", ()))
        self._addresses += 1
        address = f"10.88.{self._addresses // 250}.{self._addresses % 250 + 1}"
        ended = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
        ready = "False" if is_over else "True"
        truths = {"PodReadyToStartContainers": ready, "Initialized": "True", "Ready": ready, "ContainersReady": ready}
        conditions = [{"type": kind, "status": status, "lastTransitionTime": now} for kind, status in truths.items()]
        kept = [each for each in pod["status"].get("conditions", ()) if each["type"] not in truths]
        return {
            "phase": "Succeeded" if is_over else "Running",
            "conditions": [*conditions, *kept],
            "hostIP": f"192.0.2.{spec['nodeName'].removeprefix('n')}",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": f"sha256:{container['name']}",
                    "containerID": f"hollow://{pod['metadata']['uid']}/{container['name']}",
                    "ready": not is_over,
                    "started": not is_over,
                    "restartCount": 0,
                    "resources": container.get("resources", {}),
                    "state": {"terminated": ended} if is_over else {"running": {"startedAt": now}},
                }
                for container in spec["containers"]
            ],
        }


@contextmanager
def cluster(folder: Path, store: Store) -> Iterator[Path]:
    """A server over TLS with three nodes; gives the kubeconfig of its administrator, which is in the folder."""
    security = Security(folder / "keys", time.time_ns() // 1000)
    with Server(store, security=security) as server, HollowNodes(server.api, 3):
        write(security.admin_config(server.url), folder / "config")
        yield folder / "config"
