"""What the API server writes into new and changed objects by itself."""

import pytest

from rules.strategies import (
    JOB_NAME,
    JOB_UID,
    TEMPLATE_GENERATION,
    Traits,
    on_create,
    on_update,
    prepare_create,
    prepare_status,
    prepare_update,
    traits_of,
)
from state.defaults import default
from state.load import from_dict
from state.objects import (
    CustomObject,
    Deployment,
    Node,
    NodeStatus,
    ObjectMeta,
    Opaque,
    PersistentVolume,
    Pod,
    PodSpec,
    PodStatus,
    replace,
)


def made(kind, api_version="apps/v1", labels=None, **spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    metadata = {"name": "w", "namespace": "ns", "uid": "u", **({"labels": labels} if labels else {})}
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"template": template, **spec}}
    return default(from_dict(document))


@pytest.mark.parametrize(("labels", "shared"), [(None, True), ({"x": "y"}, False)])
def test_a_job_knows_its_pods_by_its_uid(labels, shared):
    """Labels of the template and the selector are the Job's own; its metadata shares them unless it has others."""
    job = on_create(made("Job", "batch/v1", labels))
    assert job.spec.selector.match_labels == {JOB_UID: "u"}
    assert job.spec.template.metadata.labels[JOB_NAME] == "w"
    assert (JOB_UID in job.metadata.labels) is shared
    assert on_create(job) == job


def test_a_job_may_bring_its_own_selector():
    """manualSelector leaves all as it was sent."""
    job = made("Job", "batch/v1", manualSelector=True, selector={"matchLabels": {"a": "b"}})
    assert on_create(job) == job


def test_a_daemon_set_counts_its_templates():
    """Changes of the template count, others don't, and nobody can take the count away."""
    ds = on_create(made("DaemonSet", selector={"matchLabels": {"a": "b"}}))
    assert ds.metadata.annotations[TEMPLATE_GENERATION] == "1"
    plain = replace(ds, metadata=replace(ds.metadata, annotations={}))
    assert on_update(ds, plain) == ds
    changed = replace(ds, spec=replace(ds.spec, template=replace(ds.spec.template, metadata=ds.metadata)))
    assert on_update(ds, changed).metadata.annotations[TEMPLATE_GENERATION] == "2"


def test_a_stateful_set_loses_what_is_off():
    """maxUnavailable is dropped, the rest of the strategy stays."""
    rolling = {"maxUnavailable": 2, "partition": 1}
    sts = made("StatefulSet", selector={"matchLabels": {"a": "b"}}, updateStrategy={"rollingUpdate": rolling})
    stored = on_create(sts).spec.update_strategy.rolling_update
    assert (stored.max_unavailable, stored.partition) == (None, 1)


@pytest.mark.parametrize(("sent", "stored"), [("5", "5"), ("0", "1"), ("-3", "1")])
def test_a_new_daemon_set_may_bring_its_template_generation(sent, stored):
    """As one does that was exported from another cluster; it counts on from there."""
    fresh = made("DaemonSet")
    fresh = replace(fresh, metadata=replace(fresh.metadata, annotations={TEMPLATE_GENERATION: sent}))
    assert on_create(fresh).metadata.annotations == {TEMPLATE_GENERATION: stored}


# -- what is whose -----------------------------------------------------------------------------------------------------

NOW = 1_767_225_600_000_000


def stored(obj, **meta):
    """An object as it is live: of its third generation."""
    return replace(obj, metadata=replace(obj.metadata, resource_version="7", generation=3, **meta))


def with_status(deployment, replicas):
    return replace(deployment, status=replace(deployment.status, replicas=replicas))


def test_a_status_begins_anew_but_a_nodes():
    """Nodes are created with what their kubelet reports."""
    deployment = with_status(made("Deployment"), 9)
    assert prepare_create(traits_of(Deployment), deployment, NOW).status.replicas is None
    node = Node(metadata=ObjectMeta(name="n"), status=NodeStatus(capacity={"cpu": "4"}))
    assert prepare_create(traits_of(Node), node, NOW) == node
    volume = prepare_create(traits_of(PersistentVolume), PersistentVolume(metadata=ObjectMeta(name="v")), NOW)
    assert (volume.status.phase, volume.status.last_phase_transition_time) == ("Pending", "2026-01-01T00:00:00Z")


def test_an_update_leaves_the_status_and_a_status_the_rest():
    live = with_status(stored(made("Deployment")), 2)
    sent = with_status(replace(live, spec=replace(live.spec, replicas=5)), 9)
    updated = prepare_update(traits_of(Deployment), sent, live)
    assert (updated.spec.replicas, updated.status.replicas, updated.metadata.generation) == (5, 2, 4)
    reported = prepare_status(traits_of(Deployment), sent, live)
    assert (reported.spec.replicas, reported.status.replicas, reported.metadata.generation) == (1, 9, 3)


def test_an_update_may_leave_out_what_the_server_knows():
    live = stored(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(node_name="n", priority=3)))
    live = replace(default(live), status=PodStatus(phase="Running"))
    sent = Pod(metadata=ObjectMeta(name="p", generation=77, labels={"new": "label"}), spec=PodSpec(node_name="n"))
    updated = prepare_update(traits_of(Pod), sent, live)
    assert updated == replace(live, metadata=replace(live.metadata, labels={"new": "label"}))


def test_of_custom_resources_all_but_the_status_counts():
    live = stored(CustomObject("example.com/v1", "Widget", ObjectMeta(name="w"), Opaque({"spec": 1, "status": 1})))
    sent = replace(live, body=Opaque({"spec": 2, "status": 2}))
    traits = Traits(has_status=True, is_counted=True, is_custom=True)
    updated = prepare_update(traits, sent, live)
    assert (updated.body.value, updated.metadata.generation) == ({"spec": 2, "status": 1}, 4)
    reported = prepare_status(traits, sent, live)
    assert (reported.body.value, reported.metadata.generation) == ({"spec": 1, "status": 2}, 3)
    whole = prepare_update(Traits(), sent, live)
    assert (whole.body.value, whole.metadata.generation) == ({"spec": 2, "status": 2}, 3)
