"""How many pods of some kind are in each topology domain, kept up to date pod by pod.

Two kinds of tally exist: of pods that a selector *selects* (spread constraints, a pod's own affinity terms), and of
pods that *carry* a term (the affinity of pods that run). Pods of a class are told apart from others once, not each.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rules.scheduling.cluster import Cluster
from rules.scheduling.columns import Ints, Mask, NodeColumns, Rows
from rules.scheduling.pods import PodClass
from rules.scheduling.terms import Term

#: The topology in which each node that has a hostname label is its own domain, whatever the label says.
ROW = ""

Pin = tuple[str, str]


class Tally:
    """Pods by domain. ``codes`` is the domain of each row, -1 for none; only ``eligible`` rows count."""

    __slots__ = ("_counting", "codes", "counts", "eligible", "total")

    def __init__(self, codes: Rows, domains: int, eligible: Mask | None) -> None:
        self.codes = codes
        self.counts: Ints = np.zeros(domains, dtype=np.int64)
        self.eligible = eligible
        self.total = 0
        #: The codes of the rows that count, as an array that is read one by one and that the collector passes over.
        counting = codes if eligible is None else np.where(eligible, codes, -1)
        self._counting = array("q", counting.astype(np.int64, copy=False).tobytes())

    def add(self, row: int, pods: int) -> None:
        """Counts pods that came to a row (or, negative, left it)."""
        code = self._counting[row]
        if code >= 0:
            self.counts[code] += pods
            self.total += pods

    @property
    def present(self) -> Mask:
        """The domains that have an eligible row."""
        codes = self.codes if self.eligible is None else self.codes[self.eligible]
        return np.bincount(codes[codes >= 0], minlength=len(self.counts)) > 0


@dataclass(eq=False, slots=True)
class Selected:
    """A tally of selected pods. Terminating pods count only for affinity."""

    tally: Tally
    selects: Callable[[PodClass], bool]
    pin: Pin | None
    with_terminating: bool


@dataclass(eq=False, slots=True)
class Carried:
    """A tally of pods that carry a term; ``role`` says in which list of theirs."""

    tally: Tally
    term: Term
    role: str
    pin: Pin | None


ANTI = "anti"
NEED = "need"
LIKE = "like"
DISLIKE = "dislike"


@dataclass(eq=False, slots=True)
class _Known:
    """A class that has been met, with the tallies that its pods count in."""

    cls: PodClass
    selected: list[Selected] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)


class Tallies:
    """All tallies over one set of node columns."""

    def __init__(self, cluster: Cluster, columns: NodeColumns) -> None:
        self.cluster = cluster
        self.columns = columns
        self._known: dict[int, _Known] = {}
        self._known_by_label: dict[Pin, list[_Known]] = {}
        self._selected: dict[tuple[object, ...], Selected] = {}
        self._selected_by_pin: dict[Pin | None, list[Selected]] = {}
        self._carried: dict[tuple[object, ...], Carried] = {}
        #: Carried terms in the order in which they were met.
        self.carried: list[Carried] = []
        for entry, _ in cluster.pods.values():
            if entry.cls.number not in self._known:
                self.meet(entry.cls)

    # -- pods come and go --------------------------------------------------------------------------------------------

    def moved(self, cls: PodClass, row: int, change: int, *, terminating: bool) -> None:
        """A pod of a class came to a row (+1) or left it (-1); ``cls.places`` shows it already."""
        known = self._known.get(cls.number)
        if known is None:
            self.meet(cls)  # counts the pod with the others
            return
        for selected in known.selected:
            if selected.with_terminating or not terminating:
                selected.tally.add(row, change)
        for carried in known.carried:
            carried.tally.add(row, change)

    def meet(self, cls: PodClass) -> None:
        """Makes a class known: finds the tallies its pods count in, and counts them."""
        if cls.number in self._known:
            return
        known = self._known[cls.number] = _Known(cls)
        pins: Iterable[Pin | None] = (None, *cls.labels.items())
        known.selected = [s for pin in pins for s in self._selected_by_pin.get(pin, ()) if s.selects(cls)]
        for pin in cls.labels.items():
            self._known_by_label.setdefault(pin, []).append(known)
        for role, term in _roles(cls):
            known.carried.append(self._carry(role, term))
        for selected in known.selected:
            self._count(cls, selected)
        for carried in known.carried:
            _add_places(self.columns, carried.tally, cls.places, 1)

    def _count(self, cls: PodClass, selected: Selected) -> None:
        _add_places(self.columns, selected.tally, cls.places, 1)
        if not selected.with_terminating and cls.leaving:
            _add_places(self.columns, selected.tally, cls.leaving, -1)

    # -- tallies -----------------------------------------------------------------------------------------------------

    def of_selected(
        self,
        key: tuple[object, ...],
        topology_key: str,
        selects: Callable[[PodClass], bool],
        pin: Pin | None,
        *,
        eligible: Mask | None = None,
        with_terminating: bool = False,
    ) -> Tally:
        """The tally of the pods that ``selects`` picks, by domain of a topology key; ``key`` identifies the pick."""
        identity = (*key, topology_key, with_terminating, None if eligible is None else eligible.tobytes())
        selected = self._selected.get(identity)
        if selected is None:
            tally = self._tally(topology_key, eligible)
            selected = self._selected[identity] = Selected(tally, selects, pin, with_terminating)
            self._selected_by_pin.setdefault(pin, []).append(selected)
            candidates = self._known.values() if pin is None else self._known_by_label.get(pin, ())
            for known in candidates:
                if selects(known.cls):
                    known.selected.append(selected)
                    self._count(known.cls, selected)
        return selected.tally

    def _carry(self, role: str, term: Term) -> Carried:
        identity = (role, term.key, term.weight if role in (LIKE, DISLIKE) else 0)
        carried = self._carried.get(identity)
        if carried is None:
            carried = Carried(self._tally(term.topology_key, None), term, role, pin_of(term))
            self._carried[identity] = carried
            self.carried.append(carried)
        return carried

    def _tally(self, topology_key: str, eligible: Mask | None) -> Tally:
        if topology_key == ROW:
            hosts = self.columns.label("kubernetes.io/hostname").codes
            return Tally(np.where(hosts >= 0, np.arange(self.columns.size), -1), self.columns.size, eligible)
        column = self.columns.label(topology_key)
        return Tally(column.codes, len(column.values), eligible)

    @property
    def weight(self) -> int:
        """Roughly how many numbers the tallies hold."""
        return (len(self._selected) + len(self._carried)) * 2 * self.columns.size


def pin_of(term: Term) -> Pin | None:
    """A label that every pod the term selects has, for looking candidates up."""
    return first_pin(term.selector.equalities()) if term.selector is not None else None


def first_pin(equalities: Mapping[str, str]) -> Pin | None:
    """One of the labels that a selector pins: the last by key, which tends to tell more."""
    return max(equalities.items()) if equalities else None


def _roles(cls: PodClass) -> Sequence[tuple[str, Term]]:
    return [
        *((ANTI, term) for term in cls.anti_affinity),
        *((NEED, term) for term in cls.affinity),
        *((LIKE, term) for term in cls.preferred_affinity),
        *((DISLIKE, term) for term in cls.preferred_anti_affinity),
    ]


def _add_places(columns: NodeColumns, tally: Tally, places: Mapping[str, int], sign: int) -> None:
    for name, pods in places.items():
        row = columns.rows.get(name)
        if row is not None:
            tally.add(row, sign * pods)
