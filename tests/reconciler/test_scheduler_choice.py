"""How pods are placed is an argument: of the library, of requests, of commands."""

import json

import pytest
import yaml
from click.testing import CliRunner

from reconciler import Reconciler, reconcile
from reconciler.batch import respond
from reconciler.cli import cli
from reconciler.simulation import simulate
from rules import make_concerns
from rules.placement import Placement
from rules.scheduling import DEFAULT, ConfigurationError, load_configuration
from rules.scheduling.profile import Profile
from state.errors import StateError

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
PACKING = {
    "name": "NodeResourcesFit",
    "args": {"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}},
}
#: Only the scores of NodeResourcesFit count, and full nodes are the best.
PLUGINS = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}}
PACK = {**HEAD, "profiles": [{"pluginConfig": [PACKING], "plugins": PLUGINS}]}
BOTH = {**HEAD, "profiles": [{}, {"schedulerName": "packer", "pluginConfig": [PACKING], "plugins": PLUGINS}]}
WRONG = {**HEAD, "profiles": [{"plugins": {"score": {"enabled": [{"name": "NoSuch"}]}}}]}


def pods(count=4, **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{spec.get('schedulerName', 'pod')}-{number}"},
            "spec": {"containers": [container], **spec},
        }
        for number in range(count)
    ]


def nodes_of(plan):
    return [pod.spec.node_name for pod in plan.snapshot.objects("Pod")]


@pytest.mark.parametrize(
    "scheduler",
    [
        PACK,
        yaml.safe_dump(PACK),
        json.dumps(PACK),
        load_configuration(PACK),
        list(load_configuration(PACK).values()),
        next(iter(load_configuration(PACK).values())),
    ],
    ids=["dict", "yaml", "json", "profiles by name", "profiles", "profile"],
)
def test_a_scheduler_comes_in_any_form(scheduler):
    assert nodes_of(reconcile(pods(), nodes=2)) == ["node-0", "node-1", "node-0", "node-1"]
    assert nodes_of(reconcile(pods(), nodes=2, scheduler=scheduler)) == ["node-0"] * 4


def test_pods_choose_among_profiles_by_scheduler_name():
    desired = [*pods(2), *pods(2, schedulerName="packer"), *pods(1, schedulerName="nobody")]
    plan = reconcile(desired, nodes=2, scheduler=BOTH)
    placed = {pod.metadata.name: pod.spec.node_name for pod in plan.snapshot.objects("Pod")}
    assert placed["nobody-0"] is None
    assert placed["packer-0"] == placed["packer-1"] == "node-0"
    assert placed["pod-0"] == placed["pod-1"] == "node-1"
    sources = {event.target.name: event.source for event in plan.events if event.reason == "Scheduled"}
    assert (sources["packer-0"], sources["pod-0"]) == ("packer", "default-scheduler")
    assert [note.rule for note in plan.notes] == ["pod-foreign"]


def test_a_warm_loop_and_a_simulation_keep_to_it():
    loop = Reconciler(pods(1), nodes=2, scheduler=PACK)
    loop.step()
    loop.apply(pods(3))
    assert nodes_of(loop.step()) == ["node-0"] * 3
    run = simulate(pods(), nodes=2, scheduler=PACK)
    assert {pod.spec.node_name for pod in run.snapshot.objects("Pod")} == {"node-0"}


def test_explanations_go_by_the_profile_that_decided():
    plan = reconcile(pods(1, schedulerName="packer"), nodes=2, scheduler=BOTH)
    assert "NodeResourcesFit 25" in str(plan.explain("pod/packer-0"))
    assert "TaintToleration" not in str(plan.explain("pod/packer-0"))
    given = reconcile(pods(1), nodes=2, concerns=make_concerns(Placement(list(load_configuration(PACK).values()))))
    assert "NodeResourcesFit 25" in str(given.explain("pod/pod-0"))
    foreign = reconcile(pods(1, schedulerName="nobody"), nodes=2)
    assert foreign.explain("pod/nobody-0").diagnosis is None


@pytest.mark.parametrize(
    ("scheduler", "path", "message"),
    [
        (WRONG, "profiles[0].plugins.score.enabled[0].name", "no such plugin"),
        ({}, "apiVersion", "supported values"),
        ("a: [", "", "expected"),
        ("--- {}\n--- {}", "", "expected one document"),
        ([3], "", "expected a KubeSchedulerConfiguration, or profiles"),
        ([DEFAULT, Profile(DEFAULT.name, (), ())], "", "two profiles have the scheduler name"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_path(scheduler, path, message):
    with pytest.raises(ConfigurationError) as caught:
        reconcile([], scheduler=scheduler)
    assert caught.value.path == path
    assert message in str(caught.value)


def test_scheduler_and_concerns_contradict_each_other():
    with pytest.raises(StateError, match="give one of the two"):
        reconcile([], scheduler=PACK, concerns=[])


def test_requests_say_where_in_them_the_error_is():
    for request, path in (
        ({"desired": [], "scheduler": WRONG}, "scheduler.profiles[0].plugins.score.enabled[0].name"),
        ({"op": "simulate", "desired": [], "scheduler": WRONG}, "scheduler.profiles[0].plugins.score.enabled[0].name"),
        ({"op": "schedule", "cluster": {}, "config": WRONG}, "config.profiles[0].plugins.score.enabled[0].name"),
        ({"desired": [], "scheduler": []}, "scheduler"),
    ):
        answer = respond(json.dumps(request).encode())
        assert (answer["ok"], answer["error"]["path"]) == (False, path)
    answer = respond(json.dumps({"desired": pods(), "nodes": 2, "scheduler": PACK}).encode())
    assert [action["node"] for action in answer["actions"] if action["action"] == "bind"] == ["node-0"] * 4


@pytest.fixture
def files(tmp_path):
    (tmp_path / "pods.json").write_text(json.dumps(pods()))
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(PACK))
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(WRONG))
    return tmp_path


@pytest.mark.parametrize(
    "command", [["plan"], ["simulate"], ["schedule"], ["explain", "pod/pod-0"], ["drain", "node-0"]]
)
def test_commands_take_a_configuration_file(files, command):
    args = [*command, "-f", f"{files}/pods.json", "--nodes", "2", "--scheduler-config"]
    result = CliRunner().invoke(cli, [*args, f"{files}/pack.yaml", "-o", "json"])
    assert result.exit_code == 0
    assert "node-1" not in [pod.get("chosen") for pod in json.loads(result.stdout).get("pods", [])]
    result = CliRunner().invoke(cli, [*args, f"{files}/wrong.yaml"])
    assert result.exit_code == 1
    assert f"{files}/wrong.yaml: profiles[0].plugins.score.enabled[0].name: " in result.stderr
    result = CliRunner().invoke(cli, [*args, "-"], input=yaml.safe_dump(PACK))
    assert result.exit_code == 0
