"""Who sends a request, whether they may, and a line in the log of what they did: ASGI middleware around the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TextIO
from urllib.parse import unquote

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.apiserver.connections import PEER
from reconciler.apiserver.http import status_response
from reconciler.apiserver.options import read_flag
from reconciler.apiserver.queries import read_query
from reconciler.apiserver.rbac import MASTERS, Attributes, Authorizer, User
from reconciler.apiserver.status import ApiError, forbidden, method_not_allowed
from state.errors import StateError
from state.kept import by_identity

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
#: Everybody, where nothing is checked: as at the insecure port that kube-apiserver once had.
UNSECURED = User("system:unsecured", (MASTERS, "system:authenticated"))
_AUTHENTICATED = "system:authenticated"
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_MANY = {"get": "list", "delete": "deletecollection"}
_READS = frozenset({"get", "list", "watch"})
_AUTHENTICATION = "authentication.k8s.io"
_IMPERSONATE, _EXTRA = b"impersonate-", "impersonate-extra-"
_IMPERSONATED_ACCOUNT = "system:serviceaccount:"


class Tokens(Protocol):
    """Knows bearer tokens."""

    def user(self, token: str) -> User | None:
        """Whose token it is."""


class Reviews(Protocol):
    """Answers questions about users and rights; they are objects that nobody stores."""

    async def answer(self, request: Request, user: User, wanted: Attributes) -> Response | None:
        """The answer; None if the request is none of these questions."""


def unauthorized() -> ApiError:
    """Nobody knows who that is."""
    return ApiError(401, "Unauthorized", "Unauthorized", headers={"WWW-Authenticate": 'Bearer realm="kubernetes"'})


def attributes(method: str, path: str, query: bytes = b"") -> Attributes:
    """What a request wants to do, as Kubernetes' ``RequestInfo`` reads it.

    Raises:
        ApiError: it wants to change a watch.
    """
    verb = _VERBS.get(method, method.lower())
    parts = [part for part in path.split("/") if part]
    prefix = {"api": 2, "apis": 3}.get(parts[0] if parts else "", 0)
    if not prefix or len(parts) <= prefix:
        return Attributes(verb, path=path)
    group, version = (parts[1], parts[2]) if parts[0] == "apis" else ("", parts[1])
    rest, namespace = parts[prefix:], ""
    if rest[0] == "watch":
        if verb != "get":
            raise method_not_allowed()
        verb, rest = "watch", rest[1:]
    if rest[:1] == ["namespaces"] and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    if not name and verb != "watch":
        verb = _MANY.get(verb, verb)
    options = read_query(query)
    if verb == "list" and read_flag(options, "watch"):
        verb = "watch"
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _selected(options.get("fieldSelector", ("",))[0])
    return Attributes(verb, group, version, resource, subresource, namespace, name)


def _selected(fields: str) -> str:
    """The name that a field selector asks for."""
    terms = (term.partition("=") for term in fields.split(","))
    return next((value.lstrip("=") for field, _, value in terms if field == "metadata.name"), "")


def denial(user: User, wanted: Attributes) -> ApiError:
    """The refusal, in Kubernetes' words."""
    who = f'User "{user.name}" cannot {wanted.verb}'
    if wanted.path:
        return ApiError(403, "Forbidden", f'forbidden: {who} path "{wanted.path}"', {})
    resource = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    why = f'{who} resource "{resource}" in API group "{wanted.group}" {where}'
    return forbidden(wanted.resource, wanted.group, wanted.name, why)


@by_identity
def certificate_user(peer: Any) -> User | None:
    """The user of a verified certificate, as ``ssl`` describes one for a connection; None without a certificate."""
    if not peer:
        return None
    pairs = [pair for name in peer.get("subject", ()) for pair in name]
    name = next((value for field, value in pairs if field == "commonName"), "")
    groups = tuple(value for field, value in pairs if field == "organizationName")
    return User(name, groups) if name else None


#: Requests that are looked at in threads at once, where the store may have to be waited for.
_AT_ONCE = 64


@dataclass(slots=True)
class _Seen:
    """A request that has been let in, or not: what is known of it for the log."""

    scope: Scope
    user: User
    wanted: Attributes
    started: float
    #: In whose name they send it, if not in their own.
    impersonated: User | None = None

    def log(self, audit: Any, code: int) -> None:
        """Writes the line: for every change, and for every refusal. Never what bodies, queries and tokens say."""
        if self.wanted.verb in _READS and code not in (401, 403):
            return
        scope, headers = self.scope, Headers(scope=self.scope)
        audit.info(
            "audit",
            user=self.user.name,
            groups=self.user.groups,
            impersonated=None if self.impersonated is None else self.impersonated.name,
            verb=self.wanted.verb,
            path=scope["path"],
            group=self.wanted.group,
            resource=self.wanted.resource,
            subresource=self.wanted.subresource,
            namespace=self.wanted.namespace,
            name=self.wanted.name,
            code=code,
            client=(scope.get("client") or ("",))[0],
            agent=headers.get("user-agent", ""),
            milliseconds=round((time.perf_counter() - self.started) * 1000, 1),
        )


