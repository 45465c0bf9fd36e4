"""Places inside a document: how they are written in messages."""

from __future__ import annotations

#: Keys and indexes from the top of a document; a ``MapKey`` is the key of a map, any other text names a field.
Path = tuple[str | int, ...]


class MapKey(str):
    """The key of a map (a label, a resource), as opposed to the name of a field. Equal to the same text."""

    __slots__ = ()


def written(path: Path) -> str:
    """The path as Kubernetes writes it: ``spec.containers[0].resources.requests[cpu]``."""
    text = ""
    for step in path:
        if isinstance(step, int | MapKey):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text if is_unicode(text) else text.encode(errors="backslashreplace").decode()


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded. One that holds half of a surrogate pair can not, and no output could take it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
