"""The live loop in virtual time, with a store that fails and clients that get in between: in the end there runs what is
wished for, once, and store, workspace and runtime agree.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.apiserver import wire
from reconciler.apiserver.options import DeleteOptions, WriteOptions
from reconciler.apiserver.patching import MERGE_PATCH
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import SimulatedRuntime
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.kubelet import Kubelet, SimulatedWorkers
from reconciler.live.loop import Live
from reconciler.live.machine import Block
from reconciler.provisioner import Provisioner
from reconciler.proxy import Proxy
from reconciler.volumes import VirtualHost
from state.load import load
from state.snapshot import Key
from state.store import StoreUnavailableError
from state.store.layout import ROOT, decode
from state.store.memory import MemoryStore

SECOND = 1_000_000
START = 1_767_225_600 * SECOND
STEPS = ["turn", "wait", "scale", "delete", "crash", "label", "orphan", "fail", "restart", "compact"]


def web(replicas):
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [{"name": "c", "image": "i:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


class RacyStore(MemoryStore):
    """Lets a client in just before a write of the loop, or fails in the middle of it."""

    race = None
    done = None
    #: Whether it is the loop that writes.
    is_looping = False
    #: Whether it answers nobody.
    is_silent = False

    def list(self, prefix, **options):
        self._check_answers()
        return super().list(prefix, **options)

    def _check_answers(self):
        if self.is_silent:
            raise StoreUnavailableError("no answer")

    def _write(self, writes):
        self._check_answers()
        if not self.is_looping or threading.current_thread() is not threading.main_thread():
            return super()._write(writes)
        race, self.race = self.race, None
        if race is not None:
            race()
        done, self.done = self.done, None
        if done is None:
            return super()._write(writes)
        part = writes[: int(len(writes) * done)]
        if part:
            super()._write(part)
        raise StoreUnavailableError("the disk is gone")


class Machine:
    """What stays when the loop is killed: store and drivers. And what people do to it."""

    def __init__(self, store):
        self.store = store
        self.clock = VirtualClock(START)
        self.runtime = SimulatedRuntime(self.clock)
        self.network, self.storage = SimulatedNetwork(), SimulatedStorage()
        self.live = self.boot()
        self.live.apply(load([web(2)]))

    def boot(self):
        kubelet = Kubelet(
            "",
            runtime=self.runtime,
            network=self.network,
            storage=self.storage,
            volumes=VirtualHost(),
            workers=SimulatedWorkers(self.runtime, self.clock),
        )
        drivers = SimpleNamespace(
            bell=threading.Event(),
            kubelet=kubelet,
            network=self.network,
            provisioner=Provisioner(self.storage),
            proxy=Proxy(self.network),
            runtime=self.runtime,
            storage=self.storage,
        )
        directory = SimpleNamespace(node="n", block=Block(0), path=Path("/"), logs=Path("/nowhere"))
        return Live(directory, drivers, self.store, self.clock.now)

    def restart(self):
        self.live.close()
        self.live = self.boot()

    def wait(self, seconds):
        self.clock.set(self.clock.now() + seconds * SECOND)

    def turn(self):
        self.store.is_looping = True
        try:
            return self.live.turn()
        finally:
            self.store.is_looping = False

    def settle(self):
        """Long enough for every back-off, grace period and retry."""
        for _ in range(40):
            self.turn()
            self.wait(10)
        assert self.turn()

    def pods(self):
        objects = (decode(entry.value, entry.revision) for entry in self.store.list("/registry/pods/").entries)
        return sorted(objects, key=lambda pod: pod.metadata.name)

    def patch(self, kind, name, change):
        place = Place(self.live.api.registry.of_table(kind), "default", name)
        self.live.api.patch(place, json.dumps(change).encode(), MERGE_PATCH, WriteOptions())

    def delete(self, name):
        self.live.api.delete(Place(self.live.api.registry.of_table("Pod"), "default", name), DeleteOptions())

    def change_in_between(self, name, metadata):
        """Changes a pod just before the loop writes next."""

        def race():
            with contextlib.suppress(ApiError):  # it is gone
                self.patch("Pod", name, {"metadata": metadata})

        self.store.race = race

    def crash(self, uid):
        for container in self.runtime.list_containers(uid):
            if container.state == "RUNNING":
                self.runtime.exit_container(container.id, 1)

    def check(self, wanted):
        pods = self.pods()
        assert len(pods) == wanted
        assert all(pod.status.phase == "Running" for pod in pods)
        assert not any(pod.spec.volumes for pod in pods), "nobody issues tokens, so no pod gets one"
        running = [each.pod_uid for each in self.runtime.list_containers() if each.state == "RUNNING"]
        assert sorted(running) == sorted(pod.metadata.uid for pod in pods)
        stored = [decode(entry.value, entry.revision) for entry in self.store.list(ROOT).entries]
        known = {key: self.live.control.ws.get(key) for key in map(Key.of, stored)}
        assert {key: plain(obj) for key, obj in known.items()} == {Key.of(obj): plain(obj) for obj in stored}


@contextlib.contextmanager
def running():
    """A machine and its store."""
    with RacyStore() as store:
        machine = Machine(store)
        try:
            yield machine, store
        finally:
            machine.live.close()


def plain(obj):
    return obj and orjson.loads(wire.encode(obj))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=20))
@example([("turn", 0), ("delete", 0), ("orphan", 0), ("turn", 0)])
@example([("fail", 2), ("turn", 0), ("restart", 0)])
def test_whatever_happens_there_runs_what_is_wished_for(steps):
    with running() as (machine, store):
        wanted = 2
        for step, number in steps:
            pods = machine.pods()
            pod = pods[number % len(pods)] if pods else None
            if step == "turn":
                machine.turn()
            elif step == "wait":
                machine.wait(number)
            elif step == "scale":
                wanted = number
                machine.patch("Deployment", "web", {"spec": {"replicas": number}})
            elif step == "fail":
                store.done = number / 5
            elif step == "restart":
                store.done = store.race = None
                machine.restart()
            elif step == "compact":
                store.compact(store.revision())
            elif pod is None:
                continue
            elif step == "delete":
                machine.delete(pod.metadata.name)
            elif step == "crash":
                machine.crash(pod.metadata.uid)
            elif step == "label":
                machine.change_in_between(pod.metadata.name, {"labels": {"n": str(number)}})
            elif step == "orphan":
                machine.change_in_between(pod.metadata.name, {"ownerReferences": None})
        store.done = store.race = None
        machine.settle()
        machine.check(wanted)


@pytest.mark.parametrize("metadata", [{"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"ownerReferences": None}])
def test_an_end_that_is_refused_is_tried_again(metadata):
    """Somebody changes a pod at the moment when the node agent takes its object out."""
    with running() as (machine, _):
        machine.settle()
        victim = machine.pods()[0]
        machine.delete(victim.metadata.name)
        machine.change_in_between(victim.metadata.name, metadata)
        machine.settle()
        assert victim.metadata.name not in [pod.metadata.name for pod in machine.pods()]
        machine.check(2)


def test_while_the_store_is_silent_pods_go_on_and_are_started_again():
    """As with a kubelet that can't reach its API server; and when the store is back it hears of it."""
    with running() as (machine, store):
        machine.settle()
        before = machine.pods()
        store.is_silent = True
        machine.crash(before[0].metadata.uid)
        for _ in range(30):
            machine.turn()
            machine.wait(1)
        running_now = [each.pod_uid for each in machine.runtime.list_containers() if each.state == "RUNNING"]
        assert sorted(running_now) == sorted(pod.metadata.uid for pod in before)
        store.is_silent = False
        machine.settle()
        machine.check(2)
        assert [pod.status.container_statuses[0].restart_count for pod in machine.pods()] == [1, 0]


def test_a_loop_that_never_heard_of_the_store_leaves_pods_alone():
    """What runs since an earlier loop isn't ended because nobody says that it is wanted."""
    with running() as (machine, store):
        machine.settle()
        machine.restart()
        store.is_silent = True
        for _ in range(10):
            machine.turn()
            machine.wait(1)
        store.is_silent = False
        assert [each.state for each in machine.runtime.list_containers()] == ["RUNNING", "RUNNING"]
        machine.settle()
        machine.check(2)


def test_all_is_ended_though_the_store_is_silent():
    """The store isn't told, which is an error; the next loop starts the pods again."""
    with running() as (machine, store):
        machine.settle()
        store.is_silent = True
        drivers = machine.live._drivers
        drivers.kubelet.wait = lambda _: machine.wait(1)
        told = []
        with pytest.raises(StoreUnavailableError):
            machine.live.stop(lambda: False, told.append)
        assert len(told) == 2
        assert all(each.state != "RUNNING" for each in machine.runtime.list_containers())
        store.is_silent = False
        machine.restart()
        machine.settle()
        machine.check(2)
