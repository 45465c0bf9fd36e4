"""The userspace network: the conformance suite over real sockets, and what a proxy must do with real connections."""

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from reconciler.drivers.network.base import (
    Backend,
    NetworkError,
    PodRef,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
)
from reconciler.drivers.network.conformance import NetworkConformance
from reconciler.drivers.network.userspace import UserspaceNetwork

#: How long anything may take on a busy machine before a test gives up.
PATIENCE = 20.0
WEB = ServiceKey("default", "web")

_numbers = count(1)


def fresh_ip(second):
    """An address of 127.<second>.0.0/16 that this process uses once, and other test processes don't."""
    number = (os.getpid() * 512 + next(_numbers)) % 62_500
    return f"127.{second}.{number // 250}.{number % 250 + 1}"


def free_port():
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        return sock.getsockname()[1]


def eventually(condition):
    """Waits until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class TcpBackend:
    """A server whose connections are handled by a function in a thread each."""

    def __init__(self, handle, ip=None):
        self.socket = socket.create_server((ip or fresh_ip(98), 0), backlog=1024)
        self.address = Backend(*self.socket.getsockname())
        self._handle = handle
        self.clients = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, client = self.socket.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            self._handle(connection)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def echo(connection):
    """Sends back what comes, until the client has finished."""
    while data := connection.recv(65536):
        connection.sendall(data)


class UdpBackend:
    """A server that answers each datagram with its own address, or echoes."""

    def __init__(self, *, echo=False):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((fresh_ip(98), 0))
        self.socket.settimeout(0.2)
        self.address = Backend(*self.socket.getsockname())
        self._echo = echo
        self.clients = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._closed.is_set():
            try:
                data, client = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            self.clients.add(client)
            self.socket.sendto(data if self._echo else str(self.address).encode(), client)
        self.socket.close()

    def close(self):
        self._closed.set()
        self._thread.join()


class UserspaceHarness:
    def __init__(self, state_dir, **options):
        self.node_ip = fresh_ip(97)
        self._state_dir = state_dir
        self._options = {"node_ips": [self.node_ip], **options}
        self.driver = UserspaceNetwork(state_dir, **self._options)
        self._backends = []

    def virtual_ip(self):
        return fresh_ip(96)

    def port(self):
        return free_port()

    def client_ip(self, number):
        return f"127.95.0.{number}"

    def tcp(self, handle):
        return self._keep(TcpBackend(handle))

    def udp(self, **options):
        return self._keep(UdpBackend(**options))

    def _keep(self, backend):
        self._backends.append(backend)
        return backend

    def backend(self, protocol="TCP"):
        if protocol == "UDP":
            return self.udp().address

        def answer(connection):
            connection.sendall(str(backend.address).encode())

        backend = self.tcp(answer)
        return backend.address

    def connect(self, ip, port, client=None):
        sock = socket.create_connection((ip, port), PATIENCE, (client, 0) if client else None)
        sock.settimeout(PATIENCE)
        return sock

    def ask(self, ip, port, protocol="TCP", client=None):
        if protocol == "TCP":
            with self.connect(ip, port, client) as sock:
                answer = sock.recv(100)
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.connect((ip, port))
                sock.send(b"who?")
                answer = sock.recv(100)
        address, number = answer.decode().split(":")
        return Backend(address, int(number))

    def serve(self, *backends, at=None, protocol="TCP", **options):
        """Applies "default/web" and returns where it is."""
        ip, port = at or (self.virtual_ip(), self.port())
        ports = (ServicePortConfig("http", protocol, port, tuple(backends)),)
        self.driver.apply_service(ServiceConfig(WEB, (ip,), ports, **options))
        return ip, port

    def reopen(self):
        self.driver.close()
        self.driver = UserspaceNetwork(self._state_dir, **self._options)

    def close(self):
        self.driver.close()
        for backend in self._backends:
            backend.close()


@pytest.fixture
def harness(tmp_path):
    harness = UserspaceHarness(tmp_path / "network")
    yield harness
    harness.close()


class TestUserspaceNetwork(NetworkConformance):
    """Real sockets on real loopback addresses."""


def test_connections_of_one_service_take_turns(harness):
    """Round robin: equal shares."""
    backends = [harness.backend() for _ in range(3)]
    ip, port = harness.serve(*backends)
    answers = [harness.ask(ip, port) for _ in range(9)]
    assert answers == backends * 3


def test_half_close_reaches_the_backend_and_its_answer_comes_back(harness):
    """A client that says "that's all" still gets the whole answer, as with ``nc -N``."""

    def count_all(connection):
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(b"%d bytes" % total)

    ip, port = harness.serve(harness.tcp(count_all).address)
    with harness.connect(ip, port) as client:
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == b"300000 bytes"
    eventually(lambda: harness.driver.connections() == 0)


def test_a_backend_that_finishes_first_can_still_be_written_to(harness):
    """Half-close the other way round."""
    received = []

    def finish_first(connection):
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        received.append(connection.makefile("rb").read())

    ip, port = harness.serve(harness.tcp(finish_first).address)
    with harness.connect(ip, port) as client:
        assert client.makefile("rb").read() == b"hello"
        client.sendall(b"goodbye")
    eventually(lambda: received == [b"goodbye"])
    eventually(lambda: harness.driver.connections() == 0)


def test_a_large_transfer_arrives_unchanged_both_ways(harness):
    """Random-looking bytes through many partial writes."""
    ip, port = harness.serve(harness.tcp(echo).address)
    data = os.urandom(1024) * 16_384
    with harness.connect(ip, port) as client:

        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert client.makefile("rb").read() == data
        sender.join()


def test_a_slow_reader_slows_its_sender_down(harness):
    """What is sent and not read stays bounded: kernel buffers and one chunk, not the memory of this process."""
    release = threading.Event()

    def read_late(connection):
        release.wait(PATIENCE)
        echo(connection)

    ip, port = harness.serve(harness.tcp(read_late).address)
    with harness.connect(ip, port) as client:
        client.setblocking(False)
        chunk, sent = b"x" * 1_000_000, 0
        while select.select([], [client], [], 0.5)[1]:
            sent += client.send(chunk)
            assert sent < 60_000_000, "nothing holds the sender back"
        release.set()
        received = 0
        client.setblocking(True)
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(1_000_000):
            received += len(data)
        assert received == sent


def test_established_connections_outlive_their_endpoint_and_their_service(harness):
    """Changes are for new connections; those that exist go on until one side ends them."""
    ip, port = harness.serve(harness.tcp(echo).address)
    other = harness.backend()
    with harness.connect(ip, port) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        for change in (
            lambda: harness.serve(other, at=(ip, port)),
            lambda: harness.serve(at=(ip, port)),
            lambda: harness.driver.remove_service(WEB),
        ):
            change()
            client.sendall(b"still here?")
            assert client.recv(100) == b"still here?"
    with pytest.raises(ConnectionRefusedError):
        harness.connect(ip, port)


def test_a_backend_that_refuses_is_passed_over(harness):
    """An endpoint that died a moment ago costs no connection while others live."""
    dead = Backend(fresh_ip(98), free_port())
    alive = harness.backend()
    ip, port = harness.serve(dead, alive)
    assert {harness.ask(ip, port) for _ in range(6)} == {alive}


def test_a_client_is_reset_when_no_backend_answers(harness):
    """It learns at once, instead of waiting."""
    ip, port = harness.serve(Backend(fresh_ip(98), free_port()))
    with pytest.raises(ConnectionError):
        harness.ask(ip, port)
    eventually(lambda: harness.driver.connections() == 0)


def test_a_backend_that_never_answers_is_given_up(tmp_path):
    """After the connect time the next one is tried."""
    harness = UserspaceHarness(tmp_path / "network", connect_seconds=0.3)
    with socket.socket() as full:
        full.bind((fresh_ip(98), 0))
        full.listen(0)
        waiting = []
        for _ in range(3):  # fill the backlog, so that the kernel drops what comes after
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            waiting.append(sock)
        alive = harness.backend()
        ip, port = harness.serve(Backend(*full.getsockname()), alive)
        try:
            assert harness.ask(ip, port) == alive
        finally:
            for sock in waiting:
                sock.close()
            harness.close()


def test_a_reset_is_passed_on(harness):
    """A backend that breaks the connection breaks the client's."""

    def reset(connection):
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    ip, port = harness.serve(harness.tcp(reset).address)
    with harness.connect(ip, port) as client:
        client.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def test_backends_see_the_clients_address(harness):
    """Where the client has an address of its own, a pod's for example."""
    backend = harness.tcp(echo)
    ip, port = harness.serve(backend.address)
    with harness.connect(ip, port, "127.95.0.7") as client:
        client.sendall(b"x")
        client.recv(1)
    assert [client_ip for client_ip, _ in backend.clients] == ["127.95.0.7"]


