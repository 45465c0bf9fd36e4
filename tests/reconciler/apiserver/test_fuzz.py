"""Every operation of the OpenAPI documents, with what schemathesis makes of their schemas: no 5xx, hang or growth."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore
from tests.reconciler.apiserver.fuzzing import fuzz

#: So much more memory than before is allowed for: objects, their history, and schemathesis itself.
GROWTH = 400 << 20


@pytest.fixture
def server() -> Iterator[Server]:
    with MemoryStore(keep=1000) as store, Server(store) as running:
        yield running


def test_a_part_of_all_operations(server: Server) -> None:
    """Every second one, a few requests each; the same ones every time."""
    report = fuzz(server.url, requests.Session(), examples=3, part=2)
    assert report.operations > 200
    assert report.failures == []


@pytest.mark.slow
def test_all_operations(server: Server) -> None:
    """All of them, many requests each; FUZZ_EXAMPLES and FUZZ_SEED say how many and which."""
    session, before = requests.Session(), _resident()
    examples, number = int(os.environ.get("FUZZ_EXAMPLES", "30")), int(os.environ.get("FUZZ_SEED", "0"))
    report = fuzz(server.url, session, examples, number)
    print(report)
    assert report.failures == []
    assert session.get(f"{server.url}/readyz", timeout=10).text == "ok"
    assert _resident() - before < GROWTH


def _resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
