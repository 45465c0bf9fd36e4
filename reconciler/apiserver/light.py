"""Requests worked on by the event loop's own thread, though the API blocks where it waits for the disk.

A thread for each request would cost more than most requests do, above all in passing the interpreter around. So the API
runs in a greenlet: where it would wait for a commit, the loop goes on with other requests, whose writes then share the
next commit, and comes back when the commit is made. Nothing in the API is written differently for that, but for locks
that are held during a write: those are ``locks.Lock``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from reconciler.apiserver.locks import are_held
from state.store.base import Store
from state.store.memory import MemoryStore
from state.store.sqlite import SqliteStore, Ticket

ResultT = TypeVar("ResultT")


def prepare(store: Store) -> bool:
    """Has a store's writes give the loop away; whether it is one that waits for nothing else."""
    if isinstance(store, SqliteStore):
        store.wait = _wait
        return True
    return isinstance(store, MemoryStore)


def lists_at_once(store: Store) -> bool:
    """Whether such a store has its lists at hand, however long they are."""
    return not isinstance(store, SqliteStore) or store.is_in_memory


def _wait(ticket: Ticket) -> None:
    current = getcurrent()
    if current.parent is None or are_held():  # a thread of its own, or one that must not turn to anything else
        ticket.wait()
    else:
        current.parent.switch(ticket)


async def run(work: Callable[[], ResultT]) -> ResultT:
    """The result of work that never waits but for commits of the store."""
    light = greenlet(work)
    found: Any = light.switch()
    while not light.dead:
        await _committed(found)
        found = light.switch()
    result: ResultT = found
    return result


def _committed(ticket: Ticket) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    def on_done() -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(wake)

    ticket.call(on_done)
    return future
