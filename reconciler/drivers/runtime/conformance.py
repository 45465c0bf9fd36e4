"""What every runtime driver must do, as tests that any implementation can run. Needs pytest.

Use::

    class TestMyRuntime(RuntimeConformance):
        @pytest.fixture
        def harness(self, tmp_path):
            ...yield a RuntimeHarness over a fresh driver, then remove what is left and close it
"""

# ruff: noqa: D102  (the name of a test states the behaviour)

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal, Protocol

import pytest

from reconciler.drivers.runtime.base import (
    START_ERROR_CODE,
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    NotFoundError,
    PodSandboxConfig,
    RuntimeDriver,
    RuntimeDriverError,
)

#: What a container of the harness does. "forever" runs until it is asked to stop; "stubborn" until it is killed, and
#: writes a line once it is that far; "succeeds" and "fails" end by themselves within a second, with exit code 0 and 3;
#: "broken" can't be started; "talks" writes the lines "out 1", "out 2" and "out 3" to stdout and then runs forever.
Kind = Literal["forever", "stubborn", "succeeds", "fails", "broken", "talks"]


class RuntimeHarness(Protocol):
    """A driver, containers that behave as told, and time that passes."""

    driver: RuntimeDriver
    log_directory: str

    def container(self, kind: Kind, name: str, attempt: int = 0) -> ContainerConfig:
        """A container of that kind, with a log."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Lets time pass until a condition holds; fails if it doesn't within a minute."""

    def reopen(self) -> None:
        """Replaces ``driver`` by a new one over the same state, as after a restart of the program."""


