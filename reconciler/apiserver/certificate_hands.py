"""The hands of ``rules.certificates``: what a request asks for, a certificate of the server's own authority, and who
has which rights about one.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.rbac import MASTERS, Attributes, User
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError, forbidden
from reconciler.apiserver.tls import Authority
from rules.certificates import CLIENT, KIND, Request, requested_by, with_times
from state.objects import AnyObject, CustomObject, kind_key

_GROUP, _RESOURCE = "certificates.k8s.io", "certificatesigningrequests"
#: Certificates are good from a little before they are made; those that last no longer than this aren't shortened by it.
_SKEW, _SHORT = timedelta(minutes=5), timedelta(hours=8)
_PURPOSES = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}
_KINDS_OF_NAMES: tuple[type[x509.GeneralName], ...] = (
    x509.DNSName,
    x509.RFC822Name,
    x509.IPAddress,
    x509.UniformResourceIdentifier,
)
#: The kinds of keys that certificates are made for.
_KEYS = (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)
_CACHE_SIZE = 256

Allows = Callable[[User, Attributes], bool]


class SigningHands:
    """Signs with the key of ``authority``; ``allows`` knows who may do what."""

    def __init__(self, authority: Authority, allows: Allows) -> None:
        self._authority, self._allows = authority, allows

    def read(self, request: str) -> Request | None:
        """As ``rules.certificates.Hands``."""
        return _read(request)

    def sign(self, request: str, usages: Sequence[str], seconds: int, now: int) -> bytes:
        """As ``rules.certificates.Hands``. The subject, its other names and the key are those of the request."""
        asked = _parsed(request)
        assert asked is not None, "only what could be read is signed"
        issuer = self._authority.pair.certificate
        moment, life = datetime.fromtimestamp(now // 1_000_000, UTC), timedelta(seconds=seconds)
        begin = moment - _SKEW
        end = (moment if life <= _SHORT else begin) + life
        key = asked.public_key()
        assert isinstance(key, _KEYS), "only what could be read is signed"
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(issuer.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(min(end, issuer.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([_PURPOSES[use] for use in usages if use in _PURPOSES]), critical=False
            )
        )
        usage = _key_usage(usages)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
        builder = builder.add_extension(identifier, critical=False)
        names = _names(asked)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._authority.pair.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def ends(self, certificate: str) -> int | None:
        """As ``rules.certificates.Hands``."""
        try:
            found = x509.load_pem_x509_certificate(b64decode(certificate))
        except (ValueError, binascii.Error):
            return None
        return int(found.not_valid_after_utc.timestamp()) * 1_000_000

    def allows(self, spec: Mapping[str, Any], subresource: str) -> bool:
        """As ``rules.certificates.Hands``."""
        extra = tuple((key, tuple(values)) for key, values in sorted((spec.get("extra") or {}).items()))
        asker = User(str(spec.get("username", "")), tuple(spec.get("groups") or ()), str(spec.get("uid", "")), extra)
        wanted = Attributes("create", _GROUP, "*", _RESOURCE, subresource)
        return self._allows(asker, wanted)


# -- who may do what about a request -----------------------------------------------------------------------------------


def check(place: Place, new: AnyObject, old: AnyObject | None, user: User, allows: Allows) -> None:
    """As the admission plug-ins CertificateSubjectRestriction, CertificateApproval and CertificateSigning: nobody gets
    into ``system:masters`` by a certificate, and who approves or signs for a signer must be let do that.

    Raises:
        ApiError: the user may not.
    """
    if kind_key(new) != KIND or not isinstance(new, CustomObject):
        return
    if old is None:
        _check_subject(place, new)
        return
    assert isinstance(old, CustomObject)
    verb = {"approval": "approve", "status": "sign"}.get(place.subresource)
    if verb is None or (verb == "sign" and _signature(new) == _signature(old)):
        return
    signer = str((old.body.value.get("spec") or {}).get("signerName", ""))
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if allows(user, Attributes(verb, _GROUP, "*", "signers", name=name)):
            return
    raise _refusal(place, new, f'user not permitted to {verb} requests with signerName "{signer}"')


def _check_subject(place: Place, new: CustomObject) -> None:
    spec = new.body.value.get("spec") or {}
    if not isinstance(spec, dict) or spec.get("signerName") != CLIENT:
        return
    request = _read(str(spec.get("request", "")))
    if request is not None and MASTERS in request.organizations:
        raise _refusal(place, new, f"use of {CLIENT} signer with {MASTERS} group is not allowed")


def _refusal(place: Place, obj: CustomObject, why: str) -> ApiError:
    return forbidden(place.resource.plural, place.resource.group, place.name or obj.metadata.name, why)


def _signature(obj: CustomObject) -> tuple[object, bool]:
    """The certificate of a request, and whether there will be none."""
    status = obj.body.value.get("status") or {}
    return status.get("certificate"), any(each.get("type") == "Failed" for each in status.get("conditions") or ())


def prepared(new: AnyObject, old: AnyObject | None, options: WriteOptions, now: int) -> AnyObject:
    """A request as it is stored: a new one says who sent it, one that was answered says when. Others are left alone."""
    if kind_key(new) != KIND or not isinstance(new, CustomObject):
        return new
    if isinstance(old, CustomObject):
        return with_times(new, old, now)
    user = options.user
    if user is None:
        return requested_by(new, {})
    extra = {key: list(values) for key, values in user.extra}
    return requested_by(new, {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra})


# -- reading -----------------------------------------------------------------------------------------------------------


def _parsed(request: str) -> x509.CertificateSigningRequest | None:
    try:
        found = x509.load_pem_x509_csr(b64decode(request))
        return found if isinstance(found.public_key(), _KEYS) and found.is_signature_valid else None
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None


@lru_cache(_CACHE_SIZE)
def _read(request: str) -> Request | None:
    found = _parsed(request)
    if found is None:
        return None
    names = _names(found)
    texts = [tuple(str(name.value) for name in names if isinstance(name, kind)) for kind in _KINDS_OF_NAMES]
    subject = found.subject
    common = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = tuple(str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return Request(common[-1] if common else "", organizations, *texts)


def _names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [name for name in extension.value if isinstance(name, _KINDS_OF_NAMES)]


def _key_usage(usages: Sequence[str]) -> x509.KeyUsage | None:
    """What the key may be used for; None if nothing is said about it, which leaves all open."""
    signs, enciphers = ("digital signature" in usages), ("key encipherment" in usages)
    if not (signs or enciphers):
        return None
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
