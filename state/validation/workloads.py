"""Validation of the kinds that keep pods running: ReplicationController (v1) and apps/v1."""

from __future__ import annotations

from collections.abc import Mapping

from state import names
from state.objects import (
    NO_SELECTOR,
    ControllerRevision,
    DaemonSet,
    DaemonSetUpdateStrategy,
    Deployment,
    DeploymentStrategy,
    LabelSelector,
    PersistentVolumeClaimVolumeSource,
    PodTemplate,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetUpdateStrategy,
    Volume,
    replace,
)
from state.selectors import matches, matches_map
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.claims import claim_spec
from state.validation.metadata import object_meta
from state.validation.pods import pod_template

_MISMATCH = "`selector` does not match template `labels`"
_RETENTIONS = ("Retain", "Delete")
_IMMUTABLE_STATEFUL_SET = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def replication_controller(found: Report, obj: ReplicationController) -> None:
    """ReplicationController (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    found.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if not spec.selector:
        found.required("spec.selector")
    found.not_negative("spec.replicas", spec.replicas)
    if spec.template is None:
        found.required("spec.template")
        return
    if not matches_map(spec.selector, spec.template.metadata.labels):
        _mismatch(found, spec.template.metadata.labels)
    pod_template(found, "spec.template", spec.template)
    _runs_for_ever(found, spec.template, "ReplicationController")


def replica_set(found: Report, obj: ReplicaSet) -> None:
    """ReplicaSet (apps/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    found.not_negative("spec.replicas", spec.replicas)
    found.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    template = PodTemplateSpec() if spec.template is None else spec.template
    _selected_template(found, spec.selector, template)


def deployment(found: Report, obj: Deployment) -> None:
    """Deployment (apps/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    found.not_negative("spec.replicas", spec.replicas)
    _selected_template(found, spec.selector, spec.template)
    if spec.strategy is not None:
        _deployment_strategy(found, spec.strategy)
    found.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    found.not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    deadline = spec.progress_deadline_seconds
    found.not_negative("spec.progressDeadlineSeconds", deadline)
    if deadline is not None and deadline <= (spec.min_ready_seconds or 0):
        found.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _deployment_strategy(found: Report, strategy: DeploymentStrategy) -> None:
    path, rolling = "spec.strategy", strategy.rolling_update
    if strategy.type == "Recreate":
        if rolling is not None:
            message = "may not be specified when strategy `type` is 'Recreate'"
            found.forbidden(f"{path}.rollingUpdate", message)
    elif strategy.type == "RollingUpdate":
        _rolling_deployment(found, f"{path}.rollingUpdate", rolling or RollingUpdateDeployment())
    else:
        found.unsupported(path, _strategy_value(strategy), ("Recreate", "RollingUpdate"))


def _rolling_deployment(found: Report, path: str, rolling: RollingUpdateDeployment) -> None:
    unavailable = 0 if rolling.max_unavailable is None else rolling.max_unavailable
    surge = 0 if rolling.max_surge is None else rolling.max_surge
    checks.int_or_percent(found, f"{path}.maxUnavailable", unavailable)
    checks.int_or_percent(found, f"{path}.maxSurge", surge)
    if checks.is_zero(unavailable) and checks.is_zero(surge):
        found.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    checks.at_most_all(found, f"{path}.maxUnavailable", unavailable)


def stateful_set(found: Report, obj: StatefulSet) -> None:
    """StatefulSet (apps/v1): its pods also get a volume for each of its claim templates."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    if spec.pod_management_policy not in {"OrderedReady", "Parallel"}:
        message = "must be 'OrderedReady' or 'Parallel'"
        found.invalid("spec.podManagementPolicy", spec.pod_management_policy, message)
    if spec.update_strategy is not None:
        _stateful_set_strategy(found, spec.update_strategy)
    retention = spec.persistent_volume_claim_retention_policy
    if retention is not None:
        path = "spec.persistentVolumeClaimRetentionPolicy"
        for name, policy in (("whenDeleted", retention.when_deleted), ("whenScaled", retention.when_scaled)):
            if policy not in _RETENTIONS:
                found.unsupported(f"{path}.{name}", policy or "", _RETENTIONS)
    for index, claim in enumerate(spec.volume_claim_templates):
        claim_spec(found, f"spec.volumeClaimTemplates[{index}].spec", claim.spec)
    found.not_negative("spec.replicas", spec.replicas)
    found.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if spec.ordinals is not None:
        found.not_negative("spec.ordinals.start", spec.ordinals.start)
    if spec.service_name:
        checks.text(found, "spec.serviceName", spec.service_name, names.dns1123_label)
    _selected_template(found, spec.selector, spec.template, _claim_volumes(obj), "StatefulSet")


def _claim_volumes(obj: StatefulSet) -> tuple[Volume, ...]:
    claims = (claim.metadata.name for claim in obj.spec.volume_claim_templates)
    return tuple(
        Volume(name=name, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=name)) for name in claims
    )


