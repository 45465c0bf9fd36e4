"""What the API server writes into new and changed objects by itself."""

import pytest

from rules.strategies import JOB_NAME, JOB_UID, TEMPLATE_GENERATION, on_create, on_update
from state.defaults import default
from state.load import from_dict
from state.objects import replace


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
