"""Parts of a pod that are changed by a path of their own: ephemeral containers (``kubectl debug``) and resources."""

from __future__ import annotations

from collections.abc import Iterator

from rules.strategies import with_system_fields
from state.defaults import default
from state.errors import Problem, forbidden
from state.objects import AnyObject, Container, Pod, replace
from state.validation import resize_problems
from state.validation.differences import difference
from state.validation.pods import MIRROR

EPHEMERAL, RESIZE = "ephemeralcontainers", "resize"
PARTS = (EPHEMERAL, RESIZE)


def prepare(part: str, new: AnyObject, old: AnyObject) -> Pod:
    """The live pod with that part of the sent one."""
    assert isinstance(new, Pod)
    assert isinstance(old, Pod)
    sent = default(with_system_fields(new, old)).spec
    if part == EPHEMERAL:
        return replace(old, spec=replace(old.spec, ephemeral_containers=sent.ephemeral_containers))
    spec = replace(
        old.spec,
        containers=_resized(old.spec.containers, sent.containers),
        init_containers=_resized(old.spec.init_containers, sent.init_containers),
        resources=sent.resources,
    )
    return replace(old, spec=spec)


def _resized(live: tuple[Container, ...], sent: tuple[Container, ...]) -> tuple[Container, ...]:
    """The live containers with what was sent of their resources. Other containers are left as they were sent: they are
    refused.
    """
    if [each.name for each in live] != [each.name for each in sent]:
        return sent
    return tuple(
        replace(was, resources=now.resources, resize_policy=now.resize_policy)
        for was, now in zip(live, sent, strict=True)
    )


def problems(part: str, new: AnyObject, old: AnyObject) -> Iterator[Problem]:
    """What of a changed part isn't allowed, beside what no pod may have."""
    assert isinstance(new, Pod)
    assert isinstance(old, Pod)
    if part == RESIZE:
        yield from resize_problems(new, old)
        return
    if MIRROR in old.metadata.annotations:
        yield forbidden("", "static pods do not support ephemeral containers")
        return
    now = {container.name: container for container in new.spec.ephemeral_containers}
    for container in old.spec.ephemeral_containers:
        after = now.get(container.name)
        if container != after:
            verb = "removed" if after is None else "changed"
            shown = "" if after is None else difference("EphemeralContainer", container, after)
            message = f'existing ephemeral containers "{container.name}" may not be {verb}\n{shown}'
            yield forbidden("spec.ephemeralContainers", message)
