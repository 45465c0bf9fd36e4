"""The control loop without hands: concerns look at what is due until nothing is, and the workspace has reached a fixed
point. One page shows the flow; nothing in here does I/O, reads a clock or knows a driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rules.actions import Action
from rules.concern import ANY, Concern, Touched
from rules.context import Context, Subject
from state.errors import StateError
from state.snapshot import Change, Key, Snapshot
from state.workspace import Workspace

#: Passes after which rules that still find something to do are taken to undo each other. The longest honest chain seen
#: is about ten; every pass is a full round of all concerns.
MAX_PASSES = 100
#: How many of the last passes name the culprits.
_SUSPECT_PASSES = 4


class OscillationError(StateError):
    """The rules reach no fixed point: some of them undo each other's work."""

    def __init__(self, suspects: Sequence[Action]) -> None:
        self.rules = tuple(sorted({action.rule for action in suspects}))
        self.targets = tuple(sorted({action.target for action in suspects}))
        objects = ", ".join(str(key) for key in self.targets[:5])
        more = f" and {len(self.targets) - 5} more" if len(self.targets) > 5 else ""
        super().__init__(
            f"no fixed point after {MAX_PASSES} passes: rules {', '.join(self.rules)} keep changing {objects}{more}"
        )


class Cycle:
    """A warm control loop: it holds a workspace, and which subjects are due for which concern.

    What changes the workspace, by whichever hand, makes subjects due; ``settle`` works them off.
    """

    def __init__(self, snapshot: Snapshot, concerns: Sequence[Concern]) -> None:
        self.ws = Workspace(snapshot)
        self.ctx = Context(self.ws)
        self._concerns = tuple(concerns)
        self._due: dict[str, set[Key]] = {concern.name: set() for concern in concerns}
        self._watchers: dict[str, list[tuple[set[Key], Touched]]] = {}
        #: The same by kind with those of ANY kind, as they are asked for.
        self._interested: dict[str, tuple[tuple[set[Key], Touched], ...]] = {}
        self._deciders: dict[str, list[str]] = {}
        for concern in concerns:
            due = self._due[concern.name]
            concern.attach(self.ws)
            due.update(concern.due_at_start(self.ws))
            for kind, touched in concern.watches.items():
                self._watchers.setdefault(kind, []).append((due, touched))
            for kind in concern.subjects:
                self._deciders.setdefault(kind, []).append(concern.name)
        self.ws.listen(self._changed)

    def _changed(self, change: Change) -> None:
        """Marks what a change makes due; what is said about an object goes with it."""
        kind = change.key.kind
        watchers = self._interested.get(kind)
        if watchers is None:
            watchers = self._interested[kind] = (*self._watchers.get(kind, ()), *self._watchers.get(ANY, ()))
        ws = self.ws
        for due, touched in watchers:
            keys = touched(ws, change)
            if keys:  # most changes concern few, and each pod comes by here
                due.update(keys)
        if change.new is None:
            for concern in (*self._deciders.get(kind, ()), *self._deciders.get(ANY, ())):
                self.ctx.clear(concern, change.key)
                self._due[concern].discard(change.key)

    def observe(self, delta: Iterable[Change]) -> None:
        """Takes over changes that others made."""
        self.ws.observe(delta)

    @property
    def wake_at(self) -> int | None:
        """When a subject wants to be looked at though nothing changes (µs since the epoch), or None."""
        return min(self.ctx.wakeups.values(), default=None)

    def settle(self, now: int) -> None:
        """Runs passes until nothing is due any more at the time ``now`` (µs since the epoch).

        Raises:
            OscillationError: after ``MAX_PASSES`` passes.
            ConsequentError: a rule failed. The workspace is then half-way and must be dropped.
        """
        self.ctx.now = now
        self._wake(now)
        ends: list[int] = []
        while any(self._due.values()):
            if len(ends) >= MAX_PASSES:
                raise OscillationError(self.ctx.actions[ends[-_SUSPECT_PASSES] :])
            self._pass()
            ends.append(len(self.ctx.actions))

    def _pass(self) -> None:
        """One round: every concern once, in order."""
        for concern in self._concerns:
            due = self._due[concern.name]
            if due:
                keys = sorted(due)
                due.clear()
                concern.run(self.ctx, keys)

    def _wake(self, now: int) -> None:
        late: list[Subject] = [subject for subject, at in self.ctx.wakeups.items() if at <= now]
        for concern, key in late:
            del self.ctx.wakeups[concern, key]
            self._due[concern].add(key)
