"""How much is done at once: requests beyond the bounds are told to come again, as kube-apiserver's filter does.

Watches don't count: they cost little as long as nothing happens. Long answers count until they are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.apiserver.status import ApiError

#: kube-apiserver's ``--max-requests-inflight`` and ``--max-mutating-requests-inflight``.
MAX_READS, MAX_CHANGES = 400, 200
#: An answer of more bytes is long; so many bytes of long answers may wait for their clients.
LONG, MAX_UNSENT = 1 << 20, 1 << 30


class Load:
    """The requests in work. Belongs to one event loop."""

    def __init__(self, reads: int = MAX_READS, changes: int = MAX_CHANGES, unsent: int = MAX_UNSENT) -> None:
        self._bounds = {False: reads, True: changes}
        #: How many there are now: whether they change something, and their number.
        self.now = {False: 0, True: 0}
        self._most_unsent = unsent
        #: Bytes of long answers that clients haven't taken yet.
        self.unsent = 0

    @contextmanager
    def one(self, *, is_change: bool) -> Iterator[None]:
        """One request, while it is in work.

        Raises:
            ApiError: there are too many.
        """
        if self.now[is_change] >= self._bounds[is_change]:
            raise _too_many()
        self.now[is_change] += 1
        try:
            yield
        finally:
            self.now[is_change] -= 1

    def bounded(self, response: ASGIApp) -> ASGIApp:
        """The response; a long one keeps its place until the client has taken it.

        Raises:
            ApiError: too much waits for clients already.
        """
        if not isinstance(response, Response) or isinstance(response, StreamingResponse) or len(response.body) <= LONG:
            return response
        if self.unsent and self.unsent + len(response.body) > self._most_unsent:
            raise _too_many()
        return _Long(self, response)


class _Long:
    """A long response."""

    def __init__(self, load: Load, response: Response) -> None:
        self._load, self._response = load, response
        load.unsent += len(response.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it; that ends when the client has taken all but the little that buffers hold."""

        async def sending(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({**message, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})  # waits for the other one

        try:
            await self._response(scope, receive, sending)
        finally:
            self._load.unsent -= len(self._response.body)


def _too_many() -> ApiError:
    message = "Too many requests, please try again later."
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": 1}, headers={"Retry-After": "1"})
