"""Validation of flowcontrol.apiserver.k8s.io/v1."""

from __future__ import annotations

import math

from state import names
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, items, number, part, text

_MAX_PRECEDENCE, _MAX_QUEUES, _MAX_HASH_BITS = 10_000, 10_000_000, 60
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_KINDS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def flow_schema(found: Report, obj: Json) -> None:
    """FlowSchema."""
    spec = part(obj, "spec")
    path, precedence = "spec.matchingPrecedence", number(spec, "matchingPrecedence")
    if precedence <= 0:
        found.invalid(path, precedence, "must be a positive value")
    if precedence > _MAX_PRECEDENCE:
        found.invalid(path, precedence, f"must not be greater than {_MAX_PRECEDENCE}")
    if precedence == 1 and text(part(obj, "metadata"), "name") != "exempt":
        found.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
    method = spec.get("distinguisherMethod")
    if method is not None and text(method, "type") not in {"ByNamespace", "ByUser"}:
        shown = {"Type": text(method, "type")}
        found.unsupported("spec.distinguisherMethod.type", shown, ("ByNamespace", "ByUser"))
    level = text(part(spec, "priorityLevelConfiguration"), "name")
    if level:
        checks.text(found, "spec.priorityLevelConfiguration.name", level, names.dns1123_subdomain)
    else:
        found.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for own_path, rule in items(spec, "rules", "spec"):
        _rule(found, own_path, rule)
    _conditions(found, part(obj, "status"))


def _conditions(found: Report, status: Json) -> None:
    seen: set[str] = set()
    for path, condition in items(status, "conditions", "status"):
        kind = text(condition, "type")
        if kind in seen:
            found.duplicate(f"{path}.type", kind)
        seen.add(kind)
        if not kind:
            found.required(f"{path}.type", "must not be empty")


def _rule(found: Report, path: str, rule: Json) -> None:
    if not rule.get("subjects"):
        found.required(f"{path}.subjects", "subjects must contain at least one value")
    for own_path, subject in items(rule, "subjects", path):
        _subject(found, own_path, subject)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        found.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for own_path, each in items(rule, "resourceRules", path):
        _resource_rule(found, own_path, each)
    for own_path, each in items(rule, "nonResourceRules", path):
        _verbs(found, own_path, each)
        urls = each.get("nonResourceURLs") or []
        if not urls:
            found.required(f"{own_path}.nonResourceURLs", "nonResourceURLs must contain at least one value")
        elif "*" in urls:
            _alone(found, f"{own_path}.nonResourceURLs", urls, "non-resource URLs")
        else:
            for url_path, url in items(each, "nonResourceURLs", own_path):
                _url(found, url_path, url)


def _subject(found: Report, path: str, subject: Json) -> None:
    kind = text(subject, "kind")
    if kind not in _KINDS:
        found.unsupported(f"{path}.kind", kind, tuple(_KINDS))
        return
    field = _KINDS[kind]
    value, own_path = subject.get(field), f"{path}.{field}"
    if value is None:
        found.required(own_path, f"{field} is required when subject kind is '{kind}'")
    elif not text(value, "name"):
        found.required(f"{own_path}.name")
    elif kind == "ServiceAccount" and value["name"] != "*":
        checks.text(found, f"{own_path}.name", value["name"], names.dns1123_subdomain)
    if kind == "ServiceAccount" and value is not None:
        if text(value, "namespace"):
            checks.text(found, f"{own_path}.namespace", value["namespace"], names.dns1123_label)
        else:
            found.required(f"{own_path}.namespace", "must specify namespace for service account")
    for other in ("ServiceAccount", "User", "Group"):
        name = _KINDS[other]
        if other != kind and subject.get(name) is not None:
            found.forbidden(f"{path}.{name}", f"{name} is forbidden when subject kind is not '{other}'")


def _verbs(found: Report, path: str, rule: Json) -> None:
    verbs = rule.get("verbs") or []
    if not verbs:
        found.required(f"{path}.verbs", "verbs must contain at least one value")
    elif "*" in verbs:
        _alone(found, f"{path}.verbs", verbs, "verbs")
    elif not set(verbs) <= set(_VERBS):
        found.unsupported(f"{path}.verbs", verbs, _VERBS)


def _alone(found: Report, path: str, values: list[str], what: str) -> None:
    if "*" in values and len(values) > 1:
        found.invalid(path, values, f"if '*' is present, must not specify other {what}")


