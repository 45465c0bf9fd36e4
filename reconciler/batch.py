"""JSON over stdin: one request a line, one answer a line, in order, each flushed.

Input is one JSON document, or one per line. Lines are answered as they come. Only a first line that is no JSON by
itself, but could be the beginning of some, is taken for the beginning of a document over several lines, which ends with
the line that completes it. A request that fails costs only itself.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from itertools import chain
from types import NoneType
from typing import IO, Any

import msgspec
import orjson
import structlog

from reconciler.api import reconcile, to_micros
from reconciler.check import check
from reconciler.extensions import controllers, installed_profiles
from reconciler.nodes import parse_nodes
from reconciler.simulation import Simulation, end_of
from reconciler.steps import report, run_steps
from rules.concern import Concern
from rules.scheduling import schedule_cluster
from state.errors import InvalidObject, StateError
from state.objects import Node
from state.times import format_time

_log = structlog.get_logger(__name__)
_JSON = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
#: A backslash with what it escapes.
_ESCAPE = re.compile(rb"\\.")
#: Bytes of a document over several lines up to which each line is looked at.
_LOOK_ALWAYS = 8_192
#: Characters of an error's message; the problems beside it are told in full.
_LONGEST_MESSAGE = 10_000
_CONFIGURATION = "a KubeSchedulerConfiguration"
Request = dict[str, Any]
Answer = dict[str, Any]


class RequestError(StateError):
    """A request that can't be taken: which field, what was found, what is expected."""

    def __init__(self, message: str, path: str = "", code: str = "invalid_request") -> None:
        super().__init__(message)
        self.path = path
        self.code = code


def run(lines: IO[bytes], out: IO[bytes]) -> int:
    """Answers every request of ``lines`` on ``out``. Returns the exit status: 1 if any request failed, else 0."""
    failed = False
    for text in documents(lines):
        answer = respond(text)
        failed |= not answer["ok"]
        out.write(orjson.dumps(answer, option=_JSON) + b"\n")
        out.flush()
    return int(failed)


def documents(lines: IO[bytes]) -> Iterator[bytes]:
    """The JSON texts of the input, blank lines left out."""
    rest = iter(lines)
    first = b""
    for number, line in enumerate(rest):
        first = (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).strip()
        if first:
            break
    if not first:
        return
    if _state(first) is _State.BEGUN:
        first, rest = _document(first, rest)
    yield first
    for line in rest:
        if text := line.strip():
            yield text


class _State(Enum):
    """What a text is as JSON."""

    WHOLE = auto()
    BEGUN = auto()
    BROKEN = auto()


def _state(text: bytes) -> _State:
    """Whether a text that ends with its line is JSON, or could be made so by further lines."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        ended_early = text[:1] in (b"{", b"[") and error.pos >= len(error.doc)
        return _State.BEGUN if ended_early and not _ends_in_string(text) else _State.BROKEN
    return _State.WHOLE


def _ends_in_string(text: bytes) -> bool:
    """Whether a string is open at the end of a text; none goes on in the next line."""
    return _ESCAPE.sub(b"", text).count(b'"') % 2 == 1


def _document(first: bytes, rest: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The document that begins with ``first``, and the lines after it; if it doesn't come to an end, ``first`` alone.

    How far it has come is looked at after every line while it is short; later, since each look costs as much as all
    lines so far, only when it has doubled and at the end of the input.
    """
    begun = [first]
    length = looked = len(first)
    for line in rest:
        begun.append(line)
        length += len(line)
        if length > _LOOK_ALWAYS and length < 2 * looked:
            continue
        looked = length
        state = _state(b"\n".join(begun))
        if state is _State.WHOLE:
            return b"\n".join(begun), rest
        if state is _State.BROKEN:
            return first, chain(begun[1:], rest)
    whole = b"\n".join(begun)
    return (whole, rest) if _state(whole) is _State.WHOLE else (first, iter(begun[1:]))


def respond(text: bytes) -> Answer:
    """The answer to one request; never raises for what a request says."""
    request_id: Any = None
    try:
        request = _parse(text)
        request_id = _echo(request.get("id"), text)
        return {"id": request_id, "ok": True, **_operation(request)(request)}
    except RequestError as error:
        return _failure(request_id, error.code, str(error), error.path)
    except InvalidObject as error:
        problems = [problem.to_dict() for problem in error.problems]
        path = error.problems[0].path if error.problems else ""
        return _failure(request_id, "invalid_object", str(error), path, problems=problems)
    except StateError as error:
        return _failure(request_id, "invalid_request", str(error), getattr(error, "path", ""))
    except Exception as error:  # noqa: BLE001 - it is logged with its traceback, told to the client, and costs no other
        _log.exception("request failed", id=request_id)
        return _failure(request_id, "internal", f"{type(error).__name__}: {error}", "")


def _failure(request_id: Any, code: str, message: str, path: str, **more: Any) -> Answer:
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}… (and {len(message) - _LONGEST_MESSAGE} more characters)"
    return {"id": request_id, "ok": False, "error": {"code": code, "message": message, "path": path, **more}}


def _echo(request_id: Any, text: bytes) -> Any:
    """The id of a request for its answer. A number is given back digit by digit: JSON has no limit to them."""
    if not isinstance(request_id, float):
        return request_id
    return orjson.Fragment(bytes(msgspec.json.decode(text, type=_Envelope).id))


