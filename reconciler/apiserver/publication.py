"""The Service ``default/kubernetes``, which says where the API is; the servers keep it themselves, as kube-apiserver.

Its endpoints are all servers on the store that live. Those with one port are in one EndpointSlice, which has the
Service's own name as long as they all have the same.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from itertools import groupby
from typing import Any

import structlog

from reconciler.apiserver import wire
from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import make_missing
from reconciler.apiserver.furniture import furnish
from reconciler.apiserver.living import RENEWAL, Endpoint, Living
from reconciler.apiserver.options import DeleteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.writer import MANAGER
from state.errors import StateError
from state.objects import AnyObject

log = structlog.get_logger("reconciler")

Json = dict[str, Any]
_NAMESPACE, _NAME = "default", "kubernetes"
_OF_SERVICE = "kubernetes.io/service-name"


class Publication:
    """Says where the servers on a store are, this one among them.

    Endpoints are written though they may be loopback addresses, which nobody else is allowed to: a server that only its
    own machine can reach is reached there.

    Args:
        address: where the server listens; one that stands for all of the machine's is replaced by one of them.
        cidrs: where cluster IPs come from; the first one of the first is the Service's.
    """

    def __init__(self, api: Api, address: str, port: int, cidrs: Sequence[str]) -> None:
        self._api, self._cidrs = api, cidrs
        self._own = Endpoint(port, _reachable(address))
        self._living = Living(api.storage.store, self._own)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="publication", daemon=True)

    def start(self) -> None:
        """Publishes this server, and from a thread of its own again and again: what was deleted or changed, and which
        servers live.
        """
        self.publish()
        self._thread.start()

    def stop(self) -> None:
        """Takes this server out, and looks after the others no more."""
        self._stopped.set()
        if not self._thread.is_alive():
            return
        self._thread.join()
        try:
            others = self._living.leave(time.monotonic())
            if others:  # the last one stays: where it was, the next one may be
                self._publish(others)
        except (ApiError, StateError) as error:
            log.warning("the API's own Service still names this server", cause=str(error))

    def _keep(self) -> None:
        self._try(lambda: furnish(self._api, self._cidrs))
        while not self._stopped.wait(RENEWAL):
            self._try(self.publish)
            self._try(lambda: furnish(self._api, self._cidrs))

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (ApiError, StateError) as error:
            log.warning("the API's own objects can't be looked after now", cause=str(error))

    def publish(self) -> None:
        """Says that this server lives; makes what is missing, and names all that live.

        Raises:
            ApiError, StoreError: the store takes nothing.
        """
        self._publish(self._living.renew(time.monotonic()))

    def _publish(self, living: list[Endpoint]) -> None:
        slices = _slices(living)
        try:
            make_missing(self._api, self._manifests(slices))
        except ApiError as error:
            if error.reason != "Invalid":
                raise
            log.warning("the API has no Service", cause=error.message)  # an older cluster gave its address away
            return
        subsets = [
            {"addresses": [{"ip": each} for each in addresses], "ports": _ports(port)}
            for port, addresses in _by_port(living)
        ]
        self._tell("Endpoints", _NAME, {"subsets": subsets})
        for name, fields in slices.items():
            self._tell("EndpointSlice", name, fields)
        self._delete_others(slices)

    def _manifests(self, slices: dict[str, Json]) -> list[Json]:
        def meta(name: str, **labels: str) -> Json:
            return {"name": name, "namespace": _NAMESPACE, "labels": labels}

        port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": self._own.port}
        return [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta(_NAME, component="apiserver", provider="kubernetes"),
                "spec": {"clusterIP": str(ip_network(self._cidrs[0])[1]), "ports": [port]},
            },
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": meta(_NAME, **{"endpointslice.kubernetes.io/skip-mirror": "true"}),
            },
            *(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": meta(name, **{_OF_SERVICE: _NAME}),
                    "addressType": fields["addressType"],
                    "endpoints": [],
                }
                for name, fields in slices.items()
            ),
        ]

    def _tell(self, kind: str, name: str, fields: Json) -> None:
        resource = self._api.registry.of_table(kind)
        assert resource is not None

        def edit(live: AnyObject) -> AnyObject:
            return self._api.storage.read(resource, {**wire.document(live), **fields})

        self._api.writer.change(Place(resource, _NAMESPACE, name), edit, MANAGER)

    def _delete_others(self, slices: dict[str, Json]) -> None:
        """Deletes the slices of the Service that nobody needs any more."""
        resource = self._api.registry.of_table("EndpointSlice")
        assert resource is not None
        storage = self._api.storage
        for entry in storage.store.list(resource.key(_NAMESPACE, _NAME)).entries:  # those whose names begin so
            meta = storage.object_of(resource, entry).metadata
            if (meta.labels or {}).get(_OF_SERVICE) != _NAME or meta.name in slices:
                continue
            try:
                self._api.delete(Place(resource, _NAMESPACE, meta.name), DeleteOptions())
            except ApiError as error:
                if error.reason != "NotFound":  # another server was faster
                    raise


def _by_port(living: list[Endpoint]) -> list[tuple[int, list[str]]]:
    """The addresses of servers by port, both sorted."""
    return [(port, [each.address for each in group]) for port, group in groupby(living, lambda each: each.port)]


def _ports(port: int) -> list[Json]:
    return [{"name": "https", "port": port, "protocol": "TCP"}]


def _slices(living: list[Endpoint]) -> dict[str, Json]:
    """The EndpointSlices of servers, by name: a slice has addresses of one family and one port."""
    found: dict[str, Json] = {}
    for port, addresses in _by_port(living):
        for version, group in groupby(sorted(addresses, key=_version), _version):
            endpoints = [{"addresses": [each], "conditions": {"ready": True}} for each in group]
            fields = {"addressType": f"IPv{version}", "endpoints": endpoints, "ports": _ports(port)}
            found[f"{_NAME}-v{version}-{port}" if found else _NAME] = fields
    return found


def _version(address: str) -> int:
    return ip_address(address).version


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
