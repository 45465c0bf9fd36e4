"""A server's security as a whole: its keys in a folder, who is known to it, and the middleware that checks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.apiserver.auth import PEER, Secured, Tokens
from reconciler.apiserver.auth_reviews import AccountAuthenticator, ReviewAnswers
from reconciler.apiserver.auth_tokens import AccountTokens, FixedTokens, signing_key
from reconciler.apiserver.http import Application
from reconciler.apiserver.kubeconfig import kubeconfig
from reconciler.apiserver.rbac import MASTERS, Authorizer, User
from reconciler.apiserver.rbac_policy import bootstrap_policy
from reconciler.apiserver.tls import Authority, server_context

#: Under which names and addresses a server on loopback is reached.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_INSIDE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_ADMIN = "kubernetes-admin"


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the client's verified certificate where the middleware looks for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins a connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER: transport.get_extra_info("peercert")}


class Security:
    """Keys of a server, and the users that it knows.

    Args:
        folder: where certificate authority, serving certificate and signing key are kept; made if need be. Nobody else
            should be able to read it.
        now: the time (µs since the epoch) that certificates begin at.
        hosts: further names and addresses of the server.
        tokens: fixed bearer tokens.
    """

    def __init__(self, folder: Path, now: int, *, hosts: Sequence[str] = (), tokens: FixedTokens | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.authority = Authority.kept_in(folder, now)
        self.context: ssl.SSLContext = server_context(self.authority, folder, (*LOOPBACK, *_INSIDE, *hosts), now)
        self._accounts = AccountTokens(signing_key(folder))
        self._fixed = tokens or FixedTokens({})
        self._now = now

    def wrap(self, application: Application) -> ASGIApp:
        """The application, for those only who may."""
        api = application.api
        bootstrap_policy(api)
        authorizer = Authorizer(api.storage)
        known: tuple[Tokens, ...] = (self._fixed, AccountAuthenticator(api, self._accounts))

        def authenticate(token: str) -> User | None:
            return next(filter(None, (each.user(token) for each in known)), None)

        return Secured(application, authorizer, known, ReviewAnswers(api, authorizer, self._accounts, authenticate))

    def admin_config(self, url: str) -> dict[str, object]:
        """The kubeconfig of somebody who may do everything."""
        client = self.authority.client(_ADMIN, [MASTERS], self._now)
        return kubeconfig(url, user=_ADMIN, authority=self.authority.pem, client=client)
