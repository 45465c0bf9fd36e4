"""Certificates: an authority of the server's own, its serving certificate, and certificates for clients.

Keys are ECDSA P-256. A client certificate names its user as common name and its groups as organisations, as Kubernetes
reads them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from state.errors import StateError

#: Clocks of clients may be behind by so much.
_SKEW = timedelta(minutes=5)
_AUTHORITY_LIFE, _LEAF_LIFE = timedelta(days=3650), timedelta(days=365)
#: A certificate that is still good for so long is used again.
_RENEW_BEFORE = timedelta(days=30)
_CA, _SERVING = "ca", "serving"


class CertificateError(StateError):
    """Key material on disk can't be used."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the certificate of its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """The key, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def save(self, folder: Path, name: str) -> None:
        """Writes both; nobody but the owner can read the key."""
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / f"{name}.key"
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        (folder / f"{name}.crt").write_bytes(self.certificate_pem)

    @classmethod
    def load(cls, folder: Path, name: str) -> KeyPair | None:
        """Both as they were saved; None if they weren't.

        Raises:
            CertificateError: the files hold something else.
        """
        paths = folder / f"{name}.key", folder / f"{name}.crt"
        if not all(path.exists() for path in paths):
            return None
        try:
            key = serialization.load_pem_private_key(paths[0].read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(paths[1].read_bytes())
        except (ValueError, TypeError) as error:
            raise CertificateError(f"{paths[0]} and {paths[1]} are no key and certificate: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{paths[0]} holds no elliptic curve key")
        return cls(key, certificate)


class Authority:
    """Signs certificates. Time is an argument everywhere (µs since the epoch)."""

    def __init__(self, pair: KeyPair) -> None:
        self.pair = pair

    @classmethod
    def create(cls, now: int) -> Authority:
        """A new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "reconciler-ca")])
        builder = _builder(name, name, key.public_key(), now, _AUTHORITY_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return cls(KeyPair(key, builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())))

    @classmethod
    def kept_in(cls, folder: Path, now: int) -> Authority:
        """The authority of a folder; made if the folder has none.

        Raises:
            CertificateError: the folder holds something else.
        """
        pair = KeyPair.load(folder, _CA)
        if pair is not None:
            return cls(pair)
        made = cls.create(now)
        made.pair.save(folder, _CA)
        return made

    @property
    def pem(self) -> bytes:
        """The certificate that clients trust."""
        return self.pair.certificate_pem

    def client(self, user: str, groups: Sequence[str], now: int) -> KeyPair:
        """A certificate that says who a client is."""
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        return self._leaf(x509.Name(subject), ExtendedKeyUsageOID.CLIENT_AUTH, (), now)

    def serving(self, hosts: Iterable[str], now: int) -> KeyPair:
        """A certificate for the server under names and addresses."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        return self._leaf(subject, ExtendedKeyUsageOID.SERVER_AUTH, tuple(map(_alternative, hosts)), now)

    def _leaf(
        self, subject: x509.Name, use: x509.ObjectIdentifier, names: Sequence[x509.GeneralName], now: int
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.pair.certificate
        builder = _builder(subject, issuer.subject, key.public_key(), now, _LEAF_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
        builder = builder.add_extension(identifier, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return KeyPair(key, builder.sign(self.pair.key, hashes.SHA256()))


def server_context(authority: Authority, folder: Path, hosts: Iterable[str], now: int) -> ssl.SSLContext:
    """The TLS settings of a server: its certificate (kept in a folder), and clients of the authority are recognised.

    A certificate that isn't good (of another authority, expired, for servers) ends the handshake. kube-apiserver lets
    such a client in and answers 401, or goes by its token: ``ssl`` has no way to accept what it can't verify.

    Raises:
        CertificateError: the folder holds something else.
    """
    wanted = tuple(hosts)
    pair = KeyPair.load(folder, _SERVING)
    if pair is None or not _is_good(pair.certificate, authority, wanted, now):
        pair = authority.serving(wanted, now)
        pair.save(folder, _SERVING)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / f"{_SERVING}.crt", folder / f"{_SERVING}.key")
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_good(certificate: x509.Certificate, authority: Authority, hosts: Sequence[str], now: int) -> bool:
    if certificate.not_valid_after_utc - _RENEW_BEFORE < _moment(now):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        certificate.verify_directly_issued_by(authority.pair.certificate)
    except (ValueError, TypeError, InvalidSignature):  # it is of another authority
        return False
    return set(map(_alternative, hosts)) <= set(names)


def _moment(now: int) -> datetime:
    return datetime.fromtimestamp(now // 1_000_000, UTC)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: int, life: timedelta
) -> x509.CertificateBuilder:
    start = _moment(now) - _SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
