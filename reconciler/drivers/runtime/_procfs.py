"""What /proc and file locks tell about other processes. Linux only; elsewhere these functions fail when called."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.drivers.runtime.shim import descendants

#: The environment variable that marks every process of a container. Its value is the container's directory: ids are no
#: more unique than pod uids are, and another program's pods may have the same ones.
MARKER = "RECONCILER_CONTAINER"
#: Seconds that killed processes are waited for.
PATIENCE = 5.0
_FLOCK = "@hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid, padding
_NANOSECONDS = 1_000_000_000


def lock_holder(path: Path) -> int:
    """The pid that holds the POSIX lock on a file, by the kernel's word; 0 if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def marked(container: Path) -> Iterator[int]:
    """The processes that carry the mark of a container's directory, wherever they are in the tree."""
    mark = f"{MARKER}={container}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def kill_marked(container: Path) -> None:
    """Kills what is left of a container whose supervisor is gone, and waits until it is dead.

    Some may fork while we look; those are found in the next round. After ``PATIENCE`` nobody waits any
    longer: a process can be held up in the kernel for long, but it will not run on.
    """
    end = time.monotonic() + PATIENCE
    while (found := list(marked(container))) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def usage(supervisor: int) -> tuple[int, int, int]:
    """Processor time (ns), memory in RAM (bytes) and number of the processes below a supervisor."""
    ticks = pages = count = 0
    for pid in descendants(supervisor):
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:  # ended meanwhile
            continue
        # After the name: utime 11, stime 12, and those of children that were waited for, 13 and 14; resident pages 21.
        ticks += sum(int(field) for field in fields[11:15])
        pages += int(fields[21])
        count += 1
    return ticks * _NANOSECONDS // os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"), count


def supported() -> bool:
    """Whether this machine can run the process runtime."""
    return sys.platform == "linux" and Path("/proc/self/stat").exists()
