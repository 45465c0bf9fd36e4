"""What conditions mean, as a table run on both matchers. The pure-Python one is what the C engine is held against."""

import pytest

from rules.engine import Engine, EngineError, Matcher, Rule, c, m

BOTH = pytest.mark.parametrize("kind", [Engine, Matcher])


def fires(kind, when, *facts, partition=None):
    """The slots on which a rule fires."""
    with kind("table", [Rule("r", when, print, "")]) as matcher:
        return [
            firing.slots if isinstance(when, tuple) else firing.slots[0] for firing in matcher.match(facts, partition)
        ]


VALUES = [{"v": value} for value in (0, 1, -1, True, False, None, 2**63 - 1, 2**53, 2**53 + 1)] + [{"other": 1}]
TEXTS = [
    {"v": value} for value in ("", "a", "ab", "ab ", "abc", "A", "é", "e\u0301", 'a"', "a\\", "\\u0061", "1", None)
]

TABLE = [
    (m.v == 1, VALUES, [1, 3]),
    (m.v == 0, VALUES, [0, 4]),
    (m.v == True, VALUES, [1, 3]),  # noqa: E712  durable.lang
    (m.v == False, VALUES, [0, 4]),  # noqa: E712  durable.lang
    (m.v != 1, VALUES, [0, 2, 4, 6, 7, 8]),
    (m.v == None, VALUES, [5]),  # noqa: E711  durable.lang
    (m.v != None, VALUES, [0, 1, 2, 3, 4, 6, 7, 8]),  # noqa: E711  durable.lang
    (m.v > 0, VALUES, [1, 3, 6, 7, 8]),
    (m.v >= 0, VALUES, [0, 1, 3, 4, 6, 7, 8]),
    (m.v < 0, VALUES, [2]),
    (m.v <= 0, VALUES, [0, 2, 4]),
    (m.v == 2**63 - 1, VALUES, [6]),
    (m.v == 2**53, VALUES, [7]),
    (m.v > 2**53, VALUES, [6, 8]),
    (+m.v, VALUES, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    (+m.other & -m.v, VALUES, [9]),
    ((m.v > 0) & (m.v < 2), VALUES, [1, 3]),
    ((m.v < 0) | (m.v == None), VALUES, [2, 5]),  # noqa: E711  durable.lang
    (((m.v < 0) | (m.v > 1)) & ((m.v == -1) | (m.v == 2**53)), VALUES, [2, 7]),
    (0 < m.v, VALUES, [1, 3, 6, 7, 8]),  # noqa: SIM300  durable.lang turns it round
    *[(m.v == fact["v"], TEXTS, [slot]) for slot, fact in enumerate(TEXTS)],
    (m.v != "ab", TEXTS, [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (m.a.b == 1, [{"a.b": 1}, {"a": 1}], [0]),
]


@BOTH
@pytest.mark.parametrize(("when", "facts", "slots"), TABLE)
def test_conditions(kind, when, facts, slots):
    assert fires(kind, when, *facts) == slots


A = c.a << m.kind == "A"
B = m.kind == "B"
JOINED = [
    ((A, c.b << B & (m.k == c.a.k)), [(0, 2), (0, 3), (1, 4)]),
    ((A, c.b << B & (m.k == c.a.k) & (m.v > c.a.v)), [(0, 3)]),
    ((A, c.b << B & (m.k == c.a.k) & (m.v <= c.a.v)), [(0, 2), (1, 4)]),
    ((A, c.b << B & (m.k == c.a.k) & (m.v != c.a.v)), [(0, 3)]),
    ((A, c.b << B & (m.k == c.a.k) & (m.v > 1)), [(0, 3), (1, 4)]),
    ((A, c.b << B & (m.k == c.a.k) & ((m.v == 1) | (m.v == c.a.v))), [(0, 2), (1, 4)]),
    ((A, c.b << B & (m.k == c.a.k) & (m.v == c.a.v)), [(0, 2), (1, 4)]),
    ((c.a << (m.kind == "A") & -m.gone, c.b << B & (m.k == c.a.k)), [(0, 2), (0, 3)]),
    ((A, c.b << B & (m.k == c.a.k), c.d << B & (m.k == c.b.k)), [(0, 2, 3), (0, 3, 2)]),
    ((A, c.b << B & (m.k == c.a.k), c.d << B & (m.k == c.a.k) & (m.v > c.b.v)), [(0, 2, 3)]),
]
JOINABLE = [
    {"kind": "A", "k": "x", "v": 1},
    {"kind": "A", "k": "y", "v": 2, "gone": True},
    {"kind": "B", "k": "x", "v": 1},
    {"kind": "B", "k": "x", "v": 2},
    {"kind": "B", "k": "y", "v": 2},
    {"kind": "B", "k": None, "v": 2},
    {"kind": "B", "v": 2},
    {"kind": "A", "k": None, "v": None},
]


@BOTH
@pytest.mark.parametrize(("when", "slots"), JOINED)
def test_joins(kind, when, slots):
    assert fires(kind, when, *JOINABLE) == slots


@BOTH
def test_only_facts_of_one_partition_are_joined(kind):
    when = (A, c.b << B & (m.k == c.a.k))
    assert fires(kind, when, *JOINABLE, partition=[("p", 1), 2, ("p", 1), 2, None, 2, 2, 2]) == [(0, 2)]


@BOTH
def test_partitions_do_not_touch_rules_about_one_fact(kind):
    rules = [Rule("pair", (A, c.b << B & (m.k == c.a.k)), print, ""), Rule("one", m.v == 2, print, "")]
    with kind("mixed", rules) as matcher:
        firings = matcher.match(JOINABLE, range(len(JOINABLE)))
    assert [(firing.rule.name, firing.slots) for firing in firings] == [("one", (slot,)) for slot in (1, 3, 4, 5, 6)]


@BOTH
def test_a_matcher_has_its_name_and_rules(kind):
    rules = [Rule("r", m.x == 1, print, "why")]
    with kind("named", rules) as matcher:
        assert (matcher.name, matcher.rules, matcher.backend) == (
            "named",
            tuple(rules),
            "python" if kind is Matcher else "durable-rules",
        )


def test_a_partition_must_have_one_entry_a_fact():
    with pytest.raises(EngineError, match="1 facts, but 2 partitions: expected one for each fact"):
        Matcher("m", [Rule("r", m.x == 1, print, "")]).match([{"x": 1}], [1, 2])
