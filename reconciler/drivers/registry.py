"""Finds drivers by name: those that ship with the project, and those that other distributions bring.

A driver is named in one line here, or by an entry point of another distribution::

    [project.entry-points."reconciler.network_drivers"]
    wireguard = "my_package.network:WireguardNetwork"

Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from reconciler.drivers.network.base import NetworkDriver
from reconciler.drivers.storage.base import StorageDriver

D = TypeVar("D")


class DriverNotFoundError(LookupError):
    """No driver has that name, or the one that has it can't be loaded."""


class DriverRegistry(Generic[D]):
    """The drivers of one kind, as ``name -> "module:factory"``, plus an entry-point group.

    Example:
        >>> NETWORK.names()[:1]
        ('simulated',)
        >>> NETWORK.create("token-ring")
        Traceback (most recent call last):
        reconciler.drivers.registry.DriverNotFoundError: no network driver "token-ring"; known are: simulated, userspace
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = f"reconciler.{kind}_drivers"
        self._builtin = dict(builtin)

    def names(self) -> tuple[str, ...]:
        """Every known name, sorted."""
        return tuple(sorted({*self._builtin, *(point.name for point in self._entry_points())}))

    def factory(self, name: str) -> Callable[..., D]:
        """What makes the driver: called with the driver's own options.

        A name that ships with the project can't be taken over by an entry point.

        Raises:
            DriverNotFoundError: nothing has that name, two distributions claim it, or it can't be imported.
        """
        point = self._find(name)
        try:
            module = import_module(point.module)
        except ImportError as error:
            raise DriverNotFoundError(
                f'{self.kind} driver "{name}" ({point.value}) cannot be imported: {error}'
            ) from error
        try:
            return cast("Callable[..., D]", getattr(module, point.attr))
        except AttributeError as error:
            raise DriverNotFoundError(
                f'{self.kind} driver "{name}": {point.module} has no "{point.attr}"',
            ) from error

    def create(self, name: str, /, **options: object) -> D:
        """Makes the driver of that name."""
        return self.factory(name)(**options)

    def _find(self, name: str) -> EntryPoint:
        if name in self._builtin:
            return EntryPoint(name, self._builtin[name], self.group)
        found = {point.value: point for point in self._entry_points() if point.name == name}
        if len(found) > 1:
            raise DriverNotFoundError(f'{self.kind} driver "{name}" is ambiguous: {", ".join(sorted(found))}')
        if not found:
            raise DriverNotFoundError(f'no {self.kind} driver "{name}"; known are: {", ".join(self.names())}')
        return found.popitem()[1]

    def _entry_points(self) -> tuple[EntryPoint, ...]:
        return tuple(entry_points(group=self.group))


#: Drivers that run pods. Their protocol is ``reconciler.drivers.runtime.base.RuntimeDriver``.
RUNTIME: DriverRegistry[object] = DriverRegistry(
    "runtime",
    {
        "simulated": "reconciler.drivers.runtime.simulated:SimulatedRuntime",
        "process": "reconciler.drivers.runtime.process:ProcessRuntime",
    },
)

#: Drivers that give pods addresses and make services reachable.
NETWORK: DriverRegistry[NetworkDriver] = DriverRegistry(
    "network",
    {
        "simulated": "reconciler.drivers.network.simulated:SimulatedNetwork",
        "userspace": "reconciler.drivers.network.userspace:UserspaceNetwork",
    },
)

#: Drivers that keep data.
STORAGE: DriverRegistry[StorageDriver] = DriverRegistry(
    "storage",
    {
        "simulated": "reconciler.drivers.storage.simulated:SimulatedStorage",
        "directory": "reconciler.drivers.storage.directory:DirectoryStorage",
    },
)
