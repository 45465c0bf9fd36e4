"""A refusal is a value: which plugin said no, how finally, and in which words."""

from __future__ import annotations

from typing import NamedTuple

#: Preemption may help.
UNSCHEDULABLE = "Unschedulable"
#: Nothing that preemption could do helps.
UNRESOLVABLE = "UnschedulableAndUnresolvable"

#: The highest score of a plugin after normalising, before its weight.
MAX_SCORE = 100


class Refusal(NamedTuple):
    """Why a plugin rejects a node, or, from PreFilter, the pod as a whole. ``reasons`` are kube-scheduler's words."""

    plugin: str
    code: str
    reasons: tuple[str, ...]


class Skip:
    """What a PreFilter returns when its plugin has nothing to say about the pod: its filter isn't run."""


SKIP = Skip()


class NodeNames(NamedTuple):
    """What a PreFilter returns when only these nodes are possible; a name need not exist."""

    names: frozenset[str]


PreFilterResult = Refusal | Skip | NodeNames | None


def fit_error(total: int, reasons: dict[str, int]) -> str:
    """The text of the PodScheduled condition before PostFilter's part.

    As kube-scheduler's FitError: counted reasons are sorted as whole strings, count included.
    """
    histogram = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    text = f"0/{total} nodes are available:"
    return f"{text} {histogram}." if histogram else text


def pre_filter_error(total: int, refusal: Refusal) -> str:
    """The text when PreFilter rejected the pod for the whole cluster."""
    return f"0/{total} nodes are available: {', '.join(refusal.reasons)}."
