"""Webhooks: asked over HTTPS about writes, before and after validation."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.writer import Sent
from tests.reconciler.apiserver.policies.hook_server import Hook
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

Json = dict[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
KINDS = {"mutating": "mutatingwebhookconfigurations", "validating": "validatingwebhookconfigurations"}
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
MERGE = "application/merge-patch+json"


@pytest.fixture
def hook(tmp_path) -> Iterator[Hook]:
    made = Hook(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def webhook(client: Json, name: str = "w.example.com", **more: Any) -> Json:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]
    usual = {"rules": rules, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"name": name, "clientConfig": client, **usual, **more}


def configure(cluster: Cluster, kind: str, *hooks: Json) -> None:
    cluster.must("POST", f"{ADMISSION}/{KINDS[kind]}", {"metadata": {"name": kind}, "webhooks": list(hooks)})


def create(cluster: Cluster, name: str = "m", query: str = "", **data: str) -> tuple[int, Json]:
    return cluster.call("POST", f"{MAPS}{query}", {"metadata": {"name": name}, "data": data})


def patched(*operations: Json) -> Json:
    return {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(operations).encode()).decode(),
    }


@pytest.mark.parametrize(
    ("response", "code", "reason", "message"),
    [
        ({"allowed": False}, 400, None, " denied the request without explanation"),
        ({"allowed": False, "status": {"message": "not so"}}, 400, None, " denied the request: not so"),
        (
            {"allowed": False, "status": {"message": "no", "code": 403, "reason": "Forbidden"}},
            403,
            "Forbidden",
            " denied the request: no",
        ),
        ({"allowed": False, "status": {"reason": "Conflict"}}, 400, "Conflict", " denied the request: Conflict"),
    ],
)
def test_what_a_refusal_says(cluster, hook, response, code, reason, message):
    """The webhook's own code, reason and message, with its name."""
    configure(cluster, "validating", webhook(hook.client))
    hook.answer = lambda _: response
    found, answer = create(cluster)
    assert (found, answer.get("reason"), answer["message"]) == (
        code,
        reason,
        f'admission webhook "w.example.com"{message}',
    )
    assert hook.paths == ["/admit?timeout=10s"]


