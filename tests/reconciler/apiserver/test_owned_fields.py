"""What controllers write is in the record of who owns which field, as a client's writes are."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.http import Application
from reconciler.apiserver.options import Sender
from reconciler.apiserver.routes import target
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore

APPLY = "application/apply-patch+yaml"
APPS = "/apis/apps/v1/namespaces/default"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


class Cluster:
    """Sends requests to an application without HTTP; the controllers do what is left to do after each."""

    def __init__(self) -> None:
        api = Api(MemoryStore(), fields=ManagedFields())
        bootstrap(api)
        self._application = Application(api)
        self._control = ControlPlane(api)
        self._control.settle()

    def __call__(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        path, _, text = path.partition("?")
        try:
            answer = self._application.perform(
                target(self._application.api.registry, path, method),
                parse_qs(text),
                b"" if body is None else json.dumps(body).encode(),
                content_type,
                Sender("somebody/1"),
            )
        except ApiError as error:
            return error.to_dict()
        self._control.settle()
        return answer.document


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def owners(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The record: fields by manager and subresource."""
    entries = document["metadata"].get("managedFields", [])
    assert all(entry["time"] for entry in entries)
    return {(entry["manager"], entry.get("subresource", "")): entry["fieldsV1"] for entry in entries}


def test_a_controller_owns_the_status_that_it_reports(cluster: Cluster) -> None:
    """And the revision that it keeps in an annotation, for it writes both at once."""
    cluster("POST", f"{APPS}/deployments", deployment(2))
    record = owners(cluster("GET", f"{APPS}/deployments/web"))
    assert set(record) == {("kube-controller-manager", "status"), ("somebody", "")}
    mine = record["kube-controller-manager", "status"]
    assert mine["f:metadata"] == {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}}
    assert {"f:observedGeneration", "f:replicas", "f:unavailableReplicas"} <= set(mine["f:status"])
    assert 'k:{"type":"Progressing"}' in mine["f:status"]["f:conditions"]


def test_structs_that_are_always_there_have_no_owner(cluster: Cluster) -> None:
    """Go writes them even if they are empty; that holds for kinds without a type here, too."""
    spec = {"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 9}
    body = {"metadata": {"name": "f"}, "spec": spec}
    path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
    cluster("POST", path, body)
    record = owners(cluster("GET", f"{path}/f"))
    assert record["somebody", ""] == {
        "f:spec": {"f:matchingPrecedence": {}, "f:priorityLevelConfiguration": {"f:name": {}}}
    }


def test_what_controllers_made_themselves_has_no_record(cluster: Cluster) -> None:
    """Until somebody else writes to it."""
    cluster("POST", f"{APPS}/deployments", deployment(1))
    (found,) = cluster("GET", f"{APPS}/replicasets")["items"]
    assert owners(found) == {}


def test_to_apply_what_the_autoscaler_has_set_is_a_conflict(cluster: Cluster) -> None:
    """It scales by the subresource scale; who leaves the number of replicas out gives it to it."""
    path = f"{APPS}/deployments/web?fieldManager=one"
    cluster("PATCH", path, deployment(5), APPLY)
    scaler = {
        "metadata": {"name": "web"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }
    cluster("POST", AUTOSCALERS, scaler)
    found = cluster("GET", f"{APPS}/deployments/web")
    assert found["spec"]["replicas"] == 2
    assert owners(found)["kube-controller-manager", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(found)["one", ""]["f:spec"]
    refusal = cluster("PATCH", path, deployment(5), APPLY)
    assert refusal["message"] == (
        'Apply failed with 1 conflict: conflict with "kube-controller-manager" with subresource "scale"'
        " using apps/v1: .spec.replicas"
    )
    without = deployment(5)
    del without["spec"]["replicas"]
    assert cluster("PATCH", path, without, APPLY)["spec"]["replicas"] == 2


CORE = "/api/v1/namespaces/default"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
POD = {"containers": [{"name": "c", "image": "i"}]}


@pytest.mark.parametrize(
    ("path", "body", "part", "fields"),
    [
        (
            f"{CORE}/pods",
            {"metadata": {"name": "x"}, "spec": POD},
            "f:spec",
            {
                "f:containers",
                "f:dnsPolicy",
                "f:enableServiceLinks",
                "f:restartPolicy",
                "f:schedulerName",
                "f:securityContext",
                "f:terminationGracePeriodSeconds",
            },
        ),
        (
            f"{CORE}/services",
            {"metadata": {"name": "x"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}},
            "f:spec",
            {"f:externalTrafficPolicy", "f:internalTrafficPolicy", "f:ports", "f:sessionAffinity", "f:type"},
        ),
        (
            f"{CORE}/persistentvolumeclaims",
            {"metadata": {"name": "x"}, "spec": CLAIM},
            "f:metadata",
            set(),
        ),
        ("/api/v1/namespaces", {"metadata": {"name": "x"}}, "f:metadata", {"f:labels"}),
        ("/api/v1/namespaces", {"metadata": {"name": "x"}}, "f:spec", set()),
        ("/api/v1/nodes", {"metadata": {"name": "x"}}, "f:spec", set()),
        (
            "/apis/batch/v1/namespaces/default/jobs",
            {"metadata": {"name": "x"}, "spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
            "f:metadata",
            set(),
        ),
        (
            f"{APPS}/daemonsets",
            {
                "metadata": {"name": "x"},
                "spec": {
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD},
                },
            },
            "f:metadata",
            {"f:annotations"},
        ),
    ],
)
def test_what_the_server_adds_is_not_its_writers(
    cluster: Cluster, path: str, body: dict[str, Any], part: str, fields: set[str]
) -> None:
    """Defaults are, as they are part of how an object is read; what admission and allocation add is nobody's."""
    found = cluster("POST", path, body)
    assert found["kind"] != "Status", found
    assert set(owners(found).get(("somebody", ""), {}).get(part, {})) - {"."} == fields
