"""Which writes a policy, a binding or a webhook is about: rules, selectors, and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from reconciler.apiserver.cel import BUDGET, CelBudgetError, CelError, CelSyntaxError, Steps, compiled
from reconciler.apiserver.resources import Place, Registry, Resource
from state.errors import StateError
from state.objects import LabelSelector, decode_hook
from state.selectors import matches

Json = dict[str, Any]
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Aim:
    """What a write is about, as far as rules look at it; ``kinds`` are the group and version it may be known by."""

    operation: str
    place: Place
    #: Under which resources the object is served: the one of the request first.
    resources: tuple[Resource, ...]
    labels: Mapping[str, str]
    old_labels: Mapping[str, str] | None
    #: Those of the namespace that the object is in, or is.
    namespace_labels: Mapping[str, str] | None


def equivalents(registry: Registry, resource: Resource) -> tuple[Resource, ...]:
    """A resource, and those that show the same objects in another version."""
    same = [
        each
        for each in registry.resources
        if each is not resource
        and each.conversion is not None
        and each.conversion.stored == (resource.api_version, resource.kind)
    ]
    return (resource, *same)


def _texts(holder: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(item for item in holder.get(name) or () if isinstance(item, str))


class Rule:
    """A rule of a policy or a webhook: operations, and resources."""

    def __init__(self, rule: Json) -> None:
        self._operations, self._groups = _texts(rule, "operations"), _texts(rule, "apiGroups")
        self._versions, self._resources = _texts(rule, "apiVersions"), _texts(rule, "resources")
        self._names = _texts(rule, "resourceNames")
        self._scope = rule.get("scope") or _ANY

    def covers(self, aim: Aim, resource: Resource) -> bool:
        """Whether a write of objects that are served so is meant."""
        place = aim.place
        is_meant = (
            _has(self._operations, aim.operation)
            and _has(self._groups, resource.group)
            and _has(self._versions, resource.version)
            and any(_is_resource(each, resource.plural, place.subresource) for each in self._resources)
            and (not self._names or place.name in self._names)
        )
        is_namespaced = resource.namespaced and bool(place.namespace)
        return is_meant and (self._scope == _ANY or (self._scope == "Namespaced") is is_namespaced)


def _has(values: tuple[str, ...], value: str) -> bool:
    return _ANY in values or value in values


def _is_resource(pattern: str, plural: str, part: str) -> bool:
    wanted, _, wanted_part = pattern.partition("/")
    if pattern == _ANY:
        return not part
    return wanted in (_ANY, plural) and wanted_part in ((_ANY, part) if part or wanted_part == _ANY else (part,))


class Selector:
    """What of an object, or of its namespace, has to be so."""

    def __init__(self, value: Any) -> None:
        self._selector: LabelSelector | None = None
        if value:
            try:
                self._selector = msgspec.convert(value, LabelSelector, dec_hook=decode_hook)
            except (msgspec.ValidationError, StateError):
                self._selector = LabelSelector()

    def takes(self, labels: Mapping[str, str] | None) -> bool:
        """Whether labels are meant; nothing selects everything."""
        return self._selector is None or (labels is not None and matches(self._selector, dict(labels)))


class Match:
    """``matchResources`` of a policy or binding, or the like of a webhook."""

    def __init__(self, value: Json, rules: str = "resourceRules") -> None:
        self._rules = [Rule(each) for each in value.get(rules) or ()]
        self._excluded = [Rule(each) for each in value.get("excludeResourceRules") or ()]
        self._namespaces, self._objects = (
            Selector(value.get("namespaceSelector")),
            Selector(value.get("objectSelector")),
        )
        self._is_exact = value.get("matchPolicy") == "Exact"

    def finds(self, aim: Aim, *, is_binding: bool = False) -> Resource | None:
        """As what a write is meant, None if it isn't. A binding without rules is about all that its policy is about."""
        if not self._is_selected(aim):
            return None
        resources = aim.resources[:1] if self._is_exact else aim.resources
        if any(rule.covers(aim, each) for rule in self._excluded for each in resources):
            return None
        if is_binding and not self._rules:
            return aim.resources[0]
        return next((each for each in resources for rule in self._rules if rule.covers(aim, each)), None)

    def _is_selected(self, aim: Aim) -> bool:
        if aim.namespace_labels is not None and not self._namespaces.takes(aim.namespace_labels):
            return False
        return self._objects.takes(aim.labels) or (aim.old_labels is not None and self._objects.takes(aim.old_labels))


def conditions_hold(conditions: Iterable[Json], names: Mapping[str, Any], steps: Steps) -> bool:
    """Whether all match conditions are true. One that is false decides, whatever is wrong with others.

    Raises:
        CelError: that can't be told.
    """
    errors = []
    for condition in conditions:
        try:
            if evaluated(str(condition.get("expression") or ""), names, steps) is False:
                return False
        except CelError as error:
            errors.append(str(error))
    if errors:
        raise CelError(errors[0] if len(errors) == 1 else f"[{', '.join(_unique(errors))}]")
    return True


def _unique(texts: Iterable[str]) -> Iterator[str]:
    yield from dict.fromkeys(texts)


def evaluated(text: str, names: Mapping[str, Any], steps: Steps) -> Any:
    """The value of an expression. It may take ``BUDGET`` of the steps that there are for all expressions together.

    Raises:
        CelBudgetError: all together take too many.
        CelError: it has no value; the text is kube-apiserver's.
    """
    most = min(BUDGET, steps.left)
    own = Steps(most)
    try:
        return compiled(text.strip()).evaluate(names, own)
    except (CelError, CelSyntaxError) as error:
        is_too_long = isinstance(error, CelBudgetError)
        if is_too_long and most < BUDGET:
            raise
        why = "operation cancelled: actual cost limit exceeded" if is_too_long else error
        raise CelError(f"expression '{text.strip()}' resulted in error: {why}") from error
    finally:
        steps.left -= most - own.left