class Secured:
    """The middleware. ``tokens`` are asked in turn; without any user a request is anonymous, and may do little.

    What was done is told to ``audit``, a line of JSON each, or if there is none to the log.
    """

    def __init__(
        self,
        app: ASGIApp,
        authorizer: Authorizer,
        tokens: Iterable[Tokens],
        reviews: Reviews,
        audit: TextIO | None = None,
    ) -> None:
        self._app, self._authorizer, self._tokens, self._reviews = app, authorizer, tuple(tokens), reviews
        self._audit = _audit(audit)
        self._at_once: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            return  # a WebSocket: nothing speaks that here
        seen = _Seen(scope, ANONYMOUS, Attributes("", path=scope["path"]), time.perf_counter())
        try:
            if self._authorizer.is_slow:
                await to_thread.run_sync(self._admit, scope, seen, limiter=self._limiter())
            else:
                self._admit(scope, seen)
            response = await self._reviews.answer(Request(scope, receive), scope["user"], seen.wanted)
        except ApiError as error:
            response = status_response(error)
        except (StateError, RecursionError) as error:
            response = status_response(ApiError(500, "InternalError", f"Internal error occurred: {error}"))
        except ClientDisconnect:
            return
        await (response or self._app)(scope, receive, _told(send, partial(seen.log, self._audit)))

    def _limiter(self) -> CapacityLimiter:
        if self._at_once is None:
            self._at_once = CapacityLimiter(_AT_ONCE)
        return self._at_once

    def _admit(self, scope: Scope, seen: _Seen) -> None:
        """Finds out who sends a request and what is wanted, and lets them do that."""
        seen.user = user = self._user(scope)
        seen.wanted = attributes(scope["method"], scope["path"], scope["query_string"])
        other = self._impersonated(user, Headers(scope=scope))
        if other is not user:
            seen.impersonated = other
        self.check(other, seen.wanted)
        scope["user"], scope["wanted"] = other, seen.wanted

    def _user(self, scope: Scope) -> User:
        user = certificate_user(scope.get("state", {}).get(PEER))
        scheme, token, *_ = (*Headers(scope=scope).get("authorization", "").strip().split(" ", 2), "", "")
        if user is None and scheme.lower() == "bearer" and token:
            user = next(filter(None, (known.user(token) for known in self._tokens)), None)
            if user is None:
                raise unauthorized()
        return ANONYMOUS if user is None else authenticated(user)

    def check(self, user: User, wanted: Attributes) -> None:
        """Lets a user do what is wanted.

        Raises:
            ApiError: they may not.
        """
        if not self._authorizer.allows(user, wanted):
            raise denial(user, wanted)

    def _impersonated(self, user: User, headers: Headers) -> User:
        if not any(name.startswith(_IMPERSONATE) for name, _ in headers.raw):
            return user
        name, groups = headers.get("impersonate-user"), headers.getlist("impersonate-group")
        uid, extra = headers.get("impersonate-uid", ""), _extra(headers)
        if not name:
            if groups or uid or extra:
                raise ApiError(
                    500, "InternalError", "Internal error occurred: requested groups without impersonating a user"
                )
            return user
        who = Attributes("impersonate", resource="users", name=name)
        if name.startswith(_IMPERSONATED_ACCOUNT):
            namespace, _, account = name.removeprefix(_IMPERSONATED_ACCOUNT).partition(":")
            who = Attributes("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
        wanted = [who, *(Attributes("impersonate", resource="groups", name=group) for group in groups)]
        wanted += [
            Attributes("impersonate", _AUTHENTICATION, resource="userextras", subresource=key, name=value)
            for key, values in extra
            for value in values
        ]
        if uid:
            wanted.append(Attributes("impersonate", _AUTHENTICATION, resource="uids", name=uid))
        for each in wanted:
            if not self._authorizer.allows(user, each):
                raise denial(user, each)
        if not groups and name.startswith(_IMPERSONATED_ACCOUNT):
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{who.namespace}"]
        other = User(name, tuple(groups), uid, extra)
        if name != ANONYMOUS.name:
            return authenticated(other)
        return other if ANONYMOUS.groups[0] in groups else replace(other, groups=(*groups, *ANONYMOUS.groups))


class Unsecured:
    """The middleware of a server that lets everybody do everything; what was done is told all the same."""

    def __init__(self, app: ASGIApp, audit: TextIO | None = None) -> None:
        self._app, self._audit = app, _audit(audit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through."""
        if scope["type"] != "http":
            return  # a WebSocket: nothing speaks that here
        wanted = Attributes(scope["method"].lower(), path=scope["path"])
        with suppress(ApiError):  # which the application answers
            wanted = attributes(scope["method"], scope["path"], scope["query_string"])
        seen = _Seen(scope, UNSECURED, wanted, time.perf_counter())
        await self._app(scope, receive, _told(send, partial(seen.log, self._audit)))


def _extra(headers: Headers) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What else is to be known of an impersonated user: headers ``Impersonate-Extra-KEY``, the key escaped."""
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        if name.startswith(_EXTRA):
            found.setdefault(unquote(name.removeprefix(_EXTRA)), []).append(value)
    return tuple((key, tuple(values)) for key, values in sorted(found.items()))


@by_identity
def authenticated(user: User) -> User:
    """A user that is known, in the group of all that are."""
    return user if _AUTHENTICATED in user.groups else replace(user, groups=(*user.groups, _AUTHENTICATED))


def _audit(file: TextIO | None) -> Any:
    """A logger that writes to a file of its own, whatever else is logged; without one it is the program's."""
    if file is None:
        return structlog.get_logger("reconciler.audit")
    stamp = structlog.processors.TimeStamper(fmt="iso", key="time")
    line = structlog.processors.JSONRenderer(ensure_ascii=False)
    logger = structlog.WriteLogger(file)
    return structlog.wrap_logger(logger, processors=[stamp, line], wrapper_class=structlog.BoundLogger)


def _told(send: Send, log: Callable[[int], None]) -> Send:
    """Sends, and tells the code of the response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            log(message["status"])
        await send(message)

    return sending


__all__ = [
    "ANONYMOUS",
    "MASTERS",
    "PEER",
    "Reviews",
    "Secured",
    "Tokens",
    "Unsecured",
    "attributes",
    "authenticated",
    "certificate_user",
    "denial",
]
