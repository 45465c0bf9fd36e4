"""Completion indexes of a Job, as its status and its pods have them: "0-3,5"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from state.objects import Pod

INDEX = "batch.kubernetes.io/job-completion-index"


def index_of(pod: Pod) -> int | None:
    """The pod's completion index; None without one."""
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def parse_indexes(text: str | None, completions: int) -> set[int]:
    """The indexes below ``completions`` that a text lists; parts that aren't numbers or ranges are left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isascii() and first.isdecimal() and (not last or (last.isascii() and last.isdecimal())):
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """The indexes as text: three or more in a row as a range."""
    return ",".join(_parts(sorted(indexes)))


def _parts(ordered: list[int]) -> Iterator[str]:
    start = 0
    for end in range(1, len(ordered) + 1):
        if end < len(ordered) and ordered[end] == ordered[end - 1] + 1:
            continue
        first, last = ordered[start], ordered[end - 1]
        yield str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}"
        start = end


def first_free(taken: set[int], completions: int, count: int) -> list[int]:
    """The lowest ``count`` indexes that aren't taken."""
    free: list[int] = []
    for index in range(completions):
        if len(free) >= count:
            break
        if index not in taken:
            free.append(index)
    return free
