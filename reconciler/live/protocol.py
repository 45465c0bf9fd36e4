"""What ``up`` and the other commands say to each other over the socket: one JSON object a line, an answer to a request.

    {"verb": "state", "kinds": [...]}            -> {"ok": true, "revision": 7, "objects": [...]}
    {"verb": "watch", "kinds": [...]}            -> the same, then {"put": [...], "gone": [KEY...]} ...
    {"verb": "scale", "target": ..., "replicas"} -> {"ok": true}
    {"verb": "delete", "target": ..., "policy", "grace_period"} -> {"ok": true}

No kinds means all; a KEY is [kind, namespace, name]. What can't be done is answered by
``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

from io import BufferedIOBase
from typing import Any

import orjson

from state.errors import StateError

Message = dict[str, Any]


class ProtocolError(StateError):
    """The other side said something that is no message."""


def send(stream: BufferedIOBase, message: Message) -> None:
    """Writes a message."""
    stream.write(orjson.dumps(message) + b"\n")
    stream.flush()


def receive(stream: BufferedIOBase) -> Message | None:
    """Reads a message; None at the end.

    Raises:
        ProtocolError: it is none, or was not said to its end.
    """
    line = stream.readline()
    if not line:
        return None
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"expected a JSON object on a line of its own: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"expected a JSON object, not {line[:40]!r}")
    return message
