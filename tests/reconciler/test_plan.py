"""A plan is plain data, the same bytes every time; and explains each of its objects."""

from __future__ import annotations

import orjson
import pytest
from manifests_for_tests import NOW, config_map, custom, deployment, pod, replica_set

from reconciler import StateError, reconcile
from state.snapshot import Key

BIG = [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "100"}}}]


def plan_of(*desired, nodes=2, **options):
    return reconcile(list(desired), nodes=nodes, now=NOW, **options)


# -- data --------------------------------------------------------------------------------------------------------------


def test_a_plan_is_plain_data_and_the_same_bytes_every_time():
    desired = [deployment(), pod("big", containers=BIG), custom(size=[1, {"b": 2, "a": 1}])]
    plan = plan_of(*desired)
    data = plan.to_dict(objects=True)
    assert set(data) == {"actions", "notes", "events", "objects"}
    assert orjson.loads(plan.to_json(objects=True)) == data
    assert plan_of(*desired[::-1]).to_json(objects=True) == plan.to_json(objects=True)
    assert plan.to_json() == plan.to_json()
    assert b'"objects":' not in plan.to_json()


def test_what_was_refused_and_warned_of_is_told_where_there_is_any():
    plan = plan_of({"kind": "Pod"}, config_map(), config_map(), on_invalid="skip")
    data = plan.to_dict()
    assert [refusal["origin"] for refusal in data["refused"]] == ["[0]"]
    assert len(data["warnings"]) == 1


def test_a_plan_shows_in_brief_what_it_does():
    assert repr(plan_of(pod())) == "<Plan: bind Pod x1, create Pod x1; 0 notes>"
    assert repr(reconcile([])) == "<Plan: nothing to do; 0 notes>"


def test_a_rollout_is_told_in_the_events_of_kubernetes():
    plan = plan_of(deployment(replicas=1))
    events = [(event.target.kind, event.reason) for event in plan.events]
    assert events == [
        ("Deployment", "ScalingReplicaSet"),
        ("ReplicaSet", "SuccessfulCreate"),
        ("Pod", "Scheduled"),
    ]
    (rs,) = plan.snapshot.objects("ReplicaSet")
    (created,) = plan.snapshot.objects("Pod")
    assert [event.message for event in plan.events] == [
        f"Scaled up replica set {rs.metadata.name} from 0 to 1",
        f"Created pod: {created.metadata.name}",
        f"Successfully assigned default/{created.metadata.name} to {created.spec.node_name}",
    ]


def test_a_pod_that_fits_nowhere_says_so_in_the_words_of_the_scheduler():
    plan = plan_of(pod(containers=BIG))
    (event,) = plan.events
    assert (event.type, event.reason, event.source) == ("Warning", "FailedScheduling", "default-scheduler")
    assert event.message.startswith("0/2 nodes are available: 2 Insufficient cpu.")
    (note,) = plan.notes
    assert note.why == f"Pending: {event.message}"


def test_kinds_that_nothing_acts_on_are_carried_with_a_note():
    plan = plan_of(custom(), custom("other"))
    assert [(str(note.target), note.rule) for note in plan.notes] == [
        ("widget.example.com/other", "carried"),
        ("widget.example.com/thing", "carried"),
    ]
    assert "Widget.example.com is not a kind that this program acts on" in plan.notes[0].why


# -- explanations ------------------------------------------------------------------------------------------------------


def test_a_placed_pod_says_why_here_and_why_not_there():
    plan = plan_of(replica_set(replicas=1))
    (key,) = [Key.of(obj) for obj in plan.snapshot.objects("Pod")]
    explanation = plan.explain(str(key))
    text = str(explanation).splitlines()
    assert text[0] == str(key)
    assert text[1].startswith("  create: ")
    assert text[1].endswith("[replication-scale-up]")
    assert any(line.startswith("  bind: 2 of 2 nodes fit; node-0 scores highest with ") for line in text)
    assert any(line.startswith("  because of replicaset/default/web: ") for line in text)
    data = explanation.to_dict()
    assert [action["action"] for action in data["actions"]] == ["create", "bind"]
    assert [origin["target"] for origin in data["origin"]] == ["replicaset/default/web"]
    assert [event["reason"] for event in data["events"]] == ["Scheduled"]
    assert "node-1" in orjson.dumps(data["scheduling"]).decode()


