"""Random rules on random facts: the C engine, the pure-Python matcher and a model written here agree.

The model knows nothing of how rules are compiled: it evaluates the drawn condition as it was drawn, on every
permutation of the facts. So it also covers what the two matchers share.
"""

import itertools
import operator
import random
import re
from unittest import mock

from hypothesis import given, reject, settings
from hypothesis import strategies as st

import rules.engine as module
from rules.engine import Engine, Matcher, Rule, RuleError, c, m

COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXTS = ["", "a", "ab", 'a"', "a\\", "é", "1", "true", "{", ","]
INTS = [0, 1, -1, 2, 2**63 - 1, -(2**63)]
PROPERTIES = {"kind": ["A", "B"], "t": TEXTS, "u": TEXTS, "i": INTS, "j": INTS, "b": [False, True]}
LIKE = {"t": "u", "u": "t", "i": "j", "j": "i", "b": "b", "kind": "kind"}


@st.composite
def leaves(draw):
    """A comparison of a property with a constant, its presence or its absence."""
    name = draw(st.sampled_from(sorted(PROPERTIES)))
    signs = ["==", "!=", "has", "lacks", "== None", "!= None"]
    if name in ("i", "j"):
        signs += ["<", "<=", ">", ">="]
    return (draw(st.sampled_from(signs)), name, draw(st.sampled_from(PROPERTIES[name])))


CONDITIONS = st.recursive(
    leaves(),
    lambda children: st.tuples(st.sampled_from(["and", "or"]), children, children),
    max_leaves=5,
)
FACTS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["A", "B"])},
        optional={name: st.none() | st.sampled_from(values) for name, values in PROPERTIES.items() if name != "kind"},
    ),
    max_size=7,
)


@st.composite
def joins(draw, position):
    """Comparisons with earlier patterns, at least one of them ==."""
    found = [
        (
            "==",
            *draw(st.sampled_from([("t", "t"), ("t", "u"), ("i", "i"), ("i", "j"), ("b", "b")])),
            draw(earlier(position)),
        )
    ]
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(["t", "i", "j", "b"]))
        signs = ["==", "!=", "<", "<=", ">", ">="] if name in ("i", "j") else ["==", "!="]
        found.append((draw(st.sampled_from(signs)), name, LIKE[name], draw(earlier(position))))
    return found


def earlier(position):
    return st.integers(0, position - 1)


@st.composite
def rules(draw):
    """Patterns: pairs of a condition and its joins. Each begins with a condition on the kind, so none is a lone not."""
    count = draw(st.sampled_from([1, 1, 1, 2, 2, 3]))
    return [
        (
            ("and", ("==", "kind", draw(st.sampled_from(["A", "B"]))), draw(CONDITIONS)),
            draw(joins(position)) if position else [],
        )
        for position in range(count)
    ]


def express(condition):
    """The condition in durable.lang."""
    sign, left, right = condition
    if sign == "and":
        return express(left) & express(right)
    if sign == "or":
        return express(left) | express(right)
    prop = getattr(m, left)
    if sign == "has":
        return +prop
    if sign == "lacks":
        return -prop
    return COMPARE[sign[:2]](prop, None) if sign.endswith("None") else COMPARE[sign](prop, right)


def holds(condition, fact):
    """The condition on a fact, as `Rule` documents it."""
    sign, left, right = condition
    if sign == "and":
        return holds(left, fact) and holds(right, fact)
    if sign == "or":
        return holds(left, fact) or holds(right, fact)
    if sign in ("has", "lacks"):
        return (left in fact) == (sign == "has")
    if sign == "== None":
        return left in fact and fact[left] is None
    value = fact.get(left)
    return value is not None and (sign == "!= None" or COMPARE[sign](value, right))


def as_rule(name, patterns):
    expressions = []
    for position, (condition, comparisons) in enumerate(patterns):
        expression = express(condition)
        for sign, left, right, other in comparisons:
            expression = expression & COMPARE[sign](getattr(m, left), getattr(getattr(c, f"a{other}"), right))
        expressions.append(getattr(c, f"a{position}") << expression)
    return Rule(name, expressions[0] if len(expressions) == 1 else tuple(expressions), print, "")