def _resource_rule(found: Report, path: str, rule: Json) -> None:
    _verbs(found, path, rule)
    for name, what, one in (("apiGroups", "api groups", "api group"), ("resources", "resources", "resource")):
        values = rule.get(name) or []
        if not values:
            found.required(f"{path}.{name}", f"resource rules must supply at least one {one}")
        _alone(found, f"{path}.{name}", values, what)
    namespaces = rule.get("namespaces") or []
    if not namespaces and not rule.get("clusterScope"):
        message = "resource rules that are not cluster scoped must supply at least one namespace"
        found.required(f"{path}.namespaces", message)
    elif "*" in namespaces:
        _alone(found, f"{path}.namespaces", namespaces, "namespaces")
    else:
        for own_path, name in items(rule, "namespaces", path):
            for message in names.dns1123_label(name):
                found.invalid(own_path, name, f"each member of this list must be '*' or a DNS-1123 label; {message}")


def _url(found: Report, path: str, url: str) -> None:
    if not url:
        found.invalid(path, url, "must not be empty")
    elif url == "/":
        return
    elif not url.startswith("/"):
        found.invalid(path, url, "must start with slash")
    elif " " in url:
        found.invalid(path, url, "must not contain white-space")
    elif "//" in url:
        found.invalid(path, url, "must not contain double slash")
    elif "*" in url.removesuffix("/*"):
        found.invalid(path, url, "wildcard can only do suffix matching")


def priority_level(found: Report, obj: Json) -> None:
    """PriorityLevelConfiguration."""
    spec = part(obj, "spec")
    kind, limited, exempt = text(spec, "type"), spec.get("limited"), spec.get("exempt")
    if (text(part(obj, "metadata"), "name") == "exempt") != (kind == "Exempt"):
        found.invalid("spec.type", kind, "type must be 'Exempt' if and only if name is 'exempt'")
    if kind == "Exempt":
        if limited is not None:
            found.forbidden("spec.limited", "must be nil if the type is not Limited")
        for name in ("nominalConcurrencyShares", "lendablePercent"):
            _share(found, f"spec.exempt.{name}", part(spec, "exempt").get(name), name)
    elif kind == "Limited":
        if exempt is not None:
            found.forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            found.required("spec.limited", "must not be empty when type is Limited")
        else:
            _limited(found, "spec.limited", limited)
    else:
        found.unsupported("spec.type", kind, ("Exempt", "Limited"))
    _conditions(found, part(obj, "status"))


def _share(found: Report, path: str, value: int | None, name: str) -> None:
    if value is None:
        return
    if name == "lendablePercent" and not 0 <= value <= 100:
        found.invalid(path, value, "must be between 0 and 100, inclusive")
    elif name != "lendablePercent" and value < 0:
        found.invalid(path, value, "must be a non-negative integer")


def _limited(found: Report, path: str, limited: Json) -> None:
    for name in ("nominalConcurrencyShares", "lendablePercent"):
        _share(found, f"{path}.{name}", limited.get(name), name)
    most = limited.get("borrowingLimitPercent")
    if most is not None and most < 0:
        found.invalid(f"{path}.borrowingLimitPercent", most, "if specified, must be a non-negative integer")
    response, own_path = part(limited, "limitResponse"), f"{path}.limitResponse"
    kind, queuing = text(response, "type"), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            found.forbidden(f"{own_path}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind == "Queue":
        if queuing is None:
            found.required(f"{own_path}.queuing", "must not be empty if limited.limitResponse.type is Limited")
        else:
            _queuing(found, f"{own_path}.queuing", queuing)
    else:
        found.unsupported(f"{own_path}.type", kind, ("Queue", "Reject"))


def _queuing(found: Report, path: str, queuing: Json) -> None:
    queues, hand, length = (number(queuing, name) for name in ("queues", "handSize", "queueLengthLimit"))
    if length <= 0:
        found.invalid(f"{path}.queueLengthLimit", length, "must be positive")
    if queues <= 0:
        found.invalid(f"{path}.queues", queues, "must be positive")
    elif queues > _MAX_QUEUES:
        found.invalid(f"{path}.queues", queues, f"must not be greater than {_MAX_QUEUES}")
    if hand <= 0:
        found.invalid(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        found.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif math.ceil(math.log2(queues) * hand) > _MAX_HASH_BITS:
        message = f"required entropy bits of deckSize {queues} and handSize {hand}"
        found.invalid(f"{path}.handSize", hand, f"{message} should not be greater than {_MAX_HASH_BITS}")
