"""Which facts are refused, with which words. Among them is all that crashes, hangs or silences the C engine."""

import datetime as dt
import decimal
import enum
import types

import pyrsistent
import pytest

from rules.engine import Engine, FactError, Matcher, Rule, c, m

RULES = [
    Rule("text", m.kind == "Pod", print, ""),
    Rule("number", m.count > 1, print, ""),
    Rule("any", +m.any, print, ""),
]
ANY = "an int of 64 bits, a string of at most 1024 characters, a bool or None"
TEXT = "a string of at most 1024 characters or None, as the rules or other facts have it"
NUMBER = "an int of 64 bits, a bool or None, as the rules have it"
NAME = "a name like node_missing, not id or sid"


class Colour(enum.Enum):
    RED = "red"


REFUSED = {
    "float": ({"unread": 1.5}, "unread", "1.5", ANY),
    "float without a fraction": ({"any": 1.0}, "any", "1.0", ANY),
    "float with an exponent": ({"any": 1e-07}, "any", "1e-07", ANY),
    "NaN": ({"any": float("nan")}, "any", "nan", ANY),
    "infinity": ({"any": float("-inf")}, "any", "-inf", ANY),
    "decimal": ({"any": decimal.Decimal(1)}, "any", r"Decimal\('1'\)", ANY),
    "int beyond 64 bits": ({"any": 2**63}, "any", "9223372036854775808", ANY),
    "int below 64 bits": ({"count": -(2**63) - 1}, "count", "-9223372036854775809", NUMBER),
    "huge int": ({"unread": 10**400}, "unread", r"1000.*\.\.\. \(int\)", ANY),
    "long string": ({"any": "x" * 1025}, "any", r"'xxx.*\.\.\. \(str\)", ANY),
    "1 MB string": ({"unread": "x" * 10**6}, "unread", r"'xxx.*\.\.\. \(str\)", ANY),
    "lone surrogate": ({"unread": "a\ud800"}, "unread", r"'a\\ud800'", ANY),
    "nested object": ({"any": {"x": 1}}, "any", r"\{'x': 1\}", ANY),
    "empty nested object": ({"any": {}}, "any", r"\{\}", ANY),
    "list": ({"unread": ["a"]}, "unread", r"\['a'\]", ANY),
    "bytes": ({"any": b"x"}, "any", "b'x'", ANY),
    "enum": ({"any": Colour.RED}, "any", "<Colour.RED: 'red'>", ANY),
    "time": ({"any": dt.date(2026, 1, 1)}, "any", r"datetime.date\(2026, 1, 1\)", ANY),
    "number for text": ({"kind": 1}, "kind", "1", TEXT),
    "bool for text": ({"kind": True}, "kind", "True", TEXT),
    "text for number": ({"count": "2"}, "count", "'2'", NUMBER),
    "id": ({"id": "9" * 9_000_000}, "id", r"'999.*\.\.\. \(str\)", NAME),
    "sid": ({"sid": 1}, "sid", "1", NAME),
    "dollar": ({"$s": 1}, r"\$s", "1", NAME),
    "the sentinel's": ({"$end": 1}, r"\$end", "1", NAME),
    "the partition's": ({"$p": 1}, r"\$p", "1", NAME),
    "empty name": ({"": 1}, "", "1", NAME),
    "name with a blank": ({"a b": 1}, "a b", "1", NAME),
    "name with a newline": ({"a\n": 1}, r"a\\n", "1", NAME),
    "name with a surrogate": ({"\ud800": 1}, r"\\ud800", "1", NAME),
}


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize(("fact", "name", "found", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_properties_are_refused(kind, fact, name, found, expected):
    facts = [{"kind": "Pod"}, {"kind": "Pod", **fact}, {"any": 2.5}]
    with pytest.raises(
        FactError, match=rf"^rule set 'refused', slot 1: property '{name}' is {found}: expected "
    ) as raised:
        kind("refused", RULES).match(facts)
    assert raised.value.expected == expected
    assert (raised.value.rule_set, raised.value.slot, raised.value.slots) == ("refused", 1, (1,))
    [(key, value)] = fact.items()
    assert raised.value.property == key
    assert raised.value.value is value


WHOLE = {
    "empty": ({}, r"\{\}: expected 1 to 100 properties, not 0"),
    "101 properties": (
        {f"p{n}": n for n in range(101)},
        r"\{'p0': 0.*\.\.\. \(dict\): expected 1 to 100 properties, not 101",
    ),
    "None": (None, "None: expected a flat mapping"),
    "string": ("Pod", "'Pod': expected a flat mapping"),
    "pairs": ([("kind", "Pod")], r"\[\('kind', 'Pod'\)\]: expected a flat mapping"),
}


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize(("fact", "message"), WHOLE.values(), ids=WHOLE.keys())
def test_bad_facts_are_refused(kind, fact, message):
    with pytest.raises(FactError, match=f"'refused', slot 2: the fact is {message}") as raised:
        kind("refused", RULES).match([{"kind": "Pod"}, {"kind": "Pod"}, fact])
    assert raised.value.property is None


@pytest.mark.parametrize("name", [1, None, b"kind"])
def test_names_that_are_no_strings_are_refused(name):
    with pytest.raises(
        FactError, match=rf"slot 0: property .*{name!r}.* is 1: expected a string for its name"
    ) as raised:
        Engine("refused", RULES).match([{name: 1}])
    assert raised.value.property == repr(name)


def test_the_first_bad_fact_is_named_whatever_is_wrong_with_the_others():
    facts = [{"kind": "Pod"}] * 2500
    facts[1700] = {"$p": 1}
    facts[1701] = {}
    facts[2300] = {"kind": 1.5}
    with pytest.raises(FactError, match="slot 1700: property '\\$p' is 1"):
        Engine("refused", RULES).match(facts)


def test_an_engine_is_exact_after_a_refusal():
    with Engine("again", RULES) as engine:
        for _ in range(3):
            with pytest.raises(FactError):
                engine.match([{"kind": "Pod"}, {"kind": "Pod", "count": 0.5}])
            assert [firing.slots for firing in engine.match([{"kind": "Pod"}])] == [(0,)]


ACCEPTED = {
    "dict": {"kind": "Pod"},
    "mapping proxy": types.MappingProxyType({"kind": "Pod"}),
    "persistent map": pyrsistent.pmap({"kind": "Pod"}),
    "100 properties": {"kind": "Pod", **{f"p{n}": n for n in range(99)}},
    "dotted names": {"kind": "Pod", "a.b.c": 1, "_x9": None},
    "limits": {"kind": "Pod", "a": 2**63 - 1, "b": -(2**63), "c": "\x00" * 1024, "d": "🙂" * 1024, "e": ""},
}


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize("fact", ACCEPTED.values(), ids=ACCEPTED.keys())
@pytest.mark.parametrize("sequence", [list, tuple, pyrsistent.pvector])
def test_good_facts_are_accepted(kind, fact, sequence):
    assert [firing.slots for firing in kind("accepted", RULES).match(sequence([fact]))] == [(0,)]


def test_facts_are_not_changed():
    fact = {"kind": "Pod", "count": 2, "other": "x"}
    for kind in (Engine, Matcher):
        kind("pure", RULES).match([fact])
    assert fact == {"kind": "Pod", "count": 2, "other": "x"}


JOIN = [Rule("pair", (c.a << m.kind == "A", c.b << (m.kind == "B") & (m.to == c.a.key)), print, "")]


@pytest.mark.parametrize("kind", [Engine, Matcher])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("5", 5, TEXT),
        (5, "5", "an int of 64 bits or None, as the rules or other facts have it"),
        (True, 1, "a bool or None, as the rules or other facts have it"),
        (1, True, "an int of 64 bits or None, as the rules or other facts have it"),
        (True, "true", "a bool or None, as the rules or other facts have it"),
        (None, 0.5, ANY),
    ],
)
def test_joined_properties_have_one_type_which_the_first_fact_tells(kind, first, second, expected):
    """The C engine joins 5 with "5" and True with "true", but not True with 1."""
    facts = [{"kind": "A", "key": first}, {"kind": "B", "to": second}]
    with pytest.raises(FactError, match=f"slot 1: property 'to' is {second!r}") as raised:
        kind("typed", JOIN).match(facts)
    assert raised.value.expected == expected


@pytest.mark.parametrize("kind", [Engine, Matcher])
def test_joined_properties_may_have_another_type_in_another_match(kind):
    matcher = kind("typed", JOIN)
    for value in ("5", 5, True, "", 0, False):
        assert len(matcher.match([{"kind": "A", "key": value}, {"kind": "B", "to": value}])) == 1
