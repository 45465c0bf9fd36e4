"""The process runtime: the conformance suite, and what is particular to real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.drivers.runtime import _procfs, logs
from reconciler.drivers.runtime._rootfs import PathMap
from reconciler.drivers.runtime.base import ContainerConfig, Mount, PodSandboxConfig, RuntimeDriverError
from reconciler.drivers.runtime.conformance import RuntimeConformance
from reconciler.drivers.runtime.process import ProcessRuntime

pytestmark = pytest.mark.skipif(not _procfs.supported(), reason="the process runtime needs Linux with /proc")

COMMANDS = {
    "forever": "sleep 1000",
    "stubborn": "trap '' TERM; echo I stay; sleep 1000 & wait; sleep 1000; sleep 1000",
    "succeeds": "sleep 0.1",
    "fails": "sleep 0.1; exit 3",
    "talks": "for n in 1 2 3; do echo out $n; done; exec sleep 1000",
}


class ProcessHarness:
    def __init__(self, root):
        self.root = root
        self.log_directory = str(root / "logs")
        self.driver = ProcessRuntime(root / "state")

    def container(self, kind, name, attempt=0):
        command = ("sh", "-c", COMMANDS[kind]) if kind in COMMANDS else ("/no/such/command",)
        return ContainerConfig(name, "image", attempt, command=command, log_path=f"{name}/{attempt}.log")

    def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not happen within a minute"
            time.sleep(0.01)

    def reopen(self):
        self.driver.close()
        self.driver = ProcessRuntime(self.root / "state")

    # -- for the tests below

    def create(self, command, **config):
        sandbox = self.driver.run_pod_sandbox(
            PodSandboxConfig("u1", "default", "pod", ip="127.9.8.7", log_directory=self.log_directory)
        )
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        config = {"name": "a", "image": "image", "log_path": "a/0.log", **config}
        return self.driver.create_container(sandbox, ContainerConfig(command=argv, **config))

    def run(self, command, **config):
        container = self.create(command, **config)
        self.driver.start_container(container)
        self.until(lambda: self.status(container).started_at or self.status(container).reason)
        return container

    def status(self, container):
        return next(status for status in self.driver.list_containers() if status.id == container)

    def exited(self, container):
        self.until(lambda: self.status(container).state == "EXITED")
        return self.status(container)

    def processes(self, container):
        return list(_procfs.marked(self.root / "state" / "containers" / container))

    def output(self, container):
        """What it wrote, once it has ended."""
        self.exited(container)
        return [line.text.decode() for line in self.driver.logs(container)]


@pytest.fixture
def harness(tmp_path):
    made = ProcessHarness(tmp_path)
    yield made
    for sandbox in made.driver.list_pod_sandboxes():
        made.driver.remove_pod_sandbox(sandbox.id)
    made.driver.close()


class TestProcessRuntime(RuntimeConformance):
    @pytest.fixture
    def harness(self, harness):
        return harness


# -- what a container is told ------------------------------------------------------------------------------------------


def test_a_container_has_its_own_directory_and_only_the_environment_it_is_given(harness, monkeypatch):
    monkeypatch.setenv("LEAKED", "yes")
    container = harness.run("pwd; env", env={"GREETING": "hello"})
    directory, *env = harness.output(container)
    assert directory.endswith("/rootfs")
    values = dict(line.split("=", 1) for line in env)
    assert values["GREETING"] == "hello"
    assert (values["HOSTNAME"], values["POD_IP"], values["HOME"]) == ("pod", "127.9.8.7", directory)
    assert "LEAKED" not in values


def test_mounts_are_found_under_their_paths(harness, tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "settings.ini").write_text("one")
    container = harness.run(
        'echo 1 > /data/x; cat data/x /etc/app/settings.ini; echo "$WHERE" "$1"',
        args=("name", "--dir=/data/y"),
        env={"WHERE": "/data/z:/database"},
        mounts=(
            Mount(str(tmp_path / "volume"), "/data"),
            Mount(str(tmp_path / "settings.ini"), "/etc/app/settings.ini"),
        ),
    )
    volume = tmp_path / "volume"
    assert harness.output(container) == ["1", f"one{volume}/z:/database --dir={volume}/y"]
    assert (volume / "x").read_text() == "1\n"
    harness.driver.remove_container(container)
    assert list((harness.root / "state" / "containers").iterdir()) == []
    assert (volume / "x").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", "HOST"),
        ("/data/", "HOST/"),
        ("a:/data/b,/data", "a:HOST/b,HOST"),
        ("'/data/x'>>/data/y;", "'HOST/x'>>HOST/y;"),
        ("/data/deep/x", "DEEP/x"),
        ("/database /data.txt /data-1", "/database /data.txt /data-1"),
        (
            "/var/data http://host/data $HOME/data ../data ~/data",
            "/var/data http://host/data $HOME/data ../data ~/data",
        ),
        ("data", "data"),
    ],
)
def test_paths_of_mounts_are_replaced_where_they_begin_and_end(text, expected):
    mounts = [Mount("HOST", "/data/"), Mount("DEEP", "/data/deep"), Mount("ROOT", "/")]
    assert PathMap(mounts).rewrite(text) == expected


def test_a_working_directory_is_in_the_containers_own_or_in_a_mount(harness, tmp_path):
    (tmp_path / "volume").mkdir()
    container = harness.run("pwd", working_dir="/srv/app")
    assert harness.output(container)[0].endswith("/rootfs/srv/app")
    mounts = (Mount(str(tmp_path / "volume"), "/data"),)
    container = harness.run("pwd", name="b", log_path="b/0.log", working_dir="/data/sub", mounts=mounts)
    assert harness.output(container) == [str(tmp_path / "volume" / "sub")]


def test_an_image_is_no_command(harness):
    container = harness.create((), image="nginx")
    with pytest.raises(RuntimeDriverError, match='image "nginx" has no command here'):
        harness.driver.start_container(container)
    assert harness.status(container).reason == "StartError"


def test_an_entrypoint_can_be_given_for_an_image(tmp_path):
    driver = ProcessRuntime(tmp_path / "state", entrypoints={"echo:1": ("sh", "-c")})
    sandbox = driver.run_pod_sandbox(PodSandboxConfig("u1", "default", "pod"))
    container = driver.create_container(sandbox, ContainerConfig("a", "echo:1", args=("exit 7",)))
    driver.start_container(container)
    end = time.monotonic() + 60
    while driver.list_containers()[0].state != "EXITED" and time.monotonic() < end:
        time.sleep(0.01)
    assert driver.list_containers()[0].exit_code == 7
    driver.remove_pod_sandbox(sandbox)
    driver.close()


def test_the_termination_message_is_read(harness):
    container = harness.run(
        "echo disk full > /dev/termination-log; exit 1", termination_message_path="/dev/termination-log"
    )
    assert harness.exited(container).message == "disk full\n"


def test_a_command_runs_with_the_containers_environment_and_paths(harness, tmp_path):
    container = harness.run("exec sleep 1000", env={"A": "b"}, mounts=(Mount(str(tmp_path), "/data"),))
    result = harness.driver.exec_sync(container, ["sh", "-c", "echo $A /data; echo bad >&2; exit 4"], 30)
    assert (result.exit_code, result.stdout, result.stderr) == (4, f"b {tmp_path}\n".encode(), b"bad\n")
    assert harness.driver.exec_sync(container, ["sh", "-c", "kill -9 $$"], 30).exit_code == 137
    slow = harness.driver.exec_sync(container, ["sh", "-c", "sleep 1000 & sleep 1000"], 0.2)
    assert slow.timed_out
    with pytest.raises(RuntimeDriverError, match="no-such"):
        harness.driver.exec_sync(container, ["/no-such"], 1)


def test_a_container_goes_with_all_its_files_and_directories(harness):
    """Also directories that it made unwritable, and the directories of its log."""
    harness.exited(harness.run("mkdir -p a/b; touch a/b/c; chmod 500 a/b a"))
    harness.driver.remove_pod_sandbox(harness.driver.list_pod_sandboxes()[0].id)
    assert list((harness.root / "state" / "containers").iterdir()) == []
    assert not list((harness.root / "logs").rglob("*"))


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("KILL", 137), ("SEGV", 139)])
def test_a_signal_is_128_plus_its_number(harness, name, code):
    status = harness.exited(harness.run(f"kill -{name} $$"))
    assert (status.exit_code, status.reason) == (code, "Error")


def test_a_command_that_cannot_be_found_says_so(harness):
    status = harness.exited(harness.run(("no-such-command",)))
    assert status.message == 'exec: "no-such-command": executable file not found in $PATH'
    assert status.started_at == 0


def test_the_stop_signal_can_be_chosen(harness):
    container = harness.run(
        "trap 'exit 5' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done", stop_signal="SIGUSR1"
    )
    harness.until(lambda: list(harness.driver.logs(container)))
    harness.driver.stop_container(container, 60)
    assert harness.exited(container).exit_code == 5


def test_everything_that_a_container_left_behind_ends_with_it(harness, tmp_path):
    """Even what left the process group and session, and was adopted."""
    script = "import os,time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    time.sleep(1000)\n"
    container = harness.run((sys.executable, "-c", script + "time.sleep(0.3)"))
    harness.until(lambda: len(harness.processes(container)) >= 2)
    harness.exited(container)
    assert harness.processes(container) == []


def test_no_zombies_stay(harness):
    harness.run("exit 0")
    left = harness.run("sleep 0.3", name="b", log_path="b/0.log")
    harness.reopen()
    harness.exited(left)
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    harness.until(lambda: harness.driver.changed_pods() is not None and not mine.read_text().split())


def test_killing_the_supervisor_ends_the_container(harness):
    container = harness.run("sleep 1000 & sleep 1000")
    supervisor = harness.driver._containers[container].supervisor
    os.kill(supervisor, signal.SIGKILL)
    status = harness.exited(container)
    assert (status.exit_code, status.reason) == (137, "ContainerStatusUnknown")
    assert harness.processes(container) == []


def test_usage_of_all_processes_is_counted(harness):
    container = harness.run("sleep 1000 & sleep 1000 & while :; do :; done")

    def busy():
        stats = harness.driver.container_stats()
        return stats and stats[0].processes == 3 and stats[0].cpu_nanoseconds > 50_000_000

    harness.until(busy)
    assert harness.driver.container_stats()[0].memory_bytes > 100_000
    assert harness.status(container).pid


# -- logs --------------------------------------------------------------------------------------------------------------


def test_a_log_has_cris_format(harness):
    container = harness.run("printf 'one\\ntwo'; sleep 0.2; echo err >&2")
    harness.exited(container)
    entries = Path(harness.status(container).log_path).read_text().splitlines()
    words = sorted(entry.split(" ", 3)[1:] for entry in entries)
    assert words == [["stderr", "F", "err"], ["stdout", "F", "one"], ["stdout", "F", "two"]]
    assert all(len(entry.split(" ")[0]) == len("2026-01-01T00:00:00.000000000Z") for entry in entries)


def test_a_long_line_is_written_in_parts_and_read_whole(harness):
    container = harness.run(("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end"))
    harness.exited(container)
    assert " P x" in Path(harness.status(container).log_path).read_text()
    assert [line.text for line in harness.driver.logs(container)] == [b"x" * 100_000, b"end"]


def test_full_logs_are_rotated_and_old_ones_dropped(harness, tmp_path):
    harness.driver.close()
    harness.driver = ProcessRuntime(tmp_path / "state", log_max_bytes=2000, log_max_files=3)
    container = harness.run("n=0; while [ $n -lt 500 ]; do n=$((n+1)); echo line $n; done")
    harness.exited(container)
    path = Path(harness.status(container).log_path)
    assert [file.name for file in logs.files(path)] == ["0.log.2", "0.log.1", "0.log"]
    assert all(file.stat().st_size <= 2000 for file in logs.files(path))
    lines = [line.text for line in harness.driver.logs(container)]
    first = int(lines[0].split()[1])
    assert first > 1
    assert lines == [b"line %d" % n for n in range(first, 501)]
    harness.driver.remove_container(container)
    assert logs.files(path) == []


def test_following_loses_nothing_while_the_log_is_rotated(harness, tmp_path):
    harness.driver.close()
    harness.driver = ProcessRuntime(tmp_path / "state", log_max_bytes=20_000, log_max_files=50)
    container = harness.run("n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo line $n; done")
    lines = [line.text for line in harness.driver.logs(container, follow=True)]
    assert lines == [b"line %d" % n for n in range(1, 3001)]


# -- restarts of this program ------------------------------------------------------------------------------------------


def test_a_root_has_one_driver_at_a_time(harness):
    with pytest.raises(RuntimeDriverError, match="in use"):
        ProcessRuntime(harness.root / "state")


def test_a_deadline_is_kept_without_the_driver(harness):
    container = harness.run(COMMANDS["stubborn"])
    harness.until(lambda: list(harness.driver.logs(container)))
    harness.driver.stop_container(container, 0.3)
    harness.driver.close()
    harness.until((harness.root / "state" / "containers" / container / "exit.json").exists)
    harness.driver = ProcessRuntime(harness.root / "state")
    assert harness.status(container).exit_code == 137


def test_what_was_half_made_is_cleared_away(harness):
    containers = harness.root / "state" / "containers"
    (containers / ".half" / "rootfs").mkdir(parents=True)
    (harness.root / "state" / "sandboxes" / "x.json.12.tmp").write_text("{")
    harness.reopen()
    assert list(containers.iterdir()) == []
    assert harness.driver.list_pod_sandboxes() == ()


OWNER = """
import sys, time
from pathlib import Path
from reconciler.drivers.runtime.base import ContainerConfig, PodSandboxConfig
from reconciler.drivers.runtime.process import ProcessRuntime
root = Path(sys.argv[1])
driver = ProcessRuntime(root / "state")
sandbox = driver.run_pod_sandbox(PodSandboxConfig("u1", "default", "pod", log_directory=str(root / "logs")))
print("up", flush=True)
for number in range(20):
    command = f"echo started >> {root}/starts-{number}; n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done"
    config = ContainerConfig(f"c{number}", "image", command=("sh", "-c", command), log_path=f"c{number}/0.log")
    driver.start_container(driver.create_container(sandbox, config))
