"""The rule engine: time for each fact, in durable_rules' C engine and in the pure-Python matcher beside it."""

from __future__ import annotations

import pytest

from rules.engine import Engine, Matcher, Rule, c, m

BOTH = pytest.mark.parametrize("kind", [Engine, Matcher], ids=lambda kind: kind.backend)

SCALE_UP = Rule("scale-up", (m.kind == "ReplicaSet") & (m.missing > 0), print, "")
TABLE = [
    Rule(f"rule-{number}", (m.kind == kind) & (m.missing == number), print, "")
    for number, kind in enumerate(["ReplicaSet", "Deployment", "Job", "StatefulSet"] * 5)
]
ON_NODE = Rule("on-node", (c.node << m.kind == "Node", c.pod << (m.kind == "Pod") & (m.node == c.node.name)), print, "")


def replica_set(number, properties):
    """A fact of which a third are missing nothing."""
    fact = {"kind": "ReplicaSet", "name": f"web-{number}", "missing": number % 3, "ready": True}
    fact |= {f"text_{i}": f"value-{i}" for i in range((properties - 4) // 2)}
    return fact | {f"number_{i}": i for i in range(properties - len(fact))}


def measure(benchmark, matcher, facts, partition=None):
    """Benchmarks one match, and records the time for each fact."""
    with matcher:
        firings = benchmark(matcher.match, facts, partition)
    benchmark.extra_info.update(
        facts=len(facts), firings=len(firings), us_per_fact=round(benchmark.stats["median"] / len(facts) * 1e6, 2)
    )
    return firings


@BOTH
@pytest.mark.parametrize("properties", [4, 20])
def test_one_condition(benchmark, sizes, kind, properties):
    """One rule about one fact, of few and of many properties."""
    facts = [replica_set(number, properties) for number in range(sizes(100_000))]
    firings = measure(benchmark, kind("bench", [SCALE_UP]), facts)
    assert len(firings) == sum(fact["missing"] > 0 for fact in facts)


@BOTH
def test_twenty_rules(benchmark, sizes, kind):
    """A table as long as a controller's."""
    facts = [replica_set(number, 12) for number in range(sizes(50_000))]
    firings = measure(benchmark, kind("bench", TABLE), facts)
    assert len(firings) == sum(fact["missing"] == 0 for fact in facts)


@BOTH
def test_one_fact(benchmark, kind):
    """What a match costs at least, with twenty rules."""
    assert measure(benchmark, kind("bench", TABLE), [replica_set(0, 12)])


@BOTH
def test_join(benchmark, sizes, kind):
    """Pods with their nodes, partitioned by the node's name."""
    nodes = [f"node-{number}" for number in range(sizes(5_000))]
    facts = [{"kind": "Node", "name": name} for name in nodes]
    facts += [{"kind": "Pod", "node": nodes[number * 7919 % len(nodes)]} for number in range(sizes(95_000))]
    partition = [fact.get("node", fact.get("name")) for fact in facts]
    assert len(measure(benchmark, kind("bench", [ON_NODE]), facts, partition)) == sizes(95_000)
