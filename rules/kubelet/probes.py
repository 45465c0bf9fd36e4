"""Probes: when each is due, and what its outcomes mean. As the kubelet's prober workers, without threads or
sleeping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rules.kubelet.records import SECOND, ContainerMemory, ProbeMemory, RuntimeContainer
from state.objects import Container, Probe, replace

KINDS = ("startup", "liveness", "readiness")
_PERIOD, _TIMEOUT, _FAILURES, _SUCCESSES = 10, 1, 3, 1


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """How one try of a probe of an instance, begun at a time, went. ``steady``: it would always go the same way."""

    kind: str
    instance_id: str
    at: int
    success: bool
    message: str = ""
    steady: bool = False


def probe_of(container: Container, kind: str) -> Probe | None:
    """The probe of that kind that a container has."""
    if kind == "startup":
        return container.startup_probe
    return container.liveness_probe if kind == "liveness" else container.readiness_probe


def timeout_seconds(probe: Probe) -> int:
    """How long one try may take."""
    return probe.timeout_seconds or _TIMEOUT


def verdict(container: Container, memory: ContainerMemory, instance_id: str, kind: str) -> bool | None:
    """What a probe says of an instance: passed, failed, or None while there is no verdict (or no such probe)."""
    known = memory.probes.get(kind)
    if known is None or known.id != instance_id or probe_of(container, kind) is None:
        return None
    return known.passed


def started(container: Container, memory: ContainerMemory, instance: RuntimeContainer | None) -> bool:
    """Whether a running instance counts as started: its startup probe passed, or it has none."""
    if instance is None or instance.state != "RUNNING":
        return False
    return container.startup_probe is None or verdict(container, memory, instance.id, "startup") is True


def ready(container: Container, memory: ContainerMemory, instance: RuntimeContainer | None) -> bool:
    """Whether an instance is ready: started, and its readiness probe passed, or it has none."""
    if instance is None or not started(container, memory, instance):
        return False
    return container.readiness_probe is None or verdict(container, memory, instance.id, "readiness") is True


def schedule(
    container: Container, memory: ContainerMemory, instance: RuntimeContainer, *, ending: bool
) -> Iterator[tuple[str, Probe, int]]:
    """The probes of a running instance that are to go on, each with the time when it is due next.

    Until the startup probe has passed there is no other. A pod that ends has readiness probes only.
    """
    has_started = started(container, memory, instance)
    for kind in KINDS:
        probe = probe_of(container, kind)
        if probe is None or (kind == "startup") == has_started or (ending and kind != "readiness"):
            continue
        known = memory.probes.get(kind)
        if known is None or known.id != instance.id:
            yield kind, probe, instance.started_at + (probe.initial_delay_seconds or 0) * SECOND
        elif known.next_at is not None:
            yield kind, probe, known.next_at


def begin(memory: ProbeMemory | None, instance_id: str) -> ProbeMemory:
    """The probe's memory while a try goes on: it isn't due."""
    if memory is None or memory.id != instance_id:
        return ProbeMemory(id=instance_id, passed=None, next_at=None)
    return replace(memory, next_at=None)


def observe(probe: Probe, memory: ProbeMemory, outcome: ProbeOutcome) -> ProbeMemory:
    """The probe's memory after a try.

    A verdict changes after ``successThreshold`` or ``failureThreshold`` equal outcomes in a row. A failed startup or
    liveness probe is not tried again: the container is about to be restarted.
    """
    success = outcome.success
    run = memory.run + 1 if memory.last is success else 1
    needed = (probe.success_threshold or _SUCCESSES) if success else (probe.failure_threshold or _FAILURES)
    passed = success if run >= needed else memory.passed
    over = (passed is False and outcome.kind != "readiness") or (outcome.steady and passed is success)
    return replace(
        memory,
        passed=passed,
        run=run,
        last=success,
        message=outcome.message,
        next_at=None if over else outcome.at + (probe.period_seconds or _PERIOD) * SECOND,
    )
