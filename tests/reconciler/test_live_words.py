"""What ``up``, ``get``, ``describe`` and ``logs`` print, from objects alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from reconciler.cli import cli, screen
from reconciler.cli.cluster import kinds_of, targets
from reconciler.cli.describe import described
from reconciler.cli.get import Listing, follow
from reconciler.drivers.network.base import (
    Backend,
    Listener,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
    ServiceStatus,
)
from reconciler.live.events import Recorder
from reconciler.simulation import simulate
from rules.actions import Event as Reported
from state.errors import StateError
from state.objects import Event, ObjectMeta, Pod, Secret, replace
from state.snapshot import Change, Key, Snapshot
from state.store import ABSENT, Write, open_store
from state.store.layout import encode, path_of
from state.workspace import Workspace

NOW = 1_767_225_600_000_000
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """The web example as it runs on a simulated node, with an event."""
    manifests = list(yaml.safe_load_all((EXAMPLES / "web.yaml").read_text()))
    ws = Workspace(simulate(manifests, nodes=1, now=NOW).snapshot)
    event = Reported(target=Key("Deployment", "default", "web"), type="Normal", reason="Tested", message="it was")
    Recorder().record(ws, [event], NOW)
    ws.commit()
    return ws.snapshot


def words(snapshot: Snapshot, key: str) -> list[str]:
    obj = snapshot.get(Key.parse(key))
    assert obj is not None
    return list(described(obj, snapshot, NOW))


def test_a_workload_is_described_with_its_template_and_events(snapshot: Snapshot) -> None:
    """In the form of kubectl's describe."""
    lines = words(snapshot, "deployment/web")
    assert lines[:3] == [
        "Name:                   web",
        "Namespace:              default",
        "Labels:                 <none>",
    ]
    assert "Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in lines
    assert "      Readiness:  http-get http://:http/ delay=1s timeout=1s period=1s #success=1 #failure=3" in lines
    assert lines[-1].split() == ["Normal", "Tested", "0s", "it", "was"]
    assert "        /app from app (rw)" in lines


def test_a_pod_is_described_with_the_state_of_its_containers(snapshot: Snapshot) -> None:
    """And where it runs, and under whose control."""
    pod = snapshot.objects("Pod")[0]
    lines = words(snapshot, f"pod/{pod.metadata.name}")
    assert "    State:          Running" in lines
    assert "Status:           Running" in lines
    assert any(line.startswith("Controlled By:    ReplicaSet/web-") for line in lines)
    assert "      POD_NAME:  (v1:metadata.name)" in lines


@pytest.mark.parametrize("kind", ["ConfigMap", "Node", "ReplicaSet", "Service", "Namespace"])
def test_every_kind_is_described(snapshot: Snapshot, kind: str) -> None:
    """Kinds without words of their own with all their fields."""
    obj = snapshot.objects(kind)[0]
    lines = list(described(obj, snapshot, NOW))
    assert lines[0].split() == ["Name:", obj.metadata.name]
    assert all(line == line.rstrip() for line in lines)


def test_words_for_kinds_are_kubectls(snapshot: Snapshot) -> None:
    """Short names, several kinds, ``all``; an unknown one is refused by name."""
    assert kinds_of("po,svc,po", snapshot) == ["Pod", "Service"]
    assert kinds_of("all", snapshot)[0] == "Pod"
    assert targets(("pod/a", "no/b"), "shop", snapshot) == [Key("Pod", "shop", "a"), Key("Node", "", "b")]
    assert targets(("deploy", "a", "b"), "shop", snapshot) == [
        Key("Deployment", "shop", "a"),
        Key("Deployment", "shop", "b"),
    ]
    with pytest.raises(StateError, match='doesn\'t have a resource type "nonsense"'):
        kinds_of("nonsense", snapshot)
    with pytest.raises(StateError, match="expected TYPE/NAME for every object"):
        targets(("pod/a", "b"), "shop", snapshot)


def test_watching_prints_a_row_for_every_change(snapshot: Snapshot, capsys: pytest.CaptureFixture[str]) -> None:
    """In the columns of the table before, and only for what was asked for."""
    pod = snapshot.objects("Pod")[0]
    assert isinstance(pod, Pod)
    failed = replace(pod, status=replace(pod.status, phase="Failed", container_statuses=()))
    key = Key.of(pod)

    def states() -> Iterator[tuple[Snapshot, Sequence[Change]]]:
        yield snapshot, ()
        change = Change(key, pod, failed)
        yield snapshot.apply([change]), (change,)
        event = snapshot.objects("Event")[0]
        yield snapshot, (Change(Key.of(event), None, event), Change(key, failed, None))

    follow(Listing(("pods",), "default", "app=web", ""), states())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert [line.split()[:3] for line in lines[4:]] == [[key.name, "0/1", "Failed"]] * 2


