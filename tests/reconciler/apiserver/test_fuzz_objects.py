"""Objects that are almost right: recorded requests with something else in some places. Whatever is taken, the API can
show again and the controllers can live with.
"""

import json
import os
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rules import jobs, replication
from tests.reconciler.apiserver.recorded_requests import FOLDER, NAMESPACE, Cluster

MEDIA = {
    "MERGE": "application/merge-patch+json",
    "STRATEGIC": "application/strategic-merge-patch+json",
    "APPLY": "application/apply-patch+yaml",
}
DEEP: Any = 1
for _ in range(150):
    DEEP = {"a": [DEEP]}
ODD = st.sampled_from(
    [
        *(None, [], {}, "", [None], {"": None}, [[]], {"a": {"b": {}}}, DEEP, True, False, 0, -1, 1, 1.5, -0.0, 1e300),
        *(2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 2**64, "0", "-1", "1e999", "1Ei", "100%", "-5%", "101%"),
        *("\x00", "\ud7ff", "\U0001f600", "a/b", "..", "A_b", "x" * 300, "x" * 70_000, "a=b", "*", "{{}}", "$(A)"),
        *("2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1.2.3.4", "::1", "10.0.0.0/33"),
        *("default", "None", "Always", "Pod", "Deployment", "v1", "apps/v1", "kubernetes.io/hostname"),
    ]
)


