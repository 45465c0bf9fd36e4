"""The cluster that get, describe, logs and events are about: what runs, or what was left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.apiserver.resource_tables import UNTYPED
from reconciler.cli import exits
from reconciler.live.client import Client, NotRunningError, stored
from reconciler.live.directory import StateDirectory
from state.errors import StateError
from state.objects import KINDS, AnyObject, find_kind
from state.selectors import parse as parse_selector
from state.snapshot import Change, Key, Snapshot

#: What ``all`` means to kubectl, in its order.
_ALL = (
    "Pod",
    "ReplicationController",
    "Service",
    "DaemonSet",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "HorizontalPodAutoscaler.autoscaling",
    "CronJob",
    "Job",
)
#: Built-in kinds without a type, by whatever kubectl calls them.
_UNTYPED = {
    word: f"{kind}.{version.partition('/')[0]}"
    for version, resources in reversed(UNTYPED.items())
    for plural, kind, _, short in resources
    for word in (plural, kind.lower(), *short.split())
}


class Cluster:
    """A state directory, with or without a reconciler that runs on it."""

    def __init__(self, state_dir: str) -> None:
        self.directory = StateDirectory(state_dir)

    def client(self) -> Client:
        """A connection to the reconciler.

        Raises:
            NotRunningError: none runs.
        """
        return Client(self.directory)

    def state(self) -> Snapshot:
        """All objects. Where no reconciler runs they are read from disk, and stderr says so."""
        try:
            with self.client() as client:
                return client.state()
        except (NotRunningError, FileNotFoundError):
            snapshot = stored(self.directory)
            exits.warning(f"no reconciler runs with {self.directory.path}; this is the state that the last one left")
            return snapshot

    def watch(self) -> Iterator[tuple[Snapshot, Sequence[Change]]]:
        """All objects, then every change."""
        with self.client() as client:
            yield from client.watch()


def kinds_of(word: str, snapshot: Snapshot) -> list[str]:
    """The kinds that a word like ``po,svc`` or ``all`` means, each once.

    Raises:
        StateError: one of them is none.
    """
    found: list[str] = []
    for part in word.split(","):
        kind = find_kind(part)
        if part == "all":
            found += _ALL
        elif kind is not None:
            found.append(kind.name)
        elif part.lower() in _UNTYPED:
            found.append(_UNTYPED[part.lower()])
        else:
            carried = [name for name in snapshot.kinds if name not in KINDS and _is_called(name, part)]
            if not carried:
                raise StateError(f'the server doesn\'t have a resource type "{part}"')
            found += carried
    return list(dict.fromkeys(found))


def _is_called(kind: str, word: str) -> bool:
    name = kind.partition(".")[0].lower()
    return word.lower() in (kind.lower(), name, f"{name}s")


def targets(words: Sequence[str], namespace: str, snapshot: Snapshot) -> list[Key]:
    """The objects that ``TYPE NAME...`` or ``TYPE/NAME...`` name.

    Raises:
        StateError: the words have another form.
    """
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        if not all(kind and name for kind, _, name in pairs):
            raise StateError("expected TYPE/NAME for every object, or TYPE NAME...")
        named = [(kind, name) for kind, _, name in pairs]
    else:
        named = [(words[0], name) for name in words[1:]]
    return [_key(kind, name, namespace, snapshot) for word, name in named for kind in kinds_of(word, snapshot)]


def _key(kind: str, name: str, namespace: str, snapshot: Snapshot) -> Key:
    known = KINDS.get(kind)
    if known is not None:
        return Key(kind, namespace if known.namespaced else "", name)
    return Key(kind, namespace if (namespace, name) in snapshot.table(kind) else "", name)


def require(key: Key, snapshot: Snapshot) -> AnyObject:
    """The object.

    Raises:
        StateError: there is none, in kubectl's words.
    """
    obj = snapshot.get(key)
    if obj is None:
        plural = KINDS[key.kind].plural if key.kind in KINDS else key.kind.lower()
        raise StateError(f'{plural} "{key.name}" not found')
    return obj


def listed(kinds: Sequence[str], snapshot: Snapshot, *, namespace: str | None, selector: str) -> list[AnyObject]:
    """The objects of some kinds, in a namespace (None: all of them), that a label selector matches."""
    wanted = parse_selector(selector) if selector else None
    return [
        obj
        for kind in kinds
        for obj in snapshot.objects(kind)
        if (namespace is None or obj.metadata.namespace in ("", namespace))
        and (wanted is None or wanted.matches(obj.metadata.labels))
    ]
