"""A pod's volumes on its node: what the kubelet makes itself, and what a storage driver gives.

emptyDir, configMap, secret, downwardAPI, projected and hostPath are made here; claims and CSI PersistentVolumes come
from the storage driver. Everything can be repeated: a volume that is there stays as it is, and files of API objects are
replaced only if they changed, all at once, as the kubelet's atomic writer does.
"""

# ruff: noqa: D102 - the protocol says what each method does

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from reconciler.drivers.files import remove_tree
from reconciler.drivers.storage.base import StorageDriver, StorageError
from rules.kubelet.environment import ConfigError, Tables
from rules.kubelet.payload import File, volume_files
from state.objects import PersistentVolume, PersistentVolumeClaim, Pod, Quantity, Volume
from state.snapshot import Key


class MountError(Exception):
    """A volume can't be mounted. ``missing`` is the object to wait for, None if trying again may help."""

    def __init__(self, volume: str, message: str, missing: Key | None = None) -> None:
        super().__init__(message)
        self.volume = volume
        self.missing = missing


class VolumeHost(Protocol):
    """Where the volumes that the kubelet makes itself are."""

    def empty_dir(self, pod_uid: str, name: str) -> str:
        """A directory that lives as long as the pod; returns its path."""

    def write(self, pod_uid: str, name: str, files: Mapping[str, File]) -> str:
        """A directory that holds exactly these files; returns its path."""

    def host_path(self, path: str, kind: str) -> str:
        """A path of the host, checked against the ``type`` of a hostPath volume.

        Raises:
            OSError: it isn't there, or is something else.
        """

    def subdirectory(self, volume: str, path: str) -> str:
        """A path within a volume (subPath), made if it isn't there.

        Raises:
            OSError: it leads out of the volume.
        """

    def remove(self, pod_uid: str) -> None:
        """Removes what ``empty_dir`` and ``write`` made for a pod."""

    def pods(self) -> list[str]:
        """The uids of the pods for which something was made and not removed."""


class PodVolumes:
    """Mounts and unmounts the volumes of pods on one node."""

    def __init__(self, host: VolumeHost, storage: StorageDriver | None) -> None:
        self._host = host
        self._storage = storage

    def mount(self, pod: Pod, tables: Tables, allocatable: Mapping[str, Quantity] | None = None) -> dict[str, str]:
        """The host paths of a pod's volumes by name; mounts what isn't.

        Raises:
            MountError: at the first volume that can't be mounted.
        """
        return {volume.name: self._mount(pod, volume, tables, allocatable) for volume in pod.spec.volumes}

    def _mount(self, pod: Pod, volume: Volume, tables: Tables, allocatable: Mapping[str, Quantity] | None) -> str:
        uid = pod.metadata.uid
        try:
            files = volume_files(pod, volume, tables, allocatable)
            if files is not None:
                return self._host.write(uid, volume.name, files)
            if volume.empty_dir is not None:
                return self._host.empty_dir(uid, volume.name)
            if volume.host_path is not None:
                return self._host.host_path(volume.host_path.path, volume.host_path.type or "")
            if volume.persistent_volume_claim is not None:
                source = volume.persistent_volume_claim
                return self._claim(pod, volume.name, source.claim_name, tables, read_only=bool(source.read_only))
            if volume.ephemeral is not None:
                return self._claim(pod, volume.name, f"{pod.metadata.name}-{volume.name}", tables, read_only=False)
        except ConfigError as error:
            raise MountError(volume.name, str(error), error.key) from error
        except (OSError, StorageError) as error:
            raise MountError(volume.name, str(error)) from error
        raise MountError(volume.name, "no volume plugin matched: this type of volume is not supported here")

    def _claim(self, pod: Pod, volume: str, claim_name: str, tables: Tables, *, read_only: bool) -> str:
        namespace = pod.metadata.namespace
        key = Key("PersistentVolumeClaim", namespace, claim_name)
        claim = tables(key.kind).get(key.ns_name)
        if not isinstance(claim, PersistentVolumeClaim):
            raise MountError(volume, f'persistentvolumeclaim "{claim_name}" not found', key)
        if claim.status.phase != "Bound" or not claim.spec.volume_name:
            raise MountError(volume, f"error processing PVC {namespace}/{claim_name}: PVC is not bound", key)
        volume_key = Key("PersistentVolume", "", claim.spec.volume_name)
        found = tables(volume_key.kind).get(volume_key.ns_name)
        if not isinstance(found, PersistentVolume):
            raise MountError(volume, f'persistentvolume "{claim.spec.volume_name}" not found', volume_key)
        return self._persistent(pod, volume, found, read_only=read_only)

    def _persistent(self, pod: Pod, volume: str, found: PersistentVolume, *, read_only: bool) -> str:
        spec = found.spec
        if spec.host_path is not None:
            return self._host.host_path(spec.host_path.path, spec.host_path.type or "DirectoryOrCreate")
        if spec.local is not None:
            return self._host.host_path(spec.local.path, "Directory")
        if spec.csi is None or self._storage is None:
            raise MountError(volume, f'no driver here serves persistentvolume "{found.metadata.name}"')
        handle, node = spec.csi.volume_handle, pod.spec.node_name or ""
        read_only = read_only or bool(spec.csi.read_only)
        self._storage.controller_publish(handle, node, read_only=read_only)
        self._storage.node_stage(handle, node)
        return self._storage.node_publish(handle, node, pod.metadata.uid, volume, read_only=read_only)

    def path_in(self, volume: str, sub_path: str) -> str:
        """The host path of a ``subPath``.

        Raises:
            OSError: it leads out of the volume.
        """
        return self._host.subdirectory(volume, sub_path)

    def unpublish(self, pod_uid: str) -> None:
        """Gives back what the storage driver gave to a pod; the last pod of a node detaches the volume.

        Raises:
            StorageError: the driver couldn't.
        """
        if self._storage is None:
            return
        for volume in self._storage.list_volumes():
            mine = [publication for publication in volume.publications if publication.pod_uid == pod_uid]
            for publication in mine:
                self._storage.node_unpublish(volume.handle, pod_uid, publication.name)
            others = {publication.node for publication in volume.publications if publication.pod_uid != pod_uid}
            for node in sorted({publication.node for publication in mine} - others):
                self._storage.node_unstage(volume.handle, node)
                self._storage.controller_unpublish(volume.handle, node)

    def pods(self, node: str) -> set[str]:
        """The uids of the pods that have volumes on a node ("": on any)."""
        found = set(self._host.pods())
        for volume in self._storage.list_volumes() if self._storage is not None else ():
            found.update(p.pod_uid for p in volume.publications if node in ("", p.node))
        return found

    def remove(self, pod_uid: str) -> None:
        """Removes the volumes that live as long as their pod."""
        self._host.remove(pod_uid)


