"""IPAddresses are named by their address as Go prints it; ranges for Services are written so, too."""

import pytest

from tests.reconciler.apiserver.recorded_requests import Cluster

GROUP = "/apis/networking.k8s.io/v1"
PARENT = {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}
ONE_OF_EACH = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def told(cluster: Cluster, path: str, body: dict) -> list[str]:
    code, answer = cluster.call("POST", f"{GROUP}/{path}?dryRun=All", body)
    if code == 201:
        return []
    return [f"{each['field']}: {each['message']}" for each in answer["details"]["causes"]]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("2001:db8::1", None),
        ("192.0.2.1", None),
        ("192.0.2.01", "must not have leading 0s"),
        ("2001:DB8::1", 'must be in canonical form ("2001:db8::1")'),
        ("a", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_the_name_of_an_address(cluster: Cluster, name: str, fault: str | None) -> None:
    expected = [] if fault is None else [f'metadata.name: Invalid value: "{name}": {fault}']
    assert told(cluster, "ipaddresses", {"metadata": {"name": name}, "spec": PARENT}) == expected


@pytest.mark.parametrize(
    ("ranges", "faults"),
    [
        (["192.0.2.0/24", "2001:db8::/64"], []),
        ([], ["spec.cidrs: Required value: at least one CIDR required"]),
        (
            ["192.0.2.0/24", "192.0.3.0/24"],
            [f'spec.cidrs: Invalid value: {{"CIDRs":["192.0.2.0/24","192.0.3.0/24"]}}: {ONE_OF_EACH}'],
        ),
        (
            ["2001:DB8::/64"],
            ['spec.cidrs[0]: Invalid value: "2001:DB8::/64": must be in canonical form ("2001:db8::/64")'],
        ),
    ],
)
def test_ranges_for_services(cluster: Cluster, ranges: list[str], faults: list[str]) -> None:
    assert told(cluster, "servicecidrs", {"metadata": {"name": "c"}, "spec": {"cidrs": ranges}}) == faults