def test_what_it_is_asked(cluster, hook):
    """An AdmissionRequest, with both objects; it sees what mutating ones did, and the whole of a deletion."""
    configure(cluster, "validating", webhook(hook.client))
    create(cluster, a="1")
    cluster.must("PATCH", f"{MAPS}/m?fieldManager=f", {"data": {"a": "2"}}, MERGE)
    cluster.must("DELETE", f"{MAPS}/m")
    created, updated, deleted = hook.asked
    assert created["operation"] == "CREATE"
    assert created["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert created["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (created["name"], created["namespace"], created["dryRun"]) == ("m", NAMESPACE, False)
    assert created["userInfo"]["username"] == "system:anonymous"
    assert created["oldObject"] is None
    assert created["object"]["metadata"]["uid"]
    assert [updated[name]["data"]["a"] for name in ("oldObject", "object")] == ["1", "2"]
    assert updated["options"]["fieldManager"] == "f"
    assert updated["options"]["kind"] == "UpdateOptions"
    assert (deleted["operation"], deleted["object"], deleted["oldObject"]["data"]) == ("DELETE", None, {"a": "2"})


def test_an_object_as_it_was_patched_is_stored(cluster, hook):
    """And shown to the next, to validating ones, and validated."""
    configure(cluster, "mutating", webhook(hook.client), webhook(hook.client, "x.example.com"))
    hook.answer = lambda request: (
        patched({"op": "add", "path": "/data", "value": {"one": "1"}})
        if "data" not in request["object"]
        else patched({"op": "add", "path": "/data/two", "value": "2"})
    )
    code, answer = create(cluster)
    assert (code, answer["data"]) == (201, {"one": "1", "two": "2"})
    hook.answer = lambda _: patched({"op": "add", "path": "/metadata/labels", "value": {"-": "x"}})
    code, answer = create(cluster, "n")
    assert (code, answer["reason"]) == (422, "Invalid")
    hook.answer = lambda _: patched({"op": "remove", "path": "/none"})
    code, answer = create(cluster, "n")
    assert (code, answer["reason"]) == (500, "InternalError")


def test_one_that_wants_to_is_asked_again(cluster, hook):
    """If another changed the object after it."""
    again = webhook(hook.client, "a.example.com", reinvocationPolicy="IfNeeded")
    configure(cluster, "mutating", again, webhook({**hook.client, "url": hook.client["url"] + "/second"}))
    hook.answer = lambda request: {"allowed": True}
    create(cluster)
    assert len(hook.asked) == 2
    hook.answer = lambda request: (
        patched({"op": "add", "path": "/data", "value": {"second": "1"}})
        if "/second" in hook.paths[-1]
        else {"allowed": True}
    )
    hook.paths.clear()
    create(cluster, "n")
    assert [path.partition("?")[0] for path in hook.paths] == ["/admit", "/admit/second", "/admit"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, b""), "failed to call webhook: the server could not find the requested resource"),
        (
            (500, b"oh"),
            'failed to call webhook: an error on the server ("oh") has prevented the request from succeeding',
        ),
        ((200, b"{"), "failed to call webhook: couldn't get version/kind; json parse error"),
        (
            (200, b'{"kind":"Pod","apiVersion":"v1"}'),
            "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview",
        ),
        ({"uid": "other", "allowed": True}, "received invalid webhook response: expected response.uid="),
        (
            {"allowed": True, "patch": "W10="},
            "received invalid webhook response: webhook returned response.patch but not response.patchType",
        ),
    ],
)
def test_failures(cluster, hook, answer, why):
    """They refuse, or don't matter, by failurePolicy."""
    configure(cluster, "mutating", webhook(hook.client))
    hook.answer = lambda _: answer
    code, told = create(cluster)
    assert (code, told["reason"]) == (500, "InternalError")
    assert told["message"].startswith(f'Internal error occurred: failed calling webhook "w.example.com": {why}')
    path = f"{ADMISSION}/{KINDS['mutating']}/mutating"
    cluster.must("PATCH", path, [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], JSON)
    assert create(cluster)[0] == 201


JSON = "application/json-patch+json"


def test_who_cannot_be_reached_or_trusted(cluster, hook):
    """In Go's words."""
    url = hook.client["url"]
    configure(cluster, "validating", webhook({"url": url}))
    _, told = create(cluster)
    assert told["message"].endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")
    path = f"{ADMISSION}/{KINDS['validating']}/validating"

    def point(client: Json) -> str:
        cluster.must("PATCH", path, [{"op": "replace", "path": "/webhooks/0/clientConfig", "value": client}], JSON)
        return create(cluster)[1]["message"]

    refused = point({"url": "https://127.0.0.1:9/x"})
    assert refused == (
        'Internal error occurred: failed calling webhook "w.example.com": failed to call webhook: Post '
        '"https://127.0.0.1:9/x?timeout=10s": dial tcp 127.0.0.1:9: connect: connection refused'
    )
    service = {
        "service": {"namespace": "default", "name": "hook", "path": "/there"},
        "caBundle": hook.client["caBundle"],
    }
    assert point(service).endswith('Post "https://hook.default.svc:443/there?timeout=10s": service "hook" not found')
    spec = {"ports": [{"port": 443, "targetPort": hook.port}]}
    cluster.must("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": spec})
    assert point(service).endswith('no endpoints available for service "hook"')
    slice_ = {
        "metadata": {
            "name": "hook",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "hook"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],  # which no client may say: hence past validation
        "ports": [{"port": hook.port}],
    }
    resource = cluster.api.registry.of_table("EndpointSlice")
    cluster.api.storage.create(resource, cluster.api.writer.decoder.manifest(slice_, resource).object)
    cluster.must("PATCH", path, [{"op": "replace", "path": "/webhooks/0/clientConfig", "value": service}], JSON)
    assert create(cluster)[0] == 201
    assert hook.paths == ["/there?timeout=10s"]


def test_one_that_takes_too_long(cluster, hook):
    """It has timeoutSeconds."""
    configure(cluster, "validating", webhook(hook.client, timeoutSeconds=1))
    done = threading.Event()
    hook.answer = lambda _: done.wait(5) and {"allowed": True}
    _, told = create(cluster)
    done.set()
    assert told["message"].endswith('?timeout=1s": context deadline exceeded')


