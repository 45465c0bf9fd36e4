"""Requests that share the event loop's thread, and what helps them: locks, corks, random bytes."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from reconciler.apiserver import chance, light
from reconciler.apiserver.corked import Corked
from reconciler.apiserver.locks import Lock
from state.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with SqliteStore(str(tmp_path / "store.db")) as store:
        assert light.prepare(store)
        yield store


def test_writes_of_many_requests_share_a_commit(store: SqliteStore) -> None:
    """While one waits for the disk the others run, all in one thread."""
    commits: list[str] = []
    store._writer.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)

    async def main() -> list[int]:
        with store._commit_lock:
            tasks = [
                asyncio.create_task(light.run(lambda name=name: store.create(f"/{name}", b"").revision))
                for name in range(8)
            ]
            await asyncio.sleep(0.05)
        return await asyncio.gather(*tasks)

    assert sorted(asyncio.run(main())) == list(range(2, 10))
    assert len(commits) == 1


def test_what_a_request_raises_is_raised(store: SqliteStore) -> None:
    """Before it waits, and after."""

    def work() -> None:
        store.create("/a", b"")
        store.create("/a", b"")

    with pytest.raises(Exception, match="/a exists already"):
        asyncio.run(light.run(work))


def test_a_lock_that_is_held_during_a_write_keeps_the_thread(store: SqliteStore) -> None:
    """Else the next request would wait in this thread for a lock that only this thread could give back."""
    lock, steps = Lock(), []

    def work(name: str) -> None:
        with lock:
            steps.append(f"{name} begins")
            store.create(f"/{name}", b"")
            steps.append(f"{name} ends")

    async def main() -> None:
        await asyncio.gather(*(light.run(lambda name=name: work(name)) for name in "ab"))

    asyncio.run(asyncio.wait_for(main(), 10))
    assert steps == ["a begins", "a ends", "b begins", "b ends"]


def test_a_head_and_its_body_are_sent_together() -> None:
    """What is large isn't copied for that; closing sends what waits."""

    async def main() -> Mock:
        transport = Mock(**{"is_closing.return_value": False})
        corked = Corked(transport, asyncio.get_running_loop())
        corked.write(b"head")
        corked.write(b"body")
        assert not transport.write.called
        await asyncio.sleep(0)
        corked.write(b"head")
        corked.write(bytes(100_000))
        corked.write(b"end")
        corked.close()
        return transport

    transport = asyncio.run(main())
    assert [call.args[0] for call in transport.write.call_args_list] == [b"headbody", b"head", bytes(100_000), b"end"]
    assert transport.close.called


def test_no_two_objects_have_the_same_uid() -> None:
    """They are version 4, as Kubernetes' are."""
    uids = {chance.uid() for _ in range(2_000)}
    assert len(uids) == 2_000
    assert {(uid[14], uid[19] in "89ab", len(uid)) for uid in uids} == {("4", True, 36)}
