"""Numbers about a server as Prometheus reads them, under kube-apiserver's names.

Counting costs a microsecond a request, for a client library's part in cold start and memory it would be fifty
milliseconds and four megabytes: so the few lines of it that are needed are here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from threading import Lock

Labels = tuple[str, ...]
#: A sample of a gauge: the values of its labels, and the number.
Sample = tuple[Labels, float]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counter:
    """What only grows, by labels. Usable from any thread."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}
        self._lock = Lock()

    def add(self, labels: Labels = (), by: float = 1) -> None:
        """Counts."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + by

    def samples(self) -> Iterator[str]:
        """Its lines."""
        with self._lock:
            values = sorted(self._values.items())
        yield from (_line(self.name, self.labels, labels, value) for labels, value in values)


class Gauge:
    """What is looked up when it is asked for."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        text: str,
        read: Callable[[], Iterable[Sample]],
        labels: Sequence[str] = (),
        kind: str = "gauge",
    ) -> None:
        self.name, self.text, self.labels, self.kind = name, text, tuple(labels), kind
        self._read = read

    def samples(self) -> Iterator[str]:
        """Its lines."""
        yield from (_line(self.name, self.labels, labels, value) for labels, value in sorted(self._read()))


class Histogram:
    """How often something was how large, by labels. ``bounds`` are the upper ones of its buckets. For any thread."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._bounds = tuple(bounds)
        #: By labels: how many are in each bucket alone, and the sum of all.
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = Lock()

    def observe(self, labels: Labels, value: float) -> None:
        """Counts a value."""
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
                self._sums[labels] = 0.0
            counts[bisect_left(self._bounds, value)] += 1
            self._sums[labels] += value

    def samples(self) -> Iterator[str]:
        """Its lines."""
        with self._lock:
            found = [(labels, tuple(counts), self._sums[labels]) for labels, counts in sorted(self._counts.items())]
        names, ends = (*self.labels, "le"), (*map(_number, self._bounds), "+Inf")
        for labels, counts, total in found:
            for end, count in zip(ends, accumulate(counts), strict=True):
                yield _line(f"{self.name}_bucket", names, (*labels, end), count)
            yield _line(f"{self.name}_sum", self.labels, labels, total)
            yield _line(f"{self.name}_count", self.labels, labels, sum(counts))


Family = Counter | Gauge | Histogram


def exposition(families: Iterable[Family]) -> bytes:
    """All families in Prometheus' text format."""
    lines: list[str] = []
    for family in families:
        lines += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}", *family.samples())
    return "\n".join((*lines, "")).encode()


def _line(name: str, names: Labels, labels: Labels, value: float) -> str:
    shown = ",".join(f'{each}="{_escaped(text)}"' for each, text in zip(names, labels, strict=True))
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
