"""What would make a node take a pod after all: the smallest change that answers every plugin that says no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from rules.scheduling.decision import Fact, NodeVerdict
from rules.scheduling.plugins.node_affinity import NAME_FIELD
from rules.scheduling.wording import amount_text, taint_text
from rules.taints import UNSCHEDULABLE


class Remedy(NamedTuple):
    """A change in words, and how large it is: 1 for each label, taint or pod, the share of the node for resources."""

    text: str
    size: float


def smallest_change(verdicts: Iterable[NodeVerdict]) -> str | None:
    """The change that satisfies the fewest plugins of one node, and among those the smallest; None if none is known."""
    best: tuple[int, float, str, str] | None = None
    for verdict in verdicts:
        remedies = [_remedy(plugin, facts) for plugin, facts in _answered(verdict.objections).items()]
        known = [remedy for remedy in remedies if remedy is not None]
        if not known or len(known) < len(remedies):
            continue
        text = " and ".join(remedy.text for remedy in known)
        candidate = (len(known), sum(remedy.size for remedy in known), verdict.node, text)
        if best is None or candidate < best:
            best = candidate
    return None if best is None else f"it would fit on {best[2]} {best[3]}"


def _answered(objections: Mapping[str, Sequence[Fact]]) -> Mapping[str, Sequence[Fact]]:
    """What each plugin is to be satisfied of; the taint of a cordoned node goes when it is uncordoned."""
    if not objections.keys() >= {"NodeUnschedulable", "TaintToleration"}:
        return objections
    others = [fact for fact in objections["TaintToleration"] if fact["taint"] != UNSCHEDULABLE]
    return {
        plugin: others if plugin == "TaintToleration" else facts
        for plugin, facts in objections.items()
        if others or plugin != "TaintToleration"
    }


def _remedy(plugin: str, facts: Sequence[Fact]) -> Remedy | None:
    find = _BY_PLUGIN.get(plugin)
    return find(facts) if find is not None and (facts or plugin == "NodeUnschedulable") else None


def _resources(facts: Sequence[Fact]) -> Remedy:
    needs = " and ".join(amount_text(str(fact["resource"]), int(fact["short"])) for fact in facts)
    return Remedy(f"with {needs} more", sum(int(fact["short"]) / max(int(fact["capacity"]), 1) for fact in facts))


def _cordon(_: Sequence[Fact]) -> Remedy:
    return Remedy("if the node were uncordoned", 1)


def _taints(facts: Sequence[Fact]) -> Remedy:
    return Remedy(f"if it tolerated the taint {' and '.join(map(taint_text, facts))}", len(facts))


def _labels(facts: Sequence[Fact]) -> Remedy | None:
    """All that nodeSelector asks for, and what the affinity term does that needs the fewest labels; no other name."""
    asked = [fact for fact in facts if "term" not in fact]
    terms: dict[object, list[Fact]] = {}
    for fact in facts:
        if "term" in fact:
            terms.setdefault(fact["term"], []).append(fact)
    possible = [term for term in terms.values() if all(fact["label"] != NAME_FIELD for fact in term)]
    if terms and not possible:
        return None
    fewest: list[Fact] = min(possible, key=len) if possible else []
    asked += fewest
    wanted = [f"{fact['label']} {fact['operator'] or '='} {fact['wanted']}".strip() for fact in asked]
    return Remedy(f"if the node had the label {' and '.join(wanted)}", len(wanted))


def _users(facts: Sequence[Fact]) -> Remedy:
    users = sorted({str(fact["used_by"]) for fact in facts})
    return Remedy(f"without {' and '.join(users)}", len(users))


def _limits(facts: Sequence[Fact]) -> Remedy:
    short = {str(fact["driver"]): int(fact["used"]) + int(fact["more"]) - int(fact["limit"]) for fact in facts}
    parts = [f"{volumes} more {'volume' if volumes == 1 else 'volumes'} of {name}" for name, volumes in short.items()]
    return Remedy(f"if it could attach {' and '.join(parts)}", sum(short.values()))


def _claims(facts: Sequence[Fact]) -> Remedy | None:
    """Only volumes that the node could reach, or that could be made, are ever the answer."""
    if any("label" in fact or "missing" in fact or fact["provisioned_on"] for fact in facts):
        return None
    parts = [f"{fact['claim']} (class {fact['storage_class'] or 'none'})" for fact in facts]
    return Remedy(f"if there were a volume for the claim {' and '.join(parts)}", len(parts))


def _ports(facts: Sequence[Fact]) -> Remedy:
    taken = [f"port {fact['port']}/{fact['protocol']} weren't taken by {fact['taken_by']}" for fact in facts]
    return Remedy(f"if {' and '.join(taken)}", len(taken))


def _spread(facts: Sequence[Fact]) -> Remedy:
    parts = []
    for fact in facts:
        key = fact["topology_key"]
        if fact["domain"]:
            parts.append(f"if its maxSkew for {key} were {fact['skew']}")
        else:
            parts.append(f"if the node had the label {key}")
    return Remedy(" and ".join(parts), len(parts))


def _neighbours(facts: Sequence[Fact]) -> Remedy:
    parts, size = [], 0
    near = [fact for fact in facts if "near" in fact]
    others = sorted({str(fact.get("avoids") or fact.get("avoided_by")) for fact in facts if "near" not in fact})
    for fact in near:
        parts.append(f"if a pod with {fact['near'] or 'any labels'} ran in its {fact['topology_key']}")
        size += 1
    if others:
        parts.append(f"without {' and '.join(others)}")
        size += len(others)
    return Remedy(" and ".join(parts), size)


_BY_PLUGIN: Mapping[str, Callable[[Sequence[Fact]], Remedy | None]] = {
    "NodeUnschedulable": _cordon,
    "TaintToleration": _taints,
    "NodeAffinity": _labels,
    "NodePorts": _ports,
    "NodeResourcesFit": _resources,
    "PodTopologySpread": _spread,
    "InterPodAffinity": _neighbours,
    "VolumeRestrictions": _users,
    "NodeVolumeLimits": _limits,
    "VolumeBinding": _claims,
}
