"""Validation of security contexts, which nothing here interprets and which are therefore opaque."""

from __future__ import annotations

import re
from collections.abc import Mapping

from state import names
from state.objects import Container, EphemeralContainer, Opaque, PodSpec
from state.profiles import (
    APP_ARMOR,
    APP_ARMOR_CONTAINER,
    LOCALHOST,
    LONGEST_PROFILE,
    SECCOMP,
    SECCOMP_CONTAINER,
    SECCOMP_POD,
    Profile,
    containers_of,
    contradiction,
    is_windows,
    part_of,
)
from state.validation import _checks as checks
from state.validation._opaque import Fields
from state.validation._report import Report
from state.validation.windows import windows_options

_INT32_MAX = 2**31 - 1
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}"
_SYSCTL_LENGTH = 253
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


def is_privileged(container: Container | EphemeralContainer) -> bool:
    """Whether a container runs with all the rights of its node."""
    context = None if container.security_context is None else container.security_context.value
    return isinstance(context, dict) and context.get("privileged") is True


def pod_security_context(found: Report, path: str, spec: PodSpec) -> None:
    """The security context of a pod; ``path`` is that of the context."""
    if spec.security_context is None:
        return
    context = Fields(found, path, spec.security_context)
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        _id(found, f"{path}.{name}", context.integer(name))
    for index, group in enumerate(context.integers("supplementalGroups")):
        _id(found, f"{path}.supplementalGroups[{index}]", group)
    if spec.share_process_namespace and spec.host_pid:
        message = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.invalid(f"{path}.shareProcessNamespace", True, message)
    _sysctls(found, context, spec)
    for name, values in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        value = context.text(name)
        if value is not None and value not in values:
            found.unsupported(f"{path}.{name}", value, values)
    _seccomp(found, context)
    windows_options(found, context)
    _app_armor(found, context)


def container_security_context(found: Report, path: str, value: Opaque | None, *, host_users: bool) -> None:
    """The security context of a container."""
    if value is None:
        return
    context = Fields(found, path, value)
    _id(found, f"{path}.runAsUser", context.integer("runAsUser"))
    _id(found, f"{path}.runAsGroup", context.integer("runAsGroup"))
    proc_mount = context.text("procMount")
    if proc_mount is not None and proc_mount not in {"Default", "Unmasked"}:
        found.unsupported(f"{path}.procMount", proc_mount, ("Default", "Unmasked"))
    elif proc_mount == "Unmasked" and host_users:
        found.invalid(f"{path}.procMount", proc_mount, "`hostUsers` must be false to use `Unmasked`")
    _seccomp(found, context)
    capabilities = context.section("capabilities")
    if context.flag("allowPrivilegeEscalation") is False:
        if context.flag("privileged"):
            message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.invalid(path, value, message)
        if capabilities is not None and "CAP_SYS_ADMIN" in capabilities.texts("add"):
            message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.invalid(path, value, message)
    windows_options(found, context)
    _app_armor(found, context)


def _id(found: Report, path: str, number: int | None) -> None:
    if number is not None and not 0 <= number <= _INT32_MAX:
        found.invalid(path, number, names.range_message(0, _INT32_MAX))


