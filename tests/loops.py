"""What every concern holds to: a settled state is a fixed point, and a warm loop knows what a cold one finds out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.cycle import Cycle
from rules.concern import Concern
from state.snapshot import Snapshot

NOW = 1_767_225_600_000_000
SECOND = 1_000_000


def assert_settled(cycle: Cycle, concerns: Callable[[], Sequence[Concern]], now: int) -> None:
    """The settled cycle does nothing more; one begun from its objects does nothing, and says and awaits the same."""
    cycle.ctx.start(now)
    cycle.settle(now)
    assert cycle.ctx.actions == []
    fresh = Cycle(Snapshot.of(all_objects(cycle)), concerns())
    fresh.settle(now)
    assert [(action.rule, str(action.target)) for action in fresh.ctx.actions] == []
    assert said(fresh) == said(cycle)
    assert fresh.ctx.wakeups == cycle.ctx.wakeups


def said(cycle: Cycle) -> list[tuple[str, str, str]]:
    """All notes: who says what about which object."""
    return sorted((concern, str(key), note.why) for (concern, key), note in cycle.ctx.notes.items())


def all_objects(cycle: Cycle) -> list:
    """All objects of the workspace."""
    return [obj for kind in cycle.ws.kinds for obj in cycle.ws.table(kind).values()]
