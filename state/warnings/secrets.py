"""Warnings about Secrets: a certificate and its key that no server can use, in the words of Go's crypto/tls."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

from state.objects import Secret

_BLOCK = re.compile(rb"-----BEGIN ([^\n-]*)-----\r?\n(?:.*?\n)?-----END \1-----", re.DOTALL)
_CERTIFICATE, _KEY = "CERTIFICATE", "PRIVATE KEY"


def of_secret(obj: Secret) -> Iterator[str]:
    """Secret: of one for TLS, whether its parts are what they should be."""
    if obj.type != "kubernetes.io/tls":
        return
    certificates, keys = (_kinds(obj.data.get(name, "")) for name in ("tls.crt", "tls.key"))
    if _CERTIFICATE not in certificates:
        yield f"tls: {_no_certificate(certificates)}"
    elif not any(kind.endswith(_KEY) for kind in keys):
        yield f"tls: {_no_key(keys)}"


def _kinds(data: str) -> list[str]:
    """The kinds of the PEM blocks in a value of a Secret."""
    return [match.decode(errors="replace") for match in _BLOCK.findall(b64decode(data))]


def _no_certificate(found: list[str]) -> str:
    if not found:
        return "failed to find any PEM data in certificate input"
    if len(found) == 1 and found[0].endswith(_KEY):
        why = "but did find a private key; PEM inputs may have been switched"
        return f"failed to find certificate PEM data in certificate input, {why}"
    skipped = f"after skipping PEM blocks of the following types: [{' '.join(found)}]"
    return f'failed to find "{_CERTIFICATE}" PEM block in certificate input {skipped}'


def _no_key(found: list[str]) -> str:
    if not found:
        return "failed to find any PEM data in key input"
    if found == [_CERTIFICATE]:
        return "found a certificate rather than a key in the PEM for the private key"
    skipped = f"after skipping PEM blocks of the following types: [{' '.join(found)}]"
    return f'failed to find PEM block with type ending in "{_KEY}" in key input {skipped}'
