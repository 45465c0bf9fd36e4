"""A program that writes to a store as fast as it can, and says on stdout what was acknowledged; to be killed.

``python store_writer.py URL NAME WRITERS``: each writer creates keys and counts them, in turns.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading

from state.store import Store, open_store


def write(store: Store, name: str) -> None:
    """Writes without end."""
    counter = f"/count/{name}"
    counted = store.create(counter, b"0")
    for number in itertools.count(1):
        entry = store.create(f"/made/{name}/{number}", b"x" * 500)
        say(f"{entry.key} {entry.revision}")
        counted = store.update(counter, b"%d" % number, counted.revision)
        say(f"{counter} {number}")


def say(line: str) -> None:
    """One line at once, so that lines of several threads don't mix."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    url, run, writers = sys.argv[1:]
    opened = open_store(url)
    for index in range(int(writers)):
        threading.Thread(target=write, args=(opened, f"{run}-{index}")).start()
