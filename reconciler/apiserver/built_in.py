"""Built-in kinds that have no type in ``state.objects``: their fields, and the defaults of what they leave out.

Fields come from Kubernetes' messages, checks from ``state.validation.plain``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from reconciler.apiserver.messages import cleaned
from state.errors import Problem
from state.objects import AnyObject, CustomObject
from state.validation.plain import plain_changes, plain_problems
from state.validation.updates import Parts, finalizer_problems
from state.warnings.plain import plain_warnings

Json = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class BuiltInKind:
    """One such kind, by the name of its message."""

    message: str
    #: Its OpenAPI schema is made from its message (``openapi_untyped``).
    schema: None = None

    @property
    def _kind(self) -> str:
        return self.message.rpartition(".")[2]

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body, of which every value has the right type, with its defaults and without unknown fields; and the
        paths of those.
        """
        unknown: list[str] = []
        body = cleaned(self.message, body, unknown)
        complete = _DEFAULTS.get(self._kind)
        return body if complete is None else complete(body), unknown

    def warnings(self, new: AnyObject, old: AnyObject | None) -> Iterable[str]:
        """What is said of an object that is taken all the same."""
        return plain_warnings(self._kind, _fields(new), is_new=old is None)

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterator[Problem]:
        """What of an object isn't allowed, or not as a change of the old one."""
        yield from finalizer_problems(new)
        yield from self._problems_of(_fields(new))
        if old is not None:
            yield from plain_changes(self._kind, _fields(new), _fields(old))

    def parts(self, new: AnyObject, old: AnyObject) -> Parts:
        """What of a changed object's own fields isn't allowed, and what of their changes."""
        now, before = _fields(new), _fields(old)
        return Parts(tuple(self._problems_of(now)), plain_changes(self._kind, now, before))

    def _problems_of(self, fields: Json) -> Iterator[Problem]:
        yield from plain_problems(self._kind, fields)
        check = _CHECKS.get(self._kind)
        if check is not None:
            yield from check(fields)


def _fields(obj: AnyObject) -> Json:
    """The object's own fields, and what of its metadata they are checked with."""
    assert isinstance(obj, CustomObject)
    meta = obj.metadata
    return {**obj.body.value, "metadata": {"name": meta.name, "annotations": dict(meta.annotations)}}


#: Checks of kinds that ``policies`` interprets.
def _of_admission(name: str) -> Callable[[Json], Iterable[Problem]]:
    """A check that brings a whole language with it: loaded when it is needed."""

    def check(body: Json) -> Iterable[Problem]:
        found: Iterable[Problem] = getattr(import_module("reconciler.apiserver.policies.checks"), name)(body)
        return found

    return check


_CHECKS: dict[str, Callable[[Json], Iterable[Problem]]] = {
    "DeviceClass": _of_admission("class_selector_problems"),
    "MutatingWebhookConfiguration": _of_admission("webhook_problems"),
    "MutatingAdmissionPolicy": _of_admission("mutating_problems"),
    "MutatingAdmissionPolicyBinding": _of_admission("mutating_binding_problems"),
    "ResourceClaim": _of_admission("claim_selector_problems"),
    "ResourceClaimTemplate": _of_admission("template_selector_problems"),
    "ValidatingAdmissionPolicy": _of_admission("policy_problems"),
    "ValidatingAdmissionPolicyBinding": _of_admission("binding_problems"),
    "ValidatingWebhookConfiguration": _of_admission("webhook_problems"),
}


# -- defaults ----------------------------------------------------------------------------------------------------------


def _with_each(holder: Json, name: str, defaults: Json) -> Json:
    """The holder with defaults in each item of one of its lists."""
    return {**holder, name: [{**defaults, **item} for item in holder[name]]} if holder.get(name) else holder


def _binding(body: Json) -> Json:
    if "subjects" in body:
        groups = {"User": _RBAC, "Group": _RBAC}
        body = {
            **body,
            "subjects": [
                {"kind": item.get("kind"), "apiGroup": groups[item["kind"]], **item}
                if item.get("kind") in groups
                else item
                for item in body["subjects"]
            ],
        }
    role = body.get("roleRef", {})
    return {**body, "roleRef": {**role, "apiGroup": role.get("apiGroup") or _RBAC}}


def _ingress_class(body: Json) -> Json:
    parameters = body.get("spec", {}).get("parameters")
    if parameters is None:
        return body
    return {**body, "spec": {**body["spec"], "parameters": {"scope": "Cluster", **parameters}}}


def _network_policy(body: Json) -> Json:
    spec = {"podSelector": {}, **body.get("spec", {})}
    for rules in ("ingress", "egress"):
        if rules in spec:
            spec[rules] = [_with_each(rule, "ports", {"protocol": "TCP"}) for rule in spec[rules]]
    return {**body, "spec": {**spec, "policyTypes": spec.get("policyTypes") or _policy_types(spec)}}


