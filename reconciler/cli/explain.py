"""``reconciler explain``: why one object is as it is."""

from __future__ import annotations

import click

from reconciler.cli import exits
from reconciler.cli.inputs import Inputs
from reconciler.cli.options import common, inputs, output
from reconciler.cli.results import show_data
from reconciler.cli.tables import echo, escape
from state.snapshot import find_key


@click.command(
    epilog=exits.epilog(
        "reconciler explain pod/default/web-0 -f web.yaml --nodes 3\n"
        "reconciler explain deploy/web -n shop -f shop.yaml --nodes 3\n"
        "reconciler explain pvc/data -f db.yaml --observed cluster.json -o json"
    )
)
@click.argument("target")
@inputs
@output("json", "yaml")
@common
def explain(target: str, inputs: Inputs, form: str | None) -> int:
    """Say why one object is as it is, or isn't: what is done about it, what isn't, and why not.

    TARGET is KIND/NAME or KIND/NAMESPACE/NAME, with kubectl's short names: pod/web-0, deploy/shop/web. For a pod,
    every node is told with what speaks against it, or its scores.
    """
    cluster = inputs.read()
    plan = cluster.plan()
    explanation = plan.explain(find_key(target, plan.snapshot, inputs.namespace or "default"))
    if form is not None:
        show_data(explanation.to_dict(), form)
    else:
        echo(escape(line) for line in str(explanation).splitlines())
    return exits.FAILED if cluster.all_refused(plan.refused) else exits.OK
