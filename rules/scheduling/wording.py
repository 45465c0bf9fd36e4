"""A diagnosis in words, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rules.scheduling.resources import CPU, PODS
from state.quantity import format_binary, format_decimal

if TYPE_CHECKING:
    from rules.scheduling.decision import Diagnosis, Fact, NodeVerdict

_BYTES = ("memory", "ephemeral-storage", "hugepages-")
#: Up to so many nodes are named one by one.
_MOST_NODES = 20
_RUNNERS_UP = 3


def sentences(diagnosis: Diagnosis) -> Iterator[str]:
    """One line a statement, the most important first."""
    if diagnosis.fit_error is not None:
        yield diagnosis.fit_error
    if diagnosis.current is not None:
        yield f"is on {diagnosis.current}"
    refused = [verdict for verdict in diagnosis.nodes if verdict.refusal is not None]
    fitting = [verdict for verdict in diagnosis.nodes if verdict.refusal is None]
    fitting.sort(key=lambda verdict: (-verdict.total, verdict.node))
    for place, verdict in enumerate(fitting[: _RUNNERS_UP + 1]):
        shares = ", ".join(f"{plugin} {score}" for plugin, score in verdict.scores.items())
        yield f"{'best' if place == 0 else 'next'}: {verdict.node} with {verdict.total} ({shares})"
    if len(fitting) > _RUNNERS_UP + 1:
        yield f"{len(fitting) - _RUNNERS_UP - 1} more nodes fit"
    for verdict in refused[:_MOST_NODES]:
        yield f"not {verdict.node}: {_refusal(verdict)}"
    if len(refused) > _MOST_NODES:
        yield f"{len(refused) - _MOST_NODES} more nodes don't fit"
    if diagnosis.change is not None:
        yield diagnosis.change
    if diagnosis.nominated_node is not None:
        victims = ", ".join("/".join(victim) for victim in diagnosis.victims)
        yield f"preemption would make room on {diagnosis.nominated_node} by evicting {victims}"


def amount_text(resource: str, units: int) -> str:
    """An amount for people: "300m CPU", "2Gi memory", "room for 1 pod"."""
    if resource == CPU:
        return f"{format_decimal(units)} CPU"
    if resource == PODS:
        return f"room for {units} pod"
    if resource.startswith(_BYTES):
        return f"{format_binary(units)} {resource}"
    return f"{units} {resource}"


def _refusal(verdict: NodeVerdict) -> str:
    assert verdict.refusal is not None
    text = f"{verdict.refusal.plugin}: {', '.join(verdict.refusal.reasons)}"
    facts = "; ".join(_fact(fact) for fact in verdict.lacking)
    return f"{text} ({facts})" if facts else text


def _fact(fact: Fact) -> str:
    if "short" in fact:
        return f"short of {amount_text(str(fact['resource']), int(fact['short']))}"
    if "taken_by" in fact:
        return f"port {fact['port']}/{fact['protocol']} is taken by {fact['taken_by']}"
    if "near" in fact:
        return f"wants to be near {fact['near']}; would need {fact['topology_key']} {fact['would_need'] or 'anywhere'}"
    if "avoids" in fact:
        return f"avoids {fact['avoids']} in the same {fact['topology_key']}"
    if "avoided_by" in fact:
        return f"is avoided by {fact['avoided_by']} in the same {fact['topology_key']}"
    if "would_need" in fact:
        here = f"{fact['pods']} pods in {fact['topology_key']} {fact['domain'] or '(none)'}, {fact['fewest']} elsewhere"
        return f"{here}; would need one of {fact['would_need']}"
    if "wanted" in fact:
        return f"wants {fact['label']} {fact['wanted']}, found {fact['found'] or 'none'}"
    return ", ".join(f"{key} {value}" for key, value in _plain(fact).items())


def _plain(fact: Fact) -> Mapping[str, int | str]:
    return {key: value for key, value in fact.items() if value != ""}
