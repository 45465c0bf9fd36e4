"""What the proxy and the provisioner could not do, told once for each time that it was tried."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.provisioner import StorageFailure
from reconciler.proxy import ServiceFailure
from rules.actions import Event
from state.snapshot import Key

_PROXY, _PROVISIONER = "kube-proxy", "external-provisioner"


class Failures:
    """Reports hold every object that waits; this keeps which of it was told already."""

    def __init__(self) -> None:
        self._told: dict[Key, Event] = {}
        self._retry_at: dict[Key, int | None] = {}

    def news(self, failures: Iterable[StorageFailure | ServiceFailure]) -> list[Event]:
        """Events for what failed since the last call, sorted by object."""
        found = {event.target: (event, failure.retry_at) for failure in failures for event in (_event(failure),)}
        news = [
            event
            for key, (event, retry_at) in sorted(found.items())
            if self._told.get(key) != event or self._retry_at.get(key) != retry_at
        ]
        self._told.update({key: event for key, (event, _) in found.items()})
        self._retry_at.update({key: retry_at for key, (_, retry_at) in found.items()})
        return news


def _event(failure: StorageFailure | ServiceFailure) -> Event:
    if isinstance(failure, ServiceFailure):
        target, reason, source = Key("Service", *failure.service), "FailedToServe", _PROXY
    else:
        target, reason, source = Key.of(failure.object), failure.reason, _PROVISIONER
    return Event(target=target, type="Warning", reason=reason, message=failure.message, source=source)
