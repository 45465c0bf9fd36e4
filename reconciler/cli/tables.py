"""Tables as kubectl prints them: no lines, columns as wide as their widest cell, nothing cut when the output is piped.

On a terminal one column may be coloured by what its cells say, and the last column is wrapped to the width of the
screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import click

#: Between two columns, as kubectl has it.
_GAP = 3
#: A last column narrower than this is not wrapped; it would be unreadable.
_MIN_WRAPPED = 24
#: What terminals obey is shown, not sent to them; a cell is one line.
_ESCAPES = {
    **{code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F)},
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
    ord("\t"): " ",
    ord("\n"): " ",
}
_WORDS = {
    "green": "Active Available Bound Complete Completed Normal Ready Running Succeeded"
    " bind bind-claim create scheduled",
    "yellow": "ContainerCreating Pending PodInitializing Released SchedulingGated Suspended Terminating Unknown Warning"
    " gated unschedulable update",
    "red": "CrashLoopBackOff ErrImagePull Error Evicted Failed ImagePullBackOff Lost NotReady OOMKilled delete",
    "bright_black": "update-status",
}
#: The colour of a word in the coloured column.
_COLOURS = {word: colour for colour, words in _WORDS.items() for word in words.split()}


@dataclass(frozen=True, slots=True)
class Table:
    """Headers and rows of text. The cells of the column ``coloured`` get the colour of what they say."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    coloured: str = ""


def escape(text: str) -> str:
    """Text on one line without anything that a terminal would obey."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def render(table: Table, *, width: int | None = None, headers: bool = True) -> Iterator[str]:
    """The lines of a table, with colours (``click.echo`` takes them out again where there is no terminal).

    ``width`` is that of the terminal, in characters; None writes the last column out, however long.
    """
    rows = [table.headers] if headers else []
    rows += [tuple(escape(cell) for cell in row) for row in table.rows]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    indent = sum(widths[:-1]) + _GAP * (len(widths) - 1)
    room = None if width is None or width - indent < _MIN_WRAPPED else width - indent
    at = table.headers.index(table.coloured) if table.coloured else -1
    for number, row in enumerate(rows):
        colour = None if at < 0 or (headers and number == 0) else _COLOURS.get(row[at])
        last, *more = [row[-1]] if room is None else textwrap.wrap(row[-1], room, break_on_hyphens=False) or [""]
        cells = [cell.ljust(size + _GAP) for cell, size in zip(row[:-1], widths, strict=False)]
        if colour is not None and at < len(cells):
            cells[at] = click.style(row[at], fg=colour) + cells[at][len(row[at]) :]
        yield ("".join(cells) + last).rstrip()
        yield from (" " * indent + line for line in more)


def echo(lines: Iterable[str]) -> None:
    """Writes lines to stdout at once; nothing for none."""
    text = "\n".join(lines)
    if text:
        click.echo(text)
