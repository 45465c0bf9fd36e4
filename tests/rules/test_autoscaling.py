"""HorizontalPodAutoscalers: the arithmetic, the brakes, and what comes of it in a loop."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND

from reconciler import Reconciler
from rules import autoscaler_replicas as replicas
from rules.autoscaler_limits import History, Moment, normalize
from rules.autoscaler_metrics import MetricsError, Sample
from rules.autoscaler_spec import KIND, AutoscalerError, spec_of
from rules.scale import NoScaleError, ScalePaths, scale_of, scaled
from state.dump import dump
from state.load import from_dict
from state.objects import Deployment
from state.times import format_time

LONG_AGO = format_time(NOW - 3600 * SECOND)
REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def pod(name, ready=True, phase="Running", request="1", since=LONG_AGO, started=LONG_AGO, deleted=False):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": request} if request else {}}}
    meta = {"name": name, "namespace": "n", "labels": {"app": "web"}}
    if deleted:
        meta["deletionTimestamp"] = LONG_AGO
    ready = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
    status = {"phase": phase, "startTime": started, "conditions": [ready]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    return from_dict({**manifest, "status": status})


def pods_of(*pods):
    return {each.metadata.name: each for each in pods}


def samples(**values):
    return {name: Sample(value, NOW, 60 * SECOND) for name, value in values.items()}


def utilization(pods, values, current, target):
    return replicas.by_utilization(pods_of(*pods), samples(**values), current, target, "cpu", "", NOW)


# -- the arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [(200, 2), (50, 1), (100, 1), (109, 1), (111, 2), (305, 4)],
)
def test_replicas_follow_the_ratio_of_usage_to_target(value, expected):
    """The documentation's examples: 200m for a target of 100m doubles; what is within a tenth changes nothing."""
    found = replicas.by_average(pods_of(pod("a")), samples(a=value), 1, 100, "cpu", NOW)
    assert (found.replicas, found.value) == (expected, value)


def test_utilization_is_of_what_pods_request():
    """Three pods of one CPU each at 30, 50 and 70 percent are at 50; for a target of 30 five are needed."""
    three = [pod("a"), pod("b"), pod("c")]
    found = utilization(three, {"a": 300, "b": 500, "c": 700}, 3, 30)
    assert found == replicas.Proposal(5, 500, 50)


def test_missing_pods_hold_both_directions_back():
    """Going down they count as busy, going up as idle; a change that this turns around isn't made."""
    four = [pod("a"), pod("b"), pod("c"), pod("d")]
    assert utilization(four, {"a": 100, "b": 100, "c": 100}, 4, 50).replicas == 3
    assert utilization(four, {"a": 900, "b": 900, "c": 900}, 4, 50).replicas == 6
    assert utilization(four, {"a": 600, "b": 600}, 4, 50).replicas == 4


def test_pods_that_are_not_ready_count_as_idle_when_it_goes_up():
    """So that what starts up isn't followed by more of it."""
    young = format_time(NOW - 20 * SECOND)
    starting = pod("c", ready=False, since=young, started=young)
    assert utilization([pod("a"), pod("b"), starting], {"a": 900, "b": 900, "c": 10}, 3, 50).replicas == 4
    assert utilization([pod("a"), pod("b"), starting], {"a": 100, "b": 100, "c": 10}, 3, 50).replicas == 1


@pytest.mark.parametrize(
    ("given_pod", "group"),
    [
        (pod("p"), "ready"),
        (pod("p", phase="Pending"), "unready"),
        (pod("p", phase="Failed"), "ignored"),
        (pod("p", deleted=True), "ignored"),
        (pod("p", ready=False), "unready"),
        (pod("p", ready=False, since=format_time(NOW - 60 * SECOND)), "ready"),
        (pod("p", started=format_time(NOW - 60 * SECOND), since=format_time(NOW - 50 * SECOND)), "unready"),
        (pod("p", started=format_time(NOW - 200 * SECOND), since=format_time(NOW - 190 * SECOND)), "ready"),
        (pod("other"), "missing"),
    ],
)
def test_which_pods_have_a_say(given_pod, group):
    """Starting pods don't, while their CPU is that of their start; those that were ready once do."""
    found = replicas.group_pods(pods_of(given_pod), samples(p=1), "cpu", NOW)
    if group == "ready":
        assert found.ready == 1
    else:
        assert getattr(found, group) == {given_pod.metadata.name}


