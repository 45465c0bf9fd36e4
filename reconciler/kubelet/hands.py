"""The kubelet's hands: each operation that the rules ask for, done with the drivers, and what came of it remembered.

Every operation may be repeated: drivers are idempotent. One that fails says so in an event and is tried again later.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.drivers.network.base import NetworkDriver, NetworkError, PodRef
from reconciler.drivers.runtime.base import RuntimeDriver, RuntimeDriverError
from reconciler.drivers.storage.base import StorageError
from reconciler.kubelet import tasks
from reconciler.kubelet.configs import container_config, sandbox_config
from reconciler.kubelet.objects import World
from reconciler.kubelet.tasks import Task
from reconciler.kubelet.workers import Workers
from reconciler.volumes import MountError, PodVolumes
from rules.actions import Event
from rules.kubelet import outcomes, records
from rules.kubelet.environment import ConfigError, environment
from rules.kubelet.pods import pod_event
from rules.kubelet.records import RETRY, Operation, PodView
from state.objects import Container, HostIP, Pod, PodIP, replace
from state.snapshot import Key


@dataclass(slots=True)
class Report:
    """What came of an operation. ``missing`` is the object to wait for; ``retry_at`` is when to try again."""

    events: list[Event]
    missing: Key | None = None
    retry_at: int | None = None


class Hands:
    """Carries operations out."""

    def __init__(
        self,
        runtime: RuntimeDriver,
        network: NetworkDriver | None,
        volumes: PodVolumes,
        workers: Workers,
        log_root: str,
    ) -> None:
        self._runtime = runtime
        self._network = network
        self._volumes = volumes
        self._workers = workers
        self._log_root = log_root
        #: The host paths of the volumes of pods that were started.
        self._mounted: dict[str, dict[str, str]] = {}

    def execute(self, view: PodView, operation: Operation, world: World) -> Report:
        """Does it. An error of a driver is in the report; any other is a fault of this program and is raised."""
        try:
            return self._do(view, operation, world) or Report([])
        except (RuntimeDriverError, NetworkError, StorageError, OSError) as error:
            text = f"{operation.verb}: {error}"
            return Report([pod_event(view, "FailedSync", text, warning=True)], retry_at=world.now + RETRY)

    def _do(self, view: PodView, operation: Operation, world: World) -> Report | None:
        """Does it; None is a report of nothing."""
        match operation:
            case records.StartPod():
                return self._start_pod(view, operation, world)
            case records.RunContainer():
                return self._run_container(view, operation, world)
            case records.PullImage():
                uid, doing = view.pod.metadata.uid, tasks.Pull(operation.image)
                self._workers.start(Task(uid, operation.container, "", "pull", doing, attempt=operation.attempt))
            case records.RunHook():
                self._run_hook(view, operation)
            case records.StopContainer():
                self._runtime.stop_container(operation.id, operation.timeout)
            case records.RemoveContainer():
                self._runtime.remove_container(operation.id)
            case records.StopSandbox():
                self._runtime.stop_pod_sandbox(operation.id)
                self._give_up(view)
            case records.RemoveSandbox():
                self._runtime.remove_pod_sandbox(operation.id)
            case records.CleanUp():
                self._clean_up(view)
            case _:
                raise TypeError(f"no operation: {operation}")
        return None

    def refresh_volumes(self, view: PodView, world: World) -> Report:
        """Writes volumes of ConfigMaps and Secrets anew, as far as these changed."""
        try:
            pod = with_addresses(view)
            self._mounted[pod.metadata.uid] = self._volumes.mount(pod, world.tables, world.allocatable(_node(view)))
        except MountError as error:
            text = f'MountVolume.SetUp failed for volume "{error.volume}" : {error}'
            return Report([pod_event(view, "FailedMount", text, warning=True)], missing=error.missing)
        return Report([])

    # -- the pod -----------------------------------------------------------------------------------------------------

    def _start_pod(self, view: PodView, operation: records.StartPod, world: World) -> Report:
        pod = view.pod
        meta = pod.metadata
        try:
            # The address comes first: downward API volumes may name it.
            ip = view.host_ip
            if not pod.spec.host_network and self._network is not None:
                ip = self._network.setup_pod(PodRef(meta.uid, meta.namespace, meta.name, _node(view))).ip
            addressed = with_addresses(view, ip)
            self._mounted[meta.uid] = self._volumes.mount(addressed, world.tables, world.allocatable(_node(view)))
            config = sandbox_config(pod, operation.attempt, "" if pod.spec.host_network else ip, self._log_root)
            self._runtime.run_pod_sandbox(config)
        except MountError as error:
            missing = error.missing is not None
            events = outcomes.mount_failed(view, error.volume, str(error), world.now, missing=missing)
            return Report(events, missing=error.missing)
        except (NetworkError, RuntimeDriverError) as error:
            return Report(outcomes.sandbox_failed(view, str(error), world.now))
        outcomes.pod_started(view)
        return Report([])

    def _clean_up(self, view: PodView) -> None:
        for sandbox in view.sandboxes:
            self._runtime.remove_pod_sandbox(sandbox.id)
        self._give_up(view)
        self._volumes.remove(view.pod.metadata.uid)
        view.remember(cleaned=True)

    def _give_up(self, view: PodView) -> None:
        """Takes back what others may need: the address, and volumes that are not the pod's own."""
        uid = view.pod.metadata.uid
        if self._network is not None:
            self._network.teardown_pod(uid)
        if view.removed or any(v.persistent_volume_claim or v.ephemeral for v in view.pod.spec.volumes):
            self._volumes.unpublish(uid)
        self._mounted.pop(uid, None)

    # -- containers --------------------------------------------------------------------------------------------------

    def _run_container(self, view: PodView, operation: records.RunContainer, world: World) -> Report:
        name, sandbox = operation.container, view.sandbox
        assert sandbox is not None
        container = spec_of(view.pod, name)
        events = []
        if view.remembered(name).pulled != operation.attempt:
            events += outcomes.image_present(view, container)
        try:
            pod = with_addresses(view)
            namespace = pod.metadata.namespace
            allocatable = world.allocatable(_node(view))
            env = environment(pod, container, world.tables, world.services(namespace), allocatable)
            config = container_config(
                pod,
                container,
                operation.attempt,
                env=env,
                volumes=self._volumes_of(view, world),
                path_in=self._volumes.path_in,
            )
        except (ConfigError, MountError) as error:
            missing = error.key if isinstance(error, ConfigError) else error.missing
            until = None if missing is not None else world.now + RETRY
            events += outcomes.create_failed(view, name, "CreateContainerConfigError", str(error), until)
            return Report(events, missing=missing, retry_at=until)
        try:
            instance = self._runtime.create_container(sandbox.id, config)
        except RuntimeDriverError as error:
            until = world.now + RETRY
            events += outcomes.create_failed(view, name, "CreateContainerError", str(error), until)
            return Report(events, retry_at=until)
        events += outcomes.container_created(view, container, instance)
        try:
            self._runtime.start_container(instance)
        except RuntimeDriverError as error:
            found = next((c for c in self._runtime.list_containers(view.pod.metadata.uid) if c.id == instance), None)
            if found is None or found.state == "CREATED":  # else its status says the same, and the rules will see it
                until = world.now + RETRY
                view.remember_container(name, starting="")
                events += outcomes.create_failed(view, name, "RunContainerError", str(error), until)
                return Report(events, retry_at=until)
        return Report(events)

    def _volumes_of(self, view: PodView, world: World) -> dict[str, str]:
        """The volumes' host paths; they are asked for again after a restart of this program."""
        uid = view.pod.metadata.uid
        if uid not in self._mounted:
            self._mounted[uid] = self._volumes.mount(with_addresses(view), world.tables, world.allocatable(_node(view)))
        return self._mounted[uid]

    def _run_hook(self, view: PodView, operation: records.RunHook) -> None:
        container = spec_of(view.pod, operation.container)
        lifecycle = container.lifecycle
        handler = None
        if lifecycle is not None:
            handler = lifecycle.post_start if operation.hook == "postStart" else lifecycle.pre_stop
        self._workers.start(
            Task(
                pod_uid=view.pod.metadata.uid,
                container=operation.container,
                instance=operation.id,
                purpose=operation.hook,
                doing=tasks.of_hook(handler, container, address(view)),
                timeout=operation.timeout,
            )
        )


def spec_of(pod: Pod, name: str) -> Container:
    """The container of that name."""
    return next(c for c in (*pod.spec.containers, *pod.spec.init_containers) if c.name == name)


def address(view: PodView) -> str:
    """Where the pod is reached."""
    sandbox = view.sandbox
    return sandbox.ip if sandbox is not None and sandbox.ip else view.host_ip or "127.0.0.1"


def with_addresses(view: PodView, ip: str = "") -> Pod:
    """The pod with the addresses that it has by now, as the downward API tells them."""
    pod, sandbox = view.pod, view.sandbox
    ip = ip or (sandbox.ip if sandbox is not None else "") or (view.host_ip if pod.spec.host_network else "")
    status = replace(
        pod.status,
        pod_ip=ip or None,
        pod_ips=(PodIP(ip=ip),) if ip else (),
        host_ip=view.host_ip or None,
        host_ips=(HostIP(ip=view.host_ip),) if view.host_ip else (),
    )
    return replace(pod, status=status)


def _node(view: PodView) -> str:
    return view.pod.spec.node_name or ""
