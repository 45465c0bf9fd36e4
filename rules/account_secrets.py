"""Secrets of type kubernetes.io/service-account-token: filled with a token, removed with the account.

As kube-controller-manager's tokens controller. Nobody gets such a Secret unasked; one that names an account gets the
account's token, which has no end. A plan does without: tokens are for a control plane that has an API server.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Touched, itself
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from state.objects import Secret, ServiceAccount, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
#: Makes a token of a Secret, for the account of a name and uid; the same each time.
Issue = Callable[[Key, str, str], str]


class AccountSecrets(MethodConcern):
    """Fills and removes the Secrets that hold tokens of ServiceAccounts.

    Args:
        issue: makes tokens; None leaves the Secrets to others.
        root_ca: the certificate (PEM) of whom the token is for.
    """

    name: ClassVar[str] = "account-secrets"
    subjects: ClassVar[tuple[str, ...]] = (Secret.kind,)

    def __init__(self, issue: Issue | None = None, root_ca: str = "") -> None:
        super().__init__()
        self._issue, self._root_ca = issue, root_ca

    @staticmethod
    def _of_account(ws: Workspace, change: Change) -> Iterable[Key]:
        """The Secrets that name an account."""
        namespace, name = change.key.namespace, change.key.name
        for (place, secret), obj in ws.table(Secret.kind).items():
            if place == namespace and obj.metadata.annotations.get(_NAME) == name:
                yield Key(Secret.kind, place, secret)

    watches: ClassVar[Mapping[str, Touched]] = {Secret.kind: itself, ServiceAccount.kind: _of_account}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the account is there, and whether the Secret has all that it is to have."""
        secret = ws.find(Secret, key.namespace, key.name)
        if self._issue is None or secret is None or secret.type != TYPE or secret.metadata.deletion_timestamp:
            return None
        account = self._account(ws, secret)
        return {
            "name": key.name,
            "account": secret.metadata.annotations.get(_NAME, ""),
            "orphaned": account is None,
            "unfilled": account is not None and self._filled(secret, account) != secret,
        }

    @staticmethod
    def _account(ws: Workspace, secret: Secret) -> ServiceAccount | None:
        """The account that a Secret is of, if it is still the same one."""
        annotations = secret.metadata.annotations
        account = ws.find(ServiceAccount, secret.metadata.namespace, annotations.get(_NAME, ""))
        return account if account is not None and annotations.get(_UID) in (None, "", account.metadata.uid) else None

    def _filled(self, secret: Secret, account: ServiceAccount) -> Secret:
        meta, uid = secret.metadata, account.metadata.uid
        data = dict(secret.data)
        if not data.get("token"):
            assert self._issue is not None
            data["token"] = _encoded(self._issue(Key.of(secret), account.metadata.name, uid))
        data |= {"namespace": data.get("namespace") or _encoded(meta.namespace), "ca.crt": _encoded(self._root_ca)}
        if meta.annotations.get(_UID) != uid:
            meta = replace(meta, annotations={**meta.annotations, _UID: uid})
        return replace(secret, metadata=meta, data=data)

    # -- consequents ---------------------------------------------------------------------------------------------------

    def _fill(self, ctx: Context, key: Key, _: Fact) -> None:
        secret = ctx.ws.must(Secret, key)
        account = self._account(ctx.ws, secret)
        assert account is not None
        ctx.update(self._filled(secret, account))

    def _remove(self, ctx: Context, key: Key, _: Fact) -> None:
        secret = ctx.ws.must(Secret, key)
        ctx.delete(secret)

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="account-secret-fill",
            when=m.unfilled == True,  # noqa: E712 - durable-rules' own expressions
            then=_fill,
            why="{name} lacks the token of ServiceAccount {account}",
        ),
        Rule(
            name="account-secret-remove",
            when=m.orphaned == True,  # noqa: E712
            then=_remove,
            why="{name} is for ServiceAccount {account}, which doesn't exist",
        ),
    )


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
