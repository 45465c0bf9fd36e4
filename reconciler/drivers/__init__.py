"""The hands: drivers that start processes, make addresses reachable and keep data, and their simulated twins.

Three kinds, each a protocol in its ``base`` module with a public ``conformance`` suite beside it: ``runtime`` (follows
CRI), ``network`` (what kube-proxy and a CNI plugin do) and ``storage`` (follows CSI). ``registry`` finds them by name.
Nothing in here knows of rules, plans or the loop.
"""

from __future__ import annotations

from reconciler.drivers.registry import (
    NETWORK,
    RUNTIME,
    STORAGE,
    DriverNotFoundError,
    DriverRegistry,
)

__all__ = ["NETWORK", "RUNTIME", "STORAGE", "DriverNotFoundError", "DriverRegistry"]
