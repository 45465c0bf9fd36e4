"""Takes manifests in, from wherever they come, and makes typed objects of them.

A manifest that can't be used is refused with everything that is wrong with it, and the others still go through. Whether
an object makes sense is for ``state.validation`` to say; here it is about what it *is*: readable, of a kind and version
that Kubernetes serves, with fields of the right names and types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from state.collector import paused_collector
from state.convert import PodSpecs, Remark, Validation, convert_fast, convert_thoroughly, snapshot_kind
from state.entries import NOTHING, Notes, Source, entries
from state.errors import InvalidObject, Problem, joined
from state.objects import AnyObject, CustomObject, Object
from state.paths import is_unicode, written
from state.snapshot import Key


@dataclass(frozen=True, slots=True)
class Refusal:
    """A manifest that was not taken, where it came from, which object it would be (if it says), and all its faults."""

    origin: str
    key: Key | None
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return _told(self.origin, "" if self.key is None else str(self.key), joined(self.problems))

    def to_dict(self) -> dict[str, Any]:
        """The refusal as plain data."""
        return {
            "origin": self.origin,
            "object": None if self.key is None else str(self.key),
            "problems": [problem.to_dict() for problem in self.problems],
        }


class LoadError(InvalidObject):
    """Manifests were refused; ``refused`` says which, and why."""

    def __init__(self, refused: Iterable[Refusal]) -> None:
        self.refused = tuple(refused)
        super().__init__(problem for refusal in self.refused for problem in refusal.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.refused))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a source: ``objects`` in its order, and for each where it came from (``origins``).

    ``warnings`` are sentences about what was taken but may not be what its author meant.
    """

    objects: tuple[AnyObject, ...] = ()
    refused: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Loaded]) -> Loaded:
        """What came of several sources, in their order."""
        parts = tuple(parts)
        return cls(
            tuple(chain.from_iterable(part.objects for part in parts)),
            tuple(chain.from_iterable(part.refused for part in parts)),
            tuple(chain.from_iterable(part.warnings for part in parts)),
            tuple(chain.from_iterable(part.origins for part in parts)),
        )


def load(source: Source, *, validation: Validation = "strict", origin: str = "") -> Loaded:
    """All objects of a source, whatever its form.

    Args:
        source: text or bytes with JSON or YAML, one document or many; a dict, a v1 ``List`` or a list of one kind
            (``DeploymentList``); a typed object; or an iterable of dicts, lists and typed objects. Is not changed, and
            nothing of it is kept.
        validation: what to do about unknown fields and repeated keys.
        origin: where the source comes from, for messages: the name of a file.
    """
    objects: list[AnyObject] = []
    origins: list[str] = []
    refused: list[Refusal] = []
    warnings: list[str] = []
    specs = PodSpecs()
    with paused_collector():
        for manifest, place, notes in entries(source, origin):
            if notes.remark:
                warnings.append(_told(place, notes.remark))
                continue
            try:
                obj, remarks = _object(manifest, notes, validation, specs)
            except InvalidObject as error:
                refused.append(Refusal(place, _key(manifest), error.problems))
                continue
            objects.append(obj)
            origins.append(place)
            warnings.extend(_told(place, str(Key.of(obj)), path, text) for path, text in remarks)
    return Loaded(tuple(objects), tuple(refused), tuple(warnings), tuple(origins))


def load_strictly(source: Source, *, origin: str = "") -> tuple[AnyObject, ...]:
    """All objects of a source of which every manifest must be right.

    Raises:
        LoadError: with everything that was refused.
    """
    loaded = load(source, origin=origin)
    if loaded.refused:
        raise LoadError(loaded.refused)
    return loaded.objects


def from_dict(manifest: Mapping[str, Any], *, validation: Validation = "strict") -> AnyObject:
    """The object of one manifest.

    Raises:
        InvalidObject: with everything that is wrong with it.
    """
    return _object(manifest, NOTHING, validation, PodSpecs())[0]


def _object(
    manifest: Any, notes: Notes, validation: Validation, specs: PodSpecs
) -> tuple[AnyObject, tuple[Remark, ...]]:
    if isinstance(manifest, Object | CustomObject):
        return manifest, ()
    if notes.problem is not None:
        raise InvalidObject([notes.problem])
    if type(manifest) is dict and not notes.duplicates and not notes.traps:
        obj = convert_fast(manifest, specs)
        if obj is not None:
            return obj, ()
    repeated = [Problem(written(path), text, "Duplicate") for path, text in notes.duplicates.items()]
    try:
        obj, remarks = convert_thoroughly(manifest, validation, notes.traps)
    except InvalidObject as error:
        if validation != "strict" or not repeated:
            raise
        raise InvalidObject((*repeated, *error.problems)) from error
    if repeated and validation == "strict":
        raise InvalidObject(repeated)
    if validation == "warn":
        remarks += tuple((problem.path, problem.message) for problem in repeated)
    traps = sorted((notes.traps or {}).items(), key=lambda item: item[1].line)
    return obj, (*remarks, *((written(path), f"{trap.why} (line {trap.line})") for path, trap in traps))


def _key(manifest: Any) -> Key | None:
    """Which object a refused manifest would be, if it says."""
    if not isinstance(manifest, Mapping):
        return None
    metadata = manifest.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    api_version, kind, name, namespace = (
        value if isinstance(value, str) and is_unicode(value) else ""
        for value in (*map(manifest.get, ("apiVersion", "kind")), *map(metadata.get, ("name", "namespace")))
    )
    return Key(snapshot_kind(api_version, kind), namespace, name) if kind and name else None


def _told(*parts: str) -> str:
    """The parts that there are, each said once, from the outermost place to the sentence."""
    return ": ".join(part for part in dict.fromkeys(parts) if part)
