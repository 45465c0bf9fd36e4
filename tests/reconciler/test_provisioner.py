"""external-provisioner's decisions, and carrying them out with a storage driver."""

import pytest

from reconciler.drivers.faults import Fault
from reconciler.drivers.storage.base import Volume, VolumeRequest
from reconciler.drivers.storage.directory import DirectoryStorage
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.provisioner import Provisioner, provisioned_volume, to_provision, to_reclaim
from state.objects import (
    CSIPersistentVolumeSource,
    HostPathVolumeSource,
    LabelSelector,
    ObjectMeta,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    StorageClass,
    TypedLocalObjectReference,
    VolumeResourceRequirements,
    replace,
)

DRIVER = "simulated.reconciler"
SECOND = 1_000_000
GIB = 2**30


def storage_class(name="standard", **fields):
    fields = {"provisioner": DRIVER, "reclaim_policy": "Delete", "volume_binding_mode": "Immediate", **fields}
    return StorageClass(metadata=ObjectMeta(name=name), **fields)


def claim(name="data", *, provisioner=DRIVER, node="", size="1Gi", deleted=None, **spec):
    annotations = {"volume.kubernetes.io/storage-provisioner": provisioner} if provisioner else {}
    if node:
        annotations["volume.kubernetes.io/selected-node"] = node
    fields = {"access_modes": ("ReadWriteOnce",), "storage_class_name": "standard", "volume_mode": "Filesystem", **spec}
    return PersistentVolumeClaim(
        metadata=ObjectMeta(
            name=name, namespace="default", uid=f"uid-{name}", annotations=annotations, deletion_timestamp=deleted
        ),
        spec=PersistentVolumeClaimSpec(resources=VolumeResourceRequirements(requests={"storage": size}), **fields),
    )


def volume(name="pv", *, phase="Released", policy="Delete", driver=DRIVER, provisioned_by=DRIVER, **spec):
    csi = CSIPersistentVolumeSource(driver=driver, volume_handle=name) if driver else None
    return PersistentVolume(
        metadata=ObjectMeta(
            name=name, annotations={"pv.kubernetes.io/provisioned-by": provisioned_by} if provisioned_by else {}
        ),
        spec=PersistentVolumeSpec(csi=csi, persistent_volume_reclaim_policy=policy, **spec),
        status=PersistentVolumeStatus(phase=phase),
    )


def by_name(*objects):
    return {it.metadata.name: it for it in objects}


def decide(*claims, classes=None, volumes=()):
    tasks, refusals = to_provision(claims, by_name(classes or storage_class()), by_name(*volumes), DRIVER.__eq__)
    return [task.request for task in tasks], [refusal.message for refusal in refusals]


def test_a_claim_that_waits_for_us_gets_a_volume():
    """Name, size, modes and parameters are the claim's and its class's; parameters for sidecars stay out."""
    parameters = {"type": "fast", "csi.storage.k8s.io/fstype": "ext4"}
    requests, refusals = decide(claim(), classes=storage_class(parameters=parameters))
    assert requests == [VolumeRequest("pvc-uid-data", GIB, ("ReadWriteOnce",), {"type": "fast"})]
    assert refusals == []


def test_the_older_annotation_counts_too():
    """As it was before Kubernetes 1.23."""
    old = replace(
        claim(provisioner=""),
        metadata=ObjectMeta(
            name="data",
            namespace="default",
            uid="uid-data",
            annotations={"volume.beta.kubernetes.io/storage-provisioner": DRIVER},
        ),
    )
    assert len(decide(old)[0]) == 1


@pytest.mark.parametrize(
    "waiting",
    [
        claim(provisioner=""),
        claim(provisioner="ebs.csi.aws.com"),
        claim(volume_name="pv"),
        claim(deleted="2026-01-01T00:00:00Z"),
    ],
    ids=["no provisioner", "another provisioner", "bound", "being deleted"],
)
def test_other_claims_are_left_alone(waiting):
    """No volume, no complaint."""
    assert decide(waiting) == ([], [])


def test_a_claim_whose_volume_is_there_waits_for_the_binder():
    """It is not made twice."""
    assert decide(claim(), volumes=[volume("pvc-uid-data", phase="Available")]) == ([], [])


def test_wait_for_first_consumer_waits_for_the_selected_node():
    """Then the volume is made for that node."""
    waits = storage_class(volume_binding_mode="WaitForFirstConsumer")
    assert decide(claim(), classes=waits) == ([], [])
    (request,), _ = decide(claim(node="node-1"), classes=waits)
    assert request.node == "node-1"


@pytest.mark.parametrize(
    ("impossible", "message"),
    [
        (claim(storage_class_name="gone"), 'storageclass.storage.k8s.io "gone" not found'),
        (claim(selector=LabelSelector(match_labels={"a": "b"})), "claim Selector is not supported"),
        (claim(volume_mode="Block"), "raw block volumes are not supported"),
        (
            claim(data_source=TypedLocalObjectReference(kind="VolumeSnapshot", name="snap")),
            "claim data source is not supported",
        ),
    ],
)
def test_what_cannot_be_provisioned_says_why(impossible, message):
    """In the provisioner's words."""
    requests, (said,) = decide(impossible)
    assert requests == []
    assert said in {message, f'failed to provision volume with StorageClass "standard": {message}'}


