"""When the schedule of a CronJob is due, as robfig/cron reads it: five fields, names for some, and ``@every``.

Times are µs since the epoch, and are due on whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol

from state.times import SECOND, parse_duration
from state.validation.cron import DESCRIPTORS, EVERY, FIELDS, read_range, schedule_messages

#: How far a due time is looked for: beyond that there is none (``31 2`` is no day).
_DAYS = 5 * 366
_DAY = 86_400 * SECOND
#: The year 9990: calendars end soon after it.
_END = 253_086_768_000 * SECOND
#: Hours around a time that are looked at, too: a zone may set its clocks back.
_MARGIN = 2
_SUNDAY = 7  # as date.isoweekday has it; cron calls it 0
_STARS = ("*", "?")
_CACHE_SIZE = 4096


class Schedule(Protocol):
    """Says when something is due."""

    def after(self, time: int) -> int | None:
        """The first due time after a time, or None if there is none within five years."""

    def latest(self, since: int, until: int) -> int | None:
        """The last due time after ``since`` and not after ``until``, or None."""


@dataclass(frozen=True, slots=True)
class Interval:
    """``@every``: due again and again after an interval, counted from when it was due before."""

    every: int

    def after(self, time: int) -> int:
        """As ``Schedule.after``."""
        return time - time % SECOND + self.every

    def latest(self, since: int, until: int) -> int | None:
        """As ``Schedule.latest``."""
        first = self.after(since)
        return first + (until - first) // self.every * self.every if first <= until else None


@dataclass(frozen=True, slots=True)
class Fields:
    """The values of five fields, sorted. ``either`` says that one of day of month and day of week is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    zone: tzinfo

    def after(self, time: int) -> int | None:
        """As ``Schedule.after``."""
        if time >= _END:
            return None
        moment = _moment(time, self.zone)
        for number in range(_DAYS):
            day = moment.date() + timedelta(days=number)
            if self._has_day(day):
                from_hour = 0 if number else moment.hour - _MARGIN
                for due in self._times(day, (hour for hour in self.hours if hour >= from_hour)):
                    if due > time:
                        return due
        return None

    def latest(self, since: int, until: int) -> int | None:
        """As ``Schedule.latest``."""
        moment = _moment(until, self.zone)
        begin = min(max(since, until - _DAYS * _DAY), until)  # times of all years may be asked about
        first, last = _moment(begin, self.zone).date(), moment.date()
        for number in range((last - first).days + 1):
            day = last - timedelta(days=number)
            if self._has_day(day):
                to_hour = 24 if number else moment.hour + _MARGIN
                for due in self._times(day, (hour for hour in self.hours[::-1] if hour <= to_hour), reverse=True):
                    if due <= until:
                        return due if due > since else None
        return None

    def _has_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % _SUNDAY in self.weekdays
        return of_month or of_week if self.either else of_month and of_week

    def _times(self, day: date, hours: Iterable[int], *, reverse: bool = False) -> Iterator[int]:
        """The due times of some hours of a day, in order or in reverse. An hour that the zone leaves out has none."""
        minutes = self.minutes[::-1] if reverse else self.minutes
        for hour in hours:
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                instant = local.astimezone(UTC)
                if instant.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield int(instant.timestamp()) * SECOND


def _moment(time: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(time // SECOND, zone)


@lru_cache(_CACHE_SIZE)
def parse_schedule(text: str, zone: tzinfo = UTC) -> Schedule | None:
    """The schedule that a text stands for; None if it is none."""
    if schedule_messages(text):
        return None
    if text.startswith(EVERY):
        every = parse_duration(text.removeprefix(EVERY)) // SECOND * SECOND
        return Interval(max(every, SECOND))
    fields = DESCRIPTORS.get(text, text).split()
    minutes, hours, days, months, weekdays = map(_values, fields, range(len(fields)))
    stars = [_is_star(field) for field in fields]
    return Fields(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=weekdays,
        either=not (stars[2] or stars[4]),
        zone=zone,
    )


def _values(field: str, number: int) -> frozenset[int]:
    ranges = (read_range(part, *FIELDS[number]) for part in field.split(",") if part)
    return frozenset(value for values in ranges for value in values)


def _is_star(field: str) -> bool:
    """Whether a field leaves all open: a star, alone or in a list, that has no step but 1."""
    return any(part in _STARS or (part[:1] in _STARS and part[1:] == "/1") for part in field.split(","))
