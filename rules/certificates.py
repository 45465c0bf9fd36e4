"""CertificateSigningRequests: those of kubelets are approved, approved ones of the built-in signers are signed, and old
ones removed; as kube-controller-manager's csrapproving, csrsigning and csrcleaner controllers.

What takes keys or knows of rights is done by hands that are given (``Hands``). A plan does without: certificates are
for a control plane that has an API server.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from rules.actions import Fact
from rules.concern import Touched, itself
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from state.objects import CustomObject, Opaque, replace
from state.snapshot import Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

KIND = "CertificateSigningRequest.certificates.k8s.io"
CLIENT, KUBELET_CLIENT, KUBELET_SERVING = (
    f"kubernetes.io/{name}" for name in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving")
)
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
_ANSWERS = (APPROVED, DENIED, FAILED)
#: What of a request the server says.
_ASKER = ("extra", "groups", "uid", "username")
_NODES, _NODE = ("system:nodes",), "system:node:"
_HOUR = 3600 * SECOND
#: How long a request is kept: one that was answered, and one that wasn't.
_ANSWERED_LIFE, _PENDING_LIFE = _HOUR, 24 * _HOUR
#: How long a certificate is good for: at most, and at least; seconds.
_LONGEST, _SHORTEST = 365 * 86_400, 600
#: When it is asked again whether a kubelet may have a certificate without anybody's approval.
_ASK_AGAIN = 60 * SECOND
#: What a kubelet has to be allowed, and what is said when it is.
_APPROVALS = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


class Request(NamedTuple):
    """What a PKCS #10 request asks for."""

    common_name: str
    organizations: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


class Hands(Protocol):
    """Who has the key of the cluster's authority, and knows who may do what."""

    def read(self, request: str) -> Request | None:
        """What a request (``spec.request``) asks for; None if it can't be read."""

    def sign(self, request: str, usages: Sequence[str], seconds: int, now: int) -> bytes:
        """A certificate (PEM) for a request, good for so long from ``now`` (µs since the epoch)."""

    def ends(self, certificate: str) -> int | None:
        """When a certificate (``status.certificate``) ends, µs since the epoch; None if it can't be read."""

    def allows(self, spec: Mapping[str, Any], subresource: str) -> bool:
        """Whether who sent a request may create ``certificatesigningrequests`` of a kind without anybody's approval."""


# -- what a signer goes by ---------------------------------------------------------------------------------------------


def fault(signer: str, request: Request, usages: Iterable[str]) -> str | None:
    """Why a built-in signer doesn't sign, in its words; "" if it does, None if the signer isn't one of them."""
    wanted = frozenset(usages)
    if signer == CLIENT:
        return _client_fault(wanted)
    if signer == KUBELET_CLIENT:
        return _kubelet_client_fault(request, wanted)
    return _kubelet_serving_fault(request, wanted) if signer == KUBELET_SERVING else None


def _client_fault(usages: frozenset[str]) -> str:
    strange = sorted(usages - {"client auth", "digital signature", "key encipherment"})
    if strange:
        return f"invalid usage for client certificate: {strange[0]}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _kubelet_client_fault(request: Request, usages: frozenset[str]) -> str:
    checks = (
        (request.organizations == _NODES, "subject organization is not system:nodes"),
        (not request.dns_names, "DNS subjectAltNames are not allowed"),
        (not request.emails, "Email subjectAltNames are not allowed"),
        (not request.addresses, "IP subjectAltNames are not allowed"),
        (not request.uris, "URI subjectAltNames are not allowed"),
        (request.common_name.startswith(_NODE), "subject common name does not begin with system:node:"),
        _usual(usages, "client auth"),
    )
    return next((why for is_met, why in checks if not is_met), "")


def _kubelet_serving_fault(request: Request, usages: frozenset[str]) -> str:
    checks = (
        (request.organizations == _NODES, "subject organization is not system:nodes"),
        (bool(request.dns_names or request.addresses), "DNS or IP subjectAltName is required"),
        (not request.emails, "Email subjectAltNames are not allowed"),
        (not request.uris, "URI subjectAltNames are not allowed"),
        _usual(usages, "server auth"),
        (request.common_name.startswith(_NODE), "subject common name does not begin with system:node:"),
    )
    return next((why for is_met, why in checks if not is_met), "")


