"""The schedules of CronJobs: what they say, and what is wrong with them in the words of the parser that Kubernetes uses
(robfig/cron).
"""

from __future__ import annotations

from state.errors import StateError, quoted
from state.times import TimeError, parse_duration

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Lowest and highest value of minute, hour, day of the month, month and day of the week, and names of values.
FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
#: Schedules with a name, as fields.
DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EVERY = "@every "


class CronError(StateError):
    """What is wrong with a field."""


def schedule_messages(schedule: str) -> list[str]:
    """What is wrong with a schedule; nothing if a CronJob can have it."""
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        return ["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]
    if schedule.startswith(EVERY):
        text = schedule.removeprefix(EVERY)
        try:
            parse_duration(text)
        except TimeError:
            return [f"failed to parse duration {schedule}: time: invalid duration {quoted(text)}"]
        return []
    if schedule.startswith("@"):
        return [] if schedule in DESCRIPTORS else [f"unrecognized descriptor: {schedule}"]
    fields = schedule.split()
    if len(fields) != len(FIELDS):
        return [f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"]
    try:
        for field, (low, high, values) in zip(fields, FIELDS, strict=True):
            for part in field.split(","):
                if part:
                    read_range(part, low, high, values)
    except CronError as error:
        return [str(error)]
    return []


def read_range(text: str, low: int, high: int, values: dict[str, int]) -> range:
    """The values that ``*``, ``5``, ``1-5``, or one of them with a step stands for.

    Raises:
        CronError: it stands for none, or for such as are out of bounds.
    """
    bounds, *steps = text.split("/")
    ends = bounds.split("-")
    if ends[0] in {"*", "?"}:
        start, end = low, high
        if len(ends) > 1:
            raise CronError(f"too many hyphens: {text}")
    else:
        start = _value(ends[0], values)
        if len(ends) > 2:
            raise CronError(f"too many hyphens: {text}")
        end = _value(ends[1], values) if len(ends) == 2 else start
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    step = _value(steps[0], {}) if steps else 1
    if steps and len(ends) == 1:
        end = high
    if start < low:
        raise CronError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise CronError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise CronError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")
    return range(start, end + 1, step)


def _value(text: str, values: dict[str, int]) -> int:
    number = values.get(text.lower())
    if number is not None:
        return number
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()):
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if int(text) < 0:
        raise CronError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
