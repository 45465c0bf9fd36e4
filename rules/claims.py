"""PersistentVolumeClaims: binding to a volume, or waiting for one; the claim half of the binder.

A claim gets the volume that it asks for by name, else one made for it, else the smallest free one that suits it. If
there is none, its StorageClass says what happens: the claim waits for a pod, or a provisioner outside is told to make
a volume. Every binding is written to both sides at once, after another look at the volume: none gets two claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.admission import default_storage_class
from rules.binding import SOURCE, bound, is_for, requested, without_volume
from rules.claim_facts import NOBODY, OTHER, PROVISIONER, asks, bound_facts, consumer, named_facts
from rules.concern import Touched, note
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from rules.pods import is_finished
from rules.scheduling.volumes import (
    BIND_COMPLETED,
    NO_PROVISIONER,
    SELECTED_NODE,
    WAIT_FOR_FIRST_CONSUMER,
    claim_class,
    volume_class,
)
from rules.volume_tables import (
    ClaimReferences,
    ClaimUsers,
    FreeVolumes,
    best_match,
    claim_of,
    is_free,
    named_by,
    waiting_in,
)
from state.objects import PersistentVolume, PersistentVolumeClaim, StorageClass, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

_OPEN = (m.completed == False) & (m.fits == False)  # noqa: E712 - durable-rules' own expressions
_ANY = _OPEN & (m.named == False)  # noqa: E712
_UNHELPED = _ANY & (m.default_class == "")
_PROVISIONED = _UNHELPED & (m.waits == False) & (m.class_exists == True)  # noqa: E712
_NAMED = _OPEN & (m.named == True)  # noqa: E712


def _telling(reason: str, message: str, *, warning: bool = False, source: str = SOURCE) -> Callable[..., None]:
    """A consequent that leaves a note, and an event over the facts unless it was the last one about the claim."""

    def tell(concern: ClaimBinding, ctx: Context, key: Key, fact: Fact) -> None:
        ctx.note()
        told = (reason.format_map(fact), message.format_map(fact))
        if concern.told.get(key) != told:
            concern.told[key] = told
            ctx.event(key, *told, warning=warning, source=source)

    return tell


class ClaimBinding(MethodConcern):
    """Binds claims to volumes, and says what unbound ones wait for."""

    name: ClassVar[str] = "claims"
    subjects: ClassVar[Sequence[str]] = ("PersistentVolumeClaim",)

    def __init__(self) -> None:
        super().__init__()
        #: Claims that have no volume and name none, by class; claims by the volume that they name.
        self._waiting: dict[str, dict[Key, None]] = {}
        self._naming: dict[str, dict[Key, None]] = {}
        #: Claims by the free volume that was found for them, until it changes.
        self._counting_on: dict[str, dict[Key, None]] = {}
        #: Classes whose waiting claims are all due already.
        self._stirred: set[str] = set()
        #: The last event about a claim: what is true for long is said once.
        self.told: dict[Key, tuple[str, str]] = {}

    _references: ClaimReferences
    _free: FreeVolumes
    _users: ClaimUsers

    def attach(self, ws: Workspace) -> None:
        """Builds the tables over volumes, claims and pods."""
        self._references, self._free, self._users = ClaimReferences(ws), FreeVolumes(ws), ClaimUsers(ws)
        for table in (self._waiting, self._naming, self._counting_on, self.told):
            table.clear()
        self._stirred.clear()
        for ns_name, claim in ws.table("PersistentVolumeClaim").items():
            self._record(Change(Key("PersistentVolumeClaim", *ns_name), None, claim))

    # -- what makes a claim due --------------------------------------------------------------------------------------

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Claims, volumes, classes, and the pods that a claim waits for."""
        return {
            "PersistentVolumeClaim": self._claim_touched,
            "PersistentVolume": self._volume_touched,
            "StorageClass": self._class_touched,
            "Pod": self._pod_touched,
        }

    def _record(self, change: Change) -> None:
        """Takes note of a changed claim."""
        for table, before, after in (
            (self._waiting, waiting_in(change.old), waiting_in(change.new)),
            (self._naming, named_by(change.old), named_by(change.new)),
        ):
            if before == after:
                continue
            if before is not None:
                table[before].pop(change.key, None)
            if after is not None:
                table.setdefault(after, {})[change.key] = None

    def _claim_touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        self._record(change)
        if change.new is None:
            self.told.pop(change.key, None)
            return ()
        return (change.key,)

    def _volume_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        """Claims that name it, that it names, that counted on it; and if it becomes free, those of its class."""
        self._references.advance(change)
        self._free.advance(change)
        name = change.key.name
        yield from self._naming.get(name, ())
        yield from self._counting_on.pop(name, ())
        for claim in {claim_of(change.old), claim_of(change.new)}:
            if claim is not None and claim in ws.table("PersistentVolumeClaim"):
                yield Key("PersistentVolumeClaim", *claim)
        if isinstance(change.new, PersistentVolume) and is_free(change.new):
            yield from self._stir(volume_class(change.new))

    def _stir(self, class_name: str) -> Iterable[Key]:
        """The waiting claims of a class, once until they are looked at."""
        if class_name in self._stirred:
            return ()
        self._stirred.add(class_name)
        return tuple(self._waiting.get(class_name, ()))

    def _class_touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        """Claims of the class, and those that have none yet: it may be a new default."""
        return [*self._stir(change.key.name), *self._stir("")]

    def _pod_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        for claim in self._users.advance(change):
            found = ws.get(Key("PersistentVolumeClaim", *claim))
            if waiting_in(found) is not None:
                yield Key("PersistentVolumeClaim", *claim)

    def run(self, ctx: Context, due: Sequence[Key]) -> None:
        """Looks at the claims that are due."""
        self._stirred.clear()
        super().run(ctx, due)

    # -- what there is to decide -------------------------------------------------------------------------------------

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Which volume the claim names or could have, and what its class offers if there is none."""
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        if claim is None:
            return None
        completed = BIND_COMPLETED in claim.metadata.annotations
        if not completed and claim.metadata.deletion_timestamp is not None:
            return None
        size = requested(claim)
        name = claim.spec.volume_name or ""
        fact: dict[str, int | str | bool | None] = {
            "name": key.name,
            "namespace": key.namespace,
            "phase": claim.status.phase or "",
            "size": str(size),
            "class_name": claim_class(claim),
            "completed": completed,
            "named": bool(name),
            "volume": name,
        }
        volume = ws.find(PersistentVolume, "", name) if name else None
        if completed:
            return {**fact, **bound_facts(claim, volume, now)}
        return {**fact, **(named_facts(claim, volume) if name else self._open_facts(ws, key, claim))}

    def _open_facts(self, ws: Workspace, key: Key, claim: PersistentVolumeClaim) -> dict[str, int | str | bool]:
        """About a claim that takes any volume that suits it."""
        storage_class = ws.find(StorageClass, "", claim_class(claim))
        found = self._best(ws, claim, storage_class)
        if found is not None:
            self._counting_on.setdefault(found.metadata.name, {})[key] = None
            return {"fits": True, "made": is_for(found, claim)}
        waits = _is_delayed(storage_class) and SELECTED_NODE not in claim.metadata.annotations
        pods = self._users.pods(ws, key.ns_name) if waits else ()
        unscheduled = [pod.metadata.name for pod in pods if not pod.spec.node_name and not is_finished(pod)]
        unset = claim.spec.storage_class_name is None and not claim_class(claim)
        return {
            "fits": False,
            "default_class": (default_storage_class(ws) or "") if unset else "",
            "class_exists": storage_class is not None,
            "waits": waits,
            "awaits": "WaitForPodScheduled" if unscheduled else "WaitForFirstConsumer",
            "consumer": consumer(unscheduled),
            "provisioner": "" if storage_class is None else storage_class.provisioner,
            "asked": storage_class is not None and asks(claim, storage_class.provisioner),
        }

    def _best(
        self, ws: Workspace, claim: PersistentVolumeClaim, storage_class: StorageClass | None
    ) -> PersistentVolume | None:
        return best_match(ws, claim, self._references, self._free, delayed=_is_delayed(storage_class))

    # -- consequents -------------------------------------------------------------------------------------------------

    def _bind_found(self, ctx: Context, key: Key, _: Fact) -> None:
        """Looks again: the volume found first may have gone to another claim meanwhile."""
        claim = ctx.ws.must(PersistentVolumeClaim, key)
        volume = self._best(ctx.ws, claim, ctx.ws.find(StorageClass, "", claim_class(claim)))
        if volume is not None:
            ctx.bind_claim(*bound(claim, volume, ctx.now))

    def _bind_named(self, ctx: Context, key: Key, _: Fact) -> None:
        claim = ctx.ws.must(PersistentVolumeClaim, key)
        volume = ctx.ws.find(PersistentVolume, "", claim.spec.volume_name or "")
        if volume is not None and (volume.spec.claim_ref is None or is_for(volume, claim)):
            ctx.bind_claim(*bound(claim, volume, ctx.now))

    def _take_default(self, ctx: Context, key: Key, fact: Fact) -> None:
        claim = ctx.ws.must(PersistentVolumeClaim, key)
        ctx.update(replace(claim, spec=replace(claim.spec, storage_class_name=str(fact["default_class"]))))

    def _ask(self, ctx: Context, key: Key, fact: Fact) -> None:
        claim = ctx.ws.must(PersistentVolumeClaim, key)
        annotations = {**claim.metadata.annotations, **dict.fromkeys(PROVISIONER, str(fact["provisioner"]))}
        ctx.update(replace(claim, metadata=replace(claim.metadata, annotations=annotations)))

    def _pend(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.update_status(without_volume(ctx.ws.must(PersistentVolumeClaim, key), "Pending"))

    def _lose(self, ctx: Context, key: Key, fact: Fact) -> None:
        ctx.update_status(without_volume(ctx.ws.must(PersistentVolumeClaim, key), "Lost"))
        reason = "ClaimMisbound" if fact["holder"] == OTHER else "ClaimLost"
        ctx.event(key, reason, str(fact["loss"]), warning=True, source=SOURCE)

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="claim-bind-named",
            when=(m.completed == False) & (m.named == True) & (m.fits == True),  # noqa: E712
            then=_bind_named,
            why="claim {name} asks for volume {volume}",
        ),
        Rule(
            name="claim-bind-made",
            when=(m.completed == False) & (m.named == False) & (m.fits == True) & (m.made == True),  # noqa: E712
            then=_bind_found,
            why="claim {name} gets the volume that is kept for it",
        ),
        Rule(
            name="claim-bind",
            when=(m.completed == False) & (m.named == False) & (m.fits == True) & (m.made == False),  # noqa: E712
            then=_bind_found,
            why="claim {name} asks for {size} of class '{class_name}': it gets the smallest free volume that suits it",
        ),
        Rule(
            name="claim-rebind",
            when=(m.completed == True) & (m.loss == "") & (m.settled == False),  # noqa: E712
            then=_bind_named,
            why="claim {name} is bound to volume {volume}, but not all fields of the two say so",
        ),
        Rule(
            name="claim-lose",
            when=(m.completed == True) & (m.loss != "") & (m.phase != "Lost"),  # noqa: E712
            then=_lose,
            why="claim {name}: {loss}",
        ),
        Rule(
            name="claim-lost",
            when=(m.completed == True) & (m.loss != "") & (m.phase == "Lost"),  # noqa: E712
            then=note,
            why="claim {name} is lost for good: {loss}",
        ),
        Rule(
            name="claim-expand",
            when=(m.completed == True) & (m.loss == "") & (m.grows == True),  # noqa: E712
            then=_telling(
                "ExternalExpanding", "waiting for an external controller to expand this PVC", source="volume_expand"
            ),
            why="claim {name} asks for {size} and has {capacity}: it waits for its volume {volume} to be expanded",
        ),
        Rule(
            name="claim-pending",
            when=_OPEN & (m.phase != "Pending"),
            then=_pend,
            why="claim {name} is not bound to a volume",
        ),
        Rule(
            name="claim-default-class",
            when=_ANY & (m.default_class != ""),
            then=_take_default,
            why="claim {name} names no class, and {default_class} is the default class by now",
        ),
        Rule(
            name="claim-await-consumer",
            when=_UNHELPED & (m.waits == True),  # noqa: E712
            then=_telling("{awaits}", "{consumer}"),
            why="claim {name} of class '{class_name}': {consumer}",
        ),
        Rule(
            name="claim-no-class",
            when=_UNHELPED & (m.class_name == ""),
            then=_telling(
                "FailedBinding", "no persistent volumes available for this claim and no storage class is set"
            ),
            why="claim {name}: no free volume of {size} suits it, and it names no class that could provide one",
        ),
        Rule(
            name="claim-class-missing",
            when=_UNHELPED & (m.class_name != "") & (m.class_exists == False),  # noqa: E712
            then=_telling("ProvisioningFailed", 'storageclass.storage.k8s.io "{class_name}" not found', warning=True),
            why="claim {name}: no free volume of {size} suits it, and there is no StorageClass '{class_name}'",
        ),
        Rule(
            name="claim-no-provisioner",
            when=_PROVISIONED & (m.provisioner == NO_PROVISIONER),
            then=_telling("ProvisioningFailed", "no volume plugin matched name: {provisioner}", warning=True),
            why="claim {name}: no free volume of {size} suits it, and class '{class_name}' makes none",
        ),
        Rule(
            name="claim-ask-provisioner",
            when=_PROVISIONED & (m.provisioner != NO_PROVISIONER) & (m.asked == False),  # noqa: E712
            then=_ask,
            why="claim {name}: no free volume of {size} suits it, so provisioner {provisioner} is to make one",
        ),
        Rule(
            name="claim-await-provisioner",
            when=_PROVISIONED & (m.provisioner != NO_PROVISIONER) & (m.asked == True),  # noqa: E712
            then=_telling(
                "ExternalProvisioning",
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by "
                "the system administrator. If volume creation is delayed, please verify that the provisioner is "
                "running and correctly registered.",
            ),
            why="claim {name} waits for provisioner {provisioner} to make a volume of {size}",
        ),
        Rule(
            name="claim-volume-missing",
            when=_NAMED & (m.holder == ""),
            then=note,
            why="claim {name} asks for volume {volume}, which does not exist",
        ),
        Rule(
            name="claim-volume-unfit",
            when=_NAMED & (m.holder == NOBODY),
            then=_telling("VolumeMismatch", 'Cannot bind to requested volume "{volume}": {mismatch}', warning=True),
            why="claim {name} asks for volume {volume}: {mismatch}",
        ),
        Rule(
            name="claim-volume-taken",
            when=_NAMED & (m.holder == OTHER),
            then=_telling("FailedBinding", 'volume "{volume}" already bound to a different claim.', warning=True),
            why="claim {name} asks for volume {volume}, which is another claim's",
        ),
    )


def _is_delayed(storage_class: StorageClass | None) -> bool:
    return storage_class is not None and storage_class.volume_binding_mode == WAIT_FOR_FIRST_CONSUMER
