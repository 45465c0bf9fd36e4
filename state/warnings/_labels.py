"""Labels of nodes that have other names now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from state.objects import LabelSelectorRequirement, NodeSelectorRequirement

DEPRECATED: Mapping[str, str] = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
}


def of_expressions(
    path: str, expressions: Iterable[NodeSelectorRequirement | LabelSelectorRequirement]
) -> Iterator[str]:
    """Of the requirements of the selector at that path."""
    for index, expression in enumerate(expressions):
        if expression.key in DEPRECATED:
            where = f"{path}.matchExpressions[{index}].key"
            yield f"{where}: {expression.key} is {DEPRECATED[expression.key]}"
