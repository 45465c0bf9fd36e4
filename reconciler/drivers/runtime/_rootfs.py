"""A container's directory without chroot: where mounts are, and how paths in commands are made to lead there.

The rule, for every mount but one at "/":

* the container's working directory is a fresh directory; a mount at ``/data`` is the symbolic link ``data`` in it, so
  that relative paths work as they do with ``workingDir: /``;
* wherever an absolute path in ``command``, ``args``, an environment variable's value or ``workingDir`` *is* a mount
  path or lies below one, that part is replaced by the host's path. A path begins where no letter, digit or one of ``_ .
  / - $ } ) ~ *`` stands before it, and the mount path must end where a path component ends. So ``--dir=/data``, ``cat
  /data/x`` and ``a:/data`` are replaced; ``/var/data``, ``/database``, ``http://host/data`` and ``$HOME/data`` are not.
  The longest mount path wins;
* other absolute paths are the host's own; a path that a program builds itself (or reads from a file) is not changed;
* nothing keeps a container from writing to a mount that is read-only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from reconciler.drivers.runtime.base import Mount

_NOT_BEFORE = r"(?<![\w./\-$})~*])"
_NOT_AFTER = r"(?![\w.\-])"


class PathMap:
    """Replaces container paths by host paths, as the module says."""

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self._host = {clean(mount.container_path): mount.host_path for mount in mounts}
        self._host.pop("/", None)
        longest_first = sorted(self._host, key=lambda path: (-len(path), path))
        choices = "|".join(re.escape(path) for path in longest_first)
        self._pattern = re.compile(f"{_NOT_BEFORE}(?:{choices}){_NOT_AFTER}") if choices else None

    def rewrite(self, text: str) -> str:
        """The text with mount paths replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._host[found.group()], text)

    def rewrite_all(self, texts: Iterable[str]) -> list[str]:
        """Each text with mount paths replaced."""
        return [self.rewrite(text) for text in texts]


def clean(container_path: str) -> str:
    """A container path in one spelling: absolute, without "..", double or trailing slashes."""
    return os.path.normpath("/" + container_path.lstrip("/"))


def prepare(root: Path, mounts: Sequence[Mount], working_dir: str, paths: PathMap) -> Path:
    """Makes the links and the working directory of a container in the empty directory ``root``; returns the latter.

    A mount below another one has no link of its own, so that nothing is written into a volume; its path is replaced in
    commands as the others are.
    """
    for mount in sorted(mounts, key=lambda mount: clean(mount.container_path)):
        path = clean(mount.container_path)
        link = root / path.lstrip("/")
        if path == "/" or any(parent.is_symlink() for parent in (link, *link.parents) if parent.is_relative_to(root)):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(mount.host_path)
    if not working_dir:
        return root
    wanted = clean(working_dir)
    rewritten = paths.rewrite(wanted)
    directory = Path(rewritten) if rewritten != wanted else root / wanted.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    return directory