time.sleep(1000)
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.08])
def test_kill_9_of_the_owner_loses_and_doubles_nothing(harness, tmp_path, delay):
    """At any moment: what was begun goes on, its log too, and asking for the same again starts nothing twice."""
    harness.driver.close()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"up\n"
    time.sleep(delay)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    harness.driver = ProcessRuntime(tmp_path / "state")
    (sandbox,) = harness.driver.list_pod_sandboxes()
    for number in range(20):
        command = f"echo started >> {tmp_path}/starts-{number}; n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done"
        config = ContainerConfig(f"c{number}", "image", command=("sh", "-c", command), log_path=f"c{number}/0.log")
        harness.driver.start_container(harness.driver.create_container(sandbox.id, config))
    harness.until(lambda: all(c.state == "RUNNING" for c in harness.driver.list_containers()))
    containers = harness.driver.list_containers()
    assert len(containers) == 20
    seen = len(list(harness.driver.logs(containers[0].id)))
    harness.until(lambda: len(list(harness.driver.logs(containers[0].id))) > seen + 1)
    assert [(tmp_path / f"starts-{number}").read_text() for number in range(20)] == ["started\n"] * 20
    harness.driver.remove_pod_sandbox(sandbox.id)
    assert [pid for c in containers for pid in harness.processes(c.id)] == []


def test_a_driver_finds_how_a_container_ended_while_nobody_looked(harness):
    container = harness.run("sleep 0.1; echo bye; exit 6")
    harness.driver.close()
    harness.until((harness.root / "state" / "containers" / container / "exit.json").exists)
    harness.driver = ProcessRuntime(harness.root / "state")
    assert (harness.status(container).exit_code, harness.output(container)) == (6, ["bye"])


def test_a_reboot_leaves_no_container_running(harness):
    """After a reboot there are records but no processes: the status is unknown, and nothing is started again."""
    container = harness.create("exit 0")
    directory = harness.root / "state" / "containers" / container
    (directory / "started.json").write_text(json.dumps({"pid": os.getpid(), "ticks": 1, "started_at": 5}))
    harness.reopen()
    assert harness.status(container).reason == "ContainerStatusUnknown"
    harness.driver.start_container(container)
    assert harness.status(container).state == "EXITED"
