"""How Kubernetes' messages show a label selector: the text of its generated Go type."""

from __future__ import annotations

from state.objects import LabelSelector


def printed(selector: LabelSelector | None) -> str:
    """A selector as Go prints it (its generated ``String`` method); "nil" for None."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted(selector.match_labels.items()))
    wanted = "".join(
        f"LabelSelectorRequirement{{Key:{each.key},Operator:{each.operator},Values:[{' '.join(each.values)}],}},"
        for each in selector.match_expressions
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{wanted}}},}}"
    )