class _Envelope(msgspec.Struct):
    """A request of which only the id is looked at, as it is written."""

    id: msgspec.Raw


def _parse(text: bytes) -> Request:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"not JSON: {error}", code="invalid_json") from error
    if isinstance(document, list) or (isinstance(document, dict) and "kind" in document and "op" not in document):
        return {"op": "reconcile", "desired": document}
    if not isinstance(document, dict):
        raise RequestError(f"expected a JSON object or a list of manifests, found {_type_name(document)}")
    return document


def _operation(request: Request) -> Callable[[Request], Answer]:
    name = request.get("op", "reconcile" if "desired" in request or "observed" in request else None)
    operation = OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        found = "no op" if name is None else f"op {orjson.dumps(name).decode()}"
        raise RequestError(f"{found}; expected one of {', '.join(sorted(OPERATIONS))}", "op")
    handler, fields = operation
    for field in request:
        if field not in fields and field not in ("id", "op"):
            raise RequestError(f"unknown field {field!r}; op {name} takes {', '.join(sorted(fields))}", field)
    return handler


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def expect(request: Request, field: str, kinds: type | tuple[type, ...], default: Any, wanted: str) -> Any:
    """A field of a request, checked.

    Raises:
        RequestError: it has another type.
    """
    value = request.get(field, default)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise RequestError(f"{field}: found {_type_name(value)}, expected {wanted}", field)
    return value


@contextmanager
def _reading(field: str) -> Iterator[None]:
    """What is wrong with a text is wrong with the field that it stands in."""
    try:
        yield
    except StateError as error:
        raise RequestError(f"{field}: {error}", field) from error


def _now(request: Request) -> int:
    value = expect(request, "now", (str, int), 0, "an RFC 3339 time or µs since the epoch")
    with _reading("now"):
        now = to_micros(value)
        format_time(now)  # one that can't be written is too far off
    return now


def _nodes(request: Request) -> list[Node]:
    value = expect(request, "nodes", (str, int), 0, "a description of nodes, as in 3x4cpu,16Gi")
    with _reading("nodes"):
        return parse_nodes(value, now=_now(request))


def _manifests(request: Request, field: str) -> Any:
    return expect(request, field, (list, dict), [], "a manifest or a list of manifests")


def _on_invalid(request: Request) -> Any:
    return _choice(request, "onInvalid", ("raise", "skip"))


def _choice(request: Request, field: str, choices: Iterable[str]) -> str:
    allowed = tuple(choices)
    value = expect(request, field, str, allowed[0], f"one of {', '.join(allowed)}")
    if value not in allowed:
        raise RequestError(f"{field}: found {value!r}, expected one of {', '.join(allowed)}", field)
    return str(value)


def _controllers(request: Request) -> list[Concern]:
    """All controllers; pods are placed as ``scheduler`` says."""
    return controllers(expect(request, "scheduler", (dict, NoneType), None, _CONFIGURATION), at="scheduler")


def _reconcile(request: Request) -> Answer:
    plan = reconcile(
        _manifests(request, "desired"),
        _manifests(request, "observed"),
        now=_now(request),
        nodes=_nodes(request),
        on_invalid=_on_invalid(request),
        concerns=_controllers(request),
    )
    return plan.to_dict(objects=_choice(request, "return", ("actions", "objects")) == "objects")


def _schedule(request: Request) -> Answer:
    cluster = expect(request, "cluster", dict, None, "an object of lists: nodes, pods, …")
    detail = _choice(request, "detail", ("full", "result"))
    config = expect(request, "config", (dict, NoneType), None, _CONFIGURATION)
    return {"pods": schedule_cluster(cluster, detail, installed_profiles(config, at="config"))}


def _simulate(request: Request) -> Answer:
    steps = expect(request, "steps", list, [], "a list of steps")
    until = expect(request, "until", str, "", "settled, a duration or a time")
    if until not in ("", "settled"):
        with _reading("until"):
            end_of(until, 0)
    reports = any(isinstance(step, dict) and "status" in step for step in steps)
    simulation = Simulation(
        _manifests(request, "desired"),
        _manifests(request, "observed"),
        nodes=_nodes(request),
        now=_now(request),
        on_invalid=_on_invalid(request),
        concerns=_controllers(request),
        kubelet=_choice(request, "kubelet", ("none", "simulated") if reports else ("simulated", "none")) == "simulated",
    )
    objects = _choice(request, "return", ("objects", "actions")) == "objects"
    answers = run_steps(simulation, steps, objects=objects)
    if until == "settled":
        simulation.settle()
    elif until:
        simulation.run_until(end_of(until, simulation.now))
    return {"steps": answers, **report(simulation, objects=objects)}


def _validate(request: Request) -> Answer:
    return check(_manifests(request, "desired"))


#: What can be asked, and which fields it takes.
OPERATIONS: dict[str, tuple[Callable[[Request], Answer], frozenset[str]]] = {
    "reconcile": (_reconcile, frozenset({"desired", "observed", "now", "nodes", "scheduler", "onInvalid", "return"})),
    "schedule": (_schedule, frozenset({"cluster", "detail", "config"})),
    "simulate": (
        _simulate,
        frozenset(
            {"desired", "observed", "now", "nodes", "scheduler", "steps", "onInvalid", "kubelet", "until", "return"}
        ),
    ),
    "validate": (_validate, frozenset({"desired"})),
}