def _sysctls(found: Report, context: Fields, spec: PodSpec) -> None:
    seen: set[str] = set()
    for sysctl in context.sections("sysctls"):
        name, path = sysctl.text("name") or "", f"{sysctl.path}.name"
        if not name:
            found.required(path)
        elif len(name) > _SYSCTL_LENGTH or not re.fullmatch(_SYSCTL, name):
            message = f"must have at most {_SYSCTL_LENGTH} characters and match regex ^{_SYSCTL}$"
            found.invalid(path, name, message)
        elif name in seen:
            found.duplicate(path, name)
        dotted = name.replace("/", ".")
        if spec.host_network and dotted.startswith("net."):
            found.invalid(path, name, "may not be specified when 'hostNetwork' is true")
        elif spec.host_ipc and dotted.startswith(_IPC_SYSCTLS):
            found.invalid(path, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp(found: Report, context: Fields) -> None:
    profile = context.section("seccompProfile")
    if profile is None:
        return
    kind, local, path = profile.text("type"), profile.text("localhostProfile"), profile.path
    if not kind:
        found.required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in _PROFILE_TYPES:
        found.unsupported(f"{path}.type", kind, _PROFILE_TYPES)
    if kind == "Localhost":
        if local is None:
            found.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            checks.descending_path(found, f"{path}.localhostProfile", local)
    elif local is not None:
        message = "can only be set when seccomp type is Localhost"
        found.invalid(f"{path}.localhostProfile", {"Type": kind, "LocalhostProfile": local}, message)


def _app_armor(found: Report, context: Fields) -> None:
    profile = context.section("appArmorProfile")
    if profile is None:
        return
    kind, local, path = profile.text("type"), profile.text("localhostProfile"), profile.path
    if not kind:
        found.required(f"{path}.type", "type is required when appArmorProfile is set")
    elif kind not in _PROFILE_TYPES:
        found.unsupported(f"{path}.type", kind, _PROFILE_TYPES)
    elif kind != "Localhost":
        if local is not None:
            found.invalid(f"{path}.localhostProfile", local, "can only be set when AppArmor type is Localhost")
    elif not local:
        found.required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
    elif local != local.strip():
        found.invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace")
    if kind == "Localhost" and local is not None and len(local.encode()) > LONGEST_PROFILE:
        found.too_long(f"{path}.localhostProfile", LONGEST_PROFILE)


def security_annotations(found: Report, path: str, annotations: Mapping[str, str], containers: set[str]) -> None:
    """Profiles in the annotations that were used before there were fields for them."""
    for key, profile in sorted(annotations.items()):
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            if profile.startswith(LOCALHOST):
                checks.descending_path(found, f"{path}.{key}", profile.removeprefix(LOCALHOST))
            elif profile not in {"runtime/default", "docker/default", "unconfined"}:
                found.invalid(f"{path}.{key}", profile, "must be a valid seccomp profile")
        elif key.startswith(APP_ARMOR_CONTAINER):
            container = key.removeprefix(APP_ARMOR_CONTAINER)
            if container not in containers:
                found.invalid(f"{path}[{key}]", container, "container not found")
            if profile not in {"", "runtime/default", "unconfined"} and not profile.startswith(LOCALHOST):
                found.invalid(f"{path}[{key}]", profile, f'invalid AppArmor profile name: "{profile}"')


def profiles_agree(found: Report, path: str, annotations: Mapping[str, str], spec: PodSpec) -> None:
    """Where a new pod names a profile in a field and in an annotation, both say the same; ``path`` is the spec's."""
    own = spec.security_context
    _agrees(found, f"{path}.securityContext", SECCOMP, annotations.get(SECCOMP_POD), part_of(own, SECCOMP))
    containers = list(containers_of(path, spec))
    for where, container in containers:
        annotation = annotations.get(SECCOMP_CONTAINER + container.name)
        profile = part_of(container.security_context, SECCOMP)
        _agrees(found, f"{where}.securityContext", SECCOMP, annotation, profile)
    for where, container in () if is_windows(spec) else containers:
        annotation = annotations.get(APP_ARMOR_CONTAINER + container.name)
        profile = part_of(container.security_context, APP_ARMOR) or part_of(own, APP_ARMOR)
        _agrees(found, f"{where}.securityContext", APP_ARMOR, annotation, profile)


def _agrees(found: Report, path: str, name: str, annotation: str | None, profile: Profile | None) -> None:
    field = "" if annotation is None or profile is None else contradiction(name, annotation, profile)
    if field:
        kind = name.removesuffix("Profile").lower()
        what = "type" if field == "type" else "profile"
        found.forbidden(f"{path}.{name}.{field}", f"{kind} {what} in annotation and field must match")
