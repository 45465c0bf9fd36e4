"""How messages are read and written in JSON as Go does it: wrong types, forgotten zero values, what is always there."""

from typing import Any

import pytest

from reconciler.apiserver.forms import as_read, complete
from reconciler.apiserver.gotypes import message_fault

CONTAINER = {"name": "c", "image": "i"}
TIME = "2026-01-01T00:00:00Z"
INTO = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    ("message", "value", "fault"),
    [
        ("core.v1.Pod", {"metadata": {"creationTimestamp": TIME}, "spec": {"containers": [CONTAINER]}}, ""),
        (
            "core.v1.Pod",
            {"spec": {"containers": {}}},
            INTO.format("object", "PodSpec.spec.containers", "[]v1.Container"),
        ),
        (
            "core.v1.Pod",
            {"spec": {"containers": [{"name": 5}]}},
            INTO.format("number", "Container.spec.containers.name", "string"),
        ),
        (
            "core.v1.Pod",
            {"spec": {"restartPolicy": 5}},
            INTO.format("number", "PodSpec.spec.restartPolicy", "v1.RestartPolicy"),
        ),
        (
            "core.v1.Pod",
            {"spec": {"containers": [{"resources": {"limits": []}}]}},
            INTO.format("array", "ResourceRequirements.spec.containers.resources.limits", "v1.ResourceList"),
        ),
        ("core.v1.Pod", {"metadata": {"uid": 1}}, INTO.format("number", "ObjectMeta.metadata.uid", "types.UID")),
        (
            "core.v1.Pod",
            {"spec": {"activeDeadlineSeconds": 1.5}},
            INTO.format("number 1.5", "PodSpec.spec.activeDeadlineSeconds", "int64"),
        ),
        (
            "core.v1.Pod",
            {"spec": {"volumes": [{"fc": {"lun": 2**31}}]}},
            INTO.format("number 2147483648", "FCVolumeSource.spec.volumes.fc.lun", "int32"),
        ),
        (
            "core.v1.Service",
            {"spec": {"ports": [{"targetPort": True}]}},
            INTO.format("bool", "ServicePort.spec.ports.targetPort", "int32"),
        ),
        (
            "core.v1.PersistentVolumeClaim",
            {"spec": {"accessModes": [1]}},
            INTO.format("number", "PersistentVolumeClaimSpec.spec.accessModes", "v1.PersistentVolumeAccessMode"),
        ),
        ("core.v1.ConfigMap", {"binaryData": {"a": "!"}}, "illegal base64 data at input byte 0"),
        ("core.v1.Secret", {"data": {"a": 5}}, INTO.format("number", "Secret.data", "[]uint8")),
        (
            "core.v1.Node",
            {"status": {"conditions": [{"lastHeartbeatTime": ""}]}},
            'parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006"',
        ),
        ("coordination.v1.Lease", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}, ""),
        (
            "coordination.v1.Lease",
            {"spec": {"renewTime": TIME}},
            f'parsing time "{TIME}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
        ),
        ("meta.v1.DeleteOptions", {"kind": 5}, ""),
        (
            "apps.v1.StatefulSet",
            {"spec": {"volumeClaimTemplates": [{"kind": 5}]}},
            INTO.format("number", "PersistentVolumeClaim.spec.volumeClaimTemplates.kind", "string"),
        ),
    ],
)
def test_the_first_value_of_a_wrong_type_is_told_as_go_tells_it(message: str, value: Any, fault: str) -> None:
    """By the innermost struct, the path without indexes, and the type's own name."""
    assert message_fault(message, value) == fault


def test_zero_is_nothing_unless_it_is_a_pointer_in_go() -> None:
    """What Go would not write isn't kept; what means something is."""
    sent = {
        "hostNetwork": False,
        "automountServiceAccountToken": False,
        "nodeName": "",
        "dnsConfig": {"nameservers": [], "searches": None},
        "containers": [
            {"name": "c", "tty": False, "securityContext": {"privileged": False, "capabilities": None}, "args": []}
        ],
        "volumes": [{"emptyDir": {}, "nfs": {"server": "s", "path": "", "readOnly": False}}],
        "unknown": None,
    }
    assert as_read("core.v1.PodSpec", sent) == {
        "automountServiceAccountToken": False,
        "dnsConfig": {},
        "containers": [{"name": "c", "securityContext": {"privileged": False}}],
        "volumes": [{"emptyDir": {}, "nfs": {"server": "s", "path": ""}}],
        "unknown": None,
    }


def test_what_is_as_go_would_write_it_is_not_copied() -> None:
    """So that most objects cost nothing."""
    sent = {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {}}]}
    assert as_read("core.v1.PodSpec", sent) is sent


def test_times_are_written_in_utc() -> None:
    """With six digits behind the second where Go has a MicroTime."""
    assert as_read("core.v1.Event", {"eventTime": "2026-01-01T01:00:00.5+01:00"}) == {
        "eventTime": "2026-01-01T00:00:00.500000Z"
    }
    assert as_read("meta.v1.ObjectMeta", {"creationTimestamp": "2026-01-01T01:00:00+01:00"}) == {
        "creationTimestamp": TIME
    }


@pytest.mark.parametrize(
    ("message", "document", "whole"),
    [
        ("networking.v1.Ingress", {}, {"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        ("rbac.v1.ClusterRole", {"metadata": {}}, {"metadata": {}, "rules": None}),
        ("core.v1.TypedLocalObjectReference", {"kind": "K"}, {"apiGroup": None, "kind": "K", "name": ""}),
        ("core.v1.PodSecurityContext", {"sysctls": [{"name": "a"}]}, {"sysctls": [{"name": "a", "value": ""}]}),
        ("core.v1.ContainerImage", {}, {"names": None}),
        ("core.v1.PreferredSchedulingTerm", {"weight": 1}, {"weight": 1, "preference": {}}),
    ],
)
def test_what_go_writes_though_it_is_empty_is_there(message: str, document: Any, whole: Any) -> None:
    """Structs, lists without ``omitempty``, pointers without it, and scalars."""
    complete(message, document)
    document.setdefault("metadata", {}) if "metadata" in whole else None
    assert document == whole
