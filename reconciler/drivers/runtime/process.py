"""A runtime without root or images: a container is a group of processes of this machine, started from its command.

What a container is here:

* its ``command`` and ``args``, found in PATH; an image is a name only, unless ``entrypoints`` says what its command is.
  A container without a command can't be started, and says so;
* a session of its own with a working directory of its own, where mounts are symbolic links; paths of mounts in command,
  args and environment are replaced by the host's (the rule is in ``_rootfs.py``). Other paths are the host's;
* the environment that its config gives, PATH, HOME (its directory), HOSTNAME, and POD_IP if the sandbox has an address;
* a log in CRI's format, which is rotated; stop signal, then SIGKILL for all its processes at the deadline.

What it is not: limits of CPU and memory are not enforced (nothing is ever OOMKilled), read-only mounts can be written
to, ``tty`` is ignored, users and security contexts are those of this program.

Each container has a supervisor process (``shim.py``). It outlives this program: kill it at any time, and a new driver
on the same root finds everything as it is. Files under the root are the only truth; this class keeps a cache of them.
"""

# ruff: noqa: D102 - the protocol says what each method does

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.drivers.runtime import _procfs, _rootfs, logs
from reconciler.drivers.runtime._records import Records
from reconciler.drivers.runtime._supervised import TERMINATION_LOG, Supervised, bury
from reconciler.drivers.runtime.base import (
    START_ERROR_CODE,
    ContainerConfig,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    ExecResult,
    LogLine,
    Mount,
    NotFoundError,
    PodSandboxConfig,
    PodSandboxStatus,
    RuntimeDriverError,
)

#: Where commands are looked for if neither the container nor this program's environment says.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: As the kubelet's containerLogMaxSize and containerLogMaxFiles.
LOG_MAX_BYTES = 10 * 1024 * 1024
LOG_MAX_FILES = 5


