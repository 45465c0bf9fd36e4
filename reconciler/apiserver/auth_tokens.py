"""Bearer tokens: fixed ones from a file, and signed ones for ServiceAccounts (JSON Web Tokens, ES256)."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from reconciler.apiserver.rbac import User
from reconciler.apiserver.tls import CertificateError
from state.errors import StateError
from state.snapshot import Key

ISSUER = "https://kubernetes.default.svc.cluster.local"
#: Who issues the tokens that Secrets hold.
LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount"
#: What tokens may be bound to.
BINDABLE = ("Pod", "Node", "Secret")
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


class Bound(NamedTuple):
    """The object that a token is good as long as: a Pod, Node or Secret of the account's namespace."""

    kind: str
    name: str
    uid: str


class Claims(NamedTuple):
    """What a token says: whose it is, what it is bound to, and its id. One that a Secret holds names that."""

    namespace: str
    name: str
    uid: str
    bound: Bound | None = None
    id: str = ""
    secret: str = ""


class AccountTokens:
    """Issues tokens of ServiceAccounts and reads them. Times are µs since the epoch."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def issue(
        self,
        namespace: str,
        name: str,
        uid: str,
        *,
        audiences: list[str],
        seconds: int,
        now: int,
        bound: Bound | None = None,
    ) -> str:
        """A token that is good for some seconds, and as long as the object that it is bound to."""
        start = now // _SECOND
        about: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
        if bound is not None:
            about[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        return self._signed(
            {
                "aud": audiences or [ISSUER],
                "exp": start + seconds,
                "iat": start,
                "iss": ISSUER,
                "jti": str(uuid4()),
                "kubernetes.io": about,
                "nbf": start,
                "sub": f"system:serviceaccount:{namespace}:{name}",
            }
        )

    def issue_for_secret(self, secret: Key, account: str, uid: str) -> str:
        """A token without an end, for a Secret of type kubernetes.io/service-account-token; the same each time."""
        return self._signed(
            {
                "iss": LEGACY_ISSUER,
                f"{_LEGACY}/namespace": secret.namespace,
                f"{_LEGACY}/secret.name": secret.name,
                f"{_LEGACY}/service-account.name": account,
                f"{_LEGACY}/service-account.uid": uid,
                "sub": f"system:serviceaccount:{secret.namespace}:{account}",
            }
        )

    def _signed(self, claims: Mapping[str, Any]) -> str:
        signed = b".".join((_encoded(orjson.dumps(_HEADER)), _encoded(orjson.dumps(claims))))
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self._key.sign(signed, algorithm))
        return b".".join((signed, _encoded(r.to_bytes(_SIZE) + s.to_bytes(_SIZE)))).decode()

    def claims(self, token: str, now: int, audience: str = ISSUER) -> Claims | None:
        """What a token says; None if it isn't good (any more)."""
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
        if header != _HEADER:
            return None
        if claims["iss"] == LEGACY_ISSUER:
            return _of_secret(claims) if audience == ISSUER else None
        return _of_request(claims) if _is_good(claims, now, audience) else None


def _of_request(claims: Mapping[str, Any]) -> Claims:
    about = claims["kubernetes.io"]
    kind = next((kind for kind in BINDABLE if kind.lower() in about), "")
    bound = Bound(kind, **about[kind.lower()]) if kind else None
    account = about["serviceaccount"]
    return Claims(about["namespace"], account["name"], account["uid"], bound, claims.get("jti", ""))


def _of_secret(claims: Mapping[str, Any]) -> Claims:
    parts = ("namespace", "service-account.name", "service-account.uid", "secret.name")
    namespace, name, uid, secret = (claims[f"{_LEGACY}/{part}"] for part in parts)
    return Claims(namespace, name, uid, secret=secret)


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
    if data.endswith(b"="):
        raise ValueError("tokens have no padding")
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
