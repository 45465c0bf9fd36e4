"""Validation of certificates.k8s.io/v1."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from state import names
from state.errors import quoted
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, items, part, text

_FINAL = ("Approved", "Denied", "Failed")
_ANSWERS = ("Approved", "Denied")
_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_LEGACY = "kubernetes.io/legacy-unknown"
_MIN_SECONDS = 600


def request(found: Report, obj: Json) -> None:
    """CertificateSigningRequest."""
    spec = part(obj, "spec")
    if not b64decode(text(spec, "request")).lstrip().startswith(b"-----BEGIN CERTIFICATE REQUEST-----"):
        message = "PEM block type must be CERTIFICATE REQUEST"
        found.invalid("spec.request", spec.get("request"), message)
    usages = spec.get("usages") or []
    if not usages:
        found.required("spec.usages", "usages must be provided")
    for path, usage in items(spec, "usages", "spec"):
        if usage not in _USAGES:
            found.unsupported(path, usage, _USAGES)
    for index, usage in enumerate(usages):
        if usage in usages[:index]:
            found.duplicate(f"spec.usages[{index}]", usage)
    if text(spec, "signerName") == _LEGACY:
        message = "the legacy signerName is not allowed via this API version"
        found.invalid("spec.signerName", _LEGACY, message)
    else:
        signer_name(found, "spec.signerName", text(spec, "signerName"))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_SECONDS:
        found.invalid("spec.expirationSeconds", seconds, f"may not specify a duration less than {_MIN_SECONDS} seconds")
    _conditions(found, part(obj, "status"))


def signer_name(found: Report, path: str, name: str) -> None:
    """The name of a signer: a domain, and a path of one segment."""
    if not name:
        found.required(path)
        return
    if name.count("/") != 1:
        message = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        found.invalid(path, name, message)
        return
    domain, _, rest = name.partition("/")
    if len(domain) > names.SUBDOMAIN_LENGTH:
        found.too_long(path, names.SUBDOMAIN_LENGTH)
    _labels(found, path, domain, names.dns1123_label)
    if "." not in domain:
        found.invalid(path, domain, "should be a domain with at least two segments separated by dots")
    _labels(found, path, rest, names.dns1123_subdomain)
    longest = 2 * names.SUBDOMAIN_LENGTH + names.LABEL_LENGTH + 2
    if len(name) > longest:
        found.too_long(path, longest)


def _labels(found: Report, path: str, value: str, rule: checks.Rule) -> None:
    """The parts between dots obey a rule; the first that doesn't is told."""
    for label in value.split("."):
        messages = rule(label)
        for message in messages:
            found.invalid(path, value, f"validating label {quoted(label)}: {message}")
        if messages:
            return


def _conditions(found: Report, status: Json) -> None:
    seen: list[str] = []
    for path, condition in items(status, "conditions", "status"):
        kind, value = text(condition, "type"), text(condition, "status")
        if not kind:
            found.required(f"{path}.type")
        allowed = ("True",) if kind in _FINAL else ("False", "True", "Unknown")
        if not value:
            found.required(f"{path}.status")
        elif value not in allowed:
            found.unsupported(f"{path}.status", value, allowed)
        if kind in _ANSWERS and ({*_ANSWERS} - {kind}) & set(seen):
            found.invalid(f"{path}.type", kind, "Approved and Denied conditions are mutually exclusive")
        if kind in seen:
            found.duplicate(f"{path}.type", kind)
        seen.append(kind)


def request_update(found: Report, new: Json, old: Json) -> None:
    """An answer isn't taken back."""
    for kind in _FINAL:
        if len(_of_type(new, kind)) < len(_of_type(old, kind)):
            message = f'updates may not remove a condition of type "{kind}"'
            found.forbidden("status.conditions", message)


def _of_type(obj: Json, kind: str) -> list[Any]:
    return [each for each in part(obj, "status").get("conditions") or () if each.get("type") == kind]
