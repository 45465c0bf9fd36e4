"""What is asked of the rules in a custom resource's schema (``x-kubernetes-validations``) before any is enforced."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from reconciler.apiserver.cel import CelSyntaxError, compiled
from reconciler.apiserver.cel.estimates import times
from reconciler.apiserver.cel.types import Type, declared, is_embedded
from reconciler.apiserver.crd_costs import Budget, Extents, inside
from reconciler.apiserver.crd_paths import field_at
from reconciler.apiserver.crd_rules import REASONS, RULES, old_is_used
from state.errors import Problem, invalid, not_supported, required

Json = dict[str, Any]
Schema = Mapping[str, Any]
_TYPELESS = (
    "internal error: failed to construct type information for x-kubernetes-validations rules: "
    "unable to convert structural schema to CEL declarations"
)
_LIST, _MAP = "x-kubernetes-list-type", "x-kubernetes-map-type"


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


class _Place(NamedTuple):
    """Where a schema stands.

    ``uncorrelatable`` is where the outermost value is of whose parts nobody can say what they were before; ``often`` is
    how many values of the schema there can be, None if without limit.
    """

    path: str
    is_root: bool
    uncorrelatable: str | None = None
    often: int | None = 1


def rule_faults(
    schema: Schema, path: str, faulty: Collection[str] = (), *, is_root: bool = True, is_new: bool = True
) -> Iterator[Problem]:
    """Rules that can't be understood, speak of a past that can't be told, or cost too much.

    Rules around a place that is ``faulty`` aren't looked at. What isn't ``is_new`` may have a rule that costs too much.
    """
    budget = Budget(is_each_limited=is_new)
    yield from _below(schema, _Place(path, is_root), faulty, budget)
    yield from budget.problems(path)


def _below(schema: Any, place: _Place, faulty: Collection[str], budget: Budget) -> Iterator[Problem]:
    """As Kubernetes tells it: what is inside comes first."""
    if not isinstance(schema, Mapping):
        return
    path, before = place.path, place.uncorrelatable
    inner = _Place("", False, before, inside(schema, place.often))
    more = inner._replace(path=f"{path}.additionalProperties")
    yield from _below(schema.get("additionalProperties"), more, faulty, budget)
    below = path if schema.get(_MAP) == "atomic" and before is None else before
    for name in sorted(schema.get("properties") or {}):
        named = inner._replace(path=f"{path}.properties[{name}]", uncorrelatable=below)
        yield from _below(schema["properties"][name], named, faulty, budget)
    below = path if schema.get(_LIST) != "map" and before is None else before
    yield from _below(schema.get("items"), inner._replace(path=f"{path}.items", uncorrelatable=below), faulty, budget)
    rules = schema.get(RULES) or ()
    if not rules or any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in faulty):
        return
    is_root = place.is_root or is_embedded(schema)
    kind, extents = declared(schema, is_root=is_root), Extents(schema, is_root=is_root)
    if kind is None:
        yield Problem(f"{path}.{RULES}", _TYPELESS, "InternalError")
        return
    for index, rule in enumerate(rules):
        yield from _one_rule(rule, place._replace(path=f"{path}.{RULES}[{index}]"), kind, extents, budget)


#: By field: what an expression has to be, what is said of another, how it is said that there is none, and its name.
_WANTED = {
    "rule": ("bool", "cel expression must evaluate to a bool", "compilation failed", "rule"),
    "messageExpression": (
        "string",
        "messageExpression must evaluate to a string",
        "messageExpression compilation failed",
        "messageExpression",
    ),
}


def _one_rule(rule: Json, place: _Place, kind: Type, extents: Extents, budget: Budget) -> Iterator[Problem]:
    names = {"self": kind, "oldSelf": Type("opt", (kind,)) if rule.get("optionalOldSelf") else kind}
    is_understood = False
    for field, (wanted, otherwise, doing, what) in _WANTED.items():
        text, path = rule.get(field, ""), f"{place.path}.{field}"
        if not text.strip() or (field != "rule" and not is_understood):
            continue
        try:
            program = compiled(text)
            checked = program.checked(names)
            faults, found = "\n".join(checked.faults), checked.type.name
            cost = 0 if faults else program.highest_cost(checked, extents)
        except CelSyntaxError as error:
            faults, found, cost = str(error), "", 0
        if faults or found != wanted:
            why = f"{doing}: {faults}" if faults else otherwise
            yield Problem(path, f"{_in_go(rule)}: {why}")
            continue
        if field == "rule":
            is_understood = True
            cost = times(cost, extents.most if place.often is None else place.often)
        yield from budget.spent(cost, path, what)
    if is_understood and old_is_used(rule["rule"]):
        if place.uncorrelatable is not None:
            message = "oldSelf cannot be used on the uncorrelatable portion of the schema within"
            yield invalid(f"{place.path}.rule", rule["rule"], f"{message} {place.uncorrelatable}")
    elif rule.get("optionalOldSelf") is not None:
        message = "may not be set if oldSelf is not used in rule"
        yield invalid(f"{place.path}.optionalOldSelf", rule["optionalOldSelf"], message)


def _in_go(rule: Json) -> str:
    """A rule as Go prints its own struct."""
    texts = {name: rule.get(name[:1].lower() + name[1:], "") for name in ("Rule", "Message", "MessageExpression")}
    rest = {"Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath", "")}
    whole = orjson.dumps({**texts, **rest, "OptionalOldSelf": rule.get("optionalOldSelf")}).decode()
    for letter in "<>&":
        whole = whole.replace(letter, f"\\u{ord(letter):04x}")
    return whole
