"""Warnings about files of one volume that are in each other's way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from state.errors import quoted
from state.objects import DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection


def of_overlaps(volumes: Iterable[Volume]) -> Iterator[str]:
    """Of files with the same path, or one below another."""
    for volume in volumes:
        head = f"volume {quoted(volume.name)}"
        for source, paths in _plain(volume):
            yield from _overlaps(f"{head} ({source})", [("", path) for path in paths])
        if volume.projected is None:
            continue
        files: list[tuple[str, str]] = []
        for projection in volume.projected.sources:
            if projection == VolumeProjection():
                yield f"{head} (Projected) has no sources provided"
                continue
            source, paths = _projected(projection)
            files += [(f" ({source})", path) for path in paths]
        yield from _overlaps(f"{head} (Projected)", files)


def _plain(volume: Volume) -> Iterator[tuple[str, list[str]]]:
    if volume.config_map is not None:
        yield f"ConfigMap {quoted(volume.config_map.name or '')}", _paths(volume.config_map.items)
    if volume.secret is not None:
        yield f"Secret {quoted(volume.secret.secret_name or '')}", _paths(volume.secret.items)
    if volume.downward_api is not None:
        yield "DownwardAPI", _paths(volume.downward_api.items)


def _projected(projection: VolumeProjection) -> tuple[str, list[str]]:
    """What a source of a projected volume is called, and the files that it brings."""
    if projection.config_map is not None and projection.config_map.items:
        return f"ConfigMap {quoted(projection.config_map.name or '')}", _paths(projection.config_map.items)
    if projection.secret is not None and projection.secret.items:
        return f"Secret {quoted(projection.secret.name or '')}", _paths(projection.secret.items)
    if projection.downward_api is not None and projection.downward_api.items:
        return "DownwardAPI", _paths(projection.downward_api.items)
    if projection.service_account_token is not None:
        return "ServiceAccountToken", [projection.service_account_token.path]
    bundle = projection.cluster_trust_bundle
    if bundle is not None:
        return f"ClusterTrustBundle {quoted(bundle.name or bundle.signer_name or '')}", [bundle.path]
    return "", []


def _paths(items: Iterable[KeyToPath | DownwardAPIVolumeFile]) -> list[str]:
    return [item.path for item in items]


def _overlaps(volume: str, files: list[tuple[str, str]]) -> Iterator[str]:
    """Each file, given with its source, against all before it."""
    trimmed = [(source, path.rstrip("/")) for source, path in files]
    for index, (source, path) in enumerate(trimmed):
        for other_source, other in trimmed[:index]:
            if path and other and (f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")):
                yield f"{volume}: overlapping paths: {quoted(path)}{source} with {quoted(other)}{other_source}"
