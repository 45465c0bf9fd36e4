"""Faults on order, for simulated drivers: the third call fails, an answer gets lost, a verb never works for one pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: A fault that doesn't wear off.
ALWAYS = -1


@dataclass(slots=True)
class Fault:
    """One order: the next ``times`` calls of ``verb`` for ``target`` ("" for any) fail.

    ``after`` the work is done, the answer is lost: the caller sees an error though it worked, as when a driver dies
    right then. Otherwise the call fails before it does anything.
    """

    verb: str
    target: str = ""
    times: int = 1
    after: bool = False
    message: str = "injected fault"

    def matches(self, verb: str, target: str) -> bool:
        """Says whether this order is for that call and not used up."""
        return self.times != 0 and self.verb == verb and self.target in {"", target}


class FaultPlan:
    """The faults that a simulated driver was told to have.

    Example:
        >>> plan = FaultPlan(lambda fault, what: OSError(f"{what}: {fault.message}"))
        >>> plan.add(Fault("setup_pod", "uid-1"))
        >>> with plan.guard("setup_pod", "uid-2"):
        ...     print("fine")
        fine
        >>> with plan.guard("setup_pod", "uid-1"):
        ...     print("never printed")
        Traceback (most recent call last):
        OSError: setup_pod uid-1: injected fault
    """

    def __init__(self, error: Callable[[Fault, str], Exception]) -> None:
        self._error = error
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Orders a fault; the first order that matches a call is used."""
        self._faults.append(fault)

    def clear(self) -> None:
        """From now on everything works."""
        self._faults.clear()

    @contextmanager
    def guard(self, verb: str, target: str) -> Iterator[None]:
        """Wraps one call of a verb: raises before or after it if that was ordered."""
        fault = next((fault for fault in self._faults if fault.matches(verb, target)), None)
        if fault is None:
            yield
            return
        if fault.times > 0:
            fault.times -= 1
        if fault.after:
            yield
        raise self._error(fault, f"{verb} {target}")
