"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had, as kube-controller-manager keeps them.

A revision holds the template as a patch. The one that equals the owner's template now is the *update revision*; going
back to a former template makes its revision the newest again.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from rules.actions import Fact
from rules.context import Context
from rules.engine import Rule, m
from rules.ownership import Claiming, controller_ref
from rules.template_hash import encoded, fnv32, template_hash
from state.objects import (
    ControllerRevision,
    DaemonSet,
    ObjectMeta,
    Opaque,
    Pod,
    PodTemplateSpec,
    StatefulSet,
    decode_hook,
    encode_hook,
    replace,
)
from state.snapshot import Key
from state.workspace import Workspace

#: The label by which pods, and the revisions of a DaemonSet, say which revision they are of.
REVISION_LABEL = "controller-revision-hash"
_HASH_LABEL = "controller.kubernetes.io/hash"
#: So much of a StatefulSet's name is in those of its revisions. A DaemonSet's isn't cut: one with too long a name has
#: no revisions, and no pods.
_LONGEST_BASE = 223
#: How many revisions that nothing uses are kept (``revisionHistoryLimit``).
_DEFAULT_LIMIT = 10
#: What Go's JSON encoder writes differently from others.
_ESCAPED = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}

Owner = StatefulSet | DaemonSet


def patch_of(template: PodTemplateSpec) -> Opaque:
    """A template as a revision keeps it: a strategic merge patch that replaces the whole of it."""
    document = orjson.loads(msgspec.json.encode(template, enc_hook=encode_hook))
    return Opaque({"spec": {"template": {**document, "$patch": "replace"}}})


def template_of(revision: ControllerRevision) -> PodTemplateSpec:
    """The template that a revision holds."""
    patch: Any = {} if revision.data is None else revision.data.value
    document = patch.get("spec", {}).get("template", {})
    document.pop("$patch", None)
    return msgspec.convert(document, PodTemplateSpec, dec_hook=decode_hook)


def revisions_of(ws: Workspace, owner: Owner) -> list[ControllerRevision]:
    """The owner's revisions, oldest first."""
    found = ws.owned(owner, ControllerRevision)
    found.sort(key=lambda item: (item.revision, item.metadata.creation_timestamp or "", item.metadata.name))
    return found


REVISIONS: Claiming[Owner, ControllerRevision] = Claiming(ControllerRevision)


def rules(prefix: str, when: object) -> tuple[Rule, Rule]:
    """What keeps the revisions up to date, given facts ``name``, ``adoptable_revisions`` and ``unrecorded``; ``when``
    is a condition.
    """
    return (
        Rule(
            name=f"{prefix}-adopt-revisions",
            when=when & (m.adoptable_revisions > 0),
            then=REVISIONS.adopt,
            why="{name} takes over {adoptable_revisions} revisions that match its selector and have no controller",
        ),
        Rule(
            name=f"{prefix}-revision",
            when=when & (m.adoptable_revisions == 0) & (m.unrecorded == True),  # noqa: E712 - durable.lang's
            then=_record,
            why="{name} has no newest revision of its present template",
        ),
    )


def update_revision(revisions: list[ControllerRevision], owner: Owner) -> ControllerRevision | None:
    """The newest revision that holds the owner's template."""
    if not revisions:
        return None
    patch = patch_of(owner.spec.template)
    return next((item for item in reversed(revisions) if item.data == patch), None)


def is_newest(revision: ControllerRevision | None, revisions: list[ControllerRevision]) -> bool:
    """Whether the revision is there, and none has come after it."""
    return revision is not None and revision is revisions[-1]


def twins(revisions: list[ControllerRevision], revision: ControllerRevision | None) -> list[ControllerRevision]:
    """The other revisions that hold the same template: those of an owner before, under another name."""
    return [item for item in revisions if revision is not None and item is not revision and item.data == revision.data]


def _record(ctx: Context, key: Key, _: Fact) -> None:
    """Makes the revision of the owner's template the newest one, or creates it; of a DaemonSet it is the only one."""
    owner = ctx.ws.get(key)
    assert isinstance(owner, Owner)
    revisions = revisions_of(ctx.ws, owner)
    found = update_revision(revisions, owner)
    number = revisions[-1].revision + 1 if revisions else 1
    if found is not None:
        if not is_newest(found, revisions):
            ctx.update(replace(found, revision=number))
        if isinstance(owner, DaemonSet):
            for twin in twins(revisions, found):
                _relabel_pods(ctx, owner, found.metadata.labels.get(REVISION_LABEL, ""))
                ctx.delete(twin)
        return
    fresh = _new_revision(owner, number)
    if ctx.ws.get(Key.of(fresh)) is None:
        ctx.create(fresh)
        return
    # another template's revision has the name: the next count gives another hash
    count = (owner.status.collision_count or 0) + 1
    ctx.update_status(replace(owner, status=replace(owner.status, collision_count=count)))


def _relabel_pods(ctx: Context, owner: DaemonSet, revision: str) -> None:
    """Has all pods be of one revision, before others of the same template go."""
    for pod in ctx.ws.owned(owner, Pod):
        labels = {**pod.metadata.labels, REVISION_LABEL: revision}
        ctx.update(replace(pod, metadata=replace(pod.metadata, labels=labels)))


def _new_revision(owner: Owner, number: int) -> ControllerRevision:
    patch = patch_of(owner.spec.template)
    count = owner.status.collision_count
    base = owner.metadata.name
    if isinstance(owner, DaemonSet):
        label, hash_ = REVISION_LABEL, template_hash(owner.spec.template, count)
    else:
        base, label, hash_ = base[:_LONGEST_BASE], _HASH_LABEL, patch_hash(patch, count or 0)
    meta = ObjectMeta(
        name=f"{base}-{hash_}",
        namespace=owner.metadata.namespace,
        labels={**owner.spec.template.metadata.labels, label: hash_},
        annotations=owner.metadata.annotations,
        owner_references=(controller_ref(owner),),
    )
    return ControllerRevision(metadata=meta, data=patch, revision=number)


def patch_hash(patch: Opaque, collision_count: int) -> str:
    """The hash in the name of a StatefulSet's revision: 32-bit FNV-1 over the patch as Go writes it, and the count."""
    data = patch.json
    for plain, escaped in _ESCAPED.items():
        data = data.replace(plain, escaped)
    return encoded(fnv32(data + str(collision_count).encode()))


def surplus_revisions(
    revisions: list[ControllerRevision], live: set[str], limit: int | None, counted: int | None = None
) -> list[ControllerRevision]:
    """The revisions that the history has too many of, oldest first.

    ``live`` names those that something still uses; ``counted`` is how many count against the limit, by default those
    that nothing uses.
    """
    dead = [item for item in revisions if item.metadata.name not in live]
    surplus = (len(dead) if counted is None else counted) - (_DEFAULT_LIMIT if limit is None else limit)
    return dead[: max(0, surplus)]
