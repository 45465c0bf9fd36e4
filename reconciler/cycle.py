"""The control loop without hands: concerns look at what is due until nothing is, and the workspace has reached a fixed
point. One page shows the flow; nothing in here does I/O, reads a clock or knows a driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rules.actions import Action
from rules.admission import ADMITTING
from rules.concern import ANY, Concern, Touched
from rules.context import Context, Subject
from state.errors import StateError
from state.snapshot import Binding, Change, Key, Snapshot
from state.workspace import Workspace

#: Passes after which rules that still find something to do are taken to undo each other. The longest honest chain seen
#: is about ten; every pass is a full round of all concerns.
MAX_PASSES = 100
#: How many of the last passes name the culprits.
_SUSPECT_PASSES = 4
#: The due subjects of a concern, and what says which of them a change makes due.
_Watcher = tuple[set[Key], Touched]


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
        self._watchers: dict[str, list[_Watcher]] = {}
        #: The same by kind with those of ANY kind, as they are asked for; and who is told of bindings.
        self._interested: dict[str, tuple[_Watcher, ...]] = {}
        self._of_bindings: tuple[_Watcher, ...] = ()
        self._deciders: dict[str, list[str]] = {}
        for concern in concerns:
            due = self._due[concern.name]
            concern.attach(self.ws)
            due.update(concern.due_at_start(self.ws))
            for kind, touched in concern.watches.items():
                self._watchers.setdefault(kind, []).append((due, touched))
                if concern.sees_bindings and kind in ("Pod", ANY):
                    self._of_bindings += ((due, touched),)
            for kind in concern.subjects:
                self._deciders.setdefault(kind, []).append(concern.name)
        self.ws.listen(self._changed)

    def _changed(self, change: Change) -> None:
        """Marks what a change makes due; what is said about an object goes with it."""
        kind = change.key.kind
        watchers = self._of_bindings if type(change) is Binding else self._interested.get(kind)
        if watchers is None:
            watchers = self._interested[kind] = (*self._watchers.get(kind, ()), *self._watchers.get(ANY, ()))
        ws = self.ws
        for due, touched in watchers:
            keys = touched(ws, change)
            if keys:  # most changes concern few, and each pod comes by here
                due.update(keys)
        if self.ctx.refusals and kind in ADMITTING:
            self._retry(change.key)
        if change.new is None:
            for concern in (*self._deciders.get(kind, ()), *self._deciders.get(ANY, ())):
                self.ctx.clear(concern, change.key)
                self._due[concern].discard(change.key)

    def _retry(self, key: Key) -> None:
        """Makes due what wasn't let create something, now that what admission goes by has changed."""
        for concern, subject in self.ctx.refusals:
            due = self._due.get(concern)
            if due is not None and key.namespace in ("", subject.namespace):
                due.add(subject)

    def observe(self, delta: Iterable[Change]) -> None:
        """Takes over changes that others made."""
        self.ws.observe(delta)

    @property
    def wake_at(self) -> int | None:
        """When a subject wants to be looked at though nothing changes (µs since the epoch), or None."""
        return min(self.ctx.wakeups.values(), default=None)

    def settle(self, now: int, most: int | None = None) -> bool:
        """Runs passes until nothing is due any more at the time ``now`` (µs since the epoch).

        Returns whether that is so: after ``most`` actions the rest is left for the next time.

        Raises:
            OscillationError: after ``MAX_PASSES`` passes. If failures are told to somebody, what is still due then is
                left alone instead, until it changes.
            ConsequentError: a rule failed. The workspace is then half-way and must be dropped.
        """
        self.ctx.now = now
        self._wake(now)
        ends: list[int] = []
        while any(self._due.values()):
            if most is not None and len(self.ctx.actions) >= most:
                return False
            if len(ends) >= MAX_PASSES:
                self._give_up(OscillationError(self.ctx.actions[ends[-_SUSPECT_PASSES] :]))
                break
            self._pass()
            ends.append(len(self.ctx.actions))
        return True

    def _give_up(self, error: OscillationError) -> None:
        """Leaves alone what goes round and round."""
        if self.ctx.on_failure is None:
            raise error
        self.ctx.on_failure(error)
        for due in self._due.values():
            due.clear()

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
