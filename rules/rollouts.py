"""Where a rollout stands, and how many pods each ReplicaSet of a Deployment should have next: arithmetic over the
numbers in their specs and statuses, as in kube-controller-manager's deployment controller (rolling.go, sync.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.pods import is_finished
from rules.revisions import annotated, desired_annotation, max_annotation, next_revision, revision, same_template
from state import selectors
from state.int_or_percent import scaled
from state.objects import Deployment, Pod, ReplicaSet, replace
from state.workspace import Workspace

RECREATE = "Recreate"
_NO_LIMIT = 2**31 - 1
_DEFAULT_BOUND = "25%"
#: ReplicaSets by name with the size that each should have, in order; one may be resized twice.
Steps = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment with its ReplicaSets: the one of its template, if there is one yet, and the others, oldest first."""

    deployment: Deployment
    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]

    @property
    def sets(self) -> tuple[ReplicaSet, ...]:
        """All ReplicaSets: the old ones, then the new one."""
        return self.old if self.new is None else (*self.old, self.new)

    @property
    def want(self) -> int:
        """How many pods the Deployment is to have."""
        return wanted(self.deployment)

    @property
    def limit(self) -> int:
        """How many pods there may be at a time: those wanted and the surge."""
        return self.want + max_surge(self.deployment)

    @property
    def recreate(self) -> bool:
        """Whether all old pods go before a new one comes."""
        return is_recreate(self.deployment)

    @property
    def rolling_out(self) -> bool:
        """Whether templates are rolled out: not while the Deployment is paused or being deleted, nor before all its
        ReplicaSets know how many pods it wants.
        """
        deployment = self.deployment
        return not (deployment.metadata.deletion_timestamp or deployment.spec.paused or self.scaling)

    @property
    def scaling(self) -> bool:
        """Whether the Deployment was scaled and its ReplicaSets weren't yet."""
        return any(desired_annotation(rs) not in (None, self.want) for rs in active(self.sets))


def look(ws: Workspace, deployment: Deployment) -> Rollout:
    """The rollout of a Deployment as it stands. Of several sets with its template the oldest is the new one."""
    selector = deployment.spec.selector
    owned = [rs for rs in ws.owned(deployment, ReplicaSet) if selectors.matches(selector, rs.metadata.labels)]
    owned.sort(key=age)
    template = deployment.spec.template
    new = next((rs for rs in owned if same_template(rs.spec.template, template)), None)
    return Rollout(deployment, new, tuple(rs for rs in owned if rs is not new))


def old_pods(ws: Workspace, rollout: Rollout) -> int:
    """The pods of old ReplicaSets that are still there, terminating ones too, or that these still report."""
    return sum(
        max(
            rs.status.replicas + (rs.status.terminating_replicas or 0),
            sum(not is_finished(pod) for pod in ws.owned(rs, Pod)),
        )
        for rs in rollout.old
    )


def refreshed(rollout: Rollout) -> ReplicaSet | None:
    """The new ReplicaSet as it should be annotated; the same object if it is."""
    new = rollout.new
    if new is None:
        return None
    new = annotated(new, rollout.deployment, next_revision(rollout.old))
    min_ready = rollout.deployment.spec.min_ready_seconds
    if (new.spec.min_ready_seconds or 0) != (min_ready or 0):
        new = replace(new, spec=replace(new.spec, min_ready_seconds=min_ready))
    return new


def expendable(rollout: Rollout) -> list[ReplicaSet]:
    """The old ReplicaSets over the history limit that have ended, the oldest revision first."""
    limit = rollout.deployment.spec.revision_history_limit
    if limit in (None, _NO_LIMIT):
        return []
    kept = [rs for rs in rollout.old if rs.metadata.deletion_timestamp is None]
    kept.sort(key=revision)
    return [
        rs
        for rs in kept[: max(0, len(kept) - limit)]
        if not (rs.status.replicas or size(rs))
        and (rs.metadata.generation or 0) <= (rs.status.observed_generation or 0)
    ]


def age(rs: ReplicaSet) -> tuple[str, str]:
    """Sorts ReplicaSets: the oldest first, of one age by name."""
    return (rs.metadata.creation_timestamp or "", rs.metadata.name)


def wanted(deployment: Deployment) -> int:
    """``spec.replicas``, with its default."""
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def size(rs: ReplicaSet | None) -> int:
    """The pods that a ReplicaSet is to have."""
    if rs is None:
        return 0
    return 1 if rs.spec.replicas is None else rs.spec.replicas


def total(sets: Iterable[ReplicaSet]) -> int:
    """The pods that ReplicaSets are to have together."""
    return sum(map(size, sets))


def available(sets: Iterable[ReplicaSet]) -> int:
    """The pods of ReplicaSets that are available, as they report."""
    return sum(rs.status.available_replicas or 0 for rs in sets)


