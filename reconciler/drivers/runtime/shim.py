"""The supervisor of one container's process: it starts it, keeps its log, ends it on time, and records how it ended.

It is a process of its own, as containerd's shim is, so that containers, their logs and their deadlines outlive the
program that asked for them. It is run as ``python -I -S shim.py DIRECTORY`` and imports nothing of this project. All it
knows and says is files in DIRECTORY (written to a temporary name, then renamed):

* ``container.json`` (read): under "launch" the argv, env, cwd, log, and so on.
* ``lock``: a POSIX lock held for as long as this process lives. Whoever asks the kernel for its holder knows the shim's
  pid, whatever pids were used for since.
* ``started.json``: pid and time. Written before the command runs: it is the proof that this container was started, so
  that no second shim ever starts it again.
* ``stop.json`` (read): the time (CLOCK_MONOTONIC, seconds) by which the container must have ended. A byte in the pipe
  ``control`` rings the bell.
* ``exit.json``: how it ended.

The command leads a session. When it ends, everything it left behind is killed, as when process 1 of a container ends;
this process is a subreaper, so nothing can slip away by double forking. If this process is killed, so is the command.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import sys
import time
from typing import Any

START_ERROR_CODE = 128
#: Longest piece of a line in the log, as containerd cuts them.
MAX_LINE = 16 * 1024
#: How often a second shim tries for the lock before it leaves the container to the first one.
LOCK_TRIES = 50
LOCK_PAUSE = 0.02
#: How long output of an ended container is waited for. All its writers are dead, so this is never reached.
DRAIN_SECONDS = 5.0
_CHUNK = 64 * 1024
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def write_file(path: str, value: dict[str, Any]) -> None:
    """Writes JSON so that it is either there as a whole or not at all, even after a power cut."""
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps(value).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)  # noqa: PTH104  # without pathlib the start takes half the time


def read_file(path: str) -> dict[str, Any] | None:
    """Reads JSON; None if there is no such file."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # without pathlib the start takes half the time
            value: dict[str, Any] = json.load(file)
            return value
    except FileNotFoundError:
        return None


def prctl(option: int, argument: int) -> None:
    """Sets an attribute of this process."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "prctl")


def take_lock(path: str) -> bool:
    """Takes the lock for good. False: another shim has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(LOCK_TRIES):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            time.sleep(LOCK_PAUSE)
        else:
            return True
    return False


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid, its identity."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # as above
        return int(file.read().rpartition(b")")[2].split()[19])


