"""CertificateSigningRequests: approved, signed with the server's own authority, and removed when they are old."""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.apiserver.certificate_hands import SigningHands
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.apiserver.rbac import Authorizer
from reconciler.apiserver.tls import Authority
from rules.certificates import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Request, fault
from tests.reconciler.apiserver.secured import NOW, RBAC, SECOND, Client

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
HOUR = 3600 * SECOND
NODE = Request("system:node:n", ("system:nodes",))
USUAL = ("digital signature", "key encipherment")


@pytest.mark.parametrize(
    ("signer", "request_", "usages", "expected"),
    [
        (CLIENT, Request("jane"), ["client auth"], ""),
        (CLIENT, Request("jane"), ["client auth", *USUAL], ""),
        (CLIENT, Request("jane"), ["digital signature"], "missing required usage for client certificate: client auth"),
        (CLIENT, Request("jane"), ["server auth"], "invalid usage for client certificate: server auth"),
        (KUBELET_CLIENT, NODE, ["client auth", *USUAL], ""),
        (KUBELET_CLIENT, NODE, ["client auth", "digital signature"], ""),
        (
            KUBELET_CLIENT,
            NODE,
            ["client auth"],
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (KUBELET_CLIENT, Request("system:node:n"), [], "subject organization is not system:nodes"),
        (KUBELET_CLIENT, NODE._replace(common_name="n"), [], "subject common name does not begin with system:node:"),
        (KUBELET_CLIENT, NODE._replace(dns_names=("n",)), [], "DNS subjectAltNames are not allowed"),
        (KUBELET_CLIENT, NODE._replace(emails=("a@b",)), [], "Email subjectAltNames are not allowed"),
        (KUBELET_CLIENT, NODE._replace(addresses=("10.0.0.1",)), [], "IP subjectAltNames are not allowed"),
        (KUBELET_CLIENT, NODE._replace(uris=("x:y",)), [], "URI subjectAltNames are not allowed"),
        (KUBELET_SERVING, NODE._replace(addresses=("10.0.0.1",)), ["server auth", *USUAL], ""),
        (KUBELET_SERVING, NODE, ["server auth", *USUAL], "DNS or IP subjectAltName is required"),
        (
            KUBELET_SERVING,
            NODE._replace(dns_names=("n",)),
            ["client auth", *USUAL],
            "usages did not match [digital signature key encipherment server auth]",
        ),
        ("example.com/own", Request("jane"), ["client auth"], None),
    ],
)
def test_what_each_signer_signs(signer: str, request_: Request, usages: list[str], expected: str | None) -> None:
    """In Kubernetes' words; other signers are other people's."""
    assert fault(signer, request_, usages) == expected


class Cluster:
    """A secured API with its control plane, and a clock set by hand."""

    def __init__(self, folder: Path) -> None:
        self.client = Client(folder)
        self.authority = Authority.kept_in(folder, NOW)
        hands = SigningHands(self.authority, Authorizer(self.client.api.storage).allows)
        self.control = ControlPlane(self.client.api, partial(control_concerns, signing=hands))
        self.settle()

    def settle(self) -> None:
        self.control.settle()

    def ask(self, name: str, pem: bytes, signer: str = CLIENT, *usages: str, token: str = "bobs", **spec: Any) -> Any:
        body = {
            "metadata": {"name": name},
            "spec": {
                "request": b64encode(pem).decode(),
                "signerName": signer,
                "usages": usages or ("client auth",),
                **spec,
            },
        }
        answer = self.client("POST", PATH, body, token=token)
        self.settle()
        return answer

    def answer(self, name: str, kind: str = "Approved", token: str = "roots") -> Any:
        found = self.get(name)[1]
        found["status"] = {"conditions": [{"type": kind, "status": "True", "reason": "Test", "message": "m"}]}
        answer = self.client("PUT", f"{PATH}/{name}/approval", found, token=token)
        self.settle()
        return answer

    def get(self, name: str) -> Any:
        return self.client("GET", f"{PATH}/{name}", token="roots")

    def status(self, name: str) -> Any:
        return self.get(name)[1]["status"]

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(b64decode(self.status(name)["certificate"]))

    def give(self, name: str, rule: dict[str, Any]) -> None:
        """Gives bob a right in the whole cluster."""
        group = "rbac.authorization.k8s.io"
        self.client("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]}, token="roots")
        binding = {
            "metadata": {"name": name},
            "subjects": [{"kind": "User", "name": "bob", "apiGroup": group}],
            "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": group},
        }
        self.client("POST", f"{RBAC}/clusterrolebindings", binding, token="roots")

    def later(self, time: int) -> None:
        self.client.clock.now += time
        self.settle()


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    made = Cluster(tmp_path)
    resources = ["certificatesigningrequests", "certificatesigningrequests/approval"]
    made.give(
        "ask", {"apiGroups": ["certificates.k8s.io"], "resources": resources, "verbs": ["create", "update", "get"]}
    )
    return made


def asked(common_name: str, *organizations: str, names: tuple[x509.GeneralName, ...] = ()) -> bytes:
    """A request, signed with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_an_approved_request_is_signed(cluster: Cluster) -> None:
    """For whom it names, with its key, for as long as it asks, by the authority that the server trusts."""
    pem = asked("jane", "dev", "ops")
    code, made = cluster.ask("jane", pem, expirationSeconds=86_400)
    assert code == 201
    assert {name: made["spec"][name] for name in ("username", "groups")} == {
        "username": "bob",
        "groups": ["dev", "system:authenticated"],
    }
    assert "certificate" not in cluster.status("jane")
    assert cluster.answer("jane")[0] == 200
    (condition,) = cluster.status("jane")["conditions"]
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"] is not None
    found = cluster.certificate("jane")
    found.verify_directly_issued_by(cluster.authority.pair.certificate)
    request = x509.load_pem_x509_csr(pem)
    assert found.subject == request.subject
    assert found.public_key() == request.public_key()
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() == 86_400
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):  # nothing was asked for, so that all is allowed
        found.extensions.get_extension_for_class(x509.KeyUsage)


@pytest.mark.parametrize(("asked_for", "given"), [(None, 365 * 86_400), (10**9, 365 * 86_400)])
def test_a_certificate_is_good_for_a_year_at_most(cluster: Cluster, asked_for: int | None, given: int) -> None:
    """That is what it is good for if nothing else is asked."""
    cluster.ask("jane", asked("jane"), **({} if asked_for is None else {"expirationSeconds": asked_for}))
    cluster.answer("jane")
    found = cluster.certificate("jane")
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() == given


@pytest.mark.parametrize("kind", ["Denied", None])
def test_others_are_not_signed(cluster: Cluster, kind: str | None) -> None:
    """Denied ones, and those that nobody has looked at; nor those of somebody else's signer."""
    cluster.ask("jane", asked("jane"))
    cluster.ask("own", asked("jane"), "example.com/own")
    if kind is not None:
        cluster.answer("jane", kind)
    cluster.answer("own")
    assert ["certificate" in cluster.status(name) for name in ("jane", "own")] == [False, False]


def test_a_request_that_no_signer_signs_fails(cluster: Cluster) -> None:
    """Though it was approved."""
    cluster.ask("jane", asked("jane"), CLIENT, "server auth")
    cluster.answer("jane")
    status = cluster.status("jane")
    assert "certificate" not in status
    failed = status["conditions"][1]
    assert (failed["type"], failed["reason"], failed["message"]) == (
        "Failed",
        "SignerValidationFailure",
        "invalid usage for client certificate: server auth",
    )


def test_nobody_gets_into_system_masters(cluster: Cluster) -> None:
    """Not even who may do everything."""
    code, found = cluster.ask("evil", asked("evil", "dev", "system:masters"), token="roots")
    assert code == 403
    assert found["message"] == (
        'certificatesigningrequests.certificates.k8s.io "evil" is forbidden: '
        "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )


@pytest.mark.parametrize("names", [[CLIENT], ["kubernetes.io/*"]])
def test_approving_takes_a_right_about_the_signer(cluster: Cluster, names: list[str]) -> None:
    """Beside that to change approvals."""
    cluster.ask("jane", asked("jane"))
    code, found = cluster.answer("jane", token="bobs")
    assert code == 403
    assert found["message"].endswith(f'user not permitted to approve requests with signerName "{CLIENT}"')
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["signers"],
        "verbs": ["approve"],
        "resourceNames": names,
    }
    cluster.give("signers", rule)
    assert cluster.answer("jane", token="bobs")[0] == 200
    assert "certificate" in cluster.status("jane")


@pytest.mark.parametrize(
    ("part", "name", "approved"),
    [
        ("nodeclient", "n1", "Auto approving kubelet client certificate after SubjectAccessReview."),
        ("nodeclient", "bob", "Auto approving kubelet client certificate after SubjectAccessReview."),
        ("selfnodeclient", "n1", None),
    ],
)
def test_kubelets_need_nobodys_approval(cluster: Cluster, part: str, name: str, approved: str | None) -> None:
    """If they have the right to that; one that only renews its own may not ask for another."""
    usages = ("client auth", *USUAL)
    cluster.ask("n", asked(f"system:node:{name}", "system:nodes"), KUBELET_CLIENT, *usages)
    assert cluster.status("n") == {}
    resource = f"certificatesigningrequests/{part}"
    cluster.give("k", {"apiGroups": ["certificates.k8s.io"], "resources": [resource], "verbs": ["create"]})
    cluster.later(60 * SECOND)
    status = cluster.status("n")
    if approved is None:
        assert status == {}
        return
    (condition,) = status["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == ("Approved", "AutoApproved", approved)
    assert "certificate" in status


def test_requests_are_removed_when_nobody_needs_them_any_more(cluster: Cluster) -> None:
    """An hour after they were answered, a day after they were made; a certificate that has ended at once."""
    for name in ("approved", "denied", "pending", "short"):
        cluster.ask(name, asked("jane"), expirationSeconds=600)
    cluster.answer("short")
    cluster.later(600 * SECOND)
    assert cluster.get("short")[0] == 404
    cluster.ask("approved", asked("jane"))
    cluster.answer("approved")
    cluster.answer("denied", "Denied")
    cluster.later(HOUR - SECOND)
    assert [cluster.get(name)[0] for name in ("denied", "pending")] == [200, 200]
    cluster.later(SECOND)
    assert [cluster.get(name)[0] for name in ("approved", "denied", "pending")] == [404, 404, 200]
    cluster.later(23 * HOUR)
    assert cluster.get("pending")[0] == 404


@pytest.mark.parametrize("request_", ["", "bm90aGluZw==", "%%%"])
def test_a_request_that_cannot_be_read_is_left_alone(tmp_path: Path, request_: str) -> None:
    """Whatever it holds."""
    hands = SigningHands(Authority.create(NOW), lambda user, wanted: False)
    assert hands.read(request_) is None
    assert hands.ends(request_) is None


def test_other_names_are_carried_over(cluster: Cluster) -> None:
    """A kubelet's serving certificate is for its addresses."""
    names = (x509.DNSName("n1"), x509.IPAddress(ip_address("10.0.0.1")))
    pem = asked("system:node:n1", "system:nodes", names=names)
    cluster.ask("serving", pem, KUBELET_SERVING, "server auth", *USUAL)
    cluster.answer("serving")
    found = cluster.certificate("serving").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(found) == names