def test_a_pending_pod_says_what_speaks_against_each_node():
    explanation = plan_of(pod(containers=BIG)).explain("pod/p")
    assert "  waiting: Pending: 0/2 nodes are available: 2 Insufficient cpu." in str(explanation)
    assert "node-0" in str(explanation)
    assert explanation.to_dict()["notes"][0]["rule"] == "pod-pending"


def test_a_deployment_says_what_its_pods_wait_for():
    plan = plan_of(deployment(replicas=3, template={**deployment()["spec"]["template"], "spec": {"containers": BIG}}))
    explanation = plan.explain("deploy/web")
    ((rule, why), count) = next(item for item in explanation.dependents.items() if item[0][0] == "pod-pending")
    assert count == 3
    assert f"  3 of its dependents: {why}  [{rule}]" in str(explanation)
    assert explanation.to_dict()["dependents"][0]["count"] >= 1
    assert explanation.diagnosis is None


def test_many_reasons_are_told_in_part():
    pods = [
        {**pod(f"p{n}", nodeSelector={f"label-{n}": "x"}), "metadata": {"name": f"p{n}", "ownerReferences": [OWNER]}}
        for n in range(15)
    ]
    owner = {**config_map("owner"), "metadata": {"name": "owner", "uid": "u"}}
    gates = [
        {**one, "spec": {**one["spec"], "schedulingGates": [{"name": f"example.com/g{n}"}]}}
        for n, one in enumerate(pods)
    ]
    plan = reconcile([], [owner, *gates], nodes=1, now=NOW)
    text = str(plan.explain("cm/owner"))
    assert text.count("of its dependents") == 10
    assert text.endswith("  and 5 more reasons")


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u"}


def test_an_object_as_it_should_be_says_so():
    plan = reconcile([], [config_map()], now=NOW)
    assert str(plan.explain("cm/settings")) == (
        "configmap/default/settings\n  as it should be: no rule has anything to do"
    )


def test_what_was_deleted_is_still_explained():
    plan = reconcile([], [{**pod(), "metadata": {"name": "p", "ownerReferences": [OWNER]}}], now=NOW)
    assert plan.snapshot.get(Key("Pod", "default", "p")) is None
    assert "delete: " in str(plan.explain("pod/p"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("deploy/wbe", "there is no deployment/default/wbe; there are deployment/default/web"),
        ("deploy/shop/web", "there is no deployment/shop/web; there are deployment/default/web"),
        ("pod/zzz", "there is no pod/default/zzz; there are pod/default/p0, pod/default/p1, pod/default/p2, "),
        ("job/a", "there is no job/default/a; there is no Job at all"),
        ("widget/q", "there is no widget/default/q; there is no widget at all"),
        ("web", "'web' names no object: expected KIND/NAME or KIND/NAMESPACE/NAME"),
    ],
)
def test_an_unknown_object_is_refused_with_those_it_may_have_been_meant_to_be(target, message):
    plan = plan_of(deployment("web", 0), *(pod(f"p{n}") for n in range(7)))
    with pytest.raises(StateError) as caught:
        plan.explain(target)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("target", ["widget/thing", "widgets.example.com/thing", "Widget/thing"])
def test_a_kind_without_a_type_is_explained_by_its_name(target):
    assert "waiting: Widget.example.com is not a kind" in str(plan_of(custom()).explain(target))


def test_owners_in_a_circle_are_followed_once():
    def ring(name, owner):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, "controller": True}
        return {**config_map(name), "metadata": {"name": name, "uid": name, "ownerReferences": [reference]}}

    plan = reconcile([], [ring("a", "b"), ring("b", "a")], now=NOW)
    assert plan.explain("cm/a").origin == ()
