"""A client of a secured application, without sockets, for tests about who may do what."""

import asyncio
import json
from pathlib import Path
from typing import Any, TextIO

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.auth_tokens import FixedTokens
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.connections import PEER
from reconciler.apiserver.http import Application
from reconciler.apiserver.rbac import MASTERS, User
from state.store.memory import MemoryStore

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Clock:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self) -> int:
        return self.now


class Client:
    """Sends requests through the middleware, without sockets."""

    def __init__(self, folder: Path, audit: TextIO | None = None) -> None:
        self.clock = Clock()
        tokens = FixedTokens({"bobs": User("bob", ("dev",)), "eves": User("eve"), "roots": User("root", (MASTERS,))})
        self.api = Api(MemoryStore(), clock=self.clock, fields=ManagedFields())
        bootstrap(self.api)
        self.app = Security(folder, NOW, tokens=tokens, audit=audit).wrap(Application(self.api))

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str = "", peer: Any = None, **headers: str
    ) -> tuple[int, Any]:
        return asyncio.run(self._send(method, path, body, token, peer, headers))

    async def _send(
        self, method: str, path: str, body: Any, token: str, peer: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "state": {PEER: peer},
            "client": ("127.0.0.1", 1),
        }
        messages: list[Any] = []

        async def receive() -> Any:
            data = b"" if body is None else json.dumps(body).encode()
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in messages[1:])
        try:
            return messages[0]["status"], json.loads(text)
        except json.JSONDecodeError:
            return messages[0]["status"], text.decode()


def grant(client: Client, rules: list[dict[str, Any]], namespace: str = "", user: str = "bob", name: str = "r") -> None:
    """Lets a user do what rules say, in a namespace or everywhere."""
    kind = "Role" if namespace else "ClusterRole"
    base = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
    role = {"metadata": {"name": name}, "rules": rules}
    assert client("POST", f"{base}/{kind.lower()}s", role, token="roots")[0] == 201
    binding = {
        "metadata": {"name": name},
        "roleRef": {"kind": kind, "name": name},
        "subjects": [{"kind": "User", "name": user}],
    }
    assert client("POST", f"{base}/{kind.lower()}bindings", binding, token="roots")[0] == 201
