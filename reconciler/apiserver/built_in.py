"""Built-in kinds that have no type in ``state.objects``: their fields, what they may leave out, and what isn't allowed.

Fields come from Kubernetes' messages. Defaults and checks are those of its API packages that users meet first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.apiserver.messages import cleaned, message_fault
from state.errors import Problem, forbidden, invalid, not_supported, required
from state.objects import AnyObject, CustomObject

Json = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


class MistypedError(Exception):
    """A value of a body has a type that its field doesn't take; the text is Go's."""


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
        """The body with its defaults and without unknown fields; and the paths of those.

        Raises:
            MistypedError: a value has a wrong type.
        """
        fault = message_fault(self.message, body)
        if fault:
            raise MistypedError(fault)
        unknown: list[str] = []
        body = cleaned(self.message, body, unknown)
        complete = _DEFAULTS.get(self._kind)
        return body if complete is None else complete(body), unknown

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterator[Problem]:
        """What of an object isn't allowed, or not as a change of the old one."""
        assert isinstance(new, CustomObject)
        check = _CHECKS.get(self._kind)
        if check is not None:
            yield from check(new.body.value)
        if isinstance(old, CustomObject):
            for path, message in _IMMUTABLE.get(self._kind, ()):
                found = _at(new.body.value, path)
                if found != _at(old.body.value, path):
                    yield invalid(path, found, message)


def _at(body: Json, path: str) -> Any:
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


_FIXED = "field is immutable"
#: Fields that never change, and what is said of a change.
_IMMUTABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "ClusterRoleBinding": (("roleRef", "cannot change roleRef"),),
    "IngressClass": (("spec.controller", _FIXED),),
    "RoleBinding": (("roleRef", "cannot change roleRef"),),
    "RuntimeClass": (("handler", _FIXED),),
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
    return {**body, "roleRef": {"apiGroup": _RBAC, **body.get("roleRef", {})}}


def _ingress_class(body: Json) -> Json:
    parameters = body.get("spec", {}).get("parameters")
    if not parameters:
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
        hooks = [_with_each(hook, "rules", {"scope": "*"}) for hook in body.get("webhooks", ())]
        return {**body, "webhooks": hooks} if hooks else body

    return complete


def _admission_policy(body: Json) -> Json:
    spec = {"failurePolicy": "Fail", **body.get("spec", {})}
    if "matchConstraints" in spec:
        constraints = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
        spec["matchConstraints"] = _with_each(
            {**constraints, **spec["matchConstraints"]}, "resourceRules", {"scope": "*"}
        )
    return {**body, "spec": spec}


_DEFAULTS: dict[str, Callable[[Json], Json]] = {
    "ClusterRoleBinding": _binding,
    "HorizontalPodAutoscaler": _autoscaler,
    "IngressClass": _ingress_class,
    "MutatingWebhookConfiguration": _webhooks({"reinvocationPolicy": "Never"}),
    "NetworkPolicy": _network_policy,
    "RoleBinding": _binding,
    "ValidatingAdmissionPolicy": _admission_policy,
    "ValidatingWebhookConfiguration": _webhooks({}),
}


# -- checks ------------------------------------------------------------------------------------------------------------


def _rules(body: Json, *, namespaced: bool) -> Iterator[Problem]:
    for index, rule in enumerate(body.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if namespaced:
                yield invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
            if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
                message = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, message)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def _bound(body: Json, kinds: tuple[str, ...]) -> Iterator[Problem]:
    role = body["roleRef"]
    if role["apiGroup"] != _RBAC:
        yield not_supported("roleRef.apiGroup", role["apiGroup"], (_RBAC,))
    if role.get("kind") not in kinds:
        yield not_supported("roleRef.kind", role.get("kind") or "", kinds)
    if not role.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(body.get("subjects", ())):
        yield from _subject(subject, f"subjects[{index}]")


def _subject(subject: Json, path: str) -> Iterator[Problem]:
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    if not subject.get("name"):
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if group:
            yield not_supported(f"{path}.apiGroup", group, ("",))
        if not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != _RBAC:
            yield not_supported(f"{path}.apiGroup", group, (_RBAC,))
    else:
        yield not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def _ingress(body: Json) -> Iterator[Problem]:
    spec = body.get("spec", {})
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if "defaultBackend" in spec:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules", ())):
        http, at = rule.get("http"), f"spec.rules[{index}].http.paths"
        if http is None:
            continue
        if not http.get("paths"):
            yield required(at)
        for number, path in enumerate(http.get("paths", ())):
            yield from _path(path, f"{at}[{number}]")


def _path(path: Json, at: str) -> Iterator[Problem]:
    kind, text = path.get("pathType"), path.get("path") or ""
    if kind is None:
        yield required(f"{at}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        yield not_supported(f"{at}.pathType", kind, _PATH_TYPES)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield invalid(f"{at}.path", text, "must be an absolute path")
    yield from _backend(path.get("backend", {}), f"{at}.backend")


def _backend(backend: Json, at: str) -> Iterator[Problem]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid(at, "", "cannot set both resource and service backends")
    elif service is None and resource is None:
        yield required(at, "resource or service backend is required")
    elif service is not None:
        port = service.get("port", {})
        if not service.get("name"):
            yield required(f"{at}.service.name")
        if port.get("name") and port.get("number"):
            yield invalid(at, "", "cannot set both port name & port number")
        elif not port.get("name") and not port.get("number"):
            yield required(at, "port name or number is required")


def _scaled(body: Json) -> Iterator[Problem]:
    spec = body["spec"]
    least, most, target = spec["minReplicas"], spec.get("maxReplicas", 0), spec.get("scaleTargetRef", {})
    if least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    if most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for field in ("kind", "name"):
        if not target.get(field):
            yield required(f"spec.scaleTargetRef.{field}")


def _class_of_ingress(body: Json) -> Iterator[Problem]:
    if not body.get("spec", {}).get("controller"):
        yield required("spec.controller")


def _runtime(body: Json) -> Iterator[Problem]:
    if not body.get("handler"):
        yield required("handler")


def _policy(body: Json) -> Iterator[Problem]:
    types = body["spec"]["policyTypes"]
    if len(types) > 2:
        yield invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
    for index, kind in enumerate(types):
        if kind not in ("Ingress", "Egress"):
            yield not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress"))
    for field, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(body["spec"].get(field, ())):
            for number, peer in enumerate(rule.get(peers, ())):
                at = f"spec.{field}[{index}].{peers}[{number}]"
                if not peer:
                    yield required(at, "must specify a peer")
                elif "ipBlock" in peer and len(peer) > 1:
                    yield forbidden(at, "may not specify both ipBlock and another peer")


_CHECKS: dict[str, Callable[[Json], Iterable[Problem]]] = {
    "ClusterRole": lambda body: _rules(body, namespaced=False),
    "ClusterRoleBinding": lambda body: _bound(body, ("ClusterRole",)),
    "HorizontalPodAutoscaler": _scaled,
    "Ingress": _ingress,
    "IngressClass": _class_of_ingress,
    "NetworkPolicy": _policy,
    "Role": lambda body: _rules(body, namespaced=True),
    "RoleBinding": lambda body: _bound(body, ("Role", "ClusterRole")),
    "RuntimeClass": _runtime,
}
