"""Built-in kinds about the server itself (admission, flow control, certificates, devices), in kubectl's columns."""

from __future__ import annotations

from typing import Any

from reconciler.printers.bodies import amount, at, condition, items, number, path, table, text
from reconciler.printers.cells import NONE, UNSET
from reconciler.printers.columns import Columns, columns
from state.objects import CustomObject
from state.times import human_duration


def _param_kind(body: dict[str, Any]) -> str:
    kind = at(body, "spec.paramKind")
    return f"{at(kind, 'apiVersion')}/{at(kind, 'kind')}" if kind else UNSET


def _param_ref(body: dict[str, Any]) -> str:
    """What a binding's parameters are called; ``*`` for the namespace of whatever is admitted."""
    ref = at(body, "spec.paramRef")
    if text(at(ref, "name"), ""):
        return f"{text(at(ref, 'namespace'), '*')}/{at(ref, 'name')}"
    selected = at(ref, "selector")
    return UNSET if selected is None else _go_selector(selected)


def _go_selector(selected: Any) -> str:
    """A label selector as Go prints the struct, which is what Kubernetes shows here."""
    labels = at(selected, "matchLabels")
    pairs = sorted(labels.items()) if isinstance(labels, dict) else []
    expressions = [
        "LabelSelectorRequirement{"
        f"Key:{text(at(each, 'key'), '')},Operator:{text(at(each, 'operator'), '')},"
        f"Values:[{' '.join(map(str, items(each, 'values')))}],}}"
        for each in items(selected, "matchExpressions")
    ]
    shown = "".join(f"{name}: {value}," for name, value in pairs)
    listed = "".join(f"{each}," for each in expressions)
    labels_told, expressions_told = f"map[string]string{{{shown}}}", f"[]LabelSelectorRequirement{{{listed}}}"
    return f"&LabelSelector{{MatchLabels:{labels_told},MatchExpressions:{expressions_told},}}"


def _dangling(body: dict[str, Any]) -> str:
    return text(at(condition(body, "Dangling"), "status"), "?")


def _precedence(obj: CustomObject) -> tuple[int, str]:
    found = at(obj.body.value, "spec.matchingPrecedence")
    return found if isinstance(found, int) else 0, obj.metadata.name


def _duration(body: dict[str, Any]) -> str:
    seconds = at(body, "spec.expirationSeconds")
    return human_duration(seconds * 1_000_000) if isinstance(seconds, int) else NONE


def _request_state(body: dict[str, Any]) -> str:
    kinds = {at(each, "type") for each in items(body, "status.conditions")}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    failed = ",Failed" if "Failed" in kinds else ""
    return f"{state}{failed}{',Issued' if at(body, 'status.certificate') else ''}"


def _service(body: dict[str, Any]) -> str:
    service = at(body, "spec.service")
    return f"{at(service, 'namespace')}/{at(service, 'name')}" if service else "Local"


def _available(body: dict[str, Any]) -> str:
    found = condition(body, "Available")
    if found is None:
        return "Unknown"
    status, reason = str(at(found, "status")), at(found, "reason")
    return status if status == "True" else f"{status} ({reason})"


def _parent(body: dict[str, Any]) -> str:
    ref = at(body, "spec.parentRef")
    if ref is None:
        return NONE
    group, namespace = at(ref, "group"), at(ref, "namespace")
    kind = f"{at(ref, 'resource')}{f'.{group}' if group else ''}".lower()
    return f"{kind}/{f'{namespace}/' if namespace else ''}{at(ref, 'name')}"


def _claim(obj: CustomObject, _: int) -> tuple[str]:
    status, is_deleted = at(obj.body.value, "status"), obj.metadata.deletion_timestamp is not None
    is_allocated = bool(at(status, "allocation"))
    words = {
        "deleted": is_deleted,
        "pending": not (is_allocated or is_deleted),
        "allocated": is_allocated,
        "reserved": is_allocated and bool(items(status, "reservedFor")),
    }
    return (",".join(word for word, holds in words.items() if holds),)


def _cidrs(body: dict[str, Any]) -> str:
    return ",".join(map(str, items(body, "spec.cidrs")))


_ADMISSION, _FLOW, _DEVICES = "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io"
_QUEUING = "spec.limited.limitResponse.queuing"
_WEBHOOKS = table("Name,Webhooks:integer,Age", amount("webhooks"))
_POLICY_BINDING = table("Name,PolicyName,ParamRef,Age", path("spec.policyName", ""), _param_ref)

PRINTERS: dict[str, Columns] = {
    "APIService.apiregistration.k8s.io": table("Name,Service,Available,Age", _service, _available),
    "CertificateSigningRequest.certificates.k8s.io": table(
        "Name,Age,SignerName,Requestor,RequestedDuration,Condition",
        path("spec.signerName"),
        path("spec.username", ""),
        _duration,
        _request_state,
    ),
    f"FlowSchema.{_FLOW}": table(
        "Name,PriorityLevel,MatchingPrecedence,DistinguisherMethod,Age,MissingPL",
        path("spec.priorityLevelConfiguration.name", ""),
        number("spec.matchingPrecedence"),
        path("spec.distinguisherMethod.type"),
        _dangling,
        order=_precedence,
    ),
    "IPAddress.networking.k8s.io": table("Name,ParentRef", _parent),
    f"MutatingAdmissionPolicy.{_ADMISSION}": table(
        "Name,Mutations:integer,ParamKind,Age", amount("spec.mutations"), _param_kind
    ),
    f"MutatingAdmissionPolicyBinding.{_ADMISSION}": _POLICY_BINDING,
    f"MutatingWebhookConfiguration.{_ADMISSION}": _WEBHOOKS,
    f"PriorityLevelConfiguration.{_FLOW}": table(
        "Name,Type,NominalConcurrencyShares,Queues,HandSize,QueueLengthLimit,Age",
        path("spec.type", ""),
        number("spec.limited.nominalConcurrencyShares", NONE),
        *(number(f"{_QUEUING}.{name}", NONE) for name in ("queues", "handSize", "queueLengthLimit")),
    ),
    f"DeviceClass.{_DEVICES}": table("Name,Age"),
    f"ResourceClaim.{_DEVICES}": columns("Name,State,Age", _claim),
    f"ResourceClaimTemplate.{_DEVICES}": table("Name,Age"),
    f"ResourceSlice.{_DEVICES}": table(
        "Name,Node,Driver,Pool,Age", path("spec.nodeName", UNSET), path("spec.driver", ""), path("spec.pool.name", "")
    ),
    "ServiceCIDR.networking.k8s.io": table("Name,CIDRs,Age", _cidrs),
    f"ValidatingAdmissionPolicy.{_ADMISSION}": table(
        "Name,Validations:integer,ParamKind,Age", amount("spec.validations"), _param_kind
    ),
    f"ValidatingAdmissionPolicyBinding.{_ADMISSION}": _POLICY_BINDING,
    f"ValidatingWebhookConfiguration.{_ADMISSION}": _WEBHOOKS,
    "VolumeAttributesClass.storage.k8s.io": table("Name,DriverName,Age", path("driverName", "")),
}
