"""Namespaces: what each of them has from the start, and how one that is deleted is emptied and then let go.

As kube-controller-manager's serviceaccount, root-ca-cert-publisher and namespace controllers; the last deletes pods
before anything else (OrderedNamespaceDeletion). A plan does without the
first two: they are for a control plane that has an API server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import ANY, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from state.objects import KINDS, ConfigMap, Namespace, NamespaceCondition, ObjectMeta, Pod, ServiceAccount, replace
from state.snapshot import Change, Key
from state.times import format_time
from state.workspace import Workspace

ROOT_CA = "kube-root-ca.crt"
_FINALIZER = "kubernetes"
#: What each namespace has.
_FURNITURE = (("ConfigMap", ROOT_CA), ("ServiceAccount", "default"))
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
#: What a deletion that goes well says of each condition: type, reason and message while it is False.
_WELL = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
)


class Namespaces(MethodConcern):
    """Furnishes and empties namespaces.

    Args:
        root_ca: the certificate (PEM) that pods are to trust; None where namespaces aren't furnished.
        tokens: whether pods get the token of the account that every namespace has.
    """

    name: ClassVar[str] = "namespaces"
    subjects: ClassVar[tuple[str, ...]] = ("Namespace",)
    sees_bindings: ClassVar[bool] = False

    def __init__(self, root_ca: str | None = None, *, tokens: bool = True) -> None:
        super().__init__()
        self._root_ca, self._tokens = root_ca, tokens
        #: What is in the namespaces that are being deleted.
        self._content: dict[str, dict[Key, None]] = {}

    def attach(self, ws: Workspace) -> None:
        """Begins anew to follow a workspace."""
        self._content = {}
        ws.listen(self._record)

    def _record(self, change: Change) -> None:
        key, old, new = change
        content = self._content.get(key.namespace)
        if content is None:  # of which there is one for each change of a plan
            if key.kind == Namespace.kind and (new is None or new.metadata.deletion_timestamp is None):
                self._content.pop(key.name, None)
        elif new is None:
            content.pop(key, None)
        elif old is None:
            content[key] = None

    def _content_of(self, ws: Workspace, name: str) -> dict[Key, None]:
        """What is in a namespace that is being deleted; from now on it is kept up."""
        found = self._content.get(name)
        if found is None:
            found = {Key(kind, *at): None for kind in ws.kinds for at in ws.table(kind) if at[0] == name}
            self._content[name] = found
        return found

    def _touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        """A namespace itself; one that is being deleted by whatever happens in it, others by what each must have."""
        kind, namespace, name = change.key
        if kind == Namespace.kind:
            return () if change.new is None else (change.key,)
        if namespace in self._content or (kind, name) in _FURNITURE:
            return (Key(Namespace.kind, "", namespace),)
        return ()

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Everything: whatever is in a namespace keeps it."""
        return {ANY: self._touched}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What the namespace lacks, or what is still in it."""
        namespace = ws.find(Namespace, "", key.name)
        if namespace is None:
            return None
        terminating = namespace.metadata.deletion_timestamp is not None
        is_furnished = self._root_ca is not None
        account = ws.find(ServiceAccount, key.name, "default")
        published = ws.find(ConfigMap, key.name, ROOT_CA)
        return {
            "name": key.name,
            "terminating": terminating,
            "finalized": _FINALIZER not in namespace.spec.finalizers,
            "lacks_account": is_furnished and account is None,
            "lacks_ca": is_furnished and (published is None or published.data.get("ca.crt") != self._root_ca),
            "content": len(self._content_of(ws, key.name)) if terminating else 0,
        }

    # -- consequents ---------------------------------------------------------------------------------------------------

    def _create_account(self, ctx: Context, key: Key, _: Fact) -> None:
        meta = ObjectMeta(name="default", namespace=key.name)
        ctx.create(ServiceAccount(metadata=meta, automount_service_account_token=None if self._tokens else False))

    def _publish_ca(self, ctx: Context, key: Key, _: Fact) -> None:
        assert self._root_ca is not None
        data = {"ca.crt": self._root_ca}
        published = ctx.ws.find(ConfigMap, key.name, ROOT_CA)
        if published is not None:
            ctx.update(replace(published, data=data))
            return
        annotations = {"kubernetes.io/description": _DESCRIPTION}
        ctx.create(ConfigMap(metadata=ObjectMeta(name=ROOT_CA, namespace=key.name, annotations=annotations), data=data))

    def _empty(self, ctx: Context, key: Key, _: Fact) -> None:
        """Pods go first: what they may still need stays until the last of them has ended."""
        left = _deleted(ctx, [item for item in sorted(self._content_of(ctx.ws, key.name)) if item.kind == Pod.kind])
        left = left or _deleted(ctx, sorted(self._content_of(ctx.ws, key.name)))
        namespace = ctx.ws.must(Namespace, key)
        problems = dict(_remaining(ctx.ws, left))
        conditions = tuple(_condition(namespace, problems, each, ctx.now) for each in _WELL)
        ctx.update_status(replace(namespace, status=replace(namespace.status, conditions=conditions)))
        if left:
            ctx.note()
        else:
            self._finalize(ctx, key, {})

    def _finalize(self, ctx: Context, key: Key, _: Fact) -> None:
        namespace = ctx.ws.must(Namespace, key)
        kept = tuple(name for name in namespace.spec.finalizers if name != _FINALIZER)
        ctx.update(replace(namespace, spec=replace(namespace.spec, finalizers=kept)))

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="namespace-account",
            when=(m.terminating == False) & (m.lacks_account == True),  # noqa: E712 - durable-rules' own expressions
            then=_create_account,
            why="{name} has no ServiceAccount that its pods could use",
        ),
        Rule(
            name="namespace-root-ca",
            when=(m.terminating == False) & (m.lacks_ca == True),  # noqa: E712
            then=_publish_ca,
            why="{name} doesn't say which certificate its pods are to trust",
        ),
        Rule(
            name="namespace-empty",
            when=(m.terminating == True) & (m.finalized == False),  # noqa: E712
            then=_empty,
            why="{name} is being deleted and has {content} objects",
        ),
    )


def _deleted(ctx: Context, keys: Sequence[Key]) -> list[Key]:
    """Deletes what isn't being deleted yet; returns what is still there."""
    for key in keys:
        obj = ctx.ws.get(key)
        if obj is not None and obj.metadata.deletion_timestamp is None:
            ctx.delete(obj, policy="Background")
    return [key for key in keys if ctx.ws.get(key) is not None]


