"""``reconciler serve`` as a process of its own, to be killed, frozen and started again, and a client of it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import yaml

#: Seconds that anything may take.
PATIENCE = 60.0


class Client:
    """Of a server of plain HTTP on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def log(self) -> str:
        """What there is to know when something goes wrong."""
        return f"no log of the server at port {self.port}"

    def connect(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """A connection of one's own, which goes on after a request."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method: str, path: str, body: Any = None, timeout: float = PATIENCE) -> tuple[int, Any]:
        """Code and document of one request."""
        connection = self.connect(timeout)
        try:
            return ask(connection, method, path, body)
        finally:
            connection.close()

    def wait(self, path: str, check: Any, patience: float = PATIENCE) -> float:
        """Seconds until a document is as wished."""
        began = time.monotonic()
        while True:
            code, found = self.call("GET", path)
            if code == 200 and check(found):
                return time.monotonic() - began
            assert time.monotonic() - began < patience, (code, found, self.log())
            time.sleep(0.05)


class ServeProcess(Client):
    """A server of plain HTTP, until the end of the ``with``. Words are ``serve``'s command line."""

    def __init__(self, folder: Path, *words: str) -> None:
        super().__init__(0)
        self.folder, self.words = folder, words
        #: From the start of the process to the first answer, seconds.
        self.started_in = 0.0
        folder.mkdir(exist_ok=True, parents=True)
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        config = self.folder / "kubeconfig"
        config.unlink(missing_ok=True)
        command = [sys.executable, "-m", "reconciler", "serve", "--http", "--port", "0", "--kubeconfig", str(config)]
        began = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, "-v", *self.words], stdout=subprocess.DEVNULL, stderr=log)
        while not config.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() - began < PATIENCE, self.log()
            time.sleep(0.005)
        self.port = int(yaml.safe_load(config.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2])
        assert self.call("GET", "/api/v1/namespaces/default")[0] == 200
        self.started_in = time.monotonic() - began

    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / "log").read_text()[-4000:]

    def signal(self, number: int) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it with SIGKILL, whatever it is doing."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Asks it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Code and document of one request on a connection that stays open."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": kind})
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if response.headers["content-type"] == "application/json" else text


def deployment(name: str, replicas: int) -> dict[str, Any]:
    """A Deployment of pods that no node is there for."""
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0},
            },
        },
    }