def _stateful_set_strategy(found: Report, strategy: StatefulSetUpdateStrategy) -> None:
    path, rolling = "spec.updateStrategy", strategy.rolling_update
    if strategy.type == "OnDelete":
        if rolling is not None:
            value = {"Partition": rolling.partition or 0, "MaxUnavailable": rolling.max_unavailable}
            found.invalid(f"{path}.rollingUpdate", value, "only allowed for updateStrategy 'RollingUpdate'")
    elif strategy.type != "RollingUpdate":
        found.invalid(path, _strategy_value(strategy), "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        found.not_negative(f"{path}.rollingUpdate.partition", rolling.partition)
        unavailable = rolling.max_unavailable
        if unavailable is not None:
            own_path = f"{path}.rollingUpdate.maxUnavailable"
            checks.int_or_percent(found, own_path, unavailable)
            if checks.is_zero(unavailable):
                found.invalid(own_path, unavailable, "cannot be 0")
            checks.at_most_all(found, own_path, unavailable)


def daemon_set(found: Report, obj: DaemonSet) -> None:
    """DaemonSet (apps/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    before = len(found.problems)
    checks.label_selector(found, "spec.selector", spec.selector)
    if len(found.problems) == before:
        _picks(found, spec.selector, spec.template.metadata.labels, "daemonset")
    pod_template(found, "spec.template", spec.template)
    _runs_for_ever(found, spec.template, "DaemonSet")
    found.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if spec.update_strategy is not None:
        _daemon_set_strategy(found, spec.update_strategy)
    found.not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)


def _daemon_set_strategy(found: Report, strategy: DaemonSetUpdateStrategy) -> None:
    path = "spec.updateStrategy"
    if strategy.type == "RollingUpdate":
        if strategy.rolling_update is None:
            found.required(f"{path}.rollingUpdate")
        else:
            _rolling_daemon_set(found, f"{path}.rollingUpdate", strategy.rolling_update)
    elif strategy.type != "OnDelete":
        found.unsupported(path, _strategy_value(strategy), ("RollingUpdate", "OnDelete"))


def _rolling_daemon_set(found: Report, path: str, rolling: RollingUpdateDaemonSet) -> None:
    unavailable = 0 if rolling.max_unavailable is None else rolling.max_unavailable
    surge = 0 if rolling.max_surge is None else rolling.max_surge
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        checks.int_or_percent(found, f"{path}.{name}", value)
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        checks.at_most_all(found, f"{path}.{name}", value)
    if not checks.is_zero(unavailable) and not checks.is_zero(surge):
        found.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif checks.is_zero(unavailable) and checks.is_zero(surge):
        found.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def template(found: Report, obj: PodTemplate) -> None:
    """PodTemplate (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    pod_template(found, "template", obj.template)


def controller_revision(found: Report, obj: ControllerRevision) -> None:
    """ControllerRevision (apps/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    if obj.data is None:
        found.required("data", "data is mandatory")
    found.not_negative("revision", obj.revision)


def _selected_template(
    found: Report,
    selector: LabelSelector,
    template: PodTemplateSpec,
    extra: tuple[Volume, ...] = (),
    kind: str = "ReplicaSet",
) -> None:
    """A selector, and a template whose pods it picks."""
    before = len(found.problems)
    checks.label_selector(found, "spec.selector", selector)
    if len(found.problems) > before:
        found.invalid("spec.selector", checks.selector_value(selector), "invalid label selector")
        return
    # a ReplicaSet's message says deployment, too
    _picks(found, selector, template.metadata.labels, "statefulset" if kind == "StatefulSet" else "deployment")
    pod_template(found, "spec.template", template, extra)
    _runs_for_ever(found, template, kind)


def _picks(found: Report, selector: LabelSelector, labels: Mapping[str, str], kind: str) -> None:
    """A selector is given, isn't empty, and picks the labels of the template."""
    if selector is NO_SELECTOR:
        found.required("spec.selector")
    elif not selector.match_labels and not selector.match_expressions:
        found.invalid("spec.selector", checks.selector_value(selector), f"empty selector is invalid for {kind}")
        return
    if selector is NO_SELECTOR or not matches(selector, labels):
        _mismatch(found, labels)


def _mismatch(found: Report, labels: Mapping[str, str]) -> None:
    found.invalid("spec.template.metadata.labels", dict(sorted(labels.items())) or None, _MISMATCH)


def _runs_for_ever(found: Report, template: PodTemplateSpec, kind: str) -> None:
    if template.spec.restart_policy != "Always":
        found.unsupported("spec.template.spec.restartPolicy", template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        message = f"activeDeadlineSeconds in {kind} is not Supported"
        found.forbidden("spec.template.spec.activeDeadlineSeconds", message)


def _strategy_value(strategy: DeploymentStrategy | StatefulSetUpdateStrategy | DaemonSetUpdateStrategy) -> object:
    """A strategy as the API server shows it, by the names of its own language."""
    rolling = strategy.rolling_update
    shown: dict[str, object] | None = None
    if isinstance(rolling, RollingUpdateStatefulSetStrategy):
        shown = {"Partition": rolling.partition or 0, "MaxUnavailable": rolling.max_unavailable}
    elif rolling is not None:
        shown = {"MaxUnavailable": rolling.max_unavailable, "MaxSurge": rolling.max_surge}
    return {"Type": strategy.type, "RollingUpdate": shown}


def selector_update(
    found: Report, new: ReplicaSet | Deployment | DaemonSet, old: ReplicaSet | Deployment | DaemonSet
) -> None:
    """ReplicaSets, Deployments and DaemonSets keep their selector."""
    if new.spec.selector != old.spec.selector:
        found.invalid("spec.selector", checks.selector_value(new.spec.selector), checks.IMMUTABLE)


def stateful_set_update(found: Report, new: StatefulSet, old: StatefulSet) -> None:
    """A StatefulSet keeps its selector, its Service and its claims."""
    spec, before = new.spec, old.spec
    kept = replace(
        spec,
        replicas=before.replicas,
        ordinals=before.ordinals,
        template=before.template,
        update_strategy=before.update_strategy,
        revision_history_limit=before.revision_history_limit,
        persistent_volume_claim_retention_policy=before.persistent_volume_claim_retention_policy,
        min_ready_seconds=before.min_ready_seconds,
    )
    if kept != before:
        found.forbidden("spec", _IMMUTABLE_STATEFUL_SET)


def controller_revision_update(found: Report, new: ControllerRevision, old: ControllerRevision) -> None:
    """A ControllerRevision keeps its data."""
    checks.immutable(found, "data", new.data, old.data)