def _usual(usages: frozenset[str], purpose: str) -> tuple[bool, str]:
    """Whether a certificate is for that purpose and what any key of that kind is for, and what it should be for."""
    required = {purpose, "digital signature", "key encipherment"}
    is_met = usages in (required, required - {"key encipherment"})  # only RSA keys encipher
    return is_met, f"usages did not match [{' '.join(sorted(required))}]"


# -- reading and writing one -------------------------------------------------------------------------------------------


def requested_by(obj: CustomObject, asker: Mapping[str, Any]) -> CustomObject:
    """A new request as it is stored: who asks is told by the server, and nobody has answered yet.

    ``asker`` has ``username``, ``uid``, ``groups`` and ``extra`` of whoever is known.
    """
    body = obj.body.value
    spec = {name: value for name, value in _part(body, "spec").items() if name not in _ASKER}
    known = {name: asker[name] for name in _ASKER if asker.get(name)}
    return replace(obj, body=Opaque({**body, "spec": {**spec, **known}, "status": {}}))


def with_times(new: CustomObject, old: CustomObject, now: int) -> CustomObject:
    """A request whose new conditions say since when they hold (populateConditionTimestamps)."""
    body, at = new.body.value, format_time(now)
    since = {
        (each.get("type"), each.get("status")): each["lastTransitionTime"]
        for each in _conditions(old)
        if each.get("lastTransitionTime")
    }
    conditions = [
        {
            **each,
            "lastUpdateTime": each.get("lastUpdateTime") or at,
            "lastTransitionTime": each.get("lastTransitionTime")
            or since.get((each.get("type"), each.get("status")), at),
        }
        for each in _conditions(new)
    ]
    if not conditions:
        return new
    return replace(new, body=Opaque({**body, "status": {**_part(body, "status"), "conditions": conditions}}))


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _conditions(obj: CustomObject) -> list[dict[str, Any]]:
    found = _part(obj.body.value, "status").get("conditions")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _answer(obj: CustomObject, kind: str) -> dict[str, Any] | None:
    return next((each for each in _conditions(obj) if each.get("type") == kind and each.get("status") == "True"), None)


# -- the controllers ---------------------------------------------------------------------------------------------------


