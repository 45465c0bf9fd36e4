"""PATCH: a patch of any type makes a new object of a live one, which is then written as an update is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from reconciler.apiserver import patches, wire
from reconciler.apiserver.addressed import named
from reconciler.apiserver.converter import conversion_fault
from reconciler.apiserver.decode import YAML, Decoded, FieldValidation, UnreadableError, other_kind, parsed, part, read
from reconciler.apiserver.govalues import found, printed
from reconciler.apiserver.messages import messages, name_of_message
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, bad_request, invalid, not_found, unsupported_media_type
from reconciler.apiserver.storage import Stored
from reconciler.apiserver.strategic import strategic_patch
from reconciler.apiserver.strict import Text, faults_of
from reconciler.apiserver.writer import ATTEMPTS, Sent, Writer, Written, is_race
from state.errors import invalid as invalid_value
from state.errors import unknown_field

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY)
CUSTOM_PATCHES = (JSON_PATCH, MERGE_PATCH, APPLY)


def read_patch(body: bytes, content_type: str) -> Any:
    """A patch as plain data.

    Raises:
        ApiError: it can't be read.
    """
    if content_type == APPLY:
        try:
            patch = parsed(body, YAML)
        except UnreadableError as error:
            raise bad_request(f"error decoding YAML: {error}") from error
        if not isinstance(patch, dict | None):
            fault = f"json: cannot unmarshal {found(patch)} into Go value of type map[string]interface {{}}"
            raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {fault}")
        return patch or {}
    doing = "" if content_type == STRATEGIC else "error decoding patch: "
    if content_type == JSON_PATCH:
        return patches.decoded(body, kind=list)
    return patches.decoded(body, kind=dict, doing=doing, takes_null=content_type == STRATEGIC)


class Patcher:
    """Carries out patches."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def patch(self, place: Place, body: bytes, content_type: str, options: WriteOptions) -> Written:
        """Changes an object, or its status. Server-side apply makes it if need be.

        Raises:
            ApiError: it is refused.
        """
        if content_type == APPLY:
            options = options.as_apply()
            if self._writer.fields is None:
                raise unsupported_media_type(PATCHES[:-1])
        else:
            options = options.as_patch()
            if content_type == STRATEGIC and place.resource.is_custom:
                raise unsupported_media_type(CUSTOM_PATCHES)
        patch = read_patch(body, content_type)
        repeated = repeated_in(body, patch, content_type)
        if content_type == APPLY:
            check_applied(place, patch)
        for attempt in range(ATTEMPTS):
            live = self._writer.storage.get(place.resource, place.namespace, place.name)
            if live is None and (content_type != APPLY or place.subresource):
                raise not_found(*place.about)
            try:
                if content_type == APPLY:
                    return self._apply(place, patch, live, options)
                assert live is not None
                document = wire.document(live.object)
                sent = Sent.of(
                    patched(place, document, patch, content_type, options.validation, repeated=repeated), options
                )
                new = named(place, sent.object, is_complete=True)
                return self._writer.replace(place, new, live, sent)
            except ApiError as error:
                if not is_race(error) or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _apply(self, place: Place, patch: dict[str, Any], live: Stored | None, options: WriteOptions) -> Written:
        writer = self._writer
        assert writer.fields is not None
        before = None if live is None else live.object
        document = writer.fields.applied(place.resource, before, patch, options, place.subresource, writer.clock())
        sent = Sent.of(writer.decoder.manifest(document, place.resource, options.validation), options)
        new = named(place, sent.object)
        if live is not None:
            return writer.replace(place, new, live, sent)
        return writer.create_by_update(place, replace(sent, object=new))


def check_applied(place: Place, patch: Mapping[str, Any]) -> None:
    """What an applied manifest has to say, and must not.

    Raises:
        ApiError: it doesn't, or does.
    """
    api_version, kind = str(patch.get("apiVersion") or ""), patch.get("kind") or ""
    if api_version != place.resource.api_version or kind != place.resource.kind:
        version = api_version if "/" in api_version else f"/{api_version}"
        raise bad_request(f"invalid object type: {version}, Kind={kind}")
    meta = part(patch, "metadata", place.resource.kind)
    if meta.get("name") == "":
        why = "name must be provided"
        raise bad_request(f"the name of the object ({place.name} based on URL) was undeterminable: {why}")
    if meta.get("name") not in (None, place.name):
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({place.name})")
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def repeated_in(body: bytes, patch: Any, content_type: str) -> Sequence[str]:
    """What Kubernetes' strict decoding says about the patch itself."""
    if content_type == JSON_PATCH:
        unknown = [
            f"[{index}].{name}" for index, each in enumerate(patch) for name in each if name not in patches.FIELDS
        ]
        return [f"json patch {fault}" for fault in faults_of(Text(body), patch, unknown, is_custom=False).fields]
    is_object = content_type in (MERGE_PATCH, STRATEGIC)
    return faults_of(Text(body), patch, (), is_custom=False).fields if is_object else ()


