"""The generic registry: the steps by which a write becomes what is stored, in kube-apiserver's order.

Whoever writes goes this way: a request to the API, a manifest in a plan, a controller. They differ in who has a say
(``Admission``), in how an object gets its name and uid, and in what is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from rules.admission import ForbiddenError
from rules.strategies import Traits, on_create, prepare_create, prepare_update
from state.defaults import default
from state.errors import Problem, joined
from state.kept import Remembered
from state.objects import (
    KINDS,
    AnyObject,
    ControllerRevision,
    Job,
    Namespace,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    kind_key,
    replace,
)
from state.validation import validate

#: What is wrong with a new object, or with a change: the object as it would be stored, and as it is.
Problems = Callable[[AnyObject], Iterable[Problem]]
ChangeProblems = Callable[[AnyObject, AnyObject], Iterable[Problem]]
#: Makes of a changed object and the live one what is stored.
Prepare = Callable[[AnyObject, AnyObject], AnyObject]
#: What is in the metadata of no new object, whatever was sent.
_OF_OTHERS = ("deletion_grace_period_seconds", "deletion_timestamp", "resource_version", "self_link")


class InvalidError(ForbiddenError):
    """An object that isn't valid as it would be stored, in the API server's words."""

    def __init__(self, obj: AnyObject, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(kind_key(obj), obj.metadata, joined(self.problems))

    def told(self, name: str) -> str:
        """The sentence about an object of that name."""
        typed = KINDS.get(self.kind)
        kind = f"{self.kind}.{typed.group}" if typed is not None and typed.group else self.kind
        return f'{kind} "{name}" is invalid: {self.why}'


class Admission(Protocol):
    """The admission plug-ins, and whatever else is configured."""

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """A new or changed object with what is added to it. Raises ForbiddenError: it isn't let in."""

    def check(self, new: AnyObject, old: AnyObject | None = None) -> None:
        """Lets in an object as it would be stored. Raises ForbiddenError: it isn't let in."""


def prepared(traits: Traits, obj: AnyObject, now: int) -> AnyObject:
    """A new object as it is asked for: with defaults, and without what only the server sets."""
    obj, meta = default(prepare_create(traits, obj, now)), obj.metadata
    fresh: dict[str, int | None] = {name: None for name in _OF_OTHERS if getattr(meta, name) is not None}
    if traits.is_counted:
        fresh["generation"] = 1
    return replace(obj, metadata=replace(obj.metadata, **fresh)) if fresh else obj


def created(
    obj: AnyObject, admission: Admission, identified: Callable[[AnyObject], AnyObject], problems: Problems
) -> AnyObject:
    """A new object, which is ``prepared``, as it is stored; ``identified`` gives it its name, uid and time.

    Raises:
        ForbiddenError: it isn't let in; an InvalidError if something is wrong with it.
    """
    new = on_create(identified(admission.complete(obj)))
    if isinstance(new, Namespace):  # its label is its name, which may have been generated
        new = default(new)
    found = tuple(problems(new))
    if found:
        raise InvalidError(new, found)
    admission.check(new)
    return new


def changed(
    new: AnyObject, old: AnyObject, admission: Admission, prepare: Prepare, problems: ChangeProblems
) -> AnyObject:
    """A changed object as it is stored. ``prepare`` is that of the part that is changed: ``update_of`` its kind, or
    of its status.

    Raises:
        ForbiddenError: it isn't let in; an InvalidError if something is wrong with it.
    """
    new = prepare(admission.complete(default(new), old), old)
    found = tuple(problems(new, old))
    if found:
        raise InvalidError(new, found)
    admission.check(new, old)
    return new


def update_of(traits: Traits) -> Prepare:
    """What an update of an object, not of a part of it, stores."""
    return partial(prepare_update, traits)


#: By what pods of one template share (which is kept, so that nothing else can have its identity): that it is valid.
_made = Remembered[tuple[int, int, str], tuple[object, object]]()


#: Of these kinds controllers make what somebody described; others they make of what is valid.
_MADE_OF_TEMPLATES = (ControllerRevision, Job, PersistentVolumeClaim, Pod, ReplicaSet)


def problems_of_made(obj: AnyObject) -> tuple[Problem, ...]:
    """What is wrong with an object that a controller makes of a valid template: it may have too long a name, or labels
    that a name makes too long, and a LimitRange may have given it limits below its requests.

    That something is missing is no problem here: where templates are only observed, they may say less than an API
    server would have them say.
    """
    if not isinstance(obj, Pod) or not obj.metadata.generate_name:
        return _but_omissions(obj) if isinstance(obj, _MADE_OF_TEMPLATES) else ()
    labels, containers = obj.metadata.labels, obj.spec.containers
    shared = (id(labels), id(containers), obj.spec.hostname or "")
    if shared in _made:
        return ()
    found = _but_omissions(obj)
    if not found:
        _made[shared] = (labels, containers)
    return found


def _but_omissions(obj: AnyObject) -> tuple[Problem, ...]:
    return tuple(each for each in validate(obj) if each.reason != "Required" and each.value not in (None, ""))
