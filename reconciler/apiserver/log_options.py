"""What a request for a pod's log may say, and who answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.apiserver.options import Query, read_flag, read_number, read_text
from reconciler.apiserver.status import bad_request, invalid
from state.errors import Problem, forbidden
from state.errors import invalid as invalid_value
from state.objects import Pod
from state.times import SECOND, TimeError, parse_time


class Line(Protocol):
    """A line that a container wrote, without its end, and when (µs since the epoch)."""

    @property
    def at(self) -> int:
        """When."""

    @property
    def text(self) -> bytes:
        """What."""


class OpenLog(Protocol):
    """The log of one instance of a container. For one thread at a time; all of it may block for a moment."""

    def read(self) -> Sequence[Line]:
        """The lines since the last call."""

    def has_ended(self) -> bool:
        """Whether nothing more will come than the next ``read`` finds."""


class LogSource(Protocol):
    """Whoever keeps what containers wrote."""

    def open(self, pod: Pod, container: str, *, previous: bool, tail: int | None) -> OpenLog:
        """The log of a container's instance, or of the one before it; at first no more than ``tail`` lines of it.

        Raises:
            StateError: there is none, in the kubelet's words.
        """


@dataclass(frozen=True, slots=True)
class LogOptions:
    """A v1 ``PodLogOptions``. ``since`` is in µs since the epoch."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: int | None = None
    tail: int | None = None
    limit: int | None = None

    @classmethod
    def read(cls, query: Query, pod: str, now: int) -> LogOptions:
        """The options of a request at a time.

        Raises:
            ApiError: some make no sense.
        """
        seconds, since = read_number(query, "sinceSeconds"), None
        moment = read_text(query, "sinceTime")
        if moment:
            try:
                since = parse_time(moment)
            except TimeError as error:
                raise bad_request(f"sinceTime: {error}") from error
        tail, limit = read_number(query, "tailLines"), read_number(query, "limitBytes")
        problems = _problems(tail, limit, seconds, has_time=since is not None)
        if problems:
            raise invalid("PodLogOptions", "", pod, problems)
        return cls(
            container=read_text(query, "container"),
            follow=bool(read_flag(query, "follow")),
            previous=bool(read_flag(query, "previous")),
            timestamps=bool(read_flag(query, "timestamps")),
            since=now - seconds * SECOND if seconds is not None else since,
            tail=tail,
            limit=limit,
        )


def _problems(tail: int | None, limit: int | None, seconds: int | None, *, has_time: bool) -> list[Problem]:
    problems = []
    if tail is not None and tail < 0:
        problems.append(invalid_value("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        problems.append(invalid_value("limitBytes", limit, "must be greater than 0"))
    if seconds is not None and has_time:
        problems.append(forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif seconds is not None and seconds < 1:
        problems.append(invalid_value("sinceSeconds", seconds, "must be greater than 0"))
    return problems
