"""Validation of what a pod says of its operating system: options of Windows, and what only one of them has."""

from __future__ import annotations

import re

from state import names
from state.objects import Opaque, PodSpec
from state.profiles import containers_of, part_of
from state.validation import _checks as checks
from state.validation._opaque import Fields
from state.validation._report import Report

_KIB = 64
_USER_LENGTH, _DOMAIN_LENGTH = 104, 256
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NET_BIOS = re.compile(r"""[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}""")
_DNS_DOMAIN = re.compile(r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(\.[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])*")
_USER_MAY_NOT_HAVE = re.compile(r"""["/\\:;|=,+*?<>@\[\]]""")

#: What only Linux knows, in the API server's order: of a pod, and of a container's security context.
_OF_LINUX_PODS = (
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
)
_OF_LINUX_CONTAINERS = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)

_NO_OPTIONS = "windows options cannot be set for a linux pod"
#: What a pod of a system may not have, nor its containers, and what is said of it.
_OTHER = {
    "linux": (
        ("securityContext.windowsOptions",),
        ("windowsOptions",),
        "windows options cannot be set for a linux pod",
    ),
    "windows": (_OF_LINUX_PODS, _OF_LINUX_CONTAINERS, "cannot be set for a windows pod"),
}


def operating_system(found: Report, path: str, spec: PodSpec) -> None:
    """The operating system of a pod, if it is said, is one of the two, and fits what else is said."""
    if spec.os is None:
        return
    system = Fields(found, f"{path}.os", spec.os).text("name")
    if not system:
        found.required(f"{path}.os.name", "cannot be empty")
    elif system not in {"linux", "windows"}:
        found.unsupported(f"{path}.os", system, ("linux", "windows"))
    else:
        _of_the_other(found, path, spec, system)


def _of_the_other(found: Report, path: str, spec: PodSpec, system: str) -> None:
    """What only the other operating system has isn't given."""
    of_pod, of_containers, message = _OTHER[system]
    context = {} if spec.security_context is None else spec.security_context.value
    own = {
        "hostUsers": spec.host_users,
        "hostPID": spec.host_pid or None,
        "hostIPC": spec.host_ipc or None,
        "shareProcessNamespace": spec.share_process_namespace,
    }
    given = {**own, **{f"securityContext.{name}": value for name, value in context.items()}}
    for name in of_pod:
        if given.get(name) not in (None, []):
            found.forbidden(f"{path}.{name}", message)
    for where, container in containers_of(path, spec):
        value = {} if container.security_context is None else container.security_context.value
        for name in of_containers:
            if value.get(name) is not None:
                found.forbidden(f"{where}.securityContext.{name}", message)


def host_process(found: Report, path: str, spec: PodSpec) -> None:
    """Containers that are processes of a Windows node: all of a pod's or none, and on the node's network."""
    own = _host_process_in(spec.security_context)
    processes = []
    for where, container in containers_of(path, spec):
        said = _host_process_in(container.security_context)
        if own is not None and said is not None and own is not said:
            message = f"pod hostProcess value must be identical if both are specified, was {str(own).lower()}"
            found.invalid(f"{where}.securityContext.windowsOptions.hostProcess", said, message)
        processes.append(own if said is None else said)
    if not any(processes):
        return
    if not all(processes):
        message = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        found.invalid(path, "", message)
    if not spec.host_network:
        message = "hostNetwork must be true if pod contains any hostProcess containers"
        found.invalid(f"{path}.hostNetwork", False, message)


def _host_process_in(context: Opaque | None) -> bool | None:
    options = part_of(context, "windowsOptions")
    said = None if options is None else options.get("hostProcess")
    return said if isinstance(said, bool) else None


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
