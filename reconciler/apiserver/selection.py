"""Which objects a request means: label and field selectors, with the fields that each kind can be selected by."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import bad_request
from state.objects import AnyObject, CustomObject
from state.selectors import Selector, SelectorError, parse

#: Fields beside metadata.name and metadata.namespace, by table; in JSON names.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Job": ("status.successful",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "ReplicationController": ("status.replicas",),
    "Secret": ("type",),
    "Service": ("spec.clusterIP", "spec.type"),
    "CertificateSigningRequest.certificates.k8s.io": ("spec.signerName",),
}
#: How the refusal of another field is worded; others say it as ``_DEFAULT_REFUSAL``.
_REFUSALS: dict[str, str] = {
    **dict.fromkeys(
        ("Event", "Namespace", "Node", "Pod", "ReplicationController", "Secret", "Service"),
        "field label not supported: {field}",
    ),
    "Job": 'field label "{field}" not supported for batchv1.Job',
}
_DEFAULT_REFUSAL = '"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
_CUSTOM_REFUSAL = "field label not supported: {field}"
_CLUSTER_SCOPED_ONLY_NAME = frozenset({"Namespace", "Node"})
#: One condition, up to a comma that isn't escaped; and what stands between its field and its value.
_PART, _OPERATOR = re.compile(r"(?:\\.|[^,])+", re.DOTALL), re.compile("!=|==|=")
_BOOLEANS = frozenset({"spec.unschedulable", "spec.hostNetwork"})


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One condition on one field."""

    field: str
    value: str
    equal: bool

    def matches(self, obj: AnyObject) -> bool:
        """Whether the object meets it."""
        return (self.value in field_values(obj, self.field)) == self.equal


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request selects."""

    labels: Selector
    fields: tuple[FieldTerm, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.labels.requirements and not self.fields

    def matches(self, obj: AnyObject) -> bool:
        """Whether the object is meant."""
        return self.labels.matches(obj.metadata.labels) and all(term.matches(obj) for term in self.fields)

    @property
    def name(self) -> str | None:
        """The one name that can match, if there is only one."""
        names = [term.value for term in self.fields if term.field == "metadata.name" and term.equal]
        return names[0] if names else None


EVERYTHING = Selection(Selector())


def selection(resource: Resource, labels: str, fields: str) -> Selection:
    """Reads the selectors of a request.

    Raises:
        ApiError: they make no sense, or name a field that the kind can't be selected by.
    """
    if not labels and not fields:
        return EVERYTHING
    try:
        by_label = parse(labels)
    except SelectorError as error:
        raise bad_request(str(error)) from error
    return Selection(by_label, tuple(_terms(resource, fields)))


def _terms(resource: Resource, text: str) -> list[FieldTerm]:
    terms = []
    for part in _PART.findall(text):
        found = _OPERATOR.search(part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, value = part[: found.start()], _unescaped(part[found.end() :])
        _check(resource, field)
        terms.append(FieldTerm(field, value, found[0] != "!="))
    return terms


def _unescaped(text: str) -> str:
    """The value of a term; commas, equal signs and backslashes in it are escaped by backslashes."""
    result, letters = [], iter(text)
    for letter in letters:
        if letter == "\\":
            escaped = next(letters, "")
            if not escaped or escaped not in "\\,=":
                raise bad_request(f"invalid field selector: invalid escape sequence: {letter}{escaped}")
            result.append(escaped)
        elif letter in ",=":
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(letter)}")
        else:
            result.append(letter)
    return "".join(result)


def _check(resource: Resource, field: str) -> None:
    if field in _known(resource):
        return
    refusal = _CUSTOM_REFUSAL if resource.is_custom else _REFUSALS.get(resource.table, _DEFAULT_REFUSAL)
    raise bad_request(refusal.format(field=field))


def _known(resource: Resource) -> set[str]:
    """The fields that a resource can be selected by."""
    table = resource.table
    known = {"metadata.name", *_FIELDS.get(table, ()), *resource.selectable}
    if table not in _CLUSTER_SCOPED_ONLY_NAME and (resource.namespaced or not resource.is_custom):
        known.add("metadata.namespace")
    return known


def field_values(obj: AnyObject, field: str) -> tuple[str, ...]:
    """What an object has in a field that it can be selected by, as text; several for a list."""
    special = _SPECIAL.get(field)
    if special is not None:
        return special(obj)
    value: Any = obj
    for part in field.split("."):
        if isinstance(value, CustomObject) and part != "metadata":
            value = value.body.value
        if isinstance(value, dict):
            value = value.get(part)
        elif value is not None:
            value = getattr(value, _ATTRIBUTES.get(part, part), None)
    if isinstance(value, bool) or (value is None and field in _BOOLEANS):
        return ("true" if value else "false",)
    return ("",) if value is None else (str(value),)


_ATTRIBUTES = {
    "apiVersion": "api_version",
    "clusterIP": "cluster_ip",
    "fieldPath": "field_path",
    "hostNetwork": "host_network",
    "involvedObject": "involved_object",
    "nodeName": "node_name",
    "nominatedNodeName": "nominated_node_name",
    "podIP": "pod_ip",
    "reportingComponent": "reporting_component",
    "resourceVersion": "resource_version",
    "restartPolicy": "restart_policy",
    "schedulerName": "scheduler_name",
    "serviceAccountName": "service_account_name",
}


def _pod_ips(obj: AnyObject) -> tuple[str, ...]:
    status = getattr(obj, "status", None)
    return tuple(each.ip for each in getattr(status, "pod_ips", ())) or ("",)


def _source(obj: AnyObject) -> tuple[str, ...]:
    source = getattr(obj, "source", None)
    component = getattr(source, "component", None) or getattr(obj, "reporting_component", None)
    return (component or "",)


def _successful(obj: AnyObject) -> tuple[str, ...]:
    return (str(getattr(getattr(obj, "status", None), "succeeded", None) or 0),)


def _replicas(obj: AnyObject) -> tuple[str, ...]:
    return (str(getattr(getattr(obj, "status", None), "replicas", None) or 0),)


_SPECIAL: dict[str, Callable[[AnyObject], tuple[str, ...]]] = {
    "source": _source,
    "status.podIPs": _pod_ips,
    "status.replicas": _replicas,
    "status.successful": _successful,
}
