"""Jobs: as recorded from Kubernetes, and what holds for any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.events import event_of
from rules.garbage import Garbage
from rules.job_backoff import delay
from rules.job_indexes import INDEX, Indexes
from rules.job_pods import BURST
from rules.job_tracking import JobPods
from rules.job_view import FAILURES, FINALIZER, IGNORED_FAILURES
from rules.jobs import Jobs
from rules.pod_garbage import PodGarbage
from rules.pods import is_active
from state.defaults import default
from state.load import from_dict
from state.objects import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    Job,
    JobCondition,
    Node,
    ObjectMeta,
    Pod,
    PodCondition,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

KEY = Key("Job", "ns", "j")

#: How long the recorder waited for quiet, in seconds, where that was longer than a second.
QUIET = {"job-backofflimit1": 15, "job-deadline": 5, "job-ttl": 5}


def concerns():
    return [Garbage(), PodGarbage(), JobPods(), Jobs()]


class Replay(Player):
    """Waits as long as the recorder did, and finishes the pods of indexed Jobs in the recorded order."""

    def __init__(self, case, concerns):
        super().__init__(case, concerns)
        self.series = []

    def settle(self):
        self.ws.commit()  # the next revision: a Job that is created again gets another uid
        self.sleep(QUIET.get(self.case["name"], 1))

    def step(self, step, response):
        if step["op"] != "record":
            super().step(step, response)
            return
        for entry in self.case["expected"]["snapshots"][step["id"]]:
            for pod in self.ws.objects(Pod):
                if pod.metadata.annotations[INDEX] == str(entry["finished"]):
                    self.report(pod, "Succeeded", ready=False)
            self.settle()
            self._note(entry["finished"])

    def _note(self, finished):
        (job,) = self.ws.objects(Job)
        running = [pod.metadata.annotations[INDEX] for pod in self.ws.objects(Pod) if pod.status.phase == "Running"]
        self.series.append(
            {
                "finished": finished,
                "completedIndexes": job.status.completed_indexes,
                "running": sorted(map(int, running)),
                "succeeded": job.status.succeeded,
                "active": job.status.active,
            }
        )


def replay(name):
    return Replay(load_case(name), concerns()).play()


@pytest.mark.parametrize("name", case_names("job-"))
def test_does_as_recorded(name):
    """States after each step equal those of a real control plane, down to the order of conditions."""
    player = replay(name)
    assert player.mismatches() == []
    assert player.series == player.case["expected"]["snapshots"].get("series", [])
    assert_settled(player.cycle, concerns, player.now)


def job(**spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "img:1"}]}}
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns"},
        "spec": {"template": template, **spec},
    }
    return default(from_dict(document))


def loop(new):
    """A loop in which the Job was created just now."""
    cycle = Cycle(Snapshot.of([Node(metadata=ObjectMeta(name="n", uid="n"))]), concerns())
    cycle.ctx.start(NOW)
    cycle.ctx.because("test", {}, "")
    cycle.ctx.create(new)
    cycle.settle(NOW)
    return cycle


def live(cycle):
    return cycle.ws.find(Job, "ns", "j")


def active(cycle):
    return [pod for pod in cycle.ws.objects(Pod) if is_active(pod)]


def end(cycle, pod, phase="Failed", code=1, now=NOW, conditions=()):
    """The pod's only container ends."""
    terminated = ContainerStateTerminated(exit_code=code, finished_at=format_time(now))
    status = ContainerStatus(name="c", state=ContainerState(terminated=terminated))
    fresh = replace(pod.status, phase=phase, container_statuses=(status,), conditions=conditions)
    cycle.ws.put(replace(pod, spec=replace(pod.spec, node_name="n"), status=fresh))
    cycle.settle(now)


def conditions(cycle):
    return [(c.type, c.reason) for c in live(cycle).status.conditions]


# -- indexes -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 40)), st.integers(0, 41))
def test_indexes_as_text_read_back(indexes, completions):
    """What is written is read again, up to the number of completions."""
    text = str(Indexes.of(indexes))
    assert Indexes.parse(text, completions) == Indexes.of(i for i in indexes if i < completions)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.integers(0, 25), st.integers(0, 9))
def test_indexes_are_a_set(some, others, completions, count):
    """Unions, what is common, members, size, and the lowest that are free."""
    left, right = Indexes.of(some), Indexes.of(others)
    assert (left | right, left & right) == (Indexes.of(some | others), Indexes.of(some & others))
    assert [index for index in range(25) if index in left] == sorted(some)
    assert (len(left), bool(left)) == (len(some), bool(some))
    assert left.first_free(completions, count) == sorted(set(range(completions)) - some)[:count]


