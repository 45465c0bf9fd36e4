"""What is counted of admission that users configure, under kube-apiserver's names."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.apiserver.metrics import Counter, Family, Histogram

_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25]
_POLICY_SECONDS = [0.0000005, 0.001, 0.01, 0.1, 1.0]
_ABOUT = ("name", "type", "operation")


class PolicyMetrics:
    """Numbers about policies and webhooks."""

    def __init__(self) -> None:
        labels = ("policy", "policy_binding", "error_type", "enforcement_action")
        self._checks = Counter(
            "apiserver_validating_admission_policy_check_total", "Checks of policies that had a consequence.", labels
        )
        self._check_seconds = Histogram(
            "apiserver_validating_admission_policy_check_duration_seconds",
            "Seconds of such checks.",
            labels,
            _POLICY_SECONDS,
        )
        self._steps = Histogram(
            "apiserver_admission_step_admission_duration_seconds",
            "Seconds of a step of admission.",
            ("type", "operation", "rejected"),
            _SECONDS,
        )
        self._controllers = Histogram(
            "apiserver_admission_controller_admission_duration_seconds",
            "Seconds of an admission plug-in.",
            (*_ABOUT, "rejected"),
            _SECONDS,
        )
        self._webhooks = Histogram(
            "apiserver_admission_webhook_admission_duration_seconds",
            "Seconds of a webhook.",
            (*_ABOUT, "rejected"),
            _SECONDS,
        )
        self._requests = Counter(
            "apiserver_admission_webhook_request_total", "Calls of webhooks.", (*_ABOUT, "code", "rejected")
        )
        self._rejections = Counter(
            "apiserver_admission_webhook_rejection_count",
            "Writes that webhooks refused, or that failed with them.",
            (*_ABOUT, "error_type", "rejection_code"),
        )
        self._open = Counter(
            "apiserver_admission_webhook_fail_open_count", "Failed calls that didn't matter.", ("name", "type")
        )

    @property
    def families(self) -> Sequence[Family]:
        """For /metrics."""
        return (
            self._checks,
            self._check_seconds,
            self._steps,
            self._controllers,
            self._webhooks,
            self._requests,
            self._rejections,
            self._open,
        )

    def decided(self, policy: str, binding: str, action: str, error: str, seconds: float) -> None:
        """A validation didn't hold."""
        labels = (policy, binding, error, action.lower())
        self._checks.add(labels)
        self._check_seconds.observe(labels, seconds)

    def stepped(self, plugin: str, kind: str, operation: str, seconds: float, *, rejected: bool) -> None:
        """A plug-in had its say."""
        self._controllers.observe((plugin, kind, operation, _flag(rejected)), seconds)
        self._steps.observe((kind, operation, _flag(rejected)), seconds)

    def called(self, about: tuple[str, str, str], code: int, seconds: float, *, rejected: bool) -> None:
        """A webhook was called; ``about`` are its name, type and the operation, ``code`` is that of the answer."""
        self._webhooks.observe((*about, _flag(rejected)), seconds)
        self._requests.add((*about, str(code), _flag(rejected)))

    def rejected(self, about: tuple[str, str, str], error: str, code: int) -> None:
        """A webhook refused, or failed in a way that refuses."""
        self._rejections.add((*about, error, str(code)))

    def failed_open(self, name: str, kind: str) -> None:
        """A webhook failed, and the write goes on."""
        self._open.add((name, kind))


def _flag(value: bool) -> str:
    return "true" if value else "false"
