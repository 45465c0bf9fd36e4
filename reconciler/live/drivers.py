"""The drivers of a live loop and what works with them: node agent, proxy and provisioner."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

from reconciler.drivers.network.base import NetworkDriver, NetworkError
from reconciler.drivers.network.userspace import UserspaceNetwork
from reconciler.drivers.runtime.base import RuntimeDriver, RuntimeDriverError
from reconciler.drivers.runtime.clock import WallClock
from reconciler.drivers.runtime.process import DEFAULT_PATH, ProcessRuntime
from reconciler.drivers.storage.base import StorageDriver, StorageError
from reconciler.drivers.storage.directory import DirectoryStorage
from reconciler.kubelet import Kubelet, ThreadedWorkers
from reconciler.live.directory import OwnedDirectory
from reconciler.provisioner import Provisioner
from reconciler.proxy import Proxy
from reconciler.volumes import DirectoryHost

#: How often the drivers are asked what happened, in seconds.
TICK = 0.1
#: What a driver may raise when it can't do something. Anything else is a fault of this program.
DRIVER_ERRORS = (RuntimeDriverError, NetworkError, StorageError, OSError)


class Drivers:
    """Everything that acts on this machine, on one state directory.

    The node agent serves the pods of ``node``, where several machines share the cluster. Without one it serves those of
    every node: whatever Node objects there are, this machine is all of them.
    """

    def __init__(self, directory: OwnedDirectory, node: str = "") -> None:
        is_shared = bool(node)
        with ExitStack() as undo:
            self.runtime: RuntimeDriver = ProcessRuntime(directory.runtime, path=os.environ.get("PATH") or DEFAULT_PATH)
            undo.callback(self.runtime.close)
            self.network: NetworkDriver = UserspaceNetwork(
                directory.network, pod_cidr=directory.block.pod_cidr, shares_ports=is_shared
            )
            undo.callback(self.network.close)
            self.storage: StorageDriver = DirectoryStorage(directory.storage, node_local=is_shared)
            undo.callback(self.storage.close)
            #: Ends the node agent's wait, whoever rings it.
            self.bell = threading.Event()
            self.kubelet = Kubelet(
                node,
                runtime=self.runtime,
                network=self.network,
                storage=self.storage,
                volumes=DirectoryHost(directory.volumes),
                workers=ThreadedWorkers(self.runtime, WallClock(), bell=self.bell),
                log_root=str(directory.logs),
            )
            undo.callback(self.kubelet.close)
            self.proxy = Proxy(self.network, node)
            #: Whatever cloud's class a claim names, its volume is a directory here.
            self.provisioner = Provisioner(self.storage, stand_in=True, node=node)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Gives up what the process holds: services are not served any more; pods and data stay as they are."""
        self._undo.close()
