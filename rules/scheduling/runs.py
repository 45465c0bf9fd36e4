"""Where a run of identical pods goes, worked out at once: the nodes that placing them one after the other would give.

Placing a pod changes the score of its node alone, and the next pod goes to the best node as things are then, the first
by name among equals. So the pods that could come to a node are a queue of scores, and placing the run merges the queues
of all nodes. A score that is higher than one before it in its queue is next as soon as that one was taken, so each
counts with the lowest score up to it; sorted by that, then by node, then by place in the queue, all queues are merged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rules.scheduling.columns import Ints, Mask, Rows
from rules.scheduling.ranking import Ranking

#: How far queues are looked at: in blocks of places that double up to the second number, and to about the first.
_MOST_PLACES = 512
_MOST_AT_ONCE = 64


class Run(NamedTuple):
    """For each pod of a run, or the first of them: its row, the total of that row, and how many rows fitted."""

    rows: list[int]
    totals: list[int]
    feasible: list[int]


class _Places(NamedTuple):
    """Places in the queues: the row, how many of the run are there before, the total, and the order of being taken."""

    rows: Rows
    copies: Ints
    totals: Ints
    orders: Ints

    def until(self, order: int) -> _Places:
        """Those that are taken up to there."""
        kept = self.orders <= order
        return _Places(*(column[kept] for column in self))

    def best(self, count: int) -> _Places:
        """The first ``count``, and those of the last one's row that are like it."""
        if len(self.orders) <= count:
            return self
        return self.until(int(np.partition(self.orders, count - 1)[count - 1]))


def place_run(ranking: Ranking, count: int) -> Run:
    """Where the next ``count`` pods of the ranking's class go (``Ranking.stacks``); none, if no row fits any more."""
    size = ranking.columns.size
    shares = ranking.judge()[0][ranking.groups.of_row]
    rows = np.flatnonzero(ranking.scores >= 0)
    totals = ranking.scores[rows] + shares[rows]
    places = _Places(rows, np.zeros(len(rows), dtype=np.int64), totals, rows - totals * size).best(count)
    #: How many pods of the run each row has room for, as far as that is known.
    room = np.full(size, count + 1, dtype=np.int64)
    rows, lowest, first, block = places.rows, places.totals, 1, 1
    while len(rows) and first < _MOST_PLACES:
        copies = np.arange(first, first + block)
        scores = ranking.score_filled(np.repeat(rows, block), np.tile(copies, len(rows))).reshape(len(rows), block)
        fits = np.logical_and.accumulate(scores >= 0, axis=1)
        full = ~fits[:, -1]
        room[rows[full]] = first + fits[full].sum(axis=1)
        totals = scores + shares[rows][:, None]
        low = np.minimum.accumulate(np.column_stack((lowest, totals)), axis=1)[:, 1:]
        orders = rows[:, None] - low * size
        grid = np.broadcast_arrays(rows[:, None], copies, totals, orders)
        more = _Places(*(column[fits] for column in grid))
        places = _Places(*(np.concatenate(pair) for pair in zip(places, more, strict=True))).best(count)
        goes_on = ~full & (orders[:, -1] <= places.orders.max())
        rows, lowest = rows[goes_on], low[goes_on, -1]
        first, block = first + block, min(2 * block, _MOST_AT_ONCE)
    if len(rows):  # what comes after the end of a queue that wasn't looked at further isn't known
        places = places.until(int((rows - lowest * size).min()))
    order = np.argsort(places.orders, kind="stable")[:count]
    rows = places.rows[order]
    ends = places.copies[order] + 1 == room[rows]
    feasible = sum(ranking.groups.sizes) - np.cumsum(ends) + ends
    known = slice(_unchanged(ranking, rows, ends))
    return Run(*(column[known].tolist() for column in (rows, places.totals[order], feasible)))


def _unchanged(ranking: Ranking, rows: Rows, ends: Mask) -> int:
    """How many pods can be placed until a group has no row left that fits: then the shares of the others change."""
    sizes = np.array(ranking.groups.sizes)
    groups = ranking.groups.of_row[rows[ends]]
    emptied = np.flatnonzero((np.bincount(groups, minlength=len(sizes)) == sizes) & (sizes > 0))
    last = [np.flatnonzero(ends)[groups == group][-1] for group in emptied]
    return int(min(last)) + 1 if last else len(rows)
