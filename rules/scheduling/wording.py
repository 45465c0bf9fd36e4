"""A diagnosis in words, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rules.scheduling.preemption import NO_VICTIMS, NOT_FOUND, NOT_HELPFUL, TERMINATING, Preemption
from rules.scheduling.resources import CPU, PODS
from state.quantity import format_binary, format_decimal

if TYPE_CHECKING:
    from rules.scheduling.decision import Diagnosis, Fact, NodeVerdict

_BYTES = ("memory", "ephemeral-storage", "hugepages-")
#: Up to so many nodes are named, and so many kinds of refusals told.
_MOST_NAMES = 3
_MOST_REFUSALS = 12
_RUNNERS_UP = 3
#: What DefaultPreemption says of nodes, for people.
_PREEMPTION = {
    NOT_HELPFUL: "on {} no eviction would change the verdict",
    NO_VICTIMS: "on {} there is no less important pod",
}


def sentences(diagnosis: Diagnosis) -> Iterator[str]:
    """One line a statement, the most important first."""
    if diagnosis.fit_error is not None:
        yield diagnosis.fit_error
    yield from _place(diagnosis)
    yield from _refusals([verdict for verdict in diagnosis.nodes if verdict.refusal is not None])
    if diagnosis.change is not None:
        yield diagnosis.change
    if diagnosis.preemption is not None:
        yield _preemption(diagnosis.preemption)


def _place(diagnosis: Diagnosis) -> Iterator[str]:
    """The nodes that fit, the best first; and how the one that the pod is on compares."""
    fitting = [verdict for verdict in diagnosis.nodes if verdict.refusal is None]
    groups: dict[tuple[int, tuple[tuple[str, int], ...]], list[str]] = {}
    for verdict in sorted(fitting, key=lambda verdict: (-verdict.total, verdict.node)):
        groups.setdefault((verdict.total, tuple(verdict.scores.items())), []).append(verdict.node)
    if diagnosis.current is not None:
        yield _compared(diagnosis, len(fitting))
    elif fitting:
        yield f"{_many(len(fitting))} would take it; it would go to {diagnosis.best[0]}"
    best: Mapping[str, int] | None = None
    for place, ((total, scores), names) in enumerate(groups.items()):
        if place <= _RUNNERS_UP or diagnosis.current in names:
            yield f"{'next' if place else 'best'}: {_named(names)} with {total}{_shares(dict(scores), best)}"
        best = best or dict(scores)
    told = sum(map(len, list(groups.values())[: _RUNNERS_UP + 1]))
    if told < len(fitting):
        yield f"{_many(len(fitting) - told)} more with less"


def _compared(diagnosis: Diagnosis, fitting: int) -> str:
    """How the node that the pod is on compares."""
    here, best = diagnosis.current, diagnosis.best
    if here in best and len(best) > 1:
        return f"on {here}, one of {len(best)} equally good nodes of {fitting} that would take it"
    if here in best:
        return f"on {here}, the best of {_many(fitting)} that would take it"
    if not best:
        return f"on {here}; no node would take it as things stand"
    fits = any(verdict.node == here and verdict.refusal is None for verdict in diagnosis.nodes)
    return f"on {here}, {'which is not the best' if fits else 'which would not take it'} as things stand"


def _shares(scores: Mapping[str, int], best: Mapping[str, int] | None) -> str:
    """What a total is made of; or, beside the best one, what makes the difference."""
    if best is None:
        parts = sorted(((score, plugin) for plugin, score in scores.items() if score), key=lambda it: (-it[0], it[1]))
        return f": {', '.join(f'{plugin} {score}' for score, plugin in parts)}" if parts else ""
    names = sorted({*scores, *best})
    changes = [(name, scores.get(name, 0) - best.get(name, 0)) for name in names]
    text = ", ".join(f"{name} {change:+}" for name, change in changes if change)
    return f": {text}" if text else ""


def _refusals(refused: Sequence[NodeVerdict]) -> Iterator[str]:
    """What is said of nodes that don't fit, alike ones together, the most common first."""
    groups = _grouped(refused, _refusal)
    if len(groups) > _MOST_REFUSALS:
        groups = _grouped(refused, lambda verdict: _refusal(verdict, facts=False))
    for text, names in groups[:_MOST_REFUSALS]:
        yield f"not on {_named(names)}: {text}"
    rest = sum(len(names) for _, names in groups[_MOST_REFUSALS:])
    if rest:
        yield f"not on {_many(rest)} more"


def _grouped(refused: Sequence[NodeVerdict], say: Callable[[NodeVerdict], str]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for verdict in refused:
        groups.setdefault(say(verdict), []).append(verdict.node)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))