def test_the_persistent_volume_is_what_external_provisioner_makes():
    """Bound in advance to the claim, reachable where the driver says."""
    fast = storage_class("fast", reclaim_policy="Retain", mount_options=("noatime",), provisioner="cloud.example")
    wanted = claim(storage_class_name="fast", provisioner="cloud.example", node="node-1")
    (task,), _ = to_provision([wanted], by_name(fast), {}, lambda _: True)
    made = Volume("handle-1", 3 * GIB, ("ReadWriteOnce",), {}, {"kubernetes.io/hostname": "node-1"})
    stored = provisioned_volume(task, made, DRIVER)
    assert (stored.metadata.name, stored.spec.capacity) == ("pvc-uid-data", {"storage": "3Gi"})
    assert stored.metadata.annotations == {"pv.kubernetes.io/provisioned-by": "cloud.example"}
    assert stored.spec.claim_ref == ObjectReference(
        api_version="v1", kind="PersistentVolumeClaim", namespace="default", name="data", uid="uid-data"
    )
    assert (stored.spec.csi.driver, stored.spec.csi.volume_handle) == (DRIVER, "handle-1")
    assert (stored.spec.persistent_volume_reclaim_policy, stored.spec.storage_class_name) == ("Retain", "fast")
    assert (stored.spec.access_modes, stored.spec.mount_options) == (("ReadWriteOnce",), ("noatime",))
    (term,) = stored.spec.node_affinity.required.node_selector_terms
    (expression,) = term.match_expressions
    assert (expression.key, expression.operator, expression.values) == ("kubernetes.io/hostname", "In", ("node-1",))


def test_a_volume_that_every_node_reaches_has_no_node_affinity():
    """Pods may run anywhere."""
    (task,), _ = to_provision([claim()], by_name(storage_class()), {}, lambda _: True)
    assert provisioned_volume(task, Volume("h", GIB), DRIVER).spec.node_affinity is None


def test_released_volumes_are_reclaimed_as_their_policy_says():
    """Retained ones are kept, and so are those that are not released."""
    volumes = [
        volume("a"),
        volume("b", policy="Recycle"),
        volume("c", policy="Retain"),
        volume("d", phase="Bound"),
        volume("e", phase="Available"),
        volume("f", driver="ebs.csi.aws.com", provisioned_by="ebs.csi.aws.com"),
        volume("g", provisioned_by=""),
    ]
    tasks, refusals = to_reclaim(volumes, DRIVER, DRIVER.__eq__)
    assert [(task.handle, task.policy) for task in tasks] == [("a", "Delete"), ("b", "Recycle"), ("g", "Delete")]
    assert refusals == []


def test_a_volume_that_nothing_can_delete_or_recycle_says_so():
    """As the volume controller does."""
    host_path = HostPathVolumeSource(path="/srv/data")
    volumes = [
        volume(policy, driver="", provisioned_by="", policy=policy, host_path=host_path)
        for policy in ("Delete", "Recycle", "Retain")
    ]
    tasks, refusals = to_reclaim(volumes, DRIVER, DRIVER.__eq__)
    assert tasks == []
    assert [(refusal.reason, refusal.message) for refusal in refusals] == [
        (
            "VolumeFailedDelete",
            'error getting deleter volume plugin for volume "Delete": no deletable volume plugin matched',
        ),
        ("VolumeFailedRecycle", "No recycler plugin found for the volume!"),
    ]


def test_a_volume_lives_from_its_claim_to_its_deletion(tmp_path):
    """With real directories: made, stored, released, deleted with its data."""
    driver = DirectoryStorage(tmp_path / "storage")
    provisioner = Provisioner(driver)
    classes = by_name(storage_class(provisioner=driver.name))
    waiting = claim(provisioner=driver.name)
    try:
        (stored,) = provisioner.sync([waiting], classes, {}, 0).provisioned
        assert provisioner.sync([waiting], classes, by_name(stored), 0) == provisioner.sync([], classes, {}, 0)
        assert [made.handle for made in driver.list_volumes()] == [stored.spec.csi.volume_handle]
        released = replace(stored, status=PersistentVolumeStatus(phase="Released"))
        report = provisioner.sync([], classes, by_name(released), 0)
        assert report.deleted == (released,)
        assert driver.list_volumes() == ()
    finally:
        driver.close()


def test_a_recycled_volume_is_scrubbed_and_kept():
    """Its data is gone, it can be claimed again."""
    driver = SimulatedStorage()
    driver.create_volume(VolumeRequest("pv", GIB))
    driver.files("pv")["secret"] = b"x"
    released = volume(policy="Recycle")
    assert Provisioner(driver).sync([], {}, by_name(released), 0).recycled == (released,)
    assert driver.files("pv") == {}


