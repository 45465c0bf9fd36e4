"""GET pods/NAME/log, as a kubelet answers it: which container, which lines, and how they are written."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import pytest
from starlette.responses import StreamingResponse

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.log_options import LogOptions
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.pod_logs import log_response
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from state.errors import StateError
from state.store.memory import MemoryStore

SECOND = 1_000_000
NOW = 1_767_225_600 * SECOND


class Line(NamedTuple):
    """A line and its time."""

    at: int
    text: bytes


class Log:
    """A log that gets a line with every look, until there are ``most``."""

    def __init__(self, first, most):
        self.lines = [Line(NOW + number * SECOND, b"line %d" % number) for number in range(most)]
        self.there, self.given = first, 0

    def read(self):
        new = self.lines[self.given : self.there]
        self.given = self.there
        return new

    def has_ended(self):
        self.there = min(self.there + 1, len(self.lines))
        return self.there == len(self.lines)


class Source:
    """Knows the newest instance of each container, and no earlier one."""

    def __init__(self):
        self.asked = []

    def open(self, pod, container, *, previous, tail):
        self.asked.append((pod.metadata.name, container, tail))
        if previous:
            raise StateError(f'previous terminated container "{container}" in pod "p" not found')
        return Log(3, 5)


@pytest.fixture
def cluster():
    """An API with the pods p (one container), many (three) and waiting (on no node)."""
    with MemoryStore() as store:
        api = Api(store, clock=lambda: NOW + 2 * SECOND)
        bootstrap(api)
        ControlPlane(api).settle()
        api.subresources.logs = Source()
        for name, node, containers in (("p", "n", "c"), ("many", "n", "a b"), ("waiting", None, "c")):
            spec = {
                "nodeName": node,
                "containers": [{"name": each, "image": "i"} for each in containers.split()],
                "initContainers": [{"name": "first", "image": "i"}] if name == "many" else [],
            }
            api.create(place(api), json.dumps({"metadata": {"name": name}, "spec": spec}).encode(), WriteOptions())
        yield api


def place(api, name="", part=""):
    return Place(api.registry.of_table("Pod"), "default", name, part)


def text(api, name, **query):
    """What a client gets."""
    response = log_response(api, place(api, name, "log"), {key: (value,) for key, value in query.items()})

    async def collect():
        return b"".join([chunk async for chunk in response.body_iterator])

    return asyncio.run(collect()) if isinstance(response, StreamingResponse) else response.body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, b"line 0\nline 1\nline 2\n"),
        ({"follow": "true"}, b"line 0\nline 1\nline 2\nline 3\nline 4\n"),
        ({"limitBytes": "9"}, b"line 0\nli"),
        ({"sinceSeconds": "1"}, b"line 1\nline 2\n"),
        ({"sinceTime": "2026-01-01T00:00:02Z"}, b"line 2\n"),
        (
            {"timestamps": "true", "limitBytes": "76"},
            b"2026-01-01T00:00:00.000000000Z line 0\n2026-01-01T00:00:01.000000000Z line 1\n",
        ),
    ],
)
def test_lines(cluster, query, expected):
    assert text(cluster, "p", **query) == expected


def test_a_container_that_is_named_and_the_number_of_last_lines_are_passed_on(cluster):
    text(cluster, "many", container="b", tailLines="7")
    assert cluster.subresources.logs.asked == [("many", "b", 7)]


def test_a_pod_on_no_node_has_written_nothing(cluster):
    assert text(cluster, "waiting") == b""
    assert cluster.subresources.logs.asked == []


@pytest.mark.parametrize(
    ("name", "query", "code", "message"),
    [
        ("nope", {}, 404, 'pods "nope" not found'),
        ("p", {"container": "x"}, 400, "container x is not valid for pod p"),
        (
            "many",
            {},
            400,
            (
                "a container name must be specified for pod many, choose one of: [a b] or one of the init containers: "
                "[first]"
            ),
        ),
        ("p", {"previous": "true"}, 400, 'previous terminated container "c" in pod "p" not found'),
        ("p", {"tailLines": "x"}, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "p",
            {"tailLines": "-1"},
            422,
            'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        (
            "p",
            {"limitBytes": "0", "sinceSeconds": "0"},
            422,
            (
                'PodLogOptions "p" is invalid: [limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: '
                "Invalid value: 0: must be greater than 0]"
            ),
        ),
    ],
)
def test_what_is_refused(cluster, name, query, code, message):
    with pytest.raises(ApiError) as refused:
        text(cluster, name, **query)
    assert (refused.value.code, refused.value.message) == (code, message)


def test_one_time_is_enough():
    with pytest.raises(ApiError, match="at most one of `sinceTime` or `sinceSeconds` may be specified"):
        LogOptions.read({"sinceSeconds": ("1",), "sinceTime": ("2026-01-01T00:00:00Z",)}, "p", NOW)


def test_where_no_node_keeps_logs_that_is_said(cluster):
    cluster.subresources.logs = None
    with pytest.raises(ApiError, match="no node of this cluster keeps logs"):
        text(cluster, "p")
