"""Validation of resource.k8s.io/v1: claims for devices, their templates, classes of devices, and what there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from state import names
from state.objects import NodeSelector, ObjectMeta
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import annotation_map
from state.validation.plain._values import Json, as_struct, items, number, part, text
from state.validation.resources import is_extended
from state.validation.scheduling import node_selector
from state.validation.sources import csi_driver_name

_Check = Callable[[Report, str, Any], None]
_MOST, _MOST_ALTERNATIVES, _MOST_CONDITIONS = 32, 8, 4
_MOST_DEVICES, _MOST_SPECIAL_DEVICES, _MOST_TAINTS = 128, 64, 16
_MOST_COUNTER_SETS, _MOST_CONSUMPTIONS = 8, 2
_EXPRESSION_BYTES = 10 * 1024
_POOL_LENGTH, _ID_LENGTH, _VALUE_LENGTH = 253, 32, 64
_MODES = ("All", "ExactCount")
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_OF_REQUESTS = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_NODE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_NODE_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_NOT_PER_DEVICE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
    "ResourceSlice spec"
)
_NUMBER, _WORD = r"(0|[1-9]\d*)", r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_WORD}(\.{_WORD})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?")
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_NO_IDENTIFIER = names.regex_message(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    "or '_'",
    _IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)


def claim(found: Report, obj: Json) -> None:
    """ResourceClaim."""
    _claim_spec(found, "spec", part(obj, "spec"))


def claim_template(found: Report, obj: Json) -> None:
    """ResourceClaimTemplate."""
    spec = part(obj, "spec")
    meta = as_struct(part(spec, "metadata"), ObjectMeta)
    annotation_map(found, "spec.metadata.annotations", meta.annotations)
    checks.labels(found, "spec.metadata.labels", meta.labels)
    _claim_spec(found, "spec.spec", part(spec, "spec"))


def kept(found: Report, new: Json, old: Json) -> None:
    """Claims and templates keep all that they ask for."""
    checks.immutable(found, "spec", part(new, "spec"), part(old, "spec"))


def device_class(found: Report, obj: Json) -> None:
    """DeviceClass."""
    spec = part(obj, "spec")
    _each(found, "spec.selectors", spec.get("selectors"), _selector, _MOST)
    _each(found, "spec.config", spec.get("config"), _configuration, _MOST)
    extended = spec.get("extendedResourceName")
    if extended is not None and not is_extended(extended):
        found.invalid("spec.extendedResourceName", extended, "must be a valid extended resource name")


def _each(
    found: Report, path: str, values: Iterable[Any] | None, check: _Check, most: int, *, key: str | None = None
) -> None:
    """The items of a list, which has a most; ``key`` is the field in which no two are alike, "" for all of an item."""
    given = list(values or ())
    if len(given) > most:
        found.too_many(path, len(given), most)
        return
    for index, item in enumerate(given):
        check(found, f"{path}[{index}]", item)
    seen: set[str] = set()
    for index, item in enumerate(given if key is not None else ()):
        name = item if key == "" else text(item, key or "")
        if name in seen:
            found.duplicate(f"{path}[{index}]", name)
        seen.add(name)


def _claim_spec(found: Report, path: str, spec: Json) -> None:
    devices, path = part(spec, "devices"), f"{path}.devices"
    requests = {
        text(request, "name"): {text(each, "name") for each in request.get("firstAvailable") or ()}
        for request in devices.get("requests") or ()
    }

    def reference(found: Report, path: str, name: str) -> None:
        parts = name.split("/")
        for word in parts if len(parts) <= 2 else ():
            found.each_invalid(path, word, names.dns1123_label(word))
        if len(parts) > 2 or parts[0] not in requests or not set(parts[1:]) <= requests[parts[0]]:
            found.invalid(path, name, _NO_REQUEST)

    def constraint(found: Report, path: str, value: Json) -> None:
        _each(found, f"{path}.requests", value.get("requests"), reference, _MOST, key="")
        given = [name for name in ("matchAttribute", "distinctAttribute") if value.get(name) is not None]
        if not given:
            names_of = 'exactly one of "matchAttribute" or "distinctAttribute" is required'
            found.required(path, f"{names_of}, but multiple fields are set")
        for name in given[:1]:
            _qualified(found, f"{path}.{name}", value[name])
            if "/" not in value[name]:
                message = "a fully qualified name must be a domain and a name separated by a slash"
                found.invalid(f"{path}.{name}", value[name], message)

    def configuration(found: Report, path: str, value: Json) -> None:
        _each(found, f"{path}.requests", value.get("requests"), reference, _MOST, key="")
        _configuration(found, path, value)

    _each(found, f"{path}.requests", devices.get("requests"), _request, _MOST, key="name")
    _each(found, f"{path}.constraints", devices.get("constraints"), constraint, _MOST)
    _each(found, f"{path}.config", devices.get("config"), configuration, _MOST)


def _request(found: Report, path: str, request: Json) -> None:
    found.each_invalid(f"{path}.name", text(request, "name"), names.dns1123_label(text(request, "name")))
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable")
    if exactly is None and not alternatives:
        found.required(path, _ONE_OF_REQUESTS)
    elif exactly is not None and alternatives:
        found.invalid(path, None, f"{_ONE_OF_REQUESTS}, but multiple fields are set")
    elif alternatives:
        _each(found, f"{path}.firstAvailable", alternatives, _alternative, _MOST_ALTERNATIVES, key="name")
    else:
        _wanted(found, f"{path}.exactly", exactly or {})


def _alternative(found: Report, path: str, request: Json) -> None:
    found.each_invalid(f"{path}.name", text(request, "name"), names.dns1123_label(text(request, "name")))
    _wanted(found, path, request)


def _wanted(found: Report, path: str, request: Json) -> None:
    """Devices of a class, as many as are asked for."""
    checks.named(found, f"{path}.deviceClassName", text(request, "deviceClassName"))
    _each(found, f"{path}.selectors", request.get("selectors"), _selector, _MOST)
    mode, count = text(request, "allocationMode"), number(request, "count")
    if mode == "All" and count:
        found.invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        found.invalid(f"{path}.count", count, checks.NOT_POSITIVE)
    elif mode not in _MODES:
        found.unsupported(f"{path}.allocationMode", mode, _MODES)
    for own_path, toleration in items(request, "tolerations", path):
        _toleration(found, own_path, toleration)


def _selector(found: Report, path: str, selector: Json) -> None:
    """A condition in CEL; what it says is for others."""
    if selector.get("cel") is None:
        found.required(f"{path}.cel")
    elif len(text(selector["cel"], "expression").encode()) > _EXPRESSION_BYTES:
        found.too_long(f"{path}.cel.expression", _EXPRESSION_BYTES)


def _configuration(found: Report, path: str, value: Json) -> None:
    """What a driver is to be told."""
    opaque, path = value.get("opaque"), f"{path}.opaque"
    if opaque is None:
        found.required(path)
        return
    csi_driver_name(found, f"{path}.driver", text(opaque, "driver"))
    parameters = opaque.get("parameters")
    if parameters is None:
        found.required(f"{path}.parameters")
    elif not isinstance(parameters, dict):
        found.invalid(f"{path}.parameters", "<value omitted>", "must be a valid JSON object")


def _toleration(found: Report, path: str, value: Json) -> None:
    if text(value, "key"):
        found.each_invalid(f"{path}.key", value["key"], names.qualified_name(value["key"]))
    operator = text(value, "operator")
    if operator == "Exists" and text(value, "value"):
        found.invalid(f"{path}.value", value["value"], "must be empty for operator `Exists`")
    elif operator == "Equal":
        checks.text(found, f"{path}.value", text(value, "value"), names.label_value)
    elif operator != "Exists":
        found.one_of(f"{path}.operator", operator, ("Equal", "Exists"))
    if text(value, "effect"):
        found.one_of(f"{path}.effect", value["effect"], _EFFECTS)


def _qualified(found: Report, path: str, name: str) -> None:
    """The name of an attribute or an amount, with its driver's domain at its head or without one; what has more slashes
    is taken as it is.
    """
    if name.count("/") > 1:
        return
    domain, slash, word = name.rpartition("/")
    if slash and not domain:
        found.invalid(path, "", "the domain must not be empty")
    elif slash:
        csi_driver_name(found, path, domain)
    if slash and not word:
        found.invalid(path, "", "the name must not be empty")
        return
    if len(word) > _ID_LENGTH:
        found.too_long(path, _ID_LENGTH)
    if not re.fullmatch(_IDENTIFIER, word):
        found.invalid(path, word, _NO_IDENTIFIER)


def resource_slice(found: Report, obj: Json) -> None:
    """ResourceSlice."""
    spec, path = part(obj, "spec"), "spec"
    csi_driver_name(found, "spec.driver", text(spec, "driver"))
    _pool(found, "spec.pool", part(spec, "pool"))
    given = _places(found, path, spec, "must be either unset or set to a non-empty string")
    terms = part(spec, "nodeSelector").get("nodeSelectorTerms") or []
    if spec.get("nodeSelector") is not None and len(terms) != 1:
        found.invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term")
    per_device = spec.get("perDeviceNodeSelection")
    if per_device:
        given.append("`perDeviceNodeSelection`")
    elif per_device is not None:
        found.invalid("spec.perDeviceNodeSelection", per_device, "must be either unset or set to true")
    if not given:
        found.required(path, _ONE_NODE)
    elif len(given) > 1:
        found.invalid(path, f"{{{', '.join(given)}}}", f"{_ONE_NODE}, but multiple fields are set")
    if spec.get("sharedCounters") and spec.get("devices"):
        found.invalid(path, "", "only one of `sharedCounters` or `devices` is allowed")

    def device(found: Report, path: str, value: Json) -> None:
        _device(found, path, value, per_device=bool(per_device))

    special = any(each.get("taints") or each.get("consumesCounters") for each in spec.get("devices") or ())
    most = _MOST_SPECIAL_DEVICES if special else _MOST_DEVICES
    _each(found, "spec.devices", spec.get("devices"), device, most, key="name")
    _each(found, "spec.sharedCounters", spec.get("sharedCounters"), _counter_set, _MOST_COUNTER_SETS, key="name")


def resource_slice_update(found: Report, new: Json, old: Json) -> None:
    """A slice stays its driver's, of its pool and its node."""
    now, before = part(new, "spec"), part(old, "spec")
    checks.immutable(found, "spec.pool.name", text(part(now, "pool"), "name"), text(part(before, "pool"), "name"))
    for name in ("driver", "nodeName"):
        checks.immutable(found, f"spec.{name}", now.get(name), before.get(name))


