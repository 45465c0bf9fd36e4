"""A request's body to an object, refused in the API server's words where it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from reconciler.apiserver.crd_fields import MistypedError
from reconciler.apiserver.forms import as_read
from reconciler.apiserver.gojson import GoJsonError, loads
from reconciler.apiserver.gonumbers import int_fault
from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.govalues import found
from reconciler.apiserver.messages import name_of_message
from reconciler.apiserver.metadata_warnings import with_owners_once
from reconciler.apiserver.resources import Registry, Resource
from reconciler.apiserver.status import ApiError, bad_request, invalid
from reconciler.apiserver.strict import Text, faults_of
from rules.revisions import ROLLBACK_TO
from rules.strategies import TEMPLATE_GENERATION
from state.convert import PodSpecs, convert_fast
from state.diagnose import Diagnosis
from state.errors import Problem
from state.errors import invalid as invalid_value
from state.kept import Remembered, exact
from state.manifests import documents
from state.objects import (
    AnyObject,
    CustomObject,
    DaemonSet,
    Deployment,
    Object,
    ObjectMeta,
    Opaque,
    Pod,
    PodSpec,
    StatefulSet,
    decode_hook,
    replace,
)
from state.served import SERVED

FieldValidation = Literal["Strict", "Warn", "Ignore"]
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
BODIES = (JSON, YAML, PROTOBUF)
#: Go's type that kind and version are read into.
_TYPE_META = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_NO_KIND = "couldn't get version/kind; json parse error: "
_SUMMARY_LENGTH = 30
_META = "meta.v1.ObjectMeta"
#: Messages of small objects that aren't read into a type.
_SMALL = {"Binding": "core.v1.Binding", "Eviction": "policy.v1.Eviction"}
#: The package of a group's internal types, where it isn't the group's first word.
_PACKAGES = {"": "core", "rbac.authorization.k8s.io": "rbac"}
UNREGISTERED = 'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'


class Decoded(NamedTuple):
    """An object, and what the client is to be warned of."""

    object: AnyObject
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, obj: AnyObject, warnings: tuple[str, ...] = (), *, is_patched: bool = False) -> Decoded:
        """An object as it was read, with each of its owners once."""
        obj, more = with_owners_once(obj, is_patched=is_patched)
        return cls(obj, (*warnings, *more))


class UnreadableError(ValueError):
    """A body is neither JSON nor YAML."""


def parsed(body: bytes, content_type: str) -> Any:
    """The body as plain data.

    Raises:
        UnreadableError: it can't be read.
    """
    if content_type == YAML:
        document = next(iter(documents(body)), None)
        if document is not None and document.problem is not None:
            raise UnreadableError(f"error converting YAML to JSON: yaml: {document.problem.message}")
        return None if document is None else document.value
    try:
        return loads(body)
    except GoJsonError as error:
        raise UnreadableError(f"{_NO_KIND}{error}") from error


def parse_body(body: bytes, content_type: str, kind: str) -> Any:
    """The body as plain data; ``kind`` is what it should be.

    Raises:
        ApiError: it can't be read.
    """
    try:
        return parsed(body, content_type)
    except UnreadableError as error:
        raise _unrecognized(kind, str(error), body) from error


def kind_fault(data: Any) -> str:
    """What Go says of a document whose kind and version can't be told; "" if they can."""
    if not isinstance(data, dict):
        return f"{_NO_KIND}json: cannot unmarshal {found(data)} into Go value of type {_TYPE_META}"
    for field in ("apiVersion", "kind"):
        if not isinstance(data.get(field), str | None):
            where = f"Go struct field .{field} of type string"
            return f"{_NO_KIND}json: cannot unmarshal {found(data[field])} into {where}"
    return ""


def part(data: Any, name: str, kind: str) -> dict[str, Any]:
    """A part of a small object that isn't read into a type: what ``data`` holds under a name, {} if nothing.

    Raises:
        ApiError: it is no map, or ``data`` itself isn't.
    """
    version = f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal'
    if not isinstance(data, dict):
        raise bad_request(f"{version} {found(data)} into Go value of type v1.{kind}")
    fault = message_fault(_SMALL[kind], data) if kind in _SMALL else ""
    if fault:
        raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {fault}')
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"{version} {found(value)} into Go struct field {kind}.{name}")
    return value


def _unrecognized(kind: str, fault: str, body: bytes) -> ApiError:
    shown = body[:_SUMMARY_LENGTH]
    summary = shown.decode("utf-8", "replace") if body[:1] == b"{" else shown.hex()
    if len(body) > _SUMMARY_LENGTH:
        summary += " ..."
    where = f"the object provided is unrecognized (must be of type {kind})"
    return bad_request(f"{where}: {fault} ({summary or '<empty>'})")


