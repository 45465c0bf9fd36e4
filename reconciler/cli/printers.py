"""Objects as text: kubectl's columns on a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.cli.tables import Table
from reconciler.printers import printer_of
from state.objects import AnyObject, kind_key


def object_name(obj: AnyObject) -> str:
    """An object as ``-o name`` prints it: ``pod/web-0``, ``deployment.apps/web``."""
    group = obj.api_version.rpartition("/")[0]
    return f"{obj.kind.lower()}{f'.{group}' if group else ''}/{obj.metadata.name}"


def object_table(
    objects: Sequence[AnyObject], *, now: int, wide: bool = False, namespaces: bool = False, kinds: bool = False
) -> Table:
    """Objects of one kind.

    Args:
        objects: at least one, all of one kind, in the order of the rows.
        now: the time that ages are counted to (µs since the epoch).
        wide: all columns, as ``-o wide``.
        namespaces: a column with the namespace in front, as for ``--all-namespaces``.
        kinds: the kind before the name, as where several kinds are listed.
    """
    printer = printer_of(kind_key(objects[0]))
    shown = [place for place, column in enumerate(printer.all) if wide or not column.is_wide]
    names = printer.headers.index("NAME")
    rows = []
    for obj in objects:
        cells = printer.texts(obj, now)
        if kinds:
            cells[names] = f"{object_name(obj).partition('/')[0]}/{cells[names]}"
        row = tuple(cells[place] for place in shown)
        rows.append((obj.metadata.namespace, *row) if namespaces else row)
    headers = tuple(printer.headers[place] for place in shown)
    return Table(("NAMESPACE", *headers) if namespaces else headers, rows, printer.coloured)


def object_tables(
    objects: Iterable[AnyObject], *, now: int, wide: bool = False, namespaces: bool = False
) -> list[Table]:
    """Objects of any kinds, a table for each kind in order of first appearance; arguments as for ``object_table``."""
    by_kind: dict[str, list[AnyObject]] = {}
    for obj in objects:
        by_kind.setdefault(kind_key(obj), []).append(obj)
    return [
        object_table(group, now=now, wide=wide, namespaces=namespaces, kinds=len(by_kind) > 1)
        for group in by_kind.values()
    ]