@pytest.mark.parametrize(
    ("pods", "values", "message"),
    [
        ([], {}, "no pods returned by selector while calculating replica count"),
        ([pod("a", phase="Pending")], {"a": 1}, "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod("a", request="")], {"a": 1}, "missing request for cpu in container c of Pod a"),
    ],
)
def test_what_cannot_be_said(pods, values, message):
    """In the controller's words."""
    with pytest.raises(MetricsError) as raised:
        utilization(pods, values, 1, 50)
    assert str(raised.value) == message


def test_a_value_that_pods_share():
    """By its ratio over the ready ones, or by each one's share."""
    two = pods_of(pod("a"), pod("b"), pod("c", ready=False))
    assert replicas.by_value(two, 3000, 3, 1000) == replicas.Proposal(6, 3000)
    assert replicas.by_value(two, 1050, 3, 1000).replicas == 3
    assert replicas.by_value({}, 2500, 0, 1000).replicas == 3
    assert replicas.by_share(30_000, 3, 5_000) == replicas.Proposal(6, 10_000)
    assert replicas.by_share(15_900, 3, 5_000).replicas == 3


@given(
    values=st.lists(st.integers(0, 5000), min_size=1, max_size=8),
    target=st.integers(1, 200),
)
def test_with_all_pods_ready_it_is_the_formula(values, target):
    """``ceil(replicas * usage / target)``, unless that is too small a change."""
    names = [f"p{number}" for number in range(len(values))]
    found = utilization([pod(name) for name in names], dict(zip(names, values, strict=True)), len(values), target)
    ratio = (sum(values) * 100 // (1000 * len(values))) / target
    assert found.replicas == (len(values) if 0.9 <= ratio <= 1.1 else ceil(ratio * len(values)))


# -- the brakes --------------------------------------------------------------------------------------------------------


def spec(behavior=None, least=1, most=100, metrics=None):
    body = {"scaleTargetRef": REFERENCE, "minReplicas": least, "maxReplicas": most}
    body |= {"behavior": behavior} if behavior is not None else {}
    body |= {"metrics": metrics} if metrics is not None else {}
    return spec_of(from_dict(autoscaler(body)))


def autoscaler(body):
    meta = {"name": "web", "namespace": "n"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": body}


def test_without_rules_it_at_most_doubles_and_never_shrinks_for_five_minutes():
    """The highest recommendation of that time counts."""
    history = History([Moment(NOW, 1)])
    up = normalize(spec(), history, 3, 50, NOW)
    assert (up.replicas, up.limited[0], up.is_limited) == (6, "ScaleUpLimit", True)
    down = normalize(spec(), history, 50, 2, NOW + 299 * SECOND)
    assert (down.replicas, down.able[0], down.may_change) == (50, "ScaleDownStabilized", True)
    later = normalize(spec(), history, 50, 2, NOW + 300 * SECOND)
    assert (later.replicas, later.able[0]) == (2, "ReadyForNewScale")


@pytest.mark.parametrize(
    ("current", "desired", "expected", "reason"),
    [
        (4, 0, 1, "TooFewReplicas"),
        (8, 12, 10, "TooManyReplicas"),
        (8, 9, 9, "DesiredWithinRange"),
    ],
)
def test_it_keeps_within_its_bounds(current, desired, expected, reason):
    """And says which bound it is."""
    verdict = normalize(spec(most=10), History(), current, desired, NOW)
    assert (verdict.replicas, verdict.limited[0], verdict.may_change) == (expected, reason, False)


def test_the_documentation_s_example_of_policies():
    """From 80 to 10: a tenth a minute, and from 40 on four pods a minute, since the larger change counts."""
    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 10, "periodSeconds": 60},
    ]
    wanted = spec({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": policies}})
    history, current, seen = History(), 80, []
    for minute in range(18):
        now = NOW + minute * 60 * SECOND
        verdict = normalize(wanted, history, current, 10, now)
        if verdict.replicas != current:
            history.scaled(current, verdict.replicas, now)
        current = verdict.replicas
        seen.append(current)
    assert seen == [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("select", "expected"),
    [("Max", 14), ("Min", 12), ("Disabled", 10)],
)
def test_which_policy_counts(select, expected):
    """The one that allows most, or least, or none."""
    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 20, "periodSeconds": 60},
    ]
    wanted = spec({"scaleUp": {"policies": policies, "selectPolicy": select}})
    verdict = normalize(wanted, History(), 10, 50, NOW)
    assert (verdict.replicas, verdict.limited[0]) == (expected, "ScaleUpLimit")
    assert verdict.may_change is (select != "Disabled")


def test_what_was_added_lately_counts_towards_a_policy():
    """Within its period."""
    wanted = spec({"scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]}})
    history = History(ups=[Moment(NOW, 3)])
    assert normalize(wanted, history, 10, 50, NOW + 30 * SECOND).replicas == 11
    assert normalize(wanted, history, 10, 50, NOW + 60 * SECOND).replicas == 14


def test_going_up_can_be_made_to_wait():
    """A window for scaling up takes the lowest recommendation of it."""
    wanted = spec({"scaleUp": {"stabilizationWindowSeconds": 60}})
    history = History([Moment(NOW, 3)])
    verdict = normalize(wanted, history, 3, 9, NOW + 30 * SECOND)
    assert (verdict.replicas, verdict.able[0]) == (3, "ScaleUpStabilized")
    assert normalize(wanted, history, 3, 9, NOW + 90 * SECOND).replicas == 7


@given(
    steps=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40)), max_size=20),
    behavior=st.sampled_from([None, {}, {"scaleDown": {"selectPolicy": "Disabled"}}]),
)
def test_it_never_leaves_its_bounds(steps, behavior):
    """Whatever is recommended, and whenever."""
    wanted, history, current, now = spec(behavior, least=2, most=20), History(), 5, NOW
    for seconds, desired in steps:
        now += seconds * SECOND
        history.forget(wanted, now)
        verdict = normalize(wanted, history, current, desired, now)
        if verdict.replicas != current:
            history.scaled(current, verdict.replicas, now)
        current = verdict.replicas
        assert 2 <= current <= 20


