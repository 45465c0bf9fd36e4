"""Which rules are refused when a rule set is made, with which words; and that the C engine is exact at the limits."""

import pytest

import rules._compile as compiler
from rules._native import lang
from rules.engine import Engine, Matcher, Rule, RuleError, c, m

POD = m.kind == "Pod"
NODE = m.kind == "Node"


def rule(when, name="r"):
    return Rule(name, when, print, "")


def prop(number):
    return getattr(m, f"x{number}")


def chain(expressions):
    result, *rest = expressions
    for expression in rest:
        result = result & expression
    return result


REFUSED = {
    "a bool, as `m.alias == 1` gives": (
        m.alias == 1,
        "expected a durable.lang expression such as m.kind == 'Pod', got False",
    ),
    "a lambda": (lambda fact: True, "expected a durable.lang expression"),
    "a list of patterns": ([c.a << POD], "expected a durable.lang expression"),
    "no pattern": ((), "joins 1 to 8 patterns, this one has 0"),
    "nine patterns": (tuple(getattr(c, f"a{n}") << POD for n in range(9)), "joins 1 to 8 patterns, this one has 9"),
    "a bare property": (m.ready, r"'ready' stands alone: compare it, or write \+m.ready"),
    "a bare property in an and": (POD & m.ready, "'ready' stands alone"),
    "a bool in an and, as `m.matches == 1` gives": (POD & (m.matches == 1), "write & and |, not `and`, `or`, `not`"),
    "the message itself": (m, "durable.lang refuses the expression"),
    "the context": (c.a, "expected a durable.lang expression"),
    "a context's property": (c.a.x, "expected a durable.lang expression"),
    "the state": (lang.s.x == 1, r"\$s is not supported"),
    "none()": ((c.a << POD, lang.none(m.x == 1)), "expected a durable.lang expression"),
    "all()": (lang.all(POD, NODE), "expected a durable.lang expression"),
    "any()": (lang.any(POD, NODE), "expected a durable.lang expression"),
    "a lone not": (-m.node, "not only -m.x or a join"),
    "a lone not on one side of an or": (POD | -m.node, "not only -m.x or a join"),
    "two nots": (-m.node & -m.name, "not only -m.x or a join"),
    "the id": (m.id == "1", "'id' cannot be a property"),
    "the sid": (POD & +m.sid, "'sid' cannot be a property"),
    "a dollar": (getattr(m, "$s") == 1, r"\$s is not supported"),
    "a dollar and an underscore": (getattr(m, "_$") == 1, r"'_\$' cannot be a property"),
    "a name that is no name": (getattr(m, "a b") == 1, "'a b' cannot be a property"),
    "letters beyond ASCII": (m.größe == 1, "cannot be a property"),
    "a float": (m.cpu > 0.5, "cpu > 0.5: expected an int, a string, a bool or None"),
    "a list": (m.cpu == [1], "expected an int, a string, a bool or None"),
    "too large an int": (m.cpu < 2**63, "beyond 64 bits"),
    "too small an int": (m.cpu > -(2**63) - 1, "beyond 64 bits"),
    "too long a string": (m.name == "x" * 1025, "at most 1024 characters"),
    "a lone surrogate": (m.name == "\ud800", "a lone surrogate is no text"),
    "order of strings": (m.name < "b", "name < 'b': only integers have an order here"),
    "order of None": (m.cpu >= None, "cpu >= None: only integers have an order here"),
    "arithmetic": (m.cpu + 1, "expected a durable.lang expression"),
    "arithmetic on the right": (POD & (m.cpu > m.memory + 1), "compute the difference in the fact"),
    "two properties of one fact": (m.cpu > m.memory, "compute the difference in the fact"),
    "an array": (m.names.anyItem(lang.item == "a"), r"\$iany is not supported: compute a boolean property"),
    "all of an array": (m.names.allItems(lang.item == "a"), r"\$iall is not supported"),
    "a regular expression": (m.name.matches("a.*"), r"\$mt is not supported"),
    "too many alternatives": (
        chain((prop(n) == 1) | (prop(n) == 2) for n in range(7)),
        "multiplies out to over 64 alternatives",
    ),
    "too many alternatives of patterns": (
        (
            c.a << chain((prop(n) == 1) | (prop(n) == 2) for n in range(4)),
            c.b << (m.y == c.a.x0) & chain((prop(n) == 1) | (prop(n) == 2) for n in range(3)),
        ),
        "multiplies out to 128 alternatives, at most 64",
    ),
    "a join without names": ((POD, NODE & (m.name == c.a.node)), "each pattern of a join needs a name"),
    "a name put after an and": ((c.a << POD, NODE & (c.b << m.x == c.a.x)), "each pattern of a join needs a name"),
    "a name used twice": ((c.a << POD, c.a << NODE & (m.name == c.a.node)), "each pattern of a join needs a name"),
    "an unknown pattern": (
        (c.a << POD, c.b << NODE & (m.name == c.x.node)),
        r"c.x.node names no earlier .*ones: c.a\)",
    ),
    "a later pattern": ((c.a << POD & (m.node == c.b.name), c.b << NODE), r"c.b.name names no earlier .*ones: none\)"),
    "itself": (c.a << POD & (m.node == c.a.name), "c.a.name names no earlier pattern"),
    "a cross product": ((c.a << POD, c.b << NODE), "pattern 'b' has no == with an earlier pattern"),
    "only an inequality": ((c.a << POD, c.b << NODE & (m.cpu > c.a.cpu)), "pattern 'b' has no =="),
    "an equality on one side of an or": (
        (c.a << POD, c.b << NODE & ((m.name == c.a.node) | (m.cpu > 1))),
        "pattern 'b' has no ==",
    ),
    "only a join": ((c.a << POD, c.b << (m.node == c.a.node)), "not only -m.x or a join"),
    "seventeen joins": (
        (c.a << POD, c.b << NODE & chain(prop(n) == getattr(c.a, f"x{n}") for n in range(17))),
        "pattern 'b' has 17 joins, at most 16",
    ),
}


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize(("when", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_rules_are_refused_when_they_are_made(kind, when, message):
    with pytest.raises(RuleError, match=message) as raised:
        kind("refused", [rule(+m.x, "fine"), rule(when, "bad")])
    assert str(raised.value).startswith("rule set 'refused', rule 'bad': ")
    assert (raised.value.rule_set, raised.value.rule) == ("refused", "bad")


SETS = {
    "one name twice": ([rule(+m.x), rule(+m.y)], "rule set 's', rule 'r': the name is used twice"),
    "no name": ([rule(+m.x, "")], "rule set 's': a rule must have a name"),
    "text and numbers": (
        [rule(m.x == 1), rule(m.x == "1", "q")],
        "x: compared with int and text, one property has one type",
    ),
    "text and bools": ([rule((m.x == "a") | (m.x == True))], "x: compared with bool and text"),  # noqa: E712
    "text joined with numbers": (
        [rule((c.a << m.x == 1, c.b << (m.y == "1") & (m.y == c.a.x)))],
        "x, y: compared with int and text",
    ),
    "bools joined with numbers": (
        [rule((c.a << m.x == 1, c.b << (m.y == True) & (m.y == c.a.x)))],  # noqa: E712
        "x, y: compared with bool and int",
    ),
    "order of joined strings": (
        [rule((c.a << m.x == "a", c.b << +m.y & (m.y == c.a.x) & (m.y > c.a.x)))],
        "x, y: compared with int and text",
    ),
    "names with one hash": (
        [rule((m.liquid == 1) & (m.costarring == 1))],
        "'costarring' and 'liquid' have the same hash",
    ),
    "511 values of a property": ([rule(m.x == n, f"r{n}") for n in range(511)], "511 different conditions on 'x'"),
    "65 live conditions": (
        [rule(m.x > n, f"r{n}") for n in range(65)],
        "one fact could satisfy 65 conditions side by side",
    ),
    "65 live conditions further on": (
        [rule(POD & (m.x != n), f"r{n}") for n in range(65)],
        "one fact could satisfy 65 conditions side by side, at most 64: begin the rules with an ==",
    ),
    "256 equal conditions": (
        [rule(POD & (m.x == 1), f"r{n}") for n in range(256)],
        "256 patterns have the same conditions",
    ),
    "128 absences": ([rule(POD & -prop(n), f"r{n}") for n in range(128)], "128 properties are tested for absence"),
    "4,000 rules": (
        [rule((m.x == n % 500) & (m.y == n // 500), f"r{n}") for n in range(4000)],
        "4000 alternatives, fewer",
    ),
}


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize(("rules", "message"), SETS.values(), ids=SETS.keys())
def test_rule_sets_are_refused_when_they_are_made(kind, rules, message):
    with pytest.raises(RuleError, match=message):
        kind("s", rules)


LIMITS = {
    "510 values": ([rule(m.x == n, f"r{n}") for n in range(510)], [{"x": n} for n in range(510)]),
    "64 live conditions": ([rule(m.x > n, f"r{n}") for n in range(64)], [{"x": n} for n in (0, 1, 63, 64)]),
    "64 live conditions further on": (
        [rule(POD & (m.x != n), f"r{n}") for n in range(64)],
        [{"kind": "Pod", "x": n} for n in (0, 1, 64)],
    ),
    "127 absences": (
        [rule((m.x == n % 2) & -prop(n), f"r{n}") for n in range(128)],
        [{"x": n % 2, f"x{n}": 1, "x0": None} for n in range(8)],
    ),
    "3,999 rules": (
        [rule((m.x == n % 500) & (m.y == n // 500), f"r{n}") for n in range(3999)],
        [{"x": n % 500, "y": n // 500} for n in range(0, 4000, 13)],
    ),
    "16 joins": (
        [rule((c.a << POD, c.b << NODE & chain(prop(n) == getattr(c.a, f"x{n}") for n in range(16))))],
        [{"kind": kind, **{f"x{n}": n for n in range(16)}} for kind in ("Pod", "Node", "Node")],
    ),
    "8 patterns": (
        [
            rule(
                (
                    c.a0 << (m.n == 0),
                    *(getattr(c, f"a{n}") << (m.n == n) & (m.j == getattr(c, f"a{n - 1}").j) for n in range(1, 8)),
                )
            )
        ],
        [{"n": n % 8, "j": n // 12} for n in range(24)],
    ),
    "64 alternatives": (
        [rule(chain((prop(n) == 1) | (prop(n) == 2) for n in range(6)))],
        [{f"x{n}": value for n in range(6)} for value in (1, 2, 3)],
    ),
}


@pytest.mark.parametrize(("rules", "facts"), LIMITS.values(), ids=LIMITS.keys())
def test_the_c_engine_is_exact_at_its_limits(rules, facts):
    with Engine("limits", rules) as engine:
        firings = engine.match(facts)
    assert firings
    assert firings == Matcher("limits", rules).match(facts)


def test_constants_at_their_limits():
    rules = [rule(m.cpu == n, f"r{n}") for n in (2**63 - 1, -(2**63), 0)] + [rule(m.name == "é" * 1024, "long")]
    facts = [{"cpu": 2**63 - 1}, {"cpu": -(2**63)}, {"cpu": 2**63 - 2}, {"name": "é" * 1024}, {"name": "é" * 1023}]
    for kind in (Engine, Matcher):
        assert [firing.slots[0] for firing in kind("limits", rules).match(facts)] == [0, 1, 3]


def test_a_very_long_expression_is_refused_not_a_crash():
    with pytest.raises(RuleError, match=r"durable\.lang refuses the expression"):
        Engine("long", [rule(chain(m.x > n for n in range(5000)))])


def test_alternatives_that_say_the_same_are_one():
    twice = rule(((m.x == 1) | (m.x == 1)) & ((m.y == 2) | (m.y == 2)) & ((m.x == 1) | (m.y == 2)))
    program = compiler.compile_rules("twice", [twice])
    assert [pattern.conditions for alternative in program.alternatives for pattern in alternative.patterns] == [
        (compiler.Condition("x", "==", 1), compiler.Condition("y", "==", 2))
    ]


def test_an_expression_is_read_once_and_can_be_used_again():
    ready = m.ready == True  # noqa: E712  durable.lang
    rules = [rule(POD & ready, "pod"), rule(NODE & ready, "node")]
    for _ in range(2):
        firings = Engine("shared", rules).match([{"kind": "Node", "ready": True}, {"kind": "Pod", "ready": False}])
        assert [firing.rule.name for firing in firings] == ["node"]


def test_rules_and_firings_are_values_that_do_not_change():
    one = rule(POD)
    with pytest.raises(AttributeError):
        one.name = "other"
    with pytest.raises(AttributeError):
        Engine("x", [one]).match([{"kind": "Pod"}])[0].slots = ()
    assert {one: 1}[one] == 1


def test_the_tree_counts_joins_and_comparisons_with_none_as_never_shared():
    """As rete.c's compareValue does; sharing them would undercount what waits on the C engine's stack."""
    rules = [rule(POD & (m.x != None), f"r{n}") for n in range(65)]  # noqa: E711  durable.lang
    with pytest.raises(compiler.RuleError, match="65 conditions side by side"):
        Engine("nil", rules)