def _policy_types(spec: Json) -> list[str]:
    return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _autoscaler(body: Json) -> Json:
    usual = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    spec = {"minReplicas": 1, **body.get("spec", {})}
    spec["metrics"] = spec.get("metrics") or [usual]
    if "behavior" in spec:
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        up = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, percent]}
        given = spec["behavior"]
        spec["behavior"] = {
            "scaleUp": {"selectPolicy": "Max", **up, **given.get("scaleUp", {})},
            "scaleDown": {"selectPolicy": "Max", "policies": [percent], **given.get("scaleDown", {})},
        }
    return {**body, "spec": spec}


_HOOK = {
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "timeoutSeconds": 10,
}


def _webhooks(extra: Json) -> Callable[[Json], Json]:
    def complete(body: Json) -> Json:
        body = _with_each(body, "webhooks", {**_HOOK, **extra})
        hooks = [_with_port(_with_each(hook, "rules", {"scope": "*"})) for hook in body.get("webhooks", ())]
        return {**body, "webhooks": hooks} if hooks else body

    return complete


def _admission_policy(body: Json) -> Json:
    return _matching({**body, "spec": {"failurePolicy": "Fail", **body.get("spec", {})}}, "matchConstraints")


def _matching(body: Json, name: str) -> Json:
    """With the defaults of what a policy or a binding is about."""
    spec = body.get("spec", {})
    if name not in spec:
        return body
    match = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, **spec[name]}
    for rules in ("resourceRules", "excludeResourceRules"):
        match = _with_each(match, rules, {"scope": "*"})
    return {**body, "spec": {**spec, name: match}}


def _with_port(hook: Json) -> Json:
    client = hook.get("clientConfig") or {}
    if "service" not in client:
        return hook
    return {**hook, "clientConfig": {**client, "service": {"port": 443, **client["service"]}}}


def _flow_schema(body: Json) -> Json:
    spec = body.get("spec", {})
    return {**body, "spec": {**spec, "matchingPrecedence": spec.get("matchingPrecedence") or 1000}}


def _priority_level(body: Json) -> Json:
    spec = dict(body.get("spec", {}))
    if spec.get("type") == "Exempt":
        spec["exempt"] = {"nominalConcurrencyShares": 0, "lendablePercent": 0, **spec.get("exempt", {})}
    if "limited" in spec:
        limited = {"nominalConcurrencyShares": 30, "lendablePercent": 0, **spec["limited"]}
        response = limited.get("limitResponse", {})
        if "queuing" in response:
            given = {name: value for name, value in response["queuing"].items() if value}
            response = {**response, "queuing": {"queues": 64, "handSize": 8, "queueLengthLimit": 50, **given}}
            limited["limitResponse"] = response
        spec["limited"] = limited
    return {**body, "spec": spec}


def _wanted_devices(request: Json) -> Json:
    mode = request.get("allocationMode") or "ExactCount"
    counted = {"count": request.get("count") or 1} if mode == "ExactCount" else {}
    return _with_each({**request, "allocationMode": mode, **counted}, "tolerations", {"operator": "Equal"})


def _device_request(request: Json) -> Json:
    if request.get("exactly") is not None:
        request = {**request, "exactly": _wanted_devices(request["exactly"])}
    if request.get("firstAvailable"):
        request = {**request, "firstAvailable": [_wanted_devices(each) for each in request["firstAvailable"]]}
    return request


def _device_claim(body: Json) -> Json:
    spec = body.get("spec", {})
    devices = spec.get("devices", {})
    if not devices.get("requests"):
        return body
    devices = {**devices, "requests": [_device_request(each) for each in devices["requests"]]}
    return {**body, "spec": {**spec, "devices": devices}}


_DEFAULTS: dict[str, Callable[[Json], Json]] = {
    "ClusterRoleBinding": _binding,
    "FlowSchema": _flow_schema,
    "HorizontalPodAutoscaler": _autoscaler,
    "IngressClass": _ingress_class,
    "MutatingWebhookConfiguration": _webhooks({"reinvocationPolicy": "Never"}),
    "NetworkPolicy": _network_policy,
    "PriorityLevelConfiguration": _priority_level,
    "ResourceClaim": _device_claim,
    "ResourceClaimTemplate": lambda body: {**body, "spec": _device_claim(body.get("spec", {}))},
    "RoleBinding": _binding,
    "MutatingAdmissionPolicy": _admission_policy,
    "MutatingAdmissionPolicyBinding": lambda body: _matching(body, "matchResources"),
    "ValidatingAdmissionPolicy": _admission_policy,
    "ValidatingAdmissionPolicyBinding": lambda body: _matching(body, "matchResources"),
    "ValidatingWebhookConfiguration": _webhooks({}),
}
