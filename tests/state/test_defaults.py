"""Defaulting does what the API server does, costs nothing where nothing is to be done, and never fails."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.defaults import default
from state.objects import KINDS, CustomObject, Opaque, encode_hook
from tests.state.recordings import convert, creations, damaged, exchanges, plain, typed

#: What the server adds to a new object beyond defaults, by kind: what it allocates, what admission adds, what a
#: creation sets anew.
NOT_DEFAULTED = {
    "DaemonSet": r"metadata\.annotations\.deprecated\.daemonset\.template\.generation",
    "Job": r"spec\.selector\..*|(metadata|spec\.template\.metadata)\.labels\..*(controller-uid|job-name)",
    "PersistentVolume": r"metadata\.finalizers\[0\]|status\.lastPhaseTransitionTime",
    "PersistentVolumeClaim": r"metadata\.finalizers\[0\]|spec\.storageClassName",
    "Pod": r"spec\.(tolerations|priority|preemptionPolicy|serviceAccount).*|status\.(phase|qosClass)",
    "Service": r"spec\.(clusterIP|ipFamil).*|spec\.ports\[\d+\]\.nodePort",
}
OF_ANY_KIND = r"metadata\.(name|namespace|generation)"
#: What every pod and template gets, whatever a case is about.
IN_EVERY_POD = {
    f"spec.{template}spec.{name}".replace("spec.spec", "spec")
    for template in ("", "template.")
    for name in (
        "dnsPolicy",
        "enableServiceLinks",
        "restartPolicy",
        "schedulerName",
        "terminationGracePeriodSeconds",
        "containers[0].imagePullPolicy",
        "containers[0].terminationMessagePath",
        "containers[0].terminationMessagePolicy",
        "initContainers[0].imagePullPolicy",
        "initContainers[0].terminationMessagePath",
        "initContainers[0].terminationMessagePolicy",
    )
}
#: A field that the server drops as long as its feature is off.
DROPPED = {"StatefulSet": "spec.updateStrategy.rollingUpdate.maxUnavailable"}
TOKEN_VOLUME = "kube-api-access-"

RECORDED = [exchange for exchange in creations() if exchange.response["code"] == 201 and "body" in exchange.response]


def flat(value, path=""):
    """Every leaf of a tree by its path; empty maps and lists are absent, and so are counts of zero in a status."""
    if isinstance(value, dict):
        branches = [(f"{path}.{name}" if path else name, child) for name, child in value.items()]
    elif isinstance(value, list):
        branches = [(f"{path}[{number}]", child) for number, child in enumerate(value)]
    else:
        return {} if value == 0 and path.startswith("status.") else {path: value}
    return {leaf: found for branch, child in branches for leaf, found in flat(child, branch).items()}


def without_token_volume(tree):
    """A pod as it was before admission mounted the service account's token."""
    if isinstance(tree, dict):
        return {name: without_token_volume(child) for name, child in tree.items()}
    if isinstance(tree, list):
        kept = [item for item in tree if not (isinstance(item, dict) and item.get("name", "").startswith(TOKEN_VOLUME))]
        return [without_token_volume(item) for item in kept]
    return tree


def as_stored(body):
    """A recorded answer with numbers in place of its placeholders."""
    body = json.loads(json.dumps(body).replace('"<nodePort>"', "30000"))
    return flat(without_token_volume(plain(convert(body, KINDS[body["kind"]].type))))


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange.name)
def test_an_object_is_completed_as_the_server_completed_it(exchange):
    """What was sent, defaulted, is what the server stored, but for allocation and admission."""
    kind = exchange.request["body"]["kind"]
    mine = flat(plain(default(typed(exchange.request["body"]))))
    theirs = as_stored(exchange.response["body"])
    beyond = re.compile(f"{OF_ANY_KIND}|{NOT_DEFAULTED.get(kind, OF_ANY_KIND)}")
    mine.pop(DROPPED.get(kind), None)
    assert mine | {path: value for path, value in theirs.items() if beyond.fullmatch(path)} == theirs


def test_a_namespace_is_completed_as_the_server_completed_it():
    """The server's own answer to a read is what defaulting makes of a bare Namespace."""
    (answer,) = [each.response["body"] for each in exchanges() if each.name == "defaults-namespace-0"]
    sent = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": answer["metadata"]["name"]}}
    assert flat(plain(default(typed(sent)))) == as_stored(answer)


def test_there_are_recordings_to_compare_with():
    """The comparison above is not empty by accident."""
    assert len(RECORDED) >= 60


SENT = [exchange.request["body"] for exchange in creations() if exchange.response["code"] == 201]


@pytest.mark.parametrize("body", SENT, ids=lambda body: body["kind"])
def test_a_defaulted_object_comes_back_as_itself(body):
    """Defaulting twice gives the very same object: nothing is copied where nothing is missing."""
    once = default(typed(body))
    assert default(once) is once


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_empty_object_of_every_kind_is_defaulted(kind):
    """No kind needs any field to be there."""
    once = default(KINDS[kind].type())
    assert default(once) is once


def test_pods_of_one_template_share_one_spec():
    """A hundred thousand pods made from one spec still share one spec after defaulting."""
    pod = typed(next(body for body in SENT if body["kind"] == "Pod"))
    others = [msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, name=n)) for n in "abc"]
    assert len({id(default(other).spec) for other in others}) == 1


def test_a_kind_without_a_type_is_left_alone():
    """Custom resources have defaults of their own, which nobody here knows."""
    custom = CustomObject(api_version="example.com/v1", kind="Thing", body=Opaque({"spec": {}}))
    assert default(custom) is custom


@settings(max_examples=200)
@given(st.data())
def test_damaged_objects_are_defaulted_without_failing(data):
    """Whatever is missing, empty or unreadable, defaulting never fails, is idempotent and changes no argument."""
    body = data.draw(st.sampled_from(SENT))
    try:
        obj = typed(damaged(data.draw, body, ["", "x", 0, -1, [], {}, "100m", "1e99", None]))
    except msgspec.ValidationError:
        return
    before = msgspec.json.encode(obj, enc_hook=encode_hook)
    once = default(obj)
    assert default(once) is once
    assert msgspec.json.encode(obj, enc_hook=encode_hook) == before


CASES = json.loads((Path(__file__).parent / "data" / "defaults.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case):
    """Rules that no recording shows: ``adds`` has every leaf that defaulting adds or changes, null where it removes."""
    sent = {name: value for name, value in case["object"].items() if name not in {"kind", "apiVersion"}}
    before, after = flat(sent), flat(plain(default(typed(case["object"]))))
    paths = [path for path in before | after if before.get(path, ...) != after.get(path, ...)]
    assert {path: after.get(path) for path in paths if path not in IN_EVERY_POD} == case["adds"]
