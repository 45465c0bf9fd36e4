"""The simulated runtime: the conformance suite, virtual time and faults."""

import pytest

from reconciler.drivers.runtime.base import (
    ContainerConfig,
    ImageError,
    PodSandboxConfig,
    RuntimeDriverError,
)
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.conformance import RuntimeConformance
from reconciler.drivers.runtime.simulated import Behaviour, SimulatedRuntime

SECOND = 1_000_000
KINDS = {
    "forever": Behaviour(),
    "stubborn": Behaviour(stops_after=None, log=("I stay",)),
    "succeeds": Behaviour(runs_for=SECOND // 2),
    "fails": Behaviour(runs_for=SECOND // 2, exit_code=3),
    "broken": Behaviour(start_error="no such command"),
    "talks": Behaviour(log=("out 1", "out 2", "out 3")),
}
SANDBOX = PodSandboxConfig("u1", "default", "pod")


class SimulatedHarness:
    log_directory = "/logs"

    def __init__(self):
        self.clock = VirtualClock(SECOND)
        self.driver = SimulatedRuntime(self.clock, lambda _, config: KINDS[config.labels["kind"]])

    def container(self, kind, name, attempt=0):
        return ContainerConfig(name, "image", attempt, labels={"kind": kind}, log_path=f"{name}/{attempt}.log")

    def until(self, condition):
        for _ in range(600):
            if condition():
                return
            self.clock.advance(SECOND // 10)
        raise AssertionError("it did not happen within a minute")

    def reopen(self):
        """The state is in memory: a restarted program still finds it if it keeps the driver."""
        self.driver.changed_pods()
        for uid in {sandbox.config.uid for sandbox in self.driver.list_pod_sandboxes()}:
            self.driver._changed.add(uid)


class TestSimulatedRuntime(RuntimeConformance):
    @pytest.fixture
    def harness(self):
        return SimulatedHarness()


def running(behaviour):
    clock = VirtualClock()
    driver = SimulatedRuntime(clock, lambda _, __: behaviour)
    container = driver.create_container(driver.run_pod_sandbox(SANDBOX), ContainerConfig("a", "image"))
    driver.start_container(container)
    return clock, driver, container


def status(driver):
    return driver.list_containers()[0]


def test_what_happens_is_dated_when_it_was_due_however_late_one_looks():
    clock, driver, _ = running(Behaviour(runs_for=3 * SECOND, exit_code=9, starts_after=SECOND))
    assert driver.next_change() == SECOND
    clock.advance(100 * SECOND)
    seen = status(driver)
    assert (seen.started_at, seen.finished_at, seen.exit_code) == (SECOND, 4 * SECOND, 9)
    assert driver.next_change() is None


def test_stopping_takes_as_long_as_the_behaviour_says():
    clock, driver, container = running(Behaviour(stops_after=2 * SECOND))
    driver.stop_container(container, 30)
    assert driver.next_change() == 2 * SECOND
    clock.advance(2 * SECOND)
    assert (status(driver).finished_at, status(driver).exit_code) == (2 * SECOND, 143)


def test_a_container_that_ends_by_itself_before_it_would_obey_keeps_its_exit_code():
    clock, driver, container = running(Behaviour(runs_for=SECOND, exit_code=5, stops_after=9 * SECOND))
    driver.stop_container(container, 30)
    clock.advance(60 * SECOND)
    assert (status(driver).finished_at, status(driver).exit_code) == (SECOND, 5)


def test_a_container_can_be_made_to_exit():
    _, driver, container = running(Behaviour())
    driver.exit_container(container, 137, "OOMKilled", "too big")
    assert (status(driver).exit_code, status(driver).reason, status(driver).message) == (137, "OOMKilled", "too big")


def test_injected_failures_happen_the_asked_number_of_times():
    driver = SimulatedRuntime(VirtualClock())
    driver.fail("run_pod_sandbox", "u1", "no room", times=2)
    for _ in range(2):
        with pytest.raises(RuntimeDriverError, match="no room"):
            driver.run_pod_sandbox(SANDBOX)
    sandbox = driver.run_pod_sandbox(SANDBOX)
    driver.fail("create_container", "a", "disk full")
    with pytest.raises(RuntimeDriverError, match="disk full"):
        driver.create_container(sandbox, ContainerConfig("a", "image"))
    driver.fail("start_container", "a", "no runc")
    container = driver.create_container(sandbox, ContainerConfig("a", "image"))
    with pytest.raises(RuntimeDriverError, match="no runc"):
        driver.start_container(container)
    assert status(driver).reason == "StartError"


def test_a_broken_image_cannot_be_pulled_until_it_is_healed():
    driver = SimulatedRuntime(VirtualClock())
    driver.break_image("x:1", "manifest unknown")
    with pytest.raises(ImageError, match="manifest unknown"):
        driver.pull_image("x:1")
    driver.break_image("x:1")
    assert driver.pull_image("x:1") == driver.image_ref("x:1")


def test_usage_follows_from_behaviour_and_time():
    clock, driver, _ = running(Behaviour(cpu_milli=250, memory_bytes=1 << 20))
    clock.advance(4 * SECOND)
    (stats,) = driver.container_stats()
    assert (stats.cpu_nanoseconds, stats.memory_bytes) == (1_000_000_000, 1 << 20)


def test_time_does_not_go_back():
    clock = VirtualClock(5)
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(4)
