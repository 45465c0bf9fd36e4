"""Which Services select a pod, without asking each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from state.objects import Service

NsName = tuple[str, str]
_Handle = tuple[str, str, str]


class ServiceSelectors:
    """Services under one label that their selector insists on. One without a selector selects nothing."""

    __slots__ = ("_by_label",)

    def __init__(self, services: Iterable[object]) -> None:
        self._by_label: dict[_Handle, dict[NsName, Service]] = {}
        for service in services:
            self.advance(None, service)

    def advance(self, old: object | None, new: object | None) -> None:
        """Moves forward by one Service that was created, changed or removed."""
        if isinstance(old, Service) and old.spec.selector:
            self._by_label[_handle(old)].pop(_key(old), None)
        if isinstance(new, Service) and new.spec.selector:
            self._by_label.setdefault(_handle(new), {})[_key(new)] = new

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> list[Service]:
        """The Services of a namespace that select a pod with these labels, sorted by name."""
        found = {
            key: service
            for name, value in labels.items()
            for key, service in self._by_label.get((namespace, name, value), {}).items()
            if service.spec.selector.items() <= labels.items()
        }
        return [found[key] for key in sorted(found)]


def _key(service: Service) -> NsName:
    return (service.metadata.namespace, service.metadata.name)


def _handle(service: Service) -> _Handle:
    name = min(service.spec.selector)
    return (service.metadata.namespace, name, service.spec.selector[name])
