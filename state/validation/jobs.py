"""Validation of Jobs and CronJobs (batch/v1)."""

from __future__ import annotations

import re

from state import names
from state.errors import NO_VALUE, quoted
from state.objects import (
    CronJob,
    Job,
    JobSpec,
    LabelSelector,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicyRule,
)
from state.selectors import matches
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.cron import schedule_messages
from state.validation.metadata import object_meta
from state.validation.pods import pod_template

_MAX_INDEXED_PARALLELISM = 100_000
_MAX_FAILED_INDEXES = 100_000
_MANY_COMPLETIONS = 100_000
_LIMIT_FOR_MANY = 10_000
_MAX_RULES = 20
_MAX_EXIT_CODES = 255
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
GENERATED_LABELS = (
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
)
_MANAGED_BY_LENGTH = 63
#: What is left of a Job's name when the CronJob controller appends "-" and ten digits.
_CRON_JOB_NAME_LENGTH = 52
_ZONE_PART = re.compile(r"[A-Za-z._0-9+-]{1,14}")


def job(found: Report, obj: Job) -> None:
    """Job (batch/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    _generated(found, obj)
    _job_spec(found, "spec", spec)
    _selector(found, spec)
    if spec.completion_mode == "Indexed" and spec.completions:
        hostname = f"{obj.metadata.name}-{spec.completions - 1}"
        if obj.metadata.name and names.dns1123_label(hostname):
            message = f"will not able to create pod with invalid DNS label: {hostname}"
            found.invalid("metadata.name", obj.metadata.name, message)


def _generated(found: Report, obj: Job) -> None:
    """The selector is made with the Job, and the labels for it; what it brings along of them must not be another's."""
    selector, labels = obj.spec.selector, dict(sorted(obj.spec.template.metadata.labels.items()))
    if selector is None or obj.spec.manual_selector or not _is_valid(selector):
        return
    uid, name = obj.metadata.uid, obj.metadata.name
    generated = dict(zip(GENERATED_LABELS, (uid, name, uid, name), strict=True))
    for label, value in generated.items() if uid else ():
        if labels.get(label, value) != value:
            found.invalid(f"spec.template.metadata.labels[{label}]", labels, f"must be '{value}'")
    if not uid or not matches(selector, generated):
        found.invalid("spec.selector", checks.selector_value(selector), "`selector` not auto-generated")


def _selector(found: Report, spec: JobSpec) -> None:
    """A Job whose selector is not made for it needs one; whosoever it is must match the template."""
    selector, labels = spec.selector, dict(sorted(spec.template.metadata.labels.items()))
    if selector is None:
        if not spec.manual_selector:
            return
        found.required("spec.selector")
    else:
        checks.label_selector(found, "spec.selector", selector)
        if not _is_valid(selector) or matches(selector, labels):
            return
    found.invalid("spec.template.metadata.labels", labels or None, "`selector` does not match template `labels`")


def _is_valid(selector: LabelSelector) -> bool:
    probe = Report()
    checks.label_selector(probe, "", selector)
    return not probe.problems


def _job_spec(found: Report, path: str, spec: JobSpec) -> None:
    found.not_negative(f"{path}.parallelism", spec.parallelism)
    found.not_negative(f"{path}.completions", spec.completions)
    found.not_negative(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds)
    found.not_negative(f"{path}.backoffLimit", spec.backoff_limit)
    found.not_negative(f"{path}.ttlSecondsAfterFinished", spec.ttl_seconds_after_finished)
    found.not_negative(f"{path}.backoffLimitPerIndex", spec.backoff_limit_per_index)
    found.not_negative(f"{path}.maxFailedIndexes", spec.max_failed_indexes)
    if spec.max_failed_indexes is not None and spec.backoff_limit_per_index is None:
        found.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.managed_by is not None:
        _managed_by(found, f"{path}.managedBy", spec.managed_by)
    if spec.completion_mode == "Indexed":
        _indexed(found, path, spec)
    else:
        if spec.completion_mode not in {None, "NonIndexed"}:
            found.unsupported(f"{path}.completionMode", spec.completion_mode, ("NonIndexed", "Indexed"))
        _not_indexed(found, path, spec)
    if spec.pod_failure_policy is not None:
        _failure_policy(found, f"{path}.podFailurePolicy.rules", spec)
    _replacement_policy(found, f"{path}.podReplacementPolicy", spec)
    pod_template(found, f"{path}.template", spec.template)
    _restart_policy(found, f"{path}.template.spec.restartPolicy", spec)


