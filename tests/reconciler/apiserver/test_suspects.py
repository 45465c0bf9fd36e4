"""What is looked at of a manifest that could be converted, beside all that Go looks at."""

from typing import Any

import pytest

from reconciler.apiserver.gotypes import is_suspect, type_fault
from state.objects import KINDS

CONTAINER = {"name": "c", "image": "i"}
TIME = "2026-01-01T00:00:00Z"


def pod(**changes: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "creationTimestamp": TIME}, "spec": {"containers": [CONTAINER]}, **changes}


@pytest.mark.parametrize(
    ("kind", "manifest", "is_wrong"),
    [
        ("Pod", pod(), False),
        ("Pod", pod(metadata={"name": "a", "creationTimestamp": "yesterday"}), True),
        ("Pod", pod(spec={"containers": [{**CONTAINER, "resources": {"limits": {"cpu": "1"}}}]}), False),
        ("Pod", pod(spec={"containers": [CONTAINER, {**CONTAINER, "resources": {"limits": {"cpu": "1x"}}}]}), True),
        ("Pod", pod(status={"conditions": [{"type": "Ready", "lastTransitionTime": TIME}]}), False),
        ("Pod", pod(status={"conditions": [{"type": "Ready", "lastTransitionTime": "now"}]}), True),
        ("Pod", pod(status={"containerStatuses": [{"state": {"running": {"startedAt": "now"}}}]}), True),
        ("Pod", pod(spec={"containers": [CONTAINER], "volumes": [{"name": "v", "nfs": []}]}), True),
        ("Deployment", {"spec": {"template": {"spec": {"overhead": {"cpu": "much"}}}}}, True),
        ("StatefulSet", {"spec": {"volumeClaimTemplates": [{"metadata": {"creationTimestamp": "x"}}]}}, True),
        ("Node", {"status": {"capacity": {"cpu": "8"}}}, False),
        ("Node", {"status": {"capacity": {"cpu": "eight"}}}, True),
        ("Lease", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}, False),
        ("Lease", {"spec": {"renewTime": "soon"}}, True),
        ("Secret", {"data": {"key": "%"}}, True),
        ("ConfigMap", {"data": {"key": "anything"}}, False),
    ],
)
def test_what_go_finds_wrong_is_suspected(kind: str, manifest: dict[str, Any], is_wrong: bool) -> None:
    """And little else is."""
    struct = KINDS[kind].type
    assert is_suspect(struct, manifest) == is_wrong
    assert bool(type_fault(struct, manifest)) == is_wrong
