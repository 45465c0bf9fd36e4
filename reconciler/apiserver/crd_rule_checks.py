"""What is asked of the rules in a custom resource's schema (``x-kubernetes-validations``) before any is enforced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from reconciler.apiserver.cel import CelSyntaxError, compiled
from reconciler.apiserver.cel.types import DYN, Type, declared
from reconciler.apiserver.crd_paths import field_at
from reconciler.apiserver.crd_rules import REASONS, RULES, old_is_used
from state.errors import Problem, invalid, not_supported, required

Json = dict[str, Any]
Schema = Mapping[str, Any]
_LIST, _MAP = "x-kubernetes-list-type", "x-kubernetes-map-type"
_EMBEDDED = "x-kubernetes-embedded-resource"


def rule_forms(schema: Schema, path: str) -> Iterator[Problem]:
    """What can be said of rules without understanding them."""
    for index, rule in enumerate(schema.get(RULES) or ()):
        where, text, message = f"{path}[{index}]", rule.get("rule", "").strip(), rule.get("message", "")
        told = rule.get("messageExpression", "")
        if not text:
            yield required(f"{where}.rule", "rule is not specified")
        elif message and not message.strip():
            yield invalid(f"{where}.message", message, "must be non-empty if specified")
        elif "\n" in message.strip():
            yield invalid(f"{where}.message", message, "must not contain line breaks")
        elif "\n" in text and not message.strip():
            yield required(f"{where}.message", "message must be specified if rule contains line breaks")
        if told and not told.strip():
            yield required(f"{where}.messageExpression", "messageExpression must be non-empty if specified")
        yield from _field_path_problems(rule.get("fieldPath", ""), schema, f"{where}.fieldPath")
        reason = rule.get("reason")
        if reason is not None and reason not in REASONS:
            yield not_supported(f"{where}.reason", reason, tuple(sorted(REASONS)))


def _field_path_problems(field: str, schema: Schema, path: str) -> Iterator[Problem]:
    if not field:
        return
    if not field.strip():
        yield invalid(path, field, "must be non-empty if specified")
    if "\n" in field:
        yield invalid(path, field, "must not contain line breaks")
    if isinstance(field_at(field, schema), str):
        yield invalid(path, field, "must be a valid path")


def rule_faults(
    schema: Any, path: str, uncorrelatable: str | None = None, *, is_root: bool = True
) -> Iterator[Problem]:
    """Rules that can't be understood, or speak of a past that can't be told.

    ``uncorrelatable`` is where the outermost value is of whose parts nobody can say what they were before.
    """
    if not isinstance(schema, Mapping):
        return
    for index, rule in enumerate(schema.get(RULES) or ()):
        kind = declared(schema, is_root=is_root or bool(schema.get(_EMBEDDED))) or DYN
        yield from _one_rule(rule, f"{path}.{RULES}[{index}]", uncorrelatable, kind)
    below = path if schema.get(_MAP) == "atomic" and uncorrelatable is None else uncorrelatable
    for name in sorted(schema.get("properties") or {}):
        yield from rule_faults(schema["properties"][name], f"{path}.properties[{name}]", below, is_root=False)
    below = path if schema.get(_LIST) != "map" and uncorrelatable is None else uncorrelatable
    yield from rule_faults(schema.get("items"), f"{path}.items", below, is_root=False)
    more = schema.get("additionalProperties")
    yield from rule_faults(more, f"{path}.additionalProperties", uncorrelatable, is_root=False)


#: By field: what an expression has to be, what is said of another, and how it is said that there is none.
_WANTED = {
    "rule": ("bool", "cel expression must evaluate to a bool", "compilation failed"),
    "messageExpression": (
        "string",
        "messageExpression must evaluate to a string",
        "messageExpression compilation failed",
    ),
}


def _one_rule(rule: Json, path: str, uncorrelatable: str | None, kind: Type) -> Iterator[Problem]:
    before = Type("opt", (kind,)) if rule.get("optionalOldSelf") else kind
    for field, (wanted, otherwise, doing) in _WANTED.items():
        text = rule.get(field, "")
        if not text.strip():
            continue
        try:
            checked = compiled(text).checked({"self": kind, "oldSelf": before})
            faults, found = "\n".join(checked.faults), checked.type.name
        except CelSyntaxError as error:
            faults, found = str(error), ""
        if faults or found != wanted:
            why = f"{doing}: {faults}" if faults else otherwise
            yield Problem(f"{path}.{field}", f"{_in_go(rule)}: {why}")
    if old_is_used(rule["rule"]):
        if uncorrelatable is not None:
            message = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
            yield invalid(f"{path}.rule", rule["rule"], message)
    elif rule.get("optionalOldSelf") is not None:
        message = "may not be set if oldSelf is not used in rule"
        yield invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], message)


def _in_go(rule: Json) -> str:
    """A rule as Go prints its own struct."""
    texts = {name: rule.get(name[:1].lower() + name[1:], "") for name in ("Rule", "Message", "MessageExpression")}
    rest = {"Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath", "")}
    whole = orjson.dumps({**texts, **rest, "OptionalOldSelf": rule.get("optionalOldSelf")}).decode()
    for letter in "<>&":
        whole = whole.replace(letter, f"\\u{ord(letter):04x}")
    return whole
