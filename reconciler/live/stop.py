"""The end of a cluster on this machine: services are closed, pods end gracefully, their volumes are unmounted.

Everything but the pods stays in the state directory, the data of claims too: a later ``up`` makes new pods of it.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from reconciler.drivers.network.base import NetworkError
from reconciler.drivers.runtime.base import RuntimeDriverError
from reconciler.live.drivers import Drivers
from reconciler.live.loop import TICK
from state.objects import Pod, replace
from state.snapshot import Key
from state.times import format_time
from state.workspace import Workspace

log = structlog.get_logger("reconciler")

_SECOND = 1_000_000
_DEFAULT_GRACE_SECONDS = 30
_FINISHED = ("Succeeded", "Failed")


class Stop:
    """Ends everything that runs. ``tell`` is told each thing that was done."""

    def __init__(self, ws: Workspace, drivers: Drivers, tell: Callable[[str], None]) -> None:
        self._ws = ws
        self._drivers = drivers
        self._tell = tell

    def begin(self, now: int) -> None:
        """Marks every pod that hasn't finished as being deleted. To be saved before ``carry_out``: should it not come
        to an end, the next ``up`` goes on with it.
        """
        for pod in self._ws.objects(Pod):
            if pod.status.phase in _FINISHED or pod.metadata.deletion_timestamp is not None:
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

        As soon as ``forced`` says so, what still runs is killed.
        """
        self._close_services()
        waiting = {pod.metadata.uid: pod for pod in self._ws.objects(Pod) if pod.metadata.deletion_timestamp is not None}
        killed = False
        while waiting:
            if forced() and not killed:
                killed = True
                self._kill()
            result = self._drivers.kubelet.sync(tuple(self._ws.objects(Pod)), self._ws.table, clock())
            on_node = {pod.metadata.uid for pod in self._drivers.kubelet.pods}
            for uid, pod in sorted(waiting.items(), key=lambda item: Key.of(item[1])):
                update = result.updates.get(uid)
                if uid not in on_node or (update is not None and update.finished):
                    self._tell(f"{Key.of(pod)} stopped")
                    self._ws.remove(Key.of(pod))
                    del waiting[uid]
            if waiting:
                self._drivers.kubelet.wait(TICK)

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
