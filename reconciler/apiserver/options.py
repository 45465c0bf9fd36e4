"""The options of requests, read from a query and checked in the API server's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from reconciler.apiserver.decode import BODIES, UNREGISTERED, FieldValidation, UnreadableError, kind_fault, parsed
from reconciler.apiserver.gonumbers import int_fault, number, uint_fault
from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.rbac import User
from reconciler.apiserver.status import bad_request, internal, invalid_options, unsupported_media_type
from state.errors import Problem, forbidden, invalid, not_supported, required
from state.times import TimeError, parse_duration

#: Query parameters; a name may occur more than once.
Query = Mapping[str, Sequence[str]]
_TRUE, _FALSE = frozenset({"true", "1", ""}), frozenset({"false", "0"})
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_MATCHES = ("Exact", "NotOlderThan")
_POLICIES = ("Foreground", "Background", "Orphan")
_MAX_MANAGER = 128
_UNREAD = re.compile(";|%(?![0-9A-Fa-f]{2})")
#: Who wrote, if neither the request nor its User-Agent says.
_NOBODY = "unknown"


def read_query(text: bytes) -> Query:
    """A request's query as Go reads it: without what has a semicolon or a broken escape in it."""
    parts = text.decode("latin-1").split("&")
    return parse_qs("&".join(part for part in parts if not _UNREAD.search(part)), keep_blank_values=True)


def read_text(query: Query, name: str) -> str:
    """What a query says first under a name; "" if nothing."""
    values = query.get(name) or ("",)
    return values[0]


def read_flag(query: Query, name: str) -> bool | None:
    """A boolean of a query; as in Kubernetes, anything but a clear "no" is a "yes"."""
    if name not in query:
        return None
    return read_text(query, name).lower() not in _FALSE


def read_number(query: Query, name: str) -> int | None:
    """A number of a query.

    Raises:
        ApiError: it is none.
    """
    if name not in query:
        return None
    text = read_text(query, name)
    fault = int_fault(text)
    if fault:
        raise bad_request(fault)
    return number(text)


def revision_of(text: str, *, of_list: bool = False) -> int | None:
    """A resourceVersion as a number; None if there is none. Lists check theirs elsewhere than a get or a watch.

    Raises:
        ApiError: it is no number.
    """
    if not text:
        return None
    why = uint_fault(text)
    if why:
        fault = f'resourceVersion: Invalid value: "{text}": {why}'
        raise bad_request(f"invalid resource version: {fault}") if of_list else internal(fault)
    return number(text)


def printable_problems(manager: str, path: str) -> list[Problem]:
    """What of the name of a field manager is no printable character of Go's: letters, marks, signs and the space."""
    return [
        invalid(path, manager, f"invalid character U+{ord(letter):04X} (at position {at})")
        for at, letter in _bytewise(manager)
        if not letter.isprintable()
    ]


def _bytewise(text: str) -> Iterator[tuple[int, str]]:
    """The characters of a text, and which byte each begins at."""
    at = 0
    for letter in text:
        yield at, letter
        at += len(letter.encode())


def check_timeout(query: Query) -> None:
    """The time that a request may take, as far as it says it.

    Raises:
        ApiError: it says no duration.
    """
    text = read_text(query, "timeout")
    if text:
        try:
            parse_duration(text)
        except TimeError as error:
            raise bad_request(f"invalid timeout specified in the request URL - {error}") from error


class Sender(NamedTuple):
    """Who sends a request, as far as that is known: the client's own word for itself, and the user."""

    agent: str = ""
    user: User | None = None


