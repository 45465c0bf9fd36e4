"""The loop over a store: list and watch in, conditional writes out."""

from __future__ import annotations

import contextlib
import itertools
from unittest.mock import Mock

import pytest
from etcd_server import EtcdServer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler import Reconciler
from reconciler.api import complete
from reconciler.mirror import Mirror, turn
from reconciler.nodes import parse_nodes
from state.load import from_dict
from state.objects import replace
from state.snapshot import Key
from state.store import ExistsError, StoreFullError, StoreUnavailableError, Write, open_store
from state.store import layout as store_layout
from state.store.layout import decode, encode, path_of, prefix_of
from state.store.leader import Candidate, Terms
from state.store.memory import MemoryStore

SECOND = 1_000_000
WEB = path_of(Key("Deployment", "default", "web"))


def deployment(replicas=3, **spec):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }
    return complete(from_dict(manifest))


def config(name, value="1"):
    return complete(
        from_dict({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}})
    )


def put(store, obj):
    """As some client would: whatever there is."""
    path = path_of(Key.of(obj))
    return store.write([Write(path, encode(obj), 0 if store.get(path) is None else None)])[0]


def start(store, **options):
    mirror = Mirror(store)
    loop = Reconciler(observed=mirror.snapshot(), **options)
    mirror.attach(loop.ws)
    return loop, mirror


def settle(loop, mirror, now=0):
    """Turns until neither rules nor store have anything more to say."""
    for _ in range(50):
        plan, pushed = turn(loop, mirror, now)
        if not plan.actions and not pushed.written and not pushed.refused and not mirror.pull():
            return
    raise AssertionError("it doesn't settle")


def stored(store, kind="Pod"):
    return [decode(entry.value, entry.revision) for entry in store.list(prefix_of(kind)).entries]


def contents(ws):
    return {key: ws.get(key) for kind in ws.kinds for key in (Key(kind, *name) for name in ws.table(kind))}


def everything(store):
    objects = [decode(entry.value, entry.revision) for entry in store.list("/registry/").entries]
    return {Key.of(obj): obj for obj in objects}


@pytest.fixture
def store():
    with MemoryStore() as store:
        for node in parse_nodes(3):
            put(store, complete(node))
        put(store, deployment())
        yield store


