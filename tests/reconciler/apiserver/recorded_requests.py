"""Plays the requests of recordings of a real API server against an ``Application``, in process, and compares."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.http import Application
from reconciler.apiserver.options import Sender
from reconciler.apiserver.render import Form
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore
from state.times import format_time, parse_time

Json = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "golden" / "controllers"
NAMESPACE = "recorded"
START = parse_time("2026-01-01T00:00:00Z")
_UID = re.compile(r"\b(?!11111111)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TIMES = {"creationTimestamp", "deletionTimestamp", "lastTransitionTime", "lastPhaseTransitionTime", "lastUpdateTime"}
#: The uid that a reference has which names nothing.
_NOBODY = "00000000-0000-4000-8000-000000000000"
_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Cluster:
    """An API with its control plane, five ready nodes and a namespace, all in this thread."""

    def __init__(self) -> None:
        self.clock = Clock()
        api = Api(MemoryStore(), clock=self.clock, fields=ManagedFields())
        bootstrap(api)
        self.api = api
        self.application = Application(api)
        self.control = ControlPlane(api)
        self.control.settle()
        self.must("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        room = {"cpu": "32", "memory": "256Gi", "pods": "250"}
        for number in range(5):
            name = f"node-{number}"
            conditions = [{"type": "Ready", "status": "True"}]
            status = {"capacity": room, "allocatable": room, "conditions": conditions}
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            self.must("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "status": status})
            self.must("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}}, "application/merge-patch+json")
        self.control.settle()

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        """One request: code and answer."""
        path, _, query = path.partition("?")
        data = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            aim = target(self.api.registry, unquote(path), method)
            answer = self.application.perform(
                aim, parse_qs(query, keep_blank_values=True), data, content_type, Sender("python-requests/2")
            )
        except ApiError as error:
            return error.code, error.to_dict()
        except UnknownPathError:
            return 404, None
        return getattr(answer, "code", 200), answer.document

    def must(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request that has to succeed."""
        code, answer = self.call(method, path, body, content_type)
        assert code < 300, answer
        return answer

    def uid(self, reference: Json) -> str:
        """The uid of the object that an owner reference names."""
        resource = self.api.registry.of_kind(reference.get("apiVersion", ""), reference.get("kind", ""))
        if resource is None:
            return _NOBODY
        for namespace in (NAMESPACE, "default") if resource.namespaced else ("",):
            found = self.api.storage.get(resource, namespace, reference.get("name", ""))
            if found is not None:
                return found.object.metadata.uid
        return _NOBODY

    def report(self, pod: str, *, phase: str, ready: bool) -> None:
        """What a kubelet would say about a pod."""
        at = format_time(self.clock.now)
        status = {True: "True", False: "False"}[ready]
        conditions = [
            {"type": kind, "status": status, "lastTransitionTime": at} for kind in ("Ready", "ContainersReady")
        ]
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status"
        body = {"status": {"phase": phase, "conditions": conditions, "podIP": "10.0.0.1"}}
        self.must("PATCH", path, body, "application/merge-patch+json")

    def act_as_kubelet(self, mode: str) -> None:
        """What kubelets do: start what is bound, and end what is to end, as the mode says."""
        for pod in self.must("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                if mode != "hold":
                    self.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", {"gracePeriodSeconds": 0})
            elif pod["spec"].get("nodeName") and pod["status"].get("phase") == "Pending" and mode != "none":
                self.report(name, phase="Running", ready=mode in ("auto", "hold"))
        self.control.settle()


class Replay:
    """One recorded case; ``wrong`` has what differs."""

    def __init__(self, name: str) -> None:
        self.case: Json = json.loads((FOLDER / f"{name}.json").read_text())
        self.cluster = Cluster()
        self.mode: str = self.case["kubelet"]
        self.wrong: list[str] = []
        self._first_revision = ""

    def play(self) -> list[str]:
        """Carries out all steps."""
        for index, step in enumerate(self.case["steps"]):
            expected = self.case["expected"]["responses"].get(str(index))
            if step["op"] == "http":
                self._http(index, step, expected)
            elif step["op"] == "settle":
                self.cluster.control.settle()
                self.cluster.act_as_kubelet(self.mode)
            elif step["op"] == "kubelet":
                self.mode = step["mode"]
            elif step["op"] == "podStatus":
                self.cluster.report(step["pod"], phase=step["phase"], ready=step["ready"])
        return self.wrong

    def _http(self, index: int, step: Json, expected: Json | None) -> None:
        text = json.dumps(step).replace("{ns}", NAMESPACE).replace("<rv0>", self._first_revision or "0")
        step = json.loads(text)
        body = step.get("body")
        for reference in body.get("metadata", {}).get("ownerReferences", ()) if isinstance(body, dict) else ():
            if reference.get("uid") == "<uid>":
                reference["uid"] = self.cluster.uid(reference)
        code, answer = self._described(step) or self.cluster.call(
            step["method"], step["path"], step.get("body"), step.get("contentType", "application/json")
        )
        if code < 300 and isinstance(answer, dict) and "metadata" in answer:
            meta = answer["metadata"]
            self._first_revision = self._first_revision or meta.get("resourceVersion", "")
        self.cluster.control.settle()
        if expected is not None:
            self._compare(index, step, expected, code, answer)

    def _described(self, step: Json) -> tuple[int, Any] | None:
        """What the server says about itself, None if that isn't asked."""
        if step["method"] != "GET":
            return None
        try:
            found = self.cluster.application.described(step["path"], Form())
        except ApiError as error:
            return error.code, error.to_dict()
        return None if found is None else (200, found)

    def _compare(self, index: int, step: Json, expected: Json, code: int, answer: Any) -> None:
        shown: Json = {"code": code}
        keeps_owners = "managedFields" in json.dumps(expected.get("body", ""))
        if isinstance(answer, dict) and answer.get("kind") == "Status" and answer.get("status") != "Success":
            if "status" in expected:
                shown["status"] = {key: answer[key] for key in expected["status"] if key in answer}
        elif "body" in expected:
            shown["body"] = answer
        elif "fields" in expected:
            shown["fields"] = {path: _dig(answer, path) for path in expected["fields"]}
        have, want = self._normal(shown, keeps_owners), self._normal(expected, keeps_owners)
        if have != want:
            self.wrong.append(f"step {index} {json.dumps(step)[:300]}\n  recorded {want}\n  here     {have}")

    def _normal(self, value: Any, keeps_owners: bool) -> Any:
        value = _without_system(value, keeps_owners)
        asked = json.dumps(self.case["steps"])
        text = json.dumps(value).replace(NAMESPACE, "{ns}")
        text = _TIME.sub("<time>", _UID.sub("<uid>", text))
        text = re.sub(r'(resourceVersion\\*": ?\\*")\d+', r"\1<rv>", text)
        text = re.sub(r"kube-api-access-[a-z0-9]{5}\b", "kube-api-access-<r>", text)
        text = re.sub(r"in record \(\d+\)", "in record (<rv>)", text)
        for prefix in re.findall(r'"generateName": "([^"]+)"', asked):
            text = re.sub(re.escape(prefix) + _SUFFIX + "(?![a-z0-9])", f"{prefix}<#>", text)
        if '"clusterIP": "10.' not in asked:
            text = re.sub(r'"10\.96\.\d+\.\d+"', '"<clusterIP>"', text)
        text = re.sub(r'"nodePort": (\d+)', lambda m: m[0] if m[0] in asked else '"nodePort": "<nodePort>"', text)
        return json.loads(text)


def _dig(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _without_system(value: Any, keeps_owners: bool, parent: str = "") -> Any:
    """Without what differs from run to run, or between builds of a server."""
    if isinstance(value, dict):
        drop = {"resourceVersion", "storageVersionHash", "serverAddress", "buildDate", "compiler", "gitCommit"}
        drop |= {"gitTreeState", "gitVersion", "goVersion", "platform"}
        if not keeps_owners:
            drop.add("managedFields")
        return {
            key: _without_system(item, keeps_owners, key)
            for key, item in value.items()
            if key not in drop
            and not (key == "uid" and parent == "metadata")
            and not (key == "creationTimestamp" and item is not None)
            and not (key == "annotations" and item in ({}, None))
        }
    if isinstance(value, list):
        return [_without_system(item, keeps_owners, parent) for item in value]
    return value
