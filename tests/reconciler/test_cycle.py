"""The loop settles, wakes up in time, and names rules that undo each other."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from manifests_for_tests import NOW, config_map

from reconciler import OscillationError, Reconciler
from reconciler.cycle import MAX_PASSES, Cycle
from rules.actions import UpdateStatus
from rules.concern import ANY, Concern, itself
from rules.engine import Rule, m
from state.objects import ConfigMap, ObjectMeta, Pod, PodStatus, Secret, replace
from state.snapshot import Change, Key, Snapshot
from state.times import SECOND, parse_time

START = parse_time(NOW)
KEY = Key("ConfigMap", "default", "settings")


def with_data(ctx, key, **data):
    obj = ctx.ws.find(ConfigMap, key.namespace, key.name)
    ctx.update(replace(obj, data={**obj.data, **data}))


class OfConfigMaps(Concern):
    """A concern about ConfigMaps; its facts are their data."""

    subjects = ("ConfigMap",)
    watches = MappingProxyType({"ConfigMap": itself})

    def fact(self, ws, key, now):
        obj = ws.find(ConfigMap, key.namespace, key.name)
        return None if obj is None else {"name": key.name, "value": obj.data.get("value", ""), "seconds": now // SECOND}


class Up(OfConfigMaps):
    name = "up"
    rules = (Rule("raise", m.value == "low", lambda ctx, key, _: with_data(ctx, key, value="high"), "{name} is low"),)


class Down(OfConfigMaps):
    name = "down"
    rules = (Rule("lower", m.value == "high", lambda ctx, key, _: with_data(ctx, key, value="low"), "{name} is high"),)


def test_rules_that_undo_each_other_are_named_with_their_objects():
    loop = Reconciler(config_map(value="low"), now=NOW, concerns=[Up(), Down()])
    with pytest.raises(OscillationError) as caught:
        loop.step()
    assert caught.value.rules == ("lower", "raise")
    assert caught.value.targets == (KEY,)
    assert str(caught.value) == (
        f"no fixed point after {MAX_PASSES} passes: rules lower, raise keep changing configmap/default/settings"
    )


def test_of_many_objects_that_oscillate_a_few_are_named():
    loop = Reconciler([config_map(f"c{n}", value="low") for n in range(9)], now=NOW, concerns=[Up(), Down()])
    with pytest.raises(OscillationError, match=r"configmap/default/c4 and 4 more$"):
        loop.step()


def test_after_an_oscillation_the_loop_is_usable():
    loop = Reconciler(now=NOW, concerns=[Up(), Down()])
    loop.apply(config_map(value="low"))
    with pytest.raises(OscillationError):
        loop.step()
    loop.apply(config_map(value="none"))
    assert len(loop.step().actions) == 1


def test_an_honest_chain_settles():
    loop = Reconciler(config_map(value="low"), now=NOW, concerns=[Up()])
    plan = loop.step()
    assert [action.rule for action in plan.actions] == ["apply", "raise"]
    assert loop.step().actions == ()


class Timer(OfConfigMaps):
    """Wakes up ten seconds after it is first seen, and then writes."""

    name = "timer"
    rules = (
        Rule(
            "ring",
            (m.value == "") & (m.seconds >= START // SECOND + 10),
            lambda c, k, _: with_data(c, k, value="rang"),
            "{name}",
        ),
        Rule(
            "wait",
            (m.value == "") & (m.seconds < START // SECOND + 10),
            lambda c, k, _: (c.note(), c.wake(START + 10 * SECOND)),
            "waiting at {seconds}",
        ),
    )


def test_a_subject_is_looked_at_again_when_it_asked_to_be():
    loop = Reconciler(config_map(), now=NOW, concerns=[Timer()])
    plan = loop.step()
    assert plan.wake_at == START + 10 * SECOND
    assert [note.rule for note in plan.notes] == ["wait"]
    early = loop.step(START + 9 * SECOND)
    assert (early.actions, early.wake_at, len(early.notes)) == ((), START + 10 * SECOND, 1)
    late = loop.step(START + 10 * SECOND)
    assert [action.rule for action in late.actions] == ["ring"]
    assert (late.wake_at, late.notes) == (None, ())


def test_what_is_said_about_an_object_goes_with_it():
    loop = Reconciler(config_map(), now=NOW, concerns=[Timer()])
    loop.step()
    loop.delete(KEY)
    plan = loop.step()
    assert (plan.notes, plan.wake_at) == ((), None)


class Looker(Concern):
    """Counts what it looks at."""

    name = "looker"
    subjects = (ANY,)
    rules = (Rule("never", m.name == "", print, ""),)
    watches = MappingProxyType({ANY: itself})

    def __init__(self):
        super().__init__()
        self.seen = []

    def due_at_start(self, ws):
        return [Key(kind, *ns_name) for kind in ws.kinds for ns_name in ws.table(kind)]

    def fact(self, ws, key, now):
        self.seen.append(key)
        return {"name": key.name}


def test_only_what_changed_is_looked_at():
    """Everything at first, then the objects that changed, of every kind for a concern with any."""
    objects = [ConfigMap(metadata=ObjectMeta(name=name)) for name in "abc"]
    looker = Looker()
    cycle = Cycle(Snapshot.of([*objects, Secret(metadata=ObjectMeta(name="s"))]), [looker])
    cycle.settle(START)
    assert [key.name for key in looker.seen] == ["a", "b", "c", "s"]
    looker.seen.clear()
    cycle.settle(START)
    assert looker.seen == []
    new = Secret(metadata=ObjectMeta(name="t"))
    gone = Key.of(objects[0])
    cycle.observe([Change(Key.of(new), None, new), Change(gone, objects[0], None)])
    cycle.settle(START)
    assert looker.seen == [Key.of(new)]


class Indifferent(Looker):
    """Counts as well, but not that pods came to nodes."""

    name = "indifferent"
    sees_bindings = False


def test_who_doesnt_care_for_bindings_is_not_told():
    """Of a pod that changes in other ways, too, everybody is."""
    pods = [Pod(metadata=ObjectMeta(name=name, namespace="default")) for name in "ab"]
    looker, indifferent = Looker(), Indifferent()
    cycle = Cycle(Snapshot.of(pods), [looker, indifferent])
    cycle.settle(START)
    for concern in (looker, indifferent):
        concern.seen.clear()
    cycle.ctx.bind(pods[0], "n")
    cycle.settle(START)
    assert looker.seen == [Key("Pod", "default", "a")]
    assert indifferent.seen == []
    running = replace(pods[1], spec=replace(pods[1].spec, node_name="n"), status=PodStatus(phase="Running"))
    cycle.observe([Change(Key.of(running), pods[1], running)])
    cycle.settle(START)
    assert indifferent.seen == [Key("Pod", "default", "b")]


class Reporter(OfConfigMaps):
    """Reports what is so already."""

    name = "reporter"
    rules = (Rule("report", m.value != "x", lambda ctx, key, _: ctx.update_status(ctx.ws.get(key)), "{name}"),)


def test_a_report_of_nothing_new_is_no_action():
    plan = Reconciler(config_map(value="1"), now=NOW, concerns=[Reporter()]).step()
    assert not [action for action in plan.actions if isinstance(action, UpdateStatus)]


def test_concerns_run_in_the_order_given_and_objects_in_theirs():
    order = []

    def noting(concern):
        return lambda ctx, key, fact: order.append((concern, key.name))

    class First(OfConfigMaps):
        name = "first"
        rules = (Rule("r1", m.value == "", noting("first"), ""),)

    class Second(OfConfigMaps):
        name = "second"
        rules = (Rule("r2", m.value == "", noting("second"), ""),)

    Reconciler([config_map("b"), config_map("a")], now=NOW, concerns=[Second(), First()]).step()
    assert order == [("second", "a"), ("second", "b"), ("first", "a"), ("first", "b")]
