"""A webhook's server on loopback, over TLS, whose answers tests choose."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reconciler.apiserver.tls import Authority

Json = dict[str, Any]


class Hook:
    """A webhook's server: what it was asked, and what it is to answer."""

    def __init__(self, folder) -> None:
        now = int(time.time() * 1e6)
        self.authority = Authority.create(now)
        self.authority.serving(["127.0.0.1", "hook.default.svc"], now).save(folder, "hook")
        self.asked: list[Json] = []
        self.paths: list[str] = []
        self.answer: Callable[[Json], Any] = lambda _: {"allowed": True}
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.asked.append(review["request"])
                hook.paths.append(self.path)
                response = hook.answer(review["request"])
                if isinstance(response, dict):
                    answer = {**review, "response": {"uid": review["request"]["uid"], **response}}
                    answer.pop("request")
                    code, body = 200, json.dumps(answer).encode()
                else:
                    code, body = response
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Clients may go before they are answered."""

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "hook.crt", folder / "hook.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    @property
    def client(self) -> Json:
        bundle = base64.b64encode(self.authority.pem).decode()
        return {"url": f"https://127.0.0.1:{self.port}/admit", "caBundle": bundle}
