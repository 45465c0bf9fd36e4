"""Options that several commands share, and what they are read into."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from reconciler.cli import log
from reconciler.cli.inputs import Inputs
from state.times import SECOND, TimeError, parse_duration, parse_time

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_PATH = click.Path(path_type=str, allow_dash=True)


class Duration(click.ParamType[int]):
    """A Go duration, read into µs."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads it."""
        try:
            return value if isinstance(value, int) else parse_duration(value)
        except TimeError as error:
            self.fail(str(error), param, ctx)


def _time(_: click.Context, __: click.Parameter, text: str | None) -> int:
    """A time in µs since the epoch: the one given, or that of the clock, the one place where these commands look at it.

    The clock's is cut to whole seconds, as Kubernetes writes times.
    """
    if text is None:
        return int(time.time()) * SECOND
    try:
        return parse_time(text)
    except TimeError as error:
        raise click.BadParameter(str(error)) from error


def _no_color(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value or os.environ.get("NO_COLOR"):
        ctx.color = False


def _verbose(_: click.Context, __: click.Parameter, value: bool) -> None:
    log.configure(logging.DEBUG if value else logging.WARNING)


def common(command: FunctionT) -> FunctionT:
    """Options that every command has: ``-v`` and ``--no-color``."""
    for option in (
        click.option(
            "--no-color",
            is_flag=True,
            expose_value=False,
            callback=_no_color,
            help="No colours, even on a terminal; NO_COLOR in the environment does the same.",
        ),
        click.option(
            "-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose, help="Write a log to stderr."
        ),
    ):
        command = option(command)
    return command


def output(*forms: str) -> Callable[[FunctionT], FunctionT]:
    """The option ``-o`` with these forms besides the default, a table."""
    return click.option("-o", "--output", "form", type=click.Choice(forms), help="Something else than the table.")


def no_headers(command: FunctionT) -> FunctionT:
    """The option ``--no-headers``, as kubectl has it."""
    return click.option("--no-headers", is_flag=True, help="Tables without their headers.")(command)


def manifests(name: str, purpose: str, **more: Any) -> Callable[[FunctionT], FunctionT]:
    """The option ``-f``: files to read; ``purpose`` is what they are read for."""
    text = f"Manifests to {purpose}: YAML or JSON, directories with all below them, - for stdin. Repeatable."
    return click.option("-f", "--filename", name, multiple=True, type=_PATH, metavar="FILE|DIR|-", help=text, **more)


_INPUTS = (
    manifests("desired", "apply"),
    click.option(
        "--observed",
        multiple=True,
        type=_PATH,
        metavar="FILE|DIR|-",
        help="The objects of the cluster as they are, as from kubectl get -o json. Repeatable.",
    ),
    click.option(
        "--nodes",
        default="",
        metavar="NODES",
        help="Made-up nodes: 3, 3x4cpu,16Gi, or 2x8cpu,64Gi,nvidia.com/gpu=4+10x2cpu,4Gi,3zones.",
    ),
    click.option("--now", callback=_time, metavar="TIME", help="The time, as 2026-01-01T00:00:00Z.  [default: now]"),
    click.option(
        "-n",
        "--namespace",
        default="",
        metavar="NAME",
        help="Where objects go that name no namespace, and the only one that is shown.",
    ),
    click.option(
        "--validate",
        "validation",
        type=click.Choice(["strict", "warn", "ignore"]),
        default="strict",
        show_default=True,
        help="What to do about unknown and repeated fields.",
    ),
    click.option(
        "--scheduler-config",
        type=_PATH,
        metavar="FILE|-",
        help="A KubeSchedulerConfiguration: profiles, plugins and their weights.  [default: the default profile]",
    ),
    click.option(
        "--skip-invalid", is_flag=True, help="Go on without what is refused; it is listed, and the exit status is 1."
    ),
)


def gathered(name: str, record: type, options: Sequence[Callable[..., Any]]) -> Callable[[FunctionT], FunctionT]:
    """Adds options to a command. It gets what they are given as a record of that name, which has a field for each."""

    def add(command: FunctionT) -> FunctionT:
        @functools.wraps(command)
        def with_record(**given: Any) -> Any:
            fields = {field: given.pop(field) for field in record.__annotations__}
            return command(**{name: record(**fields)}, **given)

        wrapped: Any = with_record
        for option in reversed(options):
            wrapped = option(wrapped)
        typed: FunctionT = wrapped
        return typed

    return add


#: The options about manifests, cluster and time; the command gets them as ``inputs``.
inputs = gathered("inputs", Inputs, _INPUTS)
