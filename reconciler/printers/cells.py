"""What the cells of kubectl's tables have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from state import selectors
from state.objects import AnyObject, Container, LabelSelector, PodTemplateSpec
from state.quantity import canonical
from state.times import human_duration, parse_time

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"
#: A cell lists at most so many addresses or ports.
_MAX_LISTED = 3


def since(time: str | None, now: int) -> str:
    """How long ago a time is (``now`` in µs since the epoch)."""
    return UNKNOWN if not time else human_duration(now - parse_time(time))


def created(obj: AnyObject, _: int) -> tuple[str]:
    """The cell of a kind without columns of its own: when it was made."""
    return (obj.metadata.creation_timestamp or UNKNOWN,)


def labels(pairs: Mapping[str, str]) -> str:
    """Labels in kubectl's form, sorted by name."""
    return ",".join(f"{name}={pairs[name]}" for name in sorted(pairs)) or NONE


def selector(of: LabelSelector | None) -> str:
    """A selector in kubectl's form."""
    return NONE if of is None else str(selectors.from_object(of)) or NONE


def images(containers: Sequence[Container]) -> tuple[str, str]:
    """The cells CONTAINERS and IMAGES."""
    return ",".join(item.name for item in containers), ",".join(item.image or "" for item in containers)


def template_images(template: PodTemplateSpec | None) -> tuple[str, str]:
    """The same for a pod template, if there is one."""
    return images(() if template is None else template.spec.containers)


def listed(items: Sequence[str], absent: str) -> str:
    """The first few items, and how many more there are."""
    if len(items) > _MAX_LISTED:
        return f"{','.join(items[:_MAX_LISTED])} + {len(items) - _MAX_LISTED} more..."
    return ",".join(items) or absent


def storage(amounts: Mapping[str, str | int | float]) -> str:
    """The amount of storage among resources."""
    return canonical(amounts["storage"]) if "storage" in amounts else "0"


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def access_modes(modes: Sequence[str]) -> str:
    """Access modes in kubectl's abbreviations and order, each once."""
    return ",".join(short for mode, short in _MODES.items() if mode in modes)