class RuntimeConformance:
    """The tests. A subclass provides the ``harness`` fixture."""

    # -- sandboxes -----------------------------------------------------------------------------------------------------

    def test_a_sandbox_is_listed_as_it_was_asked_for(self, harness: RuntimeHarness) -> None:
        config = PodSandboxConfig("u1", "ns", "web-0", ip="127.1.2.3", hostname="h", labels={"a": "b"})
        sandbox_id = harness.driver.run_pod_sandbox(config)
        (sandbox,) = harness.driver.list_pod_sandboxes()
        assert (sandbox.id, sandbox.config, sandbox.ready) == (sandbox_id, config, True)
        assert sandbox.created_at > 0

    def test_running_the_same_sandbox_twice_gives_the_same(self, harness: RuntimeHarness) -> None:
        assert _sandbox(harness) == _sandbox(harness)
        assert len(harness.driver.list_pod_sandboxes()) == 1

    def test_another_attempt_is_another_sandbox_listed_later(self, harness: RuntimeHarness) -> None:
        first, second = _sandbox(harness), _sandbox(harness, attempt=1)
        assert [sandbox.id for sandbox in harness.driver.list_pod_sandboxes("u1")] == [first, second]

    def test_lists_can_be_of_one_pod(self, harness: RuntimeHarness) -> None:
        one, other = _sandbox(harness), _sandbox(harness, uid="u2")
        mine = _create(harness, one, "forever", "a")
        _create(harness, other, "forever", "a")
        assert [sandbox.id for sandbox in harness.driver.list_pod_sandboxes("u1")] == [one]
        assert [container.id for container in harness.driver.list_containers("u1")] == [mine]
        assert harness.driver.list_containers("nobody") == ()

    def test_stopping_a_sandbox_ends_its_containers(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        running = _run(harness, sandbox, "stubborn", "a")
        created = _create(harness, sandbox, "forever", "b")
        for _ in range(2):
            harness.driver.stop_pod_sandbox(sandbox)
        assert not harness.driver.list_pod_sandboxes()[0].ready
        assert [_status(harness, container).state for container in (running, created)] == ["EXITED", "EXITED"]
        with pytest.raises(RuntimeDriverError):
            _create(harness, sandbox, "forever", "c")

    def test_removing_a_sandbox_removes_everything_in_it(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        _run(harness, sandbox, "stubborn", "a")
        for _ in range(2):
            harness.driver.remove_pod_sandbox(sandbox)
        assert harness.driver.list_pod_sandboxes() == ()
        assert harness.driver.list_containers() == ()

    def test_undoing_what_is_not_there_is_fine(self, harness: RuntimeHarness) -> None:
        harness.driver.stop_pod_sandbox("nobody")
        harness.driver.remove_pod_sandbox("nobody")
        harness.driver.stop_container("nobody", 1)
        harness.driver.remove_container("nobody")

    def test_what_needs_something_that_is_not_there_says_so(self, harness: RuntimeHarness) -> None:
        for call in (
            lambda: harness.driver.create_container("nobody", harness.container("forever", "a")),
            lambda: harness.driver.start_container("nobody"),
            lambda: harness.driver.exec_sync("nobody", ["true"], 1),
            lambda: list(harness.driver.logs("nobody")),
        ):
            with pytest.raises(NotFoundError):
                call()

    def test_a_pulled_image_is_at_hand(self, harness: RuntimeHarness) -> None:
        reference = harness.driver.pull_image("example/image:1")
        assert harness.driver.image_ref("example/image:1") == reference == harness.driver.pull_image("example/image:1")

    # -- containers ----------------------------------------------------------------------------------------------------

    def test_a_created_container_does_not_run(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        container = _create(harness, sandbox, "forever", "a")
        status = _status(harness, container)
        assert (status.state, status.name, status.pod_uid, status.sandbox_id) == ("CREATED", "a", "u1", sandbox)
        assert (status.started_at, status.finished_at, status.exit_code) == (0, 0, 0)

    def test_creating_twice_gives_the_same_container(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        assert _create(harness, sandbox, "forever", "a") == _create(harness, sandbox, "forever", "a")
        assert len(harness.driver.list_containers()) == 1

    def test_containers_are_listed_in_order_of_creation(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        made = [_create(harness, sandbox, "forever", name, attempt) for name, attempt in (("b", 0), ("a", 0), ("b", 1))]
        assert [container.id for container in harness.driver.list_containers()] == made

    def test_a_started_container_runs_until_it_is_stopped(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "forever", "a")
        running = _status(harness, container)
        assert running.started_at >= running.created_at > 0
        harness.driver.stop_container(container, 30)
        stopped = _exited(harness, container)
        assert stopped.reason == ("Error" if stopped.exit_code else "Completed")
        assert stopped.finished_at >= stopped.started_at == running.started_at

    def test_starting_twice_starts_once(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "succeeds", "a")
        harness.driver.start_container(container)
        ended = _exited(harness, container)
        harness.driver.start_container(container)
        assert _status(harness, container) == ended

    @pytest.mark.parametrize(("kind", "code", "reason"), [("succeeds", 0, "Completed"), ("fails", 3, "Error")])
    def test_exit_code_and_reason_are_told(self, harness: RuntimeHarness, kind: Kind, code: int, reason: str) -> None:
        container = _run(harness, _sandbox(harness), kind, "a")
        status = _exited(harness, container)
        assert (status.exit_code, status.reason) == (code, reason)

    def test_what_cannot_be_started_exits_with_a_start_error(self, harness: RuntimeHarness) -> None:
        container = _create(harness, _sandbox(harness), "broken", "a")
        with contextlib.suppress(RuntimeDriverError):  # it may be raised, or be found out later
            harness.driver.start_container(container)
        status = _exited(harness, container)
        assert (status.exit_code, status.reason) == (START_ERROR_CODE, "StartError")
        assert status.message

    def test_what_does_not_stop_is_killed_at_the_deadline(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "stubborn", "a")
        harness.driver.stop_container(container, 0.3)
        assert _status(harness, container).stopping
        assert _exited(harness, container).exit_code == 137
        assert not _status(harness, container).stopping

    def test_the_time_to_stop_can_be_made_shorter_only(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "stubborn", "a")
        harness.driver.stop_container(container, 3000)
        harness.driver.stop_container(container, 0.1)
        harness.driver.stop_container(container, 3000)
        assert _exited(harness, container).exit_code == 137

    def test_stopping_what_never_started_ends_it(self, harness: RuntimeHarness) -> None:
        container = _create(harness, _sandbox(harness), "forever", "a")
        harness.driver.stop_container(container, 30)
        assert _exited(harness, container).reason == "StartError"
        harness.driver.start_container(container)
        assert _status(harness, container).state is ContainerState.EXITED

    def test_removing_a_running_container_ends_it(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "stubborn", "a")
        for _ in range(2):
            harness.driver.remove_container(container)
        assert harness.driver.list_containers() == ()

    # -- observing -----------------------------------------------------------------------------------------------------

    def test_changed_pods_names_those_that_changed_since(self, harness: RuntimeHarness) -> None:
        one, other = _sandbox(harness), _sandbox(harness, uid="u2")
        assert harness.driver.changed_pods() == {"u1", "u2"}
        assert harness.driver.changed_pods() == frozenset()
        container = _run(harness, one, "forever", "a")
        assert harness.driver.changed_pods() == {"u1"}
        harness.driver.stop_container(container, 30)
        _exited(harness, container)
        assert harness.driver.changed_pods() == {"u1"}
        harness.driver.remove_pod_sandbox(other)
        assert harness.driver.changed_pods() == {"u2"}

    def test_only_running_containers_have_stats(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        container = _run(harness, sandbox, "forever", "a")
        _create(harness, sandbox, "forever", "b")
        (stats,) = harness.driver.container_stats("u1")
        assert stats.id == container
        assert stats.processes >= 1
        assert min(stats.cpu_nanoseconds, stats.memory_bytes) >= 0

    def test_logs_have_what_was_written(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "talks", "a")
        harness.until(lambda: len(list(harness.driver.logs(container))) == 3)
        lines = list(harness.driver.logs(container))
        assert [(line.stream, line.text) for line in lines] == [("stdout", b"out %d" % n) for n in (1, 2, 3)]
        assert [line.text for line in harness.driver.logs(container, tail=1)] == [b"out 3"]
        assert list(harness.driver.logs(container, tail=0)) == []

    def test_following_a_log_ends_with_the_container(self, harness: RuntimeHarness) -> None:
        container = _run(harness, _sandbox(harness), "talks", "a")
        harness.until(lambda: len(list(harness.driver.logs(container))) == 3)
        harness.driver.stop_container(container, 30)
        assert [line.text for line in harness.driver.logs(container, follow=True)] == [b"out 1", b"out 2", b"out 3"]

    def test_a_command_runs_in_a_running_container_only(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        container = _run(harness, sandbox, "forever", "a")
        assert harness.driver.exec_sync(container, ["true"], 30).exit_code == 0
        with pytest.raises(RuntimeDriverError):
            harness.driver.exec_sync(_create(harness, sandbox, "forever", "b"), ["true"], 30)

    def test_a_new_driver_finds_everything(self, harness: RuntimeHarness) -> None:
        sandbox = _sandbox(harness)
        for kind in ("forever", "fails"):
            _run(harness, sandbox, kind, kind)
        _create(harness, sandbox, "forever", "created")
        harness.until(lambda: [c.state for c in _containers(harness)] == ["RUNNING", "EXITED", "CREATED"])
        before = harness.driver.list_pod_sandboxes(), _containers(harness)
        harness.reopen()
        assert (harness.driver.list_pod_sandboxes(), _containers(harness)) == before
        assert harness.driver.changed_pods() == {"u1"}


def _sandbox(harness: RuntimeHarness, uid: str = "u1", attempt: int = 0) -> str:
    config = PodSandboxConfig(uid, "default", f"pod-{uid}", attempt, log_directory=harness.log_directory)
    return harness.driver.run_pod_sandbox(config)


def _create(harness: RuntimeHarness, sandbox: str, kind: Kind, name: str, attempt: int = 0) -> str:
    return harness.driver.create_container(sandbox, harness.container(kind, name, attempt))


def _run(harness: RuntimeHarness, sandbox: str, kind: Kind, name: str) -> str:
    """Creates and starts a container, and waits until it does (or did) run."""
    container = _create(harness, sandbox, kind, name)
    harness.driver.start_container(container)
    harness.until(lambda: _status(harness, container).started_at > 0)
    if kind == "stubborn":
        harness.until(lambda: bool(list(harness.driver.logs(container))))
    return container


def _containers(harness: RuntimeHarness) -> tuple[ContainerStatus, ...]:
    return harness.driver.list_containers()


def _status(harness: RuntimeHarness, container_id: str) -> ContainerStatus:
    return next(status for status in harness.driver.list_containers() if status.id == container_id)


def _exited(harness: RuntimeHarness, container_id: str) -> ContainerStatus:
    harness.until(lambda: _status(harness, container_id).state is ContainerState.EXITED)
    return _status(harness, container_id)
