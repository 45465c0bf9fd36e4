"""A progress bar on stderr for long work; none where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from state.times import format_duration


@contextmanager
def virtual_time(start: int, end: int | None) -> Iterator[Callable[[int], None] | None]:
    """Shows how far virtual time has come, from ``start`` to ``end`` (µs since the epoch; None: nobody knows).

    Gives what is to be told each time; None if stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and needed on a terminal only
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("simulated +{task.fields[at]}"), BarColumn(), TimeElapsedColumn())
    no_color = True if click.get_current_context().color is False else None
    with Progress(*columns, console=Console(stderr=True, no_color=no_color), transient=True) as bar:
        task = bar.add_task("", total=None if end is None else end - start, at="0s")
        yield lambda now: bar.update(task, completed=now - start, at=format_duration(now - start))
