"""What is random about new objects: uids, and the ends of generated names.

Random bytes are taken from the system many at a time, since each time gives the interpreter away to other threads.
"""

from __future__ import annotations

import os
from collections import deque
from uuid import UUID

_SIZE, _AT_ONCE = 16, 512
_ready: deque[bytes] = deque()


def sixteen() -> bytes:
    """Sixteen bytes that nobody had before. For any thread."""
    while True:
        try:
            return _ready.popleft()
        except IndexError:
            fresh = os.urandom(_SIZE * _AT_ONCE)
            _ready.extend(fresh[start : start + _SIZE] for start in range(0, len(fresh), _SIZE))


def uid() -> str:
    """A new uid."""
    return str(UUID(bytes=sixteen(), version=4))
