"""Delays between tries."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.retries import Retries


@given(st.lists(st.integers(0, 1000), max_size=60))
def test_delays_double_up_to_the_longest(waits):
    """Whatever the moments of the failures."""
    retries = Retries(first=10, longest=500)
    now = 0
    for attempt, wait in enumerate(waits):
        now += wait
        due = retries.failed("key", now)
        assert due - now == min(10 * 2**attempt, 500)
        assert not retries.due("key", due - 1)
        assert retries.due("key", due)
        assert retries.next == due


def test_what_worked_starts_anew():
    """And what never failed is due at any time."""
    retries = Retries(first=10, longest=500)
    retries.failed("a", 0)
    retries.failed("a", 0)
    retries.forget("a")
    assert (retries.due("a", 0), retries.due("b", 0), retries.next) == (True, True, None)
    assert retries.failed("a", 0) == 10
