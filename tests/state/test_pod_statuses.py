"""What kube-apiserver 1.36 refuses of a pod's status that is reported."""

import pytest

from state.load import from_dict
from state.validation.statuses import status_problems

GONE = "may not be transitioned to non-terminated state"
UNKNOWN = "must match the name of an entry in `spec.resourceClaims`"
FAMILIES = "may specify no more than one IP for each IP family"


def pod(status, **spec):
    spec = {
        "containers": [{"name": "c", "image": "i"}, {"name": "own", "image": "i", "restartPolicy": "Always"}],
        **spec,
    }
    return from_dict({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec, "status": status})


def problems(new, old=None, **spec):
    return [str(each) for each in status_problems(pod(new, **spec), pod(old or {}, **spec))]


def ended(name="c", code=0):
    return {"name": name, "state": {"terminated": {"exitCode": code}}}


def runs(name="c"):
    return {"name": name, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}, {"type": "example.com/fed", "status": "True"}]}, []),
        ({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "podIP": "10.0.0.1"}, []),
        (
            {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]},
            [
                f'status.podIPs: Invalid value: [{{"IP":"10.0.0.1"}},{{"IP":"10.0.0.1"}}]: {FAMILIES}',
                'status.podIPs[1]: Duplicate value: {"IP":"10.0.0.1"}',
            ],
        ),
        (
            {"hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.2"}]},
            ['status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`'],
        ),
        (
            {"resourceClaimStatuses": [{"name": "gpu"}]},
            [
                f'status.resourceClaimStatuses[0].name: Invalid value: "gpu": {UNKNOWN}',
            ],
        ),
    ],
)
def test_a_status_by_itself(status, told):
    """Addresses are one of each family at most, claims those of the pod."""
    assert problems(status) == told


def test_a_condition_has_a_qualified_name():
    """Its path is the API server's."""
    (problem,) = problems({"conditions": [{"type": "well fed", "status": "True"}]})
    assert problem.startswith('metadata.conditions[0].Type: Invalid value: "well fed": name part must consist of')


def test_an_address_is_one():
    """What is none is told, and no more of the list."""
    (problem,) = problems({"podIPs": [{"ip": "ten"}, {"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]})
    assert problem.startswith('status.podIPs[0].ip: Invalid value: "ten"')


def test_the_class_of_service_stays():
    """It follows from the specification."""
    told = problems({"qosClass": "Guaranteed"}, {"qosClass": "BestEffort"})
    assert told == ['status.qosClass: Invalid value: "Guaranteed": field is immutable']


@pytest.mark.parametrize(
    ("policy", "before", "after", "told"),
    [
        ("Always", ended(), runs(), []),
        ("OnFailure", ended(code=1), runs(), []),
        ("OnFailure", ended(), runs(), [f"status.containerStatuses[0].state: Forbidden: {GONE}"]),
        ("Never", ended(code=1), runs(), [f"status.containerStatuses[0].state: Forbidden: {GONE}"]),
        ("Never", ended(code=1), ended(code=1), []),
        ("Never", ended("own"), runs("own"), []),
        ("Never", runs(), runs(), []),
    ],
)
def test_what_has_ended_stays_so(policy, before, after, told):
    """Unless it is to be started again, by the pod's policy or its own."""
    old, new = {"containerStatuses": [before]}, {"containerStatuses": [after]}
    assert problems(new, old, restartPolicy=policy) == told


def test_a_debugging_container_is_never_started_again():
    """Whatever the pod's policy."""
    old, new = {"ephemeralContainerStatuses": [ended("d", 1)]}, {"ephemeralContainerStatuses": [runs("d")]}
    assert problems(new, old) == [f"status.ephemeralContainerStatuses[0].state: Forbidden: {GONE}"]


def test_a_container_that_restarts_all_others_frees_them():
    """Then nothing that has ended needs to stay so."""
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    watcher = {"name": "w", "image": "i", "restartPolicy": "Never", "restartPolicyRules": [rule]}
    old, new = {"containerStatuses": [ended()]}, {"containerStatuses": [runs()]}
    containers = [{"name": "c", "image": "i"}, watcher]
    assert problems(new, old, restartPolicy="Never", containers=containers) == []
