"""A KubeSchedulerConfiguration (v1) read into profiles: every field is honoured, or refused with its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rules.scheduling.framework import Plugin
from rules.scheduling.plugin_args import CHECKS, MAKERS
from rules.scheduling.pods import DEFAULT_SCHEDULER
from rules.scheduling.preemption import NAME as PREEMPTION
from rules.scheduling.profile import Profile
from rules.scheduling.registry import DEFAULT_PLUGINS
from rules.scheduling.settings import ConfigurationError, Reader

API_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"
#: Fields about how kube-scheduler runs, not what it decides.
_OPERATION = (
    "leaderElection",
    "clientConnection",
    "healthzBindAddress",
    "metricsBindAddress",
    "enableProfiling",
    "enableContentionProfiling",
    "delayCacheUntilActive",
)
#: Plugins of the default profile that are no object here, with the point at which they are.
_BUILT_IN = {
    "PrioritySort": "queueSort",
    "SchedulingGates": "preEnqueue",
    PREEMPTION: "postFilter",
    "DefaultBinder": "bind",
    "DynamicResources": "filter",
}
_SCORERS = (
    "TaintToleration",
    "NodeAffinity",
    "NodeResourcesFit",
    "VolumeBinding",
    "PodTopologySpread",
    "InterPodAffinity",
    "NodeResourcesBalancedAllocation",
)
_PRE_FILTERS = (
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeBinding",
    "VolumeZone",
    "PodTopologySpread",
    "InterPodAffinity",
    "DynamicResources",
)
#: The default plugins that have a point.
_EXTENDING = {
    "preEnqueue": ("SchedulingGates", "DynamicResources", PREEMPTION),
    "queueSort": ("PrioritySort",),
    "preFilter": _PRE_FILTERS,
    "filter": ("NodeUnschedulable", "NodeName", "TaintToleration", *_PRE_FILTERS),
    "postFilter": ("DynamicResources", PREEMPTION),
    "preScore": (*_SCORERS, "DynamicResources"),
    "score": (*_SCORERS, "ImageLocality", "DynamicResources"),
    "reserve": ("VolumeBinding", "DynamicResources"),
    "permit": (),
    "preBind": ("VolumeBinding", "DynamicResources"),
    "bind": ("DefaultBinder",),
    "postBind": (),
}
#: Points that can't be configured apart from filter and score: a plugin works as a whole or not at all.
_FOLLOWING = {"preFilter": "filter", "preScore": "score"}
#: Points after the decision.
_BINDING = ("reserve", "permit", "preBind", "postBind")
#: Plugins that always take part, with their points.
_INDISPENSABLE = {"PrioritySort": "queueSort", "SchedulingGates": "preEnqueue", "DefaultBinder": "bind"}
_ALL = "*"
_MOST_WEIGHT = (2**31 - 1) // 100

#: Makes a plugin of the user's own, with the arguments of its configuration: the class, most often.
PluginMaker = Callable[..., Plugin]


class _Set:
    """One point's plugins as configured: what is disabled, and what is enabled with which weight (0: not given)."""

    def __init__(self, reader: Reader | None, known: Mapping[str, object]) -> None:
        self.disabled: list[str] = []
        self.enabled: dict[str, int] = {}
        if reader is None:
            return
        for item in reader.children("disabled"):
            name = item.text("name")
            if name != _ALL and name not in known:
                item.fail("name", f'Invalid value: "{name}": no such plugin; known are {", ".join(sorted(known))}')
            item.integer("weight", 0, 0, _MOST_WEIGHT)
            item.done()
            self.disabled.append(name)
        for item in reader.children("enabled"):
            name = item.text("name")
            if name not in known:
                item.fail("name", f'Invalid value: "{name}": no such plugin; known are {", ".join(sorted(known))}')
            if name in self.enabled:
                item.fail("name", f'Duplicate value: "{name}"')
            self.enabled[name] = item.integer("weight", 0, 0, _MOST_WEIGHT)
            item.done()
        reader.done()


def load_configuration(
    configuration: Mapping[str, object], own: Mapping[str, PluginMaker] | None = None, *, at: str = ""
) -> dict[str, Profile]:
    """The profiles of a configuration by scheduler name.

    Args:
        configuration: the document, as JSON or YAML gives it.
        own: plugins of the user's own by name; they run where the configuration enables them, and are made with the
            ``args`` that it has for them.
        at: where the configuration stands in a larger document; what paths begin with.

    Raises:
        ConfigurationError: a field that isn't known, has a wrong value, or can't be honoured; says its path.
    """
    root = Reader(configuration, at)
    if root.get("apiVersion") != API_VERSION:
        root.fail("apiVersion", f'Unsupported value: "{root.get("apiVersion")}": supported values: "{API_VERSION}"')
    if root.get("kind") != KIND:
        root.fail("kind", f'Unsupported value: "{root.get("kind")}": supported values: "{KIND}"')
    for name in _OPERATION:
        root.get(name)
    _check_operation(root)
    _check_percentage(root)
    if root.children("extenders"):
        root.fail("extenders", "Forbidden: a decision here asks no web hooks")
    profiles: dict[str, Profile] = {}
    for reader in root.children("profiles") or [Reader({}, f"{at}.profiles[0]".lstrip("."))]:
        profile = _profile(reader, own or {})
        if profile.name in profiles:
            reader.fail("schedulerName", f'Duplicate value: "{profile.name}"')
        profiles[profile.name] = profile
    root.done()
    return profiles