def test_commands_read_what_was_left_when_nothing_runs(snapshot: Snapshot, tmp_path: Path) -> None:
    """And say so on stderr."""
    (tmp_path / "about.json").write_text("{}")
    with open_store(f"sqlite:{tmp_path / 'state.db'}") as store:
        store.write([Write(path_of(Key.of(obj)), encode(obj), ABSENT) for obj in snapshot])
    state = ("--state-dir", str(tmp_path))
    listed = CliRunner().invoke(cli, ["get", "deploy,cm", "-o", "name", *state])
    assert listed.stdout.split() == ["deployment.apps/web", "configmap/web"]
    assert "no reconciler runs" in listed.stderr
    one = CliRunner().invoke(cli, ["get", "svc/web", "-o", "yaml", *state])
    assert yaml.safe_load(one.stdout)["spec"]["selector"] == {"app": "web"}
    events = CliRunner().invoke(cli, ["events", "--for", "deploy/web", *state])
    assert events.stdout.splitlines()[1].split()[2:] == ["Tested", "deployment/web", "it", "was"]
    empty = CliRunner().invoke(cli, ["get", "pods", "-n", "nowhere", *state])
    assert (empty.stdout, empty.exit_code) == ("", 0)
    assert "No resources found in nowhere namespace." in empty.stderr
    scaled = CliRunner().invoke(cli, ["scale", "deploy/web", "--replicas", "2", *state])
    assert scaled.exit_code == 1
    assert "no reconciler runs" in scaled.stderr


def service(*problems: str) -> ServiceStatus:
    ports = (ServicePortConfig("http", "TCP", 80, (Backend("127.64.0.1", 8080), Backend("127.64.0.2", 8080))),)
    listeners = (Listener("http", "TCP", "127.64.8.1", 80, 80), Listener("udp", "UDP", "127.64.8.1", 53, 53))
    return ServiceStatus(ServiceConfig(ServiceKey("default", "web"), ("127.64.8.1",), ports), listeners, problems)


def test_the_screen_shows_workloads_pods_services_and_events(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One table each, drawn on a terminal."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=140, height=60, _environ={})
    monkeypatch.setattr(screen, "Console", lambda **_: console)
    runner = CliRunner()
    with runner.isolation(), cli.make_context("reconciler", ["get", "pods"]), screen.Screen("title") as view:
        view.events([event for event in snapshot.objects("Event") if isinstance(event, Event)])
        view.state(snapshot, [service("port 81 is taken")], NOW)
        view.say("goodbye")
        view.end()
    shown = text.getvalue()
    for part in ("title", "deployment.apps/web", "3/3", "service/web", "http://127.64.8.1 udp://127.64.8.1:53 port 81"):
        assert part in shown
    assert "it was" in shown
    assert "goodbye" in shown


def test_lines_tell_what_is_new(snapshot: Snapshot, capsys: pytest.CaptureFixture[str]) -> None:
    """Events, and services when they change."""
    view = screen.Lines()
    view.events([event for event in snapshot.objects("Event") if isinstance(event, Event)])
    for _ in range(2):
        view.state(snapshot, [service()], NOW)
    lines = [line[10:] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "Normal   Tested  deployment/default/web  it was",
        "up       service/default/web  http://127.64.8.1 udp://127.64.8.1:53",
    ]


def test_a_secret_is_described_without_what_it_keeps() -> None:
    """As kubectl does: names and sizes."""
    secret = Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"password": "aGVsbG8="}, type="Opaque")
    lines = list(described(secret, Snapshot.of([secret]), NOW))
    assert ["password:", "5", "bytes"] in [line.split() for line in lines]
    assert not any("aGVsbG8=" in line for line in lines)


def test_kinds_without_a_type_have_kubectl_s_names(snapshot: Snapshot) -> None:
    """Whether there are objects of them or not; several groups may have one of a name."""
    assert kinds_of("ing,hpa", snapshot) == ["Ingress.networking.k8s.io", "HorizontalPodAutoscaler.autoscaling"]
    assert kinds_of("ClusterRoles", snapshot) == ["ClusterRole.rbac.authorization.k8s.io"]
    assert kinds_of("events", snapshot) == ["Event"]
    assert "HorizontalPodAutoscaler.autoscaling" in kinds_of("all", snapshot)
