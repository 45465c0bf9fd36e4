"""What a controller is here: a table of rules over the facts of one kind of object, and what makes them due again.

A concern is level-triggered, as Kubernetes' controllers are: ``fact`` looks at the state as it is now, never at the
change that made an object due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from rules._program import MAX_TEXT
from rules.actions import Fact
from rules.admission import ForbiddenError
from rules.context import Context
from rules.engine import FactError, Firing, Rule, RuleMatcher, make_engine
from rules.events import failure_of
from rules.refusals import DEFAULT_BACKOFF, Backoff
from state.errors import StateError
from state.snapshot import Change, Key
from state.workspace import Workspace

#: Says which subjects a change makes due.
Touched = Callable[[Workspace, Change], Iterable[Key]]
#: Among ``subjects`` and ``watches``: objects of every kind, typed or not.
ANY = "*"


def itself(_: Workspace, change: Change) -> Iterable[Key]:
    """A changed object is due itself, unless it is gone."""
    return () if change.new is None else (change.key,)


def note(ctx: Context, _key: Key, _fact: Fact) -> None:
    """A consequent that leaves the rule's sentence as a note."""
    ctx.note()


def wait(ctx: Context, _key: Key, fact: Fact) -> None:
    """The same, and has the subject looked at again at the time that the fact ``wake_at`` says, if it says one."""
    ctx.note()
    at = fact["wake_at"]
    if isinstance(at, int):
        ctx.wake(at)


class ConsequentError(StateError):
    """A rule's consequent failed, or the making of its facts: which, about which object, and why."""

    def __init__(self, concern: str, rule: str, key: Key, cause: Exception) -> None:
        super().__init__(f"rule {rule!r} of {concern} failed on {key}: {type(cause).__name__}: {cause}")
        self.rule = rule
        self.key = key


class Concern:
    """One controller. A subclass gives the four class attributes and ``fact``; the rest seldom needs changing.

    ``subjects`` are the kinds that it decides about; from nothing, all of them are due. ``watches`` says for each kind
    which subjects become due when an object of it changes. ``rules`` are in order of priority. One that reads nothing
    of where a pod is may set ``sees_bindings`` to False: it isn't told then of pods that only came to a node.
    ``backoff`` says after which delays it tries again what wasn't let in.
    """

    name: ClassVar[str]
    subjects: ClassVar[Sequence[str]]
    rules: ClassVar[Sequence[Rule]]
    watches: ClassVar[Mapping[str, Touched]]
    sees_bindings: ClassVar[bool] = True
    backoff: ClassVar[Backoff] = DEFAULT_BACKOFF

    def __init__(self) -> None:
        self._engine: RuleMatcher = make_engine(self.name, self.rules)

    def attach(self, ws: Workspace) -> None:
        """Called once with the workspace that the concern will serve; for one that keeps tables of its own over it."""

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """The flat facts about a subject that the rules' conditions read; None when no rule can be concerned.

        It is also what the sentences of ``Rule.why`` are made of.
        """
        raise NotImplementedError

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The subjects to look at when nothing is known yet: all."""
        for kind in self.subjects:
            for ns_name in ws.table(kind):
                yield Key(kind, *ns_name)

    def run(self, ctx: Context, due: Sequence[Key]) -> None:
        """Looks at the subjects that are due (sorted), and carries out what the rules say."""
        keys: list[Key] = []
        facts: list[Fact] = []
        for key in due:
            ctx.clear(self.name, key)
            try:
                fact = self.fact(ctx.ws, key, ctx.now)
            except Exception as error:
                failure = ConsequentError(self.name, "the facts", key, error)
                if ctx.on_failure is None:
                    raise failure from error
                ctx.on_failure(failure)
                continue
            if fact is not None:
                keys.append(key)
                facts.append(fact)
        if facts:
            self._decide(ctx, keys, facts)

    def _decide(self, ctx: Context, keys: Sequence[Key], facts: Sequence[Fact]) -> None:
        """As ``decide``; where failures are told to somebody, one fact that can't be matched is no other's matter."""
        try:
            self.decide(ctx, keys, facts)
        except FactError as error:
            if ctx.on_failure is None:
                raise
            if len(facts) == 1:
                ctx.on_failure(ConsequentError(self.name, "the facts", keys[0], error))
                return
            for key, fact in zip(keys, facts, strict=True):
                self._decide(ctx, [key], [fact])

    def decide(self, ctx: Context, keys: Sequence[Key], facts: Sequence[Fact]) -> None:
        """Matches the facts and runs the consequents of the rules that fired: ``then(ctx, key, fact)``."""
        for firing in self.match(facts):
            slot = firing.slots[0]
            self.fire(ctx, firing.rule, keys[slot], facts[slot])

    def match(self, facts: Sequence[Fact]) -> list[Firing]:
        """What fires on these facts. Texts too long for the engine are cut: no rule's constant is as long."""
        try:
            return self._engine.match(facts)
        except FactError:
            return self._engine.match([_clipped(fact) for fact in facts])

    def fire(self, ctx: Context, rule: Rule, key: Key, fact: Fact) -> None:
        """Runs one consequent. One that isn't let do what it wants leaves a note, and is tried again when the subject
        or what admission goes by changes, and (``Context.retries``) after a while.

        Raises:
            ConsequentError: it failed, and nobody is to be told (``Context.on_failure``); the cause is chained.
        """
        ctx.firing(self.name, rule, key, fact)
        try:
            self.act(ctx, rule, key, fact)
        except ForbiddenError as refusal:
            event = failure_of(key, refusal) if ctx.refused(refusal, self.backoff) else None
            if event is not None:
                ctx.events.append(event)
            self.refused(ctx, key, refusal)
        except Exception as error:
            failure = ConsequentError(self.name, rule.name, key, error)
            if ctx.on_failure is None:
                raise failure from error
            ctx.on_failure(failure)

    def act(self, ctx: Context, rule: Rule, key: Key, fact: Fact) -> None:
        """Calls the rule's consequent."""
        rule.then(ctx, key, fact)

    def refused(self, ctx: Context, key: Key, refusal: ForbiddenError) -> None:
        """What else is done when an object isn't let in that the subject was to have; nothing by default. The same must
        come of it however often it is called.
        """


def clipped(text: str) -> str:
    """A text as a fact can hold it."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _clipped(fact: Fact) -> Fact:
    return {name: clipped(value) if isinstance(value, str) else value for name, value in fact.items()}