# -- scales ------------------------------------------------------------------------------------------------------------


def test_a_custom_resource_has_its_scale_where_its_definition_says():
    """And nowhere if it doesn't."""
    paths = ScalePaths(".spec.size.wanted", ".status.size", ".status.labels")
    body = {"spec": {"size": {"wanted": 3}}, "status": {"size": 2, "labels": "app=web"}}
    obj = from_dict({"apiVersion": "e.com/v1", "kind": "W", "metadata": {"name": "w"}, **body})
    assert scale_of(obj, paths) == (3, 2, "app=web")
    assert scale_of(scaled(obj, 7, paths), paths).wanted == 7
    with pytest.raises(NoScaleError, match="does not exist"):
        scale_of(obj, ScalePaths())
    with pytest.raises(NoScaleError, match="could not find"):
        scale_of(obj)


# -- in a loop ---------------------------------------------------------------------------------------------------------

CPU_50 = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def deployment(count):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "200m"}}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    body = {"replicas": count, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": "web", "namespace": "n"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": body}


def pod_metrics(name, cpu, at=NOW):
    meta = {"name": name, "namespace": "n"}
    containers = [{"name": "c", "usage": {"cpu": cpu, "memory": "64Mi"}}]
    head = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": meta}
    return {**head, "timestamp": format_time(at), "window": "30s", "containers": containers}


