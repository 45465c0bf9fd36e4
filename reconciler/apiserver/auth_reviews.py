"""Questions about users and rights, answered on the spot: ``kubectl auth can-i`` and ``whoami``, tokens of accounts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from reconciler.apiserver.api import Api
from reconciler.apiserver.auth_tokens import BINDABLE, ISSUER, AccountTokens, Bound, Claims, account_user
from reconciler.apiserver.decode import JSON, parse_body
from reconciler.apiserver.http import read_body
from reconciler.apiserver.protobuf import as_json
from reconciler.apiserver.rbac import MASTERS, Attributes, Authorizer, PolicyRule, User
from reconciler.apiserver.status import ApiError, bad_request, conflict, invalid, method_not_allowed, not_found
from state.errors import invalid as invalid_value
from state.errors import required
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


class ReviewAnswers:
    """Answers them; ``authenticate`` tells whose a token is that is for an audience."""

    def __init__(
        self, api: Api, authorizer: Authorizer, tokens: AccountTokens, authenticate: Callable[[str, str], User | None]
    ) -> None:
        self._api, self._authorizer, self._tokens, self._authenticate = api, authorizer, tokens, authenticate
        self._kinds: dict[tuple[str, str], Callable[[User, Json, Attributes], Json]] = {
            (_AUTHENTICATION, "selfsubjectreviews"): self._whoami,
            (_AUTHENTICATION, "tokenreviews"): self._token_review,
            (_AUTHORIZATION, "localsubjectaccessreviews"): self._access,
            (_AUTHORIZATION, "selfsubjectaccessreviews"): self._access,
            (_AUTHORIZATION, "selfsubjectrulesreviews"): self._rules,
            (_AUTHORIZATION, "subjectaccessreviews"): self._access,
        }

    async def answer(self, request: Request, user: User, wanted: Attributes) -> Response | None:
        """The answer; None if the request is none of these questions.

        Raises:
            ApiError: the question makes no sense.
        """
        is_token = (wanted.group, wanted.resource, wanted.subresource) == ("", "serviceaccounts", "token")
        if wanted.subresource and not is_token:
            return None
        make = self._token_request if is_token else self._kinds.get((wanted.group, wanted.resource))
        if make is None:
            return None
        if wanted.verb != "create":
            raise method_not_allowed()
        media = request.headers.get("content-type", "").partition(";")[0].strip() or JSON
        body, media = as_json(await read_body(request, _MAX_BODY), media)
        document = parse_body(body, media, "review") if body else {}
        if not isinstance(document, dict) or not isinstance(document.get("spec") or {}, dict):
            raise bad_request("the object provided is unrecognized: expected a map with a map spec")
        result = {"metadata": {"creationTimestamp": None}, "spec": {}, **document}
        result["status"] = make(user, result["spec"] or {}, wanted)
        return Response(orjson.dumps(result), 201, media_type=JSON)

    def _whoami(self, user: User, _: Json, __: Attributes) -> Json:
        return {"userInfo": _shown(user)}

    def _token_review(self, _: User, spec: Json, __: Attributes) -> Json:
        token, audiences = spec.get("token"), spec.get("audiences") or [ISSUER]
        if not isinstance(token, str) or not token:
            raise bad_request("token is required for TokenReview in authentication")
        if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
            raise bad_request("spec.audiences must be a list of strings")
        users = {each: user for each in audiences if (user := self._authenticate(token, each)) is not None}
        if not users:
            return {"authenticated": False, "error": "invalid bearer token", "user": {}}
        return {"audiences": list(users), "authenticated": True, "user": _shown(next(iter(users.values())))}

    def _access(self, user: User, spec: Json, wanted: Attributes) -> Json:
        if wanted.resource != "selfsubjectaccessreviews":
            user = _subject(spec)
        asked = _asked(spec)
        if wanted.namespace and asked.namespace != wanted.namespace:
            why = f"spec.resourceAttributes.namespace must match namespace: {wanted.namespace}"
            raise bad_request(why)
        allowed = self._authorizer.allows(user, asked)
        return {"allowed": allowed}

    def _rules(self, user: User, spec: Json, _: Attributes) -> Json:
        namespace = spec.get("namespace")
        if not isinstance(namespace, str) or not namespace:
            raise bad_request("no namespace on request")
        rules = list(self._authorizer.rules(user, namespace))
        if MASTERS in user.groups:
            every = frozenset({"*"})
            rules += [PolicyRule(every, every, every), PolicyRule(every, paths=every)]
        return {
            "incomplete": False,
            "nonResourceRules": [rule.to_dict() for rule in rules if rule.paths],
            "resourceRules": [rule.to_dict() for rule in rules if not rule.paths],
        }

    def _token_request(self, _: User, spec: Json, wanted: Attributes) -> Json:
        uid = _uid(self._api, "ServiceAccount", wanted.namespace, wanted.name)
        if uid is None:
            raise not_found("serviceaccounts", "", wanted.name)
        seconds, audiences = spec.get("expirationSeconds") or _HOUR, spec.get("audiences") or []
        if not isinstance(seconds, int) or not _LEAST <= seconds <= _MOST:
            message = "may not specify a duration less than 10 minutes"
            raise _invalid_token_request(invalid_value("spec.expirationSeconds", seconds, message))
        if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
            raise _invalid_token_request(invalid_value("spec.audiences", audiences, "must be a list of strings"))
        now = self._api.clock()
        bound = self._bound(spec.get("boundObjectRef"), wanted)
        token = self._tokens.issue(
            wanted.namespace, wanted.name, uid, audiences=audiences, seconds=seconds, now=now, bound=bound
        )
        return {"expirationTimestamp": format_time(now + seconds * _SECOND), "token": token}

    def _bound(self, reference: Any, wanted: Attributes) -> Bound | None:
        """What a token is to be bound to."""
        if reference is None:
            return None
        if not isinstance(reference, dict):
            raise bad_request("spec.boundObjectRef must be a map")
        kind, name = reference.get("kind"), reference.get("name")
        if kind not in BINDABLE or reference.get("apiVersion") != "v1" or not isinstance(name, str):
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


def _invalid_token_request(problem: Any) -> ApiError:
    return invalid("TokenRequest", _AUTHENTICATION, "", [problem])


def _shown(user: User) -> Json:
    shown: Json = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        shown["uid"] = user.uid
    if user.extra:
        shown["extra"] = {key: list(values) for key, values in user.extra}
    return shown


def _subject(spec: Json) -> User:
    name, groups = spec.get("user") or "", spec.get("groups") or []
    if not isinstance(name, str) or not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        raise bad_request("spec.user must be a string and spec.groups a list of strings")
    if not name and not groups:
        problem = required("spec.user", "at least one of user or group must be specified")
        raise invalid("SubjectAccessReview", _AUTHORIZATION, "", [problem])
    return User(name, tuple(groups))


def _asked(spec: Json) -> Attributes:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (about is None) == (path is None):
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("SelfSubjectAccessReview", _AUTHORIZATION, "", [invalid_value("spec", "", message)])
    given = about if about is not None else path
    if not isinstance(given, dict) or not all(
        isinstance(each, str) for each in given.values() if not isinstance(each, dict)
    ):
        raise bad_request("spec.resourceAttributes must hold strings")

    def text(name: str) -> str:
        return str(given.get(name) or "")

    if path is not None:
        return Attributes(text("verb"), path=text("path"))
    names = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(*map(text, names))