def test_a_thousand_connections_at_once(harness):
    """Each gets its own bytes back."""
    ip, port = harness.serve(harness.tcp(lambda connection: connection.sendall(connection.recv(100))).address)
    clients = [harness.connect(ip, port) for _ in range(1000)]
    try:
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        assert [int(client.recv(100)) for client in clients] == list(range(1000))
    finally:
        for client in clients:
            client.close()
    eventually(lambda: harness.driver.connections() == 0)


def test_a_foreign_listener_is_an_error_that_names_service_and_port_and_heals(harness):
    """The port is tried again when the service is applied again."""
    backend = harness.backend()
    ip, port = harness.virtual_ip(), harness.port()
    with socket.create_server((ip, port)):
        message = (
            rf"service default/web: port http \({port}/TCP\) on {ip}:{port}: cannot listen: Address already in use"
        )
        with pytest.raises(NetworkError, match=message):
            harness.serve(backend, at=(ip, port))
        assert harness.driver.observe().services[0].listeners == ()
    harness.serve(backend, at=(ip, port))
    assert harness.ask(ip, port) == backend


LOW_PORT = """
import os, sys
from reconciler.drivers.network.sockets import Binding

os.setuid(65534)
with Binding(sys.argv[1], 80, int(sys.argv[2])).listen(1) as sock:
    print(sock.getsockname()[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user without privileges")
def test_a_low_port_without_privileges_is_served_on_a_higher_one():
    """Or it is an error, where that is not wanted."""
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not start.exists() or int(start.read_text()) <= 80:
        pytest.skip("every user may listen on port 80 here")

    def run(offset):
        command = [sys.executable, "-P", "-c", LOW_PORT, fresh_ip(96), str(offset)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert run(10_000).stdout == "10080\n"
    assert "Permission denied" in run(0).stderr


def test_an_address_of_another_machine_is_refused_by_name(harness):
    """A cluster IP outside of 127.0.0.0/8 can't be bound; the error says what to do."""
    with pytest.raises(
        NetworkError, match=r"192\.0\.2\.1 is not an address of this machine; allocate service addresses"
    ):
        harness.serve(harness.backend(), at=("192.0.2.1", 8080))


