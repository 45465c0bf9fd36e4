"""A concern with tables of its own, whose rules' consequents are its methods."""

from __future__ import annotations

from rules.actions import Fact
from rules.concern import Concern, clipped
from rules.context import Context
from rules.engine import Rule
from state.snapshot import Key

__all__ = ["MethodConcern", "clipped"]


class MethodConcern(Concern):
    """For a concern that keeps tables over the workspace: ``Rule.then`` is a method and reads them.

    The table of rules stays a class attribute: ``then`` is the plain function, written as ``then=_publish`` inside the
    class, and is called as ``then(self, ctx, key, fact)``.
    """

    def act(self, ctx: Context, rule: Rule, key: Key, fact: Fact) -> None:
        """Calls the rule's consequent, a method."""
        rule.then(self, ctx, key, fact)
