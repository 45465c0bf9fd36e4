"""Tokens of ServiceAccounts that depend on something: on a pod, or on the Secret that keeps them."""

from __future__ import annotations

from base64 import b64decode
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loops import assert_settled

from reconciler.apiserver.auth_tokens import AccountTokens, signing_key
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.cycle import Cycle
from rules.account_secrets import TYPE, AccountSecrets
from state.load import from_dict
from state.objects import Secret
from state.snapshot import Key, Snapshot
from tests.reconciler.apiserver.secured import NOW, Client

CORE = "/api/v1/namespaces/default"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    made = Client(tmp_path)
    for name in ("default", "robot"):
        made("POST", f"{CORE}/serviceaccounts", {"metadata": {"name": name}}, token="roots")
    return made


def _asked(client: Client, reference: dict[str, Any]) -> tuple[int, Any]:
    body = {"spec": {"boundObjectRef": {"apiVersion": "v1", **reference}}}
    return client("POST", f"{CORE}/serviceaccounts/robot/token", body, token="roots")


def _pod(client: Client, name: str, account: str = "robot") -> Any:
    spec = {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]}
    return client("POST", f"{CORE}/pods", {"metadata": {"name": name}, "spec": spec}, token="roots")[1]


def test_a_token_is_good_as_long_as_the_pod_that_it_is_bound_to(client: Client) -> None:
    """And says whose it is, and which one."""
    uid = _pod(client, "p")["metadata"]["uid"]
    code, answer = _asked(client, {"kind": "Pod", "name": "p", "uid": uid})
    assert code == 201
    token = answer["status"]["token"]
    user = client("POST", WHO, {}, token=token)[1]["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:default:robot"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [uid]
    client("DELETE", f"{CORE}/pods/p", {"gracePeriodSeconds": 0}, token="roots")
    assert client("POST", WHO, {}, token=token)[0] == 401


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ({"kind": "Pod", "name": "none"}, 404, 'pods "none" not found'),
        ({"kind": "ConfigMap", "name": "p"}, 400, "cannot bind token to object of type v1, Kind=ConfigMap"),
        ({"kind": "Pod", "name": "p", "uid": "other"}, 409, "the UID in the bound object reference (other)"),
        ({"kind": "Pod", "name": "q"}, 400, "to pod running with different serviceaccount name."),
    ],
)
def test_what_a_token_cannot_be_bound_to(client: Client, reference: dict[str, Any], code: int, message: str) -> None:
    """Nothing that isn't there, is another one, or is somebody else's."""
    _pod(client, "p")
    _pod(client, "q", "default")
    found, status = _asked(client, reference)
    assert found == code
    assert message in status["message"]


def test_a_secret_gets_the_token_of_its_account(client: Client, tmp_path: Path) -> None:
    """It is good as long as the Secret has it; without the account the Secret goes."""
    tokens = AccountTokens(signing_key(tmp_path))
    control = ControlPlane(client.api, partial(control_concerns, root_ca="pem", issue=tokens.issue_for_secret))
    meta = {"name": "s", "annotations": {"kubernetes.io/service-account.name": "robot"}}
    client("POST", f"{CORE}/secrets", {"metadata": meta, "type": TYPE}, token="roots")
    control.settle()
    secret = client("GET", f"{CORE}/secrets/s", token="roots")[1]
    data = {name: b64decode(text).decode() for name, text in secret["data"].items()}
    assert (data["namespace"], data["ca.crt"]) == ("default", "pem")
    account = client("GET", f"{CORE}/serviceaccounts/robot", token="roots")[1]
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
    user = client("POST", WHO, {}, token=data["token"])[1]["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:default:robot"
    client("DELETE", f"{CORE}/secrets/s", token="roots")
    assert client("POST", WHO, {}, token=data["token"])[0] == 401
    client("POST", f"{CORE}/secrets", {"metadata": meta, "type": TYPE}, token="roots")
    client("DELETE", f"{CORE}/serviceaccounts/robot", token="roots")
    control.settle()
    assert client("GET", f"{CORE}/secrets/s", token="roots")[0] == 404
    control.close()


def test_only_secrets_of_that_type_are_looked_at() -> None:
    """Others are nobody's business; a filled one is at rest."""

    def concerns() -> list[AccountSecrets]:
        return [AccountSecrets(lambda key, account, uid: f"{key.name}/{account}/{uid}")]

    meta = {"namespace": "n", "annotations": {"kubernetes.io/service-account.name": "a"}}
    manifests = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n", "uid": "1"}},
        {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": {**meta, "name": "s"}},
        {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {**meta, "name": "o"}},
    ]
    cycle = Cycle(Snapshot.of(map(from_dict, manifests)), concerns())
    cycle.settle(NOW)
    found = cycle.ws.get(Key("Secret", "n", "s"))
    assert isinstance(found, Secret)
    assert b64decode(found.data["token"]) == b"s/a/1"
    assert not cycle.ws.get(Key("Secret", "n", "o")).data
    assert_settled(cycle, concerns, NOW)
