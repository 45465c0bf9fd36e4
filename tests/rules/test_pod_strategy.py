"""What the API server writes into a new pod: selectors by its own labels, AppArmor's fields, what holds it back."""

import pytest

from rules.pod_strategy import created_pod, reported_status
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import PodCondition, PodStatus, replace
from state.profiles import app_armor_profile

PROFILE = "container.apparmor.security.beta.kubernetes.io/"
SELECTOR = {"matchLabels": {"x": "y"}, "matchExpressions": [{"key": "k", "operator": "Exists"}]}


def pod(labels=None, annotations=None, **spec):
    meta = {"name": "p", "labels": labels or {}, "annotations": annotations or {}}
    spec = {"containers": [{"name": "c", "image": "i"}], **spec}
    made = default(from_dict({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))
    return replace(made, metadata=replace(made.metadata, creation_timestamp="2026-01-01T00:00:00Z"))


def spec_of(made):
    return dump(made)["spec"]


def test_an_ordinary_pod_stays_as_it_is():
    """The very same object, also with annotations that mean nothing here and an affinity without keys."""
    term = {"topologyKey": "zone", "labelSelector": SELECTOR}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for plain in (pod(), pod(annotations={"a": "b"}), pod({"app": "web"}, affinity=affinity)):
        assert created_pod(plain) is plain


def test_label_keys_become_requirements():
    """With the pod's values of them, after what the selector asks for already; keys that the pod lacks are left out."""
    term = {"topologyKey": "zone", "matchLabelKeys": ["app", "none"], "mismatchLabelKeys": ["team"]}
    with_selector = {**term, "labelSelector": SELECTOR}
    rules = {
        "requiredDuringSchedulingIgnoredDuringExecution": [with_selector, term],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": with_selector}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "matchLabelKeys": ["app"],
        "labelSelector": {"matchLabels": {"x": "y"}},
    }
    given = pod(
        {"app": "web", "team": "a"},
        affinity={"podAffinity": rules, "podAntiAffinity": rules},
        topologySpreadConstraints=[spread],
    )
    spec = spec_of(created_pod(given))
    is_app = {"key": "app", "operator": "In", "values": ["web"]}
    of_others = {"key": "team", "operator": "NotIn", "values": ["a"]}
    for name in ("podAffinity", "podAntiAffinity"):
        found, without = spec["affinity"][name]["requiredDuringSchedulingIgnoredDuringExecution"]
        (preferred,) = spec["affinity"][name]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert found["labelSelector"]["matchExpressions"] == [*SELECTOR["matchExpressions"], is_app, of_others]
        assert preferred["podAffinityTerm"]["labelSelector"] == found["labelSelector"]
        assert "labelSelector" not in without
    assert spec["topologySpreadConstraints"] == [
        {**spread, "labelSelector": {"matchLabels": {"x": "y"}, "matchExpressions": [is_app]}}
    ]


def test_pods_of_one_template_go_on_sharing_their_specification():
    """As long as the labels that matter are the same."""
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["app"]}
    first = pod({"app": "web"}, topologySpreadConstraints=[{**spread, "labelSelector": {}}])
    second, third = (
        replace(first, metadata=replace(first.metadata, labels=labels))
        for labels in ({"app": "web", "x": "y"}, {"app": "db"})
    )
    assert created_pod(second).spec is created_pod(first).spec
    assert created_pod(third).spec != created_pod(first).spec


@pytest.mark.parametrize(
    ("annotation", "profile"),
    [
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/mine", {"type": "Localhost", "localhostProfile": "mine"}),
        ("localhost/", None),
        ("localhost/ mine", None),
        ("localhost/" + "m" * 4096, None),
        ("docker/default", None),
        ("", None),
    ],
)
def test_what_an_annotation_of_apparmor_says(annotation, profile):
    """The field that says the same, if one could."""
    assert app_armor_profile(annotation) == profile


@pytest.mark.parametrize(
    ("annotation", "own", "of_container", "written"),
    [
        ("unconfined", None, None, {"type": "Unconfined"}),
        ("unconfined", {"type": "RuntimeDefault"}, None, {"type": "Unconfined"}),
        ("runtime/default", {"type": "RuntimeDefault"}, None, None),
        ("unconfined", None, {"type": "RuntimeDefault"}, {"type": "RuntimeDefault"}),
        ("localhost/", None, None, None),
    ],
)
def test_annotations_of_apparmor_become_fields(annotation, own, of_container, written):
    """Of containers of every sort that have no profile of their own, unless the pod's says the same."""
    context = {} if of_container is None else {"securityContext": {"appArmorProfile": of_container}}
    given = pod(
        annotations={PROFILE + name: annotation for name in "ci"},
        securityContext={} if own is None else {"appArmorProfile": own},
        containers=[{"name": "c", "image": "i", **context}],
        initContainers=[{"name": "i", "image": "i", **context}, {"name": "other", "image": "i"}],
    )
    spec = spec_of(created_pod(given))
    of_c, of_i, of_other = (
        each.get("securityContext", {}).get("appArmorProfile")
        for each in (*spec["containers"], *spec["initContainers"])
    )
    assert (of_c, of_i, of_other) == (written, written, None)


def test_windows_has_no_apparmor():
    """Its annotations mean nothing there."""
    given = pod(annotations={PROFILE + "c": "unconfined"}, os={"name": "windows"})
    assert created_pod(given) is given


def test_a_pod_that_is_held_back_says_so_from_the_first():
    """The scheduler never looks at it, so the API server tells why it waits; not again if the pod says something."""
    given = pod(schedulingGates=[{"name": "a/b"}])
    told = PodCondition(
        type="PodScheduled",
        status="False",
        reason="SchedulingGated",
        message="Scheduling is blocked due to non-empty scheduling gates",
        last_transition_time="2026-01-01T00:00:00Z",
    )
    made = created_pod(given)
    assert made.status.conditions == (told,)
    assert created_pod(made) is made
    assert created_pod(replace(given, status=PodStatus(conditions=(told,)))).status.conditions == (told,)


def test_a_report_may_not_take_away_what_was_told():
    """The class of service, and of which generation is told: of the pod, and of the conditions of a type in turn."""

    def ready(status, generation=None):
        return PodCondition(type="Ready", status=status, observed_generation=generation)

    before = PodStatus(qos_class="Burstable", observed_generation=3, conditions=(ready("True", 2), ready("True", 3)))
    sent = PodStatus(phase="Running", conditions=(ready("False"), ready("False", 4), ready("False")))
    assert reported_status(sent, before) == PodStatus(
        phase="Running",
        qos_class="Burstable",
        observed_generation=3,
        conditions=(ready("False", 2), ready("False", 4), ready("False")),
    )
