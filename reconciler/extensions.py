"""What other distributions bring: scheduling plugins and controllers, found by their entry points.

    [project.entry-points."reconciler.scheduling_plugins"]
    NewHardwareFirst = "my_package:NewHardwareFirst"

    [project.entry-points."reconciler.concerns"]
    backups = "my_package:Backups"

The command line, ``batch``, ``serve`` and ``up`` look here. The library's functions don't: what they depend on is an
argument. A plugin runs where a scheduler configuration enables it by name, a controller always.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from reconciler.profiles import SchedulerLike, profiles_of
from rules import CONCERNS, Concern, make_concerns
from rules.placement import Placement
from rules.scheduling import Profile
from rules.scheduling.configuration import PluginMaker
from rules.scheduling.framework import Plugin
from rules.scheduling.registry import DEFAULT_PLUGINS
from state.errors import StateError

PLUGINS = "reconciler.scheduling_plugins"
CONTROLLERS = "reconciler.concerns"

ExtensionT = TypeVar("ExtensionT", Plugin, Concern)


class ExtensionError(StateError):
    """Something installed can't be used; says which entry point, and why."""


def installed_plugins() -> dict[str, PluginMaker]:
    """The scheduling plugins of other distributions by name, sorted.

    Raises:
        ExtensionError: one can't be imported, is no plugin, has another name than its entry point, or a taken one.
    """
    taken = {listed.make().name for listed in DEFAULT_PLUGINS}
    return {name: _loaded(point, Plugin, taken) for name, point in _entry_points(PLUGINS).items()}


def installed_concerns() -> dict[str, type[Concern]]:
    """The controllers of other distributions by name, sorted.

    Raises:
        ExtensionError: as for ``installed_plugins``.
    """
    taken = {concern.name for concern in CONCERNS}
    return {name: _loaded(point, Concern, taken) for name, point in _entry_points(CONTROLLERS).items()}


def controllers(scheduler: SchedulerLike | None = None, *given: Concern, at: str = "") -> list[Concern]:
    """Fresh instances of all controllers, installed ones last; pods are placed as the configuration says.

    Args:
        scheduler: as for ``profiles_of``; it may enable installed plugins by name.
        given: stand-ins for the usual controllers of their types.
        at: as for ``profiles_of``.
    """
    installed = [concern() for concern in installed_concerns().values()]
    return make_concerns(Placement(installed_profiles(scheduler, at=at)), *given, *installed)


def installed_profiles(scheduler: SchedulerLike | None, *, at: str = "") -> tuple[Profile, ...]:
    """The profiles of a scheduler that may use installed plugins."""
    return profiles_of(scheduler, installed_plugins() if scheduler is not None else None, at=at)


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; looked up once, as installing something new takes a new process anyway."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ExtensionError(f'{group} "{point.name}" is ambiguous: {other.value}, {point.value}')
    return found


def _loaded(point: EntryPoint, kind: type[ExtensionT], taken: set[str]) -> type[ExtensionT]:
    """The class that an entry point names."""
    said = f'{point.group} "{point.name}" ({point.value})'
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ExtensionError(f"{said} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, kind):
        raise ExtensionError(f"{said} is no class derived from {kind.__module__}.{kind.__name__}")
    if found.name != point.name:
        raise ExtensionError(f'{said} calls itself "{found.name}"; the two names must agree')
    if point.name in taken:
        raise ExtensionError(f"{said} has a name that is taken")
    return found