def _pool(found: Report, path: str, pool: Json) -> None:
    name = text(pool, "name")
    if not name:
        found.required(f"{path}.name")
    elif len(name) > _POOL_LENGTH:
        found.too_long(f"{path}.name", _POOL_LENGTH)
    for word in name.split("/") if name else ():
        checks.text(found, f"{path}.name", word, names.dns1123_subdomain)
    if number(pool, "resourceSliceCount") <= 0:
        found.invalid(f"{path}.resourceSliceCount", number(pool, "resourceSliceCount"), checks.NOT_POSITIVE)
    if number(pool, "generation") < 0:
        found.invalid(f"{path}.generation", pool["generation"], "must be greater than or equal to zero")


def _places(found: Report, path: str, value: Json, no_name: str) -> list[str]:
    """On which nodes devices are; the fields that say so."""
    given = []
    name, selector, everywhere = (value.get(field) for field in ("nodeName", "nodeSelector", "allNodes"))
    if name:
        given.append("`nodeName`")
        checks.text(found, f"{path}.nodeName", name, names.dns1123_subdomain)
    elif name is not None:
        found.invalid(f"{path}.nodeName", name, no_name)
    if selector is not None:
        given.append("`nodeSelector`")
        node_selector(found, f"{path}.nodeSelector", as_struct(selector, NodeSelector))
    if everywhere:
        given.append("`allNodes`")
    elif everywhere is not None:
        found.invalid(f"{path}.allNodes", everywhere, "must be either unset or set to true")
    return given


