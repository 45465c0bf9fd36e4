"""What of policies, bindings and webhook configurations themselves isn't allowed, as admissionregistration has it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from reconciler.apiserver.cel import CelSyntaxError, compiled
from reconciler.apiserver.cel.types import DYN
from state import names
from state.errors import Problem, duplicate, invalid, not_supported, required

Json = dict[str, Any]
_FAILURE, _MATCH = ("Fail", "Ignore"), ("Equivalent", "Exact")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_EFFECTS = ("None", "NoneOnDryRun")
#: Kinds of mutations, and where their expressions are.
_MUTATIONS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_VERSIONS = ("v1", "v1beta1")
_MOST_CONDITIONS = 64
_MOST_ANNOTATIONS = 20
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_NAMES = frozenset({"object", "oldObject", "request", "authorizer", "namespaceObject"})
_FORM = "; desired format: https://host[/path]"
_BOTH = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)
_SOMETHING = "validations or auditAnnotations must contain at least one item"


def policy_problems(body: Json) -> Iterator[Problem]:
    """What of a ValidatingAdmissionPolicy isn't allowed."""
    spec = body.get("spec") or {}
    known = yield from _common(spec)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        yield required("spec.validations", _SOMETHING)
        yield required("spec.auditAnnotations", _SOMETHING)
    for index, validation in enumerate(validations):
        yield from _validation(validation, f"spec.validations[{index}]", known)
    yield from _annotations(annotations, known)


def _common(spec: Json) -> Generator[Problem, None, frozenset[str]]:
    """What of any policy isn't allowed; returns the names that its expressions may use."""
    known = _NAMES | ({"params"} if spec.get("paramKind") else set())
    yield from _one_of("spec.failurePolicy", spec.get("failurePolicy"), _FAILURE)
    kind = spec.get("paramKind") or {}
    for name in ("apiVersion", "kind") if "paramKind" in spec else ():
        if not kind.get(name):
            yield required(f"spec.paramKind.{name}")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
    yield from _conditions(spec.get("matchConditions") or (), "spec.matchConditions", known | {"variables"})
    yield from _variables(spec.get("variables") or (), known | {"variables"})
    known |= {"variables"}
    return known


def mutating_problems(body: Json) -> Iterator[Problem]:
    """What of a MutatingAdmissionPolicy isn't allowed."""
    spec = body.get("spec") or {}
    known = yield from _common(spec)
    mutations = spec.get("mutations") or ()
    if not mutations:
        yield required("spec.mutations", "mutations must contain at least one item")
    for index, mutation in enumerate(mutations):
        path, kind = f"spec.mutations[{index}]", mutation.get("patchType")
        if not kind:
            yield required(f"{path}.patchType")
        yield from _one_of(f"{path}.patchType", kind or None, tuple(_MUTATIONS))
        for name in _MUTATIONS.values():
            if _MUTATIONS.get(kind or "") == name:
                yield from _expression((mutation.get(name) or {}).get("expression"), f"{path}.{name}.expression", known)
            elif mutation.get(name) and kind in _MUTATIONS:
                yield Problem(f"{path}.{name}", f"must not be specified when patchType is {kind}", "Forbidden")
    policy = spec.get("reinvocationPolicy")
    if not policy:
        yield required("spec.reinvocationPolicy")
    yield from _one_of("spec.reinvocationPolicy", policy or None, ("IfNeeded", "Never"))


def _one_of(path: str, value: Any, known: Sequence[str]) -> Iterator[Problem]:
    if value is not None and value not in known:
        yield not_supported(path, value, known)


