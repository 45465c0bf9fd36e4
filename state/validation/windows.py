"""Validation of what a security context says about containers of Windows."""

from __future__ import annotations

import re

from state import names
from state.validation import _checks as checks
from state.validation._opaque import Fields
from state.validation._report import Report

_KIB = 64
_USER_LENGTH, _DOMAIN_LENGTH = 104, 256
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NET_BIOS = re.compile(r"""[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}""")
_DNS_DOMAIN = re.compile(r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(\.[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])*")
_USER_MAY_NOT_HAVE = re.compile(r"""["/\\:;|=,+*?<>@\[\]]""")


def windows_options(found: Report, context: Fields) -> None:
    """The options for Windows of a pod or a container."""
    options = context.section("windowsOptions")
    if options is None:
        return
    name, credentials, user = (
        options.text(field) for field in ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName")
    )
    if name is not None:
        checks.text(found, f"{options.path}.gmsaCredentialSpecName", name, names.dns1123_subdomain)
    path = f"{options.path}.gmsaCredentialSpec"
    if credentials == "":
        found.invalid(path, "", "gmsaCredentialSpec cannot be an empty string")
    elif credentials is not None and len(credentials.encode()) > _KIB * 1024:
        found.invalid(path, credentials, f"gmsaCredentialSpec size must be under {_KIB} KiB")
    if user is not None:
        for message in _user_messages(user):
            found.invalid(f"{options.path}.runAsUserName", user, message)


def _user_messages(name: str) -> list[str]:
    """What is wrong with the name of a user, with or without a domain."""
    if not name:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(name):
        return ["runAsUserName cannot contain control characters"]
    if name.count("\\") > 1:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, slash, user = name.rpartition("\\")
    messages = []
    if len(domain) >= _DOMAIN_LENGTH:
        messages.append(f"runAsUserName's Domain length must be under {_DOMAIN_LENGTH} characters")
    if slash and not (_NET_BIOS.fullmatch(domain) or _DNS_DOMAIN.fullmatch(domain)):
        messages.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        messages.append("runAsUserName's User cannot be empty")
    elif len(user) > _USER_LENGTH:
        messages.append(f"runAsUserName's User length must not be longer than {_USER_LENGTH} characters")
    if user and not user.strip(". "):
        messages.append("runAsUserName's User cannot contain only periods or spaces")
    if _USER_MAY_NOT_HAVE.search(user):
        forbidden = r'"/\:;|=,+*?<>@[]'
        messages.append(f"runAsUserName's User cannot contain the following characters: {forbidden}")
    return messages
