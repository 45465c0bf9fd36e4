"""The end of a cluster on this machine: services are closed, pods end gracefully, their volumes are unmounted.

Everything but the pods stays in the state directory, the data of claims too: a later ``up`` makes new pods of it.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from reconciler.drivers.network.base import NetworkError
from reconciler.drivers.runtime.base import RuntimeDriverError
from reconciler.executor import bound_pods
from reconciler.live.drivers import TICK, Drivers
from reconciler.live.heartbeat import shut_down
from state.objects import Node, Pod, replace
from state.snapshot import Key
from state.times import format_time
from state.workspace import Workspace

log = structlog.get_logger("reconciler")

_SECOND = 1_000_000
_DEFAULT_GRACE_SECONDS = 30
_FINISHED = ("Succeeded", "Failed")


class Stop:
    """Ends everything that runs, on a node alone if one is given. ``tell`` is told each thing that was done."""

    def __init__(self, ws: Workspace, drivers: Drivers, tell: Callable[[str], None], node: str = "") -> None:
        self._ws, self._node = ws, node
        self._drivers = drivers
        self._tell = tell

    def begin(self, now: int) -> None:
        """Marks every pod that hasn't finished as being deleted. To be saved before ``carry_out``: should that not come
        to an end, the next ``up`` goes on with it. A node that isn't the whole cluster takes no more pods from now on.
        """
        node = self._ws.find(Node, "", self._node) if self._node else None
        if node is not None:
            self._ws.put(shut_down(node, now))
        for pod in self._ws.objects(Pod):
            if pod.status.phase in _FINISHED or pod.metadata.deletion_timestamp is not None:
                continue
            if self._node not in ("", pod.spec.node_name):
                continue
            if not pod.spec.node_name:
                self._ws.remove(Key.of(pod))
                continue
            grace = pod.spec.termination_grace_period_seconds
            grace = _DEFAULT_GRACE_SECONDS if grace is None else grace
            ending = replace(
                pod.metadata,
                deletion_timestamp=format_time(now + grace * _SECOND),
                deletion_grace_period_seconds=grace,
            )
            self._ws.put(replace(pod, metadata=ending))

    def carry_out(self, clock: Callable[[], int], forced: Callable[[], bool]) -> None:
        """Closes the services, then ends the pods, and takes them out of the workspace; returns when nothing runs.

        As soon as ``forced`` says so, what still runs is killed; what can't be cleaned up then is left to the next
        ``up``.
        """
        self._close_services()
        killed = False
        while True:
            if forced() and not killed:
                killed = True
                self._kill()
            pods = bound_pods(self._ws, self._node)
            result = self._drivers.kubelet.sync(pods, self._ws.table, clock())
            ending = [pod for pod in pods if pod.metadata.deletion_timestamp is not None]
            for pod in ending:
                update = result.updates.get(pod.metadata.uid)
                if (update is not None and update.finished) or not self._sandboxes(pod.metadata.uid):
                    self._tell(f"{Key.of(pod)} stopped")
                    self._ws.remove(Key.of(pod))
            left = [pod for pod in self._drivers.kubelet.pods if not self._stays(pod)]
            if not left or (killed and not any(map(self._runs, left))):
                return
            self._drivers.kubelet.wait(TICK)

    def _stays(self, pod: Pod) -> bool:
        """A pod that has finished and isn't deleted is kept, with its logs."""
        current = self._ws.get(Key.of(pod))
        return current is not None and current.metadata.deletion_timestamp is None

    def _sandboxes(self, uid: str) -> bool:
        return bool(self._drivers.runtime.list_pod_sandboxes(uid))

    def _runs(self, pod: Pod) -> bool:
        return any(c.state != "EXITED" for c in self._drivers.runtime.list_containers(pod.metadata.uid))

    def _close_services(self) -> None:
        network = self._drivers.network
        for status in network.observe().services:
            key = status.config.key
            try:
                network.remove_service(key)
            except NetworkError as error:
                log.error("a service can't be closed", object=f"service/{key}", cause=str(error))
                continue
            self._tell(f"service/{key} closed")

    def _kill(self) -> None:
        runtime = self._drivers.runtime
        for sandbox in runtime.list_pod_sandboxes():
            try:
                runtime.stop_pod_sandbox(sandbox.id)
            except RuntimeDriverError as error:
                pod = f"pod/{sandbox.config.namespace}/{sandbox.config.name}"
                log.error("a pod can't be killed", object=pod, cause=str(error))