def _recorded() -> list[dict[str, Any]]:
    """The requests of all recordings that bring an object."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        for step in json.loads(path.read_text())["steps"]:
            body = step.get("body")
            if step.get("op") == "http" and step["method"] in ("POST", "PUT") and isinstance(body, dict):
                text = json.dumps(step, sort_keys=True).replace("{ns}", NAMESPACE)
                found[text] = json.loads(text)
    return list(found.values())


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside of one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


def _changed(body: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """A body with something else in one to three places: another value, nothing, a copy, one more field."""
    body = deepcopy(body)
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(body)
        if not places:
            break
        *way, last = data.draw(st.sampled_from(places))
        parent: Any = body
        for key in way:
            parent = parent[key]
        how = data.draw(st.sampled_from(("other", "other", "gone", "twice", "more")))
        if how == "other":
            parent[last] = deepcopy(data.draw(ODD))
        elif how == "gone":
            del parent[last]
        elif how == "twice" and isinstance(parent, list):
            parent.append(deepcopy(parent[last]))
        elif isinstance(parent, dict):
            parent[data.draw(st.sampled_from(("bogus", "name", "spec", "status", "labels")))] = deepcopy(data.draw(ODD))
    return body


def _sample(api: str, plural: str, name: str, namespaced: bool = True, /, **fields: Any) -> dict[str, Any]:
    """A request that makes an object of a kind of which there is no recording."""
    where = f"/namespaces/{NAMESPACE}" if namespaced else ""
    return {"method": "POST", "path": f"{api}{where}/{plural}", "body": {"metadata": {"name": name}, **fields}}


_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_SUBJECTS = [{"kind": "User", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}]
_RULES = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}]
_REFERENCE = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a+$", "default": "a"}}}
    },
}
_VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _SCHEMA}}
_NAMES = {"plural": "odds", "singular": "odd", "kind": "Odd", "listKind": "OddList", "shortNames": ["o"]}
_METRIC = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}
_BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
SAMPLES = [
    _sample(_RBAC, "roles", "r", rules=_RULES),
    _sample(_RBAC, "clusterroles", "c", False, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}),
    _sample(_RBAC, "rolebindings", "b", subjects=_SUBJECTS, roleRef=_REFERENCE),
    _sample(_RBAC, "clusterrolebindings", "b", False, subjects=_SUBJECTS, roleRef=_REFERENCE),
    _sample(
        "/apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "odds.fuzz.io",
        False,
        spec={"group": "fuzz.io", "names": _NAMES, "scope": "Namespaced", "versions": [_VERSION]},
    ),
    _sample("/api/v1", "namespaces", "n", False, spec={"finalizers": ["kubernetes"]}),
    _sample(
        "/api/v1", "nodes", "n", False, spec={"taints": [{"key": "a", "effect": "NoExecute"}]}, status={"capacity": {}}
    ),
    _sample("/api/v1", "resourcequotas", "q", spec={"hard": {"pods": "9"}, "scopes": ["BestEffort"]}),
    _sample("/api/v1", "limitranges", "l", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}}]}),
    _sample("/api/v1", "events", "e", involvedObject={"kind": "Pod", "namespace": NAMESPACE, "name": "p"}, reason="A"),
    _sample("/apis/coordination.k8s.io/v1", "leases", "l", spec={"holderIdentity": "a", "leaseDurationSeconds": 5}),
    _sample("/apis/scheduling.k8s.io/v1", "priorityclasses", "p", False, value=5, preemptionPolicy="Never"),
    _sample(
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
        "h",
        spec={"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 5, "metrics": [_METRIC]},
    ),
    _sample(
        "/apis/networking.k8s.io/v1",
        "ingresses",
        "i",
        spec={
            "rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": _BACKEND}]}}]
        },
    ),
    _sample(
        "/apis/networking.k8s.io/v1",
        "networkpolicies",
        "n",
        spec={"podSelector": {}, "ingress": [{"ports": [{"port": 80}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    ),
]
REQUESTS = [*_recorded(), *SAMPLES * 4]


def _fuzz(examples: int, number: int) -> dict[int, int]:
    """Sends so many requests to a cluster; returns how many had which code."""
    codes: dict[int, int] = {}
    cluster = Cluster()

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.sampled_from(REQUESTS), st.data())
    def run(request: dict[str, Any], data: st.DataObject) -> None:
        body = _changed(request["body"], data)
        path, _, query = request["path"].partition("?")
        kinds: list[tuple[str, str, str]] = [(request["method"], path, "application/json")]
        name = body["metadata"].get("name") if isinstance(body.get("metadata"), dict) else None
        if request["method"] == "POST" and isinstance(name, str) and name and "/" not in name:
            kinds += [("PATCH", f"{path}/{name}", media) for media in MEDIA.values()]
            kinds += [
                ("PUT", f"{path}/{name}", "application/json"),
                ("PUT", f"{path}/{name}/status", "application/json"),
            ]
        for method, where, media in kinds:
            options = "fieldManager=fuzz&force=true" if media == MEDIA["APPLY"] else query
            code, answer = cluster.call(method, f"{where}?{options}", body, media)
            codes[code] = codes.get(code, 0) + 1
            if method == "POST" and code >= 400:
                cluster.call(method, f"{where}?{options}", request["body"])  # so that there is something to change
            # errors that Kubernetes doesn't type have no reason
            assert code < 500 or "reason" not in answer, f"{method} {where}\n{json.dumps(body)[:3000]}\n{answer}"
            if code < 300:
                json.dumps(answer).encode()
                for _ in range(5):  # some never come to rest, such as two billion replicas
                    cluster.control.turn()
                assert not cluster.control.failures, f"{method} {where}\n{json.dumps(body)[:3000]}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replication, "BURST", 50)
        patch.setattr(jobs, "BURST", 50)
        run()
    return codes


def test_objects_that_are_almost_right() -> None:
    """A few of each kind, the same ones every time; some are taken, most are refused."""
    codes = _fuzz(250, 0)
    assert codes[201] > 10
    assert codes[422] > 50


@pytest.mark.slow
def test_many_objects_that_are_almost_right() -> None:
    """FUZZ_EXAMPLES and FUZZ_SEED say how many and which."""
    print(_fuzz(int(os.environ.get("FUZZ_EXAMPLES", "5000")), int(os.environ.get("FUZZ_SEED", "1"))))


GO = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": ".."}}]},
            GO.format("string", "SecurityContext.spec.containers.securityContext.privileged", "bool"),
        ),
        (
            {"containers": [], "securityContext": {"sysctls": [{"name": 1}]}},
            GO.format("number", "Sysctl.spec.securityContext.sysctls.name", "string"),
        ),
        (
            {"containers": [], "volumes": [{"name": "v", "nfs": []}]},
            GO.format("array", "Volume.spec.volumes.nfs", "v1.NFSVolumeSource"),
        ),
    ],
)
def test_what_nothing_here_interprets_has_its_types_all_the_same(spec: dict[str, Any], text: str) -> None:
    """Kubernetes' clients, and the hash of a pod template, rely on them."""
    pod = {"metadata": {"name": "p"}, "spec": spec}
    code, answer = Cluster().call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)
    assert (code, answer["message"]) == (400, f'Pod in version "v1" cannot be handled as a Pod: {text}')
