"""A server's security as a whole: its keys in a folder, who is known to it, and the middleware that checks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from starlette.types import ASGIApp

from reconciler.apiserver.auth import Secured
from reconciler.apiserver.auth_reviews import AccountAuthenticator, ReviewAnswers
from reconciler.apiserver.auth_tokens import ISSUER, AccountTokens, FixedTokens, signing_key
from reconciler.apiserver.http import Application
from reconciler.apiserver.kubeconfig import kubeconfig
from reconciler.apiserver.rbac import MASTERS, Authorizer, User
from reconciler.apiserver.rbac_escalation import Escalation
from reconciler.apiserver.rbac_policy import bootstrap_policy
from reconciler.apiserver.tls import Authority, server_context

#: Under which names and addresses a server on loopback is reached.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_INSIDE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_ADMIN = "kubernetes-admin"


class Security:
    """Keys of a server, and the users that it knows.

    Args:
        folder: where certificate authority, serving certificate and signing key are kept; made if need be. Nobody else
            should be able to read it.
        now: the time (µs since the epoch) that certificates begin at.
        hosts: further names and addresses of the server.
        tokens: fixed bearer tokens.
        audit: gets a line of JSON for every change and every refusal; without it, they are in the log.
    """

    def __init__(
        self,
        folder: Path,
        now: int,
        *,
        hosts: Sequence[str] = (),
        tokens: FixedTokens | None = None,
        audit: TextIO | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone_in(folder):
            self.authority = Authority.kept_in(folder, now)
            self.context: ssl.SSLContext = server_context(self.authority, folder, (*LOOPBACK, *_INSIDE, *hosts), now)
            self.accounts = AccountTokens(signing_key(folder))
        self._fixed = tokens or FixedTokens({})
        self._now = now
        self._audit = audit

    def wrap(self, application: Application) -> ASGIApp:
        """The application, for those only who may."""
        api = application.api
        bootstrap_policy(api)
        authorizer = Authorizer(api.storage)
        api.writer.guard = Escalation(authorizer, api.storage)
        api.writer.configured.allows = authorizer.allows
        accounts = AccountAuthenticator(api, self.accounts)

        def authenticate(token: str, audience: str) -> User | None:
            fixed = self._fixed.user(token) if audience == ISSUER else None
            return accounts.user(token, audience) if fixed is None else fixed

        reviews = ReviewAnswers(api, authorizer, self.accounts, authenticate)
        return Secured(application, authorizer, (self._fixed, accounts), reviews, self._audit)

    def admin_config(self, url: str) -> dict[str, object]:
        """The kubeconfig of somebody who may do everything."""
        client = self.authority.client(_ADMIN, [MASTERS], self._now)
        return kubeconfig(url, user=_ADMIN, authority=self.authority.pem, client=client)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Has servers that start at once with one folder make its keys one after the other, and so only once."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
