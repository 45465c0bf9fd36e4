"""The batch protocol: one answer a line, in order, whatever is sent; a bad request costs only itself."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests_for_tests import NOW, config_map, custom, deployment, pod

from reconciler import batch
from reconciler.batch import respond
from reconciler.limits import MAX_PODS_OF_ONE

MANIFEST = config_map(a="1")
GOOD = {"op": "validate", "desired": []}


def ask(request):
    """The answer to a request, as the client reads it."""
    return orjson.loads(orjson.dumps(respond(as_text(request)), option=batch._JSON))


def as_text(request):
    return request if isinstance(request, bytes) else json.dumps(request).encode()


def stream(text):
    """The answers to an input, and the exit status."""
    out = io.BytesIO()
    status = batch.run(io.BytesIO(text), out)
    return [orjson.loads(line) for line in out.getvalue().splitlines()], status


def lines(*requests):
    return b"\n".join(as_text(request) for request in requests) + b"\n"


# -- what a request may be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        MANIFEST,
        [MANIFEST],
        {"apiVersion": "v1", "kind": "List", "items": [MANIFEST]},
        {"desired": [MANIFEST]},
        {"desired": MANIFEST},
        {"desired": [MANIFEST], "observed": []},
        {"op": "reconcile", "desired": [MANIFEST], "id": None},
    ],
    ids=["manifest", "list", "List", "desired", "one desired", "observed", "op"],
)
def test_what_means_reconcile(request_):
    answer = ask(request_)
    assert answer["ok"]
    assert answer["id"] is None
    assert [(a["action"], a["target"], a["rule"]) for a in answer["actions"]] == [
        ("create", "configmap/default/settings", "apply")
    ]
    assert answer["actions"][0]["because"] == {"object": "configmap/default/settings"}


def test_observed_alone_means_reconcile_too():
    assert ask({"observed": [MANIFEST]})["actions"] == []


def test_reconcile_takes_time_nodes_and_what_to_return():
    request = {"id": 7, "desired": [pod()], "now": NOW, "nodes": "1x2cpu,4Gi", "return": "objects"}
    answer = ask(request)
    assert answer["id"] == 7
    assert [action["action"] for action in answer["actions"]] == ["create", "bind"]
    assert answer["events"][0]["message"] == "Successfully assigned default/p to node-0"
    kinds = [obj["kind"] for obj in answer["objects"]]
    assert sorted({*kinds}) == ["Namespace", "Node", "Pod"]
    assert "objects" not in ask({**request, "return": "actions"})


def test_a_time_may_be_microseconds():
    answer = ask({"desired": [MANIFEST], "now": 1_767_225_600_000_000})
    assert answer["actions"][0]["object"]["metadata"]["creationTimestamp"] == NOW


def test_with_skip_the_refused_are_told_beside_the_answer():
    answer = ask({"desired": [MANIFEST, {"kind": "Pod"}], "onInvalid": "skip"})
    assert answer["ok"]
    assert [refusal["origin"] for refusal in answer["refused"]] == ["[1]"]
    assert {"path", "message", "reason"} <= answer["refused"][0]["problems"][0].keys()


def test_validate_tells_every_problem():
    bad = deployment("bad", replicas=-1, minReadySeconds=-1)
    answer = ask({"op": "validate", "desired": [bad, MANIFEST, custom()], "id": "v"})
    assert (answer["ok"], answer["valid"], answer["objects"], answer["id"]) == (True, False, 3, "v")
    assert [(p["object"], p["path"], p["reason"]) for p in answer["problems"]] == [
        ("deployment/default/bad", "spec.replicas", "Invalid"),
        ("deployment/default/bad", "spec.minReadySeconds", "Invalid"),
    ]
    assert answer["problems"][0]["message"] == "Invalid value: -1: must be greater than or equal to 0"
    assert answer["carried"] == ["widget.example.com/thing"]


def test_schedule_places_the_pods_of_a_cluster():
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9"}}}
    cluster = {"nodes": [node], "pods": [{"metadata": {"name": "p"}, "spec": pod()["spec"]}]}
    (placed,) = ask({"op": "schedule", "cluster": cluster})["pods"]
    assert (placed["pod"], placed["chosen"]) == ("default/p", "n")
    assert "filter" not in ask({"op": "schedule", "cluster": cluster, "detail": "result"})["pods"][0]
    config = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    assert ask({"op": "schedule", "cluster": cluster, "config": config})["pods"] == [placed]
    refused = ask({"op": "schedule", "cluster": cluster, "config": {**config, "profiles": [{"plugin": {}}]}})["error"]
    assert (refused["code"], refused["path"]) == ("invalid_request", "config.profiles[0].plugin")


@pytest.mark.parametrize(
    "request_id",
    [None, True, 0, -1, 2**63, 1.5, "", "x" * 1000, "é🎉", [], [1, [2]], {"a": None}, {"op": "x"}],
    ids=repr,
)
def test_an_id_of_any_type_is_given_back(request_id):
    assert ask({**GOOD, "id": request_id})["id"] == request_id
    assert ask({"op": "none", "id": request_id})["id"] == request_id


@pytest.mark.parametrize("number", [b"123456789012345678901234567890", b"1e300", b"1.10", b"-0.0"])
def test_a_number_as_id_is_given_back_digit_by_digit(number):
    answers, _ = stream(b'{"id": %b, "op": "validate", "desired": []}' % number)
    assert answers[0]["ok"]
    out = io.BytesIO()
    batch.run(io.BytesIO(b'{"op": "none", "id": %b}' % number), out)
    assert b'"id":%b,' % number in out.getvalue()


# -- what is refused ---------------------------------------------------------------------------------------------------

BAD = [
    (b"nonsense", "invalid_json", ""),
    (b'{"id": 1, "op": "valid', "invalid_json", ""),
    (b'{"id": 1} {"id": 2}', "invalid_json", ""),
    (b"NaN", "invalid_json", ""),
    (b'{"op": "validate", "desired": [NaN]}', "invalid_json", ""),
    (b'{"id": Infinity, "op": "validate", "desired": []}', "invalid_json", ""),
    (b'{"id": 1e400, "op": "validate", "desired": []}', "invalid_json", ""),
    (b'{"id": "\\ud800", "op": "validate", "desired": []}', "invalid_json", ""),
    (b'{"id": "\xff", "op": "validate", "desired": []}', "invalid_json", ""),
    (b"[" * 200_000, "invalid_json", ""),
    (b"[" * 200_000 + b"]" * 200_000, "invalid_json", ""),
    (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "invalid_json", ""),
    (b"[" * 1_000 + b"]" * 1_000, "invalid_object", ""),
    (b"\x00", "invalid_json", ""),
    (b"null", "invalid_request", ""),
    (b"5", "invalid_request", ""),
    (b'"text"', "invalid_request", ""),
    (b"true", "invalid_request", ""),
    (b"{}", "invalid_request", "op"),
    ({"op": None}, "invalid_request", "op"),
    ({"op": "Reconcile"}, "invalid_request", "op"),
    ({"op": ["reconcile"]}, "invalid_request", "op"),
    ({**GOOD, "observe": []}, "invalid_request", "observe"),
    ({**GOOD, "nodes": 3}, "invalid_request", "nodes"),
    ({"desired": None}, "invalid_request", "desired"),
    ({"desired": "kind: Pod"}, "invalid_request", "desired"),
    ({"desired": 5}, "invalid_request", "desired"),
    ({"desired": {}}, "invalid_object", "apiVersion"),
    ({"desired": [None]}, "invalid_object", ""),
    ({"desired": [MANIFEST], "observed": "x"}, "invalid_request", "observed"),
    ({"desired": [], "now": True}, "invalid_request", "now"),
    ({"desired": [], "now": "yesterday"}, "invalid_request", "now"),
    ({"desired": [], "now": 10**18}, "invalid_request", "now"),
    ({"desired": [], "now": 1.5}, "invalid_request", "now"),
    ({"desired": [], "nodes": -1}, "invalid_request", "nodes"),
    ({"desired": [], "nodes": "9" * 5_000}, "invalid_request", "nodes"),
    ({"desired": [], "nodes": 10**9}, "invalid_request", "nodes"),
    ({"desired": [], "nodes": [1]}, "invalid_request", "nodes"),
    ({"desired": [], "return": "everything"}, "invalid_request", "return"),
    ({"desired": [], "onInvalid": 5}, "invalid_request", "onInvalid"),
    ({"op": "schedule"}, "invalid_request", "cluster"),
    ({"op": "schedule", "cluster": []}, "invalid_request", "cluster"),
    ({"op": "schedule", "cluster": {"nodes": 5}}, "invalid_request", "cluster.nodes"),
    ({"op": "schedule", "cluster": {}, "detail": "some"}, "invalid_request", "detail"),
    ({"op": "schedule", "cluster": {}, "config": 5}, "invalid_request", "config"),
    ({"op": "simulate", "steps": {}}, "invalid_request", "steps"),
    ({"op": "simulate", "until": "soon"}, "invalid_request", "until"),
    ({"op": "simulate", "kubelet": "real"}, "invalid_request", "kubelet"),
    ({"desired": [{**pod(), "metadata": {"name": "x" * 1_000_000}}]}, "invalid_object", "metadata.name"),
    ({"desired": [{**pod(), "kind": "x" * 1_000_000}]}, "invalid_object", "apiVersion"),
    ({"desired": [pod(priority=10**30)]}, "invalid_object", "spec.priority"),
    ({"desired": [custom(spec=json.loads("[" * 300 + "]" * 300))]}, "invalid_object", "spec"),
    ({"observed": [{**pod(), "metadata": {"name": "x" * 1_000_000}}]}, "invalid_object", "metadata.name"),
    ({"desired": [deployment(replicas=2**31 - 1)]}, "invalid_object", "spec.replicas"),
]


@pytest.mark.parametrize(("request_", "code", "path"), BAD)
def test_a_bad_request_is_answered_with_code_message_and_path(request_, code, path):
    answer = ask(request_)
    assert answer["ok"] is False
    assert (answer["error"]["code"], answer["error"]["path"]) == (code, path)
    assert 0 < len(answer["error"]["message"]) < 11_000


def test_a_poisoned_stream_is_answered_line_by_line():
    """Good requests between bad ones are answered as if they were alone."""
    requests, expected = [], []
    for number, (bad, code, _) in enumerate(BAD):
        requests += [bad, {**GOOD, "id": number}]
        expected += [code, number]
    answers, status = stream(lines(*requests))
    assert [answer["id"] if answer["ok"] else answer["error"]["code"] for answer in answers] == expected
    assert status == 1


#: No number of replicas that is allowed, but takes long.
integers = st.integers(-(2**70), 2**70).filter(lambda number: not 50 < number <= MAX_PODS_OF_ONE)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = sorted({"id", "op", *(field for _, known in batch.OPERATIONS.values() for field in known)})


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(batch.OPERATIONS)),
    st.dictionaries(st.sampled_from(fields), json_values, max_size=4),
)
def test_no_field_of_any_type_is_an_internal_error(op, given_fields):
    answer = ask(json.dumps({"op": op, **given_fields}).encode())
    assert answer["ok"] or answer["error"]["code"] in {"invalid_request", "invalid_object", "invalid_json"}


def manifest_paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from manifest_paths(item, (*path, name))


SEEDS = [
    deployment(strategy={"rollingUpdate": {"maxSurge": 1}}),
    pod(
        nodeSelector={"a": "b"},
        tolerations=[{"key": "a", "operator": "Exists", "tolerationSeconds": 5}],
        containers=[
            {
                "name": "main",
                "image": "app:1",
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }
        ],
    ),
    {**config_map(a="1"), "status": {}},
]


@settings(max_examples=300)
@given(st.data(), st.sampled_from(SEEDS), json_values, st.sampled_from(["desired", "observed"]))
def test_no_field_of_a_manifest_of_any_type_is_an_internal_error(data, seed, value, where):
    manifest = json.loads(json.dumps(seed))
    *above, last = data.draw(st.sampled_from(list(manifest_paths(manifest))))
    part = manifest
    for name in above:
        part = part[name]
    part[last] = value
    request = {where: [manifest], "nodes": 1, "op": data.draw(st.sampled_from(["reconcile", "simulate"]))}
    if request["op"] == "simulate":
        request["until"] = "1m"
    answer = ask(json.dumps(request).encode())
    if not answer["ok"]:
        assert answer["error"]["code"] in {"invalid_object", "invalid_json"}


# -- the stream --------------------------------------------------------------------------------------------------------


def test_empty_lines_carriage_returns_and_a_byte_order_mark_are_no_requests():
    text = b"\xef\xbb\xbf" + orjson.dumps({**GOOD, "id": 1}) + b"\r\n\r\n  \n\t\n" + orjson.dumps({**GOOD, "id": 2})
    answers, status = stream(text)
    assert [answer["id"] for answer in answers] == [1, 2]
    assert status == 0


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n \n", b"\xef\xbb\xbf"])
def test_nothing_is_asked_and_nothing_answered(text):
    assert stream(text) == ([], 0)


@pytest.mark.parametrize("indent", [1, 2, 4])
@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_one_document_may_go_over_several_lines(indent, end):
    for document in ({**GOOD, "id": {"a": [1, 'é\\"']}}, [MANIFEST, MANIFEST], [{"kind": "List", "apiVersion": "v1"}]):
        answers, status = stream((json.dumps(document, indent=indent) + end).encode())
        assert [answer["ok"] for answer in answers] == [True]
        assert status == 0


def test_requests_may_follow_a_document_over_several_lines():
    document = json.dumps({**GOOD, "id": 1}, indent=2).encode()
    answers, status = stream(document + b"\n" + lines({**GOOD, "id": 2}, b"{", {**GOOD, "id": 3}))
    assert [answer["id"] for answer in answers] == [1, 2, None, 3]
    assert status == 1


@pytest.mark.parametrize(
    "first", [b'{"id": 1,', b'{"id": 1, "desired": [', b"[", b'{"id": 1, "op": "val', b'{"id":', b"{", b'["a\\', b"]"]
)
def test_a_broken_first_line_does_not_take_the_others_with_it(first):
    rest = [{**GOOD, "id": number} for number in range(2, 6)]
    answers, status = stream(lines(first, *rest))
    assert [answer["id"] for answer in answers] == [None, 2, 3, 4, 5]
    assert status == 1


def test_a_long_document_over_many_lines_is_looked_at_seldom(monkeypatch):
    """Looking at every line would take a time that grows with the square of their number."""
    looks = []
    state = batch._state
    monkeypatch.setattr(batch, "_state", lambda text: looks.append(len(text)) or state(text))
    document = {"op": "validate", "desired": [config_map(f"c-{number}") for number in range(5_000)]}
    text = json.dumps(document, indent=1).encode()
    answers, _ = stream(text)
    assert answers[0]["objects"] == 5_000
    assert sum(size for size in looks if size > batch._LOOK_ALWAYS) < 4 * len(text)


def run_process(**options):
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", "batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )


def test_answers_come_before_the_input_ends():
    """A client may wait for each answer before it sends the next request, even after a broken line."""
    with run_process(stderr=subprocess.DEVNULL) as process:
        for number, text in enumerate(
            [b"{}", b'{"id": 1, "op": "validate", "desired": [', orjson.dumps({**GOOD, "id": 2})]
        ):
            process.stdin.write(text + b"\n")
            process.stdin.flush()
            answer = orjson.loads(process.stdout.readline())
            assert answer["ok"] is (number == 2)
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 1


def test_a_document_over_several_lines_is_answered_when_it_is_complete():
    with run_process(stderr=subprocess.DEVNULL) as process:
        process.stdin.write(json.dumps({**GOOD, "id": 1}, indent=2).encode() + b"\n")
        process.stdin.flush()
        assert orjson.loads(process.stdout.readline())["id"] == 1
        process.stdin.close()
        assert process.wait() == 0


def test_standard_output_holds_answers_and_nothing_else():
    text = lines(*(bad for bad, _, _ in BAD if not isinstance(bad, bytes) or len(bad) < 10_000), GOOD)
    with run_process(stderr=subprocess.PIPE) as process:
        out, err = process.communicate(text)
    assert all(orjson.loads(line).keys() >= {"id", "ok"} for line in out.splitlines())
    assert err == b""


def test_answers_of_the_same_request_are_the_same_bytes():
    request = lines(*({"desired": [deployment()], "nodes": 2, "return": "objects", "now": NOW} for _ in range(2)))
    out = io.BytesIO()
    batch.run(io.BytesIO(request), out)
    first, second = out.getvalue().splitlines()
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_of_200_megabytes_is_answered_in_bounded_time(indent):
    document = {"op": "validate", "desired": [config_map(f"c-{n}", text="x" * 20_000) for n in range(10_000)]}
    text = json.dumps(document, indent=indent).encode()
    assert len(text) > 200_000_000
    begin = time.perf_counter()
    answers, status = stream(text)
    assert (status, answers[0]["objects"]) == (0, 10_000)
    assert time.perf_counter() - begin < 60
