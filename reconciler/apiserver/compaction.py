"""A store forgets what is older than some minutes, as etcd does for kube-apiserver (``--etcd-compaction-interval``)."""

from __future__ import annotations

from state.store.base import Store

#: How often, in µs. So long at least, and at most twice as long, history is kept.
INTERVAL = 300_000_000


class Compactor:
    """Compacts a store. Of several programs that do so on one store none takes from another what it relies on: each
    compacts no further than to where the store was an interval ago.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: A time, and the revision that the store had then.
        self._mark: tuple[int, int] | None = None

    def tick(self, now: int) -> None:
        """Compacts if it is time to; to be called now and then, with the time in µs.

        Raises:
            StoreError: the store can't do it now.
        """
        if self._mark is None:
            self._mark = now, self._store.revision()
            return
        since, revision = self._mark
        if now >= since + INTERVAL:
            self._mark = now, self._store.revision()
            self._store.compact(revision)
