"""Versions of custom resources that a webhook converts: it is asked whenever an object is read or written in another
version than the stored one, and in which it is applied, listed or watched.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.apiserver.policies.calls import Caller, CallError
from reconciler.apiserver.status import internal
from reconciler.apiserver.storage import Storage
from reconciler.apiserver.versions import Conversion

Json = dict[str, Any]
_GROUP = "apiextensions.k8s.io"
_VERSIONS = ("v1", "v1beta1")
#: Seconds that a webhook has: kube-apiserver's own.
_SECONDS = 30.0


class ConversionWebhook:
    """The webhook of a definition."""

    def __init__(self, config: Mapping[str, Any], storage: Storage) -> None:
        self._config: Json = config.get("clientConfig") or {}
        known: Sequence[str] = config.get("conversionReviewVersions") or _VERSIONS
        self._version = next((each for each in known if each in _VERSIONS), _VERSIONS[0])
        self._caller = Caller(storage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConversionWebhook) and (self._config, self._version) == (other._config, other._version)

    def __hash__(self) -> int:
        return hash(self._version)

    def converted(self, objects: list[Json], wanted: str) -> list[Json]:
        """Objects of one kind in the version ``wanted``, of each what a webhook may change.

        Raises:
            ApiError: the webhook can't be asked, or answers nonsense.
        """
        if not objects:
            return []
        identity = str(uuid.uuid4())
        head = {"kind": "ConversionReview", "apiVersion": f"{_GROUP}/{self._version}"}
        request = {"uid": identity, "desiredAPIVersion": wanted, "objects": objects}
        group, _, version = objects[0]["apiVersion"].rpartition("/")
        about = f"conversion webhook for {group}/{version}, Kind={objects[0]['kind']}"
        try:
            review = self._caller.call(self._config, {**head, "request": request}, _SECONDS)
        except CallError as error:
            raise internal(f"{about} failed: {str(error).removeprefix('failed to call webhook: ')}") from error
        response = review.get("response")
        if not isinstance(response, dict) or response.get("uid") != identity:
            raise internal(f"invalid response for {about}: the response is absent, or one to another request")
        result = response.get("result") or {}
        if result.get("status") != "Success":
            raise internal(f"{about} failed: {result.get('message') or 'no reason was given'}")
        found = response.get("convertedObjects")
        if not isinstance(found, list) or len(found) != len(objects):
            count = len(found) if isinstance(found, list) else 0
            raise internal(f"{about} returned {count} objects, expected {len(objects)}")
        return [
            _restored(about, index, before, after, wanted)
            for index, (before, after) in enumerate(zip(objects, found, strict=True))
        ]


def _restored(about: str, index: int, before: Json, after: Any, wanted: str) -> Json:
    """A converted object; of its metadata, labels and annotations alone are the webhook's to change."""
    bad = f"{about} returned invalid converted object at index {index}: "
    if not isinstance(after, dict):
        raise internal(f"{bad}it is none")
    if (after.get("kind"), after.get("apiVersion")) != (before["kind"], wanted):
        got = f"{after.get('apiVersion')}, Kind={after.get('kind')}"
        raise internal(f"{bad}invalid groupVersionKind (expected {wanted}, Kind={before['kind']}, received {got})")
    given = after.get("metadata") or {}
    meta = {name: value for name, value in before.get("metadata", {}).items() if name not in ("labels", "annotations")}
    meta |= {name: given[name] for name in ("labels", "annotations") if given.get(name)}
    return {**after, "metadata": meta}


@dataclass(frozen=True, slots=True)
class WebhookConversion(Conversion):
    """A version that a webhook converts to and from the stored one. Its methods may block."""

    webhook: ConversionWebhook | None = None

    @property
    def is_slow(self) -> bool:
        """Whether it asks somebody else."""
        return True

    @classmethod
    def of(cls, conversion: Conversion, webhook: ConversionWebhook) -> WebhookConversion:
        """The conversion between two versions, by a webhook."""
        return cls(conversion.stored, conversion.own, dict, dict, conversion.fields, webhook)

    def read(self, document: Json) -> Json:
        """A stored document as it is served.

        Raises:
            ApiError: it can't be converted.
        """
        if "uid" not in (document.get("metadata") or {}):  # a bookmark: it says nothing but a revision
            return {**document, "apiVersion": self.own[0], "kind": self.own[1]}
        return self._converted([document], self.stored, self.own)[0]

    def written(self, document: Json) -> Json:
        """A document that was sent as it is stored.

        Raises:
            ApiError: it can't be converted.
        """
        own = (document.get("apiVersion") or self.own[0], document.get("kind") or self.own[1])
        if own != self.own:
            return document
        return self._converted([document], self.own, self.stored)[0]

    def read_list(self, document: Json) -> Json:
        """A list as it is served: the webhook is asked once.

        Raises:
            ApiError: it can't be converted.
        """
        items = self._converted(document["items"], self.stored, self.own)
        return {**document, "kind": f"{self.own[1]}List", "apiVersion": self.own[0], "items": items}

    def _converted(self, objects: list[Json], have: tuple[str, str], want: tuple[str, str]) -> list[Json]:
        assert self.webhook is not None
        named = [{**each, "apiVersion": have[0], "kind": have[1]} for each in objects]
        return self.webhook.converted(named, want[0])
