"""Results on stdout: tables as wide as the terminal, JSON and YAML."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson
import yaml

from reconciler.cli.tables import Table, echo, render

#: No line is folded, however long.
_WIDTH = 2**31 - 1


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes every value where it belongs, never as an alias of an equal one elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def show_tables(tables: Iterable[Table], *, headers: bool = True) -> None:
    """Tables with rows, one under the other, with an empty line between two."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    first = True
    for table in tables:
        if table.rows:
            if not first:
                click.echo()
            echo(render(table, width=width, headers=headers))
            first = False


def show_data(data: Any, form: str) -> None:
    """Plain data as ``json`` or ``yaml``; equal data gives equal bytes."""
    if form == "json":
        click.echo(orjson.dumps(data, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    else:
        click.echo(yaml.dump(data, Dumper=_Dumper, allow_unicode=True, width=_WIDTH), nl=False)


def show_names(names: Sequence[str]) -> None:
    """One name a line, each once, in order of first appearance."""
    echo(dict.fromkeys(names))
