"""How many of their events controllers get recorded, as client-go's correlator lets them."""

import pytest

from reconciler.apiserver.event_limits import EventLimits
from reconciler.live.events import Recorder
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


def recorded(limits, messages, now=NOW):
    return [item.message for item in limits.worth_recording(map(event, messages), now)]


def test_the_tenth_message_of_a_kind_stands_for_all_further_ones(ws):
    """Nine are recorded as they are, and again when they come again; what is new after them is combined."""
    limits = EventLimits(ws)
    assert recorded(limits, "123456789") == list("123456789")
    assert recorded(limits, "ab1") == [f"{COMBINED}a", f"{COMBINED}b", "1"]


def test_after_ten_quiet_minutes_messages_count_anew(ws):
    """The time runs from the last one of the kind."""
    limits = EventLimits(ws)
    recorded(limits, "123456789")
    assert recorded(limits, "a", NOW + 600 * SECOND) == [f"{COMBINED}a"]
    assert recorded(limits, "b", NOW + 1_200 * SECOND) == [f"{COMBINED}b"]
    assert recorded(limits, "c", NOW + 1_801 * SECOND) == ["c"]


def test_of_one_object_25_are_recorded_then_one_in_five_minutes(ws):
    """Whatever they say; another object has its own allowance, and so has another one of the name."""
    limits = EventLimits(ws)
    assert len(recorded(limits, ["same"] * 40)) == 25
    assert recorded(limits, ["more"], NOW + 299 * SECOND) == []
    assert recorded(limits, ["more", "again"], NOW + 300 * SECOND) == ["more"]
    assert len(list(limits.worth_recording([event("same", name="other")], NOW))) == 1
    pods = [event("x") for _ in range(2)]
    pods = [Event(target=Key("Pod", "ns", "p"), type=e.type, reason=e.reason, message="m", source="s") for e in pods]
    ws.put(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="one")))
    assert len(list(limits.worth_recording(pods * 20, NOW))) == 25
    ws.put(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="two")))
    assert len(list(limits.worth_recording(pods, NOW))) == 2


def test_combined_events_are_one_object_with_the_last_message(ws):
    """Its count says how many it stands for."""
    limits, recorder = EventLimits(ws), Recorder()
    recorder.record(ws, limits.worth_recording(map(event, "123456789abc"), NOW), NOW)
    assert all(item.metadata.uid for item in ws.objects(Recorded))
    assert {item.reporting_component for item in ws.objects(Recorded)} == {"deployment-controller"}
    events = {item.message: item.count for item in ws.objects(Recorded)}
    assert len(events) == 10
    assert events[f"{COMBINED}c"] == 3


def test_nothing_is_recorded_where_nothing_can_be_created(ws):
    """In a namespace that is gone or going."""
    limits = EventLimits(ws)
    ws.put(Namespace(metadata=ObjectMeta(name="ns", uid="ns", deletion_timestamp="2026-01-01T00:00:00Z")))
    assert recorded(limits, "1") == []
    ws.remove(Key("Namespace", "", "ns"))
    assert recorded(limits, "1") == []
