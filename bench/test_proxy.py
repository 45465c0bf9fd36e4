"""How fast the userspace proxy is, beside a direct connection to the same server.

Server and client are processes of their own, the proxy is a thread of this one, which waits meanwhile. ``extra_info``
holds the figures per second and the ratio to the direct connection, measured in the same run.
"""

import subprocess
import sys
import time
from itertools import count

import pytest

from reconciler.drivers.network.base import Backend, ServiceConfig, ServiceKey, ServicePortConfig
from reconciler.drivers.network.userspace import UserspaceNetwork

SERVER = """
import socket, threading

def tcp(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(1) == b"c":
                connection.sendall(b"!")
                continue
            buffer = bytearray(1 << 20)
            while connection.recv_into(buffer):
                pass
            connection.sendall(b"!")

listener = socket.create_server(("127.98.250.1", 0), backlog=4096)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(listener.getsockname())
print(listener.getsockname()[1], flush=True)
threading.Thread(target=tcp, args=(listener,), daemon=True).start()
while True:
    data, client = udp.recvfrom(2048)
    udp.sendto(data, client)
"""

CLIENT = """
import socket, sys

def connections(address, amount, at_once=32):
    for _ in range(0, amount, at_once):
        socks = [socket.create_connection(address) for _ in range(at_once)]
        for sock in socks:
            sock.sendall(b"c")
        for sock in socks:
            assert sock.recv(1) == b"!"
            sock.close()

def mebibytes(address, amount):
    chunk = bytes(1 << 20)
    with socket.create_connection(address) as sock:
        for _ in range(amount):
            sock.sendall(chunk)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"!"

def datagrams(address, amount):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(address)
        for _ in range(amount):
            sock.send(b"x" * 100)
            sock.recv(2048)

for line in sys.stdin:
    kind, ip, port, amount = line.split()
    {"connections": connections, "mebibytes": mebibytes, "datagrams": datagrams}[kind]((ip, int(port)), int(amount))
    print("done", flush=True)
"""


class Worker:
    """A Python process that is spoken to line by line."""

    def __init__(self, script):
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def answer(self):
        """The next line that it writes."""
        return self._process.stdout.readline().strip()

    def run(self, kind, address, amount):
        """Has a client do so much against an address, and waits for the end."""
        self._process.stdin.write(f"{kind} {address[0]} {address[1]} {amount}\n")
        self._process.stdin.flush()
        assert self.answer() == "done"

    def close(self):
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def server():
    worker = Worker(SERVER)
    yield Backend("127.98.250.1", int(worker.answer()))
    worker.close()


@pytest.fixture(scope="module")
def service(server, tmp_path_factory):
    network = UserspaceNetwork(tmp_path_factory.mktemp("network"))
    address = ("127.96.250.1", 8080)
    ports = tuple(ServicePortConfig(name, name, address[1], (server,)) for name in ("TCP", "UDP"))
    network.apply_service(ServiceConfig(ServiceKey("bench", "web"), address[:1], ports))
    yield address
    network.close()


@pytest.mark.parametrize("workload", ["connections-2000", "mebibytes-256", "datagrams-5000"])
def test_proxy(benchmark, server, service, sizes, workload):
    """One client, one backend: through the proxy, and directly."""
    kind, amount = workload.split("-")
    amount = sizes(int(amount))
    client = Worker(CLIENT)

    def seconds(address):
        start = time.perf_counter()
        client.run(kind, address, amount)
        return time.perf_counter() - start

    try:
        direct = min(seconds((server.ip, server.port)) for _ in range(3))
        benchmark.pedantic(client.run, (kind, service, amount), rounds=3, warmup_rounds=1)
    finally:
        client.close()
    proxied = benchmark.stats.stats.min
    benchmark.extra_info[f"{kind}_per_second"] = round(amount / proxied)
    benchmark.extra_info[f"direct_{kind}_per_second"] = round(amount / direct)
    benchmark.extra_info["ratio_to_direct"] = round(direct / proxied, 3)


@pytest.mark.parametrize("services", [1_000])
def test_apply_services(benchmark, sizes, tmp_path, services):
    """Services of two ports and ten endpoints each, programmed one by one."""
    services = sizes(services)
    network = UserspaceNetwork(tmp_path)
    numbers = count()

    def configs():
        base = next(numbers) * services
        for number in range(base, base + services):
            backends = tuple(Backend(f"127.16.{number % 250}.{index}", 8080) for index in range(1, 11))
            ports = tuple(ServicePortConfig(f"p{port}", "TCP", port, backends) for port in (18080, 18443))
            ip = f"127.97.{number // 250}.{number % 250 + 1}"
            yield ServiceConfig(ServiceKey("bench", f"s{number}"), (ip,), ports)

    def apply(wanted):
        for config in wanted:
            network.apply_service(config)

    try:
        benchmark.pedantic(apply, setup=lambda: ((list(configs()),), {}), rounds=3)
        benchmark.extra_info["microseconds_per_service"] = round(benchmark.stats.stats.min / services * 1e6)
    finally:
        network.close()