@pytest.mark.parametrize(
    ("indexes", "text"), [((), ""), ((3,), "3"), ((0, 1), "0,1"), ((0, 1, 2), "0-2"), ((0, 2, 3, 4, 7), "0,2-4,7")]
)
def test_indexes_in_a_row_are_a_range(indexes, text):
    """Three or more in a row are a range; two aren't."""
    assert str(Indexes.of(indexes)) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [("0-2147483646", "0-2147483646"), ("5-3,1-,-2,a,9", "1,9"), ("9" * 5000, ""), ("7-1,3,2,1", "1-3"), (None, "")],
)
def test_any_text_is_read_at_once(text, read):
    """Two billion indexes take no more room than two; what is no number is left out."""
    assert str(Indexes.parse(text, 2**31 - 1)) == read


# -- back-off ----------------------------------------------------------------------------------------------------------


def test_back_off_doubles_up_to_ten_minutes():
    """10 s after the first failure, twice as long each time."""
    assert [delay(failures) // SECOND for failures in (0, 1, 2, 3, 6, 7, 8, 1000)] == [
        0,
        10,
        20,
        40,
        320,
        600,
        600,
        600,
    ]


def test_waits_longer_after_each_failure():
    """The next pod is made when the back-off of all failures so far is over, and the note says why not before."""
    cycle = loop(job(backoffLimit=5))
    end(cycle, active(cycle)[0])
    note = "j waits before it makes 1 more pods: 1 have failed"
    assert said(cycle) == [("jobs", str(KEY), note)]
    assert cycle.wake_at == NOW + 10 * SECOND
    later = NOW + 10 * SECOND
    cycle.settle(later)
    end(cycle, active(cycle)[0], now=later)
    assert cycle.wake_at == later + 20 * SECOND


def test_remembers_failures_whose_pods_are_gone():
    """A pod that was deleted leaves its time with the field manager of the status, so that a cold loop waits, too."""
    cycle = loop(job())
    (pod,) = active(cycle)
    cycle.ctx.because("test", {}, "")
    cycle.ctx.delete(pod)
    cycle.settle(NOW)
    assert cycle.ws.objects(Pod) == []
    assert live(cycle).status.failed == 1
    assert cycle.wake_at == NOW + 10 * SECOND
    assert_settled(cycle, concerns, NOW)


# -- policies ----------------------------------------------------------------------------------------------------------


def failure_policy(action, **requirement):
    return {"rules": [{"action": action, **requirement}]}


ON_42 = {"onExitCodes": {"operator": "In", "values": [42]}}
ON_DISRUPTION = {"onPodConditions": [{"type": "DisruptionTarget"}]}


def test_a_policy_can_fail_the_job():
    """One exit code ends it all, in Kubernetes' words."""
    cycle = loop(job(podFailurePolicy=failure_policy("FailJob", **ON_42), parallelism=2, completions=2))
    first, second = active(cycle)
    end(cycle, first, code=42)
    assert [pod.metadata.name for pod in active(cycle)] == []
    name = first.metadata.name
    message = f"Container c for pod ns/{name} failed with exit code 42 matching FailJob rule at index 0"
    assert [c.message for c in live(cycle).status.conditions] == [message, message]
    assert conditions(cycle) == [("FailureTarget", "PodFailurePolicy"), ("Failed", "PodFailurePolicy")]
    assert cycle.ws.find(Pod, "ns", second.metadata.name) is None


def test_a_policy_can_ignore_a_failure():
    """A disrupted pod doesn't count against backoffLimit."""
    cycle = loop(job(podFailurePolicy=failure_policy("Ignore", **ON_DISRUPTION), backoffLimit=0))
    end(cycle, active(cycle)[0], conditions=(PodCondition(type="DisruptionTarget", status="True"),))
    assert live(cycle).status.failed is None
    assert conditions(cycle) == []
    cycle.settle(NOW + 10 * SECOND)
    assert len(active(cycle)) == 1


def test_each_index_has_its_own_limit():
    """An index that has failed too often is given up; the others go on, and the Job fails at the end."""
    cycle = loop(job(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1))
    first, second = active(cycle)
    end(cycle, first)
    assert FINALIZER in cycle.ws.find(Pod, "ns", first.metadata.name).metadata.finalizers
    later = NOW + 10 * SECOND
    cycle.settle(later)
    (again,) = [pod for pod in active(cycle) if pod.metadata.name != second.metadata.name]
    assert again.metadata.annotations[FAILURES] == "1"
    assert FINALIZER not in cycle.ws.find(Pod, "ns", first.metadata.name).metadata.finalizers
    end(cycle, again, now=later)
    assert live(cycle).status.failed_indexes == "0"
    end(cycle, second, "Succeeded", 0, now=later)
    assert conditions(cycle) == [("FailureTarget", "FailedIndexes"), ("Failed", "FailedIndexes")]
    assert live(cycle).status.completed_indexes == "1"


