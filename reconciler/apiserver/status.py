"""What the API server says when it refuses: metav1 ``Status``, one constructor for each reason, in its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from state.errors import Problem, joined

#: Codes of reasons that have more than one use here.
_UNPROCESSABLE = 422


class ApiError(Exception):
    """A request failed; ``to_dict`` is the Status that says why."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = None if details is None else dict(details)
        self.headers = dict(headers or {})
        #: What the client is to be warned of all the same.
        self.warnings: tuple[str, ...] = ()
        #: The Status' own metadata: how to go on with a list.
        self.meta: dict[str, Any] = {}

    def to_dict(self) -> dict[str, Any]:
        """The failure as a v1 Status."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.meta,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@contextmanager
def warned(warnings: tuple[str, ...]) -> Iterator[None]:
    """A refusal within carries these warnings."""
    try:
        yield
    except ApiError as error:
        error.warnings = (*warnings, *error.warnings)
        raise


def success(name: str = "", group: str = "", resource: str = "", uid: str = "", *, code: int = 0) -> dict[str, Any]:
    """A v1 Status that says that it was done, with the object that it was done to."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if name:
        status["details"] = _details(name, group, resource) | ({"uid": uid} if uid else {})
    if code:
        status["code"] = code
    return status


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def qualified(resource: str, group: str) -> str:
    """A resource or kind as messages name it: ``deployments.apps``."""
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, group: str, name: str) -> ApiError:
    """There is no such object."""
    message = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(name, group, resource))


def no_such_resource() -> ApiError:
    """There is nothing at that path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    """The path exists, but not for that method."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def verb_not_supported(resource: str, group: str, verb: str) -> ApiError:
    """A custom resource, or a part of one, doesn't have that verb."""
    message = f'{verb} is not supported on resources of kind "{qualified(resource, group)}"'
    return ApiError(405, "MethodNotAllowed", message, _details("", group, resource))


def already_exists(resource: str, group: str, name: str, *, is_ending: bool = False) -> ApiError:
    """An object of that name is there, be it that it ``is_ending``."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    message = f"object is being deleted: {message}" if is_ending else message
    return ApiError(409, "AlreadyExists", message, _details(name, group, resource))


def conflict(resource: str, group: str, name: str, why: str) -> ApiError:
    """The object isn't as the request supposes."""
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(name, group, resource))


def modified(resource: str, group: str, name: str) -> ApiError:
    """The object was changed since the request's author read it."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, group, name, why)


def invalid(kind: str, group: str, name: str, problems: Sequence[Problem]) -> ApiError:
    """The object breaks rules; each is a cause."""
    causes = [{"reason": each.cause, "message": each.body, "field": each.path} for each in problems]
    message = f'{qualified(kind, group)} "{name}" is invalid: {joined(problems)}'
    return ApiError(_UNPROCESSABLE, "Invalid", message, _details(name, group, kind) | {"causes": causes})


def invalid_options(kind: str, problems: Sequence[Problem]) -> ApiError:
    """The request's options (``CreateOptions``, ``ListOptions``) break rules."""
    return invalid(kind, "meta.k8s.io", "", problems)


def unprocessable() -> ApiError:
    """A patch that can be read but not carried out."""
    message = "the server rejected our request due to an error in our request"
    return ApiError(_UNPROCESSABLE, "Invalid", message, {})


def forbidden(resource: str, group: str, name: str, why: str, causes: Iterable[Mapping[str, str]] = ()) -> ApiError:
    """Admission or authorisation says no."""
    details = _details(name, group, resource)
    listed = [dict(cause) for cause in causes]
    if listed:
        details["causes"] = listed
    # without a name, Kubernetes leaves it out of the sentence
    about = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    return ApiError(403, "Forbidden", f"{about} is forbidden: {why}", details)


def bad_request(message: str) -> ApiError:
    """The request makes no sense."""
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """An error that the API server doesn't type; some of its checks answer so, too."""
    return ApiError(500, "", message)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """The body is in no format that is read here."""
    known = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {known}"
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    """The client reads no format that is written here."""
    message = f"only the following media types are accepted: {', '.join(accepted)}"
    return ApiError(406, "NotAcceptable", message)


def expired(message: str) -> ApiError:
    """The revision is older than what is remembered."""
    return ApiError(410, "Expired", message)


def too_large_revision(asked: int, current: int, *, is_cached: bool = True) -> ApiError:
    """The revision is yet to come; ``is_cached`` says that a cache, which may hear of it soon, would have answered."""
    details: dict[str, Any] = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    if not is_cached:
        return ApiError(504, "Timeout", message, details)
    return ApiError(504, "Timeout", message, details | {"retryAfterSeconds": 1}, headers={"Retry-After": "1"})


def too_many_requests(message: str, details: Mapping[str, Any] | None = None) -> ApiError:
    """Not now."""
    return ApiError(429, "TooManyRequests", message, details)


def unavailable(message: str) -> ApiError:
    """The store does not answer or takes nothing more."""
    details = {"retryAfterSeconds": 1}
    return ApiError(503, "ServiceUnavailable", message, details, headers={"Retry-After": "1"})
