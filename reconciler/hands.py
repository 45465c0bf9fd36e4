"""A ``Reconciler``'s hands: node agent, proxy and provisioner made of whichever drivers it was given."""

from __future__ import annotations

from pathlib import Path

from reconciler.drivers.network.base import NetworkDriver
from reconciler.drivers.runtime.base import RuntimeDriver
from reconciler.drivers.runtime.clock import Clock, VirtualClock, WallClock
from reconciler.drivers.storage.base import StorageDriver
from reconciler.executor import Executor, Report
from reconciler.kubelet import Kubelet, SimulatedWorkers, ThreadedWorkers
from reconciler.provisioner import Provisioner
from reconciler.proxy import Proxy
from reconciler.usage import UsageReporter
from reconciler.volumes import DirectoryHost, VirtualHost
from state.workspace import Workspace


class Hands:
    """Carries out the state of a workspace on drivers; what there is no driver for is left to others.

    Args:
        runtime, network, storage: the drivers; they stay the caller's to close.
        clock: what time it is; a ``VirtualClock`` also has probes and hooks answered at once.
        directory: where emptyDir, configMap, secret and log files are kept; None for a runtime that has none.
    """

    def __init__(
        self,
        *,
        runtime: RuntimeDriver | None,
        network: NetworkDriver | None,
        storage: StorageDriver | None,
        clock: Clock | None = None,
        directory: Path | None = None,
    ) -> None:
        self.clock: Clock = clock or WallClock()
        self._kubelet: Kubelet | None = None
        virtual = isinstance(self.clock, VirtualClock)
        # in virtual time, looking at usage again and again would keep a loop from ever being settled
        self._usage = None if runtime is None or virtual else UsageReporter(runtime)
        if runtime is not None:
            self._kubelet = Kubelet(
                "",
                runtime=runtime,
                network=network,
                storage=storage,
                volumes=VirtualHost() if directory is None else DirectoryHost(directory / "volumes"),
                workers=(SimulatedWorkers if virtual else ThreadedWorkers)(runtime, self.clock),
                log_root="" if directory is None else str(directory / "logs"),
            )
        self._provisioner = None if storage is None else Provisioner(storage, stand_in=True)
        self._proxy = None if network is None else Proxy(network)
        self._ws: Workspace | None = None
        self._executor: Executor | None = None

    def sync(self, ws: Workspace, now: int) -> Report:
        """Carries out what is due at ``now`` (µs since the epoch) and writes observations into the workspace."""
        if self._executor is None or ws is not self._ws:
            self._ws = ws
            self._executor = Executor(
                ws, kubelet=self._kubelet, provisioner=self._provisioner, proxy=self._proxy, usage=self._usage
            )
        return self._executor.sync(now)

    def next_due(self) -> int | None:
        """When there is something to do though nothing changes (µs since the epoch), if known."""
        return None if self._executor is None else self._executor.next_due()

    def wait(self, seconds: float) -> None:
        """Waits until a probe, hook or pull has ended, at most so long."""
        if self._kubelet is not None:
            self._kubelet.wait(seconds)

    def close(self) -> None:
        """Stops what runs beside the loop. Pods go on."""
        if self._kubelet is not None:
            self._kubelet.close()
