"""``reconciler validate``: every problem of manifests, with file, document, object and path."""

from __future__ import annotations

import click

from reconciler.check import check_loaded
from reconciler.cli import exits
from reconciler.cli.inputs import Inputs
from reconciler.cli.options import common, inputs, output
from reconciler.cli.results import show_data
from reconciler.cli.summary import many
from reconciler.cli.tables import echo, escape


@click.command(
    epilog=exits.epilog(
        "reconciler validate -f manifests/\n"
        "kustomize build overlays/prod | reconciler validate -f -\n"
        "reconciler validate -f chart.yaml --validate warn -o json"
    )
)
@inputs
@output("json", "yaml")
@common
def validate(inputs: Inputs, form: str | None) -> int:
    """List every problem of manifests, with its path: file and document, object, field, and what is wrong with it.

    The exit status is 1 if there is a problem.
    """
    if inputs.is_empty:
        raise click.UsageError("nothing to validate: name manifests with -f FILE, -f DIR or -f -")
    found = check_loaded(inputs.load((*inputs.desired, *inputs.observed)))
    if form is not None:
        show_data(found, form)
    else:
        for text in found["warnings"]:
            exits.warning(text)
        problems = found["problems"]
        places = [dict.fromkeys((item["origin"], item["object"], item["path"], item["message"])) for item in problems]
        echo(escape(": ".join(filter(None, place))) for place in places)
        click.echo(_last_line(found))
    return exits.OK if found["valid"] else exits.FAILED


def _last_line(found: dict[str, object]) -> str:
    total, problems, carried = found["objects"], found["problems"], found["carried"]
    assert isinstance(total, int)
    assert isinstance(problems, list)
    assert isinstance(carried, list)
    bad = len({(item["origin"], item["object"]) for item in problems})
    verdict = f"{many(len(problems), 'problem')} in {bad} of {many(total, 'object')}"
    text = verdict if problems else f"{many(total, 'object')}, no problem"
    return f"{text}; {len(carried)} of kinds that are only carried" if carried else text
