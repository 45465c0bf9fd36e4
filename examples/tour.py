"""What ``make run`` shows: the examples, run for real on this machine.

On a terminal it is ``reconciler up`` with all of them, until Ctrl-C. Elsewhere it is a tour that ends by itself: it
does what a person would do, in the way a person would, and fails (exit status 1) if anything doesn't happen.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from reconciler.live.client import Client, NotRunningError
from reconciler.live.directory import StateDirectory
from reconciler.live.ready import is_ready
from state.objects import Deployment, Object, Pod, Service

EXAMPLES = Path(__file__).parent
RECONCILER = [sys.executable, "-m", "reconciler"]
#: How long anything may take, in seconds. On a machine that isn't busy nothing takes more than a few.
PATIENCE = 45.0
T = TypeVar("T", bound=Object)


class TourError(Exception):
    """Something that should have happened did not."""


class Tour:
    """One run of ``up`` in a directory of its own, and what is done to it."""

    def __init__(self, directory: Path) -> None:
        self._manifests = directory / "examples"
        self._state = directory / "state"
        self._output = directory / "up.log"
        self._manifests.mkdir()
        for file in manifests():
            (self._manifests / file.name).write_bytes(file.read_bytes())
        self._up: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """All stations."""
        started = time.monotonic()
        try:
            self.start()
            self.load_balancing()
            self.healing()
            self.rollout()
            self.memory()
            self.stop()
        except TourError:
            say("what `up` said last")
            print("".join(self._said()[-30:]))
            raise
        finally:
            self._kill()
        say(f"done: everything happened as it should, in {time.monotonic() - started:.0f} s")

    # -- stations ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Three manifests become processes, services and a volume."""
        say("three manifests are run: a web app, one to be rolled out, and one with a memory")
        print("$ reconciler up -f examples/ &")
        with self._output.open("wb") as output:
            self._up = subprocess.Popen(
                [*RECONCILER, "up", "-f", str(self._manifests), "--state-dir", str(self._state)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        for name in ("web", "hello", "visits"):
            wait_for(f"deployment {name} to be available", partial(self._is_rolled_out, name))
        self._show("get", "deployments,pods")
        self._show("get", "services")
        self._show("get", "persistentvolumeclaims")

    def load_balancing(self) -> None:
        """Requests to a Service reach all pods behind it."""
        say("requests to the service web are spread over its pods")
        address = self._address("web")
        print(f"$ for i in 1 2 3 4 5 6 7 8 9; do curl -s http://{address}; done | sort | uniq -c")
        patiently(address)
        answers = Counter(ask(address) for _ in range(9))
        for answer, count in sorted(answers.items()):
            print(f"{count:7} {answer}")
        pods = {f"Hello from {name}" for name in self._pods("web")}
        expect(set(answers) == pods, f"answers from each of {len(pods)} pods, not {sorted(answers)}")

    def healing(self) -> None:
        """A process that dies is started again, in its pod."""
        victim = min(self._pods("web"))
        pid = self._pid(victim)
        say(f"a process dies: {victim} is started again")
        print(f"$ kill -9 {pid}")
        os.kill(pid, signal.SIGKILL)

        def is_back() -> bool:
            (status,) = self._pods("web")[victim].status.container_statuses
            return status.restart_count == 1 and status.ready

        wait_for(f"{victim} to be back", is_back)
        expect(len(self._pods("web")) == 3, "still three pods")
        expect(self._pid(victim) != pid, "another process")
        self._show("get", "pods", "-l", "app=web")
        self._show("events", "--for", f"pod/{victim}")

    def rollout(self) -> None:
        """A new version replaces the old one, and no request fails meanwhile."""
        say("a new version is rolled out while somebody asks without pause: v1 becomes v2 in the file")
        print("$ sed -i 's/v1$/v2/' examples/rollout.yaml")
        visitor = Visitor(self._address("hello"))
        patiently(visitor.address)
        visitor.start()
        generation = self._generation("hello")
        file = self._manifests / "rollout.yaml"
        text = file.read_text()
        file.write_text(text.replace("version: v1", "version: v2").replace("value: v1", "value: v2"))
        wait_for("the change to be seen", lambda: self._generation("hello") > generation)
        wait_for("the rollout to end", lambda: self._is_rolled_out("hello"))
        wait_for("the old pods to be gone", lambda: len(self._pods("hello")) == 4)
        answers, failures = visitor.finish()
        self._show("get", "replicasets", "-l", "app=hello")
        self._show("events", "--for", "deployment/hello")
        print("\nanswers meanwhile:")
        for answer, count in sorted(answers.items()):
            print(f"{count:7} {answer}")
        print(f"{len(failures):7} failed")
        expect(not failures, f"no failed request, not {failures[:3]}")
        expect(set(answers) == {"hello, this is v1", "hello, this is v2"}, f"both versions, not {sorted(answers)}")
        expect(ask(visitor.address) == "hello, this is v2", "the new version in the end")

    def memory(self) -> None:
        """A pod is replaced, and the new one has its data."""
        say("a pod with a claim is replaced, and its data is still there")
        address = self._address("visits")
        before = self._visits(address, 3)
        (pod,) = self._pods("visits")
        self._show("delete", f"pod/{pod}")
        wait_for(f"{pod} to be gone", lambda: pod not in self._pods("visits"))
        wait_for("the new pod to be ready", lambda: self._is_rolled_out("visits"))
        after = self._visits(address, 1)
        (successor,) = self._pods("visits")
        expect(successor != pod, "another pod")
        expect(after == before + 1, f"visit {before + 1}, not {after}")

    def stop(self) -> None:
        """Ctrl-C ends everything in order."""
        say("Ctrl-C")
        assert self._up is not None
        pids = [self._pid(pod) for app in ("web", "hello", "visits") for pod in self._pods(app)]
        already = len(self._said())
        os.kill(self._up.pid, signal.SIGINT)
        try:
            status = self._up.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise TourError("up to end after Ctrl-C") from error
        print("".join(line for line in self._said()[already:] if "  up  " in line))
        expect(status == 0, f"exit status 0 of up, not {status}")
        left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        expect(not left, f"no process left behind, not {left}")
        expect(any(self._state.glob("storage/volumes/*/data/visits")), "the data of the claim kept")

    # -- means ---------------------------------------------------------------------------------------------------------

    def _reconciler(self, *words: str) -> str:
        command = [*RECONCILER, *words, "--state-dir", str(self._state)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TourError(f"`reconciler {' '.join(words)}` to work: {done.stderr.strip()}")
        return done.stdout

    def _show(self, *words: str) -> None:
        print(f"$ reconciler {' '.join(words)}")
        print(self._reconciler(*words))

    def _objects(self, kind: type[T]) -> dict[str, T]:
        """The objects of a kind by name, as `up` tells them: what the commands print, but quicker."""
        with Client(StateDirectory(self._state)) as client:
            found = client.state((kind.kind,)).objects(kind.kind)
        return {obj.metadata.name: obj for obj in found if isinstance(obj, kind)}

    def _pods(self, app: str) -> dict[str, Pod]:
        """The pods of an app that are not on their way out, by name."""
        return {
            name: pod
            for name, pod in self._objects(Pod).items()
            if pod.metadata.labels.get("app") == app and pod.metadata.deletion_timestamp is None
        }

    def _is_rolled_out(self, name: str) -> bool:
        expect(self._up is not None and self._up.poll() is None, "up to go on running")
        try:
            deployment = self._objects(Deployment).get(name)
        except (NotRunningError, FileNotFoundError):  # `up` is still starting
            return False
        return deployment is not None and is_ready(deployment)

    def _generation(self, name: str) -> int:
        return self._objects(Deployment)[name].metadata.generation or 0

    def _address(self, service: str) -> str:
        return self._objects(Service)[service].spec.cluster_ip or ""

    def _visits(self, address: str, times: int) -> int:
        """Visits a few times; returns the last visit's number."""
        last = ""
        for _ in range(times):
            last = patiently(address)
            print(f"$ curl http://{address}\n{last}")
        return int(last.split()[1].rstrip(","))

    def _pid(self, pod: str) -> int:
        """The process that runs a pod: the one that was told so in its environment, and has its home in our state."""
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                environment = (directory / "environ").read_bytes().split(b"\0")
            except OSError:  # gone, or somebody else's
                continue
            is_ours = any(entry.startswith(f"HOME={self._state}/".encode()) for entry in environment)
            if is_ours and f"HOSTNAME={pod}".encode() in environment:
                return int(directory.name)
        raise TourError(f"a process of {pod}")

    def _said(self) -> list[str]:
        return self._output.read_text().splitlines(keepends=True) if self._output.exists() else []

    def _kill(self) -> None:
        """Ends what a failed tour leaves."""
        if self._up is None or self._up.poll() is not None:
            return
        for _ in range(2):  # twice: at once
            os.kill(self._up.pid, signal.SIGINT)
            time.sleep(0.5)
        try:
            self._up.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._up.kill()


class Visitor(threading.Thread):
    """Asks without pause until it is told to finish."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self._answers: Counter[str] = Counter()
        self._failures: list[str] = []
        self._is_over = threading.Event()

    def run(self) -> None:
        """A new connection for every request."""
        while not self._is_over.wait(0.005):
            try:
                self._answers[ask(self.address)] += 1
            except (OSError, http.client.HTTPException) as error:
                self._failures.append(repr(error))

    def finish(self) -> tuple[Counter[str], list[str]]:
        """How often each answer came, and what failed."""
        self._is_over.set()
        self.join()
        return self._answers, self._failures


def manifests() -> list[Path]:
    """The examples that `up` runs; what is in folders below is for other commands."""
    return sorted(EXAMPLES.glob("*.yaml"))


def ask(address: str) -> str:
    """The answer to one request, over a connection of its own."""
    connection = http.client.HTTPConnection(address, port_of(80), timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def patiently(address: str) -> str:
    """The answer to a request that isn't refused: between "ready" and "served" may be a few milliseconds."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(address)
        except ConnectionRefusedError as error:
            if time.monotonic() > end:
                raise TourError(f"an answer from {address}") from error
            time.sleep(0.05)


def port_of(port: int) -> int:
    """Where a service's port is served: one below 1024 that a user may not listen on is moved up by 10,000."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return port if os.geteuid() == 0 or port >= lowest else port + 10_000


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    """Waits until it is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TourError(what)
        time.sleep(0.1)


def expect(is_so: bool, what: str) -> None:
    """Fails the tour unless it is so."""
    if not is_so:
        raise TourError(what)


def say(text: str) -> None:
    """A heading."""
    print(f"\n=== {text}\n", flush=True)


def main() -> int:
    """On a terminal ``up``, elsewhere the tour."""
    if sys.stdout.isatty():
        files = [word for file in manifests() for word in ("-f", os.path.relpath(file))]
        os.execv(sys.executable, [*RECONCILER, "up", *files])
    with tempfile.TemporaryDirectory(prefix="reconciler-tour-") as directory:
        try:
            Tour(Path(directory)).run()
        except TourError as failure:
            print(f"\nthe tour failed: expected {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
