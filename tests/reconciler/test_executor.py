"""The hands write back what they observed, about the very objects that they acted on."""

from __future__ import annotations

from manifests_for_tests import NOW, pod, service

from reconciler.api import Reconciler
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.storage.base import VolumeRequest
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.executor import Executor
from reconciler.simulation import Simulation
from rules.scheduling.volumes import SELECTED_NODE
from state.objects import EndpointSlice, Pod, Service, replace
from state.snapshot import Change, Key, Snapshot
from state.times import SECOND, parse_time
from state.workspace import Workspace

THE_POD = Key("Pod", "default", "p")
CLAIM = Key("PersistentVolumeClaim", "default", "data")


class Proxy:
    """Remembers what it was shown, and fails as often as it is told to."""

    def __init__(self):
        self.shown = []
        self.retry_at = None

    def sync(self, services, slices, now):
        self.shown.append([obj.metadata.name for obj in services])
        self.failures = []
        return self


def test_without_hands_nothing_is_done():
    report = Executor(Workspace(Snapshot())).sync(0)
    assert (report.operations, report.events, report.failures) == ([], [], [])


def test_the_proxy_is_called_when_services_change_and_when_it_is_due():
    ws, proxy = Workspace(Snapshot()), Proxy()
    executor = Executor(ws, proxy=proxy)
    executor.sync(0)
    executor.sync(0)
    assert proxy.shown == [[]]
    ws.put(Service(metadata=replace(Service().metadata, name="s")))
    proxy.retry_at = 5 * SECOND
    executor.sync(SECOND)
    assert (proxy.shown, executor.next_due()) == ([[], ["s"]], 5 * SECOND)
    executor.sync(4 * SECOND)
    assert len(proxy.shown) == 2
    proxy.retry_at = None
    executor.sync(5 * SECOND)
    assert (len(proxy.shown), executor.next_due()) == (3, None)
    ws.put(EndpointSlice(metadata=replace(Service().metadata, name="s-1")))
    executor.sync(5 * SECOND)
    assert len(proxy.shown) == 4


def test_a_report_about_a_former_pod_of_the_name_is_dropped():
    """A pod is deleted and made again at once: what was observed of the first is not written to the second."""
    run = Simulation(pod(), nodes=1, now=NOW)
    run.settle()
    old = run.snapshot.get(THE_POD)
    assert isinstance(old, Pod)
    new = replace(old, metadata=replace(old.metadata, uid="another"), status=replace(old.status, container_statuses=()))
    run.loop.observe([Change(THE_POD, old, new)])
    run.settle()
    found = run.snapshot.get(THE_POD)
    assert isinstance(found, Pod)
    assert found.metadata.uid == "another"
    assert found.status.container_statuses[0].container_id != old.status.container_statuses[0].container_id


def test_a_finalizer_keeps_a_pod_that_has_ended():
    manifest = {**pod(), "metadata": {"name": "p", "finalizers": ["example.com/hold"]}}
    run = Simulation(manifest, nodes=1, now=NOW)
    run.settle()
    run.loop.delete(THE_POD)
    run.settle()
    held = run.snapshot.get(THE_POD)
    assert isinstance(held, Pod)
    assert held.metadata.deletion_timestamp
    assert held.status.container_statuses[0].state.running is None
    run.loop.patch(THE_POD, {"metadata": {"finalizers": None}})
    run.settle()
    assert run.snapshot.get(THE_POD) is None


def test_a_service_gets_the_addresses_of_running_pods():
    labelled = {**pod(), "metadata": {"name": "p", "labels": {"app": "web"}}}
    run = Simulation([labelled, service()], nodes=1, now=NOW)
    run.settle()
    (found,) = run.snapshot.objects("EndpointSlice")
    assert isinstance(found, EndpointSlice)
    the_pod = run.snapshot.get(THE_POD)
    assert isinstance(the_pod, Pod)
    assert [endpoint.addresses for endpoint in found.endpoints] == [(the_pod.status.pod_ip,)]


def test_a_claim_whose_node_has_no_room_is_scheduled_again():
    """The scheduler chooses a node for it again, but not round and round; when there is room, the pod gets its node."""
    driver = SimulatedStorage(capacity_bytes=2**30, node_local=True)
    driver.create_volume(VolumeRequest("other", 2**30, node="node-0"))
    start = parse_time(NOW)
    clock = VirtualClock(start)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    local = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local"},
        "provisioner": driver.name,
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    user = pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
    loop = Reconciler([claim, local, user], nodes=1, storage=driver, clock=clock)
    lost = []

    def note(change):
        if change.key == CLAIM and change.old is not None and change.new is not None:
            nodes = [SELECTED_NODE in claim.metadata.annotations for claim in (change.old, change.new)]
            lost.extend([loop.now // SECOND] if nodes == [True, False] else [])

    loop.ws.listen(note)
    for second in range(30):
        clock.set(start + second * SECOND)
        for _ in range(10):
            loop.step()
    assert [at - start // SECOND for at in lost] == [0, 1, 3, 7, 15]
    driver.delete_volume("other")
    clock.set(start + 31 * SECOND)
    loop.run()
    bound = loop.snapshot.get(THE_POD)
    assert isinstance(bound, Pod)
    assert bound.spec.node_name == "node-0"
