"""What a caller may give for a scheduler, read into the profiles that decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rules.scheduling import DEFAULT, ConfigurationError, Profile, load_configuration
from rules.scheduling.configuration import PluginMaker
from state.manifests import documents

#: A KubeSchedulerConfiguration as a dict or as YAML or JSON text, or profiles that are made already.
SchedulerLike = Profile | Iterable[Profile] | Mapping[str, Any] | str


def profiles_of(
    scheduler: SchedulerLike | None, own: Mapping[str, PluginMaker] | None = None, *, at: str = ""
) -> tuple[Profile, ...]:
    """The profiles; for None the default one.

    Args:
        scheduler: in any form. A dict of profiles, as ``load_configuration`` gives it, is one, too.
        own: plugins of the user's own, which a configuration may enable by name.
        at: where the configuration stands in a larger document; what the paths of errors begin with.

    Raises:
        ConfigurationError: a field can't be honoured, or the text is no configuration; says its path.
    """
    if scheduler is None:
        return (DEFAULT,)
    if isinstance(scheduler, Profile):
        return (scheduler,)
    if isinstance(scheduler, str):
        scheduler = _parsed(scheduler, at)
    if isinstance(scheduler, Mapping) and not _are_profiles(scheduler.values()):
        return tuple(load_configuration(scheduler, own, at=at).values())
    profiles = tuple(scheduler.values() if isinstance(scheduler, Mapping) else scheduler)
    if not _are_profiles(profiles):
        raise ConfigurationError(at, "Invalid value: expected a KubeSchedulerConfiguration, or profiles")
    names = [profile.name for profile in profiles]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(at, f'Duplicate value: two profiles have the scheduler name "{name}"')
    return profiles


def _are_profiles(values: Iterable[object]) -> bool:
    """Whether there is a profile, and nothing else."""
    kinds = {isinstance(value, Profile) for value in values}
    return kinds == {True}


def _parsed(text: str, at: str) -> Mapping[str, Any]:
    """The one document of a text."""
    found = list(documents(text))
    for document in found:
        if document.problem is not None:
            raise ConfigurationError(at, str(document.problem))
    if len(found) != 1 or not isinstance(found[0].value, Mapping):
        raise ConfigurationError(at, "Invalid value: expected one document, a KubeSchedulerConfiguration")
    return found[0].value
