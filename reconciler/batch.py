"""JSON over stdin: one request a line, one answer a line, in order, each flushed.

Input is one JSON document, or one per line. Lines are answered as they come. Only a first line that is no JSON by
itself but leaves brackets open is taken for the beginning of a document over several lines, and read to the end first.
A request that fails costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson
import structlog

from reconciler.api import reconcile
from reconciler.check import check
from reconciler.simulate import Simulation, end_of, report, run_steps
from rules.scheduling import schedule_cluster
from state.errors import InvalidObject, StateError

_log = structlog.get_logger(__name__)
_JSON = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
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
    first = b""
    for line in lines:
        first = line.strip()
        if first:
            break
    if not first:
        return
    if not _is_json(first) and _open_brackets(first) > 0:
        rest = lines.readlines()
        whole = b"".join((first, b"\n", *rest))
        if _is_json(whole):
            yield whole
            return
        lines = iter(rest)  # type: ignore[assignment]
    yield first
    for line in lines:
        if text := line.strip():
            yield text


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _open_brackets(text: bytes) -> int:
    """How many brackets and braces are open at the end of the text, strings left out."""
    depth = 0
    in_string = escaped = False
    for char in text.decode("utf-8", "replace"):
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
    return depth


def respond(text: bytes) -> Answer:
    """The answer to one request; never raises for what a request says."""
    request_id: Any = None
    try:
        request = _parse(text)
        request_id = request.get("id")
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
    return {"id": request_id, "ok": False, "error": {"code": code, "message": message, "path": path, **more}}


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
    name = request.get("op", "reconcile" if "desired" in request else None)
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


def _now(request: Request) -> Any:
    return expect(request, "now", (str, int), 0, "an RFC 3339 time or µs since the epoch")


def _nodes(request: Request) -> Any:
    return expect(request, "nodes", (str, int), 0, "a description of nodes, as in 3x4cpu,16Gi")


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


def _reconcile(request: Request) -> Answer:
    plan = reconcile(
        _manifests(request, "desired"),
        _manifests(request, "observed"),
        now=_now(request),
        nodes=_nodes(request),
        on_invalid=_on_invalid(request),
    )
    return plan.to_dict(objects=_choice(request, "return", ("actions", "objects")) == "objects")


def _schedule(request: Request) -> Answer:
    cluster = expect(request, "cluster", dict, None, "an object of lists: nodes, pods, …")
    return {"pods": schedule_cluster(cluster, detail=_choice(request, "detail", ("full", "result")))}


def _simulate(request: Request) -> Answer:
    steps = expect(request, "steps", list, [], "a list of steps")
    reports = any(isinstance(step, dict) and "status" in step for step in steps)
    simulation = Simulation(
        _manifests(request, "desired"),
        _manifests(request, "observed"),
        nodes=_nodes(request),
        now=_now(request),
        on_invalid=_on_invalid(request),
        kubelet=_choice(request, "kubelet", ("none", "simulated") if reports else ("simulated", "none")) == "simulated",
    )
    answers = run_steps(simulation, steps)
    until = expect(request, "until", str, "", "settled, a duration or a time")
    if until == "settled":
        simulation.settle()
    elif until:
        simulation.run_until(end_of(until, simulation.now))
    return {"steps": answers, **report(simulation)}


def _validate(request: Request) -> Answer:
    return check(_manifests(request, "desired"))


#: What can be asked, and which fields it takes.
OPERATIONS: dict[str, tuple[Callable[[Request], Answer], frozenset[str]]] = {
    "reconcile": (_reconcile, frozenset({"desired", "observed", "now", "nodes", "onInvalid", "return"})),
    "schedule": (_schedule, frozenset({"cluster", "detail", "config"})),
    "simulate": (
        _simulate,
        frozenset({"desired", "observed", "now", "nodes", "steps", "onInvalid", "kubelet", "until", "return"}),
    ),
    "validate": (_validate, frozenset({"desired"})),
}
