"""Which of several programs on one store is to act: leader election with a Lease, as client-go's ``leaderelection``.

Each candidate calls ``tick`` every few seconds with its own time. Nobody's clock is compared with anybody else's: a
candidate takes over a lease that it has *seen* unchanged for as long as the lease lasts. The leader stops to be one by
its own clock some time before that, so that two never act at the same time as long as clocks run equally fast.

Where they don't, or where a program was stopped between looking at its clock and writing, there is the **fence**: a key
that each new leader changes before it acts. A leader's writes rely on it, so that those of an earlier one are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from state.identity import make_uid
from state.objects import Lease, LeaseSpec, ObjectMeta, replace
from state.snapshot import Key
from state.store.base import Store
from state.store.layout import decode, encode, path_of
from state.store.records import ABSENT, Entry, Fence, Refused, StoreError, Write
from state.times import format_micro_time, format_time

_SECOND = 1_000_000
#: Fences are no objects: they lie beside them.
_FENCES = "/fences"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease lasts, in seconds; the defaults are kube-controller-manager's.

    A leader that couldn't renew for ``renew_deadline`` steps down; ``retry`` is how often to call ``tick``.
    """

    duration: int = 15
    renew_deadline: float = 10
    retry: float = 2

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"{self}: expected 0 < retry < renew_deadline < duration")


class Candidate:
    """One program that would lead. ``identity`` must be its own alone. For one thread, but for ``leads`` and ``fence``.

    The lease is an object as any other (``kubectl get lease`` shows who leads), by default where Kubernetes keeps its
    own.
    """

    def __init__(
        self, store: Store, identity: str, *, name: str, namespace: str = "kube-system", terms: Terms | None = None
    ) -> None:
        self.identity = identity
        self._store = store
        #: Where the lease is: whoever watches it can tick as soon as it changes, and needn't wait for the next time.
        self.key = path_of(Key("Lease", namespace, name))
        self._meta = ObjectMeta(name=name, namespace=namespace)
        self._terms = Terms() if terms is None else terms
        self._seen: Entry | None = None
        #: When the lease was last seen to have changed.
        self._seen_at = 0
        #: When the lease of somebody else runs out, as far as is known (µs).
        self.runs_out = 0
        #: When this candidate last began a renewal that succeeded; None if it doesn't lead.
        self._renewed_at: int | None = None
        #: What the writes of this candidate are to rely on, since it last became leader.
        self.fence: Fence | None = None

    def leads(self, now: int) -> bool:
        """Whether this candidate may act at a time (µs). Ask before each act; it costs nothing."""
        renewed_at = self._renewed_at
        return renewed_at is not None and now < renewed_at + self._terms.renew_deadline * _SECOND

    def tick(self, now: int) -> bool:
        """Renews the lease or tries to get it, and says whether this candidate leads.

        Raises:
            StoreError: the store can't be asked. Whoever leads goes on to do so until its deadline; tick again.
        """
        self._look(now)
        lease = self._lease()
        holder = None if lease is None else lease.spec.holder_identity
        if holder == self.identity:
            self._take(now, lease)
        else:
            self.step_down()
            self.runs_out = self._seen_at + self._lasts(lease)
            if not holder or now >= self.runs_out:
                self._take(now, lease)
        return self.leads(now)

    def release(self, now: int) -> None:
        """Steps down at once, so that others needn't wait; for an orderly end. No longer leading, it does nothing.

        Raises:
            StoreError: the store can't be asked; the lease then runs out.
        """
        self.step_down()
        self._look(now)
        lease = self._lease()
        if lease is not None and lease.spec.holder_identity == self.identity:
            self._write(now, replace(lease.spec, holder_identity="", lease_duration_seconds=1))

    def step_down(self) -> None:
        """Stops acting, because a write was fenced off; the next ``tick`` finds out who leads."""
        self._renewed_at = self.fence = None

    def _look(self, now: int) -> None:
        current = self._store.get(self.key)
        if current != self._seen:
            self._seen, self._seen_at = current, now

    def _lease(self) -> Lease | None:
        if self._seen is None:
            return None
        lease = decode(self._seen.value, self._seen.revision)
        if not isinstance(lease, Lease):
            raise StoreError(f"{self.key} holds a {lease.kind}; expected a Lease")
        return lease

    def _lasts(self, lease: Lease | None) -> int:
        """How long the holder said that it holds the lease, µs."""
        said = None if lease is None else lease.spec.lease_duration_seconds
        return (self._terms.duration if said is None else said) * _SECOND

    def _take(self, now: int, lease: Lease | None) -> None:
        """Writes this candidate into the lease, unless somebody else was faster."""
        spec = LeaseSpec() if lease is None else lease.spec
        time = format_micro_time(now)
        if spec.holder_identity != self.identity:
            transitions = 0 if lease is None else (spec.lease_transitions or 0) + 1
            spec = replace(spec, holder_identity=self.identity, acquire_time=time, lease_transitions=transitions)
        before = self._store.get(_FENCES + self.key) if self.fence is None else None
        if not self._write(now, replace(spec, renew_time=time, lease_duration_seconds=self._terms.duration)):
            return
        if self.fence is not None or self._put_up_fence(before):
            self._renewed_at = now

    def _put_up_fence(self, before: Entry | None) -> bool:
        """Shuts earlier leaders out; fails if another one has done so since ``before`` was seen."""
        key, expected = _FENCES + self.key, ABSENT if before is None else before.revision
        (result,) = self._store.write([Write(key, self.identity.encode(), expected)])
        if isinstance(result, Refused):
            return False
        self.fence = Fence(key, result.revision)
        return True

    def _meta_of_new(self, now: int) -> ObjectMeta:
        uid = make_uid(Key(Lease.kind, self._meta.namespace, self._meta.name), now)
        return replace(self._meta, uid=uid, creation_timestamp=format_time(now))

    def _write(self, now: int, spec: LeaseSpec) -> bool:
        """Stores the lease, if it is still as it was seen."""
        lease = self._lease() or Lease(metadata=self._meta_of_new(now))
        value = encode(replace(lease, spec=spec))
        try:
            if self._seen is None:
                self._seen = self._store.create(self.key, value)
            else:
                self._seen = self._store.update(self.key, value, self._seen.revision)
        except Refused as error:
            self._seen, self._seen_at = error.current, now
            self.step_down()
            return False
        self._seen_at = now
        return True