def _named(names: Sequence[str]) -> str:
    """Nodes by name, or how many there are with the first names."""
    if len(names) <= _MOST_NAMES:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{len(names)} nodes ({', '.join(names[:_MOST_NAMES])}, …)"


def _many(nodes: int) -> str:
    return f"{nodes} node{'' if nodes == 1 else 's'}"


def _preemption(preemption: Preemption) -> str:
    if preemption.node:
        victims = ", ".join("/".join(victim.key) for victim in preemption.victims)
        against = f", against {preemption.violations} PodDisruptionBudgets" if preemption.violations else ""
        return f"preemption would make room on {preemption.node} by evicting {victims}{against}"
    if preemption.message.endswith(TERMINATING):
        return "preemption is under way: pods are ending on the node that is nominated for it"
    if preemption.was_tried and not preemption.message:
        return "preemption would not help: there are no nodes"
    if preemption.message == NOT_FOUND:
        return "preemption would not help: no eviction would change the verdict"
    if not preemption.reasons:
        return f"preemption would not help: {preemption.message.rpartition('preemption: ')[2] or 'it is switched off'}"
    parts = [
        _PREEMPTION.get(reason, f"{reason} on {{}} even so").format(_many(count))
        for reason, count in sorted(preemption.reasons.items())
    ]
    return f"preemption would not help: {'; '.join(parts)}"


def amount_text(resource: str, units: int) -> str:
    """An amount for people: "300m CPU", "2Gi memory", "room for 1 pod"."""
    if resource == CPU:
        return f"{format_decimal(units)} CPU"
    if resource == PODS:
        return f"room for {units} pod"
    if resource.startswith(_BYTES):
        return f"{format_binary(units)} {resource}"
    return f"{units} {resource}"


def taint_text(fact: Fact) -> str:
    """A taint as kubectl writes it: "gpu=yes:NoSchedule"."""
    value = f"={fact['value']}" if fact["value"] else ""
    return f"{fact['taint']}{value}:{fact['effect']}"


def _refusal(verdict: NodeVerdict, *, facts: bool = True) -> str:
    assert verdict.refusal is not None
    details = "; ".join(_told(verdict.lacking)) if facts else ""
    reasons = ", ".join(verdict.refusal.reasons)
    others = [plugin for plugin in verdict.objections if plugin != verdict.refusal.plugin]
    also = f"; {', '.join(others)} would object, too" if others else ""
    return f"{reasons}{f' ({details})' if details else ''}{also}  [{verdict.refusal.plugin}]"


def _told(facts: Sequence[Fact]) -> Iterator[str]:
    """Facts in words; what stands in different terms, of which one suffices, is told apart."""
    term: int | str | None = None
    for fact in facts:
        either = "or " if term is not None and fact.get("term", term) != term else ""
        term = fact.get("term")
        yield f"{either}{_fact(fact)}"


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
        pods = f"{fact['pods']} pod{'' if fact['pods'] == 1 else 's'}"
        here = f"{pods} in {fact['topology_key']} {fact['domain'] or '(none)'}, {fact['fewest']} elsewhere"
        return f"{here}; would need one of {fact['would_need'] or '(none is even enough)'}"
    if "wanted" in fact:
        wanted = f"{fact['operator']} {fact['wanted']}".strip()
        who = f"volume {fact['volume']} of claim {fact['claim']} wants" if "volume" in fact else "wants"
        return f"{who} {fact['label']} {wanted}, found {fact['found'] or 'none'}"
    if "used_by" in fact:
        what = f"volume {fact['disk']}" if "disk" in fact else f"claim {fact['claim']}"
        return f"{what} is in use by {fact['used_by']}"
    if "driver" in fact:
        return (
            f"{fact['driver']} attaches at most {fact['limit']} volumes; {fact['used']} are, {fact['more']} more wanted"
        )
    if "missing" in fact:
        return f"volume {fact['volume']} of claim {fact['claim']} doesn't exist"
    if "storage_class" in fact:
        return _unserved(fact)
    if "taint" in fact:
        return f"taint {taint_text(fact)}"
    return ", ".join(f"{key} {value}" for key, value in _plain(fact).items())


def _unserved(fact: Fact) -> str:
    """A claim that gets no volume on a node."""
    if fact["provisioned_on"]:
        return f"claim {fact['claim']} is to be provisioned for {fact['provisioned_on']}"
    size = format_binary(int(fact["storage"]))
    return f"claim {fact['claim']} needs {size} of class {fact['storage_class'] or 'none'}"


def _plain(fact: Fact) -> Mapping[str, int | str]:
    return {key: value for key, value in fact.items() if value != ""}
