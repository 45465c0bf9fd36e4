"""Which labels a selector picks: Kubernetes' label selectors in every form, and the selectors of nodes.

An object's ``LabelSelector`` is matched as it is (``matches``), without a step in between, since rules do that all the
time. ``Selector`` is the form with kubectl's text: ``app=web,tier in (a,b),!old``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from state import names
from state.errors import Problem, StateError, invalid, joined, quoted
from state.objects import LabelSelector, NodeSelector, NodeSelectorTerm

Labels = Mapping[str, str]

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_INT64 = range(-(2**63), 2**63)
_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+|\Z)")
_ENDS = frozenset({"", ","})
_SYMBOLS = _ENDS | {"!", "==", "=", "!=", ">", "<", "(", ")"}
#: Distinct terms of node selectors remembered in their checked form.
_CACHE_SIZE = 16_384


class SelectorError(StateError):
    """A selector's text or object makes no sense; the message is Kubernetes'."""


class Operator(StrEnum):
    """How a requirement compares, with Kubernetes' internal spelling (``selection.Operator``)."""

    IN = "in"
    NOT_IN = "notin"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    GREATER = "gt"
    LESS = "lt"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"


_BINARY = tuple(op for op in Operator if op not in {Operator.EXISTS, Operator.DOES_NOT_EXIST})
_ONE_OF = frozenset({Operator.IN, Operator.EQUALS, Operator.DOUBLE_EQUALS})
_NONE_OF = frozenset({Operator.NOT_IN, Operator.NOT_EQUALS})
_SETS = frozenset({Operator.IN, Operator.NOT_IN})
_ORDERS = frozenset({Operator.GREATER, Operator.LESS})
_TEXTS = {op: op.value for op in _BINARY} | {Operator.GREATER: ">", Operator.LESS: "<"}
_FROM_TEXT = {text: op for op, text in _TEXTS.items()}
_LABEL_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}
_NODE_OPERATORS = _LABEL_OPERATORS | {"Gt": Operator.GREATER, "Lt": Operator.LESS}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. Made by ``requirement``, which checks it."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    @property
    def pins(self) -> bool:
        """Whether the label can have one value only."""
        return self.operator in _ONE_OF and len(self.values) == 1

    def matches(self, labels: Labels) -> bool:
        """Whether labels meet the condition; a missing label meets only "not equal", "not in" and "doesn't exist"."""
        found = labels.get(self.key)
        operator = self.operator
        if operator in _ONE_OF:
            return found is not None and found in self.values
        if operator in _NONE_OF:
            return found is None or found not in self.values
        if operator is Operator.EXISTS:
            return found is not None
        if operator is Operator.DOES_NOT_EXIST:
            return found is None
        left = _integer(found) if found is not None else None
        right = _integer(self.values[0])
        if left is None or right is None:
            return False
        return left > right if operator is Operator.GREATER else left < right

    def __str__(self) -> str:
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.DOES_NOT_EXIST:
            return f"!{self.key}"
        values = ",".join(self.values)
        if self.operator in _SETS:
            return f"{self.key} {self.operator} ({values})"
        return f"{self.key}{_TEXTS[self.operator]}{values}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that labels have to meet all at once, in the order of their keys; none at all match everything.

    ``nothing`` makes it match no labels, whatever they are: what an absent ``LabelSelector`` means.
    """

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False
    _pinned: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _others: tuple[Requirement, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.requirements, key=lambda requirement: requirement.key)
        object.__setattr__(self, "requirements", tuple(ordered))
        object.__setattr__(self, "_pinned", tuple((r.key, r.values[0]) for r in ordered if r.pins))
        object.__setattr__(self, "_others", tuple(r for r in ordered if not r.pins))

    @property
    def everything(self) -> bool:
        """Whether it matches whatever the labels are."""
        return not self.requirements and not self.nothing

    def matches(self, labels: Labels) -> bool:
        """Whether the selector picks an object with these labels."""
        if self.nothing:
            return False
        for key, value in self._pinned:
            if labels.get(key) != value:
                return False
        for requirement in self._others:  # noqa: SIM110 - half the time of all(...)
            if not requirement.matches(labels):
                return False
        return True

    def equalities(self) -> dict[str, str]:
        """The labels that can have one value only, for looking candidates up; what it finds still has to match."""
        return dict(self._pinned)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def matches(selector: LabelSelector | None, labels: Labels) -> bool:
    """Whether an object's selector picks these labels. None picks nothing, an empty one everything.

    Raises:
        SelectorError: if it has an operator that doesn't exist.
    """
    if selector is None:
        return False
    if not selector.match_labels.items() <= labels.items():
        return False
    for expression in selector.match_expressions:
        found = labels.get(expression.key)
        operator = expression.operator
        if operator == "In":
            met = found is not None and found in expression.values
        elif operator == "NotIn":
            met = found is None or found not in expression.values
        elif operator == "Exists":
            met = found is not None
        elif operator == "DoesNotExist":
            met = found is None
        else:
            raise SelectorError(f"{quoted(operator)} is not a valid label selector operator")
        if not met:
            return False
    return True


def matches_map(selector: Labels, labels: Labels) -> bool:
    """Whether labels include all of ``selector``, the old form (``nodeSelector``, a Service's); an empty one always."""
    return selector.items() <= labels.items()


def from_object(selector: LabelSelector | None) -> Selector:
    """An object's selector, checked.

    Raises:
        SelectorError: if a key, an operator or a value isn't valid.
    """
    if selector is None:
        return NOTHING
    requirements = [requirement(key, Operator.EQUALS, (value,)) for key, value in selector.match_labels.items()]
    for expression in selector.match_expressions:
        operator = _LABEL_OPERATORS.get(expression.operator)
        if operator is None:
            raise SelectorError(f"{quoted(expression.operator)} is not a valid label selector operator")
        requirements.append(requirement(expression.key, operator, expression.values))
    return Selector(tuple(requirements))


def requirement(key: str, operator: Operator, values: Sequence[str] = ()) -> Requirement:
    """A checked requirement.

    Raises:
        SelectorError: with everything that is wrong with it.
    """
    problems = []
    if messages := names.qualified_name(key):
        problems.append(invalid("key", key, "; ".join(messages)))
    problems += _values_problems(operator, values)
    for index, value in enumerate(values):
        if messages := names.label_value(value):
            problems.append(invalid(f"values[{index}][{key}]", value, "; ".join(messages)))
    if problems:
        raise SelectorError(joined(problems))
    return Requirement(key, operator, tuple(sorted(set(values))))


def _values_problems(operator: Operator, values: Sequence[str]) -> list[Problem]:
    if operator in _SETS:
        wrong = "" if values else "for 'in', 'notin' operators, values set can't be empty"
    elif operator in _ORDERS:
        wrong = "" if len(values) == 1 else "for 'Gt', 'Lt' operators, exactly one value is required"
    elif operator in _BINARY:
        wrong = "" if len(values) == 1 else "exact-match compatibility requires one single value"
    else:
        wrong = "values set must be empty for exists and does not exist" if values else ""
    problems = [invalid("values", list(values), wrong)] if wrong else []
    if operator in _ORDERS:
        for index, value in enumerate(values):
            if _integer(value) is None:
                message = "for 'Gt', 'Lt' operators, the value must be an integer"
                problems.append(invalid(f"values[{index}]", value, message))
    return problems


def parse(text: str) -> Selector:
    """Reads kubectl's form, equality-based and set-based: ``a=b,c!=d,e in (x,y),f notin (z),g,!h,i>5``.

    Raises:
        SelectorError: with Kubernetes' message.
    """
    return Selector(tuple(_Parser(text).requirements()))


class _Parser:
    """Kubernetes' grammar (``labels.Parse``). Outside an operator's place, "in" and "notin" are words like others."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._next = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self._peek():
            if self._peek() in _SYMBOLS - {"!"}:
                expected = "identifier after ','" if found else "!, identifier, or 'end of string'"
                raise SelectorError(f"found '{self._peek()}', expected: {expected}")
            try:
                found.append(self._requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from error
            token = self._take()
            if token not in _ENDS:
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            if token and not self._peek():
                raise SelectorError("found '', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._take()
        key = self._identifier()
        if messages := names.qualified_name(key):
            raise SelectorError(str(invalid("<nil>", key, "; ".join(messages))))
        if absent:
            return requirement(key, Operator.DOES_NOT_EXIST)
        if self._peek() in _ENDS:
            return requirement(key, Operator.EXISTS)
        symbol = self._take()
        operator = _FROM_TEXT.get(symbol)
        if operator is None:
            raise SelectorError(f"found '{symbol}', expected: {', '.join(_BINARY)}")
        if operator in _SETS:
            return requirement(key, operator, self._values())
        return requirement(key, operator, ("" if self._peek() in _ENDS else self._identifier(),))

    def _values(self) -> list[str]:
        """``(x,y)``; nothing before, between or after commas is the empty value, and so is ``()``."""
        opening = self._take()
        if opening != "(":
            raise SelectorError(f"found '{opening}' expected: '('")
        if self._peek() in _SYMBOLS - {",", ")"}:
            raise SelectorError(f"found '{self._peek()}', expected: ',', ')' or identifier")
        values: set[str] = set()
        while self._peek() != ")":
            word = self._take()
            if word == "," and self._peek() == ",":
                self._take()
                values.add("")
                if self._peek() == ")":  # an oddity of Kubernetes' parser: (a,) and (a,,,) are fine, (a,,) isn't
                    raise SelectorError("found ')', expected: ',', or identifier")
            elif word == ",":
                if not values or self._peek() == ")":
                    values.add("")
            elif word in _SYMBOLS:
                raise SelectorError(f"found '{word}', expected: ',', or identifier")
            else:
                values.add(word)
                if self._peek() not in {",", ")"}:
                    raise SelectorError(f"found '{self._peek()}', expected: ',' or ')'")
        self._take()
        return sorted(values or {""})

    def _identifier(self) -> str:
        token = self._take()
        if token in _SYMBOLS:
            raise SelectorError(f"found '{token}', expected: identifier")
        return token

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token


def matches_node_selector(selector: NodeSelector, labels: Labels, node_name: str) -> bool:
    """Whether any term of a node selector picks the node; one without terms picks none."""
    for term in selector.node_selector_terms:  # noqa: SIM110 - half the time of any(...)
        if matches_node_selector_term(term, labels, node_name):
            return True
    return False


def matches_node_selector_term(term: NodeSelectorTerm, labels: Labels, node_name: str) -> bool:
    """Whether a node meets all conditions of one term.

    An empty term picks nothing, and neither does one with a condition that isn't valid: kube-scheduler skips both.
    """
    checked = _node_term(term)
    return checked is not None and checked.matches(labels, node_name)


@dataclass(frozen=True, slots=True)
class _NodeTerm:
    labels: Selector
    fields: tuple[tuple[str, str, bool], ...]  # the field's key, a value, whether it has to be that value

    def matches(self, labels: Labels, node_name: str) -> bool:
        if not self.labels.matches(labels):
            return False
        fields = self.fields if node_name else ()
        return not fields or all((_field(key, node_name) == value) is wanted for key, value, wanted in fields)


def _field(key: str, node_name: str) -> str:
    """A field of a node that selectors may name; there is one, and all others are empty."""
    return node_name if key == "metadata.name" else ""


@lru_cache(_CACHE_SIZE)
def _node_term(term: NodeSelectorTerm) -> _NodeTerm | None:
    if not term.match_expressions and not term.match_fields:
        return None
    fields = []
    for field_ in term.match_fields:
        if field_.operator not in {"In", "NotIn"} or len(field_.values) != 1:
            return None
        fields.append((field_.key, field_.values[0], field_.operator == "In"))
    requirements = []
    for expression in term.match_expressions:
        operator = _NODE_OPERATORS.get(expression.operator)
        if operator is None:
            return None
        try:
            requirements.append(requirement(expression.key, operator, expression.values))
        except SelectorError:
            return None
    return _NodeTerm(Selector(tuple(requirements)), tuple(fields))


def _integer(text: str) -> int | None:
    """A decimal integer of 64 bits, as Go reads one."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None