UNKNOWN = Sender()


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a create, update or patch may say beside the object."""

    dry_run: bool = False
    manager: str = _NOBODY
    validation: FieldValidation = "Warn"
    #: None where the request doesn't say.
    force: bool | None = None
    #: Whether the request itself names its field manager.
    is_manager_given: bool = False
    #: Whether the change is an applied manifest, whose owners are known already.
    is_apply: bool = False
    #: Who writes; None for the server itself, and where nobody is asked who they are.
    user: User | None = None

    @classmethod
    def read(cls, query: Query, kind: str, sender: Sender = UNKNOWN) -> WriteOptions:
        """The options of a request; ``kind`` is their kind (``CreateOptions``).

        Raises:
            ApiError: some make no sense.
        """
        problems = [*_dry_run_problems(query)]
        manager = read_text(query, "fieldManager")
        if len(manager) > _MAX_MANAGER:
            problems.append(Problem("fieldManager", f"may not be more than {_MAX_MANAGER} bytes", "TooLong"))
        problems += printable_problems(manager, "fieldManager")
        validation = read_text(query, "fieldValidation") or "Warn"
        if validation not in _VALIDATIONS:
            problems.append(not_supported("fieldValidation", validation, _VALIDATIONS))
        if problems:
            raise invalid_options(kind, problems)
        return cls(
            dry_run=_is_dry_run(query),
            manager=manager or sender.agent.partition("/")[0][:_MAX_MANAGER] or _NOBODY,
            validation=validation,  # type: ignore[arg-type]
            force=read_flag(query, "force"),
            is_manager_given=bool(manager),
            user=sender.user,
        )

    def as_patch(self) -> WriteOptions:
        """The same for any other patch, which can't be forced.

        Raises:
            ApiError: it is meant to be.
        """
        if self.force is not None:
            why = "may not be specified for non-apply patch"
            raise invalid_options("PatchOptions", [forbidden("force", why)])
        return self

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
    given = list(query.get("dryRun") or ())
    return [] if all(text == "All" for text in given) else [not_supported("dryRun", given, ("All",))]


class _Preconditions(msgspec.Struct, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None


class _DeleteBody(msgspec.Struct, rename="camel"):
    """A v1 DeleteOptions."""

    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None
    dry_run: tuple[str | None, ...] | None = None
    preconditions: _Preconditions | None = None


msgspec.json.Decoder(_DeleteBody)  # looks at the type before threads do, as in state.convert


def delete_body(body: bytes, content_type: str) -> Mapping[str, Any] | None:
    """The DeleteOptions that a body holds, None if it is empty.

    Raises:
        ApiError: it holds something else.
    """
    if not body.strip():
        return None
    if content_type not in BODIES:
        raise unsupported_media_type(BODIES)
    try:
        sent = parsed(body, content_type)
    except UnreadableError as error:
        raise bad_request(str(error)) from error
    sent = {} if sent is None else sent
    fault = kind_fault(sent)
    kind = "" if fault else sent.get("kind")
    if kind and kind != "DeleteOptions":
        fault = UNREGISTERED.format(kind=kind, api_version=sent.get("apiVersion") or "meta.k8s.io/v1")
    fault = fault or message_fault("meta.v1.DeleteOptions", sent)
    if fault:
        raise bad_request(fault)
    return {"kind": "DeleteOptions", **sent}


def _deletion(query: Query) -> _DeleteBody:
    """What a query says of a deletion."""
    policy = query.get("propagationPolicy")
    return _DeleteBody(
        grace_period_seconds=read_number(query, "gracePeriodSeconds"),
        propagation_policy=policy[0] if policy else None,
        orphan_dependents=read_flag(query, "orphanDependents"),
        dry_run=tuple(query.get("dryRun") or ()),
        preconditions=_Preconditions(read_text(query, "uid") or None, read_text(query, "resourceVersion") or None),
    )


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE may say, in its body or its query."""

    dry_run: bool = False
    grace_period: int | None = None
    policy: str | None = None
    orphan: bool | None = None
    uid: str | None = None
    revision: str | None = None
    #: Who deletes, as in ``WriteOptions``.
    user: User | None = None

    @classmethod
    def read(cls, query: Query, body: Mapping[str, Any] | None, user: User | None = None) -> DeleteOptions:
        """The options of a request; only those of the body count if there is one.

        Raises:
            ApiError: some make no sense.
        """
        sent = msgspec.convert(body, _DeleteBody) if body else _deletion(query)
        dry_run = [each or "" for each in sent.dry_run or ()]
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
            user=user,
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
            labels=read_text(query, "labelSelector"),
            fields=read_text(query, "fieldSelector"),
            limit=max(read_number(query, "limit") or 0, 0),
            token=read_text(query, "continue"),
            match=read_text(query, "resourceVersionMatch"),
            watch=bool(read_flag(query, "watch")),
            bookmarks=bool(read_flag(query, "allowWatchBookmarks")),
            initial_events=read_flag(query, "sendInitialEvents"),
            timeout=read_number(query, "timeoutSeconds"),
        )
        text = read_text(query, "resourceVersion")
        problems = found.watch_problems() if found.watch else found.list_problems(text)
        if problems:
            raise invalid_options("ListOptions", problems)
        return replace(found, revision=revision_of(text, of_list=not found.watch and not found.token))

    def watch_problems(self) -> list[Problem]:
        """What doesn't go together in a watch."""
        path, problems, newer = "resourceVersionMatch", [], _MATCHES[1]
        if self.initial_events is not None and self.match != newer:
            problems.append(forbidden(path, f"sendInitialEvents requires setting resourceVersionMatch to {newer}"))
        if self.match and self.initial_events is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            problems.append(forbidden(path, why))
        if self.match not in ("", newer):
            problems.append(not_supported(path, self.match, (newer,)))
        if self.token:
            problems.append(forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
        return problems

    def list_problems(self, revision: str) -> list[Problem]:
        """What doesn't go together in a list."""
        path, problems = "resourceVersionMatch", []
        if self.match:
            if not revision:
                problems.append(forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
            if self.token:
                problems.append(forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
            if self.match not in _MATCHES:
                problems.append(not_supported(path, self.match, (*_MATCHES, "")))
            if self.match == "Exact" and revision == "0":
                problems.append(forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
        if self.initial_events is not None:
            problems.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        return problems


def parse_put_revision(text: str | None) -> int | None:
    """The resourceVersion of an object that is to be stored; None if it has none.

    Raises:
        ApiError: it is no number.
    """
    if not text:
        return None
    why = uint_fault(text)
    if why:
        raise internal(why)
    return number(text) or None
