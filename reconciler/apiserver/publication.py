"""The Service ``default/kubernetes``, which says where the API is; kept by the server itself, as by kube-apiserver."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address, ip_network
from typing import Any

import structlog

from reconciler.apiserver import wire
from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import MANAGER, make_missing
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from state.objects import AnyObject

log = structlog.get_logger("reconciler")

_NAMESPACE, _NAME = "default", "kubernetes"
_KINDS = ("Service", "Endpoints", "EndpointSlice")
#: Seconds after which a Service that was deleted is there again.
_AGAIN = 10.0


class Publication:
    """Says where a server is.

    The endpoint is written though it may be a loopback address, which nobody else is allowed to: a server that only its
    own machine can reach is reached there. Of several servers on one store the one that started last is named.

    Args:
        address: where the server listens; one that stands for all of the machine's is replaced by one of them.
        cidr: where cluster IPs come from; the first is the Service's.
    """

    def __init__(self, api: Api, address: str, port: int, cidr: str) -> None:
        self._api, self._address, self._port, self._cidr = api, _reachable(address), port, cidr
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="publication", daemon=True)

    def start(self) -> None:
        """Makes the Service, and from a thread of its own again if somebody deletes it."""
        self.publish()
        self._thread.start()

    def stop(self) -> None:
        """Looks after it no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        while not self._stopped.wait(_AGAIN):
            try:
                if not all(map(self._exists, _KINDS)):
                    self.publish()
            except ApiError as error:
                log.warning("the API's own Service can't be looked at", cause=error.message)

    def _exists(self, kind: str) -> bool:
        resource = self._api.registry.of_table(kind)
        assert resource is not None
        return self._api.storage.entry(resource, _NAMESPACE, _NAME) is not None

    def publish(self) -> None:
        """Makes what is missing, and names this server.

        Raises:
            ApiError: the store takes nothing.
        """
        ports = [{"name": "https", "port": self._port, "protocol": "TCP"}]
        try:
            make_missing(self._api, self._manifests())
        except ApiError as error:
            if error.reason != "Invalid":
                raise
            log.warning("the API has no Service", cause=error.message)  # an older cluster gave its address away
            return
        endpoint = {"addresses": [self._address], "conditions": {"ready": True}}
        self._tell("Endpoints", {"subsets": [{"addresses": [{"ip": self._address}], "ports": ports}]})
        self._tell("EndpointSlice", {"endpoints": [endpoint], "ports": ports})

    def _manifests(self) -> list[dict[str, Any]]:
        def meta(**labels: str) -> dict[str, Any]:
            return {"name": _NAME, "namespace": _NAMESPACE, "labels": labels}

        port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": self._port}
        return [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta(component="apiserver", provider="kubernetes"),
                "spec": {"clusterIP": str(ip_network(self._cidr)[1]), "ports": [port]},
            },
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": meta(**{"endpointslice.kubernetes.io/skip-mirror": "true"}),
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": meta(**{"kubernetes.io/service-name": _NAME}),
                "addressType": f"IPv{ip_address(self._address).version}",
                "endpoints": [],
            },
        ]

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        resource = self._api.registry.of_table(kind)
        assert resource is not None

        def edit(live: AnyObject) -> AnyObject:
            return self._api.storage.read(resource, {**wire.document(live), **fields})

        self._api.writer.change(Place(resource, _NAMESPACE, _NAME), edit, MANAGER)


def _reachable(address: str) -> str:
    """The address itself; for one that stands for all of this machine's, the one that others reach it at."""
    if not ip_address(address).is_unspecified:
        return address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))  # sends nothing
        except OSError:  # there is no network
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        found: str = probe.getsockname()[0]
        return found
