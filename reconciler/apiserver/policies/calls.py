"""Calls of webhooks over HTTPS: JSON there, JSON back, within a time."""

from __future__ import annotations

import base64
import binascii
import http.client
import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from reconciler.apiserver.storage import Storage
from state.objects import EndpointSlice, Service

Json = dict[str, Any]
#: As much of an answer as is read.
_MOST_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_PORT = 443


class CallError(Exception):
    """A call failed; the text is that of Go's client."""


class _Target(NamedTuple):
    """Where to call: the URL as it is told, where that is, and how to know who is there."""

    url: str
    host: str
    port: int
    server_name: str
    path: str
    bundle: str


class Caller:
    """Calls what ``clientConfig`` s name. Usable from any thread; each call has its own connection."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def call(self, config: Mapping[str, Any], document: Json, seconds: float, *, query: bool = True) -> Json:
        """The answer to a document.

        Raises:
            CallError: there is none in time, or it makes no sense.
        """
        deadline = time.monotonic() + seconds
        target = self._target(config, f"?timeout={seconds:g}s" if query else "")
        connection: http.client.HTTPSConnection | None = None
        try:
            connection = _Connection(target, seconds)
            headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
            connection.request("POST", target.path, orjson.dumps(document), headers)
            response = connection.getresponse()
            body = _read(response, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise CallError(f'failed to call webhook: Post "{target.url}": {_told(error, target)}') from error
        finally:
            if connection is not None:
                connection.close()
        if not 200 <= response.status < 300:
            raise CallError(f"failed to call webhook: {_status(response.status, body)}")
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise CallError(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from error
        if not isinstance(found, dict):
            raise CallError("failed to call webhook: couldn't get version/kind; json parse error: no object")
        return found

    def _target(self, config: Mapping[str, Any], query: str) -> _Target:
        bundle = _bundle(config.get("caBundle"))
        url = config.get("url")
        if url:
            parts = urlsplit(url)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else query)
            host = parts.hostname or ""
            return _Target(f"https://{parts.netloc}{path}", host, parts.port or _PORT, host, path, bundle)
        service: Json = config.get("service") or {}
        namespace, name, port = service.get("namespace", ""), service.get("name", ""), service.get("port") or _PORT
        server = f"{name}.{namespace}.svc"
        path = "/" + (service.get("path") or "").lstrip("/") + query
        url = f"https://{server}:{port}{path}"
        try:
            host, number = self._endpoint(namespace, name, port)
        except CallError as error:
            raise CallError(f'failed to call webhook: Post "{url}": {error}') from error
        return _Target(url, host, number, server, path, bundle)

    def _endpoint(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """A ready endpoint of a Service, for one of its ports."""
        services, slices = (self._storage.registry.of_table(kind) for kind in ("Service", "EndpointSlice"))
        assert services is not None
        assert slices is not None
        stored = self._storage.get(services, namespace, name)
        if stored is None or not isinstance(stored.object, Service):
            raise CallError(f'service "{name}" not found')
        wanted = next((each for each in stored.object.spec.ports if each.port == port), None)
        if wanted is None:
            raise CallError(f'no service port {port} found for service "{name}"')
        for each in self._storage.all(slices, namespace):
            found = each.object
            if isinstance(found, EndpointSlice) and found.metadata.labels.get("kubernetes.io/service-name") == name:
                number = next((each.port for each in found.ports if (each.name or "") == (wanted.name or "")), None)
                ready = (end for end in found.endpoints if end.conditions is None or end.conditions.ready is not False)
                address = next((address for end in ready for address in end.addresses), None)
                if address is not None and number is not None:
                    return address, number
        raise CallError(f'no endpoints available for service "{name}"')


class _Connection(http.client.HTTPSConnection):
    """A connection to somebody whose certificate may have another name than the address has."""

    def __init__(self, target: _Target, seconds: float) -> None:
        self._context_of_target = _context(target.bundle)
        self._server_name = target.server_name
        super().__init__(target.host, target.port, timeout=seconds, context=self._context_of_target)

    def connect(self) -> None:
        """Connects, and checks the certificate."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._context_of_target.wrap_socket(self.sock, server_hostname=self._server_name)


@lru_cache(maxsize=64)
def _context(bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=bundle or None)
    except ssl.SSLError as error:
        raise CallError("could not get REST client: unable to load root certificates") from error


def _bundle(encoded: Any) -> str:
    if not encoded:
        return ""
    try:
        return base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise CallError("could not get REST client: unable to load root certificates") from error


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body; who sends slowly has no more time than others."""
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > _MOST_BYTES:
            raise http.client.HTTPException(f"the answer is longer than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
        chunks.append(chunk)
    return b"".join(chunks)


def _told(error: Exception, target: _Target) -> str:
    """An error in Go's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (62, 64):
            return f"tls: failed to verify certificate: x509: certificate is not valid for {target.server_name}"
        if error.verify_code == 10:
            return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {target.host}:{target.port}: connect: connection refused"
    if isinstance(error, http.client.RemoteDisconnected):
        return "EOF"
    return str(error)


def _status(code: int, body: bytes) -> str:
    """What Kubernetes' client says of an answer that is no success."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict) and found.get("kind") == "Status" and found.get("message"):
        return str(found["message"])
    known = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        403: "unknown",
        404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        500: "an error on the server has prevented the request from succeeding",
        503: "the server is currently unable to handle the request",
    }
    text = body[:2048].decode("utf-8", "replace").strip()
    if code == 500 and text:
        return f'an error on the server ("{text}") has prevented the request from succeeding'
    return known.get(code, f"the server responded with the status code {code} but did not return more information")
