"""The parts of the live loop that need no processes."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.drivers.network.base import ServiceKey
from reconciler.live.client import Client, NotRunningError, stored
from reconciler.live.directory import InUseError, OwnedDirectory, StateDirectory
from reconciler.live.events import MOST, TTL, Recorder
from reconciler.live.failures import Failures
from reconciler.live.machine import BLOCKS, AddressesTakenError, Block, BlockLock, take_block, this_node
from reconciler.live.ready import unready
from reconciler.live.sources import Sources
from reconciler.proxy import ServiceFailure
from rules.actions import Event as Reported
from state.errors import StateError
from state.load import load_strictly
from state.objects import Event, Namespace, ObjectMeta
from state.snapshot import Key, Snapshot
from state.workspace import Workspace

NOW = 1_767_225_600_000_000
SECOND = 1_000_000


def reported(message: str, name: str = "web-0") -> Reported:
    return Reported(
        target=Key("Pod", "default", name), type="Normal", reason="Pulled", message=message, source="kubelet"
    )


def test_the_same_event_again_is_counted() -> None:
    """As client-go's recorder aggregates: one object, a count, first and last time."""
    ws, recorder = Workspace(Snapshot.of([Namespace(metadata=ObjectMeta(name="default"))])), Recorder()
    recorder.record(ws, [reported("once"), reported("again")], NOW)
    recorder.record(ws, [reported("again")], NOW + 5 * SECOND)
    counts = {event.message: event.count for event in ws.objects(Event)}
    assert counts == {"once": 1, "again": 2}
    (again,) = [event for event in ws.objects(Event) if event.message == "again"]
    assert (again.first_timestamp, again.last_timestamp) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z")
    assert again.involved_object.kind == "Pod"


def test_old_events_and_too_many_are_forgotten() -> None:
    """After an hour, and beyond a thousand the oldest first."""
    ws, recorder = Workspace(Snapshot.of([Namespace(metadata=ObjectMeta(name="default"))])), Recorder()
    recorder.record(ws, [reported("old")], NOW)
    recorder.record(ws, [reported("new")], NOW + TTL + SECOND)
    assert [event.message for event in ws.objects(Event)] == ["new"]
    many = [reported("it", name=str(number)) for number in range(2 * MOST)]
    recorder.record(ws, many, NOW + TTL + 2 * SECOND)
    assert len(ws.objects(Event)) == MOST
    assert "new" not in {event.message for event in ws.objects(Event)}


def test_a_failure_is_told_once_for_each_try() -> None:
    """Reports repeat everything that waits."""
    failures = Failures()
    failure = ServiceFailure(ServiceKey("default", "web"), "port 80 is taken", retry_at=NOW)
    (event,) = failures.news([failure])
    assert (str(event.target), event.type, event.message) == ("service/default/web", "Warning", "port 80 is taken")
    assert failures.news([failure]) == []
    assert len(failures.news([ServiceFailure(failure.service, failure.message, retry_at=NOW + 1)])) == 1


def test_blocks_of_addresses_do_not_overlap_and_stay_within_loopback() -> None:
    """Each has a range for pods and one for services."""
    networks = [
        ip_network(cidr) for number in range(BLOCKS) for cidr in (Block(number).pod_cidr, Block(number).service_cidr)
    ]
    assert all(network.subnet_of(ip_network("127.64.0.0/10")) for network in networks)
    ordered = sorted(networks)
    assert all(not one.overlaps(other) for one, other in pairwise(ordered))


def test_a_block_has_one_owner_at_a_time() -> None:
    """Who comes second takes the next one, or is refused."""
    with contextlib.ExitStack() as undo:
        block, lock = take_block(17)
        undo.callback(lock.release)
        other, second = take_block(block.number)
        undo.callback(second.release)
        assert other != block
        with pytest.raises(AddressesTakenError, match="in use by another reconciler"):
            BlockLock(block)
    lock = BlockLock(block)
    lock.release()


def test_this_machine_is_a_ready_node_with_its_size(tmp_path: Path) -> None:
    """What it has is what pods may ask for."""
    node = this_node("here", Block(0), tmp_path, NOW)
    assert {"cpu", "memory", "pods", "ephemeral-storage"} == node.status.capacity.keys()
    assert node.status.capacity == node.status.allocatable
    assert {c.type: c.status for c in node.status.conditions} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    assert node.metadata.creation_timestamp == "2026-01-01T00:00:00Z"


def test_a_state_directory_has_one_owner_and_remembers_who_it_is(tmp_path: Path) -> None:
    """Node and addresses stay the same from one owner to the next."""
    first = OwnedDirectory(tmp_path / "state")
    with pytest.raises(InUseError, match="another reconciler runs with this state directory"):
        OwnedDirectory(tmp_path / "state")
    first.release()
    second = OwnedDirectory(tmp_path / "state")
    assert (second.node, second.block) == (first.node, first.block)
    second.release()
    (tmp_path / "state" / "about.json").write_text("{}")
    with pytest.raises(StateError, match=r"about\.json is not a record of this program"):
        OwnedDirectory(tmp_path / "state")
    OwnedDirectory(tmp_path / "other").release()


def test_what_an_older_version_left_is_told_and_not_touched(tmp_path: Path) -> None:
    """Its pods may be running: starting anew would double them."""
    (tmp_path / "journal").write_text("old")
    with pytest.raises(StateError, match="was written by an older version"):
        OwnedDirectory(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "lock"]


def test_a_directory_where_nothing_ran_says_how_to_begin(tmp_path: Path) -> None:
    """Both for what runs and for what was left."""
    tmp_path.joinpath("empty").mkdir()
    directory = StateDirectory(tmp_path / "empty")
    with pytest.raises(NotRunningError, match="reconciler up -f FILE"):
        Client(directory)
    with pytest.raises(NotRunningError, match="there is no state directory"):
        stored(directory)


def test_sources_have_changed_only_when_they_are_at_rest(tmp_path: Path) -> None:
    """What an editor does in several steps is looked at when it is done."""
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n")
    sources = Sources([str(tmp_path)])
    sources.load()
    assert not sources.changed()
    file.write_text("a: 22\n")
    assert not sources.changed()
    (tmp_path / "b.yaml").write_text("b: 1\n")
    assert not sources.changed()
    assert sources.changed()
    sources.load()
    assert not sources.changed()
    file.unlink()
    assert not sources.changed()
    assert sources.changed()


def test_workloads_are_ready_when_their_newest_form_is_completely_available() -> None:
    """The status has to be about the generation that is desired."""

    def deployment(name: str, generation: int, **status: int) -> dict:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default", "generation": generation},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
            "status": status,
        }

    complete = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    objects = [
        deployment("good", 1, observedGeneration=1, **complete),
        deployment("unobserved", 2, observedGeneration=1, **complete),
        deployment("surging", 1, observedGeneration=1, **{**complete, "replicas": 3}),
        deployment("starting", 1, observedGeneration=1, replicas=2, updatedReplicas=2),
    ]
    snapshot = Snapshot.of(load_strictly(objects))
    assert [key.name for key in unready(snapshot)] == ["starting", "surging", "unobserved"]
