"""An API server as a whole: store, API, control plane and HTTP, started and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TextIO

from reconciler.apiserver.api import Api, wall_clock
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.certificate_hands import SigningHands
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.leadership import Leadership
from reconciler.apiserver.policies.configured import warnings_about
from reconciler.apiserver.rbac import Authorizer
from reconciler.apiserver.serving import HttpServer
from reconciler.apiserver.status import ApiError
from rules.services import CLUSTER_CIDR
from state.errors import StateError
from state.store.base import Store
from state.store.leader import Terms


class Server:
    """Served from a thread of its own, on loopback unless told otherwise.

    Args:
        store: is the caller's to close.
        port: 0 takes any free one.
        terms: how long its lease lasts, where several servers share the store.
        security: HTTPS for those who may; without it, plain HTTP for everybody.
        audit: without ``security``, what gets a line of JSON for every change; without it, they are in the log.

    Raises:
        StateError: the store can't be read or written.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], int] = wall_clock,
        cidrs: Sequence[str] = (CLUSTER_CIDR,),
        terms: Terms | None = None,
        security: Security | None = None,
        audit: TextIO | None = None,
    ) -> None:
        self.api = Api(store, clock=clock, cidrs=cidrs, fields=ManagedFields(schema_of))
        try:
            bootstrap(self.api)
        except ApiError as error:
            raise StateError(f"what every cluster has can't be stored: {error.message}") from error
        root_ca = "" if security is None else security.authority.pem.decode()
        self.leadership = Leadership(store, terms)
        issue = None if security is None else security.accounts.issue_for_secret
        signing = None if security is None else SigningHands(security.authority, Authorizer(self.api.storage).allows)
        checks = partial(warnings_about, self.api.registry)
        concerns = partial(control_concerns, cidrs, root_ca, issue=issue, signing=signing, checks=checks)
        self.control = ControlPlane(self.api, concerns, leadership=self.leadership)
        self.definitions = Definitions(self.api)
        self.http = HttpServer(
            self.api,
            self.definitions,
            self.leadership.leads,
            host=host,
            port=port,
            security=security,
            cidrs=cidrs,
            audit=audit,
        )
        self.control.on_turn = self.http.measurements.turned
        self.port, self.url = self.http.port, self.http.url

    def start(self) -> None:
        """Starts HTTP and the control plane; returns when requests are taken. The control plane may still be reading
        the store then: whoever asks is answered from the store itself.

        Raises:
            StateError: that takes too long.
        """
        self.definitions.start()
        self.leadership.start()
        self.http.start()
        self.control.start()

    def stop(self) -> None:
        """Stops taking requests, and then the control plane."""
        self.http.stop()
        self.control.stop()
        self.leadership.stop()
        self.definitions.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