def _variables(variables: Sequence[Json], known: frozenset[str]) -> Iterator[Problem]:
    for index, variable in enumerate(variables):
        path, name = f"spec.variables[{index}]", variable.get("name") or ""
        if not name:
            yield required(f"{path}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name):
            yield invalid(f"{path}.name", name, "name is not a valid CEL identifier")
        yield from _expression(variable.get("expression"), f"{path}.expression", known)


def _validation(validation: Json, path: str, known: frozenset[str]) -> Iterator[Problem]:
    yield from _expression(validation.get("expression"), f"{path}.expression", known)
    told = validation.get("messageExpression")
    if told is not None:
        yield from _expression(told, f"{path}.messageExpression", known - {"authorizer"}, "messageExpression")
    message = validation.get("message") or ""
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in str(validation.get("expression") or "").strip() and not message:
        yield required(f"{path}.message", "message must be specified if expression contains line breaks")
    yield from _one_of(f"{path}.reason", validation.get("reason"), _REASONS)


def _annotations(annotations: Sequence[Json], known: frozenset[str]) -> Iterator[Problem]:
    if len(annotations) > _MOST_ANNOTATIONS:
        why = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        yield invalid("spec.auditAnnotations", annotations, why)
    seen: set[str] = set()
    for index, each in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", each.get("key") or ""
        for problem in names.qualified_name(f"policy/{key}"):
            yield invalid(f"{path}.key", key, problem)
        yield from _expression(each.get("valueExpression"), f"{path}.valueExpression", known, "valueExpression")
        if key in seen:
            yield duplicate(f"{path}.key", key)
        seen.add(key)


def _expression(text: Any, path: str, known: frozenset[str], name: str = "expression") -> Iterator[Problem]:
    if not isinstance(text, str) or not text.strip():
        yield required(path, f"{name} is not specified")
        return
    try:
        problems = compiled(text.strip()).checked(dict.fromkeys(known, DYN)).faults
    except CelSyntaxError as error:
        problems = [str(error)]
    if problems:
        told = "\n".join(problems)
        yield invalid(path, text, f"compilation failed: {told}")


def _conditions(conditions: Sequence[Json], path: str, known: frozenset[str]) -> Iterator[Problem]:
    if len(conditions) > _MOST_CONDITIONS:
        yield Problem(path, f"must have at most {_MOST_CONDITIONS} items", "TooMany", len(conditions))
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = f"{path}[{index}]", condition.get("name") or ""
        yield from _expression(condition.get("expression"), f"{at}.expression", known)
        if not name:
            yield required(f"{at}.name")
        else:
            for problem in names.qualified_name(name):
                yield invalid(f"{at}.name", name, problem)
        if name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)


def _match(match: Json, path: str) -> Iterator[Problem]:
    yield from _one_of(f"{path}.matchPolicy", match.get("matchPolicy"), _MATCH)
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(name) or ()):
            yield from _rule(rule, f"{path}.{name}[{index}]")


def _rule(rule: Json, path: str) -> Iterator[Problem]:
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{path}.operations")
    elif len(operations) > 1 and "*" in operations:
        yield invalid(f"{path}.operations", operations, "if '*' is present, must not specify other operations")
    for index, operation in enumerate(operations):
        yield from _one_of(f"{path}.operations[{index}]", operation, _OPERATIONS)
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions"), ("resources", "")):
        values = rule.get(name) or []
        if not values:
            yield required(f"{path}.{name}")
        elif what and len(values) > 1 and "*" in values:
            yield invalid(f"{path}.{name}", values, f"if '*' is present, must not specify other {what}")
        elif name != "apiGroups":
            yield from (required(f"{path}.{name}[{at}]") for at, value in enumerate(values) if not value)
    yield from _resources([each or "" for each in rule.get("resources") or ()], f"{path}.resources")
    yield from _one_of(f"{path}.scope", rule.get("scope"), _SCOPES)


def _resources(resources: list[str], path: str) -> Iterator[Problem]:
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and any("/" not in each for each in resources if each != "*"):
        yield invalid(path, resources, "if '*' is present, must not specify other resources without subresources")


def mutating_binding_problems(body: Json) -> Iterator[Problem]:
    """What of a MutatingAdmissionPolicyBinding isn't allowed."""
    spec = body.get("spec") or {}
    if not spec.get("policyName"):
        yield required("spec.policyName")
    ref = spec.get("paramRef")
    if ref is not None:
        yield from _param_ref(ref)
    if spec.get("matchResources"):
        yield from _match(spec["matchResources"], "spec.matchResources")


def binding_problems(body: Json) -> Iterator[Problem]:
    """What of a ValidatingAdmissionPolicyBinding isn't allowed."""
    yield from mutating_binding_problems(body)
    spec = body.get("spec") or {}
    actions = spec.get("validationActions") or []
    seen: set[str] = set()
    for index, action in enumerate(actions):
        yield from _one_of(f"spec.validationActions[{index}]", action, _ACTIONS)
        if action in seen:
            yield duplicate(f"spec.validationActions[{index}]", action)
        seen.add(action)
    if seen >= {"Deny", "Warn"}:
        yield invalid("spec.validationActions", actions, _BOTH)
    if not actions:
        yield required("spec.validationActions", "at least one validation action is required")


def _param_ref(ref: Json) -> Iterator[Problem]:
    if ref.get("name") and ref.get("selector"):
        for name in ("name", "selector"):
            yield Problem(f"spec.paramRef.{name}", "name and selector are mutually exclusive", "Forbidden")
    elif not ref.get("name") and ref.get("selector") is None:
        yield required("spec.paramRef", "one of name or selector must be specified")
    action = ref.get("parameterNotFoundAction")
    if not action:
        yield required("spec.paramRef.parameterNotFoundAction")
    elif action not in ("Allow", "Deny"):
        yield not_supported("spec.paramRef.parameterNotFoundAction", action, ("Allow", "Deny"))


