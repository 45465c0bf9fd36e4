"""Containers and volumes in the words of kubectl's describe."""

from __future__ import annotations

import shlex

from reconciler.cli.texts import NONE, Fields, Value, amounts
from state.objects import Container, ContainerState, ContainerStatus, EnvVar, Probe, Volume


def container(spec: Container, status: ContainerStatus | None) -> Fields:
    """A container; ``status`` None for one of a template."""
    fields: Fields = []
    if status is not None:
        fields.append(("Container ID", status.container_id or ""))
    fields.append(("Image", spec.image or NONE))
    ports = ", ".join(f"{port.container_port}/{port.protocol or 'TCP'}" for port in spec.ports)
    fields.append(("Ports", ports or NONE))
    fields += [(name, _command(words)) for name, words in (("Command", spec.command), ("Args", spec.args)) if words]
    if status is not None:
        fields += _state("State", status.state)
        if status.last_state is not None:
            fields += _state("Last State", status.last_state)
        fields += [("Ready", str(status.ready)), ("Restart Count", str(status.restart_count))]
    if spec.resources is not None:
        named = (("Limits", spec.resources.limits), ("Requests", spec.resources.requests))
        fields += [(name, amounts(found)) for name, found in named if found]
    probes = (("Liveness", spec.liveness_probe), ("Readiness", spec.readiness_probe), ("Startup", spec.startup_probe))
    fields += [(name, _probe(probe)) for name, probe in probes if probe is not None]
    fields.append(("Environment", [(it.name, _env(it)) for it in spec.env] or NONE))
    mounts = [("", f"{it.mount_path} from {it.name} ({'ro' if it.read_only else 'rw'})") for it in spec.volume_mounts]
    fields.append(("Mounts", [*mounts] or NONE))
    return fields


def _command(words: tuple[str, ...]) -> Value:
    lines = [line for word in words for line in (word.splitlines() if "\n" in word else [shlex.quote(word)])]
    return [("", line) for line in lines] if len(lines) > 1 else lines[0]


def _state(label: str, state: ContainerState | None) -> Fields:
    if state is None:
        return [(label, "Waiting")]
    if state.running is not None:
        return [(label, "Running"), ("  Started", state.running.started_at or "")]
    if state.terminated is not None:
        ended = state.terminated
        fields: Fields = [
            (label, "Terminated"),
            ("  Reason", ended.reason or ""),
            ("  Exit Code", str(ended.exit_code)),
            ("  Started", ended.started_at or ""),
            ("  Finished", ended.finished_at or ""),
        ]
        return [*fields, ("  Message", ended.message)] if ended.message else fields
    reason = state.waiting.reason if state.waiting is not None else None
    return [(label, "Waiting"), *([("  Reason", reason)] if reason else [])]


def _probe(probe: Probe) -> str:
    if probe.exec is not None:
        what = f"exec {list(probe.exec.command)}"
    elif probe.http_get is not None:
        get = probe.http_get
        what = f"http-get {(get.scheme or 'HTTP').lower()}://{get.host or ''}:{get.port}{get.path or '/'}"
    elif probe.tcp_socket is not None:
        what = f"tcp-socket {probe.tcp_socket.host or ''}:{probe.tcp_socket.port}"
    elif probe.grpc is not None:
        what = f"grpc <pod>:{probe.grpc.port} {probe.grpc.service or ''}".rstrip()
    else:
        what = "unknown"
    return (
        f"{what} delay={probe.initial_delay_seconds or 0}s timeout={probe.timeout_seconds or 1}s "
        f"period={probe.period_seconds or 10}s #success={probe.success_threshold or 1} "
        f"#failure={probe.failure_threshold or 3}"
    )


def _env(variable: EnvVar) -> str:
    source = variable.value_from
    if source is None:
        return variable.value or ""
    if source.field_ref is not None:
        return f"({source.field_ref.api_version or 'v1'}:{source.field_ref.field_path})"
    if source.config_map_key_ref is not None:
        ref = source.config_map_key_ref
        return f"<set to the key '{ref.key}' of config map '{ref.name}'>"
    if source.secret_key_ref is not None:
        return f"<set to the key '{source.secret_key_ref.key}' in secret '{source.secret_key_ref.name}'>"
    if source.resource_field_ref is not None:
        return f"({source.resource_field_ref.resource})"
    return "<set from a file>"


def volume(spec: Volume) -> Value:
    """Where a volume comes from."""
    if spec.config_map is not None:
        return [("Type", "ConfigMap"), ("Name", spec.config_map.name or "")]
    if spec.secret is not None:
        return [("Type", "Secret"), ("SecretName", spec.secret.secret_name or "")]
    if spec.persistent_volume_claim is not None:
        source = spec.persistent_volume_claim
        read_only = str(bool(source.read_only)).lower()
        return [("Type", "PersistentVolumeClaim"), ("ClaimName", source.claim_name), ("ReadOnly", read_only)]
    if spec.host_path is not None:
        return [("Type", "HostPath"), ("Path", spec.host_path.path)]
    fields = (name for name in spec.__struct_fields__ if name != "name" and getattr(spec, name) is not None)
    kind = next(fields, "empty_dir")
    return [("Type", kind.replace("_", " ").title().replace(" ", ""))]