def test_a_volume_made_but_never_stored_is_found_again():
    """The reconciler was killed in between, or the answer was lost: one volume, not two."""
    driver = SimulatedStorage()
    driver.faults.add(Fault("create_volume", after=True))
    provisioner = Provisioner(driver)
    classes = by_name(storage_class())
    report = provisioner.sync([claim()], classes, {}, 0)
    assert (report.provisioned, report.retry_at) == ((), SECOND)
    for again in (provisioner, Provisioner(driver)):
        assert len(again.sync([claim()], classes, {}, SECOND).provisioned) == 1
    assert len(driver.list_volumes()) == 1


def test_failures_are_reported_and_tried_again_later():
    """With the driver's error, and less and less often."""
    driver = SimulatedStorage()
    driver.faults.add(Fault("create_volume", times=2, message="disk on fire"))
    provisioner = Provisioner(driver)
    classes = by_name(storage_class())
    message = (
        'failed to provision volume with StorageClass "standard": '
        "rpc error: code = Internal desc = create_volume pvc-uid-data: disk on fire"
    )
    for now, retry_at in ((0, SECOND), (SECOND - 1, SECOND), (SECOND, 3 * SECOND)):
        report = provisioner.sync([claim()], classes, {}, now)
        assert [(it.message, it.reason) for it in report.failures] == [(message, "ProvisioningFailed")]
        assert report.retry_at == retry_at
    report = provisioner.sync([claim()], classes, {}, 3 * SECOND)
    assert (len(report.provisioned), report.failures) == (1, ())


def test_a_node_without_room_asks_for_another_one():
    """Only where a node was selected: elsewhere there is nothing to choose."""
    driver = SimulatedStorage(capacity_bytes=GIB, node_local=True)
    waits = storage_class(volume_binding_mode="WaitForFirstConsumer")
    wanted = claim(size="2Gi", node="node-1")
    assert Provisioner(driver).sync([wanted], by_name(waits), {}, 0).rescheduled == (wanted,)
    report = Provisioner(driver).sync([claim(size="2Gi")], by_name(storage_class()), {}, 0)
    assert (report.rescheduled, len(report.failures)) == ((), 1)


def test_a_claim_that_gets_another_node_is_tried_less_and_less_often():
    """Or else scheduler and provisioner would send it round and round. While it has no node nothing is due."""
    driver = SimulatedStorage(capacity_bytes=GIB, node_local=True)
    waits = by_name(storage_class(volume_binding_mode="WaitForFirstConsumer"))
    provisioner = Provisioner(driver)
    here, nowhere = claim(size="2Gi", node="node-1"), claim(size="2Gi")
    for now, rescheduled, retry_at in ((0, (here,), SECOND), (1, (), SECOND), (SECOND, (here,), 3 * SECOND)):
        report = provisioner.sync([here], waits, {}, now)
        assert (report.rescheduled, report.retry_at) == (rescheduled, retry_at)
        report = provisioner.sync([nowhere], waits, {}, now)
        assert (report.rescheduled, report.failures, report.retry_at) == ((), (), None)
    provisioner.sync([], waits, {}, SECOND)
    assert provisioner.sync([here], waits, {}, SECOND).rescheduled == (here,), "another claim begins anew"


def test_a_volume_that_is_still_used_is_deleted_later():
    """The driver refuses; the failure names who has it."""
    driver = SimulatedStorage()
    driver.create_volume(VolumeRequest("pv", GIB))
    driver.controller_publish("pv", "node-1")
    provisioner = Provisioner(driver)
    report = provisioner.sync([], {}, by_name(volume()), 0)
    assert [(it.reason, it.message) for it in report.failures] == [
        ("VolumeFailedDelete", "rpc error: code = FailedPrecondition desc = volume pv is attached to node-1")
    ]
    driver.controller_unpublish("pv", "node-1")
    assert provisioner.sync([], {}, by_name(volume()), report.retry_at).deleted == (volume(),)


def test_a_stand_in_serves_other_provisioners_but_never_none():
    """So that manifests of other clusters run here."""
    provisioner = Provisioner(SimulatedStorage(), stand_in=True)
    assert provisioner.serves("ebs.csi.aws.com")
    assert provisioner.serves(DRIVER)
    assert not provisioner.serves("")
    assert not provisioner.serves("kubernetes.io/no-provisioner")
    cloud = storage_class(provisioner="ebs.csi.aws.com")
    (stored,) = provisioner.sync([claim(provisioner="ebs.csi.aws.com")], by_name(cloud), {}, 0).provisioned
    assert stored.spec.csi.driver == DRIVER
    released = replace(stored, status=PersistentVolumeStatus(phase="Released"))
    assert provisioner.sync([], {}, by_name(released), 0).deleted == (released,)


def test_a_fault_of_something_else_than_storage_is_not_swallowed():
    """A defect in a driver surfaces."""
    driver = SimulatedStorage()
    driver.create_volume = lambda _request: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Provisioner(driver).sync([claim()], by_name(storage_class()), {}, 0)
