"""``reconciler serve`` as a process: HTTPS for those who may, a kubeconfig when it is ready, a clean end."""

import base64
import http.client
import json
import signal
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner
from serve_process import Client

from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.rbac import MASTERS
from reconciler.apiserver.server import Server
from reconciler.apiserver.tls import Authority, KeyPair
from reconciler.cli.serve import serve
from state.store.memory import MemoryStore


class Process:
    """A server of its own, and connections to it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, config = folder, folder / "config"
        command = [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--kubeconfig", str(config)]
        command += ["--state-dir", str(folder / "state"), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(600):
            if config.exists() or self.process.poll() is not None:
                break
            time.sleep(0.05)
        assert config.exists(), self.process.communicate()
        self.config: Any = yaml.safe_load(config.read_text())

    @property
    def url(self) -> str:
        return str(self.config["clusters"][0]["cluster"]["server"])

    def get(self, path: str, client: KeyPair | None = None, token: str = "") -> int:
        """The status of a GET, with the authority of the kubeconfig and a client's certificate or token."""
        address = urlsplit(self.url)
        assert address.hostname is not None
        cluster = self.config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        if client is not None:
            client.save(self.folder, "client")
            context.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
        connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self) -> int:
        """Asks it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode


SIGNALLED = """
import signal, sys
from reconciler.cli.serve import _signalled

def send(*_):
    global is_sent
    sys.setprofile(None)
    if not is_sent:
        is_sent = True
        signal.raise_signal(signal.SIGTERM)

def count(*_):
    global seen
    seen += 1
    if seen == number:
        send()

signal.signal(signal.SIGALRM, send)
for number in range(1, 30):
    wait, seen, is_sent = _signalled(), 0, False
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    sys.setprofile(count)
    wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_a_signal_that_comes_in_the_middle_of_beginning_to_wait_ends_the_wait() -> None:
    """Sent at each call in there, or when there are no more."""
    with subprocess.Popen([sys.executable, "-c", SIGNALLED], stderr=subprocess.PIPE) as process:
        try:
            assert (process.wait(60), process.stderr and process.stderr.read()) == (0, b"")
        finally:
            process.kill()


def test_https_for_those_who_may(tmp_path: Path) -> None:
    """The kubeconfig's certificate may everything, a token what its user may, a stranger's certificate nothing."""
    (tmp_path / "tokens").write_text("secret,ann,1,system:masters\n")
    keys = tmp_path / "keys"
    audit = tmp_path / "audit.log"
    tokens = ("--token-auth-file", str(tmp_path / "tokens"), "--audit-log-path", str(audit))
    server = Process(tmp_path, "--certificates", str(keys), *tokens)
    try:
        now = time.time_ns() // 1000
        user = server.config["users"][0]["user"]
        (tmp_path / "admin.crt").write_bytes(base64.b64decode(user["client-certificate-data"]))
        (tmp_path / "admin.key").write_bytes(base64.b64decode(user["client-key-data"]))
        admin = KeyPair.load(tmp_path, "admin")
        assert server.get("/api/v1/secrets", admin) == 200
        assert server.get("/api/v1/secrets", token="secret") == 200
        assert server.get("/api/v1/secrets", token="other") == 401
        assert server.get("/api/v1/secrets") == 403
        assert server.get("/healthz") == 200
        known = Authority.kept_in(keys, now)
        assert server.get("/api/v1/secrets", known.client("bob", [], now)) == 403
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            server.get("/api/v1/secrets", Authority.create(now).client("eve", [MASTERS], now))
        told = [json.loads(line) for line in audit.read_text().splitlines()]
        assert [(line["user"], line["code"]) for line in told if line["resource"] == "secrets"] == [
            ("system:anonymous", 403),
            ("bob", 403),
        ]
    finally:
        assert server.stop() == 0


def test_the_authority_outlives_the_server(tmp_path: Path) -> None:
    """With a folder for its keys, an old kubeconfig is good for a new server."""
    authorities = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        server = Process(tmp_path / str(number), "--certificates", str(tmp_path / "keys"))
        authorities.append(server.config["clusters"][0]["cluster"]["certificate-authority-data"])
        assert server.stop() == 0
    assert authorities[0] == authorities[1]


def test_servers_that_begin_at_once_with_one_folder_have_one_authority(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's keys, and doesn't make others meanwhile."""
    now = time.time_ns() // 1000
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: Security(tmp_path / "keys", now).authority.pem, range(8))
        assert len(set(made)) == 1


def test_plain_http_is_for_loopback_only() -> None:
    """It has to be asked for, and nobody from outside can reach it."""
    result = CliRunner().invoke(serve, ["--http", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "--http is for loopback only" in result.output


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ("10.96.0.0/16,10.97.0.0/16", "expected one range, or one for each of IPv4 and IPv6"),
        ("fd00::/112,", "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_ranges_of_cluster_ips_are_one_of_each_family(ranges: str, problem: str) -> None:
    """What isn't is refused before anything is started."""
    result = CliRunner().invoke(serve, ["--http", "--service-cidr", ranges])
    assert (result.exit_code, problem in result.output) == (2, True), result.output


def test_without_users_it_is_told_what_everybody_did(tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    with MemoryStore() as store, audit.open("w") as file, Server(store, audit=file) as server:
        client = Client(server.port)
        assert client.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}})[0] == 201
        assert client.call("GET", "/api/v1/namespaces/default/configmaps/a")[0] == 200
        assert client.call("DELETE", "/api/v1/namespaces/%2e%2e/configmaps/a")[0] == 404
    first, second = map(json.loads, audit.read_text().splitlines())
    assert (first["user"], first["verb"], first["resource"], first["code"]) == (
        "system:unsecured",
        "create",
        "configmaps",
        201,
    )
    assert (second["verb"], second["code"]) == ("delete", 404)
