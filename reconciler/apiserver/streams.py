"""A watch as an HTTP response: lines of JSON as things happen, until it times out or the client goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from reconciler.apiserver.api import Api
from reconciler.apiserver.options import ListOptions
from reconciler.apiserver.render import Renderer
from reconciler.apiserver.routes import Target
from reconciler.apiserver.watching import BOOKMARK_SECONDS, WatchEvent, WatchStream
from state.store.records import StoreUnavailableError

#: How long a watch lasts if the client doesn't say: between this many seconds and twice as many.
_USUAL_SECONDS = 1800
#: Bytes sent at once at most, so that other clients get their turn.
_CHUNK = 1 << 20


class WatchResponse:
    """The response to one watch."""

    def __init__(
        self, stream: WatchStream, ready: asyncio.Event, target: Target, options: ListOptions, renderer: Renderer
    ) -> None:
        self._stream, self._ready, self._target, self._renderer = stream, ready, target, renderer
        self._timeout = float(options.timeout or random.uniform(_USUAL_SECONDS, 2 * _USUAL_SECONDS))
        self._is_first = True

    @classmethod
    async def begin(cls, api: Api, target: Target, options: ListOptions, renderer: Renderer) -> WatchResponse:
        """Begins to watch; the list that may come first is read in a thread.

        Raises:
            ApiError: the selectors make no sense.
        """
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        ready.set()

        def on_ready() -> None:
            loop.call_soon_threadsafe(ready.set)

        stream = await to_thread.run_sync(lambda: api.watch(target.place, options, on_ready=on_ready))
        return cls(stream, ready, target, options, renderer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the end."""
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", self._renderer.form.content_type.encode()),
                        (b"cache-control", b"no-cache, private"),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await self._send_events(send, gone)
        finally:
            gone.cancel()
            self._stream.close()

    async def _send_events(self, send: Send, gone: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        bookmark_at = loop.time() + BOOKMARK_SECONDS
        while not gone.done():
            self._ready.clear()
            try:
                events = self._stream.read(0)
            except StoreUnavailableError:
                break
            for chunk in self._chunks(events):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if self._stream.is_over:
                break
            if events:
                continue
            left = min(end, bookmark_at) - loop.time()
            if left > 0:
                await self._wait(left, gone)
                continue
            if self._stream.wants_bookmarks:
                line = self._line(self._stream.bookmark())
                await send({"type": "http.response.body", "body": line, "more_body": True})
            if loop.time() >= end:
                break
            bookmark_at = loop.time() + BOOKMARK_SECONDS
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(self, seconds: float, gone: asyncio.Task[None]) -> None:
        """Until there is something to read, the client goes, or the time is over."""
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((ready, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()

    def _chunks(self, events: Sequence[WatchEvent]) -> Sequence[bytes]:
        lines, chunks, size = [], [], 0
        for event in events:
            line = self._line(event)
            lines.append(line)
            size += len(line)
            if size >= _CHUNK:
                chunks.append(b"".join(lines))
                lines, size = [], 0
        return [*chunks, b"".join(lines)] if lines else chunks

    def _line(self, event: WatchEvent) -> bytes:
        line = self._renderer.event(self._target.place.resource, event, is_first=self._is_first)
        self._is_first = False
        return line


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
