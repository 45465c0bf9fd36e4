"""What kube-apiserver 1.36 says of a pod's update, in its words and its order."""

import pytest

from state.defaults import default
from state.load import from_dict
from state.validation import validate_update

GATED = {"schedulingGates": [{"name": "g"}]}


def pod(annotations=None, **spec):
    body = {"metadata": {"name": "p", "namespace": "n", "annotations": annotations or {}}}
    body["spec"] = {"containers": [{"name": "c", "image": "i"}], **spec}
    return default(from_dict({"apiVersion": "v1", "kind": "Pod", **body}))


def affinity(*terms):
    chosen = [{"matchExpressions": [{"key": key, "operator": "Exists"} for key in keys]} for keys in terms]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": chosen}}
    return {"affinity": {"nodeAffinity": required}}


def told(new, old):
    return [str(each) for each in validate_update(new, old)]


def difference(new, old):
    """The lines after the sentence that all refusals of a changed specification begin with."""
    (text,) = told(new, old)
    head, _, diff = text.partition("\n")
    assert head.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,")
    assert head.endswith("(allow it to be set to 1 if it was previously negative)")
    return diff


def test_a_changed_specification_is_shown_as_a_diff():
    """With three lines around it, in Go's names and with a line end at the end."""
    assert difference(pod(nodeSelector={"a": "b", "c": "<"}), pod(nodeSelector={"a": "b"})) == (
        "@@ -40,7 +40,8 @@\n"
        '  "ActiveDeadlineSeconds": null,\n'
        '  "DNSPolicy": "ClusterFirst",\n'
        '  "NodeSelector": {\n'
        '-  "a": "b"\n'
        '+  "a": "b",\n'
        '+  "c": "\\u003c"\n'
        "  },\n"
        '  "ServiceAccountName": "",\n'
        '  "AutomountServiceAccountToken": null,\n'
    )


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({"hostNetwork": True}, ['   "HostNetwork": false,', '   "HostNetwork": true,']),
        ({"hostUsers": False}, ['   "HostUsers": null,', '   "HostUsers": false,']),
        ({"securityContext": {"fsGroup": 1}}, ['   "FSGroup": null,', '   "FSGroup": 1,']),
        ({"overhead": {"cpu": "1000m"}}, [' "Overhead": null,', ' "Overhead": {', '  "cpu": "1"', " },"]),
        ({"priority": 7}, [' "Priority": null,', ' "Priority": 7,']),
    ],
)
def test_fields_are_where_the_server_has_them(changed, lines):
    """What v1 has in the pod is in the security context; amounts are in their canonical form."""
    shown = [line[1:] for line in difference(pod(**changed), pod()).splitlines() if line[0] in "+-"]
    assert [line.strip() for line in shown] == [line.strip() for line in lines]


def test_embedded_parts_have_no_level_of_their_own():
    """A volume's source, a probe's handler and the name of a ConfigMap are beside what they belong to."""
    volume = {"name": "v", "configMap": {"name": "m"}}
    shown = difference(pod(volumes=[volume]), pod())
    for line in (
        '   "Name": "v",',
        '   "Quobyte": null,',
        '   "ConfigMap": {',
        '    "Name": "m",',
        '    "DefaultMode": 420,',
    ):
        assert f"+{line}\n" in shown
    assert shown.index('"RBD"') < shown.index('"Quobyte"') < shown.index('"FlexVolume"')


def test_a_claim_of_its_own_has_named_metadata():
    """Metadata keeps JSON's names, and leaves out what is empty."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    shown = difference(pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]), pod())
    assert '+     "labels": {\n+      "a": "b"\n+     },\n+     "Spec": {\n+      "AccessModes": [\n' in shown


def test_a_gated_pod_may_ask_for_more_of_its_node_only():
    """What it asked for stays; the rest of the specification isn't blamed for it."""
    more = pod(**GATED, nodeSelector={"a": "b", "c": "d"})
    assert told(more, pod(**GATED, nodeSelector={"a": "b"})) == []
    why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    assert told(pod(**GATED, nodeSelector={"a": "z"}), more) == [
        f'spec.nodeSelector: Invalid value: {{"a":"z"}}: {why}'
    ]


def test_a_gated_pods_affinity_may_only_narrow():
    """A term may ask for more; terms are neither added nor taken away."""
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    one, narrower, other, two = (pod(**GATED, **affinity(*terms)) for terms in ("a", ["ab"], "b", "ab"))
    assert told(narrower, one) == []
    assert told(one, pod(**GATED)) == []
    term = '{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}'
    assert told(other, one) == [
        f"{path}[0]: Invalid value: {term}: only additions are allowed (no mutations or deletions)"
    ]
    first = term.replace('"b"', '"a"')
    why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
    assert told(two, one) == [f"{path}: Invalid value: [{first},{term}]: {why}"]
    assert told(pod(**GATED), one) == [f"{path}: Invalid value: null: {why}"]


def test_the_first_fault_of_containers_or_the_deadline_ends_the_comparison():
    """Nothing is said of what else differs."""
    assert told(pod(containers=[{"name": "c", "image": " i"}], hostname="h"), pod()) == [
        'spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace'
    ]
    assert told(pod(activeDeadlineSeconds=9, hostname="h"), pod(activeDeadlineSeconds=8)) == [
        "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"
    ]


def test_annotations_of_the_kubelet_and_of_profiles_stay():
    """A mirror pod stays one; AppArmor's annotations are for new pods."""
    profile = "container.apparmor.security.beta.kubernetes.io/c"
    mirror = "kubernetes.io/config.mirror"
    old = pod({profile: "unconfined", mirror: "x"}, nodeName="n")
    assert told(pod({profile: "runtime/default"}, nodeName="n"), old) == [
        f"metadata.annotations[{profile}]: Forbidden: may not remove or update AppArmor annotations",
        f"metadata.annotations[{mirror}]: Forbidden: may not remove or update mirror pod annotation",
    ]
    assert told(old, pod(nodeName="n")) == [
        f"metadata.annotations[{profile}]: Forbidden: may not add AppArmor annotations",
        f"metadata.annotations[{mirror}]: Forbidden: may not add mirror pod annotation",
    ]


def test_new_tolerations_are_checked_again():
    """As part of the change, and so once more than the others."""
    bad = {"key": "k", "operator": "Exists", "value": "v"}
    message = "spec.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'"
    assert told(pod(tolerations=[bad]), pod()) == [message]
