"""Which plugins run, in which order, with which weights and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rules.scheduling.framework import Framework, Plugin
from rules.scheduling.pods import DEFAULT_SCHEDULER
from rules.scheduling.registry import DEFAULT_PLUGINS


@dataclass(frozen=True)
class Profile:
    """A scheduler's profile: filters and (plugin, weight) scorers, each in running order."""

    name: str
    filters: tuple[Plugin, ...]
    scorers: tuple[tuple[Plugin, int], ...]
    preemption: bool = True

    def framework(self) -> Framework:
        """The plain way through the plugins."""
        return Framework(self.filters, self.scorers)

    def with_plugins(self, plugins: Iterable[tuple[Plugin, int]]) -> Profile:
        """This profile with more plugins after its own; a weight of 0 leaves a plugin's score out."""
        added = make_profile(list(plugins))
        return Profile(self.name, self.filters + added.filters, self.scorers + added.scorers, self.preemption)


def make_profile(
    plugins: Sequence[tuple[Plugin, int]], *, name: str = DEFAULT_SCHEDULER, preemption: bool = True
) -> Profile:
    """A profile of (plugin, weight) in running order; the weight of one that doesn't score is ignored."""
    return Profile(
        name=name,
        filters=tuple(plugin for plugin, _ in plugins),
        scorers=tuple((plugin, weight) for plugin, weight in plugins if plugin.scores and weight),
        preemption=preemption,
    )


#: kube-scheduler's default profile.
DEFAULT = make_profile([(listed.make(), listed.weight) for listed in DEFAULT_PLUGINS])
