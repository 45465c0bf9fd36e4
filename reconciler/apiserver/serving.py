"""An API over HTTP, on a socket and from a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp

from reconciler.apiserver.api import Api
from reconciler.apiserver.auth import Unsecured
from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.connections import Connection
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.http import Application
from reconciler.apiserver.kubeconfig import kubeconfig
from reconciler.apiserver.measured import Measured, Measurements
from reconciler.apiserver.openapi import OpenApi
from reconciler.apiserver.openapi_pages import openapi_pages
from reconciler.apiserver.publication import Publication
from rules.services import CLUSTER_CIDR
from state.errors import StateError

#: Seconds that requests get to end when the server stops.
_GRACE = 2
#: Longest time until it takes requests.
_START_SECONDS = 30.0


class HttpServer:
    """Listens as soon as it is made, and answers from ``start`` to ``stop``.

    Args:
        definitions: what is served beside the built-in kinds.
        leads: whether the controllers of this program act.
        host, port: where to listen; port 0 takes any free one.
        security: HTTPS for those who may; without it, plain HTTP for everybody.
        cidrs: where cluster IPs come from; the first one of the first is that of the API itself.
        audit: without ``security``, what gets a line of JSON for every change; without it, they are in the log.
    """

    def __init__(
        self,
        api: Api,
        definitions: Definitions,
        leads: Callable[[], bool],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        security: Security | None = None,
        cidrs: Sequence[str] = (CLUSTER_CIDR,),
        audit: TextIO | None = None,
    ) -> None:
        self._security = security
        self._socket = socket.create_server((host, port), backlog=1024)
        address, self.port = self._socket.getsockname()[:2]
        self.url = f"http{'' if security is None else 's'}://{host}:{self.port}"
        self._publication = Publication(api, address, self.port, cidrs)
        self._application = Application(api, f"{host}:{self.port}", definitions.layout)
        self._application.pages.update(openapi_pages(OpenApi(api.registry, schema_of)))
        self.measurements = Measurements(api, self._application.load, leads)
        self._application.pages["/metrics"] = self.measurements.page
        secured: ASGIApp = Unsecured(self._application, audit) if security is None else security.wrap(self._application)
        config = uvicorn.Config(
            Measured(secured, self.measurements, api),
            http=Connection,
            ws="none",
            proxy_headers=False,
            log_config=None,
            log_level="error",  # what strangers send isn't worth a line each
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=120,
        )
        if security is not None:
            config.load()
            config.ssl = security.context
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def _serve(self) -> None:
        self._uvicorn.run(sockets=[self._socket])

    @property
    def kubeconfig(self) -> dict[str, object]:
        """The kubeconfig of somebody who may do everything."""
        return kubeconfig(self.url) if self._security is None else self._security.admin_config(self.url)

    def start(self) -> None:
        """Returns when requests are taken.

        Raises:
            StateError: that takes too long.
        """
        self._publication.start()
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS * 200)):
            if self._uvicorn.started:
                return
            waited.wait(0.005)
        raise StateError("the HTTP server does not start")

    def stop(self) -> None:
        """Takes no more requests, and gives those that are under way a moment to end."""
        self._application.ready = False
        self._publication.stop()
        self._uvicorn.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
