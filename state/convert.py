"""One manifest, as plain data, to one typed object: fast where it is right, thorough where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from state.diagnose import Diagnosis, found
from state.errors import NO_VALUE, InvalidObject, Problem, required, type_invalid
from state.kept import Remembered, exact
from state.objects import (
    KINDS,
    AnyObject,
    CustomObject,
    Object,
    ObjectMeta,
    Opaque,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    StatefulSet,
    decode_hook,
    replace,
)
from state.paths import Path, is_unicode
from state.served import why_unserved
from state.versions import current, upgrade
from state.yaml_reader import Trap

#: What happens to unknown fields and repeated keys: the object is refused; or they are dropped, with a warning or (as
#: with ``kubectl --validate=ignore``) without. Everything else that is wrong is always refused.
Validation = Literal["strict", "warn", "ignore"]
#: What the author of a manifest should know though it was taken: the place and a sentence.
Remark = tuple[str, str]

#: Different pod specs that are remembered at once.
_SPECS = 20_000
_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_NAMED_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
_BY_VERSION = {(kind.api_version, kind.name): kind.type for kind in KINDS.values()}


def _top_level(kind: type[Object]) -> frozenset[str]:
    return frozenset({"apiVersion", "kind", *(field.encode_name for field in msgspec.structs.fields(kind))})


# msgspec looks at the fields of a type when it first needs them, and a second thread that comes meanwhile would crash:
# the types are looked at here, once and for all
for _kind in KINDS.values():
    msgspec.json.Decoder(_kind.type, dec_hook=decode_hook)

#: The fields of a manifest by kind. Below them, the structs themselves refuse what they don't know.
_FIELDS = {kind.type: _top_level(kind.type) for kind in KINDS.values()}


class PodSpecs:
    """The pod specs seen so far, by their JSON, so that pods of one template share one spec and are read once."""

    def __init__(self, most: int = _SPECS) -> None:
        self._known = Remembered[bytes, PodSpec](most)

    def shared(self, spec: Any) -> PodSpec:
        """The typed spec. Specs that differ in their node alone share all that is in them.

        Raises:
            TypeError: the spec isn't plain JSON.
            msgspec.ValidationError: the spec isn't valid.
        """
        node = spec.get("nodeName") if isinstance(spec, dict) else None
        if not isinstance(node, str):
            return self._unbound(spec)
        return replace(self._unbound({key: item for key, item in spec.items() if key != "nodeName"}), node_name=node)

    def _unbound(self, spec: Any) -> PodSpec:
        text = orjson.dumps(spec, option=_PLAIN)
        known = self._known.get(text)
        if known is None:
            known = msgspec.convert(spec, PodSpec, dec_hook=decode_hook)
            self._known[exact(text)] = known
        return known


def convert_fast(manifest: dict[str, Any], specs: PodSpecs) -> AnyObject | None:
    """The object of a manifest that is right in every way and of a typed kind; None leaves it to the other one."""
    try:
        kind = _BY_VERSION.get((manifest["apiVersion"], manifest["kind"]))
        if kind is None or not manifest.keys() <= _FIELDS[kind]:
            return None
        orjson.dumps(manifest, option=_PLAIN)  # msgspec alone would take sets and text that can't be written
        if kind is Pod and "spec" in manifest:
            manifest = {**manifest, "spec": specs.shared(manifest["spec"])}
        elif kind is StatefulSet and not _templates_are_right(manifest):
            return None
        return msgspec.convert(manifest, kind, dec_hook=decode_hook)
    except (KeyError, TypeError, msgspec.ValidationError):
        return None  # ``convert_thoroughly`` finds out what is wrong, and all of it


def _templates_are_right(manifest: dict[str, Any]) -> bool:
    """Whether the claim templates, the only objects within an object, have no unknown fields and are claims."""
    spec = manifest.get("spec")
    claim = PersistentVolumeClaim
    return all(
        template.keys() <= _FIELDS[claim]
        and template.get("kind", claim.kind) == claim.kind
        and template.get("apiVersion", claim.api_version) == claim.api_version
        for template in (spec.get("volumeClaimTemplates", ()) if isinstance(spec, dict) else ())
        if isinstance(template, dict)
    )


class Conversion(NamedTuple):
    """An object, and what the author of its manifest should know."""

    object: AnyObject
    remarks: tuple[Remark, ...]


def convert_thoroughly(
    manifest: object, validation: Validation = "strict", traps: Mapping[Path, Trap] | None = None
) -> Conversion:
    """The object of any manifest: also of an old version, of a kind without a type, or with nulls.

    ``traps`` are as in ``state.yaml_reader``, None if the manifest isn't from YAML.

    Raises:
        InvalidObject: with everything that is wrong with it.
    """
    fields = _identified(manifest)
    upgraded = upgrade(fields)
    remarks: tuple[Remark, ...] = ()
    if upgraded is not None:
        fields, remarks = upgraded
    else:
        reason = why_unserved(fields["apiVersion"], fields["kind"])
        if reason is not None:
            raise InvalidObject([Problem("apiVersion", reason, "NotSupported", fields["apiVersion"])])
    diagnosis = Diagnosis(traps)
    kind = _BY_VERSION.get((fields["apiVersion"], fields["kind"]))
    obj: AnyObject | None
    if kind is None:
        obj = _custom(fields, diagnosis)
    else:
        cleaned = diagnosis.typed(fields, kind)
        obj = None if diagnosis.problems else _typed(cleaned, kind)
    unknown = diagnosis.unknown
    problems = [*diagnosis.problems, *unknown] if validation == "strict" else diagnosis.problems
    if problems or obj is None:
        raise InvalidObject(problems)
    if validation == "warn":
        remarks += tuple((problem.path, problem.message) for problem in unknown)
    return Conversion(obj, remarks)


def _identified(manifest: object) -> dict[str, Any]:
    """The manifest as a dict that has a version and a kind."""
    if not isinstance(manifest, Mapping):
        raise InvalidObject(
            [type_invalid("", NO_VALUE, f"must be an object with apiVersion and kind, not {found(manifest)}")]
        )
    problems = []
    for name in ("apiVersion", "kind"):
        value = manifest.get(name)
        if value is None or value == "":
            problems.append(required(name))
        elif not isinstance(value, str):
            problems.append(type_invalid(name, NO_VALUE, f"must be a string, not {found(value)}"))
        elif not is_unicode(value):
            problems.append(type_invalid(name, NO_VALUE, "must be valid Unicode, without lone surrogates"))
    if problems:
        raise InvalidObject(problems)
    return dict(manifest)


def _typed(cleaned: dict[str, Any], kind: type[Object]) -> AnyObject:
    try:
        return msgspec.convert(cleaned, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:  # a fault that the diagnosis doesn't know; better told roughly than lost
        raise InvalidObject([type_invalid("", NO_VALUE, str(error))]) from error


def _custom(fields: dict[str, Any], diagnosis: Diagnosis) -> CustomObject | None:
    """An object that nothing here interprets; only its metadata is looked at."""
    metadata = diagnosis.metadata(fields.get("metadata"))
    if not metadata.get("name") and not metadata.get("generateName"):
        diagnosis.problems.append(required("metadata.name", "name or generateName is required"))
    body = diagnosis.plain({name: value for name, value in fields.items() if name not in _NAMED_FIELDS})
    if diagnosis.problems:
        return None
    return CustomObject(
        api_version=fields["apiVersion"],
        kind=fields["kind"],
        metadata=msgspec.convert(metadata, ObjectMeta, dec_hook=decode_hook),
        body=Opaque(body),
    )


def snapshot_kind(api_version: str, kind: str) -> str:
    """The name under which a snapshot would keep objects of this kind (as ``state.objects.kind_key`` of an object)."""
    api_version = current(api_version, kind)
    if (api_version, kind) in _BY_VERSION:
        return kind
    group = api_version.rpartition("/")[0]
    return f"{kind}.{group}" if group else kind
