"""A profile taken apart for the column path: which of the plugins it knows take part, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from rules.scheduling.framework import Plugin
from rules.scheduling.own import ColumnPlugin
from rules.scheduling.plugins.node_volume_limits import NodeVolumeLimits
from rules.scheduling.plugins.volume_binding import VolumeBinding
from rules.scheduling.plugins.volume_restrictions import VolumeRestrictions
from rules.scheduling.plugins.volume_zone import VolumeZone
from rules.scheduling.profile import Profile
from rules.scheduling.registry import DEFAULT_PLUGINS

#: Plugins about volumes: asked node by node, and only for pods that have some.
VOLUME_PLUGINS = (VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone)
_KNOWN = tuple(listed.make for listed in DEFAULT_PLUGINS)

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The filters and scorers of a profile by type, its column plugins, and whether there are any of another kind."""

    filters: dict[type[Plugin], Plugin]
    scorers: dict[type[Plugin], tuple[Plugin, int]]
    own_filters: tuple[ColumnPlugin, ...]
    own_scorers: tuple[tuple[ColumnPlugin, int], ...]
    has_others: bool

    def filtering(self, kind: type[P]) -> P | None:
        """The plugin of a type, if its Filter runs."""
        found = self.filters.get(kind)
        return found if isinstance(found, kind) else None

    def scoring(self, kind: type[P]) -> tuple[P, int] | None:
        """The plugin of a type and its weight, if its Score runs."""
        found = self.scorers.get(kind)
        return (found[0], found[1]) if found is not None and isinstance(found[0], kind) else None


def recipe(profile: Profile) -> Recipe:
    """Takes a profile apart."""
    return Recipe(
        filters={type(plugin): plugin for plugin in profile.filters if type(plugin) in _KNOWN},
        scorers={type(plugin): (plugin, weight) for plugin, weight in profile.scorers if type(plugin) in _KNOWN},
        own_filters=tuple(plugin for plugin in profile.filters if isinstance(plugin, ColumnPlugin)),
        own_scorers=tuple((plugin, weight) for plugin, weight in profile.scorers if isinstance(plugin, ColumnPlugin)),
        has_others=any(
            type(plugin) not in _KNOWN and not isinstance(plugin, ColumnPlugin)
            for plugin in (*profile.filters, *(plugin for plugin, _ in profile.scorers))
        ),
    )
