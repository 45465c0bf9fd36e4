"""Built-in kinds about the server itself (admission, flow control, certificates, devices), in kubectl's columns.

Most columns are what stands at a path of the object. Nothing is supposed about what it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.printers.cells import NONE, UNSET, since
from reconciler.printers.columns import Columns, columns
from state.objects import CustomObject
from state.times import human_duration

Cell = Callable[[dict[str, Any]], str]


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _path(path: str, absent: str = NONE) -> Cell:
    def cell(body: dict[str, Any]) -> str:
        found = _at(body, path)
        return absent if found is None or found == "" else str(found)

    return cell


def _count(path: str) -> Cell:
    return lambda body: str(len(_at(body, path) or ()))


def _table(headers: str, *cells: Cell) -> Columns:
    """Columns of name, what ``cells`` find, and age where ``headers`` has it."""
    names = headers.split(",")

    def row(obj: CustomObject, now: int) -> tuple[str, ...]:
        rest = iter(cells)
        told = {"NAME": obj.metadata.name, "AGE": since(obj.metadata.creation_timestamp, now)}
        return tuple(told[name] if name in told else next(rest)(obj.body.value) for name in names)

    return columns(headers, row)


def _param_kind(body: dict[str, Any]) -> str:
    kind = _at(body, "spec.paramKind")
    return f"{_at(kind, 'apiVersion')}/{_at(kind, 'kind')}" if kind else UNSET


def _param_ref(body: dict[str, Any]) -> str:
    ref = _at(body, "spec.paramRef")
    if not ref:
        return UNSET
    name, namespace = _at(ref, "name") or "*", _at(ref, "namespace")
    return f"{namespace}/{name}" if namespace else str(name)


def _dangling(body: dict[str, Any]) -> str:
    conditions = _at(body, "status.conditions") or ()
    return next((str(_at(each, "status")) for each in conditions if _at(each, "type") == "Dangling"), "?")


def _shares(body: dict[str, Any]) -> str:
    return _path(f"spec.{'exempt' if _at(body, 'spec.type') == 'Exempt' else 'limited'}.nominalConcurrencyShares")(body)


def _duration(body: dict[str, Any]) -> str:
    seconds = _at(body, "spec.expirationSeconds")
    return human_duration(seconds * 1_000_000) if isinstance(seconds, int) else NONE


def _request_state(body: dict[str, Any]) -> str:
    kinds = {_at(each, "type") for each in _at(body, "status.conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    failed = ",Failed" if "Failed" in kinds else ""
    return f"{state}{failed}{',Issued' if _at(body, 'status.certificate') else ''}"


def _service(body: dict[str, Any]) -> str:
    service = _at(body, "spec.service")
    return f"{_at(service, 'namespace')}/{_at(service, 'name')}" if service else "Local"


def _available(body: dict[str, Any]) -> str:
    found = next((each for each in _at(body, "status.conditions") or () if _at(each, "type") == "Available"), None)
    if found is None:
        return "Unknown"
    status, reason = str(_at(found, "status")), _at(found, "reason")
    return status if status == "True" else f"{status} ({reason})"


def _parent(body: dict[str, Any]) -> str:
    ref = _at(body, "spec.parentRef")
    group, namespace = _at(ref, "group"), _at(ref, "namespace")
    kind = f"{_at(ref, 'resource')}{f'.{group}' if group else ''}"
    return f"{kind}/{f'{namespace}/' if namespace else ''}{_at(ref, 'name')}"


def _claim_state(body: dict[str, Any]) -> str:
    states = (("allocation", "allocated"), ("reservedFor", "reserved"))
    return ",".join(word for name, word in states if _at(body, f"status.{name}")) or "pending"


def _cidrs(body: dict[str, Any]) -> str:
    return ",".join(map(str, _at(body, "spec.cidrs") or ()))


_ADMISSION, _FLOW, _DEVICES = "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io"
_QUEUING = "spec.limited.limitResponse.queuing"
_WEBHOOKS = _table("NAME,WEBHOOKS,AGE", _count("webhooks"))
_POLICY_BINDING = _table("NAME,POLICYNAME,PARAMREF,AGE", _path("spec.policyName"), _param_ref)

PRINTERS: dict[str, Columns] = {
    "APIService.apiregistration.k8s.io": _table("NAME,SERVICE,AVAILABLE,AGE", _service, _available),
    "CertificateSigningRequest.certificates.k8s.io": _table(
        "NAME,AGE,SIGNERNAME,REQUESTOR,REQUESTEDDURATION,CONDITION",
        _path("spec.signerName"),
        _path("spec.username", ""),
        _duration,
        _request_state,
    ),
    f"FlowSchema.{_FLOW}": _table(
        "NAME,PRIORITYLEVEL,MATCHINGPRECEDENCE,DISTINGUISHERMETHOD,AGE,MISSINGPL",
        _path("spec.priorityLevelConfiguration.name", ""),
        _path("spec.matchingPrecedence", "0"),
        _path("spec.distinguisherMethod.type"),
        _dangling,
    ),
    "IPAddress.networking.k8s.io": _table("NAME,PARENTREF", _parent),
    f"MutatingAdmissionPolicy.{_ADMISSION}": _table(
        "NAME,MUTATIONS,PARAMKIND,AGE", _count("spec.mutations"), _param_kind
    ),
    f"MutatingAdmissionPolicyBinding.{_ADMISSION}": _POLICY_BINDING,
    f"MutatingWebhookConfiguration.{_ADMISSION}": _WEBHOOKS,
    f"PriorityLevelConfiguration.{_FLOW}": _table(
        "NAME,TYPE,NOMINALCONCURRENCYSHARES,QUEUES,HANDSIZE,QUEUELENGTHLIMIT,AGE",
        _path("spec.type", ""),
        _shares,
        *(_path(f"{_QUEUING}.{name}") for name in ("queues", "handSize", "queueLengthLimit")),
    ),
    f"DeviceClass.{_DEVICES}": _table("NAME,AGE"),
    f"ResourceClaim.{_DEVICES}": _table("NAME,STATE,AGE", _claim_state),
    f"ResourceClaimTemplate.{_DEVICES}": _table("NAME,AGE"),
    f"ResourceSlice.{_DEVICES}": _table(
        "NAME,NODE,DRIVER,POOL,AGE", _path("spec.nodeName", UNSET), _path("spec.driver"), _path("spec.pool.name", "")
    ),
    "ServiceCIDR.networking.k8s.io": _table("NAME,CIDRS,AGE", _cidrs),
    f"ValidatingAdmissionPolicy.{_ADMISSION}": _table(
        "NAME,VALIDATIONS,PARAMKIND,AGE", _count("spec.validations"), _param_kind
    ),
    f"ValidatingAdmissionPolicyBinding.{_ADMISSION}": _POLICY_BINDING,
    f"ValidatingWebhookConfiguration.{_ADMISSION}": _WEBHOOKS,
    "VolumeAttributesClass.storage.k8s.io": _table("NAME,DRIVERNAME,AGE", _path("driverName", "")),
}
