"""The class of a pod, in the cases of Kubernetes' own table (pkg/apis/core/v1/helper/qos/qos_test.go)."""

from __future__ import annotations

import pytest

from state.objects import Container, PodSpec, ResourceRequirements
from state.qos import qos_class


def container(requests=None, limits=None):
    return Container(name="c", resources=ResourceRequirements(requests=requests or {}, limits=limits or {}))


FULL = {"cpu": "100m", "memory": "100Mi"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([Container(name="c")], "BestEffort"),
        ([container()], "BestEffort"),
        ([container({"cpu": "0", "memory": 0}, {"cpu": "0"})], "BestEffort"),
        ([container({"example.com/gpu": "1"}, {"example.com/gpu": "1"})], "BestEffort"),
        ([container({"ephemeral-storage": "1Gi"})], "BestEffort"),
        ([container(FULL, FULL)], "Guaranteed"),
        ([container({}, FULL)], "Guaranteed"),
        ([container({"cpu": "0.1", "memory": "104857600"}, FULL)], "Guaranteed"),
        ([container(FULL | {"example.com/gpu": "1"}, FULL | {"example.com/gpu": "1"})], "Guaranteed"),
        ([container(FULL, FULL), container(FULL, FULL)], "Guaranteed"),
        ([container(FULL, FULL), container()], "Burstable"),
        ([container({"cpu": "50m"}, FULL)], "Burstable"),
        ([container({"cpu": "0"} | {"memory": "100Mi"}, FULL)], "Burstable"),
        ([container({}, {"cpu": "100m"})], "Burstable"),
        ([container({"cpu": "100m"})], "Burstable"),
        ([container({}, FULL | {"cpu": "0"})], "Burstable"),
    ],
)
def test_the_class_follows_from_cpu_and_memory_of_all_containers(containers, expected):
    assert qos_class(PodSpec(containers=tuple(containers))) == expected


def test_init_containers_count():
    spec = PodSpec(containers=(container(FULL, FULL),), init_containers=(container(),))
    assert qos_class(spec) == "Burstable"


def test_resources_of_the_whole_pod_decide_alone():
    spec = PodSpec(containers=(container(),), resources=ResourceRequirements(requests=FULL, limits=FULL))
    assert qos_class(spec) == "Guaranteed"
    assert qos_class(PodSpec(resources=ResourceRequirements(requests={"cpu": "1"}))) == "Burstable"