def _condition(
    namespace: Namespace, problems: Mapping[str, tuple[str, str]], usual: tuple[str, str, str], now: int
) -> NamespaceCondition:
    """A condition as it is to be; an unchanged one keeps its time."""
    kind, reason, message = usual
    status = "False"
    if kind in problems:
        status = "True"
        reason, message = problems[kind]
    before = next((each for each in namespace.status.conditions if each.type == kind), None)
    at = format_time(now)
    if before is not None and (before.status, before.reason, before.message) == (status, reason, message):
        at = before.last_transition_time or at
    return NamespaceCondition(type=kind, status=status, reason=reason, message=message, last_transition_time=at)


def _remaining(ws: Workspace, left: list[Key]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The conditions that are True because something is left: with reason and message."""
    kinds: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for key in left:
        kinds[_resource(key.kind)] = kinds.get(_resource(key.kind), 0) + 1
        obj = ws.get(key)
        for name in obj.metadata.finalizers if obj is not None else ():
            finalizers[name] = finalizers.get(name, 0) + 1
    if kinds:
        parts = ", ".join(f"{name} has {kinds[name]} resource instances" for name in sorted(kinds))
        yield "NamespaceContentRemaining", ("SomeResourcesRemain", f"Some resources are remaining: {parts}")
    if finalizers:
        parts = ", ".join(f"{name} in {finalizers[name]} resource instances" for name in sorted(finalizers))
        text = f"Some content in the namespace has finalizers remaining: {parts}"
        yield "NamespaceFinalizersRemaining", ("SomeFinalizersRemain", text)


def _resource(kind: str) -> str:
    """A kind as the namespace controller names it: ``configmaps.``, ``deployments.apps``."""
    typed = KINDS.get(kind)
    if typed is not None:
        return f"{typed.plural}.{typed.group}"
    name, _, group = kind.partition(".")
    return f"{name.lower()}s.{group}"
