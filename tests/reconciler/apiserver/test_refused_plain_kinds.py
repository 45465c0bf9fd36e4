"""What isn't allowed of built-in kinds without a type, by a table of small changes to right objects."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

TABLE = json.loads((Path(__file__).parent / "data" / "refused-plain-kinds.json").read_text())
BUDGETS = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets"
SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SPEC = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def changed(case: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = deepcopy(TABLE["bases"][case["kind"]]["body"])
    *way, last = case["path"]
    parent: Any = body
    for key in way:
        parent = parent[key]
    if "value" in case:
        parent[last] = case["value"]
    else:
        del parent[last]
    return body


def told(status: dict[str, Any]) -> list[str]:
    return [f"{each['field']}: {each['message']}" for each in status["details"]["causes"]]


@pytest.mark.parametrize("kind", TABLE["bases"])
def test_what_the_changes_are_made_to_is_right(cluster: Cluster, kind: str) -> None:
    base = TABLE["bases"][kind]
    assert cluster.call("POST", f"{base['path']}?dryRun=All", base["body"])[0] == 201


@pytest.mark.parametrize(
    "case", TABLE["cases"], ids=lambda case: f"{case['kind']}-{'.'.join(map(str, case['path']))}-{case.get('value')}"
)
def test_a_change_is_refused_with_all_its_causes(cluster: Cluster, case: dict[str, Any]) -> None:
    """In the API server's words and order."""
    path = TABLE["bases"][case["kind"]]["path"]
    code, status = cluster.call("POST", f"{path}?dryRun=All", changed(case))
    assert (code, told(status)) == (422, case["causes"])


@pytest.mark.parametrize(
    ("path", "changes", "causes"),
    [
        (DEPLOYMENTS, {"spec": {**SPEC, "replicas": -1}}, ["spec.replicas"]),
        (SETS, {"spec": {**SPEC, "replicas": -1}}, ["spec.replicas"] * 2),
        (SETS, {"metadata": {"name": "x", "labels": {"a": "!"}}}, ["metadata.labels"] * 4),
        (MAPS, {"metadata": {"name": "x", "labels": {"a": "!"}}}, ["metadata.labels"] * 4),
        (MAPS, {"data": {"!": "x"}}, ["data[!]"]),
        (MAPS, {"metadata": {"name": "x", "finalizers": ["a"]}}, ["metadata.finalizers[0]"] * 2),
        (
            BUDGETS,
            {"metadata": {"name": "x", "labels": {"a": "!"}}, "spec": {"maxUnavailable": -1}},
            ["metadata.labels", "metadata.labels", "spec.maxUnavailable"],
        ),
    ],
)
def test_causes_of_an_update_are_told_as_often_as_they_are_looked_at(
    cluster: Cluster, path: str, changes: dict[str, Any], causes: list[str]
) -> None:
    """By what all kinds have in common, and by the strategy of the kind; the message says each once."""
    body = {"metadata": {"name": "x"}} | ({"spec": SPEC} if path in {SETS, DEPLOYMENTS} else {})
    made = cluster.call("POST", path, body)[1]
    version = cluster.call("GET", f"{path}/x", None)[1]["metadata"]["resourceVersion"] if made else ""
    meta = {**changes.get("metadata", body["metadata"]), "resourceVersion": version}
    code, status = cluster.call("PUT", f"{path}/x", {**body, **changes, "metadata": meta})
    assert (code, [each["field"] for each in status["details"]["causes"]]) == (422, causes)
    assert status["message"].count(": Invalid value") == len(set(causes))


def test_events_of_the_new_api_say_more(cluster: Cluster) -> None:
    """What v1 takes, events.k8s.io refuses."""
    event = {"metadata": {"name": "old-and-new"}, "type": "Normal", "reason": "r"}
    new = {**event, "regarding": {"kind": "Pod", "namespace": NAMESPACE, "name": "p"}}
    old = {**event, "involvedObject": new.pop("regarding")}
    new["regarding"] = old["involvedObject"]
    code, status = cluster.call("POST", f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events", new)
    assert (code, told(status)) == (422, ["eventTime: Required value"])
    assert cluster.call("POST", f"/api/v1/namespaces/{NAMESPACE}/events", old)[0] == 201


def test_templates_of_pods_have_their_defaults_and_are_counted(cluster: Cluster) -> None:
    """As those of workloads; a changed template is another generation."""
    path = f"/api/v1/namespaces/{NAMESPACE}/podtemplates"
    code, made = cluster.call("POST", path, {"metadata": {"name": "t"}, "template": TEMPLATE})
    assert (code, made["metadata"]["generation"]) == (201, 1)
    assert made["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    patch = {"template": {"metadata": {"labels": {"c": "d"}}}}
    answer = cluster.call("PATCH", f"{path}/t", patch, "application/merge-patch+json")[1]
    assert answer["metadata"]["generation"] == 2


def test_a_generation_that_nobody_counts_is_kept(cluster: Cluster) -> None:
    """It can be sent with a new object, and stays."""
    made = cluster.call("POST", MAPS, {"metadata": {"name": "g", "generation": 7}})[1]
    assert made["metadata"]["generation"] == 7
    code, status = cluster.call("POST", MAPS, {"metadata": {"name": "h", "generation": -1}})
    assert (code, status["details"]["causes"][0]["field"]) == (422, "metadata.generation")


def test_claim_templates_are_claims_whatever_they_say(cluster: Cluster) -> None:
    """Their kind and version are the API server's to give."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "v"}, "spec": claim}
    body = {"metadata": {"name": "s"}, "spec": {**SPEC, "serviceName": "s", "volumeClaimTemplates": [template]}}
    code, made = cluster.call("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets", body)
    assert code == 201
    assert made["spec"]["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"
