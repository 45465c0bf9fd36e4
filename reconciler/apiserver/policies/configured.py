"""What is configured now. Where nothing is, a write costs a look at a flag, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.policies.metrics import PolicyMetrics
from reconciler.apiserver.resources import Place, Registry
from reconciler.apiserver.storage import Storage
from state.store.feed import Watch

if TYPE_CHECKING:
    from reconciler.apiserver.policies.admission import Attempted, Configuration
    from reconciler.apiserver.policies.attempt import Allows

_GROUP = "admissionregistration.k8s.io"
_PREFIX = f"/registry/{_GROUP}/"
#: Kinds that have a say in writes.
_KINDS = (
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
)


class Configured:
    """Admission as it is configured in the store. Usable from any thread.

    Attributes:
        allows: answers who may do what, where users are known.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = Lock()
        self._watch: Watch | None = None
        #: Whether something was written since it was last looked at.
        self._is_stale = True
        self._now: Configuration | None = None
        self.metrics = PolicyMetrics()
        self.allows: Allows | None = None

    @property
    def is_slow(self) -> bool:
        """Whether a write may take its time: a webhook is asked, or an expression evaluated."""
        return self._current() is not None

    def attempt(self, operation: str, place: Place, options: WriteOptions) -> Attempted | None:
        """A write's way through what is configured; None if nothing is, or nothing may be about it: policies and the
        like themselves, so that a mistake can be undone.
        """
        now = self._current()
        if now is None or place.resource.group == _GROUP:
            return None
        return now.attempt(operation, place, options, self.allows)

    def _current(self) -> Configuration | None:
        if self._is_stale:
            with self._lock:
                self._look()
        return self._now

    def _look(self) -> None:
        """Takes over what there is, and watches from there on."""
        if not self._is_stale:
            return  # another thread was first
        self._is_stale = False
        store = self._storage.store
        try:
            watch = store.watch(_PREFIX, store.revision(), on_ready=self._changed)
            watch.read(0)  # from now on it says when there is something
            self._now = self._read()
        except BaseException:
            self._is_stale = True
            raise
        before, self._watch = self._watch, watch
        if before is not None:
            before.close()

    def _changed(self) -> None:
        self._is_stale = True

    def _read(self) -> Configuration | None:
        if not any(self._has(kind) for kind in _KINDS):
            return None
        admission = import_module("reconciler.apiserver.policies.admission")
        found: Configuration = admission.Configuration(self._storage, self.metrics)
        return found

    def _has(self, kind: str) -> bool:
        resource = self._storage.registry.of_kind(f"{_GROUP}/v1", kind)
        assert resource is not None
        return bool(self._storage.page(resource, "", limit=1).entries)


def warnings_about(registry: Registry, spec: Mapping[str, Any]) -> Sequence[dict[str, str]]:
    """What is told about the expressions of a policy (``rules.admission_policies.Check``); loaded for the first one."""
    checks = import_module("reconciler.apiserver.policies.type_checks")
    found: Sequence[dict[str, str]] = checks.TypeChecks(registry)(spec)
    return found
