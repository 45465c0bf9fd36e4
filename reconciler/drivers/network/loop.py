"""One thread that waits for all sockets of the userspace proxy.

Everything the proxy holds is touched by this thread alone, so nothing needs a lock; other threads hand it functions
to run.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from reconciler.drivers.network.base import NetworkError

T = TypeVar("T")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
#: Seconds between looks at what has timed out.
SWEEP_SECONDS = 0.5


class Loop:
    """Runs a callback for every socket that is ready, in a background thread, until it is stopped.

    An exception that leaves a callback is a defect: the thread ends with a traceback, and every later ``call`` raises
    it. Errors of one connection are for its callback to handle.
    """

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._sweepers: list[Callable[[float], None]] = []
        self._running = True
        self._failure: BaseException | None = None
        self._receive, self._wake = socket.socketpair()
        self._receive.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._receive, READ, self._drain)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Says whether the thread runs."""
        return self._thread.is_alive()

    def call(self, function: Callable[[], T]) -> T:
        """Runs a function in the loop's thread and returns what it returns, or raises what it raises."""
        if threading.current_thread() is self._thread:
            return function()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001  (goes to the caller, who waits for it)
                future.set_exception(error)

        self._calls.append(run)
        try:
            self._wake.send(b"\0")
        except BlockingIOError:
            pass  # the loop has not yet read the earlier wake-ups, so it will wake
        except OSError as error:
            raise NetworkError("the proxy's thread has ended") from (self._failure or error)
        while True:
            try:
                return future.result(timeout=SWEEP_SECONDS)
            except TimeoutError:
                if future.done() or not self._thread.is_alive():
                    break
        if future.done():
            return future.result()
        raise NetworkError("the proxy's thread has ended") from self._failure

    def sweep_with(self, sweeper: Callable[[float], None]) -> None:
        """Calls ``sweeper(now)`` about every ``SWEEP_SECONDS``."""
        self._sweepers.append(sweeper)

    def sweep_no_more(self, sweeper: Callable[[float], None]) -> None:
        """Undoes ``sweep_with``."""
        self._sweepers.remove(sweeper)

    def watch(self, sock: socket.socket, old: int, new: int, callback: Callable[[int], None]) -> int:
        """Changes what is waited for on a socket from ``old`` to ``new`` (READ, WRITE, both or 0); returns ``new``."""
        if new == old:
            return new
        if not new:
            self._selector.unregister(sock)
        elif not old:
            self._selector.register(sock, new, callback)
        else:
            self._selector.modify(sock, new, callback)
        return new

    def stop(self) -> None:
        """Ends the thread. What it watched is for its owners to close before."""
        if self.alive:
            self.call(self._end)
            self._thread.join()

    def _end(self) -> None:
        self._running = False

    def _drain(self, _events: int) -> None:
        self._receive.recv(4096)
        while self._calls:
            self._calls.popleft()()

    def _run(self) -> None:
        next_sweep = time.monotonic() + SWEEP_SECONDS
        try:
            while self._running:
                for key, events in self._selector.select(SWEEP_SECONDS):
                    key.data(events)
                now = time.monotonic()
                if now >= next_sweep:
                    next_sweep = now + SWEEP_SECONDS
                    for sweeper in tuple(self._sweepers):
                        sweeper(now)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._selector.close()
            self._receive.close()
            self._wake.close()
