"""Validation of probes and lifecycle hooks."""

from __future__ import annotations

from state import names
from state.objects import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from state.validation import _checks as checks
from state.validation._report import Report

Action = ExecAction | HTTPGetAction | TCPSocketAction | GRPCAction | SleepAction


def liveness_or_startup(found: Report, path: str, probe: Probe | None) -> None:
    """A liveness or startup probe: one success is enough."""
    if probe is not None:
        _probe(found, path, probe)
        if probe.success_threshold != 1:
            found.invalid(f"{path}.successThreshold", probe.success_threshold, "must be 1")


def readiness(found: Report, path: str, probe: Probe | None) -> None:
    """A readiness probe: it never ends a container, so it has no grace period."""
    if probe is not None:
        _probe(found, path, probe)
        grace = probe.termination_grace_period_seconds
        if grace is not None:
            found.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")


def _probe(found: Report, path: str, probe: Probe) -> None:
    _handlers(found, path, probe)
    found.not_negative(f"{path}.initialDelaySeconds", probe.initial_delay_seconds)
    found.not_negative(f"{path}.timeoutSeconds", probe.timeout_seconds)
    found.not_negative(f"{path}.periodSeconds", probe.period_seconds)
    found.not_negative(f"{path}.successThreshold", probe.success_threshold)
    found.not_negative(f"{path}.failureThreshold", probe.failure_threshold)
    grace = probe.termination_grace_period_seconds
    if grace is not None and grace <= 0:
        found.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def lifecycle(found: Report, path: str, hooks: Lifecycle, grace_seconds: int | None) -> None:
    """What runs after a container's start and before its stop; a sleep ends within the grace period."""
    for name, hook in (("postStart", hooks.post_start), ("preStop", hooks.pre_stop)):
        if hook is None:
            continue
        first = _handlers(found, f"{path}.{name}", hook)
        if isinstance(first, SleepAction) and grace_seconds is not None and not 0 <= first.seconds <= grace_seconds:
            message = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
            found.invalid(f"{path}.{name}.sleep", first.seconds, message)


def _handlers(found: Report, path: str, owner: Probe | LifecycleHandler) -> Action | None:
    """Exactly one way of asking or acting: the first of several is looked at and returned, the others are too many."""
    last = ("grpc", owner.grpc) if isinstance(owner, Probe) else ("sleep", owner.sleep)
    ways = (("exec", owner.exec), ("httpGet", owner.http_get), ("tcpSocket", owner.tcp_socket), last)
    first: Action | None = None
    for name, action in ways:
        if action is None:
            continue
        if first is not None:
            found.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
            continue
        first = action
        _action(found, f"{path}.{name}", action)
    if first is None:
        found.required(path, "must specify a handler type")
    return first


def _action(found: Report, path: str, action: Action) -> None:
    if isinstance(action, ExecAction):
        if not action.command:
            found.required(f"{path}.command")
    elif isinstance(action, HTTPGetAction):
        checks.port(found, f"{path}.port", action.port)
        if action.scheme not in {"HTTP", "HTTPS"}:
            found.unsupported(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS"))
        for header in action.http_headers:
            checks.text(found, f"{path}.httpHeaders", header.name, names.http_header_name)
    elif isinstance(action, TCPSocketAction | GRPCAction):
        checks.port(found, f"{path}.port", action.port)
