"""The node agent: decisions are in ``rules.kubelet``, the means in the drivers; this is what connects them."""

from __future__ import annotations

from reconciler.kubelet.agent import Kubelet, KubeletError, PodUpdate, SyncResult
from reconciler.kubelet.workers import SimulatedWorkers, ThreadedWorkers, Workers

__all__ = ["Kubelet", "KubeletError", "PodUpdate", "SimulatedWorkers", "SyncResult", "ThreadedWorkers", "Workers"]
