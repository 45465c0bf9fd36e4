"""Scheduling plugins and controllers of other distributions, found by entry points."""

import json
import sys

import pytest
from click.testing import CliRunner

from reconciler import extensions
from reconciler.batch import respond
from reconciler.cli import cli
from reconciler.extensions import ExtensionError, controllers, installed_concerns, installed_plugins
from rules import CONCERNS
from rules.placement import Placement

MODULE = """
import numpy as np
from rules.concern import Concern, itself
from rules.engine import Rule, m
from rules.scheduling import ColumnPlugin

class LastByName(ColumnPlugin):
    name = "LastByName"

    def rank(self, pod, nodes):
        return np.array([ord(info.name[-1]) - ord("a") for info in nodes.infos])

def _label(ctx, key, fact):
    ctx.note()

class Greeter(Concern):
    name = "greeter"
    subjects = ("ConfigMap",)
    watches = {"ConfigMap": itself}
    rules = (Rule(name="greet", when=m.name != "", then=_label, why="hello {name}"),)

    def fact(self, ws, key, now):
        return {"name": key.name}

nothing = 3
"""
HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
CONFIGURATION = {
    **HEAD,
    "profiles": [{"plugins": {"multiPoint": {"enabled": [{"name": "LastByName", "weight": 100}]}}}],
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "world"}}


def node(name):
    have = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"allocatable": have}}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with entry points; nothing of it is left afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "an_extension.py").write_text(MODULE)

    def put(group, **points):
        info = tmp_path / f"{group}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {group}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        extensions._entry_points.cache_clear()

    yield put
    extensions._entry_points.cache_clear()
    sys.modules.pop("an_extension", None)


def test_nothing_is_installed_by_default():
    extensions._entry_points.cache_clear()
    assert (installed_plugins(), installed_concerns()) == ({}, {})
    assert [type(concern) for concern in controllers()] == list(CONCERNS)


def test_an_installed_plugin_runs_where_a_configuration_enables_it(install):
    install(extensions.PLUGINS, LastByName="an_extension:LastByName")
    request = {"desired": [POD], "observed": [node("a"), node("b")]}

    def placed(**more):
        answer = json.loads(json.dumps(respond(json.dumps({**request, **more}).encode())))
        return [action["node"] for action in answer["actions"] if action["action"] == "bind"]

    assert placed() == ["a"]
    assert placed(scheduler=CONFIGURATION) == ["b"]
    answer = respond(json.dumps({"op": "simulate", **request, "scheduler": CONFIGURATION, "steps": []}).encode())
    assert [o["spec"]["nodeName"] for o in answer["objects"] if o["kind"] == "Pod"] == ["b"]
    cluster = {"nodes": [node("a"), node("b")], "pods": [POD]}
    answer = respond(json.dumps({"op": "schedule", "cluster": cluster, "config": CONFIGURATION}).encode())
    assert answer["pods"][0]["chosen"] == "b"


def test_the_command_line_finds_installed_plugins(install, tmp_path):
    install(extensions.PLUGINS, LastByName="an_extension:LastByName")
    (tmp_path / "pod.json").write_text(json.dumps(POD))
    (tmp_path / "nodes.json").write_text(json.dumps([node("a"), node("b")]))
    (tmp_path / "scheduler.json").write_text(json.dumps(CONFIGURATION))
    args = ["-f", f"{tmp_path}/pod.json", "--observed", f"{tmp_path}/nodes.json"]
    chosen = ["--scheduler-config", f"{tmp_path}/scheduler.json"]
    for command in ("plan", "simulate", "schedule"):
        assert "b" in CliRunner().invoke(cli, [command, *args, *chosen, "-o", "wide"]).stdout
    explained = CliRunner().invoke(cli, ["explain", "pod/p", *args, *chosen]).stdout
    assert "on b, the best of 2 nodes" in explained
    assert "LastByName 100" in explained


def test_an_installed_controller_runs_after_kubernetes_own(install):
    install(extensions.CONTROLLERS, greeter="an_extension:Greeter")
    assert [concern.name for concern in controllers()][-1] == "greeter"
    answer = respond(json.dumps({"desired": [CONFIG_MAP]}).encode())
    assert [note["why"] for note in answer["notes"]] == ["hello world"]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"X": "no_such_module:X"}, r'"X" \(no_such_module:X\) cannot be imported'),
        ({"X": "an_extension:missing"}, "cannot be imported"),
        ({"nothing": "an_extension:nothing"}, "is no class derived from"),
        ({"Greeter": "an_extension:Greeter"}, r"derived from rules\.scheduling\.framework\.Plugin"),
        ({"Other": "an_extension:LastByName"}, 'calls itself "LastByName"'),
        ({"NodeName": "rules.scheduling.plugins.node_name:NodeName"}, "name that is taken"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_it(install, points, message):
    install(extensions.PLUGINS, **points)
    with pytest.raises(ExtensionError, match=message):
        installed_plugins()


def test_the_scheduler_stands_in_for_the_usual_one():
    [placement] = [concern for concern in controllers(HEAD) if isinstance(concern, Placement)]
    assert [profile.name for profile in placement.profiles] == ["default-scheduler"]
