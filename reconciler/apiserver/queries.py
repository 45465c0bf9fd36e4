"""A request's query as Go's ``url.Query`` reads it: who checks a right and who acts have to see the same in it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

#: What keeps Go from reading a part of a query: a semicolon, or an escape that is none.
_UNREAD = re.compile(";|%(?![0-9A-Fa-f]{2})")


def read_query(text: bytes) -> dict[str, list[str]]:
    """The values of each name, in their order; parts that can't be read are left out."""
    if not text:
        return {}
    parts = text.decode("latin-1").split("&")
    return parse_qs("&".join(part for part in parts if not _UNREAD.search(part)), keep_blank_values=True)
