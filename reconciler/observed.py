"""Whether an observed object can be worked with.

It may say less than an API server would have it say, for it may be written by hand or come from a server of another
version. But what it says must be right: the rules read its quantities, selectors, percentages and times.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.limits import too_much
from state.errors import Problem, type_invalid
from state.objects import AnyObject
from state.times import TimeError, parse_time
from state.validation import validate

#: The times in ``metadata``, in a condition, and in ``status``, as attributes with their JSON names.
_META = (("creation_timestamp", "creationTimestamp"), ("deletion_timestamp", "deletionTimestamp"))
_CONDITION = (
    ("last_heartbeat_time", "lastHeartbeatTime"),
    ("last_probe_time", "lastProbeTime"),
    ("last_transition_time", "lastTransitionTime"),
    ("last_update_time", "lastUpdateTime"),
)
_STATUS = (("completion_time", "completionTime"), ("start_time", "startTime"))


def observation_problems(obj: AnyObject) -> tuple[Problem, ...]:
    """What is wrong with an observed object; not what it leaves out, its name aside."""
    found = [problem for problem in validate(obj) if problem.path == "metadata.name" or not _is_left_out(problem)]
    return (*found, *time_problems(obj), *too_much(obj))


def _is_left_out(problem: Problem) -> bool:
    """Whether the fault is that there is nothing."""
    return problem.reason == "Required" or problem.value is None


def time_problems(obj: AnyObject) -> Iterator[Problem]:
    """The times of metadata and status that are none; validation, which is about wishes, passes over them."""
    yield from _unreadable(obj.metadata, "metadata", _META)
    status = getattr(obj, "status", None)
    yield from _unreadable(status, "status", _STATUS)
    for index, condition in enumerate(getattr(status, "conditions", ())):
        yield from _unreadable(condition, f"status.conditions[{index}]", _CONDITION)


def _unreadable(part: object, path: str, names: tuple[tuple[str, str], ...]) -> Iterator[Problem]:
    for attribute, name in names:
        text = getattr(part, attribute, None)
        if text:
            try:
                parse_time(text)
            except TimeError:
                yield type_invalid(f"{path}.{name}", text, "must be a time in RFC 3339 format")
