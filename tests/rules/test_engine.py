"""The C engine's exactness: every firing, once, in one order, whatever the size and the order of the input."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import rules.engine as module
from rules.engine import CHUNK, Engine, Firing, Matcher, Rule, RuleMatcher, c, m, make_engine

ROOT = Path(__file__).parents[2]


def nothing(*args):
    """A consequent for tests that only match."""


def rule(name, when):
    return Rule(name, when, nothing, "")


REPLICATION = (
    rule("scale-up", (m.kind == "ReplicaSet") & (m.missing > 0)),
    rule("scale-down", (m.kind == "ReplicaSet") & (m.missing < 0)),
    rule("settled", (m.kind == "ReplicaSet") & (m.missing == 0) & (m.ready == True)),  # noqa: E712  durable.lang
)
PLACEMENT = (
    rule(
        "node-lost",
        (
            c.node << (m.kind == "Node") & (m.ready == False),  # noqa: E712  durable.lang
            c.pod << (m.kind == "Pod") & (m.node == c.node.name),
        ),
    ),
)


def replica_set(number, missing):
    return {"kind": "ReplicaSet", "name": f"rs-{number}", "missing": missing, "ready": number % 2 == 0, "note": None}


def names(firings, facts):
    return [(firing.rule.name, *(facts[slot]["name"] for slot in firing.slots)) for firing in firings]


def digest(firings, facts):
    """Of what fired on which facts by name, whatever their slots."""
    return hashlib.sha256(repr(sorted(names(firings, facts))).encode()).hexdigest()


def test_firings_come_by_rule_order_then_slot():
    facts = [replica_set(0, -1), replica_set(1, 2), {"kind": "Pod"}, replica_set(2, 0), replica_set(3, 1)]
    with Engine("replication", REPLICATION) as engine:
        firings = engine.match(facts)
    assert [(firing.rule.name, firing.slots) for firing in firings] == [
        ("scale-up", (1,)),
        ("scale-up", (4,)),
        ("scale-down", (0,)),
        ("settled", (3,)),
    ]
    assert all(isinstance(firing, Firing) for firing in firings)


def test_consequents_are_not_run():
    def explode():
        raise AssertionError

    with Engine("pure", [Rule("boom", m.x == 1, explode, "")]) as engine:
        assert len(engine.match([{"x": 1}])) == 1


def test_no_facts_and_no_rules():
    with Engine("replication", REPLICATION) as engine, Engine("none", []) as empty:
        assert engine.match([]) == []
        assert empty.match([replica_set(0, 1)]) == []


def test_facts_that_no_rule_reads_are_no_error():
    with Engine("replication", REPLICATION) as engine:
        assert engine.match([{"kind": "Secret"}, {"unread": 1}, replica_set(0, 1), {"unread": 2}])[0].slots == (2,)


def test_equal_facts_fire_each_for_itself():
    with Engine("replication", REPLICATION) as engine:
        assert [firing.slots for firing in engine.match([replica_set(0, 1)] * 3)] == [(0,), (1,), (2,)]


def test_a_rule_fires_once_when_both_sides_of_an_or_hold():
    with Engine("either", [rule("either", (m.kind == "Pod") & ((m.a == 1) | (m.b == 2)))]) as engine:
        facts = [{"kind": "Pod", "a": 1, "b": 2}, {"kind": "Pod", "a": 1}, {"kind": "Pod", "b": 2}, {"kind": "Pod"}]
        assert [firing.slots for firing in engine.match(facts)] == [(0,), (1,), (2,)]


def test_facts_that_differ_in_nothing_that_rules_read_fire_each_for_itself():
    """They are one question to the C engine."""
    rules = (rule("low", m.cpu < 5), rule("high", m.cpu >= 5))
    facts = [{"cpu": cpu, "name": f"pod-{number}"} for number, cpu in enumerate([7, 1, 1, 7, 3, 1] * 1_000)]
    with Engine("alike", rules) as engine:
        firings = engine.match(facts)
    assert firings == Matcher("alike", rules).match(facts)
    assert len(firings) == len(facts)


def test_rules_with_the_same_condition_fire_all_in_their_order():
    """As many as the C engine can hold at one node; the names are in no order."""
    rules = [rule(f"r{number * 7919 % 255}", (m.kind == "Pod") & (m.x == 1)) for number in range(255)]
    with Engine("same", rules) as engine:
        firings = engine.match([{"kind": "Pod", "x": 1}] * 2)
    assert [(firing.rule, firing.slots[0]) for firing in firings] == [(r, slot) for r in rules for slot in (0, 1)]


def test_text_that_looks_like_the_engines_own_messages():
    """Firings are read out of JSON text: nothing inside a value may pass for it."""
    tricky = [
        '"p0":{"id":"000007"',
        '{"p0":{"id":"000007"}}',
        'p0":{"id":"000007',
        '\\"',
        "{",
        '"',
        "\\",
        "é\n\x00\x1f",
        "'",
    ]
    facts = [{"kind": text, "other": text} for text in tricky]
    rules = [rule(f"r{number}", m.kind == text) for number, text in enumerate(tricky)]
    rules.append(rule("all", +m.other))
    with Engine("tricky", rules) as engine:
        got = [(firing.rule.name, firing.slots[0]) for firing in engine.match(facts)]
    assert got == [(f"r{n}", n) for n in range(len(tricky))] + [("all", n) for n in range(len(tricky))]


def test_joins_pair_different_facts_of_one_partition():
    facts = [
        {"kind": "Node", "name": "a", "ready": False},
        {"kind": "Pod", "name": "p0", "node": "a"},
        {"kind": "Node", "name": "b", "ready": True},
        {"kind": "Pod", "name": "p1", "node": "b"},
        {"kind": "Pod", "name": "p2", "node": "a"},
        {"kind": "Pod", "name": "p3", "node": None},
        {"kind": "Pod", "name": "p4"},
    ]
    with Engine("placement", PLACEMENT) as engine:
        assert [firing.slots for firing in engine.match(facts)] == [(0, 1), (0, 4)]
        assert [firing.slots for firing in engine.match(facts, partition="xxyyyyy")] == [(0, 1)]


def test_null_and_missing_never_join():
    pair = [rule("pair", (c.a << m.kind == "A", c.b << (m.kind == "B") & (m.key == c.a.key)))]
    facts = [{"kind": "A", "key": None}, {"kind": "B", "key": None}, {"kind": "A"}, {"kind": "B"}]
    with Engine("pair", pair) as engine:
        assert engine.match(facts) == []
        facts += [{"kind": "A", "key": "x"}, {"kind": "B", "key": "x"}]
        assert [firing.slots for firing in engine.match(facts)] == [(4, 5)]


def test_a_fact_does_not_join_itself():
    twins = [rule("twins", (c.a << +m.key, c.b << +m.key & (m.key == c.a.key)))]
    with Engine("twins", twins) as engine:
        assert [f.slots for f in engine.match([{"key": 1}, {"key": 1}, {"key": 2}])] == [(0, 1), (1, 0)]


def test_a_partition_larger_than_a_chunk_is_matched_whole():
    facts = [{"kind": "Node", "name": "a", "ready": False}]
    facts += [{"kind": "Pod", "name": f"p{number}", "node": "a"} for number in range(CHUNK * 2)]
    facts += [{"kind": "Node", "name": "a", "ready": False}]
    with Engine("placement", PLACEMENT) as engine:
        assert len(engine.match(facts)) == CHUNK * 4
        assert len(engine.match(facts, ["big"] * (len(facts) - 1) + ["small"])) == CHUNK * 2


def exact_count(count):
    facts = [replica_set(number, number % 3 - 1) for number in range(count)]
    with Engine("replication", REPLICATION) as engine:
        firings = engine.match(facts)
    expected = [[n for n in range(count) if n % 3 == 2], [n for n in range(count) if n % 3 == 0]]
    expected.append([n for n in range(count) if n % 3 == 1 and n % 2 == 0])
    assert [firing.slots[0] for firing in firings] == expected[0] + expected[1] + expected[2]


def test_exact_count_over_100_000_facts():
    exact_count(100_000)


@pytest.mark.slow
def test_exact_count_over_1_000_000_facts():
    exact_count(1_000_000)


def test_exact_count_of_a_join_over_many_chunks():
    facts = [{"kind": "Node", "name": f"n{number}", "ready": number % 2 == 0} for number in range(500)]
    facts += [{"kind": "Pod", "name": f"p{number}", "node": f"n{number * 7919 % 600}"} for number in range(20_000)]
    partition = [fact.get("node", fact["name"]) for fact in facts]
    with Engine("placement", PLACEMENT) as engine:
        whole = engine.match(facts)
        assert engine.match(facts, partition) == whole
    lost = {f"n{number}" for number in range(0, 500, 2)}
    assert len(whole) == sum(fact.get("node") in lost for fact in facts)


def test_digest_is_the_same_twice_and_with_shuffled_facts():
    facts = [replica_set(number, number % 5 - 2) for number in range(3_500)]
    shuffled = random.Random(7).sample(facts, len(facts))
    with Engine("replication", REPLICATION) as engine:
        first = engine.match(facts)
        assert engine.match(facts) == first
        assert digest(engine.match(shuffled), shuffled) == digest(first, facts)
    with Engine("replication", REPLICATION) as another:
        assert another.match(facts) == first


def test_result_does_not_depend_on_the_hash_seed():
    script = (
        "from rules.engine import Engine, Rule, c, m\n"
        "rules = [Rule(n, (c.a << m.k == n, c.b << (m.l == n) & (m.j == c.a.j)), print, '') for n in ('x', 'y')]\n"
        "facts = [{'k': 'xy'[i % 2], 'l': 'yx'[i % 3 % 2], 'j': f'j{i % 7}', f'p{i}': i} for i in range(60)]\n"
        "print([(f.rule.name, f.slots) for f in Engine('seed', rules).match(facts, [f['j'] for f in facts])])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert b"('x', (" in outputs.pop()


@pytest.mark.parametrize("cap", [1, 3, 7])
def test_chunk_size_changes_nothing(monkeypatch, cap):
    facts = [{"kind": "Node", "name": f"n{number}", "ready": False} for number in range(5)]
    facts += [{"kind": "Pod", "name": f"p{number}", "node": f"n{number % 6}"} for number in range(40)]
    partition = [fact.get("node", fact["name"]) for fact in facts]
    with Engine("placement", PLACEMENT) as engine:
        expected = engine.match(facts)
    monkeypatch.setattr(module, "CHUNK", cap)
    with Engine("placement", PLACEMENT) as engine:
        assert engine.match(facts, partition) == expected
    with Engine("one", [rule("one", +m.node)]) as engine:
        assert [firing.slots[0] for firing in engine.match(facts)] == list(range(5, 45))


def test_make_engine_gives_the_c_engine():
    with make_engine("replication", REPLICATION) as engine:
        assert engine.backend == "durable-rules"
        assert isinstance(engine, Engine)


def test_make_engine_falls_back_and_says_why(monkeypatch):
    monkeypatch.setattr(module, "native", None)
    monkeypatch.setattr(module, "load_error", "undefined symbol: PyEval_CallObject")
    with pytest.warns(RuntimeWarning, match="matching in Python: undefined symbol: PyEval_CallObject"):
        engine: RuleMatcher = make_engine("replication", REPLICATION)
    assert isinstance(engine, Matcher)
    assert engine.backend == "python"
    with pytest.raises(module.EngineError, match="'replication': durable_rules' C module does not load"):
        Engine("replication", REPLICATION)


def test_rules_can_be_written_and_matched_where_the_c_module_does_not_load():
    script = (
        "import sys, warnings\n"
        "sys.modules['durable_rules_engine'] = None\n"
        "from rules.engine import Rule, m, make_engine\n"
        "warnings.simplefilter('ignore')\n"
        "engine = make_engine('fallback', [Rule('r', (m.x > 1) | (m.y == 'a'), print, '')])\n"
        "print(engine.backend, [f.slots for f in engine.match([{'x': 2}, {'x': 1}, {'y': 'a'}])])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "python [(0,), (2,)]"


def test_loading_leaves_the_interpreter_as_it_was():
    """No threads, no changed flags of the dynamic loader, no redis, no network."""
    script = (
        "import sys, threading\n"
        "before = sys.getdlopenflags()\n"
        "from rules.engine import Engine, Rule, m\n"
        "Engine('x', [Rule('r', m.x == 1, print, '')]).match([{'x': 1}])\n"
        "print(sys.getdlopenflags() == before, threading.active_count(), {'redis', 'socket'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["True", "1", "set()"]
