"""Kinds that are served in two versions or groups: one of them is stored, the other is converted where requests come in
and answers go out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from state.autoscaling import first_version, second_version

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a served version of a kind is related to the stored one. Functions get documents and leave them as they are.

    Args:
        stored: API version and kind of what is stored.
        own: those of the served version.
        to_stored, from_stored: convert all of an object but its API version and kind.
        fields: names in field selectors, and what they are called in the stored version.
    """

    stored: tuple[str, str]
    own: tuple[str, str]
    to_stored: Callable[[Json], Json]
    from_stored: Callable[[Json], Json]
    fields: Mapping[str, str]

    @property
    def is_slow(self) -> bool:
        """Whether it asks somebody else."""
        return False

    def read(self, document: Json) -> Json:
        """A stored document, with or without its identity, as it is served."""
        shown = self.from_stored(document)
        return {**shown, "kind": self.own[1], "apiVersion": self.own[0]} if "kind" in document else shown

    def written(self, document: Json) -> Json:
        """A document that was sent as it is stored. One that says to be something else is left for others to refuse."""
        own = (document.get("apiVersion") or self.own[0], document.get("kind") or self.own[1])
        if own != self.own:
            return document
        return {**self.to_stored(document), "apiVersion": self.stored[0], "kind": self.stored[1]}

    def read_list(self, document: Json) -> Json:
        """A list as it is served."""
        items = [self.read(item) for item in document["items"]]
        return {**document, "kind": f"{self.own[1]}List", "apiVersion": self.own[0], "items": items}

    def read_bytes(self, value: bytes) -> bytes:
        """JSON of an object as it is served; of anything else (a Status) as it is."""
        document = orjson.loads(value)
        return orjson.dumps(self.read(document)) if document.get("kind") == self.stored[1] else value

    def selector(self, text: str) -> str:
        """A field selector in the stored version's names."""
        for name, stored in self.fields.items():
            text = text.replace(name, stored)
        return text


# -- events.k8s.io/v1 --------------------------------------------------------------------------------------------------

_EVENT = {
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedSource": "source",
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
}
_STORED_EVENT = {stored: name for name, stored in _EVENT.items()}


def _renamed(names: Mapping[str, str]) -> Callable[[Json], Json]:
    return lambda document: {names.get(name, name): value for name, value in document.items()}


#: Served versions that aren't stored, by API version and kind.
CONVERSIONS: dict[tuple[str, str], Conversion] = {
    each.own: each
    for each in (
        Conversion(
            stored=("autoscaling/v2", "HorizontalPodAutoscaler"),
            own=("autoscaling/v1", "HorizontalPodAutoscaler"),
            to_stored=second_version,
            from_stored=first_version,
            fields={},
        ),
        Conversion(
            stored=("v1", "Event"),
            own=("events.k8s.io/v1", "Event"),
            to_stored=_renamed(_EVENT),
            from_stored=_renamed(_STORED_EVENT),
            fields={"regarding.": "involvedObject.", "reportingController": "reportingComponent"},
        ),
    )
}
