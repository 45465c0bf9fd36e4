"""What every concern holds to: a settled state is a fixed point, and a warm loop knows what a cold one finds out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.cycle import Cycle
from rules.concern import Concern
from state.objects import Pod, PodCondition, replace
from state.snapshot import Key, Snapshot
from state.times import format_time

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


def report(cycle: Cycle, pod: Pod, *, ready: bool, now: int = NOW, node: str | None = None) -> None:
    """What a kubelet reports of a pod that runs: on that node, or where it is."""
    condition = PodCondition(type="Ready", status=str(ready), last_transition_time=format_time(now))
    spec = replace(pod.spec, node_name=pod.spec.node_name if node is None else node)
    cycle.ws.put(replace(pod, spec=spec, status=replace(pod.status, phase="Running", conditions=(condition,))))


def befall(cycle: Cycle, pod: Pod, event: str, labels: dict[str, str]) -> None:
    """Lets something happen to a pod that its controller has to find an answer to; ``labels`` are for "relabel"."""
    if event == "fail":
        cycle.ws.put(replace(pod, status=replace(pod.status, phase="Failed", conditions=())))
    elif event == "delete":
        cycle.ctx.delete(pod)
    elif event == "gone":
        cycle.ws.remove(Key.of(pod))
    elif event == "disown":
        cycle.ws.put(replace(pod, metadata=replace(pod.metadata, owner_references=())))
    else:
        assert event == "relabel"
        cycle.ws.put(replace(pod, metadata=replace(pod.metadata, labels=labels)))