class DirectoryHost:
    """Volumes as directories: ``ROOT/<pod uid>/<volume>``."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def _path(self, pod_uid: str, name: str) -> Path:
        for part in (pod_uid, name):
            if not part or part in (".", "..") or "/" in part or "\0" in part:
                raise OSError(f"{part!r} can't be a directory's name")
        return self._root / pod_uid / name

    def empty_dir(self, pod_uid: str, name: str) -> str:
        path = self._path(pod_uid, name)
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def write(self, pod_uid: str, name: str, files: Mapping[str, File]) -> str:
        """As the protocol says. ``..data`` is a link to the current files; it is replaced in one step."""
        path = self._path(pod_uid, name)
        path.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:20]
        current = path / f"..{digest}"
        data = path / "..data"
        if data.is_symlink() and data.readlink() == Path(current.name):
            return str(path)
        if current.exists():
            remove_tree(current)
        for name_in, file in files.items():
            target = current / name_in
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
            target.chmod(file.mode)
        current.mkdir(exist_ok=True)
        _link(data, current.name)
        top = {name_in.split("/", 1)[0] for name_in in files}
        for first in sorted(top):
            if not (path / first).is_symlink():
                _link(path / first, f"..data/{first}")
        for entry in sorted(path.iterdir()):
            if entry.name in (data.name, current.name) or entry.name in top:
                continue
            if entry.is_symlink():
                entry.unlink()
            else:
                remove_tree(entry)
        return str(path)

    def host_path(self, path: str, kind: str) -> str:
        where = Path(path)
        if kind == "DirectoryOrCreate":
            where.mkdir(parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            where.touch()
        checks = {
            "Directory": where.is_dir,
            "DirectoryOrCreate": where.is_dir,
            "File": where.is_file,
            "FileOrCreate": where.is_file,
            "Socket": where.is_socket,
            "CharDevice": where.is_char_device,
            "BlockDevice": where.is_block_device,
        }
        if kind in checks and not checks[kind]():
            raise OSError(f"hostPath type check failed: {path} is not a {_in_words(kind)}")
        return path

    def subdirectory(self, volume: str, path: str) -> str:
        """As the protocol says; links that lead out are refused, too."""
        root = Path(volume).resolve()
        target = Path(volume) / path
        if not target.resolve().is_relative_to(root):
            raise OSError(f"subPath {path!r} leads out of the volume")
        if not target.exists():
            target.mkdir(parents=True)
        return str(target)

    def remove(self, pod_uid: str) -> None:
        remove_tree(self._path(pod_uid, "any").parent)

    def pods(self) -> list[str]:
        return sorted(entry.name for entry in self._root.iterdir()) if self._root.is_dir() else []


def _in_words(kind: str) -> str:
    words = {"CharDevice": "character device", "BlockDevice": "block device"}
    return words.get(kind, kind.removesuffix("OrCreate").lower())


def _link(path: Path, target: str) -> None:
    """Makes or replaces a symbolic link in one step."""
    new = path.with_name(f"..{path.name.lstrip('.')}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, path)  # noqa: PTH105  # Path.replace, named for what matters here: it is atomic


class VirtualHost:
    """Volumes without a disk, for simulations: paths that nobody opens."""

    def empty_dir(self, pod_uid: str, name: str) -> str:
        return f"/volumes/{pod_uid}/{name}"

    def write(self, pod_uid: str, name: str, files: Mapping[str, File]) -> str:
        del files
        return f"/volumes/{pod_uid}/{name}"

    def host_path(self, path: str, kind: str) -> str:
        """As the protocol says: every path is there and of the right kind."""
        del kind
        return path

    def subdirectory(self, volume: str, path: str) -> str:
        return f"{volume}/{path}"

    def remove(self, pod_uid: str) -> None:
        """Nothing is there."""

    def pods(self) -> list[str]:
        """Nothing is made."""
        return []