def _managed_by(found: Report, path: str, name: str) -> None:
    """The controller that looks after the Job, with its domain."""
    domain, slash, rest = name.partition("/")
    if not slash or not domain or not rest:
        found.invalid(path, name, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        checks.text(found, path, domain, names.dns1123_subdomain)
    if len(name) > _MANAGED_BY_LENGTH:
        found.too_long(path, _MANAGED_BY_LENGTH)


def _indexed(found: Report, path: str, spec: JobSpec) -> None:
    completions, parallelism, failed = spec.completions, spec.parallelism or 0, spec.max_failed_indexes
    mode, many = "when completion mode is Indexed", f"when completions are above {_MANY_COMPLETIONS}"
    if completions is None:
        found.required(f"{path}.completions", mode)
    if parallelism > _MAX_INDEXED_PARALLELISM:
        message = f"must be less than or equal to {_MAX_INDEXED_PARALLELISM} {mode}"
        found.invalid(f"{path}.parallelism", parallelism, message)
    if completions is not None and failed is not None and failed > completions:
        found.invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if failed is not None and failed > _MAX_FAILED_INDEXES:
        found.invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MAX_FAILED_INDEXES}")
    if (completions or 0) > _MANY_COMPLETIONS and spec.backoff_limit_per_index is not None:
        if failed is None:
            message = f"must be specified when completions is above {_MANY_COMPLETIONS}"
            found.required(f"{path}.maxFailedIndexes", message)
        message = f"must be less than or equal to {_LIMIT_FOR_MANY} {many} and used with backoff limit per index"
        if parallelism > _LIMIT_FOR_MANY:
            found.invalid(f"{path}.parallelism", parallelism, message)
        if failed is not None and failed > _LIMIT_FOR_MANY:
            found.invalid(f"{path}.maxFailedIndexes", failed, message)
    policy = spec.success_policy
    if policy is not None:
        own_path = f"{path}.successPolicy.rules"
        if not policy.rules:
            found.required(own_path, "at least one rules must be specified when the successPolicy is specified")
        if len(policy.rules) > _MAX_RULES:
            found.too_many(own_path, len(policy.rules), _MAX_RULES)
        for index, rule in enumerate(policy.rules):
            _success_rule(found, f"{own_path}[{index}]", rule, completions or 0)


def _not_indexed(found: Report, path: str, spec: JobSpec) -> None:
    message = "requires indexed completion mode"
    if spec.backoff_limit_per_index is not None:
        found.invalid(f"{path}.backoffLimitPerIndex", spec.backoff_limit_per_index, message)
    if spec.max_failed_indexes is not None:
        found.invalid(f"{path}.maxFailedIndexes", spec.max_failed_indexes, message)
    if spec.success_policy is not None:
        rules = [
            {"SucceededIndexes": rule.succeeded_indexes, "SucceededCount": rule.succeeded_count}
            for rule in spec.success_policy.rules
        ]
        found.invalid(f"{path}.successPolicy", {"Rules": rules}, message)


def _success_rule(found: Report, path: str, rule: SuccessPolicyRule, completions: int) -> None:
    indexes, count, total = rule.succeeded_indexes, rule.succeeded_count, 0
    if indexes is None and count is None:
        found.required(path, "at least one of succeededCount or succeededIndexes must be specified")
    if indexes is not None:
        counted = _count_indexes(indexes, completions)
        if isinstance(counted, str):
            message = f"error parsing succeededIndexes: {counted}"
            found.invalid(f"{path}.succeededIndexes", indexes, message)
        else:
            total = counted
    if count is not None:
        own_path, at_most = f"{path}.succeededCount", "must be less than or equal to"
        found.not_negative(own_path, count)
        if count > completions:
            found.invalid(own_path, count, f"{at_most} {completions} (the number of specified completions)")
        if indexes is not None and count > total:
            message = f"{at_most} {total} (the number of indexes in the specified succeededIndexes field)"
            found.invalid(own_path, count, message)


def _count_indexes(text: str, completions: int) -> int | str:
    """How many indexes a list such as "1,3-5" names, or what is wrong with it."""
    total, last = 0, -1
    for interval in text.split(",") if text else ():
        ends = interval.split("-")
        if len(ends) > 2:
            rule = "an index interval can have at most two parts separated by '-'"
            return f"the fragment {quoted(interval)} violates the requirement that {rule}"
        for end in ends:
            if not (end.isascii() and end.isdigit()):
                return f"cannot convert string to integer for index: {quoted(end)}"
            if int(end) >= completions:
                return f"too large index: {quoted(end)}"
        start, stop = int(ends[0]), int(ends[-1])
        if len(ends) == 2 and start >= stop:
            return f"non-increasing order, previous: {start}, current: {stop}"
        if start <= last:
            return f"non-increasing order, previous: {last}, current: {start}"
        total, last = total + stop - start + 1, stop
    return total


def _failure_policy(found: Report, path: str, spec: JobSpec) -> None:
    rules = spec.pod_failure_policy.rules if spec.pod_failure_policy is not None else ()
    if len(rules) > _MAX_RULES:
        found.too_many(path, len(rules), _MAX_RULES)
    pod = spec.template.spec
    containers = {container.name for container in (*pod.containers, *pod.init_containers)}
    for index, rule in enumerate(rules):
        _failure_rule(found, f"{path}[{index}]", rule, spec, containers)


