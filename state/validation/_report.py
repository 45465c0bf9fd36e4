"""Where checks put the problems that they find.

A check takes the report first and the path of what it looks at second, and goes on after each problem, so that all
of them are told at once. Paths are the API server's own, its slips included (``spec.template.labels`` for the labels
of a template, ``volumeMounts.subPath`` without the index): programs and people compare messages with its.
"""

from __future__ import annotations

from collections.abc import Iterable

from state.errors import Problem, duplicate, forbidden, invalid, quoted, required, too_long, too_many, type_invalid

#: So many problems of one object are told; of a list of a million wrong items nobody reads more.
MOST_PROBLEMS = 1000


class EnoughError(Exception):
    """The report is full."""


class _Problems(list[Problem]):
    def append(self, problem: Problem) -> None:
        super().append(problem)
        if len(self) >= MOST_PROBLEMS:
            raise EnoughError


class Report:
    """The problems of one object, in the order of the checks. With ``MOST_PROBLEMS`` of them it raises EnoughError.

    ``of_metadata`` is how many of them, from the first, are of the object's metadata, which are looked at first.
    """

    __slots__ = ("of_metadata", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = _Problems()
        self.of_metadata = 0

    def required(self, path: str, message: str = "") -> None:
        """A value is missing or empty."""
        self.problems.append(required(path, message))

    def invalid(self, path: str, value: object, message: str) -> None:
        """A value is malformed or out of bounds."""
        self.problems.append(invalid(path, value, message))

    def each_invalid(self, path: str, value: object, messages: Iterable[str]) -> None:
        """A value breaks several rules; one problem for each."""
        for message in messages:
            self.problems.append(invalid(path, value, message))

    def mistyped(self, path: str, value: object, message: str) -> None:
        """A value has the wrong type."""
        self.problems.append(type_invalid(path, value, message))

    def unsupported(self, path: str, value: object, supported: Iterable[str]) -> None:
        """A value is none of those listed; they are shown in the order given, as the API server does."""
        names = ", ".join(map(quoted, supported))
        self.problems.append(Problem(path, f"supported values: {names}", "NotSupported", value))

    def duplicate(self, path: str, value: object, message: str = "") -> None:
        """A value occurs for the second time."""
        self.problems.append(Problem(path, message, "Duplicate", value) if message else duplicate(path, value))

    def not_found(self, path: str, value: object, message: str = "") -> None:
        """A name refers to nothing."""
        self.problems.append(Problem(path, message, "NotFound", value))

    def forbidden(self, path: str, message: str) -> None:
        """A field may not be set or changed here."""
        self.problems.append(forbidden(path, message))

    def too_long(self, path: str, limit: int) -> None:
        """A text, or all texts of a map together, take more bytes than allowed."""
        self.problems.append(too_long(path, limit))

    def too_many(self, path: str, count: int, limit: int) -> None:
        """A list has more items than allowed."""
        self.problems.append(too_many(path, count, limit))

    def one_of(self, path: str, value: str | None, supported: Iterable[str]) -> None:
        """A field must have one of the values listed."""
        if not value:
            self.required(path)
        elif value not in supported:
            self.unsupported(path, value, supported)

    def not_negative(self, path: str, number: int | None) -> None:
        """A count or a duration may be absent or zero, but not negative."""
        if number is not None and number < 0:
            self.invalid(path, number, "must be greater than or equal to 0")