def _check_operation(root: Reader) -> None:
    """Numbers about how kube-scheduler runs: checked, and without effect here."""
    root.integer("parallelism", 16, 1, message="should be an integer value greater than zero")
    first = root.integer("podInitialBackoffSeconds", 1, 1, message="must be greater than 0")
    message = "must be greater than or equal to PodInitialBackoffSeconds"
    root.integer("podMaxBackoffSeconds", max(first, 10), first, message=message)


def _check_percentage(reader: Reader) -> None:
    if reader.integer("percentageOfNodesToScore", 0, 0, 100, "not in valid range [{}-{}]") not in (0, 100):
        reader.fail("percentageOfNodesToScore", "Forbidden: all nodes are looked at; only 100 can be honoured")


def _profile(reader: Reader, own: Mapping[str, PluginMaker]) -> Profile:
    name = reader.text("schedulerName", DEFAULT_SCHEDULER)
    _check_percentage(reader)
    made = {listed.make().name: listed.make() for listed in DEFAULT_PLUGINS}
    defaults = {listed.make().name: listed.weight for listed in DEFAULT_PLUGINS}
    known = {**made, **own, **_BUILT_IN}
    plugins = reader.child("plugins")
    sets = {point: _Set(plugins.child(point) if plugins else None, known) for point in (*_EXTENDING, "multiPoint")}
    if plugins is not None:
        plugins.done()
    _configure(reader, made, known, own)
    for plugin in sorted(own.keys() - made.keys()):
        if any(plugin in point.enabled for point in sets.values()):
            made[plugin] = _with_args(own[plugin], Reader({}, f"{reader.path}.pluginConfig"))
    everywhere = _everywhere(sets["multiPoint"], {**defaults, **dict.fromkeys(_BUILT_IN, 0)})
    _check_points(reader, sets, everywhere, own)
    filters = _ordered(sets["filter"], [p for p in everywhere if p in made])
    scorers = [p for p in _ordered(sets["score"], list(everywhere)) if p in made and made[p].scores]
    weights = {p: sets["score"].enabled.get(p) or everywhere.get(p) or 1 for p in scorers}
    reader.done()
    return Profile(
        name=name,
        filters=tuple(made[plugin] for plugin in filters if plugin in made),
        scorers=tuple((made[plugin], weights[plugin]) for plugin in scorers),
        preemption=PREEMPTION in _ordered(sets["postFilter"], [PREEMPTION] if PREEMPTION in everywhere else []),
    )


def _configure(
    reader: Reader, made: dict[str, Plugin], known: Mapping[str, object], own: Mapping[str, PluginMaker]
) -> None:
    """Reads ``pluginConfig``."""
    seen: set[str] = set()
    for item in reader.children("pluginConfig"):
        name = item.text("name")
        if name in seen:
            item.fail("name", f'Duplicate value: "{name}"')
        seen.add(name)
        args = item.child("args") or Reader({}, f"{item.path}.args")
        if name in own:
            made[name] = _with_args(own[name], args)
        elif name in MAKERS:
            made[name] = MAKERS[name](args)
        elif name in CHECKS:
            CHECKS[name](args)
        elif name in known:
            args.done()
        else:
            item.fail("name", f'Invalid value: "{name}": no such plugin; known are {", ".join(sorted(known))}')
        item.done()


def _with_args(make: PluginMaker, args: Reader) -> Plugin:
    """A plugin of the user's own, made with its arguments by name."""
    try:
        return make(**args.rest())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(args.path, f"Invalid value: {error}") from error


def _everywhere(configured: _Set, defaults: Mapping[str, int]) -> dict[str, int]:
    """The plugins of ``multiPoint`` with their weights: the defaults, those configured in their place, then others."""
    kept = {} if _ALL in configured.disabled else {p: w for p, w in defaults.items() if p not in configured.disabled}
    merged = {plugin: configured.enabled.get(plugin, weight) for plugin, weight in kept.items()}
    return {**merged, **{plugin: weight for plugin, weight in configured.enabled.items() if plugin not in merged}}


def _ordered(point: _Set, everywhere: list[str]) -> list[str]:
    """One point's plugins in running order: overrides as configured, then those of multiPoint, then further ones."""
    kept = [] if _ALL in point.disabled else [plugin for plugin in everywhere if plugin not in point.disabled]
    overrides = [plugin for plugin in point.enabled if plugin in kept]
    others = [plugin for plugin in point.enabled if plugin not in kept]
    return [*overrides, *(plugin for plugin in kept if plugin not in point.enabled), *others]


def _check_points(
    reader: Reader, sets: Mapping[str, _Set], everywhere: Mapping[str, int], own: Mapping[str, PluginMaker]
) -> None:
    """Refuses points that a plugin hasn't, what would tear one apart, and what no scheduler can do without."""
    for point, extending in _EXTENDING.items():
        for index, plugin in enumerate(sets[point].enabled):
            if plugin not in extending and plugin not in own:
                message = f'Invalid value: plugin "{plugin}" does not extend {point} plugin'
                reader.fail(f"plugins.{point}.enabled[{index}].name", message)
    for point, main in _FOLLOWING.items():
        if sets[point].disabled != sets[main].disabled and sets[point].disabled:
            reader.fail(f"plugins.{point}.disabled", f"Forbidden: a plugin's {point} goes with its {main}")
    for point in _BINDING:
        if sets[point].disabled:
            reader.fail(f"plugins.{point}.disabled", "Forbidden: only what decides about nodes can be configured")
    for plugin, point in _INDISPENSABLE.items():
        if plugin not in _ordered(sets[point], [plugin] if plugin in everywhere else []):
            reader.fail(f"plugins.{point}", f"Required value: {plugin} can't be left out")
