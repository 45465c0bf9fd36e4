"""A kubeconfig: what a client needs to know to reach the server and to be recognised."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from reconciler.apiserver.tls import KeyPair

_NAME = "reconciler"


def kubeconfig(
    url: str, *, user: str = "admin", authority: bytes = b"", client: KeyPair | None = None, token: str = ""
) -> dict[str, Any]:
    """The configuration as plain data.

    Args:
        url: where the server is.
        user: the name of the entry, not of the user.
        authority: the certificate (PEM) that its own is signed by; none for plain HTTP.
        client: key and certificate of the user.
        token: a bearer token of the user.
    """
    cluster: dict[str, Any] = {"server": url}
    if authority:
        cluster["certificate-authority-data"] = _base64(authority)
    credentials: dict[str, Any] = {}
    if client is not None:
        credentials["client-certificate-data"] = _base64(client.certificate_pem)
        credentials["client-key-data"] = _base64(client.key_pem)
    if token:
        credentials["token"] = token
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": user}}],
        "current-context": _NAME,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(config: dict[str, Any], path: Path) -> None:
    """Writes a kubeconfig that only its owner can read. Who finds the file finds it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(yaml.safe_dump(config, sort_keys=False))
    unfinished.replace(path)
