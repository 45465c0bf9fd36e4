"""CustomResourceDefinitions: what they may leave out, and what of them isn't allowed.

As apiextensions-apiserver's ``ValidateCustomResourceDefinition``. Its messages show that it keeps what all versions
have in common beside them: ``spec.validation`` is the schema of the only version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from reconciler.apiserver.crd_fields import read
from reconciler.apiserver.crd_formats import unrecognized
from reconciler.apiserver.crd_paths import field_at
from reconciler.apiserver.crd_structure import schema_problems
from reconciler.apiserver.policies.checks import client_problems
from state.errors import Problem, duplicate, forbidden, invalid, not_supported, required, too_many
from state.names import dns1035_label, dns1123_subdomain
from state.objects import AnyObject, CustomObject

Json = dict[str, Any]
_SCOPES, _STRATEGIES = ("Cluster", "Namespaced"), ("None", "Webhook")
#: What Kubernetes keeps beside versions that agree in it: its name there.
_COMMON = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEWS = ("v1", "v1beta1")
_MOST_SELECTABLE, _LONGEST_WARNING = 8, 256
_APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_MIXED = "may have mixed case, but should otherwise match: "
#: Where a custom resource may keep the parts of its scale.
_SCALE_PATHS = {
    "specReplicasPath": ("spec",),
    "statusReplicasPath": ("status",),
    "labelSelectorPath": ("spec", "status"),
}


class DefinitionKind:
    """The CustomResourceDefinitions themselves."""

    schema: Mapping[str, Any] | None = None

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body with what a definition may leave out.

        Raises:
            MistypedError: a value has a wrong type.
        """
        body, unknown = read(body)
        spec = body.get("spec") or {}
        names = dict(spec.get("names") or {})
        kind = names.get("kind") or ""
        if kind:
            names["listKind"] = names.get("listKind") or f"{kind}List"
            names["singular"] = names.get("singular") or kind.lower()
        conversion = spec.get("conversion", {"strategy": "None"})
        for version in spec.get("versions") or ():
            version.update({"served": version.get("served", False), "storage": version.get("storage", False)})
        service = (conversion.get("webhook") or {}).get("clientConfig", {}).get("service")
        if service is not None:
            service.setdefault("port", 443)
        return {**body, "spec": {**spec, "names": names, "conversion": conversion}}, unknown

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterator[Problem]:
        """What of a definition isn't allowed."""
        assert isinstance(new, CustomObject)
        body = new.body.value
        spec = body.get("spec") or {}
        name, group, names = new.metadata.name, spec.get("group", ""), spec.get("names") or {}
        for field, given in (("generateName", new.metadata.generate_name), ("name", name)):
            if given and given != f"{names.get('plural', '')}.{group}":
                yield invalid(f"metadata.{field}", given, 'must be spec.names.plural+"."+spec.group')
        before = old.body.value if isinstance(old, CustomObject) else {}
        yield from _spec_problems(spec, _unchanged(spec, before.get("spec") or {}))
        if isinstance(old, CustomObject):
            yield from _changes(spec, before)
        yield from _names_problems((body.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
        yield from _stored_problems(spec, body.get("status") if old is not None else None)
        approved = None if old is None else old.metadata.annotations.get(_APPROVAL)
        now = new.metadata.annotations.get(_APPROVAL, "")
        yield from _approval_problems(group, now, approved)
        if spec.get("preserveUnknownFields"):
            instead = "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
            yield invalid("spec.preserveUnknownFields", True, f"cannot set to true, {instead}")

    def warnings(self, new: AnyObject, old: AnyObject | None) -> Iterator[str]:
        """The formats in its schemas that nobody knows, unless they were there before."""
        known = set() if old is None else set(_formats(old))
        yield from (f'unrecognized format "{each}"' for each in _formats(new) if each not in known)


def _formats(definition: AnyObject) -> list[str]:
    assert isinstance(definition, CustomObject)
    schemas: list[Json] = []
    for version in definition.body.value["spec"].get("versions") or ():
        schema = _schema(version)
        if schema is not None and schema not in schemas:
            schemas.append(schema)
    return [name for schema in schemas for name in unrecognized(schema)]


def _label(value: str) -> str:
    """What keeps a text from being a label, all in one."""
    return ",".join(dns1035_label(value))


def _unchanged(spec: Json, before: Json) -> frozenset[str]:
    """The versions whose schemas were there before."""
    old = {each.get("name", ""): _schema(each) for each in before.get("versions") or ()}
    versions = spec.get("versions") or ()
    return frozenset(name for each in versions if (name := each.get("name", "")) in old and old[name] == _schema(each))


def _spec_problems(spec: Json, unchanged: frozenset[str]) -> Iterator[Problem]:
    group, versions = spec.get("group", ""), spec.get("versions") or []
    if not group:
        yield required("spec.group")
    elif dns1123_subdomain(group):
        yield invalid("spec.group", group, ",".join(dns1123_subdomain(group)))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    yield from _one_of("spec.scope", spec.get("scope", ""), _SCOPES)
    for index, version in enumerate(versions):
        if _schema(version) is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    common = {field for field in _COMMON if all(each.get(field) == versions[0].get(field) for each in versions)}
    yield from _versions_problems(versions, common, unchanged, given="versions" in spec)
    names = spec.get("names") or {}
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    yield from _names_problems(names, "spec.names")
    if versions:
        has_status = any("status" in (each.get("subresources") or {}) for each in versions)
        beside = {field: f"spec.{_COMMON[field]}" for field in common}
        yield from _parts_problems(versions[0], beside, unchanged, has_status=has_status)
    yield from _conversion_problems(spec.get("conversion") or {}, "spec.conversion")


def _schema(version: Json) -> Json | None:
    schema: Json | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _versions_problems(
    versions: list[Json], common: set[str], unchanged: frozenset[str], *, given: bool
) -> Iterator[Problem]:
    """What of the versions isn't allowed, except for what is common to them."""
    for index, version in enumerate(versions):
        where, name = f"spec.versions[{index}]", version.get("name", "")
        if _label(name):
            yield invalid(f"{where}.name", name, _label(name))
        yield from _deprecation_problems(version, f"{where}.deprecationWarning")
        own = {field: f"{where}.{field}" for field in _COMMON if field not in common}
        has_status = "status" in (version.get("subresources") or {})
        yield from _parts_problems(version, own, unchanged, has_status=has_status)
    names = [each.get("name", "") for each in versions]
    if len(set(names)) < len(names):
        yield invalid("spec.versions", _shown(versions, common), "must contain unique version names")
    if sum(each.get("storage") is True for each in versions) != 1:
        shown = _shown(versions, common) if given else None
        yield invalid("spec.versions", shown, "must have exactly one version marked as storage version")
    if versions and names[0] and _label(names[0]):
        yield invalid("spec.version", names[0], _label(names[0]))


def _one_of(path: str, value: str, known: Sequence[str]) -> Iterator[Problem]:
    if not value:
        yield required(path)
    elif value not in known:
        yield not_supported(path, value, known)


def _shown(versions: Sequence[Json], common: Iterable[str]) -> list[Json]:
    """Versions as messages show them, by their names in Go, without what is kept beside them."""
    fields = ("name", "served", "storage", "deprecated", "deprecationWarning", *_COMMON)
    empty: Json = {"name": "", "served": False, "storage": False, "deprecated": False}
    return [
        {
            f"{field[0].upper()}{field[1:]}": None if field in common else version.get(field, empty.get(field))
            for field in fields
        }
        for version in versions
    ]


def _deprecation_problems(version: Json, path: str) -> Iterator[Problem]:
    text = version.get("deprecationWarning")
    if text is None:
        return
    if not version.get("deprecated"):
        yield invalid(path, text, "can only be set for deprecated versions")
        return
    if len(text.encode()) > _LONGEST_WARNING:
        yield invalid(path, text, f"must be <= {_LONGEST_WARNING} characters long")
    if not text:
        yield invalid(path, text, "must not be an empty string")
    at = next((index for index, letter in enumerate(text) if not letter.isprintable()), None)
    if at is not None:
        why = f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
        yield invalid(path, text, why)


def _names_problems(names: Json, path: str) -> Iterator[Problem]:
    for field in ("plural", "singular", "kind", "listKind"):
        value, is_kind = names.get(field, ""), field.lower().endswith("kind")
        fault = _label(value.lower() if is_kind else value) if value else ""
        if fault:
            yield invalid(f"{path}.{field}", value, f"{_MIXED if is_kind else ''}{fault}")
    yield from _labels(names.get("shortNames") or (), f"{path}.shortNames")
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")
    yield from _labels(names.get("categories") or (), f"{path}.categories")


def _labels(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if _label(value):
            yield invalid(f"{path}[{index}]", value, _label(value))


# -- parts of versions -------------------------------------------------------------------------------------------------


def _parts_problems(
    version: Json, paths: Mapping[str, str], unchanged: frozenset[str], *, has_status: bool
) -> Iterator[Problem]:
    """What of some parts of a version isn't allowed; ``paths`` says of which, and where they are."""
    schema = _schema(version)
    if "schema" in paths and schema is not None:
        where, is_new = f"{paths['schema']}.openAPIV3Schema", version.get("name", "") not in unchanged
        yield from schema_problems(schema, where, has_status=has_status, is_new=is_new)
    if "subresources" in paths:
        yield from _scale_problems((version.get("subresources") or {}).get("scale"), f"{paths['subresources']}.scale")
    if "additionalPrinterColumns" in paths:
        for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
            yield from _column_problems(column, f"{paths['additionalPrinterColumns']}[{index}]")
    if "selectableFields" in paths:
        yield from _selectable_problems(version.get("selectableFields") or (), schema or {}, paths["selectableFields"])


def _scale_problems(scale: Json | None, path: str) -> Iterator[Problem]:
    if scale is None:
        return
    for field, places in _SCALE_PATHS.items():
        where, value = f"{path}.{field}", scale.get(field, "")
        if not value:
            if len(places) == 1:
                yield required(where)
        elif not value.startswith("."):
            yield invalid(where, value, "must be a simple json path starting with .")
        elif not value.startswith(tuple(f".{place}." for place in places)):
            either = "either " if len(places) > 1 else ""
            yield invalid(
                where, value, f"should be a json path under {either}{' or '.join(f'.{each}' for each in places)}"
            )


def _column_problems(column: Json, path: str) -> Iterator[Problem]:
    if not column.get("name"):
        yield required(f"{path}.name")
    kind, form, where = column.get("type"), column.get("format"), column.get("jsonPath")
    types = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not kind:
        yield required(f"{path}.type", types)
    elif kind not in _COLUMN_TYPES:
        yield invalid(f"{path}.type", kind, types)
    if form and form not in _COLUMN_FORMATS:
        yield invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    if not where:
        yield required(f"{path}.JSONPath")
    elif not where.startswith("."):
        yield invalid(f"{path}.JSONPath", where, "must be a simple json path starting with .")


def _selectable_problems(fields: Sequence[Json], schema: Json, path: str) -> Iterator[Problem]:
    seen: set[tuple[str, ...]] = set()
    for index, field in enumerate(fields):
        where, text = f"{path}[{index}].jsonPath", field.get("jsonPath", "")
        if not text:
            yield required(where)
            continue
        found = field_at(text, schema, has_quotes=False)
        if isinstance(found, str):
            yield invalid(where, text, f"is an invalid path: {found}")
            continue
        steps, inner = found
        if steps[0] == "metadata":
            yield invalid(where, text, "must not point to fields in metadata")
        if inner.get("type") not in ("string", "boolean", "integer"):
            kinds = "must point to a field of type string, boolean or integer. "
            yield invalid(where, text, f"{kinds}Enum string fields and strings with formats are allowed.")
        if steps in seen:
            yield duplicate(where, text)
        seen.add(steps)
    if len(seen) > _MOST_SELECTABLE:
        yield too_many(path, len(seen), _MOST_SELECTABLE)


def _conversion_problems(conversion: Json, path: str) -> Iterator[Problem]:
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook") or {}
    client, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    yield from _one_of(f"{path}.strategy", strategy, _STRATEGIES)
    where, versions = f"{path}.webhookClientConfig", f"{path}.conversionReviewVersions"
    if strategy != "Webhook":
        why = "should not be set when strategy is not set to Webhook"
        yield from (forbidden(at, why) for at, value in ((where, client), (versions, reviews)) if value)
        return
    if client is None:
        yield required(where, "required when strategy is set to Webhook")
    else:
        yield from client_problems(client, where)
    if not reviews:
        yield required(versions)
        return
    for index, review in enumerate(reviews):
        if review in reviews[:index]:
            yield invalid(f"{versions}[{index}]", review, "duplicate version")
        else:
            yield from (invalid(f"{versions}[{index}]", review, message) for message in dns1035_label(review))
    if not set(reviews) & set(_REVIEWS):
        yield invalid(versions, reviews, f"must include at least one of {', '.join(_REVIEWS)}")


# -- what goes beyond the spec -----------------------------------------------------------------------------------------


def _changes(spec: Json, before: Json) -> Iterator[Problem]:
    """Fields that don't change: some from the start, some once the definition is at work."""
    conditions = (before.get("status") or {}).get("conditions") or ()
    established = any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions)
    paths = ["group", "names.plural"]
    for path in (*(("scope", "names.kind") if established else ()), *paths):
        old, new = _at(before.get("spec") or {}, path), _at(spec, path)
        if old != new:
            yield invalid(f"spec.{path}", new, "field is immutable")


def _at(spec: Json, path: str) -> Any:
    value: Any = spec
    for name in path.split("."):
        value = (value or {}).get(name, "")
    return value


def _stored_problems(spec: Json, status: Json | None) -> Iterator[Problem]:
    """All versions that objects were ever stored in have to stay; a new definition has those that are marked."""
    path, versions = "status.storedVersions", spec.get("versions") or ()
    marked = [each.get("name", "") for each in versions if each.get("storage")]
    stored = [*((status or {}).get("storedVersions") or ())]
    stored += [name for name in marked[:1] if name not in stored]
    if not stored:
        yield invalid(path, None, "must have at least one stored version")
        return
    for name in marked:
        if name not in stored:
            yield invalid(path, stored, f"must have the storage version {name}")
    known = [each.get("name", "") for each in versions]
    for index, name in enumerate(stored):
        if name not in known:
            message = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                "spec.versions until a storage migration ensures no data remains persisted in "
                f"{name} and removes {name} from status.storedVersions"
            )
            yield invalid(f"{path}[{index}]", name, message)


def _approval_problems(group: str, approval: str, before: str | None) -> Iterator[Problem]:
    """Groups of the community need its word."""
    if not any(group == each or group.endswith(f".{each}") for each in _PROTECTED) or before == approval:
        return
    path, must = f"metadata.annotations[{_APPROVAL}]", f'protected groups must have approval annotation "{_APPROVAL}"'
    if not approval:
        yield required(path, f"{must}, {_SEE}")
        return
    parts = urlsplit(approval)
    if not approval.startswith("unapproved") and not (parts.scheme and parts.netloc):
        why = f'{must} with either a URL or a reason starting with "unapproved", {_SEE}'
        yield invalid(path, approval, why)
