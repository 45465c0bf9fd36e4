"""ServiceAccount admission: what a pod gets from its account, secrets for images and a token."""

from __future__ import annotations

from typing import Any

from state.identity import name_suffix
from state.kept import Remembered
from state.objects import (
    ConfigMapProjection,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ObjectFieldSelector,
    PodSpec,
    ProjectedVolumeSource,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
    replace,
)

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS = 3607
_ROOT_CA = "kube-root-ca.crt"
_MODE = 0o644


def no_account(namespace: str, account: str) -> str:
    """Why a pod isn't let in whose account doesn't exist."""
    return f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'


class Accounts:
    """Completes pods by their accounts. Pods that share a spec share the completed one."""

    def __init__(self) -> None:
        #: By the identity of a spec (which is kept, so that no other can have it), with the account that it was for.
        self._known = Remembered[tuple[int, str], tuple[PodSpec, ServiceAccount, PodSpec]]()

    def completed(self, spec: PodSpec, namespace: str, account: ServiceAccount) -> PodSpec:
        """The spec with what the account gives it."""
        known = self._known.get((id(spec), namespace))
        if known is not None and known[1] is account:
            return known[2]
        name = account.metadata.name
        named = replace(spec, service_account_name=name, service_account=name)
        completed = with_account(named, account, f"kube-api-access-{name_suffix(f'{namespace}/{spec!r}')}")
        self._known[id(spec), namespace] = (spec, account, completed)
        return completed


def with_account(spec: PodSpec, account: ServiceAccount, volume: str) -> PodSpec:
    """The pod with what its account gives it: secrets for images, and a token unless one of both doesn't want it."""
    if account.image_pull_secrets and not spec.image_pull_secrets:
        spec = replace(spec, image_pull_secrets=account.image_pull_secrets)
    wanted = spec.automount_service_account_token
    if wanted is None:
        wanted = account.automount_service_account_token
    return spec if wanted is False else with_token(spec, volume)


def with_token(spec: PodSpec, volume: str) -> PodSpec:
    """The pod with a volume of that name that holds its token, mounted wherever nothing else is at its place."""
    mount = VolumeMount(name=volume, read_only=True, mount_path=_TOKEN_PATH)
    changed = False
    lists: dict[str, Any] = {}
    for field in ("init_containers", "containers"):
        containers = []
        for container in getattr(spec, field):
            if any(each.mount_path == _TOKEN_PATH for each in container.volume_mounts):
                containers.append(container)
            else:
                changed = True
                containers.append(replace(container, volume_mounts=(*container.volume_mounts, mount)))
        lists[field] = tuple(containers)
    return replace(spec, **lists, volumes=(*spec.volumes, _token_volume(volume))) if changed else spec


def _token_volume(name: str) -> Volume:
    sources = (
        VolumeProjection(
            service_account_token=ServiceAccountTokenProjection(expiration_seconds=_TOKEN_SECONDS, path="token")
        ),
        VolumeProjection(
            config_map=ConfigMapProjection(name=_ROOT_CA, items=(KeyToPath(key="ca.crt", path="ca.crt"),))
        ),
        VolumeProjection(
            downward_api=DownwardAPIProjection(
                items=(
                    DownwardAPIVolumeFile(
                        path="namespace",
                        field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace"),
                    ),
                )
            )
        ),
    )
    return Volume(name=name, projected=ProjectedVolumeSource(sources=sources, default_mode=_MODE))
