"""Custom resources as apiextensions-apiserver 0.36.4 has them: what it said to requests was recorded.

``data/definitions.json`` has definitions that differ from a right one in a few fields, ``data/machinery.jsonl`` has
sessions: a line with a name, then one for each request. ``{g}`` is the group of the session. Where a request is
``unlike``, its answer isn't compared: it shows a library that Kubernetes uses in another version, or an order that Go
leaves to chance.
"""

import json
import re
import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.http import Application
from reconciler.apiserver.options import Sender
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import ApiError
from state.store.memory import MemoryStore

#: The clock stands still: owners of fields are in the order of their seconds, and then of their names.
NOW = 1_767_225_600_000_000
DATA = Path(__file__).parent / "data"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SYSTEM = frozenset({"creationTimestamp", "resourceVersion", "uid"})
_KEPT = ("generation", "managedFields", "labels", "finalizers", "ownerReferences")
_groups = (f"g{number}.example.com" for number in count())


class Server:
    """An API with definitions at work, asked in process."""

    def __init__(self) -> None:
        self.api = Api(MemoryStore(), clock=lambda: NOW, fields=ManagedFields(schema_of))
        bootstrap(self.api)
        self.definitions = Definitions(self.api)
        self.application = Application(self.api, "", self.definitions.layout)
        self.definitions.start()

    def ask(self, request: dict[str, Any], group: str) -> tuple[int, Any, tuple[str, ...]]:
        """The code, the document and the warnings of an answer, with the group's placeholder."""
        path, _, query = request["path"].replace("{g}", group).partition("?")
        body = request.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        media = request.get("type", "application/json").partition(";")[0] or "application/json"
        try:
            aim = target(self.api.registry, path, request["method"])
            data = text.replace("{g}", group).encode()
            asked = parse_qs(query, keep_blank_values=True)
            answer = self.application.perform(aim, asked, data, media, Sender("h1/1.0"))
            code, document, warnings = getattr(answer, "code", 200), answer.document, getattr(answer, "warnings", ())
        except ApiError as error:
            code, document, warnings = error.code, error.to_dict(), error.warnings
        except UnknownPathError:
            code, document, warnings = 404, None, ()
        told = tuple(each.replace(group, "{g}") for each in warnings)
        return code, _normal(document, group), told

    def wait(self, group: str) -> None:
        """Until the definition of the group is served."""
        for _ in range(2000):
            if self.api.registry.find(group, "v1", "foos") is not None:
                return
            time.sleep(0.005)
        raise AssertionError("the definition isn't served")


def _normal(value: Any, group: str) -> Any:
    if isinstance(value, dict):
        return {name: _normal(item, group) for name, item in value.items() if name not in _SYSTEM}
    if isinstance(value, list):
        return [_normal(item, group) for item in value]
    return _UID.sub("<uid>", _TIME.sub("<time>", value).replace(group, "{g}")) if isinstance(value, str) else value


def _brief(document: Any) -> Any:
    """What was recorded of an answer."""
    if document.get("kind") == "Status" and document.get("status") == "Failure":
        return {"message": document.get("message", "")}
    result = {name: value for name, value in document.items() if name in ("spec", "status", "kind")}
    meta = {name: document["metadata"][name] for name in _KEPT if document["metadata"].get(name)}
    return {**result, "metadata": meta} if meta else result


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.definitions.stop()


def _sessions() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for line in (DATA / "machinery.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "name" in entry:
            found.append((entry["name"], []))
        else:
            found[-1][1].append(entry)
    yield from found


SESSIONS = dict(_sessions())


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_goes_as_recorded(server: Server, name: str) -> None:
    """Code, warnings, message or object of every request."""
    group, wrong = next(_groups), []
    for number, request in enumerate(SESSIONS[name]):
        code, document, warnings = server.ask(request, group)
        if request["path"] == CRDS:
            assert code == 201, document
            server.wait(group)
        if request.get("unlike"):
            continue
        found = {"code": code}
        told = [f'299 - "{_quoted(each)}"' for each in warnings]
        if told:
            found["warnings"] = told
        if "answer" in request:
            found["answer"] = _brief(document)
        expected = {field: request[field] for field in ("code", "warnings", "answer") if field in request}
        if found != expected:
            wrong.append((number, request["method"], request["path"], request.get("body"), expected, found))
    assert not wrong, "\n".join(map(str, wrong))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_DEFINITIONS = json.loads((DATA / "definitions.json").read_text())


@pytest.mark.parametrize("case", _DEFINITIONS["cases"], ids=lambda case: json.dumps(case["set"])[:80])
def test_definitions_are_taken_or_refused_as_recorded(server: Server, case: dict[str, Any]) -> None:
    """What is wrong with a definition is told in Kubernetes' words and order."""
    group, body = next(_groups), deepcopy(_DEFINITIONS["definition"])
    for path, *value in case["set"]:
        _set(body, path.split("/"), value)
    request = {"method": "POST", "path": CRDS, "body": body}
    code, document, warnings = server.ask(request, group)
    assert (code, document.get("message")) == (case["code"], case.get("message"))
    assert [f'299 - "{_quoted(each)}"' for each in warnings] == case.get("warnings", [])
    if code == 201:
        name = document["metadata"]["name"].replace("{g}", group)
        server.ask({"method": "DELETE", "path": f"{CRDS}/{name}"}, group)


def _set(body: Any, path: list[str], value: list[Any]) -> None:
    """Sets a field, or removes it if there is no value."""
    for step in path[:-1]:
        body = body[int(step)] if isinstance(body, list) else body.setdefault(step, {})
    if value:
        body[path[-1]] = deepcopy(value[0])
    else:
        body.pop(path[-1], None)
