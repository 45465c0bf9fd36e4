"""How events are recorded: as client-go's two recorders do it."""

import pytest

from reconciler.live.events import Recorder, in_order, times
from rules.actions import Event
from state.objects import Event as Recorded
from state.objects import Namespace, ObjectMeta, Pod
from state.snapshot import Key, Snapshot
from state.times import SECOND
from state.workspace import Workspace

NOW = 1_767_225_600 * SECOND
COMBINED = "(combined from similar events): "


@pytest.fixture
def ws():
    return Workspace(Snapshot.of([Namespace(metadata=ObjectMeta(name="ns", uid="ns"))]))


def event(message, name="web", reason="Scaled"):
    key = Key("Deployment", "ns", name)
    return Event(target=key, type="Normal", reason=reason, message=message, source="deployment-controller")


def about_pod(reason, message, **fields):
    return Event(target=Key("Pod", "ns", "p"), type="Warning", reason=reason, message=message, **fields)


def recorded(ws, recorder, messages, now=NOW):
    return [item.message for item in recorder.record(ws, map(event, messages), now)]


def test_the_tenth_message_of_a_kind_stands_for_all_further_ones(ws):
    """Nine are recorded as they are, and again when they come again; what is new after them is combined."""
    recorder = Recorder()
    assert recorded(ws, recorder, "123456789") == list("123456789")
    assert recorded(ws, recorder, "ab1") == [f"{COMBINED}a", f"{COMBINED}b", "1"]


def test_after_ten_quiet_minutes_messages_count_anew(ws):
    """The time runs from the last one of the kind."""
    recorder = Recorder()
    recorded(ws, recorder, "123456789")
    assert recorded(ws, recorder, "a", NOW + 600 * SECOND) == [f"{COMBINED}a"]
    assert recorded(ws, recorder, "b", NOW + 1_200 * SECOND) == [f"{COMBINED}b"]
    assert recorded(ws, recorder, "c", NOW + 1_801 * SECOND) == ["c"]


def test_of_one_object_25_are_recorded_then_one_in_five_minutes(ws):
    """Whatever they say; another object has its own allowance, and so has another one of the name."""
    recorder = Recorder()
    assert len(recorded(ws, recorder, ["same"] * 40)) == 25
    assert recorded(ws, recorder, ["more"], NOW + 299 * SECOND) == []
    assert recorded(ws, recorder, ["more", "again"], NOW + 301 * SECOND) == ["more"]
    assert len(recorder.record(ws, [event("same", name="other")], NOW)) == 1
    pods = [about_pod("Pulled", "m", source="s")] * 40
    ws.put(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="one")))
    assert len(recorder.record(ws, pods, NOW)) == 25
    ws.put(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="two")))
    assert len(recorder.record(ws, pods[:2], NOW)) == 2


def test_what_is_not_recorded_is_counted_all_the_same(ws):
    """The next one that is says how many there were."""
    recorder = Recorder()
    recorded(ws, recorder, ["same"] * 40)
    (last,) = recorder.record(ws, [event("same")], NOW + 301 * SECOND)
    assert (last.count, last.first_timestamp, last.last_timestamp) == (
        41,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:05:01Z",
    )
    assert len(ws.objects(Recorded)) == 1


def test_combined_events_are_one_object_with_the_last_message(ws):
    """Its count says how many it stands for."""
    recorder = Recorder()
    recorded(ws, recorder, "123456789abc")
    assert all(item.metadata.uid for item in ws.objects(Recorded))
    assert {item.reporting_component for item in ws.objects(Recorded)} == {"deployment-controller"}
    events = {item.message: item.count for item in ws.objects(Recorded)}
    assert len(events) == 10
    assert events[f"{COMBINED}c"] == 3


def test_an_event_of_a_container_names_it_and_its_machine(ws):
    """As the kubelet's; the same about another container is another event."""
    recorder = Recorder()
    pod = ws.put(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u")))
    parts = ("spec.containers{a}", "spec.containers{b}")
    one, two = recorder.record(
        ws, [about_pod("BackOff", "m", source="kubelet", host="n1", part=part) for part in parts], NOW
    )
    assert (one.source.component, one.source.host, one.reporting_instance) == ("kubelet", "n1", "n1")
    assert (one.involved_object.field_path, two.involved_object.field_path) == parts
    assert one.involved_object.resource_version == pod.metadata.resource_version
    assert (one.event_time, one.count, two.count) == (None, 1, 1)


def test_what_the_scheduler_says_again_is_a_series(ws):
    """With the time of the event itself, no count, and never combined or dropped."""
    recorder = Recorder()
    say = [about_pod("FailedScheduling", "no room", source="default-scheduler")]
    (first,) = recorder.record(ws, say, NOW)
    assert (first.event_time, first.action) == ("2026-01-01T00:00:00.000000Z", "Scheduling")
    assert (first.count, first.first_timestamp, first.last_timestamp, first.source, first.series) == (None,) * 5
    assert first.reporting_component == "default-scheduler"
    assert (first.reporting_instance or "").startswith("default-scheduler-")
    (again,) = recorder.record(ws, say, NOW + 60 * SECOND)
    assert (again.metadata.name, again.series.count) == (first.metadata.name, 2)
    assert again.series.last_observed_time == "2026-01-01T00:01:00.000000Z"
    (later,) = recorder.record(ws, say, NOW + 500 * SECOND)
    assert (later.series, later.metadata.name != first.metadata.name) == (None, True)
    every = [about_pod("FailedScheduling", str(number), source="default-scheduler") for number in range(40)]
    assert [item.message for item in recorder.record(ws, every, NOW)] == [str(number) for number in range(40)]


def test_events_are_in_order_by_when_they_were_last_seen(ws):
    """Within a second by their names, which are made from the time."""
    recorder = Recorder()
    recorded(ws, recorder, "cab")
    recorded(ws, recorder, "d", NOW + SECOND)
    recorder.record(ws, [about_pod("Scheduled", "e", source="default-scheduler")], NOW + 2 * SECOND)
    recorded(ws, recorder, "c", NOW + 3 * SECOND)
    assert [(item.message, times(item)) for item in in_order(ws.objects(Recorded))] == [
        ("a", 1),
        ("b", 1),
        ("d", 1),
        ("e", 1),
        ("c", 2),
    ]


def test_nothing_is_recorded_where_nothing_can_be_created(ws):
    """In a namespace that is gone or going."""
    recorder = Recorder()
    ws.put(Namespace(metadata=ObjectMeta(name="ns", uid="ns", deletion_timestamp="2026-01-01T00:00:00Z")))
    assert recorded(ws, recorder, "1") == []
    ws.remove(Key("Namespace", "", "ns"))
    assert recorded(ws, recorder, "1") == []