def _failure_rule(found: Report, path: str, rule: PodFailurePolicyRule, spec: JobSpec, containers: set[str]) -> None:
    if not rule.action:
        found.required(f"{path}.action", f"valid values: {checks.listed(_ACTIONS)}")
    elif rule.action not in _ACTIONS:
        found.unsupported(f"{path}.action", rule.action, _ACTIONS)
    elif rule.action == "FailIndex" and spec.backoff_limit_per_index is None:
        found.invalid(f"{path}.action", rule.action, "requires the backoffLimitPerIndex to be set")
    codes, conditions = rule.on_exit_codes, rule.on_pod_conditions
    if codes is not None:
        _exit_codes(found, f"{path}.onExitCodes", codes, containers)
    if len(conditions) > _MAX_RULES:
        found.too_many(f"{path}.onPodConditions", len(conditions), _MAX_RULES)
    for index, pattern in enumerate(conditions):
        own_path = f"{path}.onPodConditions[{index}]"
        checks.text(found, f"{own_path}.type", pattern.type, names.qualified_name)
        if pattern.status not in _STATUSES:
            found.unsupported(f"{own_path}.status", pattern.status, _STATUSES)
    if codes is not None and conditions:
        found.invalid(path, NO_VALUE, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not conditions:
        found.invalid(path, NO_VALUE, "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(found: Report, path: str, codes: PodFailurePolicyOnExitCodesRequirement, containers: set[str]) -> None:
    if not codes.operator:
        found.required(f"{path}.operator", f"valid values: {checks.listed(('In', 'NotIn'))}")
    elif codes.operator not in {"In", "NotIn"}:
        found.unsupported(f"{path}.operator", codes.operator, ("In", "NotIn"))
    if codes.container_name is not None and codes.container_name not in containers:
        message = "must be one of the container or initContainer names in the pod template"
        found.invalid(f"{path}.containerName", codes.container_name, message)
    if not codes.values:
        found.invalid(f"{path}.values", list(codes.values), "at least one value is required")
    elif len(codes.values) > _MAX_EXIT_CODES:
        found.too_many(f"{path}.values", len(codes.values), _MAX_EXIT_CODES)
    for index, code in enumerate(codes.values):
        if codes.operator == "In" and code == 0:
            found.invalid(f"{path}.values[{index}]", code, "must not be 0 for the In operator")
        if code in codes.values[:index]:
            found.duplicate(f"{path}.values[{index}]", code)
    if list(codes.values) != sorted(codes.values):
        found.invalid(f"{path}.values", list(codes.values), "must be ordered")


def _replacement_policy(found: Report, path: str, spec: JobSpec) -> None:
    supported = ("Failed", "TerminatingOrFailed") if spec.pod_failure_policy is None else ("Failed",)
    if spec.pod_replacement_policy is not None and spec.pod_replacement_policy not in supported:
        found.unsupported(path, spec.pod_replacement_policy, supported)


def _restart_policy(found: Report, path: str, spec: JobSpec) -> None:
    policy = spec.template.spec.restart_policy
    if policy in {None, "", "Always"}:
        found.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in {"OnFailure", "Never"}:
        found.unsupported(path, policy, ("OnFailure", "Never"))
    elif spec.pod_failure_policy is not None and policy != "Never":
        found.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def cron_job(found: Report, obj: CronJob) -> None:
    """CronJob (batch/v1). Whether a time zone exists isn't known here, only whether it could."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    if not spec.schedule:
        found.required("spec.schedule")
    else:
        checks.text(found, "spec.schedule", spec.schedule, schedule_messages)
    found.not_negative("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)
    if spec.time_zone is not None:
        checks.text(found, "spec.timeZone", spec.time_zone, _zone_messages)
    found.one_of("spec.concurrencyPolicy", spec.concurrency_policy, ("Allow", "Forbid", "Replace"))
    job_spec = spec.job_template.spec
    _job_spec(found, "spec.jobTemplate.spec", job_spec)
    if job_spec.selector is not None:
        value = checks.selector_value(job_spec.selector)
        found.invalid("spec.jobTemplate.spec.selector", value, "`selector` will be auto-generated")
    if job_spec.manual_selector:
        found.unsupported("spec.jobTemplate.spec.manualSelector", job_spec.manual_selector, ("nil", "false"))
    found.not_negative("spec.successfulJobsHistoryLimit", spec.successful_jobs_history_limit)
    found.not_negative("spec.failedJobsHistoryLimit", spec.failed_jobs_history_limit)
    if len(obj.metadata.name) > _CRON_JOB_NAME_LENGTH:
        found.invalid("metadata.name", obj.metadata.name, names.length_message(_CRON_JOB_NAME_LENGTH))


def _zone_messages(zone: str) -> list[str]:
    if not zone:
        return ["timeZone must be nil or non-empty string"]
    parts = zone.split("/")
    if any(part in {".", ".."} or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in parts):
        return [f"unknown time zone {zone}"]
    if zone.lower() == "local":
        return ["timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"]
    return []
