"""What the scheduler says about a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rules.scheduling.pods import PodKey
from rules.scheduling.preemption import Preemption
from rules.scheduling.status import Refusal
from rules.scheduling.wording import sentences

SCHEDULED = "scheduled"
UNSCHEDULABLE = "unschedulable"
GATED = "gated"
SKIPPED = "skipped-deleting"


@dataclass(frozen=True, slots=True)
class VolumeChoices:
    """What becomes of a placed pod's unbound claims: claim name -> volume name, and claims to provision on the node."""

    static: Mapping[str, str] = field(default_factory=dict)
    provision: tuple[str, ...] = ()


NO_CHOICES = VolumeChoices()


@dataclass(slots=True)
class Decision:
    """The outcome for one pod.

    ``node`` is where it was placed. ``fit_error`` is kube-scheduler's text if it wasn't. ``nominated_node`` and
    ``victims`` (most important first) say what preemption would do for it: "" is nothing, None that it wasn't tried.
    ``unnominated`` are pods that preemption made room for before and that have to look again, this one perhaps among
    them. ``facts`` are few and flat.
    """

    pod: PodKey
    outcome: str
    node: str | None = None
    fit_error: str | None = None
    facts: Mapping[str, int | str] = field(default_factory=dict)
    nominated_node: str | None = None
    victims: tuple[PodKey, ...] = ()
    unnominated: tuple[PodKey, ...] = ()
    volume_choices: VolumeChoices = NO_CHOICES


Fact = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What a diagnosis says of one node: its refusal, or its weighted scores by plugin.

    ``refusal`` is the one that kube-scheduler reports, the first. ``objections`` are all plugins that say no, each with
    the facts about what is lacking, as far as it has any.
    """

    node: str
    refusal: Refusal | None
    objections: Mapping[str, tuple[Fact, ...]] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)
    total: int = 0

    @property
    def lacking(self) -> tuple[Fact, ...]:
        """The facts behind the refusal."""
        return () if self.refusal is None else self.objections.get(self.refusal.plugin, ())

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON."""
        if self.refusal is None:
            return {"fits": True, "total": self.total, "scores": dict(self.scores)}
        data = {"fits": False, **_refusal(self.refusal), "lacking": [dict(fact) for fact in self.lacking]}
        also = {p: [dict(fact) for fact in facts] for p, facts in self.objections.items() if p != self.refusal.plugin}
        return {**data, "also": also} if also else data


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything about one pod's chances. ``nodes`` are in the order of their names.

    ``best`` are the nodes with the highest total, ``current`` where the pod is, ``change`` the smallest one that would
    make it fit. ``preemption`` is what that would do for it if it fits nowhere.
    """

    pod: PodKey
    pre_filter: Refusal | None
    nodes: tuple[NodeVerdict, ...]
    best: tuple[str, ...] = ()
    current: str | None = None
    fit_error: str | None = None
    change: str | None = None
    preemption: Preemption | None = None

    @property
    def nominated_node(self) -> str | None:
        """The node on which preemption would make room."""
        return None if self.preemption is None else self.preemption.node or None

    @property
    def victims(self) -> tuple[PodKey, ...]:
        """The pods that preemption would evict, the most important first."""
        return () if self.preemption is None else tuple(victim.key for victim in self.preemption.victims)

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as plain JSON."""
        data: dict[str, Any] = {"pod": "/".join(self.pod)}
        if self.pre_filter is not None:
            data["preFilter"] = _refusal(self.pre_filter)
        data["nodes"] = {verdict.node: verdict.to_dict() for verdict in self.nodes}
        optional = {
            "best": list(self.best),
            "current": self.current,
            "fitError": self.fit_error,
            "change": self.change,
            "preemption": None if self.preemption is None else _preemption(self.preemption),
        }
        return data | {name: value for name, value in optional.items() if value}

    def __str__(self) -> str:
        return "\n".join(sentences(self))


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {"plugin": refusal.plugin, "code": refusal.code, "reasons": list(refusal.reasons)}


def _preemption(preemption: Preemption) -> dict[str, Any]:
    if not preemption.node:
        return {"helps": False, "message": preemption.message}
    victims = ["/".join(victim.key) for victim in preemption.victims]
    return {
        "helps": True,
        "nominatedNode": preemption.node,
        "victims": victims,
        "pdbViolations": preemption.violations,
    }
