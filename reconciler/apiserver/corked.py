"""A transport that sends what is written together with what is written right after it: a response's head and body would
else be two records of TLS and two packets.
"""

from __future__ import annotations

import asyncio
from typing import Any

#: More than this isn't put together with anything, since that would be a copy.
_LARGE = 1 << 16


class Corked:
    """Writes to a transport when the loop next turns. All else is the transport's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Sends data, soon."""
        if len(data) > _LARGE:
            self._flush()
            self._transport.write(data)
            return
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def _flush(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Sends what waits, and ends the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
