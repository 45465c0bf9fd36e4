"""A watch as an HTTP response: lines of JSON as things happen, until it times out or the client goes."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

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
#: Seconds for each watch that is open that a watch leaves between two batches of events, and how many at most: what
#: happens meanwhile is sent at once, so that the work grows with the watches and not with the events as well.
_PAUSE, _LONGEST_PAUSE = 0.0002, 0.25


class Bell:
    """Wakes the watches of an event loop, whoever has news for them; many at once with one call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung: deque[Callable[[], None]] = deque()
        self._is_pending = False
        #: How many watches there are.
        self.watches = 0

    @property
    def pause(self) -> float:
        """Seconds that each watch leaves between two batches of events."""
        return min(self.watches * _PAUSE, _LONGEST_PAUSE)

    def ring(self, wake: Callable[[], None]) -> None:
        """Has something called by the loop. For any thread."""
        self._rung.append(wake)
        if not self._is_pending:
            self._is_pending = True
            with suppress(RuntimeError):  # the loop has ended, and with it all watches
                self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._is_pending = False
        for _ in range(len(self._rung)):
            self._rung.popleft()()


class _Rest:
    """Where a watch waits: for a time, for news, for the client to go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._has_news = True
        self._is_expired = False
        self.is_over = False

    def tell(self) -> None:
        """There is news."""
        self._has_news = True
        self._wake()

    def end(self, _: object = None) -> None:
        """The client has gone."""
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def forget(self) -> None:
        """What is new has been read, or is about to be."""
        self._has_news = False

    def _expire(self) -> None:
        self._is_expired = True
        self._wake()

    async def wait(self, seconds: float, *, even_with_news: bool = False) -> None:
        """Waits for so long, unless something happens before; of news it may be that nobody wants to know."""
        self._is_expired = False
        timer = self._loop.call_later(seconds, self._expire)
        try:
            while not (self.is_over or self._is_expired) and (even_with_news or not self._has_news):
                self._waiter = self._loop.create_future()
                await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


class WatchResponse:
    """The response to one watch."""

    def __init__(
        self, stream: WatchStream, rest: _Rest, bell: Bell, *, options: ListOptions, renderer: Renderer
    ) -> None:
        self._stream, self._rest, self._bell, self._renderer = stream, rest, bell, renderer
        self._timeout = float(options.timeout or random.uniform(_USUAL_SECONDS, 2 * _USUAL_SECONDS))
        self._is_first = True

    @classmethod
    async def begin(
        cls, api: Api, bell: Bell, target: Target, options: ListOptions, renderer: Renderer
    ) -> WatchResponse:
        """Begins to watch; the list that may come first is read in a thread.

        Raises:
            ApiError: the selectors make no sense.
        """
        rest = _Rest()
        on_ready = partial(bell.ring, rest.tell)
        stream = await to_thread.run_sync(lambda: api.watch(target.place, options, on_ready=on_ready))
        return cls(stream, rest, bell, options=options, renderer=renderer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the end."""
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(self._rest.end)
        self._bell.watches += 1
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", self._renderer.form.media.encode()),
                        (b"cache-control", b"no-cache, private"),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await self._send_events(send)
        finally:
            self._bell.watches -= 1
            gone.cancel()
            self._stream.close()

    async def _send_events(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        bookmark_at = loop.time() + BOOKMARK_SECONDS
        while not self._rest.is_over:
            self._rest.forget()
            try:
                if self._stream.is_slow:
                    events = await to_thread.run_sync(self._stream.read)
                else:
                    events = self._stream.read(0)
            except StoreUnavailableError:
                break
            is_slow = self._renderer.is_slow and events
            chunks = await to_thread.run_sync(self._chunks, events) if is_slow else self._chunks(events)
            for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if self._stream.is_over:
                break
            if events:
                await self._rest.wait(self._bell.pause, even_with_news=True)
                continue
            left = min(end, bookmark_at) - loop.time()
            if left > 0:
                await self._rest.wait(left)
                continue
            if self._stream.wants_bookmarks:
                line = self._line(self._stream.bookmark())
                await send({"type": "http.response.body", "body": line, "more_body": True})
            if loop.time() >= end:
                break
            bookmark_at = loop.time() + BOOKMARK_SECONDS
        if not self._rest.is_over:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

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
        line = self._renderer.event(self._stream.resource, event, is_first=self._is_first)
        self._is_first = False
        return line


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
