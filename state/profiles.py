"""Security profiles of pods: seccomp's and AppArmor's, as fields and as the annotations from before there were fields.

The API server writes AppArmor annotations over into fields and refuses pods in which the two contradict each other;
seccomp annotations have no effect, but may not contradict the fields either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from state.objects import Container, EphemeralContainer, Opaque, PodSpec

SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
#: What annotations about a container begin with; its name follows.
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR_CONTAINER = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP, APP_ARMOR = "seccompProfile", "appArmorProfile"
LOCALHOST = "localhost/"
#: In bytes: the longest path that Linux takes.
LONGEST_PROFILE = 4095
_RUNTIME_DEFAULT, _UNCONFINED = "runtime/default", "unconfined"
_APP_ARMOR_VALUES = {"RuntimeDefault": (_RUNTIME_DEFAULT,), "Unconfined": (_UNCONFINED,)}
_SECCOMP_VALUES = {**_APP_ARMOR_VALUES, "RuntimeDefault": (_RUNTIME_DEFAULT, "docker/default")}

AnyContainer = Container | EphemeralContainer
Profile = Mapping[str, Any]


def containers_of(path: str, spec: PodSpec) -> Iterator[tuple[str, AnyContainer]]:
    """The containers of a pod of every sort, each with its path, in the order of VisitContainersWithPath."""
    every: tuple[tuple[str, tuple[AnyContainer, ...]], ...] = (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )
    for name, containers in every:
        for index, container in enumerate(containers):
            yield f"{path}.{name}[{index}]", container


def part_of(context: Opaque | None, name: str) -> Profile | None:
    """The part of a security context that has that name, such as the profile ``SECCOMP`` or ``APP_ARMOR``."""
    values = None if context is None else context.value
    profile = values.get(name) if isinstance(values, dict) else None
    return profile if isinstance(profile, dict) else None


def is_windows(spec: PodSpec) -> bool:
    """Whether a pod says that it is for Windows, where there is no AppArmor."""
    return spec.os is not None and isinstance(spec.os.value, dict) and spec.os.value.get("name") == "windows"


def app_armor_profile(annotation: str) -> Profile | None:
    """The field that says the same as an AppArmor annotation; None if none could."""
    for kind, values in _APP_ARMOR_VALUES.items():
        if annotation in values:
            return {"type": kind}
    name = annotation.removeprefix(LOCALHOST)
    if name in {annotation, ""} or name != name.strip() or len(name.encode()) > LONGEST_PROFILE:
        return None
    return {"type": "Localhost", "localhostProfile": name}


def contradiction(name: str, annotation: str, profile: Profile) -> str:
    """The field of a profile that says something else than the annotation: "type", "localhostProfile", or "" if none.

    A profile of no known type contradicts nothing: it is refused for that.
    """
    kind = profile.get("type")
    if kind == "Localhost":
        if not annotation.startswith(LOCALHOST):
            return "type"
        same = annotation.removeprefix(LOCALHOST) == profile.get("localhostProfile")
        return "" if same else "localhostProfile"
    values = (_SECCOMP_VALUES if name == SECCOMP else _APP_ARMOR_VALUES).get(str(kind))
    return "" if values is None or annotation in values else "type"
