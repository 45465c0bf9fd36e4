"""Requests get the answers that a real API server gave, word for word."""

import pytest

from tests.reconciler.apiserver.recorded_requests import FOLDER, Replay

#: Recordings that need kubectl, a compacted store, or are nothing but observations.
ELSEWHERE = {"api-kubectl-apply", "api-gone", "api-generate-name", "api-watch", "api-table-pods", "ns-delete"}
CASES = sorted(
    path.stem
    for path in FOLDER.glob("*.json")
    if path.stem.startswith(("api-", "defaults-", "gc-", "ns-")) and path.stem not in ELSEWHERE
)


@pytest.mark.parametrize("name", CASES)
def test_requests_are_answered_as_recorded(name):
    """Codes, Status objects, bodies and the fields that were recorded agree."""
    assert Replay(name).play() == []
