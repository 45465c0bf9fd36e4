"""Objects that could keep the controllers from their work: odd ones, endless ones, and such that rules argue about."""

from typing import Any, ClassVar

import pytest
from durable.lang import m

from reconciler.apiserver import control
from reconciler.apiserver.control import ControlPlane, control_concerns
from rules import replication
from rules.actions import Fact
from rules.concern import Concern, itself
from rules.context import Context
from rules.engine import Rule
from state.objects import ConfigMap, replace
from state.snapshot import Key
from state.workspace import Workspace
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def deployment(name: str, replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"a": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def create(cluster: Cluster, name: str, replicas: int) -> None:
    cluster.must("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", deployment(name, replicas))


class Odd(Concern):
    """A controller that can't stand one kind of name."""

    name = "odd"
    subjects = ("ConfigMap",)
    watches: ClassVar = {"ConfigMap": itself}
    rules = (Rule("odd-note", m.name != "", lambda ctx, key, fact: {"bad": 1 // 0} if "bad" in key.name else None, ""),)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        if "worse" in key.name:
            raise ValueError(key.name)
        return {"name": key.name}


def test_nobody_stops_the_controllers_with_one_odd_object() -> None:
    """A rule that fails leaves its object alone, and all others go on."""
    cluster = Cluster()
    cluster.control = ControlPlane(cluster.api, lambda: [Odd(), *control_concerns()])
    for name in ("bad", "worse", "good"):
        cluster.must("POST", MAPS, {"metadata": {"name": name}})
    create(cluster, "d", 1)
    cluster.control.settle()
    assert cluster.control.failures == 2
    pods = cluster.must("GET", PODS)
    assert [bool(pod["spec"].get("nodeName")) for pod in pods["items"]] == [True]


class Arguing(Concern):
    """Two rules that undo each other's work on one object."""

    name = "arguing"
    subjects = ("ConfigMap",)
    watches: ClassVar = {"ConfigMap": itself}

    @staticmethod
    def _turn(ctx: Context, key: Key, _: Fact) -> None:
        live = ctx.ws.get(ConfigMap, key.namespace, key.name)
        assert live is not None
        ctx.update(replace(live, data={"side": "b" if live.data.get("side") == "a" else "a"}))

    rules = (
        Rule("to-b", m.side == "a", _turn, "it is a"),
        Rule("to-a", m.side == "b", _turn, "it is b"),
    )

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        live = ws.get(ConfigMap, key.namespace, key.name)
        return {"side": live.data["side"]} if live is not None and "side" in live.data else None


def test_what_rules_argue_about_is_left_alone() -> None:
    """They are named in the log, and the others go on."""
    cluster = Cluster()
    cluster.control = ControlPlane(cluster.api, lambda: [Arguing(), *control_concerns()])
    cluster.must("POST", MAPS, {"metadata": {"name": "m"}, "data": {"side": "a"}})
    create(cluster, "d", 1)
    cluster.control.settle()
    assert 1 <= cluster.control.failures < 20
    assert len(cluster.must("GET", PODS)["items"]) == 1


def test_a_turn_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants two billion pods gets them piece by piece, and others theirs in between; it can be taken back."""
    monkeypatch.setattr(control, "MOST_ACTIONS", 20)
    monkeypatch.setattr(replication, "BURST", 20)
    cluster = Cluster()
    create(cluster, "many", 2**31 - 1)
    sizes = []
    for _ in range(4):
        assert cluster.control.turn()
        sizes.append(len(cluster.must("GET", PODS)["items"]))
    assert sizes[-1] < 100
    create(cluster, "few", 2)
    for _ in range(4):
        cluster.control.turn()
    assert len(cluster.must("GET", f"{PODS}?labelSelector=a=few")["items"]) == 2
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/many"
    cluster.must("PATCH", path, {"spec": {"replicas": 0}}, "application/merge-patch+json")
    cluster.control.settle()
    pods = cluster.must("GET", f"{PODS}?labelSelector=a=many")["items"]
    assert all("deletionTimestamp" in pod["metadata"] for pod in pods)
