"""Questions about users and rights, answered on the spot: ``kubectl auth can-i`` and ``whoami``, tokens of accounts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from reconciler.apiserver.api import Api
from reconciler.apiserver.auth import authenticated
from reconciler.apiserver.auth_tokens import BINDABLE, ISSUER, AccountTokens, Bound, Claims, account_user
from reconciler.apiserver.decode import JSON, UNREGISTERED, kind_fault, parse_body
from reconciler.apiserver.forms import complete
from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.http import read_body
from reconciler.apiserver.messages import fields_of, name_of_message
from reconciler.apiserver.protobuf import as_json
from reconciler.apiserver.rbac import MASTERS, Attributes, Authorizer, PolicyRule, User
from reconciler.apiserver.status import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    method_not_allowed,
    no_such_resource,
    not_found,
)
from state.errors import Problem
from state.errors import invalid as invalid_value
from state.objects import AnyObject, Pod, Secret
from state.times import format_time

Json = dict[str, Any]
_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
_HOUR, _LEAST, _MOST = 3600, 600, 1 << 32
_MAX_BODY = 1 << 16
_SECOND = 1_000_000
#: The keys of what is known of an account's token beside the account.
_EXTRA = "authentication.kubernetes.io"


class AccountAuthenticator:
    """Knows the tokens of ServiceAccounts. One is good as long as its account is there, and the object that it is bound
    to or kept in.
    """

    def __init__(self, api: Api, tokens: AccountTokens) -> None:
        self._api, self._tokens = api, tokens

    def user(self, token: str, audience: str = ISSUER) -> User | None:
        """Whose token it is."""
        claims = self._tokens.claims(token, self._api.clock(), audience)
        if claims is None or _uid(self._api, "ServiceAccount", claims.namespace, claims.name) != claims.uid:
            return None
        bound = claims.bound
        if bound is not None and _uid(self._api, bound.kind, claims.namespace, bound.name) != bound.uid:
            return None
        if claims.secret and not self._is_kept(token, claims):
            return None
        user = account_user(claims.namespace, claims.name, claims.uid)
        extra = {f"{_EXTRA}/credential-id": f"JTI={claims.id}"} if claims.id else {}
        if bound is not None and bound.kind != "Secret":
            kind = bound.kind.lower()
            extra |= {f"{_EXTRA}/{kind}-name": bound.name, f"{_EXTRA}/{kind}-uid": bound.uid}
        return replace(user, extra=tuple((key, (value,)) for key, value in extra.items()))

    def _is_kept(self, token: str, claims: Claims) -> bool:
        """Whether the Secret that a token is from still has it."""
        secret = _find(self._api, "Secret", claims.namespace, claims.secret)
        return isinstance(secret, Secret) and secret.data.get("token") == b64encode(token.encode()).decode()


def _find(api: Api, kind: str, namespace: str, name: str) -> AnyObject | None:
    resource = api.registry.of_kind("v1", kind)
    assert resource is not None
    stored = api.storage.get(resource, namespace if resource.namespaced else "", name)
    return None if stored is None else stored.object


def _uid(api: Api, kind: str, namespace: str, name: str) -> str | None:
    found = _find(api, kind, namespace, name)
    return None if found is None else found.metadata.uid


class _Question(NamedTuple):
    """A kind of question, and what makes its status of who asks, what they sent (which it may complete), and where."""

    kind: str
    status: Callable[[User, Json, Attributes], Json]


class ReviewAnswers:
    """Answers them; ``authenticate`` tells whose a token is that is for an audience."""

    def __init__(
        self, api: Api, authorizer: Authorizer, tokens: AccountTokens, authenticate: Callable[[str, str], User | None]
    ) -> None:
        self._api, self._authorizer, self._tokens, self._authenticate = api, authorizer, tokens, authenticate
        self._questions: dict[tuple[str, str, str], _Question] = {
            ("", "serviceaccounts", "token"): _Question("TokenRequest", self._token_request),
            (_AUTHENTICATION, "selfsubjectreviews", ""): _Question("SelfSubjectReview", self._whoami),
            (_AUTHENTICATION, "tokenreviews", ""): _Question("TokenReview", self._token_review),
            (_AUTHORIZATION, "localsubjectaccessreviews", ""): _Question("LocalSubjectAccessReview", self._access),
            (_AUTHORIZATION, "selfsubjectaccessreviews", ""): _Question("SelfSubjectAccessReview", self._access),
            (_AUTHORIZATION, "selfsubjectrulesreviews", ""): _Question("SelfSubjectRulesReview", self._rules),
            (_AUTHORIZATION, "subjectaccessreviews", ""): _Question("SubjectAccessReview", self._access),
        }

    async def answer(self, request: Request, user: User, wanted: Attributes) -> Response | None:
        """The answer; None if the request is none of these questions.

        Raises:
            ApiError: the question makes no sense.
        """
        question = self._questions.get((wanted.group, wanted.resource, wanted.subresource))
        if question is None:
            return None
        if wanted.name and not wanted.subresource:
            raise no_such_resource()
        if wanted.verb != "create":
            raise method_not_allowed()
        api_version = f"{wanted.group or _AUTHENTICATION}/v1"
        message = name_of_message(api_version, question.kind)
        media = request.headers.get("content-type", "").partition(";")[0].strip() or JSON
        document = _read(*as_json(await read_body(request, _MAX_BODY), media), api_version, question.kind)
        asked: Json = {name: document.get(name) or {} for name in ("metadata", "spec") if name in fields_of(message)}
        status = question.status(user, asked, wanted)
        result: Json = {"kind": question.kind, "apiVersion": api_version, **asked, "status": status}
        complete(message, result)
        return Response(orjson.dumps(result), 201, media_type=JSON)

    def _whoami(self, user: User, asked: Json, _: Attributes) -> Json:
        asked["metadata"] = {"creationTimestamp": format_time(self._api.clock())}
        return {"userInfo": _shown(user)}

    def _token_review(self, _: User, asked: Json, __: Attributes) -> Json:
        spec = asked["spec"]
        token, audiences = spec.get("token"), spec.get("audiences") or [ISSUER]
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        users = {each: user for each in audiences if (user := self._authenticate(token, each)) is not None}
        if not users:
            return {"error": "invalid bearer token", "user": {}}
        user = authenticated(next(iter(users.values())))
        return {"audiences": list(users), "authenticated": True, "user": _shown(user)}

    def _access(self, user: User, asked: Json, wanted: Attributes) -> Json:
        spec, is_own = asked["spec"], wanted.resource == "selfsubjectaccessreviews"
        problems = [*_problems(asked, is_own=is_own, namespace=wanted.namespace)]
        if problems:
            raise invalid("", _AUTHORIZATION, "", problems)
        who = user if is_own else User(spec.get("user") or "", tuple(spec.get("groups") or ()))
        return {"allowed": self._authorizer.allows(who, _attributes(spec))}

    def _rules(self, user: User, asked: Json, _: Attributes) -> Json:
        namespace = asked.pop("spec").get("namespace")
        if not namespace:
            raise bad_request("no namespace on request")
        asked["spec"] = {}
        rules = list(self._authorizer.rules(user, namespace))
        if MASTERS in user.groups:
            every = frozenset({"*"})
            rules += [PolicyRule(every, every, every), PolicyRule(every, paths=every)]
        return {
            "incomplete": False,
            "nonResourceRules": [rule.to_dict() for rule in rules if rule.paths],
            "resourceRules": [rule.to_dict() for rule in rules if not rule.paths],
        }

    def _token_request(self, _: User, asked: Json, wanted: Attributes) -> Json:
        spec, meta = asked["spec"], asked["metadata"]
        if meta.get("name") not in (None, "", wanted.name):
            why = "must match the service account name if specified"
            raise _invalid_token_request(invalid_value("metadata.name", meta["name"], why), wanted.name)
        uid = _uid(self._api, "ServiceAccount", wanted.namespace, wanted.name)
        if uid is None:
            raise not_found("serviceaccounts", "", wanted.name)
        spec.setdefault("expirationSeconds", _HOUR)
        seconds, audiences = spec["expirationSeconds"], spec.get("audiences") or []
        if not _LEAST <= seconds <= _MOST:
            bound_told = "less than 10 minutes" if seconds < _LEAST else "larger than 2^32 seconds"
            problem = invalid_value("spec.expirationSeconds", seconds, f"may not specify a duration {bound_told}")
            raise _invalid_token_request(problem)
        spec["audiences"] = audiences or [ISSUER]
        now = self._api.clock()
        asked["metadata"] = {"name": wanted.name, "namespace": wanted.namespace, "creationTimestamp": format_time(now)}
        bound = self._bound(spec.get("boundObjectRef"), wanted)
        token = self._tokens.issue(
            wanted.namespace, wanted.name, uid, audiences=audiences, seconds=seconds, now=now, bound=bound
        )
        return {"expirationTimestamp": format_time(now + seconds * _SECOND), "token": token}

    def _bound(self, reference: Any, wanted: Attributes) -> Bound | None:
        """What a token is to be bound to."""
        if reference is None:
            return None
        kind, name = reference.get("kind"), reference.get("name") or ""
        if kind not in BINDABLE or reference.get("apiVersion") != "v1":
            version = reference.get("apiVersion")
            raise bad_request(f"cannot bind token to object of type {version}, Kind={kind}")
        found = _find(self._api, kind, wanted.namespace, name)
        if found is None:
            raise not_found(f"{kind.lower()}s", "", name)
        if isinstance(found, Pod) and (found.spec.service_account_name or "default") != wanted.name:
            why = "to pod running with different serviceaccount name."
            raise bad_request(f'cannot bind token for serviceaccount "{wanted.name}" {why}')
        given, uid = reference.get("uid"), found.metadata.uid
        if given and given != uid:
            why = f"the UID in the bound object reference ({given}) does not match the UID in record. The object might "
            raise conflict(f"{kind.lower()}s", "", name, f"{why}have been deleted and then recreated")
        return Bound(kind, name, uid)


def _read(body: bytes, media: str, api_version: str, kind: str) -> Json:
    """A question as it was sent.

    Raises:
        ApiError: it is something else.
    """
    document = parse_body(body, media, kind) if body else {}
    fault = kind_fault(document)
    if fault:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {fault}")
    given = document.get("apiVersion") or api_version, document.get("kind") or kind
    why = UNREGISTERED.format(kind=given[1], api_version=given[0]) if given != (api_version, kind) else ""
    why = why or message_fault(name_of_message(api_version, kind), document)
    if why:
        raise bad_request(f'{given[1]} in version "{given[0].rpartition("/")[2]}" cannot be handled as a {kind}: {why}')
    read: Json = document
    return read


def _invalid_token_request(problem: Problem, name: str = "") -> ApiError:
    return invalid("TokenRequest", _AUTHENTICATION, name, [problem])


def _shown(user: User) -> Json:
    shown: Json = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        shown["uid"] = user.uid
    if user.extra:
        shown["extra"] = {key: list(values) for key, values in user.extra}
    return shown


def _problems(asked: Json, *, is_own: bool, namespace: str) -> Iterator[Problem]:
    """What is wrong with a question about a right; one that has a namespace is about what is in there."""
    spec, meta = asked["spec"], asked["metadata"]
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    shown = path and {"Path": path.get("path") or "", "Verb": path.get("verb") or ""}
    if about is not None and path is not None:
        message = "cannot be specified in combination with resourceAttributes"
        yield invalid_value("spec.nonResourceAttributes", shown, message)
    if about is None and path is None:
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield invalid_value("spec.resourceAttributes", "null", message)
    if not (is_own or spec.get("user") or spec.get("groups")):
        yield invalid_value("spec.user", "", "at least one of user or group must be specified")
    if {name for name, value in meta.items() if value} - {"managedFields", "namespace" if namespace else ""}:
        except_for = " except for namespace" if namespace else ""
        yield invalid_value("metadata", meta, f"must be empty{except_for}")
    if namespace and about is not None and about.get("namespace") != namespace:
        where = "spec.resourceAttributes.namespace"
        yield invalid_value(where, about.get("namespace") or "", "must match metadata.namespace")
    if namespace and path is not None:
        yield invalid_value("spec.nonResourceAttributes", shown, "disallowed on this kind of request")


def _attributes(spec: Json) -> Attributes:
    about = spec.get("resourceAttributes")
    if about is None:
        other = spec["nonResourceAttributes"]
        return Attributes(other.get("verb") or "", path=other.get("path") or "")
    names = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(*(about.get(name) or "" for name in names))
