"""Text that should be a time and is none doesn't get into the store, where it would stop who reads it."""

from __future__ import annotations

import json

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.decode import JSON
from reconciler.apiserver.gotimes import time_fault
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore

SECONDS, MICROS = "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000000Z07:00"
OPTIONS = WriteOptions(manager="test")


@pytest.mark.parametrize(
    ("text", "is_micro", "fault"),
    [
        ("2026-01-31T23:59:59Z", False, ""),
        ("2026-01-31T23:59:59.5+05:30", False, ""),
        ("2026-01-31T23:59:59.123456Z", True, ""),
        ("", False, f' as "{SECONDS}": cannot parse "" as "2006"'),
        ("soon", False, f' as "{SECONDS}": cannot parse "soon" as "2006"'),
        ("2026-01-31 23:59:59Z", False, f' as "{SECONDS}": cannot parse " 23:59:59Z" as "T"'),
        ("2026-01-31T23:59:59", False, f' as "{SECONDS}": cannot parse "" as "Z07:00"'),
        ("2026-01-31T23:59:59Z", True, f' as "{MICROS}": cannot parse "Z" as ".000000"'),
        ("2026-13-31T23:59:59Z", False, ": month out of range"),
        ("2026-02-30T23:59:59Z", False, ": day out of range"),
        ("2026-02-28T24:00:00Z", False, ": hour out of range"),
        ("2026-01-31T23:59:59Zulu", False, ': extra text: "ulu"'),
    ],
)
def test_go_says_what_is_wrong(text, is_micro, fault):
    assert time_fault(text, is_micro=is_micro) == (f'parsing time "{text}"{fault}' if fault else "")


TARGET = {"kind": "Pod", "namespace": "default", "name": "p"}
SELECTOR = {"matchLabels": {"a": "b"}}
CONTAINERS = [{"name": "c", "image": "i"}]


@pytest.mark.parametrize(
    ("api_version", "body"),
    [
        ("v1", {"kind": "Event", "involvedObject": TARGET, "lastTimestamp": "soon"}),
        ("v1", {"kind": "Event", "involvedObject": TARGET, "series": {"count": 1, "lastObservedTime": "soon"}}),
        ("coordination.k8s.io/v1", {"kind": "Lease", "spec": {"renewTime": "soon"}}),
        (
            "v1",
            {
                "kind": "Pod",
                "spec": {"containers": CONTAINERS},
                "status": {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "soon"}}}]},
            },
        ),
        (
            "policy/v1",
            {
                "kind": "PodDisruptionBudget",
                "spec": {"minAvailable": 1, "selector": SELECTOR},
                "status": {"disruptedPods": {"p": "soon"}},
            },
        ),
    ],
)
def test_what_holds_no_time_is_refused(api_version, body):
    """Wherever in an object."""
    with MemoryStore() as store:
        api = Api(store)
        bootstrap(api)
        place = Place(api.registry.of_kind(api_version, body["kind"]), "default")
        whole = {"apiVersion": api_version, "metadata": {"name": "x"}, **body}
        with pytest.raises(ApiError, match='parsing time "soon" as') as refusal:
            api.create(place, json.dumps(whole).encode(), OPTIONS, JSON)
        assert refusal.value.code == 400