@pytest.mark.parametrize(
    ("policy", "ending", "failed", "indexes"),
    [
        ({"maxFailedIndexes": 0}, ("Failed", 1), 3, "0"),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, ("Succeeded", 0), None, ""),
    ],
)
def test_pods_that_the_job_itself_stops_do_not_fail_their_indexes(policy, ending, failed, indexes):
    """Though they count as failed pods of a Job that fails."""
    spec = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimitPerIndex": 0}
    cycle = loop(job(**spec, **policy))
    end(cycle, active(cycle)[0], *ending)
    assert active(cycle) == []
    assert (live(cycle).status.failed, live(cycle).status.failed_indexes) == (failed, indexes)


def test_ignored_failures_of_an_index_are_handed_on_apart():
    """The next pod of the index says how many were counted and how many ignored."""
    policy = failure_policy("Ignore", **ON_DISRUPTION)
    spec = {"completionMode": "Indexed", "completions": 1, "backoffLimitPerIndex": 1, "podFailurePolicy": policy}
    cycle = loop(job(**spec))
    end(cycle, active(cycle)[0], conditions=(PodCondition(type="DisruptionTarget", status="True"),))
    cycle.settle(NOW + 10 * SECOND)
    annotations = active(cycle)[0].metadata.annotations
    assert (annotations[FAILURES], annotations[IGNORED_FAILURES]) == ("0", "1")


def test_a_success_policy_ends_the_job_early():
    """The indexes that matter have succeeded: the rest stops, and doesn't count as failed."""
    policy = {"rules": [{"succeededIndexes": "1-2", "succeededCount": 1}]}
    cycle = loop(job(completions=3, parallelism=3, completionMode="Indexed", successPolicy=policy))
    end(cycle, active(cycle)[1], "Succeeded", 0)
    assert conditions(cycle) == [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]
    assert live(cycle).status.failed is None
    assert active(cycle) == []


def test_ending_pods_are_waited_for_before_they_are_replaced():
    """podReplacementPolicy Failed: a pod that is being deleted isn't replaced until it has failed."""
    cycle = loop(job(podReplacementPolicy="Failed"))
    (pod,) = active(cycle)
    pod = cycle.ws.put(replace(pod, spec=replace(pod.spec, node_name="n")))
    cycle.ctx.because("test", {}, "")
    cycle.ctx.delete(pod)
    cycle.settle(NOW + 60 * SECOND)
    assert active(cycle) == []
    assert said(cycle) == [("jobs", str(KEY), "j waits for 1 pods to end")]
    end(cycle, cycle.ws.objects(Pod)[0], now=NOW + 60 * SECOND)
    cycle.settle(NOW + 70 * SECOND)
    assert len(active(cycle)) == 1


def test_restarts_in_place_count_against_the_limit():
    """restartPolicy OnFailure: the restarts of containers are the failures."""
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "img:1"}]}}
    cycle = loop(job(template=template, backoffLimit=3))
    (pod,) = active(cycle)
    status = ContainerStatus(name="c", restart_count=3)
    cycle.ws.put(replace(pod, status=replace(pod.status, phase="Running", container_statuses=(status,))))
    cycle.settle(NOW)
    assert conditions(cycle) == [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]


def test_tells_what_happens_in_kubernetes_words():
    """Events: what is created, and how it ends."""
    cycle = loop(job())
    (pod,) = active(cycle)
    end(cycle, pod, "Succeeded", 0)
    told = [event.message for action in cycle.ctx.actions if (event := event_of(action))]
    assert told == [f"Created pod: {pod.metadata.name}"]
    assert [(event.reason, event.message) for event in cycle.ctx.events] == [("Completed", "Job completed")]


def test_a_job_of_somebody_else_is_left_alone():
    """managedBy names another controller: no pods, no status, but a note."""
    cycle = loop(job(managedBy="example.com/queue"))
    assert active(cycle) == []
    assert said(cycle) == [("jobs", str(KEY), "j is left to example.com/queue, which its managedBy names")]


def test_a_finished_job_of_somebody_else_expires_all_the_same():
    """Time to live is another controller's matter, whoever ran the Job."""
    ended = JobCondition(type="Complete", status="True", last_transition_time=format_time(NOW))
    cycle = loop(job(managedBy="example.com/queue", ttlSecondsAfterFinished=5))
    live = cycle.ws.get(KEY)
    cycle.ws.put(replace(live, status=replace(live.status, conditions=(ended,))))
    cycle.settle(NOW)
    assert said(cycle) == [("jobs", str(KEY), "j has ended and is kept until its ttlSecondsAfterFinished have passed")]
    cycle.settle(NOW + 5 * SECOND)
    assert cycle.ws.get(KEY) is None