class ProcessRuntime:
    """See the module. One driver at a time can use a ``root``.

    ``path`` is the PATH of containers that have none of their own; ``entrypoints`` maps images to commands.
    """

    name = "process"

    def __init__(
        self,
        root: Path,
        *,
        path: str = DEFAULT_PATH,
        entrypoints: Mapping[str, Sequence[str]] | None = None,
        log_max_bytes: int = LOG_MAX_BYTES,
        log_max_files: int = LOG_MAX_FILES,
    ) -> None:
        if not _procfs.supported():
            raise RuntimeDriverError("the process runtime needs Linux with /proc")
        self._records = Records(root.absolute())
        self._path = path
        self._entrypoints = dict(entrypoints or {})
        self._log_limits = {"log_max_bytes": log_max_bytes, "log_max_files": log_max_files}
        self._lock = threading.RLock()
        self._sandboxes = {sandbox.id: sandbox for sandbox in self._records.sandboxes()}
        self._changed = {sandbox.config.uid for sandbox in self._sandboxes.values()}
        self._containers: dict[str, Supervised] = {}
        for container_id, value in self._records.containers():
            status = ContainerStatus(id=container_id, state=ContainerState.CREATED, **value["status"])
            self._containers[container_id] = Supervised(self._records.container(container_id), status)

    # -- sandboxes ---------------------------------------------------------------------------------------------------

    def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        with self._lock:
            if config.id not in self._sandboxes:
                self._save(PodSandboxStatus(config.id, config, True, _now()))
            return config.id

    def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """As the protocol says; waits until the processes are gone, which takes no longer than the kernel does."""
        with self._lock:
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox is None or not sandbox.ready:
                return
            mine = [c for c in self._containers.values() if c.status.sandbox_id == sandbox_id]
            for container in mine:
                self.stop_container(container.status.id, 0)
            for container in mine:
                container.wait()
            self._save(replace(sandbox, ready=False))

    def remove_pod_sandbox(self, sandbox_id: str) -> None:
        with self._lock:
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox is None:
                return
            self.stop_pod_sandbox(sandbox_id)
            for container_id in [c.status.id for c in self._containers.values() if c.status.sandbox_id == sandbox_id]:
                self.remove_container(container_id)
            self._records.delete_sandbox(sandbox_id)
            del self._sandboxes[sandbox_id]
            self._changed.add(sandbox.config.uid)

    def list_pod_sandboxes(self, pod_uid: str = "") -> tuple[PodSandboxStatus, ...]:
        with self._lock:
            found = [s for s in self._sandboxes.values() if pod_uid in ("", s.config.uid)]
        return tuple(sorted(found, key=lambda s: (s.created_at, s.config.attempt, s.id)))

    def _save(self, sandbox: PodSandboxStatus) -> None:
        self._records.save_sandbox(sandbox)
        self._sandboxes[sandbox.id] = sandbox
        self._changed.add(sandbox.config.uid)

    # -- images ------------------------------------------------------------------------------------------------------

    def pull_image(self, image: str) -> str:
        """Does nothing: there are no images. The reference is the name."""
        return image

    def image_ref(self, image: str) -> str | None:
        """Every image is at hand, as a name."""
        return image

    # -- containers --------------------------------------------------------------------------------------------------

    def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        with self._lock:
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox is None:
                raise NotFoundError(f"no sandbox {sandbox_id}")
            container_id = config.id(sandbox_id)
            if container_id in self._containers:
                return container_id
            if not sandbox.ready:
                raise RuntimeDriverError(f"sandbox {sandbox_id} is not ready")
            status: dict[str, Any] = {
                "sandbox_id": sandbox_id,
                "pod_uid": sandbox.config.uid,
                "name": config.name,
                "attempt": config.attempt,
                "image": config.image,
                "image_ref": config.image,
                "created_at": _now(),
                "log_path": str(Path(sandbox.config.log_directory) / config.log_path) if config.log_path else "",
                "labels": dict(config.labels),
                "annotations": dict(config.annotations),
            }
            try:
                made = self._records.new_container(container_id)
                launch = self._launch(made, container_id, sandbox.config, config)
                launch["log"] = status["log_path"]
                self._records.keep_container(container_id, {"status": status, "launch": launch})
            except (OSError, ValueError) as error:
                raise RuntimeDriverError(f"container {config.name}: {error}") from error
            self._containers[container_id] = Supervised(
                self._records.container(container_id),
                ContainerStatus(id=container_id, state=ContainerState.CREATED, **status),
            )
            self._changed.add(sandbox.config.uid)
            return container_id

    def _launch(
        self, made: Path, container_id: str, sandbox: PodSandboxConfig, config: ContainerConfig
    ) -> dict[str, Any]:
        """What the shim needs to know; fills the directory ``made``, which is to become the container's."""
        kept = self._records.container(container_id)
        mounts = config.mounts
        if config.termination_message_path:
            (made / TERMINATION_LOG).touch()
            mounts = (*mounts, Mount(str(kept / TERMINATION_LOG), config.termination_message_path))
        paths = _rootfs.PathMap(mounts)
        root = made / "rootfs"
        root.mkdir()
        working_dir = _rootfs.prepare(root, mounts, config.working_dir, paths)
        if working_dir.is_relative_to(made):
            working_dir = kept / working_dir.relative_to(made)
        os.mkfifo(made / "control", 0o600)
        env = {"PATH": self._path, "HOME": str(kept / "rootfs"), "HOSTNAME": sandbox.hostname or sandbox.name}
        if sandbox.ip:
            env["POD_IP"] = sandbox.ip
        env.update((name, paths.rewrite(value)) for name, value in config.env.items())
        env[_procfs.MARKER] = str(kept)
        command = config.command or tuple(self._entrypoints.get(config.image, ()))
        return {
            "argv": paths.rewrite_all((*command, *config.args)) if command else [],
            "env": env,
            "cwd": str(working_dir),
            **self._log_limits,
            "mounts": [[mount.host_path, mount.container_path] for mount in mounts],
            "stdin": config.stdin,
            "stop_signal": signal.Signals[config.stop_signal].value,
        }

    def start_container(self, container_id: str) -> None:
        """As the protocol says; returns when the supervisor is on its way, before the command runs."""
        with self._lock:
            container = self._container(container_id)
            self._refresh(container)
            status = container.status
            if status.state is not ContainerState.CREATED:
                return
            if not container.launch["argv"]:
                msg = f'image "{status.image}" has no command here: the process runtime runs `command`, not images'
                container.end(START_ERROR_CODE, "StartError", msg)
                self._refresh(container)
                raise RuntimeDriverError(msg)
            container.start()

    def stop_container(self, container_id: str, timeout: float) -> None:
        """As the protocol says; the supervisor keeps the deadline, also without this program."""
        with self._lock:
            container = self._containers.get(container_id)
            if container is None:
                return
            self._refresh(container)
            if container.status.state is not ContainerState.EXITED:
                container.stop(timeout)
                self._changed.add(container.status.pod_uid)

    def remove_container(self, container_id: str) -> None:
        with self._lock:
            container = self._containers.get(container_id)
            if container is None:
                return
            self.stop_container(container_id, 0)
            container.wait()
            del self._containers[container_id]
            self._records.delete_container(container_id)
            if container.status.log_path:
                logs.remove(Path(container.status.log_path))
            self._changed.add(container.status.pod_uid)

    def list_containers(self, pod_uid: str = "") -> tuple[ContainerStatus, ...]:
        found = [container.status for container in self._refreshed(pod_uid)]
        return tuple(sorted(found, key=lambda c: (c.created_at, c.attempt, c.id)))

    def changed_pods(self) -> frozenset[str]:
        with self._lock:
            bury()
            self._refreshed("")
            changed = frozenset(self._changed)
            self._changed.clear()
            return changed

    def next_change(self) -> int | None:
        """Nobody knows."""
        return None

    def _container(self, container_id: str) -> Supervised:
        container = self._containers.get(container_id)
        if container is None:
            raise NotFoundError(f"no container {container_id}")
        return container

    def _refresh(self, container: Supervised) -> None:
        if container.refresh():
            self._changed.add(container.status.pod_uid)

    def _refreshed(self, pod_uid: str) -> list[Supervised]:
        """A pod's containers (or all) as they are now."""
        with self._lock:
            found = [c for c in self._containers.values() if pod_uid in ("", c.status.pod_uid)]
            for container in found:
                self._refresh(container)
            return found

    # -- looking inside ------------------------------------------------------------------------------------------------

    def container_stats(self, pod_uid: str = "") -> tuple[ContainerStats, ...]:
        """As the protocol says. Time of processes that ended counts if their parent waited for them."""
        stats = []
        for status in self.list_containers(pod_uid):
            supervisor = self._containers[status.id].supervisor if status.state is ContainerState.RUNNING else 0
            if supervisor:
                stats.append(ContainerStats(status.id, _now(), *_procfs.usage(supervisor)))
        return tuple(stats)

    def logs(self, container_id: str, *, tail: int | None = None, follow: bool = False) -> Iterator[LogLine]:
        container = self._container(container_id)
        if not container.status.log_path:
            return iter(())
        path = Path(container.status.log_path)
        return logs.follow(path, lambda: self._has_exited(container), tail) if follow else logs.read(path, tail)

    def _has_exited(self, container: Supervised) -> bool:
        with self._lock:
            self._refresh(container)
            return container.status.state is ContainerState.EXITED

    def exec_sync(self, container_id: str, command: Sequence[str], timeout: float) -> ExecResult:
        """As the protocol says: with the container's environment and working directory, paths replaced alike."""
        with self._lock:
            container = self._container(container_id)
            self._refresh(container)
            if container.status.state is not ContainerState.RUNNING:
                raise RuntimeDriverError(f"container {container.status.name} is not running")
            launch = container.launch
        paths = _rootfs.PathMap([Mount(host, path) for host, path in launch["mounts"]])
        argv = paths.rewrite_all(command)
        try:
            process = subprocess.Popen(  # noqa: S603  # running what a manifest says is the purpose
                argv,
                env=launch["env"],
                cwd=launch["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeDriverError(f"exec in container {container.status.name}: {error}") from error
        with process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
                timed_out = False
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
                timed_out = True
        code = process.returncode
        return ExecResult(128 - code if code < 0 else code, stdout, stderr, timed_out)

    def close(self) -> None:
        """Lets go of the root. Containers go on."""
        for container in self._containers.values():
            container.leave()
        self._records.close()


def _now() -> int:
    return time.time_ns() // 1000