def test_external_addresses_elsewhere_are_left_alone(harness):
    """They belong to somebody else; nothing is wrong with the service."""
    ip, port = harness.serve(harness.backend(), external_ips=("192.0.2.1",))
    (status,) = harness.driver.observe().services
    assert [(listener.ip, listener.port) for listener in status.listeners] == [(ip, port)]


def test_udp_answers_come_from_the_service_and_clients_keep_their_backend(harness):
    """One association: the client's datagrams go to one backend, which sees one client."""
    backends = [harness.udp(), harness.udp()]
    ip, port = harness.serve(*(backend.address for backend in backends), protocol="UDP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        answers = set()
        for _ in range(5):
            client.sendto(b"who?", (ip, port))
            answer, sender = client.recvfrom(100)
            assert sender == (ip, port)
            answers.add(answer)
    assert len(answers) == 1
    assert sorted(len(backend.clients) for backend in backends) == [0, 1]


def test_udp_clients_move_when_their_backend_goes(harness):
    """At once, as kube-proxy clears stale entries; the association doesn't have to time out."""
    first, second = harness.udp(), harness.udp()
    ip, port = harness.serve(first.address, protocol="UDP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((ip, port))
        client.send(b"who?")
        assert client.recv(100).decode() == str(first.address)
        harness.serve(second.address, at=(ip, port), protocol="UDP")
        client.send(b"who?")
        assert client.recv(100).decode() == str(second.address)


def test_an_idle_udp_client_is_forgotten(tmp_path):
    """Its next datagram makes a new association; descriptors don't pile up."""
    harness = UserspaceHarness(tmp_path / "network", udp_idle_seconds=0.1)
    backend = harness.udp()
    ip, port = harness.serve(backend.address, protocol="UDP")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect((ip, port))

            def seen_twice():
                client.send(b"who?")
                client.recv(100)
                time.sleep(0.7)
                return len(backend.clients) > 1

            eventually(seen_twice)
    finally:
        harness.close()


def test_large_datagrams_pass(harness):
    """Up to what UDP allows."""
    ip, port = harness.serve(harness.udp(echo=True).address, protocol="UDP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((ip, port))
        for size in (0, 1, 65_507):
            client.send(b"x" * size)
            assert len(client.recv(70_000)) == size


def test_two_drivers_on_one_state_directory_are_refused(harness, tmp_path):
    """They would give one address to two pods."""
    with pytest.raises(NetworkError, match=str(tmp_path / "network")):
        UserspaceNetwork(tmp_path / "network")


def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path):
    """And the state directory is free again after it."""
    network = UserspaceNetwork(tmp_path)
    network.setup_pod(PodRef("uid-1", "default", "web-0"))
    network.close()
    (tmp_path / "pods" / "127.16.0.1").write_text("{")
    for _ in range(2):
        with pytest.raises(NetworkError, match=r"127\.16\.0\.1 is not a pod's address"):
            UserspaceNetwork(tmp_path)


def test_released_addresses_rest_also_after_a_restart(harness):
    """The next pod's address is not that of the last one that ended."""
    harness.driver.setup_pod(PodRef("uid-1", "default", "web-0"))
    released = harness.driver.setup_pod(PodRef("uid-2", "default", "web-1")).ip
    harness.driver.teardown_pod("uid-2")
    harness.reopen()
    assert harness.driver.setup_pod(PodRef("uid-3", "default", "web-2")).ip != released


WORKER = """
import sys
from reconciler.drivers.network.base import PodRef
from reconciler.drivers.network.userspace import UserspaceNetwork

network = UserspaceNetwork(sys.argv[1])
known = len(network.observe().pods)
for number in range(known, known + 1_000_000):
    ip = network.setup_pod(PodRef(f"uid-{number}", "default", "pod")).ip
    sys.stdout.write(f"{number} {ip}\\n")  # at once, or it could be killed within a line
    sys.stdout.flush()
"""


def test_killed_at_any_moment_no_address_is_lost_or_doubled(tmp_path):
    """kill -9 while addresses are given out: every address that was told is remembered."""
    told = {}
    for _ in range(3):
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with worker:
            for line in worker.stdout:
                number, ip = line.split()
                assert told.setdefault(f"uid-{number}", ip) == ip
                if int(number) % 50 == 49:
                    worker.kill()
            worker.wait()
    network = UserspaceNetwork(tmp_path)
    try:
        remembered = {entry.pod.uid: entry.ip for entry in network.observe().pods}
    finally:
        network.close()
    assert told.items() <= remembered.items()
    assert len(set(remembered.values())) == len(remembered)


def test_a_defect_in_the_proxy_is_not_hidden(harness, monkeypatch):
    """If the thread ends by an exception, every later call says so."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def broken(_now):
        raise ZeroDivisionError("a defect")

    harness.driver._loop.sweep_with(broken)
    eventually(lambda: not harness.driver._loop.alive)
    with pytest.raises(NetworkError, match="thread has ended") as caught:
        harness.driver.observe()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [entry.exc_type for entry in seen] == [ZeroDivisionError]
