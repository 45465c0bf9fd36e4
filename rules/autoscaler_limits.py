"""What becomes of the replicas that metrics ask for: held steady, slowed down, and kept within bounds.

As kube-controller-manager's horizontal controller. What an autoscaler has asked for and done lately is its ``History``;
as in Kubernetes it lives as long as the controller does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from rules.autoscaler_spec import ScalingRules, Spec
from state.times import SECOND

#: For how long the highest of the recommendations counts, where nothing else is said.
STABILIZATION = 300
#: Without rules for scaling up: the factor, and what is always allowed.
_FACTOR, _ALWAYS = 2, 4
_FAST = "the desired replica count is increasing faster than the maximum scale rate"
_SLOW = "the desired replica count is decreasing faster than the maximum scale rate"
_MANY = "the desired replica count is more than the maximum replica count"
_FEW = "the desired replica count is less than the minimum replica count"
_FINE = "the desired count is within the acceptable range"
_HIGHEST = "recent recommendations were higher than current one, applying the highest recent recommendation"
_LOWEST = "recent recommendations were lower than current one, applying the lowest recent recommendation"
_STEADY = ("ReadyForNewScale", "recommended size matches current size")


class Moment(NamedTuple):
    """A number of replicas, or a change of it, at a time (µs)."""

    at: int
    replicas: int


@dataclass(slots=True)
class History:
    """What an autoscaler asked for (``recommendations``), and by how much it scaled up and down."""

    recommendations: list[Moment] = field(default_factory=list)
    ups: list[Moment] = field(default_factory=list)
    downs: list[Moment] = field(default_factory=list)
    is_begun: bool = False

    def begin(self, replicas: int, now: int) -> None:
        """Notes how many there were at first, which counts as recommended; once."""
        if not self.is_begun:
            self.is_begun = True
            self.recommendations.append(Moment(now, replicas))

    def scaled(self, before: int, after: int, now: int) -> None:
        """Notes that it scaled."""
        (self.ups if after > before else self.downs).append(Moment(now, abs(after - before)))

    def forget(self, spec: Spec, now: int) -> None:
        """Drops what nothing goes by any more."""
        behavior = spec.behavior
        rules = () if behavior is None else (behavior.scale_up, behavior.scale_down)
        longest = max([STABILIZATION, *(each.stabilization_window_seconds or 0 for each in rules)])
        period = max((policy.period_seconds for each in rules for policy in each.policies), default=0)
        self.recommendations = [each for each in self.recommendations if each.at > now - longest * SECOND]
        self.ups = [each for each in self.ups if each.at > now - period * SECOND]
        self.downs = [each for each in self.downs if each.at > now - period * SECOND]


class Verdict(NamedTuple):
    """How many replicas there are to be, with the reasons and messages of two conditions: AbleToScale, which is true,
    and ScalingLimited, which is if ``is_limited``. ``may_change`` says whether the same wish will get more in a while.
    """

    replicas: int
    able: tuple[str, str]
    limited: tuple[str, str]
    is_limited: bool
    may_change: bool


def normalize(spec: Spec, history: History, current: int, desired: int, now: int) -> Verdict:
    """What to do about a recommendation, which is remembered."""
    behavior = spec.behavior
    if behavior is None:
        up, down = ScalingRules(stabilization_window_seconds=0), ScalingRules()
    else:
        up, down = behavior.scale_up, behavior.scale_down
    steady = _stabilized(up, down, history, current, desired, now, both=behavior is not None)
    able = _STEADY
    if steady != desired:
        grows = behavior is not None and desired >= current
        able = ("ScaleUpStabilized", _LOWEST) if grows else ("ScaleDownStabilized", _HIGHEST)
    history.recommendations.append(Moment(now, desired))
    replicas, reason, message = (
        _bounded(spec, current, steady) if behavior is None else _slowed(spec, up, down, history, current, steady, now)
    )
    rules = up if steady > current else down
    slowed = reason in ("ScaleUpLimit", "ScaleDownLimit") and rules.select_policy != "Disabled"
    return Verdict(replicas, able, (reason, message), replicas != steady, steady != desired or slowed)


def _stabilized(  # noqa: PLR0917 - both directions
    up: ScalingRules, down: ScalingRules, history: History, current: int, desired: int, now: int, *, both: bool
) -> int:
    """The recommendation, no lower than recent ones; with rules for both directions, no change that is too young."""
    window = STABILIZATION if down.stabilization_window_seconds is None else down.stabilization_window_seconds
    highest = max([desired, *_since(history.recommendations, now - window * SECOND)])
    if not both:
        return highest
    lowest = min([desired, *_since(history.recommendations, now - (up.stabilization_window_seconds or 0) * SECOND)])
    return min(max(current, lowest), highest)


def _since(moments: Iterable[Moment], after: int) -> list[int]:
    return [each.replicas for each in moments if each.at > after]


def _bounded(spec: Spec, current: int, wanted: int) -> tuple[int, str, str]:
    """Within the bounds, and no more than twice as many as now."""
    most, reason, message = spec.max_replicas, "TooManyReplicas", _MANY
    if most > max(_FACTOR * current, _ALWAYS):
        most, reason, message = max(_FACTOR * current, _ALWAYS), "ScaleUpLimit", _FAST
    if wanted < spec.min_replicas:
        return spec.min_replicas, "TooFewReplicas", _FEW
    if wanted > most:
        return most, reason, message
    return wanted, "DesiredWithinRange", _FINE


def _slowed(  # noqa: PLR0917 - both directions
    spec: Spec, up: ScalingRules, down: ScalingRules, history: History, current: int, wanted: int, now: int
) -> tuple[int, str, str]:
    """Within the bounds, and no faster than the rules allow."""
    if wanted > current:
        limit = max(_highest(up, history, current, now), current)
        if spec.max_replicas > limit:
            most, reason, message = limit, "ScaleUpLimit", _FAST
        else:
            most, reason, message = spec.max_replicas, "TooManyReplicas", _MANY
        if wanted > most:
            return most, reason, message
    elif wanted < current:
        limit = min(_lowest(down, history, current, now), current)
        if spec.min_replicas < limit:
            least, reason, message = limit, "ScaleDownLimit", _SLOW
        else:
            least, reason, message = spec.min_replicas, "TooFewReplicas", _FEW
        if wanted < least:
            return least, reason, message
    return wanted, "DesiredWithinRange", _FINE


def _highest(rules: ScalingRules, history: History, current: int, now: int) -> int:
    """How many replicas the policies for scaling up allow."""
    if rules.select_policy == "Disabled":
        return current
    choose = min if rules.select_policy == "Min" else max
    return choose(
        start + policy.value if policy.type == "Pods" else ceil(start * (1 + policy.value / 100))
        for policy in rules.policies
        for start in [_at_start(history, current, policy.period_seconds, now)]
    )


def _lowest(rules: ScalingRules, history: History, current: int, now: int) -> int:
    """How few replicas the policies for scaling down allow."""
    if rules.select_policy == "Disabled":
        return current
    choose = max if rules.select_policy == "Min" else min
    return choose(
        start - policy.value if policy.type == "Pods" else int(start * (1 - policy.value / 100))
        for policy in rules.policies
        for start in [_at_start(history, current, policy.period_seconds, now)]
    )


def _at_start(history: History, current: int, period: int, now: int) -> int:
    """How many replicas there were a period (in seconds) ago."""
    cutoff = now - period * SECOND
    return current - sum(_since(history.ups, cutoff)) + sum(_since(history.downs, cutoff))