class Cluster:
    """A Deployment with an autoscaler, whose pods run and use what a test says."""

    def __init__(self, count, metrics=(CPU_50,), **more):
        body = {"scaleTargetRef": REFERENCE, "maxReplicas": 10, "metrics": list(metrics), **more}
        self.loop = Reconciler(deployment(count), observed=[autoscaler(body)], nodes=5, now=NOW)
        self.now = NOW
        self.plan = self.loop.step()

    def run(self, cpu=None, seconds=15):
        """All pods run, and each uses ``cpu``."""
        running = {"phase": "Running", "startTime": LONG_AGO}
        running["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}]
        for namespace, name in sorted(self.loop.snapshot.table("Pod")):
            self.loop.patch(f"pod/{namespace}/{name}", {"status": running})
            if cpu is not None:
                self.loop.apply(pod_metrics(name, cpu, self.now))
        self.now += seconds * SECOND
        self.plan = self.loop.step(self.now)
        return self.wanted

    @property
    def wanted(self):
        return self.loop.ws.find(Deployment, "n", "web").spec.replicas

    @property
    def status(self):
        return self.loop.snapshot.table(KIND)["n", "web"].body.value["status"]

    def reasons(self):
        return {each["type"]: (each["status"], each["reason"]) for each in self.status["conditions"]}


def test_load_is_followed_up_at_once_and_down_after_five_minutes():
    """The walkthrough of the documentation: 305 percent of 200m for a target of 50."""
    cluster = Cluster(1)
    assert cluster.run("610m") == 4
    assert "New size: 4; reason: cpu resource utilization (percentage of request) above target" in {
        each.message for each in cluster.plan.events if each.reason == "SuccessfulRescale"
    }
    assert cluster.status["currentMetrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": 305, "averageValue": "610m"}},
        }
    ]
    assert cluster.run("175m") == 7
    assert cluster.run("100m") == 7
    assert cluster.reasons() == {
        "AbleToScale": ("True", "ReadyForNewScale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    assert cluster.run("0") == 7
    assert cluster.reasons()["AbleToScale"] == ("True", "ScaleDownStabilized")
    assert cluster.run("0", seconds=330) == 1
    assert cluster.reasons()["AbleToScale"] == ("True", "SucceededRescale")
    assert cluster.status["lastScaleTime"] == format_time(cluster.now)


def test_it_looks_no_more_often_than_its_period():
    """What changes in between it sees at the end of it."""
    cluster = Cluster(1)
    assert cluster.run("610m", seconds=5) == 1
    assert cluster.plan.wake_at is not None
    assert cluster.run(seconds=10) == 4


def test_a_settled_autoscaler_lets_a_loop_end():
    """Nothing is to be waited for when the load is right, at its limit, or not known."""
    for cpu in ("100m", "2", None):
        cluster = Cluster(10)
        cluster.run(cpu)
        cluster.run(cpu)
        assert cluster.run(cpu) == 10
        assert cluster.plan.wake_at is None


def test_without_metrics_nothing_is_scaled_and_it_says_so():
    """With Kubernetes' reasons; once."""
    cluster = Cluster(2)
    fault = "unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    told = {each.reason: each.message for each in cluster.plan.events if each.type == "Warning"}
    assert told["FailedGetResourceMetric"] == f"failed to get cpu utilization: {fault}"
    assert told["FailedComputeMetricsReplicas"].startswith("invalid metrics (1 invalid out of 1), first error is: ")
    assert cluster.reasons()["ScalingActive"] == ("False", "FailedGetResourceMetric")
    assert cluster.run() == 2
    assert not [each for each in cluster.plan.events if each.type == "Warning"]
    (note,) = (each for each in cluster.plan.notes if each.target.kind == KIND)
    assert note.why.startswith("web leaves Deployment/web at 2 pods: invalid metrics")


def test_bounds_come_before_metrics():
    """A target outside of them is brought back; one at zero is left alone."""
    assert Cluster(12).wanted == 10
    assert Cluster(1, minReplicas=3).wanted == 3
    off = Cluster(0)
    assert (off.wanted, off.reasons()["ScalingActive"]) == (0, ("False", "ScalingDisabled"))


def test_a_target_that_is_not_there_is_named():
    """As the scale client names it."""
    body = {"scaleTargetRef": {**REFERENCE, "name": "other"}, "maxReplicas": 3}
    loop = Reconciler([autoscaler(body)], now=NOW)
    plan = loop.step()
    (event,) = plan.events
    assert (event.reason, event.message) == ("FailedGetScale", 'deployments/scale.apps "other" not found')


def test_an_autoscaler_that_cannot_be_read_says_why():
    """With the place of the mistake."""
    with pytest.raises(AutoscalerError, match=r"maxReplicas"):
        spec_of(from_dict(autoscaler({"scaleTargetRef": REFERENCE, "maxReplicas": "many"})))
    plan = Reconciler(observed=[autoscaler({"scaleTargetRef": REFERENCE})], now=NOW).step()
    assert any("scales nothing: spec: Object missing required field `maxReplicas`" in each.why for each in plan.notes)


def custom(kind, name, **body):
    group = "external" if kind.startswith("External") else "custom"
    meta = {"name": name, "namespace": "n"}
    return {"apiVersion": f"{group}.metrics.k8s.io/v1beta1", "kind": kind, "metadata": meta, **body}


def about(kind, name, metric, value):
    described = {"kind": kind, "namespace": "n", "name": name}
    return {"describedObject": described, "metric": {"name": metric}, "timestamp": format_time(NOW), "value": value}


def test_metrics_of_pods_objects_and_the_world_outside():
    """The one that asks for most counts."""
    target = {"type": "AverageValue", "averageValue": "100"}
    metrics = [
        {"type": "Pods", "pods": {"metric": {"name": "packets"}, "target": target}},
        {
            "type": "Object",
            "object": {
                "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"},
                "metric": {"name": "hits"},
                "target": {"type": "Value", "value": "2k"},
            },
        },
        {
            "type": "External",
            "external": {
                "metric": {"name": "queue", "selector": {"matchLabels": {"q": "mail"}}},
                "target": {"type": "AverageValue", "averageValue": "30"},
            },
        },
    ]
    cluster = Cluster(2, metrics)
    cluster.run()
    names = [name for _, name in sorted(cluster.loop.snapshot.table("Pod"))]
    items = [about("Pod", name, "packets", "150") for name in names]
    cluster.loop.apply(
        [
            custom("MetricValueList", "packets", items=items),
            custom("MetricValue", "hits", **about("Ingress", "main", "hits", "2500")),
            custom("ExternalMetricValue", "mail", metricName="queue", metricLabels={"q": "mail"}, value="100"),
            custom("ExternalMetricValue", "other", metricName="queue", metricLabels={"q": "news"}, value="999"),
        ]
    )
    assert cluster.run() == 4
    (rescale,) = (each for each in cluster.plan.events if each.reason == "SuccessfulRescale")
    assert rescale.message.startswith("New size: 4; reason: external metric queue(&LabelSelector{")
    assert [each["type"] for each in cluster.status["currentMetrics"]] == ["Pods", "Object", "External"]
    assert cluster.status["currentMetrics"][1]["object"]["current"] == {"value": "2500"}


def test_one_container_can_stand_for_its_pod():
    """If the pod has it."""
    source = {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 50}}
    cluster = Cluster(1, [{"type": "ContainerResource", "containerResource": source}])
    assert cluster.run("200m") == 2
    wrong = Cluster(1, [{"type": "ContainerResource", "containerResource": {**source, "container": "x"}}])
    wrong.run("200m")
    (name,) = (name for _, name in wrong.loop.snapshot.table("Pod"))
    (event,) = (each for each in wrong.plan.events if each.reason == "FailedGetContainerResourceMetric")
    fault = f"container x not present in metrics for pod n/{name}"
    assert event.message == f"failed to get cpu utilization: unable to get metrics for resource cpu: {fault}"


