"""Which servers there are on a store: each says so again and again, as in kube-apiserver's lease endpoint reconciler.

A server's mark is a key that it writes every few seconds. Nobody's clock is compared with anybody else's, as with
leases: a server is taken for dead whose mark has been *seen* unchanged for long. A store that belongs to one program
has no marks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from state.store.base import Store
from state.store.records import NotFoundError, Refused

#: Marks are no objects: they lie beside them.
_MARKS = "/servers/"
#: Seconds between two marks, and those after which a server is taken for dead: kube-apiserver's.
RENEWAL, LIFETIME = 10.0, 15.0


class Endpoint(NamedTuple):
    """Where a server listens."""

    port: int
    address: str

    @property
    def mark(self) -> str:
        """The key of its mark."""
        return f"{_MARKS}{self.port}/{self.address}"


class Living:
    """The servers on a store as one of them sees them. For one thread. Times are seconds of any steady clock."""

    def __init__(self, store: Store, own: Endpoint) -> None:
        self._store, self._own = store, own
        #: By mark: its revision, and when that was first seen.
        self._seen: dict[str, tuple[int, float]] = {}

    def renew(self, now: float) -> list[Endpoint]:
        """Says that this server lives; those that do, sorted.

        Raises:
            StoreError: the store can't be read or written now.
        """
        if not self._store.shared:
            return [self._own]
        try:
            self._store.update(self._own.mark, b"", None)
        except NotFoundError:
            with suppress(Refused):
                self._store.create(self._own.mark, b"")
        return self._look(now)

    def leave(self, now: float) -> list[Endpoint]:
        """Takes this server's mark away; the others that live.

        Raises:
            StoreError: the store can't be read or written now.
        """
        if not self._store.shared:
            return []
        with suppress(Refused):
            self._store.delete(self._own.mark)
        return self._look(now)

    def _look(self, now: float) -> list[Endpoint]:
        entries = self._store.list(_MARKS).entries
        known, self._seen = self._seen, {}
        for entry in entries:
            before = known.get(entry.key)
            since = before[1] if before is not None and before[0] == entry.revision else now
            if now - since < LIFETIME:
                self._seen[entry.key] = entry.revision, since
                continue
            with suppress(Refused):  # it lives after all, or another one was faster
                self._store.delete(entry.key, entry.revision)
        return sorted(map(_endpoint, self._seen))


def _endpoint(mark: str) -> Endpoint:
    port, _, address = mark.removeprefix(_MARKS).partition("/")
    return Endpoint(int(port), address)
