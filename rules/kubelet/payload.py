"""The files of volumes that are made of API objects: configMap, secret, downwardAPI, projected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rules.kubelet.environment import ConfigError, HolderT, Tables, contents, field_value, held, resource_value
from state.objects import ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Quantity, Secret, Volume, VolumeProjection
from state.snapshot import Key

DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume."""

    data: bytes
    mode: int = DEFAULT_MODE


def volume_files(
    pod: Pod, volume: Volume, tables: Tables, allocatable: Mapping[str, Quantity] | None = None
) -> dict[str, File] | None:
    """The files of a volume by path, sorted; None if the volume isn't made of API objects.

    Raises:
        ConfigError: an object or key is missing and not optional, or a path leads out of the volume.
    """
    made = _Files(pod, tables, allocatable or {})
    if volume.config_map is not None:
        config = volume.config_map
        made.held(ConfigMap, config.name, config.items, _mode(config.default_mode), optional=config.optional)
    elif volume.secret is not None:
        secret = volume.secret
        made.held(Secret, secret.secret_name, secret.items, _mode(secret.default_mode), optional=secret.optional)
    elif volume.downward_api is not None:
        made.downward(volume.downward_api.items, _mode(volume.downward_api.default_mode))
    elif volume.projected is not None:
        for source in volume.projected.sources:
            made.projection(source, _mode(volume.projected.default_mode))
    else:
        return None
    return dict(sorted(made.files.items()))


def objects_of(pod: Pod) -> list[Key]:
    """The ConfigMaps, Secrets and claims that a pod's volumes are made of: when one changes, the volume does."""
    namespace = pod.metadata.namespace
    found: list[Key] = []
    for volume in pod.spec.volumes:
        if volume.config_map is not None:
            found.append(Key("ConfigMap", namespace, volume.config_map.name or ""))
        if volume.secret is not None:
            found.append(Key("Secret", namespace, volume.secret.secret_name or ""))
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.config_map is not None:
                found.append(Key("ConfigMap", namespace, source.config_map.name or ""))
            if source.secret is not None:
                found.append(Key("Secret", namespace, source.secret.name or ""))
    return found


def _mode(default: int | None) -> int:
    return DEFAULT_MODE if default is None else default


class _Files:
    """Collects files."""

    def __init__(self, pod: Pod, tables: Tables, allocatable: Mapping[str, Quantity]) -> None:
        self._pod = pod
        self._tables = tables
        self._allocatable = allocatable
        self.files: dict[str, File] = {}

    def held(
        self,
        holder: type[HolderT],
        name: str | None,
        items: tuple[KeyToPath, ...],
        mode: int,
        *,
        optional: bool | None,
    ) -> None:
        """The keys of a ConfigMap or Secret, or those that ``items`` names."""
        found = held(self._tables, holder, self._pod.metadata.namespace, name, optional=optional)
        data = {} if found is None else contents(found)
        for item in items or [KeyToPath(key=key, path=key) for key in data]:
            if item.key in data:
                self._add(item.path, data[item.key], mode if item.mode is None else item.mode)
            elif not optional:
                where = Key(holder.kind, self._pod.metadata.namespace, name or "")
                raise ConfigError(f"references non-existent {holder.kind.lower()} key: {item.key}", where)

    def downward(self, items: Iterable[DownwardAPIVolumeFile], mode: int) -> None:
        """Fields of the pod."""
        for item in items:
            if item.field_ref is not None:
                value = field_value(self._pod, item.field_ref)
            elif item.resource_field_ref is not None:
                value = resource_value(self._pod, "", item.resource_field_ref, self._allocatable)
            else:
                raise ConfigError(f"downward API file {item.path} names no field")
            self._add(item.path, value.encode(), mode if item.mode is None else item.mode)

    def projection(self, source: VolumeProjection, mode: int) -> None:
        """One source of a projected volume."""
        if source.config_map is not None:
            config = source.config_map
            self.held(ConfigMap, config.name, config.items, mode, optional=config.optional)
        if source.secret is not None:
            self.held(Secret, source.secret.name, source.secret.items, mode, optional=source.secret.optional)
        if source.downward_api is not None:
            self.downward(source.downward_api.items, mode)
        if source.service_account_token is not None:
            # There is no API server to show a token to; the file is there so that programs that look for it start.
            self._add(source.service_account_token.path, b"", mode)

    def _add(self, path: str, data: bytes, mode: int) -> None:
        parts = path.split("/")
        if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0].startswith(".."):
            raise ConfigError(f"{path!r} is no path within a volume")
        self.files[path] = File(data, mode)