def test_a_metric_that_cannot_be_had_forbids_to_go_down_only():
    """It might ask for more than the others."""
    missing = {
        "type": "Pods",
        "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}},
    }
    assert Cluster(2, [CPU_50, missing]).run("200m") == 4
    down = Cluster(4, [CPU_50, missing])
    assert down.run("10m", seconds=330) == 4
    assert down.reasons()["ScalingActive"] == ("False", "FailedGetPodsMetric")


def test_two_autoscalers_of_the_same_pods_do_nothing():
    """They would pull in different directions."""
    cluster = Cluster(1)
    other = autoscaler({"scaleTargetRef": REFERENCE, "maxReplicas": 3})
    other["metadata"]["name"] = "other"
    cluster.loop.apply(other)
    assert cluster.run("610m") == 1
    assert cluster.run("610m") == 1
    assert cluster.reasons()["ScalingActive"] == ("False", "AmbiguousSelector")
    (message,) = (each["message"] for each in cluster.status["conditions"] if each["type"] == "ScalingActive")
    assert message == "pods by selector app=web are controlled by multiple HPAs: [n/other n/web]"


@pytest.mark.parametrize(
    ("metric", "reported", "fault"),
    [
        (CPU_50, {"containers": "none"}, "Expected `array`, got `str`"),
        (CPU_50, {"containers": [{"name": "c", "usage": {"cpu": "much"}}]}, "quantities must match"),
        (CPU_50, {"containers": [{"name": "c", "usage": {"cpu": "1"}}], "timestamp": "now"}, "RFC 3339"),
        (
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}},
            },
            {"containers": [{"name": "c", "usage": {"cpu": "1"}}]},
            "the target must be greater than 0",
        ),
        ({"type": "Guess"}, {}, 'unknown metric source type "Guess"'),
        ({"type": "Object"}, {}, "invalid object metric source"),
    ],
)
def test_what_makes_no_sense_scales_nothing_and_is_told(metric, reported, fault):
    """Wherever it stands: in the autoscaler, or in what is reported."""
    cluster = Cluster(2, [metric])
    cluster.run()
    for _, name in sorted(cluster.loop.snapshot.table("Pod")):
        head = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics"}
        cluster.loop.apply({**head, "metadata": {"name": name, "namespace": "n"}, **reported})
    assert cluster.run() == 2
    (note,) = (each for each in cluster.plan.notes if each.target.kind == KIND)
    assert fault in note.why


def test_a_custom_resource_is_scaled_where_its_definition_says():
    """If its selector can be read."""
    names = {"kind": "Farm", "plural": "farms"}
    paths = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.by"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "farms.e.com"},
        "spec": {"group": "e.com", "names": names, "versions": [{"name": "v1", "subresources": {"scale": paths}}]},
    }
    farm = {"apiVersion": "e.com/v1", "kind": "Farm", "metadata": {"name": "f", "namespace": "n"}, "spec": {"size": 1}}
    scaler = autoscaler({"scaleTargetRef": {"apiVersion": "e.com/v1", "kind": "Farm", "name": "f"}, "maxReplicas": 9})
    for selector, wanted, said in (("app=web", 4, ""), ("app in", 1, "couldn't convert selector")):
        observed = [definition, {**farm, "status": {"size": 1, "by": selector}}, dump(pod("a")), pod_metrics("a", "4")]
        loop = Reconciler([scaler], observed=observed, now=NOW)
        plan = loop.step()
        assert plan.snapshot.table("Farm.e.com")["n", "f"].body.value["spec"] == {"size": wanted}
        assert any(said in each.why for each in plan.notes if each.target.kind == KIND) is bool(said)