def test_the_rules_fill_the_store_and_the_workspace_is_equal_to_it(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    pods = stored(store)
    assert len(pods) == 3
    assert all(pod.spec.node_name for pod in pods)
    assert contents(loop.ws) == everything(store)
    assert loop.snapshot.revision == store.revision() == mirror.revision


def test_a_program_that_starts_again_finds_nothing_to_do(store):
    settle(*start(store))
    revision = store.revision()
    loop, mirror = start(store)
    plan, pushed = turn(loop, mirror, 0)
    assert (plan.actions, pushed.written, store.revision()) == ((), 0, revision)


def test_what_others_change_is_worked_off(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    put(store, replace(d := stored(store, "Deployment")[0], spec=replace(d.spec, replicas=5)))
    store.delete(path_of(Key.of(stored(store)[0])))
    settle(loop, mirror)
    assert len(stored(store)) == 5
    assert contents(loop.ws) == everything(store)


def test_every_object_is_decoded_once_and_own_writes_never(store, monkeypatch):
    decoded = []
    monkeypatch.setattr("reconciler.mirror.decode", lambda *args: decoded.append(args[1]) or store_layout.decode(*args))
    loop, mirror = start(store)
    assert len(decoded) == 4
    settle(loop, mirror)
    assert len(decoded) == 4
    put(store, config("a"))
    mirror.pull()
    mirror.pull()
    assert decoded[4:] == [store.revision()]


def test_objects_have_the_revision_of_the_store(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    for entry in store.list(prefix_of("Pod")).entries:
        pod = loop.ws.get(Key("Pod", *entry.key.split("/")[-2:]))
        assert pod.metadata.resource_version == str(entry.revision)
        assert b"resourceVersion" not in entry.value


class DeafStore(MemoryStore):
    """Its watches tell nothing while it is deaf."""

    deaf = False

    def watch(self, prefix, after, **options):
        watch = super().watch(prefix, after, **options)
        read = watch.read
        watch.read = lambda timeout=0: [] if self.deaf else read(timeout)
        return watch


def test_slow_observation_never_creates_twice():
    with DeafStore() as store:
        put(store, deployment())
        loop, mirror = start(store, nodes=2)
        store.deaf = True
        for now in range(5):
            turn(loop, mirror, now * SECOND)
        assert len(stored(store)) == 3
        store.deaf = False
        settle(loop, mirror, 5 * SECOND)
        assert len(stored(store)) == 3
        assert contents(loop.ws) == everything(store)


def test_where_somebody_else_was_faster_the_store_is_right_and_the_rules_look_again(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    changed = stored(store, "Deployment")[0]
    put(store, replace(changed, spec=replace(changed.spec, replicas=4)))
    mirror.pull()
    loop.step(0)
    labelled = stored(store, "Deployment")[0]
    put(store, replace(labelled, metadata=replace(labelled.metadata, labels={"by": "others"})))
    assert [str(error).split(" is at")[0] for error in mirror.push().refused] == [WEB]
    settle(loop, mirror)
    (after,) = stored(store, "Deployment")
    assert (after.metadata.labels, after.status.replicas) == ({"by": "others"}, 4)
    assert contents(loop.ws) == everything(store)


def test_what_exists_already_is_not_created_but_taken_over(store):
    loop, mirror = start(store)
    loop.ws.put(config("a", "ours"))
    put(store, config("a", "theirs"))
    (error,) = mirror.push().refused
    assert isinstance(error, ExistsError)
    mirror.pull()
    assert loop.ws.get(Key("ConfigMap", "default", "a")).data == {"v": "theirs"}


def test_what_is_gone_already_is_taken_out(store):
    loop, mirror = start(store)
    entry = put(store, config("a"))
    mirror.pull()
    key = Key("ConfigMap", "default", "a")
    loop.ws.put(config("a", "changed"))
    store.delete(entry.key)
    assert len(mirror.push().refused) == 1
    mirror.pull()
    assert loop.ws.get(key) is None
    put(store, config("a", "again"))
    mirror.pull()
    assert loop.ws.get(key).data == {"v": "again"}


def test_another_object_of_the_same_name_is_another_object(store):
    """Its watchers see the one go and the other come."""
    loop, mirror = start(store)
    put(store, config("a"))
    mirror.pull()
    key = Key("ConfigMap", "default", "a")
    old = loop.ws.get(key)
    loop.ws.remove(key)
    loop.ws.put(replace(old, metadata=replace(old.metadata, uid="another")))
    with store.watch(path_of(key), store.revision()) as watch:
        assert mirror.push().written == 2
        assert [event.value is None for event in watch.read()] == [True, False]
    mirror.pull()
    assert contents(loop.ws) == everything(store)


def test_what_changes_back_is_not_written(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    pod = stored(store)[0]
    loop.ws.put(replace(pod, metadata=replace(pod.metadata, labels={})))
    loop.ws.put(pod)
    assert mirror.push().written == 0


class FailingStore(MemoryStore):
    """Does a part of what is asked, and then fails."""

    done = None

    def _write(self, writes):
        if self.done is None:
            return super()._write(writes)
        part = writes[: int(len(writes) * self.done)]
        if part:
            super()._write(part)
        raise StoreUnavailableError("the connection is lost")


@pytest.mark.parametrize("done", [0, 0.5, 1])
def test_a_store_that_fails_in_the_middle_of_writing_gets_the_rest_later(done):
    with FailingStore() as store:
        put(store, deployment(4))
        loop, mirror = start(store, nodes=2)
        store.done = done
        for now in range(3):
            with contextlib.suppress(StoreUnavailableError):
                turn(loop, mirror, now * SECOND)
        store.done = None
        settle(loop, mirror, 5 * SECOND)
        assert len(stored(store)) == 4
        assert contents(loop.ws) == everything(store)


def test_after_a_failed_step_the_new_workspace_knows_what_was_observed(store, monkeypatch):
    loop, mirror = start(store)
    settle(loop, mirror)
    put(store, config("a"))
    store.delete(path_of(Key.of(stored(store)[0])))
    before = loop.ws
    with monkeypatch.context() as patch:
        patch.setattr("reconciler.cycle.Cycle.settle", Mock(side_effect=ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            turn(loop, mirror, 0)
    assert loop.ws is not before
    settle(loop, mirror)
    assert len(stored(store)) == 3
    assert contents(loop.ws) == everything(store)


def test_what_is_no_object_is_reported_and_left_alone(store):
    loop, mirror = start(store)
    path = path_of(Key("ConfigMap", "default", "a"))
    for bad in (b"{", b"[]", b'{"kind":"Pod"}', b'{"apiVersion":"v1","kind":"Pod","metadata":[]}'):
        store.write([Write(path, bad, 0 if store.get(path) is None else None)])
        mirror.pull()
        assert list(mirror.unreadable) == [path]
    settle(loop, mirror)
    put(store, config("a"))
    mirror.pull()
    assert mirror.unreadable == {}
    assert loop.ws.get(Key("ConfigMap", "default", "a")) is not None


def test_what_is_too_large_is_refused_alone(store):
    loop, mirror = start(store)
    put(store, config("a", "small"))
    mirror.pull()
    loop.ws.put(config("a", "x" * 2_000_000))
    loop.ws.put(config("b"))
    pushed = mirror.push()
    assert (pushed.written, len(pushed.refused)) == (1, 1)
    assert "configmaps/default/a has" in str(pushed.refused[0])
    mirror.pull()
    assert contents(loop.ws) == everything(store)


def test_a_full_store_is_told_and_written_to_when_there_is_room(store, monkeypatch):
    loop, mirror = start(store)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", lambda writes: (_ for _ in ()).throw(StoreFullError("full")))
        with pytest.raises(StoreFullError):
            turn(loop, mirror, 0)
    settle(loop, mirror)
    assert len(stored(store)) == 3


def test_a_mirror_that_was_left_far_behind_begins_anew(store):
    loop, mirror = start(store)
    settle(loop, mirror)
    gone, *_ = stored(store)
    store.delete(path_of(Key.of(gone)))
    put(store, config("a"))
    store.compact(store.revision())
    assert {change.key for change in mirror.pull()} == {Key.of(gone), Key("ConfigMap", "default", "a")}
    assert contents(loop.ws) == everything(store)
    settle(loop, mirror)
    assert len(stored(store)) == 3


STEPS = ["turn", "pull", "push", "fail", "scale", "kill", "label", "compact", "deaf", "hear", "restart"]


class UnluckyStore(DeafStore, FailingStore):
    """May be deaf, and may fail."""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=25))
@example([("fail", 5), ("push", 0), ("kill", 0)])
def test_whatever_happens_it_ends_as_wished_and_equal(steps):
    with UnluckyStore() as store:
        put(store, deployment(2))
        loop, mirror = start(store, nodes=2)
        clock = itertools.count(0, SECOND)
        for step, number in steps:
            deployed = stored(store, "Deployment")[0]
            pods = stored(store)
            if step in ("turn", "fail"):
                store.done = number / 5 if step == "fail" else None
                try:
                    turn(loop, mirror, next(clock))
                except StoreUnavailableError:
                    assert step == "fail"
                store.done = None
            elif step == "pull":
                mirror.pull()
            elif step == "push":
                mirror.push()
            elif step == "scale":
                put(store, replace(deployed, spec=replace(deployed.spec, replicas=number)))
            elif step == "kill" and pods:
                store.delete(path_of(Key.of(pods[number % len(pods)])))
            elif step == "label" and pods:
                pod = pods[number % len(pods)]
                put(
                    store,
                    replace(pod, metadata=replace(pod.metadata, labels={**pod.metadata.labels, "n": str(number)})),
                )
            elif step == "compact":
                store.compact(store.revision())
            elif step in ("deaf", "hear"):
                store.deaf = step == "deaf"
            elif step == "restart":
                mirror.close()
                loop, mirror = start(store, nodes=2)
        store.deaf = False
        settle(loop, mirror, next(clock))
        assert contents(loop.ws) == everything(store)
        wanted = stored(store, "Deployment")[0].spec.replicas
        assert len([pod for pod in stored(store) if pod.metadata.deletion_timestamp is None]) == wanted


@contextlib.contextmanager
def two_views(scheme, path):
    """One store as two programs have it."""
    if scheme == "etcd":
        with EtcdServer(path) as server, server.open() as one, server.open() as other:
            yield one, other
    else:
        with open_store("memory:") as store:
            yield store, store


@pytest.mark.parametrize("scheme", ["memory", "etcd"])
def test_of_two_loops_on_one_store_one_leads_and_the_other_takes_over(scheme, tmp_path):
    """Nothing is created twice, and the follower is warm."""
    with two_views(scheme, tmp_path) as (one, other):
        put(one, deployment(3))
        terms = Terms(duration=15, renew_deadline=10, retry=2)
        programs = {}
        for name, store in (("a", one), ("b", other)):
            programs[name] = (*start(store, nodes=2), Candidate(store, name, name="manager", terms=terms))
        alive = ["a", "b"]
        acted = []
        for second in range(0, 80, 2):
            if second == 20:
                alive.remove("a")
                put(other, replace(d := stored(other, "Deployment")[0], spec=replace(d.spec, replicas=6)))
            for name in alive:
                loop, mirror, candidate = programs[name]
                if candidate.tick(second * SECOND):
                    acted.append((second, name))
                    turn(loop, mirror, second * SECOND)
                else:
                    mirror.pull(0.05)
        leaders = [name for _, name in acted]
        assert leaders == sorted(leaders)
        assert next(second for second, name in acted if name == "b") <= 18 + 15 + 2
        loop, mirror, _ = programs["b"]
        settle(loop, mirror, 80 * SECOND)
        assert len(stored(other)) == 6
        for _, mirror, _ in programs.values():
            mirror.close()
