"""A workspace that is kept equal to a store: list and watch in, conditional writes out."""

from __future__ import annotations

import contextlib
import itertools

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.api import complete
from reconciler.apiserver import wire
from reconciler.apiserver.api import Api
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.mirror import Mirror
from reconciler.nodes import parse_nodes
from state.errors import StateError
from state.load import from_dict
from state.objects import PodStatus, replace
from state.snapshot import Key
from state.store import StoreFullError, StoreUnavailableError, Write
from state.store.layout import decode, encode, path_of, prefix_of
from state.store.memory import MemoryStore
from state.workspace import Workspace

SECOND = 1_000_000
A = Key("ConfigMap", "default", "a")


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


def furnish(store, wished, nodes=2):
    """What pods need to be let in and placed, and something that makes them."""
    put(store, complete(from_dict({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})))
    for node in parse_nodes(nodes):
        put(store, complete(node))
    put(store, wished)


class Clock:
    """Stands still until a test moves it."""

    now = 0

    def __call__(self):
        return self.now


def start(store, clock=None):
    return ControlPlane(Api(store, clock=clock or Clock()))


def settle(control):
    """Turns until neither rules nor store have anything more to say."""
    for _ in range(50):
        try:
            if not control.turn():
                return
        except StateError:
            control.begin()
    raise AssertionError("it doesn't settle")


def stored(store, kind="Pod"):
    return [decode(entry.value, entry.revision) for entry in store.list(prefix_of(kind)).entries]


def contents(ws):
    keys = (Key(kind, *name) for kind in ws.kinds for name in ws.table(kind))
    return {key: orjson.loads(wire.encode(ws.get(key))) for key in keys}


def everything(store):
    objects = [decode(entry.value, entry.revision) for entry in store.list("/registry/").entries]
    return {Key.of(obj): orjson.loads(wire.encode(obj)) for obj in objects}


@pytest.fixture
def store():
    with MemoryStore() as store:
        furnish(store, deployment(), nodes=3)
        yield store


@pytest.fixture
def pair(store):
    """A mirror and its workspace, without rules."""
    mirror = Mirror(Api(store).storage)
    ws = Workspace(mirror.snapshot)
    mirror.attach(ws)
    yield mirror, ws
    mirror.close()


def test_the_rules_fill_the_store_and_the_workspace_is_equal_to_it(store):
    control = start(store)
    settle(control)
    pods = stored(store)
    assert len(pods) == 3
    assert all(pod.spec.node_name for pod in pods)
    assert contents(control.ws) == everything(store)


def test_a_program_that_starts_again_finds_nothing_to_do(store):
    settle(start(store))
    revision = store.revision()
    assert not start(store).turn()
    assert store.revision() == revision


def test_what_others_change_is_worked_off(store):
    control = start(store)
    settle(control)
    put(store, replace(d := stored(store, "Deployment")[0], spec=replace(d.spec, replicas=5)))
    store.delete(path_of(Key.of(stored(store)[0])))
    settle(control)
    assert len(stored(store)) == 5
    assert contents(control.ws) == everything(store)


def test_own_writes_are_no_news(store, pair):
    mirror, ws = pair
    ws.put(config("a"))
    assert mirror.push()
    seen = []
    ws.listen(seen.append)
    assert mirror.pull()
    assert not mirror.pull()
    assert seen == []


def test_changes_of_one_object_are_stored_one_after_the_other(store, pair):
    """Who watches sees each of them."""
    mirror, ws = pair
    with store.watch("/registry/configmaps/", store.revision()) as watch:
        for value in "12":
            ws.put(config("a", value))
        ws.remove(A)
        ws.put(config("a", "3"))
        mirror.push()
        values = [event.value and decode(event.value, 1).data["v"] for event in watch.read()]
    assert values == ["1", "2", None, "3"]


class DeafStore(MemoryStore):
    """Its watches tell nothing while it is deaf."""

    deaf = False

    def watch(self, prefix, after, **options):
        watch = super().watch(prefix, after, **options)
        read = watch.read
        watch.read = lambda timeout=0: [] if self.deaf else read(timeout)
        return watch


