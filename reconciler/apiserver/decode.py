"""A request's body to an object, refused in the API server's words where it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from reconciler.apiserver.built_in import MistypedError
from reconciler.apiserver.gojson import GoJsonError, loads
from reconciler.apiserver.gotypes import is_suspect, type_fault
from reconciler.apiserver.govalues import found
from reconciler.apiserver.messages import message_fault
from reconciler.apiserver.resources import Registry, Resource
from reconciler.apiserver.status import ApiError, bad_request
from reconciler.apiserver.strict import Text, faults_of
from reconciler.apiserver.zeros import without_zeros
from state.convert import PodSpecs, convert_fast
from state.diagnose import Diagnosis
from state.errors import Problem
from state.kept import exact
from state.manifests import documents
from state.objects import AnyObject, CustomObject, Object, ObjectMeta, Opaque, Pod, PodSpec, decode_hook, replace
from state.served import SERVED

FieldValidation = Literal["Strict", "Warn", "Ignore"]
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
BODIES = (JSON, YAML, PROTOBUF)
#: Go's type that kind and version are read into.
_TYPE_META = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_SUMMARY_LENGTH = 30
#: Messages of small objects that aren't read into a type.
_SMALL = {"Binding": "core.v1.Binding", "Eviction": "policy.v1.Eviction", "Scale": "autoscaling.v1.Scale"}
#: The package of a group's internal types, where it isn't the group's first word.
_PACKAGES = {"": "core", "rbac.authorization.k8s.io": "rbac"}
_UNREGISTERED = 'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'


class Decoded(NamedTuple):
    """An object, and what the client is to be warned of."""

    object: AnyObject
    warnings: tuple[str, ...] = ()


def parse_body(body: bytes, content_type: str, kind: str) -> Any:
    """The body as plain data; ``kind`` is what it should be.

    Raises:
        ApiError: it can't be read.
    """
    if content_type == YAML:
        return _yaml(body, kind)
    try:
        return loads(body)
    except GoJsonError as error:
        raise _unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", body) from error


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


def _yaml(body: bytes, kind: str) -> Any:
    found_document = next(iter(documents(body)), None)
    if found_document is None:
        return None
    if found_document.problem is not None:
        fault = f"error converting YAML to JSON: yaml: {found_document.problem.message}"
        raise _unrecognized(kind, fault, body) if kind else bad_request(f"error decoding YAML: {fault}")
    return found_document.value


def _unrecognized(kind: str, fault: str, body: bytes) -> ApiError:
    shown = body[:_SUMMARY_LENGTH]
    summary = shown.decode("utf-8", "replace") if body[:1] == b"{" else shown.hex()
    if len(body) > _SUMMARY_LENGTH:
        summary += " ..."
    where = f"the object provided is unrecognized (must be of type {kind})"
    return bad_request(f"{where}: {fault} ({summary or '<empty>'})")


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
        if data is None:
            data = {}
        if not isinstance(data, dict):
            fault = f"json: cannot unmarshal {found(data)} into Go value of type {_TYPE_META}"
            raise _unrecognized(resource.kind, f"couldn't get version/kind; json parse error: {fault}", body)
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
        api_version, kind = data.get("apiVersion") or resource.api_version, data.get("kind") or resource.kind
        if isinstance(api_version, str) and isinstance(kind, str):
            self._check_kind(api_version, kind, resource)
        result, fault = read({**data, "apiVersion": api_version, "kind": kind}, resource, sent=True)
        if fault:
            version = resource.version
            raise bad_request(f'{resource.kind} in version "{version}" cannot be handled as a {resource.kind}: {fault}')
        assert result is not None
        if validation == "Ignore":
            return Decoded(result[0])
        faults = faults_of(text, data, [each.path for each in result[1]], is_custom=resource.is_custom)
        if validation == "Strict" and any(faults):
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {faults}"
            )
        return Decoded(result[0], (*faults.lines, *faults.fields))

    def _check_kind(self, api_version: str, kind: str, resource: Resource) -> None:
        if (api_version, kind) == (resource.api_version, resource.kind):
            return
        if resource.is_custom:
            raise bad_request(
                f"the API version in the data ({api_version}) does not match the expected API version "
                f"({resource.api_version})"
                if kind == resource.kind
                else f"the kind in the data ({kind}) does not match the expected kind ({resource.kind})"
            )
        group, _, version = api_version.rpartition("/")
        if kind in SERVED.get(api_version, ()):
            package = _PACKAGES.get(resource.group) or resource.group.partition(".")[0]
            fault = f"converting ({version}.{kind}) to ({package}.{resource.kind}): unknown conversion"
        else:
            fault = _UNREGISTERED.format(kind=kind, api_version=api_version if group else version)
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {fault}')


#: An object with its unknown fields, or Go's message about the first value of a wrong type.
_Read = tuple[tuple[AnyObject, tuple[Problem, ...]] | None, str]

#: How many specs of pods are remembered, by their JSON, so that the pods of one template share theirs.
_REMEMBERED = 4096
_specs = PodSpecs(_REMEMBERED)
#: Specs as somebody sent them, of which everything was found right.
_right: dict[bytes, PodSpec] = {}


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
        if len(_right) >= _REMEMBERED:
            _right.clear()
        assert isinstance(result[0], Pod)
        _right[exact(text)] = result[0].spec
    return result, fault


def _typed(manifest: dict[str, Any], kind: type[Object], *, sent: bool) -> _Read:
    if sent:
        manifest = without_zeros(manifest, kind)
    quick = convert_fast(manifest, _specs)
    if quick is not None:
        fault = type_fault(kind, manifest) if sent and is_suspect(kind, manifest) else ""
        return (None, fault) if fault else ((quick, ()), "")
    fault = type_fault(kind, manifest)
    if fault:
        return None, fault
    diagnosis = Diagnosis()
    cleaned = diagnosis.typed(manifest, kind)
    if diagnosis.problems:
        return None, str(diagnosis.problems[0])
    return (msgspec.convert(cleaned, kind, dec_hook=decode_hook), tuple(diagnosis.unknown)), ""


def _custom(manifest: Mapping[str, Any], resource: Resource) -> _Read:
    diagnosis = Diagnosis()
    metadata = without_zeros(diagnosis.metadata(manifest.get("metadata")), ObjectMeta)
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
