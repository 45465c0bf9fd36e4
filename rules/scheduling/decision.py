"""What the scheduler says about a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rules.scheduling.pods import PodKey
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
    ``victims`` (most important first) say what preemption would do for it. ``facts`` are few and flat.
    """

    pod: PodKey
    outcome: str
    node: str | None = None
    fit_error: str | None = None
    facts: Mapping[str, int | str] = field(default_factory=dict)
    nominated_node: str | None = None
    victims: tuple[PodKey, ...] = ()
    volume_choices: VolumeChoices = NO_CHOICES


Fact = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What a diagnosis says of one node: its refusal with what is lacking, or its weighted scores by plugin."""

    node: str
    refusal: Refusal | None
    lacking: tuple[Fact, ...] = ()
    scores: Mapping[str, int] = field(default_factory=dict)
    total: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON."""
        if self.refusal is None:
            return {"fits": True, "total": self.total, "scores": dict(self.scores)}
        return {"fits": False, **_refusal(self.refusal), "lacking": [dict(fact) for fact in self.lacking]}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything about one pod's chances now. ``nodes`` are in the order of their names.

    ``best`` are the nodes with the highest total, ``current`` where the pod is, ``change`` the smallest one that
    would make it fit, if it is a matter of resources.
    """

    pod: PodKey
    pre_filter: Refusal | None
    nodes: tuple[NodeVerdict, ...]
    best: tuple[str, ...] = ()
    current: str | None = None
    fit_error: str | None = None
    change: str | None = None
    nominated_node: str | None = None
    victims: tuple[PodKey, ...] = ()

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
            "nominatedNode": self.nominated_node,
            "victims": ["/".join(victim) for victim in self.victims],
        }
        return data | {name: value for name, value in optional.items() if value}

    def __str__(self) -> str:
        return "\n".join(sentences(self))


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {"plugin": refusal.plugin, "code": refusal.code, "reasons": list(refusal.reasons)}
