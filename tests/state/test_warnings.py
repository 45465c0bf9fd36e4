"""What is taken, with a warning."""

import pytest

from state.load import from_dict
from state.warnings import warnings_of

NAME = (
    "this is used in {}, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
)


def pod(name="p", **spec):
    containers = [{"name": "c", "image": "i", **spec.pop("container", {})}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, **spec},
    }


def workload(kind, name="w", **spec):
    template = {"spec": pod()["spec"]}
    meta = {"name": name}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": {"template": template, **spec}}


@pytest.mark.parametrize(
    ("manifest", "warnings"),
    [
        (pod(), []),
        (pod("a.b"), [f"metadata.name: {NAME.format('the Pod' + chr(39) + 's hostname')}"]),
        (workload("Deployment", "a.b"), [f"metadata.name: {NAME.format('Pod names and hostnames')}"]),
        (
            workload("StatefulSet", revisionHistoryLimit=-1),
            [
                (
                    "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
                    "a value >= 0 is recommended"
                ),
            ],
        ),
        (
            pod(nodeSelector={"beta.kubernetes.io/os": "linux"}, terminationGracePeriodSeconds=-1),
            [
                'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
                (
                    "spec.terminationGracePeriodSeconds: must be >= 0; "
                    "negative values are invalid and will be treated as 1"
                ),
            ],
        ),
        (
            pod(container={"env": [{"name": "A"}, {"name": "A"}], "resources": {"limits": {"memory": "100m"}}}),
            [
                (
                    'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, '
                    "must be an integer"
                ),
                'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
            ],
        ),
        (
            pod(volumes=[{"name": "v", "glusterfs": {"endpoints": "e", "path": "p"}}], imagePullSecrets=[{}]),
            [
                "spec.volumes[0].glusterfs: deprecated in v1.25, non-functional in v1.26+",
                'spec.imagePullSecrets[0].name: invalid empty name ""',
            ],
        ),
    ],
)
def test_what_is_taken_with_a_warning(manifest, warnings):
    """In the API server's words."""
    assert list(warnings_of(from_dict(manifest), None)) == warnings


def test_a_change_elsewhere_warns_of_nothing_old():
    """Neither of the name, nor of a template that stays as it was."""
    obj = from_dict(workload("Deployment", "a.b", template={"spec": pod(terminationGracePeriodSeconds=-1)["spec"]}))
    assert not list(warnings_of(obj, obj))
    assert len(list(warnings_of(obj, None))) == 2
