"""Fuzzes a server from its own OpenAPI documents: what is sent has their shapes, sound and broken.

Names are often those of objects that exist and identities the right ones, so that requests get past the first checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

#: Longest time for an answer; nothing that is asked here takes a tenth of it.
PATIENCE = 10.0
#: What Kubernetes itself answers with 5xx: what isn't served, what is yet to come; and errors that it doesn't type.
_OWN_REASONS = ("NotImplemented", "Timeout", None)
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_NAMES = st.sampled_from(["fuzzed", "default", "kube-system", "fuzzed-2", "..", "a/b", "%00", "A", "x" * 300])


@dataclass
class Report:
    """What was sent, and what came of it."""

    operations: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(self.codes.items()))
        return f"{self.operations} operations, {self.codes.total()} requests ({codes}), {len(self.failures)} failures"


def documents(url: str, session: requests.Session) -> Iterator[Any]:
    """The schemas of a server, one for each group and version."""
    paths = session.get(f"{url}/openapi/v3", timeout=PATIENCE).json()["paths"]
    for path in sorted(paths):
        schema = schemathesis.openapi.from_dict(session.get(f"{url}/openapi/v3/{path}", timeout=PATIENCE).json())
        schema.config.update(base_url=url)
        yield schema


def fuzz(url: str, session: requests.Session, examples: int, number: int = 0, part: int = 1) -> Report:
    """Sends so many requests for each operation, or for each ``part``-th; ``number`` is the seed of chance."""
    report = Report()
    index = 0
    for schema in documents(url, session):
        for result in schema.get_all_operations():
            index += 1
            if index % part == number % part:
                report.operations += 1
                _operation(result.ok(), session, report, examples, number)
    return report


def _operation(operation: Any, session: requests.Session, report: Report, examples: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(), data=st.data())
    def run(case: Any, data: st.DataObject) -> None:
        _aim(case, data)
        _send(case, session, report)

    run()


def _aim(case: Any, data: st.DataObject) -> None:
    """Makes a case one that leads somewhere, most of the time."""
    for name in case.path_parameters or {}:
        if data.draw(st.integers(0, 9)) > 0:
            case.path_parameters[name] = "default" if name == "namespace" else data.draw(_NAMES)
    query = dict(case.query or {})
    if query.get("watch") is not None or "/watch/" in case.path:
        query["timeoutSeconds"] = -1  # it ends when what there is at first was told
    case.query = query
    if case.method == "PATCH":
        case.media_type = data.draw(st.sampled_from(_PATCHES))
    if isinstance(case.body, dict) and data.draw(st.integers(0, 4)) > 0:
        case.body = {**case.body, **_identity(case)}


def _identity(case: Any) -> dict[str, Any]:
    """Version, kind and name as the operation has them."""
    action = case.operation.definition.raw.get("x-kubernetes-group-version-kind") or {}
    group, version = action.get("group", ""), action.get("version", "")
    meta = case.body.get("metadata")
    name = (case.path_parameters or {}).get("name", "fuzzed")
    return {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": action.get("kind", ""),
        "metadata": {**(meta if isinstance(meta, dict) else {}), "name": name, "resourceVersion": ""},
    }


def _send(case: Any, session: requests.Session, report: Report) -> None:
    try:
        response = case.call(session=session, timeout=PATIENCE)
    except requests.Timeout as error:
        report.failures.append(f"{case.method} {case.formatted_path}: no answer: {error}")
        return
    except requests.RequestException as error:
        report.failures.append(f"{case.method} {case.formatted_path}: {error}")
        return
    report.codes[response.status_code] += 1
    fault = _fault(response)
    if fault:
        report.failures.append(f"{fault}\n{case.as_curl_command()[:2000]}")


def _fault(response: Any) -> str:
    """What is wrong with a response as such; "" if nothing is."""
    text = response.content[:500]
    media = "".join(response.headers.get("content-type", [""]))
    if response.status_code == 404 and text == b"404 page not found\n":
        return ""
    if not media.startswith(("application/json", "text/plain")):
        return f"{response.status_code} with media type {media!r}: {text!r}"
    if response.status_code < 400:
        return ""
    try:
        status = response.json()
    except ValueError:
        return f"{response.status_code} without a Status: {text!r}"
    if status.get("kind") != "Status" or status.get("code") != response.status_code:
        return f"{response.status_code} without a Status: {text!r}"
    is_own = status.get("reason") in _OWN_REASONS
    return "" if response.status_code < 500 or is_own else f"{response.status_code}: {status['message']}"