def test_slow_observation_never_creates_twice():
    clock = Clock()
    with DeafStore() as store:
        furnish(store, deployment())
        control = start(store, clock)
        store.deaf = True
        for now in range(5):
            clock.now = now * SECOND
            control.turn()
        assert len(stored(store)) == 3
        store.deaf = False
        settle(control)
        assert len(stored(store)) == 3
        assert contents(control.ws) == everything(store)


def test_where_somebody_else_was_faster_the_store_is_right(store, pair):
    mirror, ws = pair
    ws.put(config("a", "ours"))
    ws.put(config("a", "ours again"))
    ws.put(config("b", "ours"))
    put(store, config("a", "theirs"))
    mirror.push()
    assert ws.get(A).data == {"v": "theirs"}
    assert {obj.metadata.name: obj.data["v"] for obj in stored(store, "ConfigMap")} == {"a": "theirs", "b": "ours"}
    mirror.pull()
    assert contents(ws) == everything(store)


def test_what_is_gone_already_is_taken_out(store, pair):
    mirror, ws = pair
    entry = put(store, config("a"))
    mirror.pull()
    ws.put(config("a", "changed"))
    store.delete(entry.key)
    mirror.push()
    assert ws.get(A) is None
    put(store, config("a", "again"))
    mirror.pull()
    assert ws.get(A).data == {"v": "again"}


def test_an_object_that_was_removed_here_and_changed_there_stays(store, pair):
    mirror, ws = pair
    put(store, config("a"))
    mirror.pull()
    ws.remove(A)
    put(store, config("a", "theirs"))
    mirror.push()
    assert ws.get(A).data == {"v": "theirs"}


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"kind":"Pod"}', b'{"apiVersion":"v1","kind":"Pod","metadata":[]}'])
def test_what_is_no_object_is_left_alone(store, bad, caplog):
    """At the start and later; until it is one."""
    path = path_of(A)
    store.create(path, bad)
    control = start(store)
    settle(control)
    store.update(path, bad + b" ", None)
    settle(control)
    assert control.ws.get(A) is None
    put(store, config("a"))
    settle(control)
    assert control.ws.get(A) is not None
    store.delete(path)
    settle(control)
    assert contents(control.ws) == everything(store)


def test_what_is_too_large_is_refused_alone(store, pair):
    mirror, ws = pair
    put(store, config("a", "small"))
    mirror.pull()
    ws.put(config("a", "x" * 2_000_000))
    ws.put(config("b"))
    mirror.push()
    assert ws.get(A).data == {"v": "small"}
    assert contents(ws) == everything(store)


def test_what_nobody_serves_is_left_alone(store, pair):
    mirror, ws = pair
    revision = store.create("/registry/example.com/widgets/default/w", b"{}").revision
    ws.put(from_dict({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "x"}}))
    mirror.push()
    mirror.pull()
    assert store.revision() == revision


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
        furnish(store, deployment(4))
        control = start(store)
        store.done = done
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                control.turn()
            control.begin()
        store.done = None
        settle(control)
        assert len(stored(store)) == 4
        assert contents(control.ws) == everything(store)


def test_a_full_store_is_told_and_written_to_when_there_is_room(store, monkeypatch):
    control = start(store)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", lambda writes: (_ for _ in ()).throw(StoreFullError("full")))
        with pytest.raises(StoreFullError):
            control.turn()
    control.begin()
    settle(control)
    assert len(stored(store)) == 3


def test_one_that_was_left_far_behind_begins_anew(store):
    control = start(store)
    settle(control)
    store.delete(path_of(Key.of(stored(store)[0])))
    put(store, config("a"))
    store.compact(store.revision())
    settle(control)
    assert contents(control.ws) == everything(store)
    assert len(stored(store)) == 3


STEPS = ["turn", "fail", "scale", "kill", "label", "compact", "deaf", "hear", "restart"]


