"""``reconciler get``: what to list, and in which form."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from reconciler.cli import exits
from reconciler.cli.cluster import kinds_of, listed, require, targets
from reconciler.cli.printers import object_name, object_table, object_tables
from reconciler.cli.results import show_data, show_names, show_tables
from reconciler.cli.tables import echo, render
from reconciler.live.events import in_order
from state.dump import dump
from state.objects import AnyObject, Event, kind_key
from state.snapshot import Change, Key, Snapshot


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for. ``namespace``: None for all; ``form``: "" for a table."""

    words: Sequence[str]
    namespace: str | None
    selector: str
    form: str
    headers: bool = True

    @property
    def is_named(self) -> bool:
        """Whether objects are named."""
        return len(self.words) > 1 or "/" in self.words[0]

    def objects(self, snapshot: Snapshot) -> list[AnyObject]:
        """The objects, in the order of printing.

        Raises:
            StateError: a type is unknown, or an object that is named doesn't exist.
        """
        if self.is_named:
            return [require(key, snapshot) for key in targets(self.words, self.namespace or "default", snapshot)]
        kinds = kinds_of(self.words[0], snapshot)
        found = listed(kinds, snapshot, namespace=self.namespace, selector=self.selector)
        return [*in_order(obj for obj in found if isinstance(obj, Event))] if kinds == ["Event"] else found


def events_of(key: Key, snapshot: Snapshot) -> list[Event]:
    """The events about an object, the oldest first."""
    about = (key.kind.partition(".")[0], key.namespace, key.name)
    return in_order(
        event
        for event in snapshot.objects("Event")
        if isinstance(event, Event)
        and (event.involved_object.kind, event.involved_object.namespace or "", event.involved_object.name) == about
    )


def show(listing: Listing, snapshot: Snapshot) -> int:
    """Prints the objects."""
    objects = listing.objects(snapshot)
    if listing.form == "name":
        show_names([object_name(obj) for obj in objects])
    elif listing.form in ("json", "yaml"):
        items = [dump(obj) for obj in objects]
        whole = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
        show_data(items[0] if listing.is_named and len(items) == 1 else whole, listing.form)
    elif objects:
        show_tables(
            object_tables(objects, now=_now(), wide=listing.form == "wide", namespaces=listing.namespace is None),
            headers=listing.headers,
        )
    else:
        where = "" if listing.namespace is None else f" in {listing.namespace} namespace"
        click.echo(f"No resources found{where}.", err=True)
    return exits.OK


def follow(listing: Listing, states: Iterator[tuple[Snapshot, Sequence[Change]]]) -> None:
    """Prints the objects, and each again when it changes; one that is deleted is printed once more as it was."""
    snapshot, _ = next(states)
    show(listing, snapshot)
    seen: dict[str, dict[Key, AnyObject]] = {}
    for obj in listing.objects(snapshot):
        seen.setdefault(kind_key(obj), {})[Key.of(obj)] = obj
    for snapshot, changes in states:
        for change in changes:
            now = change.new or change.old
            if now is None or not _is_asked_for(listing, now, snapshot):
                continue
            alike = seen.setdefault(change.key.kind, {})
            alike.pop(change.key, None)
            alike[change.key] = now
            _show_row(listing, list(alike.values()))
            if change.new is None:
                del alike[change.key]


def _show_row(listing: Listing, objects: list[AnyObject]) -> None:
    """Prints the last of some objects of one kind, in columns as wide as all of them need."""
    if listing.form == "name":
        show_names([object_name(objects[-1])])
    elif listing.form in ("json", "yaml"):
        show_data(dump(objects[-1]), listing.form)
    else:
        wide, namespaces = listing.form == "wide", listing.namespace is None
        table = object_table(objects, now=_now(), wide=wide, namespaces=namespaces)
        echo(list(render(table))[-1:])


def _is_asked_for(listing: Listing, obj: AnyObject, snapshot: Snapshot) -> bool:
    if listing.is_named:
        return Key.of(obj) in targets(listing.words, listing.namespace or "default", snapshot)
    kinds = kinds_of(listing.words[0], snapshot)
    alone = Snapshot.of([obj])
    return bool(listed(kinds, alone, namespace=listing.namespace, selector=listing.selector))


def _now() -> int:
    return time.time_ns() // 1_000
