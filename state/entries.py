"""Every single manifest of a source of any form, with where it stands and what is known about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from state.diagnose import found, is_list
from state.errors import NO_VALUE, Problem, type_invalid
from state.manifests import Document, documents
from state.objects import AnyObject, CustomObject, Object
from state.paths import Path
from state.yaml_reader import Trap

#: Text (JSON or YAML), one manifest, one typed object, a List, or any number of the latter three.
Source = str | bytes | Mapping[str, Any] | AnyObject | Iterable[Any]

#: How deep lists of manifests may nest; nobody needs more than a List in a list of files.
LISTS_DEEP = 8


class Notes(NamedTuple):
    """What is known about a manifest beside its content.

    ``problem`` says why there is none; ``duplicates`` and ``traps`` are those of ``state.manifests.Document``;
    ``remark`` is about the list that the manifests around it come from.
    """

    problem: Problem | None = None
    duplicates: Mapping[Path, str] = MappingProxyType({})
    traps: Mapping[Path, Trap] | None = None
    remark: str = ""


NOTHING = Notes()


class Entry(NamedTuple):
    """One manifest: a plain value or a typed object, and where it comes from."""

    manifest: Any
    origin: str
    notes: Notes = NOTHING


def entries(source: Source, origin: str) -> Iterator[Entry]:
    """The manifests of a source in order; lists are taken apart."""
    if not isinstance(source, str | bytes | bytearray | memoryview):
        yield from _expand(source, origin, NOTHING)
        return
    text = source if isinstance(source, str) else bytes(source)
    read = documents(text)
    ahead = next(read, None)
    while ahead is not None:
        document, ahead = ahead, next(read, None)
        is_only = document.number == 1 and ahead is None
        yield from _document(document, origin if is_only else _joined(origin, f"document {document.number}"))


def _document(document: Document, origin: str) -> Iterator[Entry]:
    notes = Notes(document.problem, document.duplicates, document.traps)
    if document.problem is not None:
        yield Entry(None, origin, notes)
    else:
        yield from _expand(document.value, origin, notes)


def _expand(value: Any, origin: str, notes: Notes, levels: int = LISTS_DEEP) -> Iterator[Entry]:
    """One manifest as it is; the items of a list of any form one by one."""
    items: Iterable[Any]
    below: Path
    if not levels:
        yield _wrong(origin, "", f"lists must not be nested deeper than {LISTS_DEEP} levels")
        return
    if isinstance(value, Mapping):
        if not _is_list(value):
            yield Entry(value, origin, notes)
            return
        given = value.get("items")
        if given is not None and not is_list(given):
            yield _wrong(origin, "items", f"must be a list, not {found(given)}")
            return
        if isinstance(value.get("metadata"), Mapping) and value["metadata"].get("continue"):
            yield Entry(None, origin, Notes(remark="is one page of a longer list (metadata.continue is set)"))
        items, below = _typed_items(value), ("items",)
        origin = _joined(origin, "items")
    elif isinstance(value, Object | CustomObject | str | bytes) or not isinstance(value, Iterable):
        yield Entry(value, origin, notes)
        return
    else:
        items, below = value, ()
    shares = {} if notes is NOTHING else _shared(notes, below)
    others = NOTHING if notes is NOTHING else shares.pop(None)
    for index, item in enumerate(items):
        share = shares.get(index, others) if shares else others
        if type(item) is dict and not _is_list(item):
            yield Entry(item, f"{origin}[{index}]", share)
        else:
            yield from _expand(item, f"{origin}[{index}]", share, levels - 1)


def _wrong(origin: str, path: str, message: str) -> Entry:
    return Entry(None, origin, Notes(type_invalid(path, NO_VALUE, message)))


def _is_list(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is a v1 ``List`` or a list of one kind, as API servers answer with."""
    kind = manifest.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List"):
        return False
    if kind == "List":
        return manifest.get("apiVersion") == "v1"
    metadata = manifest.get("metadata")
    return "items" in manifest and not (isinstance(metadata, Mapping) and metadata.get("name"))


def _typed_items(manifest: Mapping[str, Any]) -> Iterator[Any]:
    """The items; those of a ``DeploymentList`` need not say that they are Deployments."""
    kind = manifest["kind"].removesuffix("List")
    for item in manifest.get("items") or ():
        if kind and isinstance(item, Mapping) and "kind" not in item:
            yield {"apiVersion": manifest.get("apiVersion"), "kind": kind, **item}
        else:
            yield item


def _shared(notes: Notes, below: Path) -> dict[int | None, Notes]:
    """What is known about each item, by its index; under None what holds for all others.

    A key that the list itself has twice counts against each item, for nobody knows what was lost.
    """
    depth = len(below)
    duplicates: dict[int | None, dict[Path, str]] = {}
    traps: dict[int | None, dict[Path, Trap]] = {}
    for path, text in notes.duplicates.items():
        index = _index(path, below)
        duplicates.setdefault(index, {})[path if index is None else path[depth + 1 :]] = text
    for path, trap in (notes.traps or {}).items():
        index = _index(path, below)
        if index is not None:
            traps.setdefault(index, {})[path[depth + 1 :]] = trap
    for_all = duplicates.get(None, {})
    return {
        index: Notes(
            None,
            {**for_all, **duplicates.get(index, {})},
            None if notes.traps is None else traps.get(index, {}),
        )
        for index in (None, *sorted({index for index in (*duplicates, *traps) if index is not None}))
    }


def _index(path: Path, below: Path) -> int | None:
    """The index of the item that a place is in; None for places outside of the items."""
    depth = len(below)
    step = path[depth] if path[:depth] == below and len(path) > depth else None
    return step if isinstance(step, int) else None


def _joined(origin: str, place: str) -> str:
    return f"{origin}, {place}" if origin else place
