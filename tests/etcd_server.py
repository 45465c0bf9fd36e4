"""A real etcd for tests: one server on ephemeral ports and a directory of its own, that can be killed and come back."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from state.store import Store, StoreUnavailableError, Tls, open_store

#: Seconds that a start may take.
PATIENCE = 30.0


def _require_etcd() -> None:
    """Skips the test, and says why, where there is no etcd or no client."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed (Debian: apt-get install etcd-server)")
    pytest.importorskip("aetcd", reason="aetcd is not installed (pip install 'reconciler[etcd]')")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class EtcdServer:
    """One member, its own cluster, until the end of the ``with``. Options are etcd's command line; ``tls`` is for its
    clients, where these make it encrypt.

    Skips the test where there is no etcd.
    """

    def __init__(self, directory: Path, *options: str, tls: Tls | None = None) -> None:
        _require_etcd()
        self._directory = directory
        self._tls = tls
        self._options = options
        self._client_port, self._peer_port = _free_ports(2)
        self._process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        """What ``open_store`` takes."""
        return f"etcd://127.0.0.1:{self._client_port}"

    def start(self) -> None:
        """Starts it on the data that there is, and waits until it answers."""
        client = f"http{'' if self._tls is None else 's'}://127.0.0.1:{self._client_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        with (self._directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "etcd",
                    "--name=test",
                    f"--data-dir={self._directory / 'data'}",
                    f"--listen-client-urls={client}",
                    f"--advertise-client-urls={client}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=test={peer}",
                    *self._options,
                ],
                stdout=log,
                stderr=log,
            )
        self.open().close()

    def open(self) -> Store:
        """A store on it; waits until it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return open_store(self.url, tls=self._tls)
            except StoreUnavailableError:
                assert time.monotonic() < deadline, (self._directory / "etcd.log").read_text()[-2000:]
                time.sleep(0.05)

    def make_room(self) -> None:
        """Does what is to be done about a quota that is used up: compact, defragment, disarm."""
        import grpc
        from aetcd import rpc

        with self.open() as store:
            revision = store.revision()
        with grpc.insecure_channel(self.url.removeprefix("etcd://")) as channel:
            rpc.KVStub(channel).Compact(rpc.CompactionRequest(revision=revision, physical=True))
            maintenance = rpc.MaintenanceStub(channel)
            maintenance.Defragment(rpc.DefragmentRequest())
            for raised in maintenance.Alarm(rpc.AlarmRequest(action=rpc.AlarmRequest.GET)).alarms:
                off = rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, memberID=raised.memberID, alarm=raised.alarm)
                maintenance.Alarm(off)

    def signal(self, number: int) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it with SIGKILL, whatever it is doing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()


class EtcdCluster:
    """Three members that are one cluster, until the end of the ``with``; any of them can be killed.

    Skips the test where there is no etcd.
    """

    def __init__(self, directory: Path) -> None:
        _require_etcd()
        ports = _free_ports(6)
        self._clients, self._peers = ports[:3], ports[3:]
        known = ",".join(f"m{number}=http://127.0.0.1:{port}" for number, port in enumerate(self._peers))
        self._processes = [self._member(directory, number, known) for number in range(3)]

    @property
    def url(self) -> str:
        """What ``open_store`` takes."""
        return "etcd://" + ",".join(f"127.0.0.1:{port}" for port in self._clients)

    def _member(self, directory: Path, number: int, known: str) -> subprocess.Popen:
        client, peer = (f"http://127.0.0.1:{ports[number]}" for ports in (self._clients, self._peers))
        command = [
            "etcd",
            f"--name=m{number}",
            f"--data-dir={directory / str(number)}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={known}",
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill_first(self) -> None:
        """Kills the member that clients ask first."""
        self._processes[0].kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
