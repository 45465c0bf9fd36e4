"""Hollow nodes, as kubemark's: they say that they are there and that their pods run, and run nothing.

Each node has a watch of its own pods and renews its lease; writes of all of them go over a few connections.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
from api_client import STRATEGIC, Connection, Endpoint, Pool, request

_ROOM = {"cpu": "16", "memory": "64Gi", "pods": "110"}
_LEASE_SECONDS = 10.0
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#: What a kubelet says of a pod that runs.
_TRUE = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class HollowNodes:
    """So many nodes; ``start`` registers them."""

    def __init__(self, endpoint: Endpoint, count: int) -> None:
        self._endpoint = endpoint
        self._names = [f"hollow-{number:03}" for number in range(count)]
        self._pool: Pool
        self._watches: list[Connection] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last: dict[str, str] = {}
        #: The revision of each node's lease: leases are updated from what is known of them, or not at all.
        self._revisions: dict[str, str] = {}
        self._addresses = 0

    async def start(self, connections: int = 16) -> None:
        """Makes the nodes and their leases, and begins to watch their pods."""
        self._pool = Pool(await self._endpoint.connections(connections))
        await asyncio.gather(*map(self._register, self._names))
        self._watches = await self._endpoint.connections(len(self._names))
        for connection, name in zip(self._watches, self._names, strict=True):
            await connection.watch(f"/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{name}", self._on_events)
        self._spawn(self._keep_alive())

    async def _register(self, name: str) -> None:
        times = {"lastHeartbeatTime": _now(), "lastTransitionTime": _now()}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "hollow", **times}
        node = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"capacity": _ROOM, "allocatable": _ROOM, "conditions": [ready]},
        }
        await self._pool.send(request("POST", "/api/v1/nodes", node), (201,))
        # a node begins tainted until it is known to be ready
        patch = {"spec": {"taints": None}}
        await self._pool.send(request("PATCH", f"/api/v1/nodes/{name}", patch, STRATEGIC))
        await self._renew("POST", _LEASES, name, (201,))

    async def _renew(self, method: str, path: str, name: str, allowed: tuple[int, ...] = (200,)) -> None:
        answer = await self._pool.send(request(method, path, self._lease(name)), allowed)
        self._revisions[name] = orjson.loads(answer)["metadata"]["resourceVersion"]

    def _lease(self, name: str) -> dict[str, Any]:
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed}
        meta = {"name": name, "namespace": "kube-node-lease", "resourceVersion": self._revisions.get(name, "")}
        return {"metadata": meta, "spec": spec}

    async def _keep_alive(self) -> None:
        while True:
            for name in self._names:
                await asyncio.sleep(_LEASE_SECONDS / len(self._names))
                await self._renew("PUT", f"{_LEASES}/{name}", name)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    def _on_events(self, lines: list[bytes]) -> None:
        for line in lines:
            event = orjson.loads(line)
            pod = event["object"]
            meta, status = pod["metadata"], pod.get("status", {})
            uid = meta["uid"]
            if event["type"] == "DELETED":
                self._last.pop(uid, None)
                continue
            wanted = "gone" if "deletionTimestamp" in meta else "running"
            if self._last.get(uid) == wanted or (wanted == "running" and status.get("phase") != "Pending"):
                continue
            self._last[uid] = wanted
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
            if wanted == "gone":
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                raw = request("DELETE", path, options)
            else:
                patch = {"metadata": {"uid": uid}, "status": self._running(pod)}
                raw = request("PATCH", f"{path}/status", patch, STRATEGIC)
            self._spawn(self._pool.send(raw, (200, 404, 409)))

    def _running(self, pod: dict[str, Any]) -> dict[str, Any]:
        now, number = _now(), self._addresses
        self._addresses += 1
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        containers = [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": "hollow://image",
                "containerID": f"hollow://{pod['metadata']['uid']}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for each in pod["spec"]["containers"]
        ]
        return {
            "phase": "Running",
            "conditions": [{"type": each, "status": "True", "lastTransitionTime": now} for each in _TRUE],
            "hostIP": "192.0.2.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "containerStatuses": containers,
        }

    def stop(self) -> None:
        """Ends all that goes on."""
        for task in self._tasks:
            task.cancel()
        for connection in self._watches:
            connection.abort()
