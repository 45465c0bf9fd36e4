"""What the kubelet remembers and tells after it did, or tried to do, what the rules said."""

from __future__ import annotations

from rules.actions import Event
from rules.kubelet import probes
from rules.kubelet.pods import pod_event
from rules.kubelet.probes import ProbeOutcome
from rules.kubelet.records import BACK_OFF, MAX_BACK_OFF, RETRY, SECOND, PodView, Waiting
from state.objects import Container, replace
from state.times import format_duration

#: Between tries to mount: this, doubled each time, up to the maximum (as the kubelet's volume manager).
_FIRST_MOUNT_RETRY = SECOND // 2
_MAX_MOUNT_RETRY = 122 * SECOND


def pod_started(view: PodView) -> None:
    """Volumes, network and sandbox are there."""
    view.remember(mounted=True, waiting=None, tries=0)


def mount_failed(view: PodView, volume: str, message: str, now: int, *, missing: bool) -> list[Event]:
    """A volume couldn't be mounted. ``missing``: an object it needs isn't there, and trying before it is is no use."""
    tries = view.memory.tries
    until = None if missing else now + min(_FIRST_MOUNT_RETRY << min(tries, 20), _MAX_MOUNT_RETRY)
    text = f'MountVolume.SetUp failed for volume "{volume}" : {message}'
    view.remember(waiting=Waiting(reason="FailedMount", message=text, until=until), tries=tries + 1)
    return [pod_event(view, "FailedMount", text, warning=True)]


def sandbox_failed(view: PodView, message: str, now: int) -> list[Event]:
    """The network or the sandbox couldn't be made."""
    text = f"Failed to create pod sandbox: {message}"
    view.remember(waiting=Waiting(reason="FailedCreatePodSandBox", message=text, until=now + RETRY))
    return [pod_event(view, "FailedCreatePodSandBox", text, warning=True)]


def image_present(view: PodView, container: Container) -> list[Event]:
    """A container starts from an image that was at hand."""
    text = f'Container image "{container.image or ""}" already present on machine'
    return [pod_event(view, "Pulled", text, container.name)]


def image_pulled(view: PodView, container: str, image: str, attempt: int, took: int) -> list[Event]:
    """The image is there. ``took``: microseconds."""
    view.remember_container(container, pulling=False, pulled=attempt, pull_back_off=0, waiting=None)
    lasted = format_duration(took // 1000 * 1000)
    text = f'Successfully pulled image "{image}" in {lasted} ({lasted} including waiting)'
    return [pod_event(view, "Pulled", text, container)]


def pull_failed(view: PodView, container: str, image: str, message: str, now: int) -> list[Event]:
    """The image couldn't be had."""
    delay = min(2 * view.remembered(container).pull_back_off, MAX_BACK_OFF) or BACK_OFF
    failed = f'Failed to pull image "{image}": {message}'
    waiting = Waiting(
        reason="ImagePullBackOff",
        message=f'Back-off pulling image "{image}": ErrImagePull: {message}',
        until=now + delay,
    )
    view.remember_container(container, pulling=False, pull_back_off=delay, waiting=waiting)
    return [
        pod_event(view, "Failed", failed, container, warning=True),
        pod_event(view, "Failed", "Error: ErrImagePull", container, warning=True),
        pod_event(view, "BackOff", f'Back-off pulling image "{image}"', container),
        pod_event(view, "Failed", "Error: ImagePullBackOff", container, warning=True),
    ]


def container_created(view: PodView, container: Container, instance_id: str) -> list[Event]:
    """A container was created and the runtime asked to start it."""
    hooked = container.lifecycle is not None and container.lifecycle.post_start is not None
    view.remember_container(
        container.name,
        starting=instance_id,
        waiting=None,
        stop=None,
        probes={},
        post_start="pending" if hooked else "",
        post_start_id=instance_id if hooked else "",
    )
    return [pod_event(view, "Created", f"Created container: {container.name}", container.name)]


def create_failed(view: PodView, container: str, reason: str, message: str, until: int | None) -> list[Event]:
    """A container couldn't be created: CreateContainerConfigError or CreateContainerError."""
    view.remember_container(container, waiting=Waiting(reason=reason, message=message, until=until))
    return [pod_event(view, "Failed", f"Error: {message}", container, warning=True)]


def hook_finished(view: PodView, container: str, instance_id: str, hook: str, error: str) -> list[Event]:
    """A lifecycle hook is over; ``error`` is "" if it went well."""
    memory = view.remembered(container)
    if hook == "postStart":
        if memory.post_start_id == instance_id:
            view.remember_container(container, post_start="failed" if error else "")
    elif memory.stop is not None and memory.stop.id == instance_id and memory.stop.hook == "running":
        view.remember_container(container, stop=replace(memory.stop, hook="done"))
    if not error:
        return []
    name = "PostStartHook" if hook == "postStart" else "PreStopHook"
    return [pod_event(view, f"Failed{name}", f"{name} failed: {error}", container, warning=True)]


def probe_begun(view: PodView, container: str, kind: str, instance_id: str) -> None:
    """A probe is being tried."""
    known = view.remembered(container).probes
    view.remember_container(container, probes={**known, kind: probes.begin(known.get(kind), instance_id)})


def probe_finished(view: PodView, container: Container, seen: ProbeOutcome) -> list[Event]:
    """A probe's try is over."""
    kind = seen.kind
    known = view.remembered(container.name).probes
    memory, probe = known.get(kind), probes.probe_of(container, kind)
    if memory is None or memory.id != seen.instance_id or probe is None:
        return []  # the container was restarted meanwhile
    view.remember_container(container.name, probes={**known, kind: probes.observe(probe, memory, seen)})
    if seen.success:
        return []
    text = f"{kind.capitalize()} probe failed: {seen.message}"
    return [pod_event(view, "Unhealthy", text, container.name, warning=True)]