def _device(found: Report, path: str, device: Json, *, per_device: bool) -> None:
    found.each_invalid(f"{path}.name", text(device, "name"), names.dns1123_label(text(device, "name")))
    attributes, capacity = part(device, "attributes"), part(device, "capacity")
    if len(attributes) + len(capacity) > _MOST:
        message = f"the total number of attributes and capacities must not exceed {_MOST}"
        found.invalid(path, len(attributes) + len(capacity), message)
    for name, attribute in sorted(attributes.items()):
        _qualified(found, f"{path}.attributes[{name}]", name)
        _attribute(found, f"{path}.attributes[{name}]", attribute)
    for name, amount in sorted(capacity.items()):
        own_path = f"{path}.capacity[{name}]"
        _qualified(found, own_path, name)
        if amount.get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            found.forbidden(f"{own_path}.requestPolicy", "allowMultipleAllocations must be true")
    _each(found, f"{path}.taints", device.get("taints"), _taint, _MOST_TAINTS)
    consumed = device.get("consumesCounters")
    _each(found, f"{path}.consumesCounters", consumed, _consumption, _MOST_CONSUMPTIONS, key="counterSet")
    if per_device:
        given = _places(found, path, device, "must not be empty")
        if not given:
            found.required(path, _ONE_NODE_OF_DEVICE)
        elif len(given) > 1:
            found.invalid(path, f"{{{', '.join(given)}}}", _ONE_NODE_OF_DEVICE)
    elif any(device.get(field) is not None for field in ("nodeName", "nodeSelector", "allNodes")):
        found.invalid(path, None, _NOT_PER_DEVICE)
    _bindings(found, path, device)