def class_selector_problems(body: Json) -> Iterator[Problem]:
    """What of the expressions of a DeviceClass isn't allowed."""
    yield from _selectors(body.get("spec") or {}, "spec")


def claim_selector_problems(body: Json, path: str = "spec") -> Iterator[Problem]:
    """What of the expressions of a ResourceClaim isn't allowed."""
    devices = (body.get("spec") or {}).get("devices") or {}
    for index, request in enumerate(devices.get("requests") or ()):
        own_path = f"{path}.devices.requests[{index}]"
        yield from _selectors(request.get("exactly") or {}, f"{own_path}.exactly")
        for number, alternative in enumerate(request.get("firstAvailable") or ()):
            yield from _selectors(alternative, f"{own_path}.firstAvailable[{number}]")


def template_selector_problems(body: Json) -> Iterator[Problem]:
    """What of the expressions of a ResourceClaimTemplate isn't allowed."""
    yield from claim_selector_problems(body.get("spec") or {}, "spec.spec")


def _selectors(holder: Json, path: str) -> Iterator[Problem]:
    for index, selector in enumerate(holder.get("selectors") or ()):
        expression = (selector.get("cel") or {}).get("expression")
        if expression:
            yield from _expression(expression, f"{path}.selectors[{index}].cel.expression", frozenset({"device"}))


def webhook_problems(body: Json) -> Iterator[Problem]:
    """What of a configuration of webhooks isn't allowed."""
    seen: set[str] = set()
    for index, hook in enumerate(body.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        yield from _webhook(hook, path)
        name = hook.get("name") or ""
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)


def _webhook(hook: Json, path: str) -> Iterator[Problem]:
    name = hook.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    elif len(name.split(".")) < 3:
        yield invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
    else:
        yield from (invalid(f"{path}.name", name, problem) for problem in names.dns1123_subdomain(name))
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from _rule(rule, f"{path}.rules[{index}]")
    yield from _one_of(f"{path}.failurePolicy", hook.get("failurePolicy"), _FAILURE)
    yield from _one_of(f"{path}.matchPolicy", hook.get("matchPolicy"), _MATCH)
    yield from _one_of(f"{path}.reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"))
    effects = hook.get("sideEffects")
    if effects is None:
        yield required(f"{path}.sideEffects", f"must specify one of {', '.join(_EFFECTS)}")
    yield from _one_of(f"{path}.sideEffects", effects, _EFFECTS)
    seconds = hook.get("timeoutSeconds", 1)
    if not 1 <= seconds <= 30:
        yield invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    yield from _versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")
    yield from client_problems(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    yield from _conditions(hook.get("matchConditions") or (), f"{path}.matchConditions", _NAMES)


def _versions(versions: list[str], path: str) -> Iterator[Problem]:
    if not versions:
        yield required(path, f"must specify one of {', '.join(_VERSIONS)}")
    elif not set(versions) & set(_VERSIONS):
        yield invalid(path, versions, f"must include at least one of {', '.join(_VERSIONS)}")


def client_problems(client: Json, path: str) -> Iterator[Problem]:
    """What of the address of a webhook isn't allowed."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    if url is not None:
        yield from _url_problems(url, f"{path}.url")
    if service is not None:
        for name in ("name", "namespace"):
            if not service.get(name):
                yield required(f"{path}.service.{name}")
        port = service.get("port", 443)
        if names.port_number(port):
            why = f"port is not valid: {', '.join(names.port_number(port))}"
            yield invalid(f"{path}.service.port", port, why)
        where = service.get("path") or "/"
        if where != "/":
            yield from _path_problems(where, f"{path}.service.path")


def _path_problems(where: str, path: str) -> Iterator[Problem]:
    """What of the path of a webhook's service isn't allowed."""
    if not where.startswith("/"):
        yield invalid(path, where, "must start with a '/'")
    for index, step in enumerate(where[1:].removesuffix("/").split("/")):
        if not step:
            yield invalid(path, where, f"segment[{index}] may not be empty")
            continue
        for message in names.dns1123_subdomain(step):
            yield invalid(path, where, f"segment[{index}]: {message}")


def _url_problems(url: str, path: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - is only read when it is asked for
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.hostname:
        yield invalid(path, parts.netloc, f"host must be specified{_FORM}")
    if parts.username:
        yield invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")
