"""The other end of the socket; and where nobody answers, the state that the last reconciler left behind."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Self

from reconciler.live.directory import StateDirectory
from reconciler.live.protocol import Message, ProtocolError, receive, send
from state.convert import PodSpecs
from state.errors import StateError
from state.load import load_strictly
from state.objects import AnyObject
from state.snapshot import Change, Key, Snapshot
from state.store.layout import ROOT, decode
from state.store.sqlite_file import read_file


class NotRunningError(StateError):
    """No reconciler runs with the state directory."""


class Client:
    """A connection to the reconciler that runs with a state directory.

    Raises:
        NotRunningError: none does.
    """

    def __init__(self, directory: StateDirectory) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with directory.socket_address() as address:
                self._socket.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self._socket.close()
            msg = f"no reconciler runs with the state directory {directory.path}; start one with: reconciler up -f FILE"
            raise NotRunningError(msg) from error
        self._stream = self._socket.makefile("rwb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up."""
        with contextlib.suppress(ConnectionError):  # what wasn't sent yet
            self._stream.close()
        self._socket.close()

    def ask(self, message: Message) -> Message:
        """Says something and hears the answer.

        Raises:
            StateError: the reconciler can't do it, or has gone.
        """
        try:
            send(self._stream, message)
            answer = receive(self._stream)
        except ConnectionError:
            answer = None
        if answer is None:
            raise ProtocolError("the reconciler has gone")
        if not answer.get("ok"):
            raise StateError(str(answer.get("error")))
        return answer

    def state(self, kinds: Sequence[str] | None = None) -> Snapshot:
        """The objects of some kinds, or all."""
        return _snapshot(self.ask({"verb": "state", "kinds": kinds}))

    def watch(self, kinds: Sequence[str] | None = None) -> Iterator[tuple[Snapshot, Sequence[Change]]]:
        """The objects as they are, then what they become and by which changes; ends when the reconciler does."""
        snapshot = _snapshot(self.ask({"verb": "watch", "kinds": kinds}))
        yield snapshot, ()
        while (news := receive(self._stream)) is not None:
            changes = [_change(snapshot, Key.of(obj), obj) for obj in load_strictly(news["put"])]
            changes += [_change(snapshot, Key(*key), None) for key in news["gone"]]
            snapshot = snapshot.apply(changes)
            yield snapshot, changes


def stored(directory: StateDirectory) -> Snapshot:
    """The state that a reconciler left in its directory.

    Raises:
        NotRunningError: none ever ran there, or one that has its state elsewhere.
        StateError: it can't be read.
    """
    if not directory.exists():
        msg = f"there is no state directory {directory.path}; start a reconciler with: reconciler up -f FILE"
        raise NotRunningError(msg)
    if not directory.store.exists():
        msg = f"no reconciler runs with the state directory {directory.path}, and its state is in another store"
        raise NotRunningError(msg)
    page = read_file(str(directory.store))
    specs = PodSpecs()
    entries = (entry for entry in page.entries if entry.key.startswith(ROOT))
    return Snapshot.of((decode(entry.value, entry.revision, specs) for entry in entries), page.revision)


def _snapshot(answer: Message) -> Snapshot:
    return Snapshot.of(load_strictly(answer["objects"]), answer["revision"])


def _change(snapshot: Snapshot, key: Key, new: AnyObject | None) -> Change:
    return Change(key, snapshot.get(key), new)