def _attribute(found: Report, path: str, attribute: Json) -> None:
    given = [name for name in ("bool", "int", "string", "version") if attribute.get(name) is not None]
    for name in given:
        value = attribute[name]
        if name == "version" and not _VERSION.fullmatch(value):
            found.invalid(f"{path}.version", value, "must be a string compatible with semver.org spec 2.0.0")
        if isinstance(value, str) and len(value) > _VALUE_LENGTH:
            found.too_long(f"{path}.{name}", _VALUE_LENGTH)
    if len(given) != 1:
        found.invalid(path, attribute if given else "", "exactly one value must be specified")


def _taint(found: Report, path: str, taint: Json) -> None:
    found.each_invalid(f"{path}.key", text(taint, "key"), names.qualified_name(text(taint, "key")))
    checks.text(found, f"{path}.value", text(taint, "value"), names.label_value)
    found.one_of(f"{path}.effect", text(taint, "effect"), _EFFECTS)


def _counter_set(found: Report, path: str, value: Json) -> None:
    _counters(found, path, value, "name")


def _consumption(found: Report, path: str, value: Json) -> None:
    _counters(found, path, value, "counterSet")


def _counters(found: Report, path: str, value: Json, named_by: str) -> None:
    checks.named(found, f"{path}.{named_by}", text(value, named_by), names.dns1123_label)
    counters, path = part(value, "counters"), f"{path}.counters"
    if not counters:
        found.required(path)
    elif len(counters) > _MOST:
        found.too_many(path, len(counters), _MOST)
    else:
        for name in sorted(counters):
            checks.text(found, f"{path}[{name}]", name, names.dns1123_label)


def _bindings(found: Report, path: str, device: Json) -> None:
    """Conditions of a claim that say whether a device is there, or isn't to be had."""
    lists = {name: device.get(name) or [] for name in ("bindingConditions", "bindingFailureConditions")}
    good, bad = lists.values()
    for name, conditions in lists.items():
        _each(found, f"{path}.{name}", conditions, _condition, _MOST_CONDITIONS)
    for name, conditions in lists.items():
        for index, condition in enumerate(conditions):
            if condition in conditions[:index]:
                found.duplicate(f"{path}.{name}[{index}]", condition)
            if conditions is bad and condition in good:
                message = "bindingFailureConditions must not overlap with bindingConditions"
                found.invalid(f"{path}.{name}[{index}]", condition, message)
    for name, other in (tuple(lists), tuple(lists)[::-1]):
        if not lists[name] and lists[other]:
            found.invalid(f"{path}.{name}", device.get(name), f"{name} are required to use {other}")


def _condition(found: Report, path: str, name: str) -> None:
    found.each_invalid(path, name, names.qualified_name(name))