def _check_has_kind(data: Any, kind: str, body: bytes) -> None:
    """Without a kind, a body of a custom resource isn't looked at any further."""
    if data is None or (isinstance(data, dict) and not data.get("kind")):
        raise _unrecognized(kind, f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'", body)


class Decoder:
    """Reads objects of the resources that a registry serves."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def body(
        self,
        body: bytes,
        resource: Resource,
        content_type: str = JSON,
        validation: FieldValidation = "Warn",
    ) -> Decoded:
        """The object that a body holds. Kind and version may be missing from it.

        Raises:
            ApiError: it isn't one of the resource.
        """
        data = parse_body(body, content_type, resource.kind)
        if resource.is_custom:
            _check_has_kind(data, resource.kind, body)
        if data is None:
            data = {}
        fault = kind_fault(data)
        if fault:
            raise _unrecognized(resource.kind, fault, body)
        if resource.is_custom:  # its own decoder takes nothing for granted
            data = {"apiVersion": "", **data}
        return self.manifest(data, resource, validation, Text(body, content_type == YAML))

    def manifest(
        self,
        data: dict[str, Any],
        resource: Resource,
        validation: FieldValidation = "Warn",
        text: Text | None = None,
    ) -> Decoded:
        """The object of a manifest as plain data; ``text`` is what that was read from, to be looked at strictly.

        Raises:
            ApiError: it isn't one of the resource.
        """
        api_version, kind = data.get("apiVersion"), data.get("kind") or resource.kind
        if not resource.is_custom or api_version is None:
            api_version = api_version or resource.api_version
        if isinstance(api_version, str) and isinstance(kind, str):
            self._check_kind(api_version, kind, resource, data)
        result, fault = read({**data, "apiVersion": api_version, "kind": kind}, resource, sent=True)
        if fault:
            version = resource.version
            raise bad_request(f'{resource.kind} in version "{version}" cannot be handled as a {resource.kind}: {fault}')
        assert result is not None
        if validation == "Ignore":
            return Decoded.of(result[0])
        faults = faults_of(text, data, [each.path for each in result[1]], is_custom=resource.is_custom)
        if validation == "Strict" and any(faults):
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {faults}"
            )
        return Decoded.of(result[0], (*faults.lines, *faults.fields))

    def _check_kind(self, api_version: str, kind: str, resource: Resource, data: Mapping[str, Any]) -> None:
        if (api_version, kind) == (resource.api_version, resource.kind):
            return
        if resource.is_custom and api_version != resource.api_version:
            raise bad_request(
                f"the API version in the data ({api_version}) does not match the expected API version "
                f"({resource.api_version})"
            )
        if resource.is_custom:
            name = str(part(data, "metadata", kind).get("name") or "")
            raise invalid(kind, resource.group, name, [invalid_value("kind", kind, f"must be {resource.kind}")])
        version = api_version.rpartition("/")[2]
        fault = other_kind(api_version, kind, resource)
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {fault}')


def other_kind(api_version: str, kind: str, resource: Resource) -> str:
    """What Kubernetes says of an object of another kind than a built-in resource has."""
    group, _, version = api_version.rpartition("/")
    if kind in SERVED.get(api_version, ()):
        package = _PACKAGES.get(resource.group) or resource.group.partition(".")[0]
        return f"converting ({version}.{kind}) to ({package}.{resource.kind}): unknown conversion"
    return UNREGISTERED.format(kind=kind, api_version=api_version if group else version)


#: An object with its unknown fields, or Go's message about the first value of a wrong type.
_Read = tuple[tuple[AnyObject, tuple[Problem, ...]] | None, str]

#: How many specs of pods are remembered, by their JSON, so that the pods of one template share theirs.
_REMEMBERED = 4096
_specs = PodSpecs(_REMEMBERED)
#: Specs as somebody sent them, of which everything was found right.
_right = Remembered[bytes, PodSpec](_REMEMBERED)


def read(manifest: dict[str, Any], resource: Resource, *, sent: bool = False) -> _Read:
    """The object of a manifest with its unknown fields, or Go's message about the first value of a wrong type.

    ``sent`` says that somebody else wrote it, and not ``wire``.
    """
    if resource.type is None:
        return _custom(manifest, resource)
    spec = manifest.get("spec")
    if sent and resource.type is Pod and isinstance(spec, dict):
        return _sent_pod(manifest, spec)
    return _typed(manifest, resource.type, sent=sent)


def _sent_pod(manifest: dict[str, Any], spec: dict[str, Any]) -> _Read:
    try:
        text = orjson.dumps(spec)
    except orjson.JSONEncodeError:
        return _typed(manifest, Pod, sent=True)
    known = _right.get(text)
    if known is not None:
        rest = {name: value for name, value in manifest.items() if name != "spec"}
        result, fault = _typed(rest, Pod, sent=True)
        return (None, fault) if result is None else ((replace(result[0], spec=known), result[1]), "")
    result, fault = _typed(manifest, Pod, sent=True)
    if result is not None and not result[1]:
        assert isinstance(result[0], Pod)
        _right[exact(text)] = result[0].spec
    return result, fault


def _typed(manifest: dict[str, Any], kind: type[Object], *, sent: bool) -> _Read:
    message = name_of_message(kind.api_version, kind.kind)
    if sent:
        fault = message_fault(message, manifest) or _unconvertible(kind, manifest)
        if fault:
            return None, fault
        manifest = as_read(message, _with_record(manifest))
        if kind is StatefulSet:
            manifest = _with_nameless_claims(manifest)
    quick = convert_fast(manifest, _specs)
    if quick is not None:
        return (quick, ()), ""
    diagnosis = Diagnosis()
    cleaned = diagnosis.typed(manifest, kind)
    if diagnosis.problems:
        return None, str(diagnosis.problems[0])
    return (msgspec.convert(cleaned, kind, dec_hook=decode_hook), tuple(diagnosis.unknown)), ""


def _unconvertible(kind: type[Object], manifest: dict[str, Any]) -> str:
    """Go's message about an annotation that was a field once, and in Kubernetes' own form of the object still is one:
    it has to be a number. "" if nothing is wrong with it.
    """
    if kind not in (DaemonSet, Deployment):
        return ""
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    if kind is DaemonSet:
        return int_fault(annotations[TEMPLATE_GENERATION] or "") if TEMPLATE_GENERATION in annotations else ""
    text = annotations.get(ROLLBACK_TO) or ""
    fault = int_fault(text) if text else ""
    return f"failed to parse annotation[{ROLLBACK_TO}]={text} as int64: {fault}" if fault else ""


def _with_record(manifest: dict[str, Any]) -> dict[str, Any]:
    """A typed object that brings no managers, instead of not saying any, wants to be rid of them: as [{}] says it."""
    meta = manifest.get("metadata")
    if not isinstance(meta, dict) or meta.get("managedFields") != []:
        return manifest
    return {**manifest, "metadata": {**meta, "managedFields": [{}]}}


def _with_nameless_claims(manifest: dict[str, Any]) -> dict[str, Any]:
    """A StatefulSet of whose claim templates nobody says what they are: the API server knows it better."""
    spec = manifest.get("spec") or {}
    templates = spec.get("volumeClaimTemplates") or ()
    if not any("kind" in each or "apiVersion" in each for each in templates):
        return manifest
    bare = [{name: value for name, value in each.items() if name not in {"apiVersion", "kind"}} for each in templates]
    return {**manifest, "spec": {**spec, "volumeClaimTemplates": bare}}


def _metadata_fault(metadata: Any) -> str:
    if isinstance(metadata, dict | None):
        return message_fault(_META, metadata or {})
    return f"json: cannot unmarshal {found(metadata)} into Go value of type v1.ObjectMeta"


def _custom(manifest: dict[str, Any], resource: Resource) -> _Read:
    message = resource.message
    fault = _metadata_fault(manifest.get("metadata")) if message is None else message_fault(message, manifest)
    if fault:
        return None, fault
    diagnosis = Diagnosis()
    if message is not None:
        manifest = as_read(message, manifest)
    metadata = as_read(_META, diagnosis.metadata(manifest.get("metadata")))
    body = diagnosis.plain(
        {name: value for name, value in manifest.items() if name not in {"apiVersion", "kind", "metadata"}}
    )
    if diagnosis.problems:
        return None, str(diagnosis.problems[0])
    unknown: list[str] = []
    if resource.custom is not None:
        try:
            body, unknown = resource.custom.completed(body)
        except MistypedError as error:
            return None, str(error)
    obj = CustomObject(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        metadata=msgspec.convert(metadata, ObjectMeta, dec_hook=decode_hook),
        body=Opaque(body),
    )
    return (obj, (*diagnosis.unknown, *map(Problem, unknown))), ""