class Certificates(MethodConcern):
    """Approves, signs and removes requests for certificates.

    Args:
        hands: who does it; None leaves the requests to others.
    """

    name: ClassVar[str] = "certificates"
    subjects: ClassVar[tuple[str, ...]] = (KIND,)
    watches: ClassVar[Mapping[str, Touched]] = {KIND: itself}

    def __init__(self, hands: Hands | None = None) -> None:
        super().__init__()
        self._hands = hands

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """How the request was answered, and what is to be done about it; None if it is somebody else's."""
        obj = ws.get(key)
        if self._hands is None or not isinstance(obj, CustomObject) or obj.metadata.deletion_timestamp is not None:
            return None
        spec, issued = _part(obj.body.value, "spec"), bool(_part(obj.body.value, "status").get("certificate"))
        signer, usages = str(spec.get("signerName", "")), spec.get("usages") or ()
        request = self._hands.read(str(spec.get("request", "")))
        approved, denied, failed = (_answer(obj, kind) is not None for kind in _ANSWERS)
        why = None if request is None else fault(signer, request, usages)
        is_open = not (issued or approved or denied)
        kubelet = self._kubelet(spec, request, usages) if is_open and request is not None else None
        end = self._end(obj)
        return {
            "name": key.name,
            "signer": clipped(signer),
            "open": is_open,
            "approval": kubelet or "",
            "signed_here": approved and not (denied or failed or issued) and why is not None,
            "fault": clipped(why or ""),
            "expired": end is not None and end <= now,
            "wake_at": min(now + _ASK_AGAIN, now + _ASK_AGAIN if end is None else end) if kubelet == "" else end,
        }

    def _kubelet(self, spec: Mapping[str, Any], request: Request, usages: Iterable[str]) -> str | None:
        """What allows a kubelet to have its certificate; "" if nothing does, None if no kubelet asks."""
        if spec.get("signerName") != KUBELET_CLIENT or fault(KUBELET_CLIENT, request, usages):
            return None
        assert self._hands is not None
        is_own = spec.get("username") == request.common_name
        asked = tuple(_APPROVALS) if is_own else ("nodeclient",)
        return next((kind for kind in asked if self._hands.allows(spec, kind)), "")

    def _end(self, obj: CustomObject) -> int | None:
        """When the request is to be removed, µs since the epoch; None if that isn't known."""
        assert self._hands is not None
        answered = [
            parse_time(each["lastUpdateTime"]) + _ANSWERED_LIFE
            for each in _conditions(obj)
            if each.get("type") in _ANSWERS and each.get("lastUpdateTime")
        ]
        certificate = _part(obj.body.value, "status").get("certificate")
        end = self._hands.ends(certificate) if certificate else None
        made = obj.metadata.creation_timestamp
        pending = [parse_time(made) + _PENDING_LIFE] if made and not _conditions(obj) else []
        return min((*answered, *pending, *([] if end is None else [end])), default=None)

    # -- consequents ---------------------------------------------------------------------------------------------------

    def _approve(self, ctx: Context, key: Key, fact: Fact) -> None:
        self._say(ctx, key, APPROVED, "AutoApproved", _APPROVALS[str(fact["approval"])])

    def _fail(self, ctx: Context, key: Key, fact: Fact) -> None:
        self._say(ctx, key, FAILED, "SignerValidationFailure", str(fact["fault"]))

    @staticmethod
    def _say(ctx: Context, key: Key, kind: str, reason: str, message: str) -> None:
        obj = ctx.ws.get(key)
        assert isinstance(obj, CustomObject)
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        status = {**_part(obj.body.value, "status"), "conditions": [*_conditions(obj), condition]}
        new = replace(obj, body=Opaque({**obj.body.value, "status": status}))
        ctx.update_status(with_times(new, obj, ctx.now))

    def _sign(self, ctx: Context, key: Key, _: Fact) -> None:
        obj = ctx.ws.get(key)
        assert isinstance(obj, CustomObject)
        assert self._hands is not None
        spec = _part(obj.body.value, "spec")
        asked = spec.get("expirationSeconds")
        seconds = _LONGEST if asked is None else max(_SHORTEST, min(int(asked), _LONGEST))
        made = self._hands.sign(spec["request"], spec.get("usages") or (), seconds, ctx.now)
        status = {**_part(obj.body.value, "status"), "certificate": b64encode(made).decode()}
        ctx.update_status(replace(obj, body=Opaque({**obj.body.value, "status": status})))

    def _remove(self, ctx: Context, key: Key, _: Fact) -> None:
        obj = ctx.ws.get(key)
        assert obj is not None
        ctx.delete(obj)

    def _await(self, ctx: Context, _: Key, fact: Fact) -> None:
        ctx.note(without="wake_at")
        self._keep(ctx, _, fact)

    def _keep(self, ctx: Context, _: Key, fact: Fact) -> None:
        at = fact["wake_at"]
        if isinstance(at, int):
            ctx.wake(at)

    _KEPT = m.expired == False  # noqa: E712 - durable-rules' own expressions

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="certificate-remove",
            when=m.expired == True,  # noqa: E712
            then=_remove,
            why="request {name} has been there for long enough",
        ),
        Rule(
            name="certificate-approve",
            when=_KEPT & (m.approval != ""),
            then=_approve,
            why="request {name} is a kubelet's, which may have it approved ({approval})",
        ),
        Rule(
            name="certificate-refuse",
            when=_KEPT & (m.signed_here == True) & (m.fault != ""),  # noqa: E712
            then=_fail,
            why="request {name} isn't one that {signer} signs: {fault}",
        ),
        Rule(
            name="certificate-sign",
            when=_KEPT & (m.signed_here == True) & (m.fault == ""),  # noqa: E712
            then=_sign,
            why="request {name} was approved, and {signer} is signed for here",
        ),
        Rule(
            name="certificate-await",
            when=_KEPT & (m.open == True) & (m.approval == ""),  # noqa: E712
            then=_await,
            why="request {name} waits for somebody to approve or deny it",
        ),
        Rule(
            name="certificate-keep",
            when=_KEPT & (m.open == False) & (m.signed_here == False),  # noqa: E712
            then=_keep,
            why="request {name} was answered, and is kept for an hour",
        ),
    )
