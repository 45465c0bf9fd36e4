"""A request's body to an object, refused in the API server's words where it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from reconciler.apiserver.gojson import syntax_error
from reconciler.apiserver.gotypes import found, type_fault
from reconciler.apiserver.resources import Registry, Resource
from reconciler.apiserver.status import ApiError, bad_request
from reconciler.apiserver.zeros import without_zeros
from state.convert import PodSpecs, convert_fast
from state.diagnose import Diagnosis
from state.errors import Problem
from state.manifests import documents
from state.objects import AnyObject, CustomObject, ObjectMeta, Opaque, decode_hook
from state.served import SERVED

FieldValidation = Literal["Strict", "Warn", "Ignore"]
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
BODIES = (JSON, YAML, PROTOBUF)
#: Go's type that kind and version are read into.
_TYPE_META = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_SUMMARY_LENGTH = 30
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
    try:
        return orjson.loads(body) if content_type == JSON else _yaml(body)
    except (orjson.JSONDecodeError, UnicodeDecodeError) as error:
        fault = f"json parse error: {syntax_error(body) or error}"
    raise _unrecognized(kind, fault, body)


def part(data: Any, name: str, kind: str) -> dict[str, Any]:
    """A part of a small object that isn't read into a type: what ``data`` holds under a name, {} if nothing.

    Raises:
        ApiError: it is no map, or ``data`` itself isn't.
    """
    version = f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal'
    if not isinstance(data, dict):
        raise bad_request(f"{version} {found(data)} into Go value of type v1.{kind}")
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"{version} {found(value)} into Go struct field {kind}.{name}")
    return value


def _yaml(body: bytes) -> Any:
    found_document = next(iter(documents(body)), None)
    if found_document is None:
        return None
    if found_document.problem is not None:
        raise bad_request(f"error converting YAML to JSON: {found_document.problem}")
    return found_document.value


def _unrecognized(kind: str, fault: str, body: bytes) -> ApiError:
    shown = body[:_SUMMARY_LENGTH]
    summary = shown.decode("utf-8", "replace") if body[:1] == b"{" else shown.hex()
    if len(body) > _SUMMARY_LENGTH:
        summary += " ..."
    where = f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind"
    return bad_request(f"{where}; {fault} ({summary or '<empty>'})")


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
            fault = f"json parse error: json: cannot unmarshal {found(data)} into Go value of type {_TYPE_META}"
            raise _unrecognized(resource.kind, fault, body)
        return self.manifest(data, resource, validation)

    def manifest(self, data: dict[str, Any], resource: Resource, validation: FieldValidation = "Warn") -> Decoded:
        """The object of a manifest as plain data.

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
        unknown = [f'unknown field "{each.path}"' for each in result[1]]
        if unknown and validation == "Strict":
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {', '.join(unknown)}"
            )
        return Decoded(result[0], tuple(unknown) if validation == "Warn" else ())

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


def read(
    manifest: dict[str, Any], resource: Resource, *, sent: bool = False
) -> tuple[tuple[AnyObject, tuple[Problem, ...]] | None, str]:
    """The object of a manifest with its unknown fields, or Go's message about the first value of a wrong type.

    ``sent`` says that somebody else wrote it, and not ``wire``.
    """
    if resource.type is None:
        return _custom(manifest, resource)
    if sent:
        manifest = without_zeros(manifest, resource.type)
    quick = convert_fast(manifest, PodSpecs())
    if quick is not None:
        fault = type_fault(resource.type, manifest) if sent and _has_custom_scalars(resource) else ""
        return (None, fault) if fault else ((quick, ()), "")
    fault = type_fault(resource.type, manifest)
    if fault:
        return None, fault
    diagnosis = Diagnosis()
    cleaned = diagnosis.typed(manifest, resource.type)
    if diagnosis.problems:
        return None, str(diagnosis.problems[0])
    return (msgspec.convert(cleaned, resource.type, dec_hook=decode_hook), tuple(diagnosis.unknown)), ""


#: Kinds with values that Go checks while it decodes and a struct takes as any text: quantities, base64.
_CHECKED_WHILE_DECODED = frozenset(
    [
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Job",
        "LimitRange",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "ResourceQuota",
        "Secret",
        "StatefulSet",
        "CSIStorageCapacity",
    ]
)


def _has_custom_scalars(resource: Resource) -> bool:
    return resource.kind in _CHECKED_WHILE_DECODED


def _custom(
    manifest: Mapping[str, Any], resource: Resource
) -> tuple[tuple[AnyObject, tuple[Problem, ...]] | None, str]:
    diagnosis = Diagnosis()
    metadata = diagnosis.metadata(manifest.get("metadata"))
    body = diagnosis.plain(
        {name: value for name, value in manifest.items() if name not in {"apiVersion", "kind", "metadata"}}
    )
    if diagnosis.problems:
        return None, str(diagnosis.problems[0])
    unknown: list[str] = []
    if resource.custom is not None:
        body, unknown = resource.custom.completed(body)
    obj = CustomObject(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        metadata=msgspec.convert(metadata, ObjectMeta, dec_hook=decode_hook),
        body=Opaque(body),
    )
    return (obj, (*diagnosis.unknown, *map(Problem, unknown))), ""