def active(sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """The ReplicaSets that are to have pods."""
    return [rs for rs in sets if size(rs) > 0]


def is_recreate(deployment: Deployment) -> bool:
    """Whether the strategy is Recreate; without one it is RollingUpdate."""
    strategy = deployment.spec.strategy
    return strategy is not None and strategy.type == RECREATE


def _fenceposts(deployment: Deployment) -> tuple[int, int]:
    """How many pods over and under the wish are allowed: the surge rounds up, the rest down; not both can be 0."""
    rolling = None if deployment.spec.strategy is None else deployment.spec.strategy.rolling_update
    surge = _DEFAULT_BOUND if rolling is None or rolling.max_surge is None else rolling.max_surge
    under = _DEFAULT_BOUND if rolling is None or rolling.max_unavailable is None else rolling.max_unavailable
    want = wanted(deployment)
    over, missing = scaled(surge, want, round_up=True), scaled(under, want, round_up=False)
    return over, missing if over or missing else 1


def max_surge(deployment: Deployment) -> int:
    """How many pods over the wish are allowed during a rollout."""
    return 0 if is_recreate(deployment) else _fenceposts(deployment)[0]


def max_unavailable(deployment: Deployment) -> int:
    """How many of the wanted pods may be unavailable during a rollout."""
    want = wanted(deployment)
    return 0 if is_recreate(deployment) or want == 0 else min(_fenceposts(deployment)[1], want)


# -- rolling -----------------------------------------------------------------------------------------------------------


def new_size(rollout: Rollout) -> int:
    """The size of the new ReplicaSet: as much of the wish as the surge leaves room for."""
    want, now = rollout.want, size(rollout.new)
    if rollout.recreate or now >= want:
        return want
    room = rollout.limit - total(rollout.sets)
    return now + max(0, min(room, want - now))


def old_steps(rollout: Rollout) -> Steps:
    """Which old ReplicaSets shrink now, step by step: first pods that aren't available go, for they serve nobody, then
    as many others as the new ones make up for.
    """
    new = rollout.new
    least = rollout.want - max_unavailable(rollout.deployment)
    unavailable = size(new) - (0 if new is None else new.status.available_replicas or 0)
    room = total(rollout.sets) - least - unavailable
    steps: Steps = []
    if room <= 0:
        return steps
    for rs in active(rollout.old):
        unhealthy = min(room, size(rs) - (rs.status.available_replicas or 0))
        if unhealthy < 0:
            return steps  # it hasn't scaled down as it was told yet: its numbers are of before
        if unhealthy > 0:
            steps.append((rs.metadata.name, size(rs) - unhealthy))
            room -= unhealthy
    left = dict(steps)
    spare = available(rollout.sets) - least
    for rs in rollout.old:
        now = left.get(rs.metadata.name, size(rs))
        step = min(now, spare)
        if step > 0:
            steps.append((rs.metadata.name, now - step))
            spare -= step
    return steps


# -- scaling in the middle of a rollout --------------------------------------------------------------------------------


def scaled_sizes(rollout: Rollout) -> Steps:
    """The sizes of all ReplicaSets concerned after the Deployment itself was scaled.

    The only active one takes all; when the new one already has all its pods available the old ones go; else each gets
    its share of the change, the largest the remainder.
    """
    want = rollout.want
    only = _active_or_latest(rollout)
    if only is not None:
        return [] if size(only) == want else [(only.metadata.name, want)]
    if _is_saturated(rollout):
        return [(rs.metadata.name, 0) for rs in active(rollout.old)]
    if rollout.recreate:
        return []
    sets = active(rollout.sets)
    change = (rollout.limit if want else 0) - total(sets)
    # the larger goes first; of equal ones the newer grows and the older shrinks first
    sets.sort(key=age, reverse=change > 0)
    sets.sort(key=size, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for rs in sets:
        share = _share(rollout, rs, change, added)
        sizes[rs.metadata.name] = size(rs) + share
        added += share
    if sets and change:
        largest = sets[0].metadata.name
        sizes[largest] = max(0, sizes[largest] + change - added)
    return list(sizes.items())


def _active_or_latest(rollout: Rollout) -> ReplicaSet | None:
    """The only ReplicaSet with pods; when none has any the new or the latest one; None when several have."""
    found = active(rollout.sets)
    if len(found) > 1:
        return None
    if found:
        return found[0]
    return rollout.new or (rollout.old[-1] if rollout.old else None)


def _is_saturated(rollout: Rollout) -> bool:
    """Whether the new ReplicaSet was made for all the wanted pods, and has them available."""
    new, want = rollout.new, rollout.want
    if new is None or desired_annotation(new) is None:
        return False
    return size(new) == want == desired_annotation(new) == (new.status.available_replicas or 0)


def _share(rollout: Rollout, rs: ReplicaSet, change: int, added: int) -> int:
    """The part of the change that one ReplicaSet takes: in proportion to its size, never more than what is left."""
    if change == added:
        return 0
    fraction = _fraction(rollout, rs)
    return min(fraction, change - added) if change > 0 else max(fraction, change - added)


def _fraction(rollout: Rollout, rs: ReplicaSet) -> int:
    now = size(rs)
    if rollout.want == 0:
        return -now
    before = max_annotation(rs) or rollout.deployment.status.replicas or 0
    if before == 0:
        return 0
    # rounded half away from zero; both factors are positive
    return (2 * now * rollout.limit + before) // (2 * before) - now
