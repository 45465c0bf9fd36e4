"""A plan on one screen: what is alike is told once, with how often it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rules.actions import Action, Bind, BindClaim, Create, Delete, Event, Note, Update, UpdateStatus
from state.objects import AnyObject, PersistentVolumeClaim, Pod, controller_of, find_kind
from state.snapshot import Key, Snapshot

#: More lines than this that differ in nothing but the name become one.
_MAX_ALIKE = 3
#: How many nodes are named of those that pods of one owner go to.
_MAX_NODES = 3
_FINISHED = ("Succeeded", "Failed")
Said = Action | Event | Note


class Line(NamedTuple):
    """What is said about an object, or about several that are alike."""

    word: str
    target: str
    rule: str
    why: str


def lines(items: Iterable[Said], snapshot: Snapshot, *, wide: bool) -> list[Line]:
    """What is said, line by line (``wide``) or summarized."""
    return list(map(line_of, items)) if wide else summarize(items, snapshot)


def line_of(said: Said) -> Line:
    """One action, event or note as it is."""
    if isinstance(said, Event):
        return Line(said.reason, str(said.target), said.source, said.message)
    return Line(said.verb if isinstance(said, Action) else "", str(said.target), said.rule, said.why)


def summarize(items: Iterable[Said], snapshot: Snapshot) -> list[Line]:
    """What is said, in order of first appearance; in one line what is alike for many objects of one owner, or of none.

    ``snapshot`` holds the objects that are spoken about, as far as they exist.
    """
    groups: dict[tuple[str, ...], list[Said]] = {}
    for said in items:
        line, owner = line_of(said), _owner(_object(said, snapshot))
        alike = (line.word, line.rule, said.target.kind, *((line.why,) if owner is None else owner))
        groups.setdefault(alike, []).append(said)
    told: list[Line] = []
    for group in groups.values():
        targets = {said.target for said in group}
        if len(targets) <= _MAX_ALIKE:
            told += dict.fromkeys(map(line_of, group))
            continue
        owner = _owner(_object(group[0], snapshot))
        named = f"{len(targets)} {plural(group[0].target.kind)}{'' if owner is None else f' of {owner}'}"
        told.append(line_of(group[0])._replace(target=named, why=_whys(group)))
    return told


def plural(kind: str) -> str:
    """Several objects of a kind in a word: ``pods``, ``networkpolicies.networking.k8s.io``.

    The plural of a kind that isn't typed is guessed, by the API machinery's own rule.
    """
    known = find_kind(kind)
    if known is not None:
        return known.plural
    name, dot, group = kind.lower().partition(".")
    name = f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
    return f"{name}{dot}{group}"


def counted(items: Iterable[str]) -> str:
    """Words with how often they occur, in order of first appearance: ``create 4, bind 8``."""
    return ", ".join(f"{word} {count}" for word, count in Counter(items).items())


def many(count: int, word: str) -> str:
    """A number of things: ``1 action``, ``2 actions``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def pending_pods(snapshot: Snapshot) -> list[Key]:
    """The pods that are on no node and still want one."""
    return _keys(
        snapshot,
        "Pod",
        lambda pod: (
            isinstance(pod, Pod)
            and not pod.spec.node_name
            and pod.status.phase not in _FINISHED
            and pod.metadata.deletion_timestamp is None
        ),
    )


def unbound_claims(snapshot: Snapshot) -> list[Key]:
    """The claims that have no volume."""
    return _keys(
        snapshot,
        "PersistentVolumeClaim",
        lambda claim: isinstance(claim, PersistentVolumeClaim) and claim.status.phase != "Bound",
    )


def _keys(snapshot: Snapshot, kind: str, wanted: Callable[[AnyObject], bool]) -> list[Key]:
    return [Key.of(obj) for obj in snapshot.objects(kind) if wanted(obj)]


def _object(said: Said, snapshot: Snapshot) -> AnyObject | None:
    """The object that is spoken about."""
    if isinstance(said, Create | Update | UpdateStatus | Bind):
        return said.object
    if isinstance(said, BindClaim):
        return said.claim
    return said.before if isinstance(said, Delete) else snapshot.get(said.target)


def _owner(obj: AnyObject | None) -> Key | None:
    owner = None if obj is None else controller_of(obj)
    return None if obj is None or owner is None else Key(owner.kind, obj.metadata.namespace, owner.name)


def _whys(group: Sequence[Said]) -> str:
    nodes = Counter(said.node for said in group if isinstance(said, Bind))
    if nodes:
        named = [f"{count} to {node}" for node, count in sorted(nodes.items(), key=lambda item: (-item[1], item[0]))]
        more = [f"the rest to {len(nodes) - _MAX_NODES} more nodes"] if len(nodes) > _MAX_NODES else []
        return ", ".join(named[:_MAX_NODES] + more)
    whys = dict.fromkeys(line_of(said).why for said in group)
    first = next(iter(whys))
    return first if len(whys) == 1 else f"{first} (and {many(len(whys) - 1, 'more reason')} like it)"
