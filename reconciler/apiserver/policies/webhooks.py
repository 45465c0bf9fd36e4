"""Webhooks: what others say over HTTPS about a write, before it is validated (and they may change it) or after."""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal

import orjson
import structlog

from reconciler.apiserver.cel import CelError, Steps
from reconciler.apiserver.patches import json_patch
from reconciler.apiserver.policies.attempt import Attempt, document
from reconciler.apiserver.policies.calls import Caller, CallError
from reconciler.apiserver.policies.matching import Aim, Match, conditions_hold
from reconciler.apiserver.policies.metrics import PolicyMetrics
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, bad_request
from state.objects import AnyObject

log = structlog.get_logger("reconciler")

Json = dict[str, Any]
Kind = Literal["admit", "validating"]
_GROUP = "admission.k8s.io"
#: Versions of AdmissionReview that are spoken here. They look alike.
_VERSIONS = ("v1", "v1beta1")
_SECONDS = 10


class Webhook:
    """One webhook of a configuration. ``kind`` is what metrics call it."""

    def __init__(self, hook: Json, kind: Kind, caller: Caller, metrics: PolicyMetrics) -> None:
        self.name, self.kind = str(hook.get("name")), kind
        self.is_reinvoked = hook.get("reinvocationPolicy") == "IfNeeded"
        self._match = Match(hook, rules="rules")
        self._conditions: Sequence[Json] = hook.get("matchConditions") or ()
        self._ignores = hook.get("failurePolicy") == "Ignore"
        self._is_dry = hook.get("sideEffects") in ("None", "NoneOnDryRun")
        self._config: Json = hook.get("clientConfig") or {}
        self._seconds = float(hook.get("timeoutSeconds") or _SECONDS)
        known = hook.get("admissionReviewVersions") or _VERSIONS
        self._version = next((each for each in known if each in _VERSIONS), _VERSIONS[0])
        self._caller, self._metrics = caller, metrics

    def meant(self, attempt: Attempt, aim: Aim, new: AnyObject | None, old: AnyObject | None) -> Resource | None:
        """As what a write is to be shown to it, None if it isn't asked.

        Raises:
            ApiError: that can't be told.
        """
        resource = self._match.finds(aim)
        if resource is None or not self._conditions:
            return resource
        try:
            holds = conditions_hold(self._conditions, attempt.names(resource, new, old), Steps())
        except CelError as error:
            if self._ignores:
                return None
            raise attempt.refusal(str(error)) from error
        return resource if holds else None

    def ask(self, attempt: Attempt, resource: Resource, shown: Json | None, old: AnyObject | None) -> list[Any] | None:
        """What it wants changed of the object as it is ``shown``, None if nothing.

        Raises:
            ApiError: it refuses, or it can't be asked, and that matters.
        """
        about = (self.name, self.kind, attempt.operation)
        if attempt.options.dry_run and not self._is_dry:
            error = bad_request(f'admission webhook "{self.name}" does not support dry run')
            self._metrics.rejected(about, "calling_webhook_error", error.code)
            raise error
        started = time.perf_counter()
        try:
            patch = self._asked(attempt, resource, shown, old)
        except CallError as error:
            self._metrics.called(about, 500, time.perf_counter() - started, rejected=not self._ignores)
            if self._ignores:
                log.warning("a webhook can't be called, and the write goes on", webhook=self.name, cause=str(error))
                self._metrics.failed_open(self.name, self.kind)
                return None
            self._metrics.rejected(about, "calling_webhook_error", 500)
            raise _internal(f'failed calling webhook "{self.name}": {error}') from error
        except ApiError as error:
            self._metrics.called(about, 200, time.perf_counter() - started, rejected=True)
            self._metrics.rejected(about, "no_error", error.code)
            raise
        self._metrics.called(about, 200, time.perf_counter() - started, rejected=False)
        return patch

    def _asked(
        self, attempt: Attempt, resource: Resource, shown: Json | None, old: AnyObject | None
    ) -> list[Any] | None:
        identity = str(uuid.uuid4())
        head = {"kind": "AdmissionReview", "apiVersion": f"{_GROUP}/{self._version}"}
        objects = {"object": shown, "oldObject": document(old, resource)}
        request = {"uid": identity, **attempt.request(resource), **objects}
        review = self._caller.call(self._config, {**head, "request": request}, self._seconds)
        if (review.get("kind"), review.get("apiVersion")) != (head["kind"], head["apiVersion"]):
            group, _, version = str(review.get("apiVersion") or "").rpartition("/")
            found = f"{group}/{version}, Kind={review.get('kind') or ''}"
            wanted = f"{_GROUP}/{self._version}, Kind=AdmissionReview"
            raise CallError(f"received invalid webhook response: expected webhook response of {wanted}, got {found}")
        response = review.get("response")
        if not isinstance(response, dict):
            raise CallError("received invalid webhook response: webhook response was absent")
        if response.get("uid") != identity:
            got = response.get("uid") or ""
            raise CallError(f'received invalid webhook response: expected response.uid="{identity}", got "{got}"')
        attempt.warnings += [text for text in response.get("warnings") or () if isinstance(text, str)]
        patch = self._patch(response)
        if response.get("allowed") is not True:
            raise self._denial(response.get("status"))
        return patch

    def _patch(self, response: Json) -> list[Any] | None:
        encoded, kind = response.get("patch"), response.get("patchType")
        if not encoded:
            return None
        if self.kind == "validating":
            raise CallError("received invalid webhook response: validating webhook may not return response.patch")
        if kind != "JSONPatch":
            why = (
                f'webhook returned invalid response.patchType of "{kind}"'
                if kind
                else "webhook returned response.patch but not response.patchType"
            )
            raise CallError(f"received invalid webhook response: {why}")
        try:
            patch = orjson.loads(base64.b64decode(encoded))
        except (binascii.Error, orjson.JSONDecodeError, TypeError) as error:
            raise CallError(f"received undecodable patch in webhook response: {error}") from error
        return patch if isinstance(patch, list) else None

    def _denial(self, status: Any) -> ApiError:
        told: Json = status if isinstance(status, dict) else {}
        denied = f'admission webhook "{self.name}" denied the request'
        why = told.get("message") or told.get("reason")
        code = told.get("code")
        code = code if isinstance(code, int) and code >= 400 else 400
        details = told.get("details") if isinstance(told.get("details"), dict) else None
        message = f"{denied}: {why}" if why else f"{denied} without explanation"
        return ApiError(code, str(told.get("reason") or ""), message, details)

    def changed(self, shown: Json, patch: list[Any]) -> Json:
        """An object with what it wants changed.

        Raises:
            ApiError: that can't be done.
        """
        try:
            found = json_patch(shown, patch)
        except ApiError as error:
            raise _internal(error.message) from error
        if not isinstance(found, dict):
            raise _internal("a patched object is no object")
        return found


def _internal(why: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})
