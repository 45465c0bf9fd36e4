"""The options of requests, read from a query and checked in the API server's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reconciler.apiserver.decode import FieldValidation
from reconciler.apiserver.status import bad_request, internal, invalid_options
from state.errors import Problem, forbidden, invalid, not_supported, required

#: Query parameters; a name may occur more than once.
Query = Mapping[str, Sequence[str]]
_TRUE, _FALSE = frozenset({"true", "1", ""}), frozenset({"false", "0"})
_VALIDATIONS = ("Ignore", "Warn", "Strict")
_MATCHES = ("Exact", "NotOlderThan")
_POLICIES = ("Foreground", "Background", "Orphan")
_MAX_MANAGER = 128
#: Who wrote, if neither the request nor its User-Agent says.
_NOBODY = "unknown"


def _first(query: Query, name: str) -> str:
    values = query.get(name) or ("",)
    return values[0]


def _flag(query: Query, name: str) -> bool | None:
    """A boolean of a query; as in Kubernetes, anything but a clear "no" is a "yes"."""
    if name not in query:
        return None
    return _first(query, name).lower() not in _FALSE


def _number(query: Query, name: str) -> int | None:
    text = _first(query, name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def revision_of(text: str) -> int | None:
    """A resourceVersion as a number; None if there is none.

    Raises:
        ApiError: it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise internal(f'resourceVersion: Invalid value: "{text}": {why}')
    return int(text)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a create, update or patch may say beside the object."""

    dry_run: bool = False
    manager: str = _NOBODY
    validation: FieldValidation = "Warn"
    force: bool = False
    #: Whether the request itself names its field manager.
    is_manager_given: bool = False
    #: Whether the change is an applied manifest, whose owners are known already.
    is_apply: bool = False

    @classmethod
    def read(cls, query: Query, kind: str, user_agent: str = "") -> WriteOptions:
        """The options of a request; ``kind`` is their kind (``CreateOptions``).

        Raises:
            ApiError: some make no sense.
        """
        problems = [*_dry_run_problems(query)]
        manager = _first(query, "fieldManager")
        if len(manager) > _MAX_MANAGER:
            problems.append(Problem("fieldManager", f"may not be more than {_MAX_MANAGER} bytes", "TooLong"))
        if not manager.isprintable():
            problems.append(invalid("fieldManager", manager, "should only contain printable characters"))
        validation = _first(query, "fieldValidation") or "Warn"
        if validation not in _VALIDATIONS:
            problems.append(not_supported("fieldValidation", validation, _VALIDATIONS))
        if problems:
            raise invalid_options(kind, problems)
        return cls(
            dry_run=_is_dry_run(query),
            manager=manager or user_agent.partition("/")[0][:_MAX_MANAGER] or _NOBODY,
            validation=validation,  # type: ignore[arg-type]
            force=bool(_flag(query, "force")),
            is_manager_given=bool(manager),
        )

    def as_apply(self) -> WriteOptions:
        """The same for server-side apply, which is done in somebody's name.

        Raises:
            ApiError: there is none.
        """
        if not self.is_manager_given:
            raise invalid_options("PatchOptions", [required("fieldManager", "is required for apply patch")])
        return replace(self, is_apply=True)


def _is_dry_run(query: Query) -> bool:
    return any(query.get("dryRun") or ())


def _dry_run_problems(query: Query) -> list[Problem]:
    given = [text for text in query.get("dryRun") or () if text]
    return [] if all(text == "All" for text in given) else [not_supported("dryRun", given, ("All",))]


class _Preconditions(msgspec.Struct, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None


class _DeleteBody(msgspec.Struct, rename="camel"):
    """A v1 DeleteOptions."""

    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None
    dry_run: tuple[str, ...] | None = None
    preconditions: _Preconditions | None = None


def _delete_body(body: Any) -> _DeleteBody:
    try:
        return msgspec.convert(body, _DeleteBody)
    except msgspec.ValidationError as error:
        message = f'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: {error}'
        raise bad_request(message) from error


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE may say, in its body or its query."""

    dry_run: bool = False
    grace_period: int | None = None
    policy: str | None = None
    orphan: bool | None = None
    uid: str | None = None
    revision: str | None = None

    @classmethod
    def read(cls, query: Query, body: Any) -> DeleteOptions:
        """The options of a request; those of the body count if there is one.

        Raises:
            ApiError: some make no sense.
        """
        sent = _DeleteBody(
            grace_period_seconds=_number(query, "gracePeriodSeconds"),
            propagation_policy=_first(query, "propagationPolicy") or None,
            orphan_dependents=_flag(query, "orphanDependents"),
        )
        if body:
            sent = _delete_body(body)
        dry_run = sent.dry_run or query.get("dryRun") or ()
        problems = _dry_run_problems({"dryRun": dry_run})
        policy, orphan = sent.propagation_policy, sent.orphan_dependents
        if policy is not None and orphan is not None:
            message = "orphanDependents and deletionPropagation cannot be both set"
            problems.append(invalid("propagationPolicy", policy, message))
        elif policy is not None and policy not in _POLICIES:
            problems.append(not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
        if problems:
            raise invalid_options("DeleteOptions", problems)
        conditions = sent.preconditions or _Preconditions()
        return cls(
            dry_run=any(dry_run),
            grace_period=sent.grace_period_seconds,
            policy=policy,
            orphan=orphan,
            uid=conditions.uid,
            revision=conditions.resource_version,
        )

    @property
    def propagation(self) -> str | None:
        """Background, Foreground or Orphan, None if the request doesn't say."""
        if self.policy is not None:
            return self.policy
        return None if self.orphan is None else "Orphan" if self.orphan else "Background"


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list or watch may say."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    token: str = ""
    #: None where the request has none.
    revision: int | None = None
    match: str = ""
    watch: bool = False
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout: int | None = None

    @classmethod
    def read(cls, query: Query) -> ListOptions:
        """The options of a request.

        Raises:
            ApiError: some make no sense, or not together.
        """
        found = cls(
            labels=_first(query, "labelSelector"),
            fields=_first(query, "fieldSelector"),
            limit=max(_number(query, "limit") or 0, 0),
            token=_first(query, "continue"),
            match=_first(query, "resourceVersionMatch"),
            watch=bool(_flag(query, "watch")),
            bookmarks=bool(_flag(query, "allowWatchBookmarks")),
            initial_events=_flag(query, "sendInitialEvents"),
            timeout=_number(query, "timeoutSeconds"),
        )
        text = _first(query, "resourceVersion")
        problems = found.watch_problems() if found.watch else found.list_problems(text)
        if problems:
            raise invalid_options("ListOptions", problems)
        if found.token and text and not found.watch:
            raise bad_request("specifying resource version is not allowed when using continue")
        return replace(found, revision=revision_of(text))

    def watch_problems(self) -> list[Problem]:
        """What doesn't go together in a watch."""
        path = "resourceVersionMatch"
        if self.initial_events is not None:
            if not self.match:
                return [forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
            return [] if self.match == _MATCHES[1] else [not_supported(path, self.match, _MATCHES[1:])]
        if self.match:
            return [forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")]
        return []

    def list_problems(self, revision: str) -> list[Problem]:
        """What doesn't go together in a list."""
        path, problems = "resourceVersionMatch", []
        if self.initial_events is not None:
            problems.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        if not self.match:
            return problems
        if not revision:
            problems.append(forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if self.token:
            problems.append(forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
        if self.match not in _MATCHES:
            problems.append(not_supported(path, self.match, (*_MATCHES, "")))
        if self.match == "Exact" and revision == "0":
            problems.append(forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
        return problems


def parse_put_revision(text: str | None) -> int | None:
    """The resourceVersion of an object that is to be stored; None if it has none.

    Raises:
        ApiError: it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise internal(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text) or None
