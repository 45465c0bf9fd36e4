"""How a live object changes by what is said of it, in a plan: by a new manifest, a patch, or a report of its status.

Nothing is written here. The steps are the API's (``rules.registry``), but for those who may say no: they are asked when
the object is stored, after all that comes before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from reconciler import untyped
from reconciler.apiserver.patches import json_patch, merge_patch
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.strategic import strategic_patch
from reconciler.limits import too_much
from reconciler.observed import time_problems
from rules.admission import admit_update
from rules.registry import ChangeProblems, InvalidError, Problems, changed
from rules.strategies import Traits, on_create, prepare_status, prepare_update, traits_of, with_status_of
from state.dump import dump
from state.errors import Problem, StateError
from state.identity import make_uid
from state.load import LoadError, Refusal, from_dict
from state.objects import AnyObject, CustomObject, Object, replace
from state.snapshot import Key
from state.validation import validate, validate_update
from state.validation.statuses import status_problems
from state.validation.updates import Parts, told_of_update
from state.workspace import Workspace

if TYPE_CHECKING:
    from reconciler.apiserver.messages import Merged
    from reconciler.apiserver.resources import Resource

#: RFC 6902, RFC 7386, and Kubernetes' own for its kinds.
PatchType = Literal["json", "merge", "strategic"]


def definitions_in(ws: Workspace) -> Iterable[AnyObject]:
    """The CustomResourceDefinitions of a workspace."""
    return ws.table(untyped.DEFINITION).values()


def patched(ws: Workspace, key: Key, patch: Any, form: PatchType = "merge") -> AnyObject:
    """An object with a patch applied, defaulted and checked. Writes nothing.

    What it says of the status is reported, as a kubelet would; the rest is an update.

    Raises:
        InvalidObject: the object would not be valid.
        StateError: there is no such object, the patch makes no sense, means another revision of the object, or changes
            what it is.
    """
    live = ws.get(key)
    if live is None:
        msg = f"there is no {key}"
        raise StateError(msg)
    before = dump(live)
    resource = untyped.resource_of(live, definitions_in(ws))
    document = _with_patch(key, before, patch, form, declared(live, resource))
    new = untyped.completed(from_dict(document), resource)
    if Key.of(new) != key or new.metadata.uid != live.metadata.uid:
        msg = f"{key}: a patch cannot change kind, namespace, name or uid"
        raise StateError(msg)
    if new.metadata.resource_version != live.metadata.resource_version:
        meant, found = new.metadata.resource_version, live.metadata.resource_version
        msg = f"{key}: the object has been modified: the patch is for resourceVersion {meant}, it is at {found}"
        raise StateError(msg)
    parts = {name for name in {*before, *document} if before.get(name) != document.get(name)}
    try:
        return changed_by(new, live, resource, parts)
    except InvalidError as error:
        raise LoadError([Refusal(origin=str(key), key=key, problems=error.problems)]) from error


def is_report(new: AnyObject, live: AnyObject) -> bool:
    """Whether an object says nothing new but in its status, if at all."""
    has_status = isinstance(live, CustomObject) or traits_of(type(live)).has_status
    return (with_status_of(new, live) if has_status else new) == live


def _with_patch(key: Key, document: dict[str, Any], patch: Any, form: PatchType, kind: Merged | None) -> dict[str, Any]:
    """Raises StateError: the patch makes no sense."""
    try:
        if form == "json" and isinstance(patch, list):
            return json_patch(document, patch)
        if form == "merge" and isinstance(patch, dict):
            return merge_patch(document, patch)
        if form == "strategic" and isinstance(patch, dict) and kind is not None:
            return strategic_patch(document, patch, kind)
    except ApiError as error:
        msg = f"{key}: {error.message}"
        raise StateError(msg) from error
    msg = f"{key}: expected a patch of form json (a list), merge (an object) or, but for custom resources, strategic"
    raise StateError(msg)


class _AskedLater:
    """Admission as far as it only adds: who says no is asked when the object is stored, after all that comes first."""

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """As ``rules.registry.Admission``; of a changed object."""
        return admit_update(new)

    def check(self, new: AnyObject, old: AnyObject | None = None) -> None:
        """Lets everything in."""


def changed_by(new: AnyObject, live: AnyObject, resource: Resource | None, parts: Collection[str]) -> AnyObject:
    """What the live object becomes by a new one that differs in these parts: the status is reported, the rest updated.

    Raises:
        InvalidError: it isn't valid.
    """
    known = traits(live, resource)
    reports = known.has_status and "status" in parts

    def prepare(new: AnyObject, old: AnyObject) -> AnyObject:
        wanted = old if reports and len(parts) == 1 else prepare_update(known, new, old)
        return prepare_status(known, new, wanted) if reports else wanted

    return changed(new, live, _AskedLater(), prepare, _problems_of_change(resource, reports=reports))


def creation_problems(new: AnyObject, resource: Resource | None) -> tuple[Problem, ...]:
    """What is wrong with a new object, with its defaults, before admission has a look at it."""
    known = replace(new, metadata=replace(new.metadata, uid=make_uid(Key.of(new), 0)))
    return tuple(problems_of_new(resource)(on_create(known)))


def problems_of_new(resource: Resource | None) -> Problems:
    """What looks at a new object of a kind."""

    def problems(new: AnyObject) -> Iterator[Problem]:
        if resource is None:
            yield from validate(new, is_new=True)
        else:
            yield from validate(new, resource.name_rule, is_new=True)
            yield from resource.problems(new)
        yield from too_much(new)

    return problems


def _problems_of_change(resource: Resource | None, *, reports: bool) -> ChangeProblems:
    """What looks at a changed object of a kind; an API server tells some of it more than once."""

    def told(new: AnyObject, old: AnyObject) -> Iterator[Problem]:
        if resource is not None:
            yield from resource.problems_of_update(new, old)
        elif isinstance(new, Object):
            yield from told_of_update(new, old, Parts())
        else:
            yield from (*validate(new), *validate_update(new, old))
        if reports:
            yield from (*status_problems(new, old), *time_problems(new))
        yield from too_much(new)

    return lambda new, old: {str(problem): problem for problem in told(new, old)}.values()


def traits(obj: AnyObject, resource: Resource | None) -> Traits:
    """What the registry of an object's kind goes by."""
    return traits_of(type(obj)) if resource is None else resource.traits


def declared(obj: AnyObject, resource: Resource | None) -> Merged | None:
    """What declares the merge keys of an object's lists."""
    if isinstance(obj, Object):
        return type(obj)
    return None if resource is None else resource.merged