# -- any sequence of events --------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.tuples(st.sampled_from(["succeed", "fail", "run", "delete", "gone", "disown"]), st.integers(0, 9)),
    st.tuples(st.just("parallelism"), st.integers(0, 3)),
    st.tuples(st.just("suspend"), st.integers(0, 1)),
    st.tuples(st.just("time"), st.integers(1, 40)),
)
SPECS = st.sampled_from(
    [
        {"parallelism": 2, "completions": 3},
        {"parallelism": 2},
        {"parallelism": 2, "completions": 3, "completionMode": "Indexed"},
        {"parallelism": 2, "completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1},
        {"parallelism": 2, "completions": 3, "podReplacementPolicy": "Failed", "backoffLimit": 2},
        {"parallelism": 3, "completions": 3, "activeDeadlineSeconds": 50, "ttlSecondsAfterFinished": 30},
    ]
)


def happen(cycle, event, number, now):
    """Lets one thing happen to the Job or to one of its pods."""
    found = live(cycle)
    if found is not None and event == "parallelism":
        cycle.ctx.update(replace(found, spec=replace(found.spec, parallelism=number)))
    elif found is not None and event == "suspend":
        cycle.ctx.update(replace(found, spec=replace(found.spec, suspend=bool(number))))
    pods = cycle.ws.objects(Pod)
    if not pods or event in ("parallelism", "suspend", "time"):
        return
    pod = pods[number % len(pods)]
    if event in ("succeed", "fail") and is_active(pod):
        end(cycle, pod, "Succeeded" if event == "succeed" else "Failed", int(event == "fail"), now)
    elif event == "run" and is_active(pod):
        cycle.ws.put(replace(pod, spec=replace(pod.spec, node_name="n"), status=replace(pod.status, phase="Running")))
    elif event == "delete":
        cycle.ctx.delete(pod)
    elif event == "gone" and not pod.metadata.finalizers:
        cycle.ws.remove(Key.of(pod))
    elif event == "disown":
        cycle.ws.put(replace(pod, metadata=replace(pod.metadata, owner_references=())))


@settings(max_examples=150)
@given(st.lists(EVENTS, max_size=14), SPECS)
def test_settles_whatever_happens(events, spec):
    """No more pods than wanted, no index twice, no pod counted twice; a cold loop agrees."""
    cycle = Cycle(Snapshot.of([Node(metadata=ObjectMeta(name="n", uid="n"))]), concerns())
    cycle.ctx.start(NOW)
    cycle.ctx.because("test", {}, "")
    cycle.ctx.create(job(**spec))
    now = NOW
    for event, number in [("time", 1), *events]:
        now += number * SECOND if event == "time" else 0
        cycle.ctx.start(now)
        cycle.ctx.because("test", {}, "")
        happen(cycle, event, number, now)
        cycle.settle(now)
        running = active(cycle)
        found = live(cycle)
        assert len(running) <= 3
        if spec.get("completionMode") == "Indexed":
            indexes = [pod.metadata.annotations[INDEX] for pod in running]
            assert len(indexes) == len(set(indexes))
        if found is not None:
            assert (found.status.succeeded or 0) <= (found.spec.completions or 20)
            assert (found.status.active or 0) in (0, len(running))
    assert_settled(cycle, concerns, now)


@pytest.mark.parametrize("mode", ["Indexed", "NonIndexed"])
def test_creates_more_than_a_burst_in_several_passes(mode):
    """No look at a Job creates more than ``BURST`` pods, and yet all come."""
    cycle = loop(job(completions=BURST + 1, parallelism=BURST + 1, completionMode=mode))
    assert len(active(cycle)) == BURST + 1


def test_that_more_have_succeeded_than_were_wanted_is_told():
    """Fewer completions may be wanted by now, or two pods have ended at once."""
    cycle = loop(job(completions=3, parallelism=3))
    for pod in active(cycle):
        cycle.ws.put(replace(pod, spec=replace(pod.spec, node_name="n"), status=replace(pod.status, phase="Succeeded")))
    known = live(cycle)
    cycle.ws.put(replace(known, spec=replace(known.spec, completions=2)))
    cycle.ctx.start(NOW)
    cycle.settle(NOW)
    assert [(e.type, e.reason) for e in cycle.ctx.events] == [
        ("Warning", "TooManySucceededPods"),
        ("Normal", "Completed"),
    ]
