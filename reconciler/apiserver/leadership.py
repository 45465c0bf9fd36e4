"""Which of the servers on one store runs the controllers, as kube-controller-manager's ``--leader-elect`` decides it.

All of them serve the API. The lease is renewed by a thread of its own, so that a long turn of the controllers doesn't
cost it. On a store that belongs to one program there is nobody to elect: no lease is written, and after a crash
nothing is waited for.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from uuid import uuid4

import structlog

from state.store.base import Store
from state.store.feed import Watch
from state.store.layout import prefix_of
from state.store.leader import Candidate, Terms
from state.store.records import CompactedError, Entry, FencedError, Refused, StoreError, Write

log = structlog.get_logger("reconciler")

#: The Lease in kube-system; ``kubectl get lease`` shows who leads.
LEASE = "kube-controller-manager"
#: Seconds between two looks at a lease that has run out and couldn't be had.
_SHORTEST = 0.05
#: What comes in such numbers that it can't be written one after the other; a few are, all the same.
_CROWDS, _FEW = tuple(map(prefix_of, ("Event", "Pod"))), 16


class NotLeadingError(StoreError):
    """Another server's controllers act, or may do so."""


class Leadership:
    """Whether this server's controllers may act, and the way in which they write. Usable from any thread.

    Args:
        store: is the caller's to close.
        terms: how long a lease lasts.
        identity: of this server alone; without one it is HOST_PID_UUID.
    """

    def __init__(self, store: Store, terms: Terms | None = None, identity: str = "") -> None:
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid4()}"
        self._store = store
        self._terms = terms or Terms()
        self._candidate = Candidate(store, self.identity, name=LEASE, terms=self._terms) if store.shared else None
        #: A lease names times of the day, but they have to go by steadily.
        self._offset = time.time_ns() - time.monotonic_ns()
        self._stopped = threading.Event()
        #: Set when the lease has changed, and at the end.
        self._woken = threading.Event()
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None

    def _now(self) -> int:
        return (time.monotonic_ns() + self._offset) // 1000

    def start(self) -> None:
        """Stands for election from now on."""
        if self._candidate is not None:
            self._thread = threading.Thread(target=self._run, args=(self._candidate,), name="leadership", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Steps down, so that another server needn't wait for the end of the lease."""
        self._stopped.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, candidate: Candidate) -> None:
        led = False
        with ExitStack() as watching:
            while not self._stopped.is_set():
                self._woken.clear()
                pause = self._look(candidate, watching)
                if led is not self.leads():
                    led = not led
                    log.info("the controllers lead" if led else "the controllers stand by", identity=self.identity)
                # who leads isn't to be woken by what it wrote itself
                (self._stopped if led else self._woken).wait(pause)
        try:
            candidate.release(self._now())
        except StoreError as error:
            log.error("the lease can't be given up and runs out", cause=str(error))

    def _look(self, candidate: Candidate, watching: ExitStack) -> float:
        """Renews the lease or tries to get it; how many seconds to wait then, if it doesn't change before."""
        retry = self._terms.retry
        try:
            if self._watch is None:
                self._watch = self._store.watch(candidate.key, self._store.revision(), on_ready=self._woken.set)
                watching.callback(self._watch.close)
            self._watch.read()
            if candidate.tick(self._now()):
                return retry
        except CompactedError:
            self._watch = None
            return 0.0
        except StoreError as error:
            log.error("the lease can't be read or renewed", cause=str(error))
            return retry
        return min(max((candidate.runs_out - self._now()) / 1_000_000, _SHORTEST), retry)

    def leads(self) -> bool:
        """Whether the controllers may act now."""
        return self._candidate is None or self._candidate.leads(self._now())

    def write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        """Makes changes as ``Store.write`` does, as long as nobody else has become leader. As far as possible they are
        made in their order, which others on the store see.

        Raises:
            NotLeadingError: somebody else may act. Some of the changes may have been made.
        """
        candidate = self._candidate
        if candidate is None:
            return self._store.write(writes)
        results: list[Entry | Refused] = []
        for part in _in_order(writes):
            results += self._write(candidate, part)
        return results

    def _write(self, candidate: Candidate, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        fence = candidate.fence
        if fence is None or not self.leads():
            raise NotLeadingError("the lease was lost")
        results = self._store.write([write._replace(fence=fence) for write in writes])
        for result in results:
            if isinstance(result, FencedError):
                candidate.step_down()
                raise NotLeadingError(str(result)) from result
        return results


def _in_order(writes: Sequence[Write]) -> Iterator[Sequence[Write]]:
    """Parts of writes of which each is to be made at once: a store that is elsewhere makes these in any order."""
    for is_crowd, group in groupby(writes, lambda write: write.key.startswith(_CROWDS)):
        part = list(group)
        if is_crowd and len(part) > _FEW:
            yield part
        else:
            yield from ([write] for write in part)