class UnluckyStore(DeafStore, FailingStore):
    """May be deaf, and may fail."""


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=25))
@example([("fail", 5), ("turn", 0), ("kill", 0)])
def test_whatever_happens_it_ends_as_wished_and_equal(steps):
    clock = Clock()
    with UnluckyStore() as store:
        furnish(store, deployment(2))
        control = start(store, clock)
        seconds = itertools.count(0, SECOND)
        for step, number in steps:
            clock.now = next(seconds)
            deployed = stored(store, "Deployment")[0]
            pods = stored(store)
            if step in ("turn", "fail"):
                store.done = number / 5 if step == "fail" else None
                try:
                    control.turn()
                except StateError:
                    control.begin()
                store.done = None
            elif step == "scale":
                put(store, replace(deployed, spec=replace(deployed.spec, replicas=number)))
            elif step == "kill" and pods:
                store.delete(path_of(Key.of(pods[number % len(pods)])))
            elif step == "label" and pods:
                pod = pods[number % len(pods)]
                labels = {**pod.metadata.labels, "n": str(number)}
                put(store, replace(pod, metadata=replace(pod.metadata, labels=labels)))
            elif step == "compact":
                store.compact(store.revision())
            elif step in ("deaf", "hear"):
                store.deaf = step == "deaf"
            elif step == "restart":
                control.close()
                control = start(store, clock)
        store.deaf = False
        clock.now = next(seconds)
        settle(control)
        assert contents(control.ws) == everything(store)
        wanted = stored(store, "Deployment")[0].spec.replicas
        assert len([pod for pod in stored(store) if pod.metadata.deletion_timestamp is None]) == wanted
        with contextlib.suppress(ValueError):
            control.close()


def finished_job(store, phase):
    """A Job of one pod, which has just ended, and a control plane that doesn't know it yet."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    job = complete(
        from_dict({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}})
    )
    furnish(store, replace(job, spec=replace(job.spec, backoff_limit=1)))
    control = start(store)
    settle(control)
    (pod,) = stored(store)
    put(store, replace(pod, status=PodStatus(phase=phase)))
    return control


def check_counted_once(store, phase):
    (job,) = stored(store, "Job")
    assert (job.status.failed, job.status.succeeded) == ((1, None) if phase == "Failed" else (None, 1))
    assert job.status.uncounted_terminated_pods.failed == job.status.uncounted_terminated_pods.succeeded == ()
    (pod,) = stored(store)
    assert pod.metadata.finalizers == ()


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
@pytest.mark.parametrize("kind", ["Job", "Pod"])
@pytest.mark.parametrize("turn", range(4))
def test_a_pod_is_counted_once_whatever_others_change_meanwhile(phase, kind, turn):
    """The pod, just before its finalizer goes, or the Job, before it is written for the first or second time."""
    with MemoryStore() as store:
        control = finished_job(store, phase)
        write, turns = store.write, itertools.count()

        def disturbed(writes):
            if any(each.key.startswith(prefix_of(kind)) for each in writes) and next(turns) == turn:
                (now,) = stored(store, kind)
                store.write = write
                put(store, replace(now, metadata=replace(now.metadata, annotations={"by": "another"})))
                store.write = disturbed
            return write(writes)

        store.write = disturbed
        settle(control)
        check_counted_once(store, phase)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
@pytest.mark.parametrize("done", range(8))
def test_a_pod_is_counted_once_wherever_it_ends(phase, done):
    """The store is gone after so many writes; who begins then goes on where it was."""
    with MemoryStore() as store:
        control = finished_job(store, phase)
        write, left = store.write, done

        def ending(writes):
            nonlocal left
            part, left = writes[:left], left - len(writes)
            results = write(part)
            if left < 0:
                raise StoreUnavailableError("gone")
            return results

        store.write = ending
        with contextlib.suppress(StoreUnavailableError):
            for _ in range(10):
                control.turn()
        store.write = write
        control = start(store)
        settle(control)
        check_counted_once(store, phase)
