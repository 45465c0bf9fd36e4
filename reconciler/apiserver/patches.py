"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as the API server applies them.

Its library is lenient in one place: ``replace`` of a key that a map doesn't have adds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import orjson

from reconciler.apiserver.gojson import GoJsonError, loads
from reconciler.apiserver.govalues import found
from reconciler.apiserver.status import ApiError, bad_request, unprocessable
from reconciler.merge import merge_patched

MAX_OPERATIONS = 10_000
#: What an operation may say.
FIELDS = ("op", "path", "from", "value")
#: Bytes that all ``copy`` operations of a patch may add together: kube-apiserver's limit, without which each could
#: double the document.
MAX_COPIED = 3 * 1024 * 1024
_MISSING = object()


def decoded(
    body: bytes,
    *,
    kind: type[list[Any] | dict[str, Any]],
    doing: str = "error decoding patch: ",
    takes_null: bool = True,
) -> Any:
    """The patch that a body holds; ``doing`` begins what is said of one that can't be read.

    Null is an empty patch, but not everywhere.

    Raises:
        ApiError: it can't be read.
    """
    try:
        patch = loads(body)
    except GoJsonError as error:
        raise bad_request(f"{doing}{error}") from error
    if patch is None:
        if takes_null:
            return kind()
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, kind):
        wanted = "[]handlers.jsonPatchOp" if kind is list else "map[string]interface {}"
        raise bad_request(f"{doing}json: cannot unmarshal {found(patch)} into Go value of type {wanted}")
    if isinstance(patch, list):
        _check_operations(patch)
    return patch


def _check_operations(operations: list[Any]) -> None:
    """A JSON patch is a list of objects that name what they do, and where."""
    go = "error decoding patch: json: cannot unmarshal"
    for index, operation in enumerate(operations):
        if operation is None:
            operations[index] = {}
        elif not isinstance(operation, dict):
            raise bad_request(f"{go} {found(operation)} into Go value of type handlers.jsonPatchOp")
        else:
            for name in FIELDS[:3]:
                if not isinstance(operation.get(name), str | None):
                    where = f"Go struct field jsonPatchOp.{name} of type string"
                    raise bad_request(f"{go} {found(operation[name])} into {where}")


def merge_patch(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The document with a merge patch applied."""
    return merge_patched(document, patch)


def json_patch(document: dict[str, Any], operations: Sequence[Any]) -> dict[str, Any]:
    """The document with a JSON patch applied.

    Raises:
        ApiError: an operation can't be carried out; Kubernetes doesn't say which.
    """
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")
    result: Any = deepcopy(document)
    copies = _Copies()
    for operation in operations:
        try:
            result = _apply(result, operation, copies)
        except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            raise unprocessable() from error
    if not isinstance(result, dict) or not is_writable(result):
        raise unprocessable()
    return result


def is_writable(document: Any) -> bool:
    """Whether a document can be sent: patches can nest deeper than what any body says."""
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        return False
    return True


class _Copies:
    """What a patch has copied so far."""

    def __init__(self) -> None:
        self._bytes = 0

    def of(self, value: Any) -> Any:
        """A copy.

        Raises:
            TypeError, ValueError: it is too deep, or too much in all.
        """
        text = orjson.dumps(value)
        self._bytes += len(text)
        if self._bytes > MAX_COPIED:
            raise ValueError(f"more than {MAX_COPIED} bytes copied")
        return orjson.loads(text)


def _apply(document: Any, operation: dict[str, Any], copies: _Copies) -> Any:
    verb, path = operation["op"], _pointer(operation["path"])
    if verb == "add":
        return _add(document, path, deepcopy(operation["value"]))
    if verb == "replace":
        if not path:
            return deepcopy(operation["value"])
        parent = _find(document, path[:-1])
        if isinstance(parent, list):
            parent[_index(parent, path[-1])] = deepcopy(operation["value"])
        else:
            parent[path[-1]] = deepcopy(operation["value"])
    elif verb == "remove":
        _remove(document, path)
    elif verb in ("move", "copy"):
        source = _pointer(operation["from"])
        if not source:
            raise ValueError(operation)  # the whole can't be put into itself
        value = _find(document, source)
        if verb == "copy":
            return _add(document, path, copies.of(value))
        _remove(document, source)
        return _add(document, path, value)
    elif verb == "test":
        if _text(_find(document, path, missing=None)) != _text(operation.get("value")):
            raise ValueError(operation)
    else:
        raise ValueError(verb)
    return document


def _text(value: Any) -> bytes:
    """What is compared: 1 and 1.0 aren't the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _pointer(text: Any) -> list[str]:
    if text == "":
        return []
    if not isinstance(text, str) or "/" not in text:
        raise ValueError(text)
    # what stands in front of the first slash doesn't count
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(document: Any, path: Sequence[str], missing: Any = _MISSING) -> Any:
    value = document
    for depth, part in enumerate(path, start=1):
        if isinstance(value, dict):
            if part not in value and missing is not _MISSING and depth == len(path):
                return missing
            value = value[part]
        elif isinstance(value, list):
            value = value[_index(value, part)]
        else:
            raise TypeError(part)
    return value


def _index(items: list[Any], part: str) -> int:
    index = int(part)
    if index < 0:
        index += len(items)
    if not 0 <= index < len(items):
        raise IndexError(part)
    return index


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    parent = _find(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        at = len(parent) if path[-1] == "-" else int(path[-1])
        if at < 0:  # counts from behind, where -1 is behind the last
            at += len(parent) + 1
        if not 0 <= at <= len(parent):
            raise IndexError(path[-1])
        parent.insert(at, value)
    else:
        raise TypeError(path[-1])
    return document


def _remove(document: Any, path: Sequence[str]) -> None:
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1])]
    else:
        del parent[path[-1]]
