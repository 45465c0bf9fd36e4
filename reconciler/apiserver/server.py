"""An API server as a whole: store, API, control plane and HTTP, started and stopped together."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from reconciler.apiserver.api import Api, wall_clock
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.auth_server import PeerProtocol, Security
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.http import Application
from reconciler.apiserver.openapi import OpenApi
from reconciler.apiserver.openapi_pages import openapi_pages
from rules.services import CLUSTER_CIDR
from state.errors import StateError
from state.store.base import Store

#: Seconds that requests get to end when the server stops.
_GRACE = 2
#: Longest time until it takes requests.
_START_SECONDS = 30.0


class Server:
    """Served from a thread of its own, on loopback unless told otherwise.

    Args:
        store: is the caller's to close.
        port: 0 takes any free one.
        security: HTTPS for those who may; without it, plain HTTP for everybody.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], int] = wall_clock,
        cidrs: Sequence[str] = (CLUSTER_CIDR,),
        security: Security | None = None,
    ) -> None:
        self.api = Api(store, clock=clock, cidrs=cidrs, fields=ManagedFields(schema_of))
        bootstrap(self.api)
        root_ca = "" if security is None else security.authority.pem.decode()
        self.control = ControlPlane(self.api, lambda: control_concerns(cidrs, root_ca))
        self._socket = socket.create_server((host, port), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self.definitions = Definitions(self.api)
        self.application = Application(self.api, f"{host}:{self.port}", self.definitions.layout)
        self.application.pages.update(openapi_pages(OpenApi(self.api.registry, schema_of)))
        secured: ASGIApp = self.application if security is None else security.wrap(self.application)
        config = uvicorn.Config(
            secured,
            http=PeerProtocol,
            log_config=None,
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
        self.url = f"http{'' if security is None else 's'}://{host}:{self.port}"

    def _serve(self) -> None:
        self._uvicorn.run(sockets=[self._socket])

    def start(self) -> None:
        """Starts control plane and HTTP; returns when requests are taken.

        Raises:
            StateError: that takes too long.
        """
        self.definitions.start()
        self.control.start()
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS * 200)):
            if self._uvicorn.started:
                return
            waited.wait(0.005)
        raise StateError("the HTTP server does not start")

    def stop(self) -> None:
        """Stops taking requests, and then the control plane."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self.control.stop()
        self.definitions.stop()
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
