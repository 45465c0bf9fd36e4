"""What is taken, with a warning."""

from pathlib import Path

import pytest
import yaml

from state.defaults import default
from state.load import from_dict
from state.objects import replace
from state.warnings import warnings_of
from state.warnings.plain import plain_warnings

CASES = yaml.safe_load((Path(__file__).parent / "data" / "warnings.yaml").read_text())
NAME = (
    "this is used in {}, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
)
POD_NAME = "the Pod's hostname"


def obj(kind="Pod", api_version="v1", name="n", metadata=None, spec=None, **fields):
    spec = {"containers": [{"name": "c", "image": "i"}], **(spec or {})} if kind == "Pod" else spec
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **fields}
    return default(from_dict(body if spec is None else {**body, "spec": spec}))


def deployment(name="d", **spec):
    template = {"spec": {"terminationGracePeriodSeconds": -1, "containers": [{"name": "c", "image": "i"}]}}
    return obj("Deployment", "apps/v1", name, {"generation": 1}, {"template": template, **spec})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case):
    """In the API server's words and order."""
    given = obj(
        case["kind"],
        case.get("apiVersion", "v1"),
        metadata=case.get("metadata"),
        spec=case.get("spec"),
        **case.get("fields", {}),
    )
    assert list(warnings_of(given, None)) == case["warnings"]


def test_names_that_are_no_labels():
    """Pods have their names as hostnames, and the pods of most workloads their workload's."""
    assert list(warnings_of(obj(name="a.b"), None)) == [
        f"metadata.name: {NAME.format('the Pod' + chr(39) + 's hostname')}"
    ]
    assert next(warnings_of(deployment("a.b"), None)) == f"metadata.name: {NAME.format('Pod names and hostnames')}"


def test_a_changed_pod_is_not_looked_at():
    """Only programs change pods."""
    pod = obj(spec={"terminationGracePeriodSeconds": -1})
    assert len(list(warnings_of(pod, None))) == 1
    assert not list(warnings_of(pod, pod))


def test_a_template_is_looked_at_with_each_new_generation():
    """Neither for a change of labels, nor the name again."""
    old = deployment("a.b")
    assert not list(warnings_of(old, old))
    new = replace(old, metadata=replace(old.metadata, generation=2))
    told = "must be >= 0; negative values are invalid and will be treated as 1"
    assert list(warnings_of(new, old)) == [f"spec.template.spec.terminationGracePeriodSeconds: {told}"]


@pytest.mark.parametrize(
    ("certificate", "key", "warning"),
    [
        (["CERTIFICATE"], ["RSA PRIVATE KEY"], None),
        (
            ["PRIVATE KEY"],
            [],
            (
                "failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
                "have been switched"
            ),
        ),
        (["CERTIFICATE"], [], "failed to find any PEM data in key input"),
        (["CERTIFICATE"], ["CERTIFICATE"], "found a certificate rather than a key in the PEM for the private key"),
    ],
)
def test_a_secret_for_tls(certificate, key, warning):
    """The blocks of a certificate and its key are of the right kinds."""
    parts = {
        name: "".join(f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n" for kind in kinds)
        for name, kinds in (("tls.crt", certificate), ("tls.key", key))
    }
    secret = obj("Secret", type="kubernetes.io/tls", stringData=parts)
    assert list(warnings_of(secret, None)) == ([] if warning is None else [f"tls: {warning}"])


def test_kinds_without_a_type():
    """Classes in annotations, ranges that are better written otherwise, labels of nodes."""
    ingress = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}, "spec": {}}
    advice = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    assert list(plain_warnings("Ingress", ingress, is_new=True)) == [advice]
    assert not list(plain_warnings("Ingress", ingress, is_new=False))
    policy = {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["2001:DB8::/32"]}}]}]}}
    assert list(plain_warnings("NetworkPolicy", policy, is_new=False)) == [
        (
            'spec.egress[0].to[0].ipBlock.except[0]: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical '
            'format ("2001:db8::/32")'
        )
    ]
    runtime = {"scheduling": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}
    assert list(plain_warnings("RuntimeClass", runtime, is_new=True)) == [
        'scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead'
    ]
