"""Old API versions mean today what they meant then, or are refused by name."""

import pytest

from state.dump import dump
from state.load import from_dict, load
from state.served import SERVED, removed, why_unserved
from state.versions import _CONVERSIONS

HPA = "autoscaling/v2beta1"
SERVES = "Kubernetes 1.34 serves it in"
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web"}]}}


def read(api_version, kind, **fields):
    """The object of an old manifest, and the warnings that came with it."""
    loaded = load({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields})
    assert not loaded.refused
    return dump(loaded.objects[0]), [warning.partition("/x: ")[2] for warning in loaded.warnings]


@pytest.mark.parametrize(
    ("api_version", "defaults"),
    [
        (
            "extensions/v1beta1",
            {
                "progressDeadlineSeconds": 2147483647,
                "revisionHistoryLimit": 2147483647,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            },
        ),
        ("apps/v1beta1", {"revisionHistoryLimit": 2}),
    ],
)
def test_first_deployments_have_their_old_defaults(api_version, defaults):
    """The selector and the labels come from the template; rollbackTo is gone."""
    document, warnings = read(
        api_version, "Deployment", spec={"replicas": 2, "template": TEMPLATE, "rollbackTo": {"revision": 1}}
    )
    assert document == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": TEMPLATE,
            **defaults,
        },
    }
    assert warnings == [
        f"apiVersion: Deployment {api_version} was removed in Kubernetes 1.16; read as apps/v1",
        "spec.selector: is taken from the labels of the template",
        "spec.rollbackTo: has no meaning any more and is left out",
    ]


def test_what_an_old_deployment_says_stands():
    """Defaults fill gaps only."""
    spec = {
        "template": TEMPLATE,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": "50%"}},
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 60,
    }
    document, warnings = read("extensions/v1beta1", "Deployment", spec=spec)
    assert document["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 1},
    }
    assert document["spec"]["revisionHistoryLimit"] == 3
    assert len(warnings) == 1
    document, _ = read("extensions/v1beta1", "Deployment", spec={**spec, "strategy": {"type": "Recreate"}})
    assert document["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("api_version", "kind"), [("extensions/v1beta1", "DaemonSet"), ("apps/v1beta1", "StatefulSet")]
)
def test_first_sets_update_on_delete(api_version, kind):
    """The default was changed to RollingUpdate later."""
    document, _ = read(api_version, kind, spec={"template": TEMPLATE})
    assert document["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert document["spec"]["selector"] == {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"])
def test_apps_v1beta2_is_apps_v1(kind):
    """No default differs; the selector was required already."""
    document, warnings = read("apps/v1beta2", kind, spec={"template": TEMPLATE})
    assert document["apiVersion"] == "apps/v1"
    assert document["spec"] == {"template": TEMPLATE}
    assert len(warnings) == 1


def test_an_empty_budget_selector_still_selects_nothing():
    """It would select everything in policy/v1."""
    document, warnings = read("policy/v1beta1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": {}})
    assert document["spec"] == {"minAvailable": 1}
    assert warnings[1].startswith("spec.selector: is left out: empty, it selected no pod")
    selector = {"matchLabels": {"a": "b"}}
    document, warnings = read("policy/v1beta1", "PodDisruptionBudget", spec={"selector": selector})
    assert document["spec"] == {"selector": selector}
    assert len(warnings) == 1


def test_endpoints_topology_becomes_fields():
    """As discovery.k8s.io's own conversion does it."""
    document, _ = read(
        "discovery.k8s.io/v1beta1",
        "EndpointSlice",
        addressType="IPv4",
        endpoints=[
            {
                "addresses": ["10.0.0.1"],
                "topology": {"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z"},
            },
            {"addresses": ["10.0.0.2"], "nodeName": "n2", "topology": {"kubernetes.io/hostname": "n1", "rack": "r"}},
            {"addresses": ["10.0.0.3"]},
        ],
    )
    assert document["endpoints"] == [
        {"addresses": ["10.0.0.1"], "nodeName": "n1", "zone": "z"},
        {
            "addresses": ["10.0.0.2"],
            "nodeName": "n2",
            "deprecatedTopology": {"kubernetes.io/hostname": "n1", "rack": "r"},
        },
        {"addresses": ["10.0.0.3"]},
    ]


@pytest.mark.parametrize("api_version", ["events.k8s.io/v1", "events.k8s.io/v1beta1"])
def test_events_are_kept_as_core_events(api_version):
    """The API server stores them so, too; events.k8s.io/v1 is no old version and needs no warning."""
    document, warnings = read(
        api_version,
        "Event",
        note="n",
        regarding={"kind": "Pod"},
        reportingController="c",
        deprecatedSource={"component": "s"},
        deprecatedCount=2,
    )
    assert document == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "x"},
        "message": "n",
        "involvedObject": {"kind": "Pod"},
        "reportingComponent": "c",
        "source": {"component": "s"},
        "count": 2,
    }
    assert len(warnings) == (api_version == "events.k8s.io/v1beta1")


@pytest.mark.parametrize(("api_version", "kind"), sorted(_CONVERSIONS))
def test_every_conversion_leads_to_what_is_served(api_version, kind):
    """And bears the emptiest manifests, and those with everything of the wrong type."""
    new = _CONVERSIONS[api_version, kind][0]
    assert kind in SERVED[new]
    assert read(api_version, kind)[0]["apiVersion"] == new
    for wrong in (5, [5], {"template": 5, "strategy": 5, "selector": 5, "updateStrategy": 5}):
        loaded = load({"apiVersion": api_version, "kind": kind, "metadata": 5, "spec": wrong, "endpoints": wrong})
        assert loaded.refused


@pytest.mark.parametrize(
    ("api_version", "kind", "message"),
    [
        ("policy/v1beta1", "PodSecurityPolicy", "PodSecurityPolicy policy/v1beta1 was removed in Kubernetes 1.25"),
        (
            "networking.k8s.io/v1beta1",
            "Ingress",
            f"Ingress networking.k8s.io/v1beta1 was removed in Kubernetes 1.22; {SERVES} networking.k8s.io/v1",
        ),
        (
            HPA,
            "HorizontalPodAutoscaler",
            f"HorizontalPodAutoscaler {HPA} was removed in Kubernetes 1.25; {SERVES} autoscaling/v1, autoscaling/v2",
        ),
        (
            "apps/v2",
            "Deployment",
            'no matches for kind "Deployment" in version "apps/v2"; Kubernetes 1.34 serves it in apps/v1',
        ),
        ("v1", "Deploymnet", 'no matches for kind "Deploymnet" in version "v1"'),
    ],
)
def test_what_is_not_served_is_refused_by_name(api_version, kind, message):
    """With the version that is served now, if there is one."""
    (refusal,) = load({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}).refused
    (problem,) = refusal.problems
    assert (problem.path, problem.message, problem.value) == ("apiVersion", message, api_version)


def test_custom_groups_are_nobodys_business():
    """Groups that look built in but aren't, and kinds of the same name in other groups."""
    for api_version, kind in (
        ("gateway.networking.k8s.io/v1beta1", "Gateway"),
        ("batch.volcano.sh/v1alpha1", "Job"),
        ("policy.example.com/v1beta1", "PodSecurityPolicy"),
    ):
        assert why_unserved(api_version, kind) is None
        assert removed(api_version, kind) is None
        assert dump(from_dict({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}))["kind"] == kind