def descendants(pid: int) -> list[int]:
    """The processes below one, parents first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208  # as above
        except FileNotFoundError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{parent}/task/{thread}/children", "rb") as file:  # noqa: PTH123  # as above
                    children = [int(word) for word in file.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += children
            waiting += children
    return found


class Log:
    """A log in CRI's format: time, stream, F (full) or P (part of a line), text. Full files are rotated away."""

    def __init__(self, path: str, max_bytes: int, max_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._file = -1
        self._size = 0
        self._rest: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        #: What went wrong when lines had to be dropped.
        self.error = ""

    def feed(self, stream: str, data: bytes, *, end: bool = False) -> None:
        """Takes what was read from a stream; writes the lines that are complete, at the end also the last one."""
        pieces = (self._rest[stream] + data).split(b"\n")
        rest = pieces.pop()
        stamp = self._stamp(stream)
        out: list[bytes] = []
        for piece in pieces:
            line = piece
            while len(line) > MAX_LINE:
                out.append(stamp + b"P " + line[:MAX_LINE] + b"\n")
                line = line[MAX_LINE:]
            out.append(stamp + b"F " + line + b"\n")
        while len(rest) > MAX_LINE:
            out.append(stamp + b"P " + rest[:MAX_LINE] + b"\n")
            rest = rest[MAX_LINE:]
        if end and rest:
            out.append(stamp + b"F " + rest + b"\n")
            rest = b""
        self._rest[stream] = rest
        for line in out:
            self._write(line)

    @staticmethod
    def _stamp(stream: str) -> bytes:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{moment}.{nanoseconds:09d}Z {stream} ".encode()

    def _write(self, line: bytes) -> None:
        if not self._path:
            return
        try:
            if self._file < 0:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120  # as above
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
                self._size = os.fstat(self._file).st_size
            if self._size and self._size + len(line) > self._max_bytes:
                self._rotate()
            os.write(self._file, line)
            self._size += len(line)
        except (
            OSError
        ) as error:  # the container must not die of a full disk; the exit record says that lines are missing
            self.error = str(error)

    def _rotate(self) -> None:
        os.close(self._file)
        for number in range(self._max_files - 1, 0, -1):
            older = f"{self._path}.{number}"
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.exists(newer):  # noqa: PTH110  # as above
                os.rename(newer, older)  # noqa: PTH104  # as above
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        self._size = 0


class Shim:
    """One container, from its start to its end."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self._launch = launch
        self._log = Log(launch["log"], launch["log_max_bytes"], launch["log_max_files"])
        self._signal = int(launch["stop_signal"])
        self._streams: dict[int, str] = {}
        self._pid = 0
        self._kill_at: float | None = None
        self._status: int | None = None
        self._held: list[int] = []
        self._control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
        self._bell, bell = os.pipe()
        for end in (self._bell, bell):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell)

    def run(self) -> dict[str, Any]:
        """Starts the command and stays until it and all that it started have ended; returns the exit record."""
        error = self._start()
        if error:
            return record(START_ERROR_CODE, "StartError", error)
        self._check_stop()
        while self._status is None:
            self._wait()
        finished_at = time.time_ns() // 1000
        self._clean_up()
        code = os.waitstatus_to_exitcode(self._status)
        code = 128 - code if code < 0 else code
        result = record(code, "Error" if code else "Completed", "", finished_at)
        if self._log.error:
            result["log_error"] = self._log.error
        return result

    # -- start -------------------------------------------------------------------------------------------------------

    def _start(self) -> str:
        launch = self._launch
        out, out_w = os.pipe()
        err, err_w = os.pipe()
        go, go_w = os.pipe()
        outcome, outcome_w = os.pipe()
        stdin, stdin_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(go, outcome_w, (stdin, out_w, err_w), (go_w, stdin_w))
        for end in (out_w, err_w, go, outcome_w, stdin):
            os.close(end)
        if launch["stdin"]:
            self._held.append(stdin_w)  # nobody writes, but reading waits, as on an unattached container
        else:
            os.close(stdin_w)
        self._pid = pid
        write_file("started.json", {"pid": pid, "ticks": start_ticks(pid), "started_at": time.time_ns() // 1000})
        os.write(go_w, b"g")
        os.close(go_w)
        message = b""
        while chunk := os.read(outcome, 4096):
            message += chunk
        os.close(outcome)
        if message:
            os.waitpid(pid, 0)
            os.close(out)
            os.close(err)
            return message.decode()
        for descriptor, name in ((out, "stdout"), (err, "stderr")):
            os.set_blocking(descriptor, False)
            self._streams[descriptor] = name
        return ""

    def _become(self, go: int, outcome: int, standard: tuple[int, int, int], unused: tuple[int, ...]) -> None:
        """In the child: becomes the command, or says why not. Never returns."""
        launch = self._launch
        try:
            for end in unused:
                os.close(end)
            os.setsid()
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.read(go, 1) != b"g":
                os._exit(START_ERROR_CODE)
            signal.set_wakeup_fd(-1)
            for number in (
                signal.SIGCHLD,
                signal.SIGINT,
                signal.SIGHUP,
                signal.SIGTERM,
                signal.SIGPIPE,
                signal.SIGXFSZ,
            ):
                signal.signal(number, signal.SIG_DFL)
            for target, source in enumerate(standard):
                os.dup2(source, target)
            os.chdir(launch["cwd"])
            os.execvpe(launch["argv"][0], launch["argv"], launch["env"])  # noqa: S606  # no shell is wanted
        except OSError as error:
            why = "executable file not found in $PATH" if error.errno == errno.ENOENT else error.strerror
            os.write(outcome, f'exec: "{launch["argv"][0]}": {why}'.encode())
        finally:
            os._exit(START_ERROR_CODE)

    # -- life --------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Waits until something happens, and sees to it."""
        timeout = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
        ready, _, _ = select.select([*self._streams, self._control, self._bell], [], [], timeout)
        for descriptor in ready:
            if descriptor in self._streams:
                self._read(descriptor)
            else:
                os.read(descriptor, _CHUNK)
        if self._control in ready:
            self._check_stop()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_all()
            self._kill_at = time.monotonic() + 1.0
        self._reap()

    def _read(self, descriptor: int) -> bool:
        """Takes over what a stream has now. False at its end."""
        name = self._streams[descriptor]
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self._log.feed(name, data, end=not data)
        if not data:
            os.close(descriptor)
            del self._streams[descriptor]
        return bool(data)

    def _check_stop(self) -> None:
        """Reads whether and by when the container is to end. The first time it gets its stop signal."""
        stop = read_file("stop.json")
        if stop is None:
            return
        if self._kill_at is None:
            signal_group(self._pid, self._signal)
        self._kill_at = float(stop["kill_at"]) if self._kill_at is None else min(self._kill_at, float(stop["kill_at"]))

    def _reap(self) -> bool:
        """Takes note of children that ended. False if there are no more."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._status = status

    def _kill_all(self) -> None:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _clean_up(self) -> None:
        """Kills what the command left behind, and writes the last lines that it wrote."""
        while self._reap():
            self._kill_all()
            time.sleep(0.001)
        end = time.monotonic() + DRAIN_SECONDS
        while self._streams and time.monotonic() < end:
            ready, _, _ = select.select(list(self._streams), [], [], 0.1)
            for descriptor in ready:
                self._read(descriptor)


def signal_group(pid: int, number: int) -> None:
    """Signals the process group of a child. One that is gone is no error; it can't be another's: it isn't reaped
    yet.
    """
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def record(code: int, reason: str, message: str, finished_at: int | None = None) -> dict[str, Any]:
    """What ``exit.json`` holds."""
    return {
        "exit_code": code,
        "reason": reason,
        "message": message,
        "finished_at": time.time_ns() // 1000 if finished_at is None else finished_at,
    }


def main(directory: str) -> int:
    """Runs the container of a directory, unless it was started before."""
    os.chdir(directory)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    if not take_lock("lock"):
        return 0
    if read_file("started.json") is not None or read_file("exit.json") is not None:
        return 0
    container = read_file("container.json")
    assert container is not None, "no container.json"
    if read_file("stop.json") is not None:
        write_file("exit.json", record(START_ERROR_CODE, "StartError", "stopped before it started"))
        return 0
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    write_file("exit.json", Shim(container["launch"]).run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
