"""Validation of what pods read: ConfigMaps, Secrets and ServiceAccounts (v1)."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping

from state import names
from state.objects import ConfigMap, Secret, ServiceAccount
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import object_meta

MAX_SIZE = 1024 * 1024
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
_DIGITS = re.compile("[A-Za-z0-9+/]*")
_FIXED = "field is immutable when `immutable` is set"
#: Keys that a Secret of a type must have.
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_BASIC_AUTH = ("username", "password")


def config_map(found: Report, obj: ConfigMap) -> None:
    """ConfigMap (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    size = 0
    for key, text in sorted(obj.data.items()):
        checks.text(found, f"data[{key}]", key, names.config_map_key)
        if key in obj.binary_data:
            found.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        size += len(text.encode())
    size += _decoded_size(found, "binaryData", obj.binary_data)
    for key in sorted(obj.binary_data):
        checks.text(found, f"binaryData[{key}]", key, names.config_map_key)
    if size > MAX_SIZE:
        found.too_long("[]", MAX_SIZE)


def _decoded_size(found: Report, path: str, given: Mapping[str, str]) -> int:
    """How many bytes are given in base64; what is given otherwise is reported."""
    size = 0
    for key, text in sorted(given.items()):
        bare = text.replace("\r", "").replace("\n", "")
        fault = _base64_fault(bare)
        if fault is not None:
            found.invalid(f"{path}[{key}]", text, f"illegal base64 data at input byte {fault}")
        size += len(bare) // 4 * 3
    return size


def _base64_fault(text: str) -> int | None:
    """Where a text stops being base64, or None if it's base64 throughout."""
    digits = _DIGITS.match(text)
    end = digits.end() if digits is not None else 0
    if end == len(text):
        return None if end % 4 == 0 else end - end % 4
    padded = text[end:] == "=" * (-end % 4) and end % 4 != 1
    return None if padded else end


def secret(found: Report, obj: Secret) -> None:
    """Secret (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    size = _decoded_size(found, "data", obj.data)
    for key in sorted(obj.data):
        checks.text(found, f"data[{key}]", key, names.config_map_key)
    if size > MAX_SIZE:
        found.too_long("data", MAX_SIZE)
    _of_type(found, obj)


def _of_type(found: Report, obj: Secret) -> None:
    kind = obj.type or ""
    for key in _KEYS.get(kind, ()):
        if key not in obj.data or (kind == "kubernetes.io/ssh-auth" and not obj.data[key]):
            found.required(f"data[{key}]")
        elif key.startswith(".docker"):
            _json(found, f"data[{key}]", obj.data[key])
    if kind == "kubernetes.io/service-account-token" and not obj.metadata.annotations.get(_ACCOUNT_ANNOTATION):
        found.required(f"metadata.annotations[{_ACCOUNT_ANNOTATION}]")
    if kind == "kubernetes.io/basic-auth" and not any(key in obj.data for key in _BASIC_AUTH):
        for key in _BASIC_AUTH:
            found.required(f"data[{key}]")


def _json(found: Report, path: str, encoded: str) -> None:
    """The contents are a JSON object; they are secret, so a problem doesn't show them."""
    try:
        valid = isinstance(json.loads(b64decode(encoded)), dict)
    except ValueError:  # neither base64 nor JSON
        valid = False
    if not valid:
        found.invalid(path, "<secret contents redacted>", "must be a JSON object")


def service_account(found: Report, obj: ServiceAccount) -> None:
    """ServiceAccount (v1)."""
    object_meta(found, obj.metadata, namespaced=True)


def config_map_update(found: Report, new: ConfigMap, old: ConfigMap) -> None:
    """A ConfigMap can be fixed for good."""
    if old.immutable:
        _fixed(found, immutable=bool(new.immutable))
        for name, changed in (("data", new.data != old.data), ("binaryData", new.binary_data != old.binary_data)):
            if changed:
                found.forbidden(name, _FIXED)


def secret_update(found: Report, new: Secret, old: Secret) -> None:
    """A Secret keeps its type, and can be fixed for good."""
    checks.immutable(found, "type", new.type, old.type)
    if old.immutable:
        _fixed(found, immutable=bool(new.immutable))
        if new.data != old.data:
            found.forbidden("data", _FIXED)


def _fixed(found: Report, *, immutable: bool) -> None:
    if not immutable:
        found.forbidden("immutable", _FIXED)