def joined(comparisons, fact, chosen):
    for sign, left, right, other in comparisons:
        mine, theirs = fact.get(left), chosen[other].get(right)
        if mine is None or theirs is None or not COMPARE[sign](mine, theirs):
            return False
    return True


def model(patterns, facts, partition):
    """The slots of all permutations that satisfy the patterns."""
    for slots in itertools.permutations(range(len(facts)), len(patterns)):
        chosen = [facts[slot] for slot in slots]
        if len({partition[slot] for slot in slots}) == 1 and all(
            holds(condition, fact) and joined(comparisons, fact, chosen)
            for (condition, comparisons), fact in zip(patterns, chosen, strict=True)
        ):
            yield slots


def check(drawn, facts, partition):
    table = [as_rule(f"r{number}", patterns) for number, patterns in enumerate(drawn)]
    expected = [
        (rule, slots)
        for rule, patterns in zip(table, drawn, strict=True)
        for slots in model(patterns, facts, partition)
    ]
    try:
        matcher = Matcher("oracle", table)
    except RuleError as error:
        if not re.search("side by side|multiplies out", str(error)):  # the only reasons to refuse what is drawn
            raise
        reject()
    assert [(f.rule, f.slots) for f in matcher.match(facts, partition)] == expected
    with Engine("oracle", table) as engine:
        assert [(f.rule, f.slots) for f in engine.match(facts, partition)] == expected


@given(st.lists(CONDITIONS.map(lambda condition: [(("and", ("==", "kind", "A"), condition), [])]), max_size=6), FACTS)
@settings(max_examples=300)
def test_conditions_on_one_fact(drawn, facts):
    check(drawn, facts, [0] * len(facts))


@given(st.lists(rules(), min_size=1, max_size=4), FACTS, st.data())
@settings(max_examples=300)
def test_rules_that_join(drawn, facts, data):
    partition = data.draw(st.lists(st.sampled_from("xxxyz"), min_size=len(facts), max_size=len(facts)))
    check(drawn, facts, partition)


@given(st.lists(rules(), min_size=1, max_size=3), FACTS, st.data(), st.integers(1, 4))
@settings(max_examples=100)
def test_small_chunks(drawn, facts, data, chunk):
    """Chunks that hold a few facts, and firings delivered a few at a time."""
    partition = data.draw(st.lists(st.sampled_from("wxyz"), min_size=len(facts), max_size=len(facts)))
    with mock.patch.object(module, "CHUNK", chunk):
        check(drawn, facts, partition)


def test_a_realistic_table_over_many_chunks():
    """20 rules and a join on 6,000 facts, where frames, buckets and chunks are full."""
    chance = random.Random(2026)
    facts = [
        {
            "kind": chance.choice(["Pod", "Node", "ReplicaSet"]),
            "name": f"o{number}",
            "node": f"o{chance.randrange(6000)}" if chance.random() < 0.8 else None,
            "missing": chance.randrange(-3, 4),
            "ready": chance.random() < 0.5,
        }
        for number in range(6000)
    ]
    table = [
        Rule(f"r{number}", (m.kind == kind) & (m.missing >= number % 7 - 3) & (m.ready == (number % 2 == 0)), print, "")
        for number, kind in enumerate(["Pod", "Node", "ReplicaSet", "Secret"] * 5)
    ]
    on_node = (
        c.node << m.kind == "Node",
        c.pod << (m.kind == "Pod") & (m.node == c.node.name) & (m.missing < c.node.missing),
    )
    table.append(Rule("on-node", on_node, print, ""))
    with Engine("realistic", table) as engine:
        firings = engine.match(facts)
    assert firings == Matcher("realistic", table).match(facts)
    assert sum(firing.rule.name == "on-node" for firing in firings) > 200