def patched(
    place: Place,
    document: dict[str, Any],
    patch: Any,
    content_type: str,
    validation: FieldValidation,
    *,
    repeated: Sequence[str],
) -> Decoded:
    """The object that a patch makes of a live one's document; ``repeated`` are the faults of the patch.

    Raises:
        ApiError: it makes none.
    """
    resource = place.resource
    if content_type == JSON_PATCH:
        result = patches.json_patch(document, patch)
    elif content_type == MERGE_PATCH:
        result = patches.merge_patch(document, patch)
    else:
        result = strategic_patch(document, patch, resource.merged)
    _check_same_kind(place, result)
    read_object, fault = read(
        {**result, "apiVersion": resource.api_version, "kind": resource.kind}, resource, sent=True
    )
    if read_object is not None:
        faults = (*repeated, *(unknown_field(each.path) for each in read_object[1]))
        if not faults or validation != "Strict":
            return Decoded.of(read_object[0], faults if validation == "Warn" else (), is_patched=True)
        fault = f"strict decoding error: {', '.join(faults)}"
    if content_type == STRATEGIC:
        raise _invalid_strategic(resource, patch, result, fault)
    raise _invalid_patch(resource, result, fault)


def _invalid_strategic(resource: Resource, patch: dict[str, Any], result: dict[str, Any], fault: str) -> ApiError:
    """A strategic merge patch isn't told by its result, but by itself."""
    message = name_of_message(resource.api_version, resource.kind)
    told = conversion_fault(message, result) if message in messages() else ""
    return invalid("", "", "", [invalid_value("patch", printed(patch), told or fault)])


def _invalid_patch(resource: Resource, result: dict[str, Any], fault: str) -> ApiError:
    text = _sorted_text(result) if resource.is_custom else _shown(result)
    return invalid("", "", "", [invalid_value("patch", text, fault)])


def _check_same_kind(place: Place, result: dict[str, Any]) -> None:
    """A patch leaves an object one of its kind and version.

    Raises:
        ApiError: it doesn't.
    """
    resource, kind, api_version = place.resource, result.get("kind"), result.get("apiVersion")
    if not resource.is_custom:
        own = (api_version or resource.api_version, kind or resource.kind)
        if own != (resource.api_version, resource.kind) and all(isinstance(each, str) for each in own):
            raise _invalid_patch(resource, result, other_kind(*own, resource))
        return
    if not kind:
        raise _invalid_patch(resource, result, f"Object 'Kind' is missing in '{_sorted_text(result)}'")
    pairs = (("kind", kind, resource.kind), ("apiVersion", api_version, resource.api_version))
    problems = [invalid_value(name, value, f"must be {wanted}") for name, value, wanted in pairs if value != wanted]
    if problems:
        raise invalid(str(kind), str(api_version or "").rpartition("/")[0], place.name, problems)


def _sorted_text(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


#: The fields of Go's ``ManagedFieldsEntry``, in its order.
_ENTRY = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")


def _shown(document: dict[str, Any]) -> str:
    """A document as Go writes what a patch made: maps sorted, structs (metadata, in the main) in their order."""
    parts = []
    for name in sorted(document):
        if name == "metadata" and isinstance(document[name], dict):
            text = orjson.dumps({field: _sorted(field, value) for field, value in document[name].items()})
        else:
            text = orjson.dumps(document[name], option=orjson.OPT_SORT_KEYS)
        parts.append(orjson.dumps(name) + b":" + text)
    return (b"{" + b",".join(parts) + b"}").decode()


def _sorted(field: str, value: Any) -> Any:
    if field == "managedFields" and isinstance(value, list):
        return [{name: entry[name] for name in _ENTRY if name in entry} for entry in value]
    return dict(sorted(value.items())) if isinstance(value, dict) else value
