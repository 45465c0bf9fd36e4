"""A concern with tables of its own, whose rules' consequents are its methods."""

from __future__ import annotations

from rules.actions import Fact
from rules.concern import Concern, clipped, note, wait
from rules.context import Context
from rules.engine import Rule
from state.snapshot import Key

__all__ = ["MethodConcern", "clipped"]


class MethodConcern(Concern):
    """For a concern that keeps tables over the workspace: ``Rule.then`` is a method and reads them.

    The table of rules stays a class attribute: ``then`` is the plain function, written as ``then=_publish`` inside the
    class, and is called as ``then(self, ctx, key, fact)``; those that only leave a note are functions for all.
    """

    def act(self, ctx: Context, rule: Rule, key: Key, fact: Fact) -> None:
        """Calls the rule's consequent."""
        if rule.then in (note, wait):
            super().act(ctx, rule, key, fact)
        else:
            rule.then(self, ctx, key, fact)
