"""What expressions may cost at most: apiextensions-apiserver 0.36.4's estimates.

``data/costs.jsonl`` begins with the schema that the expressions are about. It refused each in a list of so many items
as make it too dear, with the factor: that tells the cost.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.cel import compiled
from reconciler.apiserver.cel.estimates import MOST, Size, added, exactly, scaled, times
from reconciler.apiserver.cel.estimates import Path as Steps
from reconciler.apiserver.cel.types import DYN, Type, declared
from reconciler.apiserver.crd_costs import Extents
from reconciler.apiserver.crd_rule_checks import rule_faults

LINES = (Path(__file__).parent / "data" / "costs.jsonl").read_text(encoding="utf-8").splitlines()
SCHEMA = json.loads(LINES[0])["schema"]
CASES = list(map(json.loads, LINES[1:]))
SIZES = st.builds(lambda one, other: Size(min(one, other), max(one, other)), *[st.integers(0, MOST)] * 2)


def cost(rule: str, schema: dict[str, Any], *, optional_old_self: bool = False) -> int:
    """What a rule about a value of the schema costs at most."""
    kind = declared(schema) or DYN
    program = compiled(rule)
    checked = program.checked({"self": kind, "oldSelf": Type("opt", (kind,)) if optional_old_self else kind})
    assert checked.faults == []
    return program.highest_cost(checked, Extents(schema, is_root=False))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["rule"])
def test_the_estimates_are_kubernetes(case: dict[str, Any]) -> None:
    """To the unit, for each function and macro."""
    assert cost(case["rule"], SCHEMA, optional_old_self=case.get("optionalOldSelf", False)) == case["cost"]


@pytest.mark.parametrize(
    ("rule", "schema", "highest"),
    [
        ("self.all(x, true)", {"type": "array", "items": {"type": "number"}}, 4718591),
        ("self.all(x, true)", {"type": "array", "maxItems": 10, "items": {"type": "number"}}, 32),
        ("self.contains('test')", {"type": "string"}, 314574),
        ("self.contains('test')", {"type": "string", "maxLength": 10}, 5),
        ("isQuantity(self)", {"type": "string"}, 314574),
        ("optional.of('a').optMap(v, v == 'value').hasValue()", {"type": "string"}, 29),
    ],
)
def test_costs_that_kubernetes_tests_state(rule: str, schema: dict[str, Any], highest: int) -> None:
    """As TestCostEstimation and TestCelEstimatedCostStability have them."""
    assert cost(rule, schema) == highest


def test_a_field_that_is_used_in_an_inner_loop_tells_how_long_that_is() -> None:
    """Kubernetes' slices share memory: the loop over ``r`` counts the characters of ``t``."""
    inner = {
        "t": {"type": "string", "maxLength": 100},
        "r": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
    }
    items = {"type": "array", "maxItems": 10, "items": {"type": "object", "properties": inner}}
    schema = {"type": "object", "properties": {"l": items}}
    other = "self.l.all(x, x.r.all(y, y == '' && x.t == ''))"
    alone = "self.l.all(x, x.r.all(y, y == '' && self.l[0].t == ''))"
    assert cost(other, schema) > 50 * cost(alone, schema)


def test_a_path_shares_its_room() -> None:
    """As long as there is room, the last step that was added is in all that were made of a path."""
    path = Steps().plus("self").plus("spec").plus("@items")
    one, other = path.plus("a"), path.plus("b")
    assert one.names == other.names == ["self", "spec", "@items", "b"]
    assert path.names == ["self", "spec", "@items"]
    assert Steps().plus("self").plus("a").names == ["self", "a"]


@given(SIZES, SIZES)
def test_sizes_never_leave_their_range(one: Size, other: Size) -> None:
    """Whatever is added or multiplied, 2^64 - 1 is the end, and the least isn't above the most."""
    for size in (one.plus(other), one.by(other), one.or_(other)):
        assert 0 <= size.least <= size.most <= MOST
    assert 0 <= one.read() <= MOST


def test_what_is_too_deep_is_refused_as_such() -> None:
    """However deep the stack is already: it is no error of the server's."""
    schema = {"type": "string", "x-kubernetes-validations": [{"rule": f"{'+'.join(['1'] * 300)} == 300"}]}
    (problem,) = rule_faults(schema, "x", is_root=False)
    assert "expression recursion limit exceeded" in problem.message


def test_what_is_too_much_stays_the_most() -> None:
    """Sums, products, and fractions rounded up."""
    assert added(MOST, 1) == times(MOST, 2) == scaled(MOST, 2) == MOST
    assert scaled(MOST, 0.1) == 1844674407370955264
    assert [scaled(number, 0.1) for number in (0, 1, 10, 11)] == [0, 1, 1, 2]
    assert exactly(3).by(exactly(2)) == exactly(6)
