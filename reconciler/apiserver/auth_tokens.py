"""Bearer tokens: fixed ones from a file, and signed ones for ServiceAccounts (JSON Web Tokens, ES256)."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from reconciler.apiserver.rbac import User
from reconciler.apiserver.tls import CertificateError
from state.errors import StateError

ISSUER = "https://kubernetes.default.svc.cluster.local"
_SIZE = 32
_SECOND = 1_000_000
_ACCOUNTS = "system:serviceaccounts"
_HEADER = {"alg": "ES256", "typ": "JWT"}


class TokenFileError(StateError):
    """A file of tokens can't be read."""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class FixedTokens:
    """Tokens that don't change. Only their digests are kept; looking one up takes no longer the more of it is right."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = {_digest(token): user for token, user in users.items()}

    @classmethod
    def read(cls, path: Path) -> FixedTokens:
        """Tokens of a file as kube-apiserver's ``--token-auth-file``: ``token,user,uid,"group1,group2"`` a line.

        Raises:
            TokenFileError: it isn't one.
        """
        users = {}
        try:
            with path.open(newline="") as file:
                for number, row in enumerate(csv.reader(file), start=1):
                    if not row or row[0].startswith("#"):
                        continue
                    if len(row) < 3 or not row[0] or not row[1]:
                        raise TokenFileError(
                            f"{path}:{number}: expected token,user,uid[,groups], found {len(row)} columns"
                        )
                    groups = tuple(filter(None, row[3].split(","))) if len(row) > 3 else ()
                    users[row[0]] = User(row[1], groups, row[2])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise TokenFileError(f"{path} can't be read: {error}") from error
        return cls(users)

    def user(self, token: str) -> User | None:
        """Whose token it is."""
        return self._users.get(_digest(token))


def signing_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The key of a folder that tokens are signed with; made if the folder has none.

    Raises:
        CertificateError: the folder holds something else.
    """
    path = folder / "sa.key"
    if path.exists():
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise CertificateError(f"{path} holds no key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{path} holds no elliptic curve key")
        return key
    made = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def account_user(namespace: str, name: str, uid: str) -> User:
    """A ServiceAccount as a user."""
    return User(f"system:serviceaccount:{namespace}:{name}", (_ACCOUNTS, f"{_ACCOUNTS}:{namespace}"), uid)


class AccountTokens:
    """Issues tokens of ServiceAccounts and reads them. Times are µs since the epoch."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def issue(self, namespace: str, name: str, uid: str, *, audiences: list[str], seconds: int, now: int) -> str:
        """A token that is good for some seconds."""
        start = now // _SECOND
        claims = {
            "aud": audiences or [ISSUER],
            "exp": start + seconds,
            "iat": start,
            "iss": ISSUER,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
            "nbf": start,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        signed = b".".join((_encoded(orjson.dumps(_HEADER)), _encoded(orjson.dumps(claims))))
        r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return b".".join((signed, _encoded(r.to_bytes(_SIZE) + s.to_bytes(_SIZE)))).decode()

    def claims(self, token: str, now: int, audience: str = ISSUER) -> tuple[str, str, str] | None:
        """Namespace, name and uid of the ServiceAccount that a token is of; None if it isn't good (any more)."""
        parts = token.encode("utf-8", "replace").split(b".")
        if len(parts) != 3:
            return None
        try:
            header, claims = (orjson.loads(_decoded(part)) for part in parts[:2])
            signature = _decoded(parts[2])
            pair = (int.from_bytes(signature[:_SIZE]), int.from_bytes(signature[_SIZE:]))
            signed = b".".join(parts[:2])
            self._key.public_key().verify(encode_dss_signature(*pair), signed, ec.ECDSA(hashes.SHA256()))
        except (ValueError, binascii.Error, InvalidSignature):
            return None
        if header != _HEADER or not _is_good(claims, now, audience):
            return None
        account = claims["kubernetes.io"]["serviceaccount"]
        return claims["kubernetes.io"]["namespace"], account["name"], account["uid"]


def _is_good(claims: Mapping[str, Any], now: int, audience: str) -> bool:
    """Whether claims, which nobody but this server has signed, are for here and now."""
    return (
        claims["iss"] == ISSUER
        and audience in claims["aud"]
        and claims["nbf"] * _SECOND <= now < claims["exp"] * _SECOND
    )


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
