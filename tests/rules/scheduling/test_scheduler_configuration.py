"""A KubeSchedulerConfiguration is honoured or refused field by field."""

import pytest

from rules.scheduling import ColumnPlugin, ConfigurationError, load_configuration, schedule_cluster

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
DEFAULT_FILTERS = [
    "NodeUnschedulable",
    "NodeName",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeBinding",
    "VolumeZone",
    "PodTopologySpread",
    "InterPodAffinity",
]


class Own(ColumnPlugin):
    """A plugin that likes every node."""

    name = "Own"


def load(**fields):
    """The only profile of a configuration with one profile of these fields."""
    [profile] = load_configuration({**HEAD, "profiles": [fields]}, {"Own": Own}).values()
    return profile


def filters(profile):
    """The names of the plugins that can refuse."""
    return [plugin.name for plugin in profile.filters if plugin.name in (*DEFAULT_FILTERS, "Own")]


def weights(profile):
    """Score plugins and their weights."""
    return {plugin.name: weight for plugin, weight in profile.scorers}


def test_an_empty_configuration_is_the_default_profile():
    profile = load_configuration(HEAD)["default-scheduler"]
    assert filters(profile) == DEFAULT_FILTERS
    assert weights(profile) == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }
    assert profile.preemption


def test_plugins_are_disabled_and_weighted_at_a_point():
    score = {"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]}
    profile = load(plugins={"score": score, "postFilter": {"disabled": [{"name": "*"}]}})
    assert "ImageLocality" not in weights(profile)
    assert weights(profile)["NodeAffinity"] == 7
    assert filters(profile) == DEFAULT_FILTERS
    assert not profile.preemption


def test_a_star_leaves_only_what_is_enabled():
    point = {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 2}]}
    profile = load(
        plugins={"score": point, "filter": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodePorts"}]}}
    )
    assert weights(profile) == {"NodeResourcesFit": 2}
    assert filters(profile) == ["NodePorts"]


def test_multi_point_enables_a_plugin_of_ones_own_everywhere():
    profile = load(schedulerName="mine", plugins={"multiPoint": {"enabled": [{"name": "Own", "weight": 5}]}})
    assert profile.name == "mine"
    assert filters(profile)[-1] == "Own"
    assert weights(profile)["Own"] == 5


@pytest.mark.parametrize(
    ("configuration", "path"),
    [
        ({"apiVersion": "v1", "kind": "KubeSchedulerConfiguration"}, "apiVersion"),
        ({**HEAD, "colour": 1}, "colour"),
        ({**HEAD, "percentageOfNodesToScore": 50}, "percentageOfNodesToScore"),
        ({**HEAD, "percentageOfNodesToScore": 101}, "percentageOfNodesToScore"),
        ({**HEAD, "extenders": [{"urlPrefix": "http://x"}]}, "extenders"),
        ({**HEAD, "profiles": [{}, {}]}, "profiles[1].schedulerName"),
        ({**HEAD, "profiles": [{"plugins": {"filters": {}}}]}, "profiles[0].plugins.filters"),
        (
            {**HEAD, "profiles": [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]},
            "profiles[0].plugins.filter.enabled[0].name",
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"score": {"enabled": [{"name": "NodeAffinity", "weight": -1}]}}}]},
            "profiles[0].plugins.score.enabled[0].weight",
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"score": {"enabled": [{"name": "NodePorts", "weight": 1}]}}}]},
            "profiles[0].plugins.score.enabled[0].name",
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.queueSort",
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"preFilter": {"disabled": [{"name": "NodeAffinity"}]}}}]},
            "profiles[0].plugins.preFilter.disabled",
        ),
        (
            {
                **HEAD,
                "profiles": [{"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]}],
            },
            "profiles[0].pluginConfig[0].args.hardPodAffinityWeight",
        ),
        (
            {
                **HEAD,
                "profiles": [
                    {"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "X"}}}]}
                ],
            },
            "profiles[0].pluginConfig[0].args.scoringStrategy.type",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_path(configuration, path):
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(configuration)
    assert caught.value.path == path


def args(plugin, **values):
    """A configuration that gives a plugin these arguments."""
    return {**HEAD, "profiles": [{"pluginConfig": [{"name": plugin, "args": values}]}]}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (
            args("InterPodAffinity", hardPodAffinityWeight=-1),
            "hardPodAffinityWeight: Invalid value: -1: not in valid range [0, 100]",
        ),
        (
            args("NodeResourcesFit", ignoredResourceGroups=["example.com/x"]),
            "ignoredResourceGroups[0]: Invalid value: \"example.com/x\": resource group name can't contain '/'",
        ),
        (
            args("NodeResourcesFit", ignoredResources=["a//b"]),
            'ignoredResources[0]: Invalid value: "a//b": a valid label key must consist of',
        ),
        (
            args("NodeResourcesFit", scoringStrategy={"resources": [{"name": "cpu", "weight": 101}]}),
            "resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
        ),
        (
            args("NodeResourcesFit", scoringStrategy={"requestedToCapacityRatio": {}}),
            "scoringStrategy.requestedToCapacityRatio.shape: Required value: at least one point must be specified",
        ),
        (
            args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu", "weight": 2}]),
            "resources[0].weight: Invalid value: 2: must be 1",
        ),
        (
            args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu"}, {"name": "cpu"}]),
            'resources[1].name: Duplicate value: "cpu"',
        ),
        (
            args("NodeAffinity", addedAffinity={REQUIRED: {"nodeSelectorTerms": []}}),
            f"addedAffinity.{REQUIRED}.nodeSelectorTerms: Required value: must have at least one",
        ),
        (
            args("NodeAffinity", addedAffinity={PREFERRED: 3}),
            "addedAffinity: Invalid value: Expected `array`",
        ),
        (
            args("PodTopologySpread", defaultConstraints=[{}]),
            'defaultingType: Invalid value: "System": when .defaultConstraints are not empty',
        ),
        (
            args("PodTopologySpread", defaultingType="List", defaultConstraints=[{"topologyKey": "z", "maxSkew": 0}]),
            "defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)",
        ),
        (
            args(
                "PodTopologySpread",
                defaultingType="List",
                defaultConstraints=2 * [{"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}],
            ),
            'defaultConstraints[1]: Duplicate value: "{zone, ScheduleAnyway}"',
        ),
        (
            args("VolumeBinding", bindTimeoutSeconds=-1),
            "Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
        ),
        (args("VolumeBinding", shape=[]), "remove it or turn on the feature gate StorageCapacityScoring"),
        (
            args("DefaultPreemption", minCandidateNodesAbsolute=0, minCandidateNodesPercentage=0),
            "Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute",
        ),
        (args("DynamicResources", bindingTimeout="1s"), "bindingTimeout: Forbidden: DRADeviceBindingConditions or"),
        ({**HEAD, "parallelism": 0}, "Invalid value: 0: should be an integer value greater than zero"),
        ({**HEAD, "podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        (
            {**HEAD, "podInitialBackoffSeconds": 9, "podMaxBackoffSeconds": 8},
            "podMaxBackoffSeconds: Invalid value: 8: must be greater than or equal to PodInitialBackoffSeconds",
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"filter": {"enabled": [{"name": "ImageLocality"}]}}}]},
            'filter.enabled[0].name: Invalid value: plugin "ImageLocality" does not extend filter plugin',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_values_are_refused_in_kube_schedulers_words(configuration, message):
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(configuration)
    assert message in str(caught.value)


def test_arguments_without_effect_on_decisions_are_let_in():
    load_configuration({**HEAD, "parallelism": 4, "podMaxBackoffSeconds": 60})
    load_configuration(args("DynamicResources", filterTimeout="5s"))
    load_configuration(args("VolumeBinding", bindTimeoutSeconds=30))
    load_configuration(args("DefaultPreemption", minCandidateNodesPercentage=100))


def test_added_affinity_holds_for_every_pod():
    new = {"matchExpressions": [{"key": "gen", "operator": "Gt", "values": ["5"]}]}
    [profile] = load_configuration(
        args("NodeAffinity", addedAffinity={REQUIRED: {"nodeSelectorTerms": [new]}})
    ).values()
    [answer] = schedule_cluster(cluster(pod("new")), profiles=[profile])
    assert answer["filter"]["a"]["reasons"] == ["node(s) didn't match scheduler-enforced node affinity"]
    assert answer["chosen"] == "b"
    liked = {PREFERRED: [{"weight": 5, "preference": new}]}
    [profile] = load_configuration(args("NodeAffinity", addedAffinity=liked)).values()
    [answer] = schedule_cluster(cluster(pod("new")), profiles=[profile])
    assert {name: scores["NodeAffinity"] for name, scores in answer["scores"].items()} == {"a": 0, "b": 200}


def test_default_constraints_may_have_every_field_but_a_selector():
    listed = [
        {
            "topologyKey": "gen",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 3,
            "nodeAffinityPolicy": "Ignore",
            "nodeTaintsPolicy": "Honor",
            "matchLabelKeys": ["rev"],
        }
    ]
    [profile] = load_configuration(args("PodTopologySpread", defaultingType="List", defaultConstraints=listed)).values()
    service = {"metadata": {"name": "s"}, "spec": {"selector": {"app": "web"}}}
    made = cluster({**pod("one", node="b"), "metadata": {"name": "one", "labels": {"app": "web"}}})
    made["pods"].append({**pod("new"), "metadata": {"name": "new", "labels": {"app": "web"}}})
    [answer] = schedule_cluster({**made, "services": [service]}, profiles=[profile])
    assert answer["filter"]["b"]["reasons"] == ["node(s) didn't match pod topology spread constraints"]
    assert answer["chosen"] == "a"


def cluster(*pods):
    """Two nodes, one of them half full, and pods."""
    have = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    nodes = [
        {"metadata": {"name": name, "labels": {"gen": gen}}, "status": {"allocatable": have}}
        for name, gen in (("a", "2"), ("b", "9"))
    ]
    return {"nodes": nodes, "pods": [pod("full", node="a"), *pods]}


def pod(name, node=None, scheduler=None):
    """A pod of 1 CPU and 2Gi."""
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}]}
    if node:
        spec["nodeName"] = node
    if scheduler:
        spec["schedulerName"] = scheduler
    return {"metadata": {"name": name}, "spec": spec}


def strategy(kind, **more):
    """A profile whose NodeResourcesFit scores by a strategy."""
    args = {"scoringStrategy": {"type": kind, "resources": [{"name": "cpu", "weight": 1}], **more}}
    return load(
        pluginConfig=[{"name": "NodeResourcesFit", "args": args}],
        plugins={"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}},
    )


SHAPE = {"requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]}}


@pytest.mark.parametrize("detail", ["full", "result"])
@pytest.mark.parametrize(
    ("profile", "chosen"),
    [
        (strategy("LeastAllocated"), "b"),
        (strategy("MostAllocated"), "a"),
        (strategy("RequestedToCapacityRatio", **SHAPE), "a"),
    ],
    ids=["least", "most", "ratio"],
)
def test_scoring_strategies(profile, chosen, detail):
    """Both paths follow the configured strategy."""
    [answer] = schedule_cluster(cluster(pod("new")), detail, [profile])
    assert answer["chosen"] == chosen


def test_each_pod_goes_by_the_profile_it_asks_for():
    pack = strategy("MostAllocated")
    profiles = [load(), type(pack)("packer", pack.filters, pack.scorers)]
    pods = (pod("one"), pod("two", scheduler="packer"), pod("three", scheduler="nobody"))
    answers = schedule_cluster(cluster(*pods), "result", profiles)
    assert {a["pod"]: a["chosen"] for a in answers} == {"default/one": "b", "default/two": "a"}


class Picky(ColumnPlugin):
    """A plugin that has to be told something."""

    name = "Own"

    def __init__(self, label, least=0):
        self.label, self.least = label, least


def test_a_plugin_of_ones_own_is_made_with_its_arguments():
    enabled = {"filter": {"enabled": [{"name": "Own"}]}}

    def own(**fields):
        [profile] = load_configuration({**HEAD, "profiles": [{"plugins": enabled, **fields}]}, {"Own": Picky}).values()
        return next(plugin for plugin in profile.filters if plugin.name == "Own")

    made = own(pluginConfig=[{"name": "Own", "args": {"label": "gen", "least": 3}}])
    assert (made.label, made.least) == ("gen", 3)
    with pytest.raises(ConfigurationError, match="label") as caught:
        own()
    assert caught.value.path == "profiles[0].pluginConfig"
    with pytest.raises(ConfigurationError, match="unexpected keyword argument 'size'") as caught:
        own(pluginConfig=[{"name": "Own", "args": {"size": 3}}])
    assert caught.value.path == "profiles[0].pluginConfig[0].args"


def test_a_plugin_that_nothing_enables_is_not_made():
    load_configuration({**HEAD, "profiles": [{}]}, {"Own": Picky})


def test_paths_begin_with_where_the_configuration_stands():
    with pytest.raises(ConfigurationError) as caught:
        load_configuration({**HEAD, "profiles": [{"size": 3}]}, at="request.config")
    assert caught.value.path == "request.config.profiles[0].size"