def test_dry_runs_conditions_and_warnings(cluster, hook):
    """A dry run says that it is one; conditions are expressions; warnings reach the client."""
    conditions = [{"name": "c", "expression": "object.metadata.name != 'free'"}]
    configure(cluster, "validating", webhook(hook.client, matchConditions=conditions))
    assert create(cluster, "free")[0] == 201
    assert hook.asked == []
    assert create(cluster, query="?dryRun=All")[0] == 201
    assert (hook.asked[0]["dryRun"], hook.asked[0]["options"]["dryRun"]) == (True, ["All"])
    hook.answer = lambda _: {"allowed": True, "warnings": ["mind"]}
    resource = cluster.api.registry.of_kind("v1", "ConfigMap")
    manifest = {"metadata": {"name": "m"}, "apiVersion": "v1", "kind": "ConfigMap"}
    decoded = cluster.api.writer.decoder.manifest(manifest, resource)
    assert cluster.api.writer.create(Place(resource, NAMESPACE), Sent.of(decoded, WriteOptions())).warnings == ("mind",)


def test_a_sidecar_is_put_into_the_pods_of_controllers(cluster, hook):
    """As meshes do."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    configure(cluster, "mutating", webhook(hook.client, rules=rules))
    sidecar = {"name": "side", "image": "side:1"}
    hook.answer = lambda _: patched({"op": "add", "path": "/spec/containers/-", "value": sidecar})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
    cluster.must("POST", path, {"metadata": {"name": "r"}, "spec": spec})
    cluster.control.settle()
    pods = cluster.must("GET", PODS)["items"]
    assert [[each["name"] for each in pod["spec"]["containers"]] for pod in pods] == [["c", "side"]] * 2
    assert {each["userInfo"]["username"] for each in hook.asked} == {
        "system:serviceaccount:kube-system:replicaset-controller"
    }


def test_what_is_counted(cluster, hook):
    """Under kube-apiserver's names."""
    configure(cluster, "validating", webhook(hook.client))
    hook.answer = lambda _: {"allowed": False}
    create(cluster)
    lines = [line for each in cluster.api.writer.configured.metrics.families for line in each.samples()]
    about = 'name="w.example.com",type="validating",operation="CREATE"'
    assert (
        f'apiserver_admission_webhook_rejection_count{{{about},error_type="no_error",rejection_code="400"}} 1' in lines
    )
    assert f'apiserver_admission_webhook_request_total{{{about},code="200",rejected="true"}} 1' in lines


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"name": "short"}, "name", "should be a domain with at least three segments separated by dots"),
        ({"sideEffects": "Some"}, "sideEffects", 'Unsupported value: "Some"'),
        ({"timeoutSeconds": 31}, "timeoutSeconds", "the timeout value must be between 1 and 30 seconds"),
        ({"admissionReviewVersions": ["v9"]}, "admissionReviewVersions", "must include at least one of v1, v1beta1"),
        ({"clientConfig": {}}, "clientConfig", "exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://x"}}, "clientConfig.url", "'https' is the only allowed URL scheme"),
        ({"clientConfig": {"url": "https://[x"}}, "clientConfig.url", "url must be a valid URL"),
        ({"clientConfig": {"url": "https://x:99999"}}, "clientConfig.url", "url must be a valid URL"),
        ({"rules": [{"operations": ["*", "CREATE"]}]}, "rules[0].operations", "if '*' is present"),
        ({"matchConditions": [{"name": "c", "expression": "nope"}]}, "matchConditions[0].expression", "undeclared"),
    ],
)
def test_what_is_no_webhook(cluster, change, path, message):
    """As admissionregistration's validation has it."""
    hook = {**webhook({"url": "https://x"}), **change}
    body = {"metadata": {"name": "w"}, "webhooks": [hook]}
    code, answer = cluster.call("POST", f"{ADMISSION}/{KINDS['validating']}", body)
    assert code == 422
    cause = next(each for each in answer["details"]["causes"] if each["field"] == f"webhooks[0].{path}")
    assert message in cause["message"]
