"""How often, and when, a control plane tries again to make what isn't let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND

from reconciler import Cluster, reconcile
from reconciler.cycle import Cycle
from rules import make_concerns
from rules.refusals import DEFAULT_BACKOFF, Backoff, Limiter
from state.load import from_dict
from state.snapshot import Change, Key

MILLI = SECOND // 1000


def quota(hard):
    meta = {"name": "q", "namespace": "default"}
    manifest = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}
    return manifest | {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}


def workload(kind):
    group = "v1" if kind == "ReplicationController" else "batch/v1" if kind == "Job" else "apps/v1"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"template": template, "selector": {"a": "b"} if group == "v1" else {"matchLabels": {"a": "b"}}}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        del spec["selector"]
    meta = {"name": "w", "namespace": "default", "uid": "w"}
    spec |= {"serviceName": "w"} if kind == "StatefulSet" else {}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def tries(kind, until, *, retries=True, hard="pods"):
    """The times (µs from the start) at which a workload tells of what it can't make."""
    objects = reconcile(workload(kind), now=NOW, concerns=()).snapshot.apply(
        [Change(Key("ResourceQuota", "default", "q"), None, from_dict(quota({hard: "0"})))], 1
    )
    cycle = Cycle(objects, make_concerns())
    cycle.ctx.retries = retries
    now, told = NOW, []
    while now is not None and now <= NOW + until:
        cycle.ctx.start(now)
        cycle.settle(now)
        told += [now - NOW for event in cycle.ctx.events if event.reason in ("FailedCreate", "ReplicaSetCreateError")]
        assert cycle.wake_at != now
        now = cycle.wake_at
    return told


@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController", "StatefulSet"])
def test_the_delays_double(kind):
    """From 5 ms to 1,000 s, as those of client-go's default rate limiter."""
    expected = [0, *(sum(5 << n for n in range(more + 1)) * MILLI for more in range(10))]
    assert tries(kind, 6 * SECOND) == expected


def test_a_job_takes_its_time():
    """It has a limiter of its own: from 1 s to a minute."""
    assert tries("Job", 200 * SECOND) == [at * SECOND for at in (0, 1, 3, 7, 15, 31, 63, 123, 183)]


def test_a_deployment_gives_up():
    """After 15 times, until something changes."""
    assert len(tries("Deployment", 10_000 * SECOND, hard="count/replicasets.apps")) == 16


def test_a_plan_tries_once():
    """Nothing in it would be another one the next time."""
    assert tries("ReplicaSet", 10_000 * SECOND, retries=False) == [0]


@given(st.integers(1, 300), st.integers(1, 60))
def test_the_retries_of_all_objects_keep_their_distance(count, tried):
    """A hundred may come at once, then one every 100 ms; none comes before its delay is over."""
    limiter = Limiter(DEFAULT_BACKOFF)
    due = [limiter.at(tried, NOW) for _ in range(count)]
    earliest = NOW + DEFAULT_BACKOFF.delay(tried)
    assert due == [max(earliest, NOW + max(0, number - 99) * 100 * MILLI) for number in range(count)]


def test_the_longest_delay_is_never_exceeded():
    assert [Backoff(first=1, longest=5, most=5).delay(tried) for tried in range(1, 7)] == [1, 2, 4, 5, 5, None]


def test_what_an_api_shows_is_how_often_it_was_tried_and_when_last():
    """One event per name, and one for all further ones: names of pods are generated, and each try has another one."""
    with Cluster(now="2026-01-01T00:00:00Z") as cluster:
        cluster.create(quota({"pods": "0"}))
        cluster.settle()
        cluster.create(workload("ReplicaSet"))
        cluster.create(workload("StatefulSet"))
        cluster.advance("3m")
        events = [each for each in cluster.list("events")["items"] if each["reason"] == "FailedCreate"]
        of_set = [each for each in events if each["involvedObject"]["kind"] == "ReplicaSet"]
        (of_stateful_set,) = (each for each in events if each["involvedObject"]["kind"] == "StatefulSet")
        assert of_stateful_set["count"] == 16
        assert of_stateful_set["firstTimestamp"] == "2026-01-01T00:00:00Z"
        assert of_stateful_set["lastTimestamp"] == "2026-01-01T00:02:43Z"
        assert sorted(each["count"] for each in of_set) == [*[1] * 9, 7]
        (combined,) = (each for each in of_set if each["count"] == 7)
        assert combined["message"].startswith("(combined from similar events): Error creating: pods")


def test_what_is_let_in_at_last_is_forgotten():
    """The next refusal begins with the shortest delay."""
    with Cluster(nodes=1, now="2026-01-01T00:00:00Z") as cluster:
        cluster.create(quota({"pods": "0"}))
        cluster.settle()
        cluster.create(workload("StatefulSet"))
        cluster.advance("1m")
        cluster.patch("resourcequota", "q", {"spec": {"hard": {"pods": "1"}}})
        cluster.advance("1m")
        assert [each["metadata"]["name"] for each in cluster.list("pods")["items"]] == ["w-0"]
        before = [each["count"] for each in cluster.list("events")["items"] if each["reason"] == "FailedCreate"]
        cluster.patch("statefulset", "w", {"spec": {"replicas": 2}})
        cluster.advance("50ms")
        counts = [each["count"] for each in cluster.list("events")["items"] if each["reason"] == "FailedCreate"]
        assert sorted(counts) == sorted([*before, 4])


SERVICE = "default/s"
QUOTA = "exceeded quota: q, requested: {0}=1, used: {0}=0, limited: {0}=0"


@pytest.mark.parametrize(
    ("resource", "told", "message"),
    [
        (
            "count/endpoints",
            ("Endpoints", "endpoint-controller", "FailedToCreateEndpoint"),
            f'Failed to create endpoint for service {SERVICE}: endpoints "s" is forbidden: ',
        ),
        (
            "count/endpointslices.discovery.k8s.io",
            ("Service", "endpoint-slice-controller", "FailedToUpdateEndpointSlices"),
            f"Error updating Endpoint Slices for Service {SERVICE}: failed to create EndpointSlice for Service ",
        ),
    ],
)
def test_a_service_that_can_not_be_published_says_so(resource, told, message):
    """In the words of the controller that can't."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    service["spec"] = {"ports": [{"port": 80}], "selector": {"a": "b"}}
    plan = reconcile([quota({resource: "0"}), service])
    (event,) = plan.events
    assert (event.target.kind, event.source, event.reason) == told
    assert event.message.startswith(message)
    assert event.message.endswith(QUOTA.format(resource))
