"""The form that recordings of a real control plane have: how objects are listed, compared, and asked for, and the
cluster that they were made on.

``recorded`` replays them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from state.identity import SAFE_LETTERS
from state.load import from_dict
from state.objects import AnyObject, find_kind

NAMESPACE = "recorded"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_SUFFIX = re.compile(f"[{SAFE_LETTERS}]{{5}}")
#: A uid; those that begin with 11111111 are made up and stand as they are.
_UID = re.compile(r"(?!11111111)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNRECORDED = ("uid", "resourceVersion", "creationTimestamp", "managedFields")
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_TOKEN = "kube-api-access-"

Json = dict[str, Any]


def normal(document: Json) -> Json:
    """An object, as plain data, the way the recorder normalised it."""
    document = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
    meta = {key: value for key, value in document["metadata"].items() if key not in _UNRECORDED}
    base = meta.get("generateName", "")
    if base and _SUFFIX.fullmatch(meta["name"].removeprefix(base)):
        meta["name"] = base + "<#>"
    if _TRIGGER in meta.get("annotations", {}):
        others = {key: value for key, value in meta["annotations"].items() if key != _TRIGGER}
        meta = {**meta, "annotations": others}
        if not others:
            del meta["annotations"]
    document["metadata"] = meta
    if document.get("spec", {}).get("paused") is False:
        document["spec"] = {key: value for key, value in document["spec"].items() if key != "paused"}
    placeholders: Json = _placeholders(document)
    for owner in placeholders["metadata"].get("ownerReferences", ()):
        owner["uid"] = "<uid>"
    return placeholders


# -- comparing ---------------------------------------------------------------------------------------------------------


def same(expected: list[Json], actual: list[Json]) -> bool:
    """Whether two listings are equal as multisets, as far as the recorded one goes into detail."""
    wanted = [_pod_without_kubelet(item) if _is_whole_pod(item) else item for item in expected]
    return sorted(map(_text, wanted)) == sorted(map(_text, alike(expected, actual)))


def alike(expected: list[Json], actual: list[Json]) -> list[Json]:
    """The objects in as much detail as the recording has them."""
    if expected and "metadata" not in expected[0]:
        keys = {key for item in expected for key in item}
        names_only = any(item.get("owners") and isinstance(item["owners"][0], str) for item in expected)
        return [_brief(item, keys, names_only=names_only or "phase" not in keys) for item in actual]
    if any(map(_is_whole_pod, expected)):
        return [_pod_without_kubelet(item) for item in actual]
    if any("revision" in item for item in expected):
        return [{key: value for key, value in item.items() if key != "data"} for item in actual]
    templates = any("template" in item.get("spec", {}) for item in expected)
    return actual if templates else [_without_template(item) for item in actual]


def _without_template(item: Json) -> Json:
    if "spec" not in item:
        return item
    return {**item, "spec": {key: value for key, value in item["spec"].items() if key != "template"}}


def _is_whole_pod(item: Json) -> bool:
    return "containers" in item.get("spec", {})


def _pod_without_kubelet(item: Json) -> Json:
    """A whole pod without what the recorder's kubelet and token issuer did to it, and the scheduler's choice."""
    spec = {**item["spec"], "nodeName": "<node>"}
    spec["volumes"] = [v for v in spec.get("volumes", ()) if not v["name"].startswith(_TOKEN)]
    spec["containers"] = [
        {**c, "volumeMounts": [m for m in c.get("volumeMounts", ()) if not m["name"].startswith(_TOKEN)]}
        for c in spec["containers"]
    ]
    status = {key: item["status"].get(key) for key in ("phase", "qosClass")}
    return {"metadata": item["metadata"], "spec": spec, "status": status}


def _brief(item: Json, keys: set[str], *, names_only: bool) -> Json:
    """An object in the recorder's short form; ``keys`` are those that the recording has."""
    meta, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    owners = meta.get("ownerReferences", [])
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    brief = {
        "name": meta["name"],
        "labels": meta.get("labels"),
        "annotations": meta.get("annotations"),
        "owners": [owner["name"] for owner in owners]
        if names_only
        else [
            {key: o[key] for key in ("kind", "name", "controller", "blockOwnerDeletion") if key in o} for o in owners
        ],
        "finalizers": meta.get("finalizers"),
        "terminating": True if meta.get("deletionTimestamp") else None,
    }
    if not names_only:
        brief |= {
            "phase": status.get("phase"),
            "ready": conditions.get("Ready") == "True",
            "scheduled": bool(spec.get("nodeName")),
            "node": spec.get("nodeName"),
        }
    return {
        key: value
        for key, value in brief.items()
        if (key in keys and (value is not None or key == "node")) or (key == "terminating" and value)
    }


def _placeholders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placeholders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_placeholders(item) for item in value]
    if isinstance(value, str):
        if _TIME.fullmatch(value) or _UID.fullmatch(value):
            return "<time>" if _TIME.fullmatch(value) else "<uid>"
        return "{ns}" if value == NAMESPACE else value
    return value


def _text(item: Json) -> str:
    return json.dumps(item, sort_keys=True)


def show(items: list[Json]) -> str:
    return "\n           ".join(sorted(map(_text, items))) or "nothing"


# -- requests ----------------------------------------------------------------------------------------------------------


def parse_path(path: str) -> tuple[str, str, str]:
    """Kind, name and subresource of an API path; absent ones are ""."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    kind = find_kind(parts[0])
    assert kind is not None, f"unknown resource {parts[0]}"
    name, sub = (*parts[1:], "", "")[:2]
    return kind.name, name, sub


def api_version(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" else "/".join(parts[1:3])


def patched(document: Json, patch: Json, *, strategic: bool = False) -> Json:
    """A document after a JSON merge patch, or after a strategic one as far as lists of named things go."""
    result = dict(document)
    for key, value in patch.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = patched(old if isinstance(old, dict) else {}, value, strategic=strategic)
        elif (
            strategic
            and isinstance(old, list)
            and all(isinstance(item, dict) and "name" in item for item in [*old, *value])
        ):
            changes = {item["name"]: item for item in value}
            kept = [patched(item, changes.pop(item["name"], {}), strategic=True) for item in old]
            result[key] = [*kept, *changes.values()]
        else:
            result[key] = value
    return result


# -- the cluster -------------------------------------------------------------------------------------------------------


def cluster() -> list[AnyObject]:
    documents: list[Json] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "uid": "ns-recorded"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "uid": "ns-default"}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": NAMESPACE, "uid": "sa"},
        },
        *(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "kube-root-ca.crt", "namespace": ns, "uid": f"ca-{ns}"},
            }
            for ns in ("default", NAMESPACE)
        ),
    ]
    return [*(from_dict(document) for document in documents), *(node(f"node-{i}", {}) for i in range(5))]


def node(name: str, step: Mapping[str, Any]) -> AnyObject:
    size = {"cpu": "32", "memory": "256Gi", "pods": "250"}
    return from_dict(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **step.get("labels", {})},
            },
            "spec": {key: step[key] for key in ("taints", "unschedulable") if key in step},
            "status": {
                "capacity": size,
                "allocatable": size,
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )
