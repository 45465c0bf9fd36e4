"""How commands end: the exit statuses, and what is said on stderr when something goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from state.errors import StateError

OK = 0
FAILED = 1
USAGE = 2
WAITING = 3
#: As a shell reports the death by SIGINT and by SIGPIPE.
INTERRUPTED = 130
BROKEN_PIPE = 141

STATUS = """\b
Exit status:
  0    all is well
  1    something was refused, or failed
  2    the command line is wrong
  3    something is left waiting, and --fail-on-waiting was given
  130  interrupted by Ctrl-C
  141  nobody reads the output any more"""


def epilog(examples: str) -> str:
    """The end of a command's help: examples, and the exit statuses."""
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return f"\b\nExamples:\n{lines}\n\n{STATUS}"


class RefusedError(StateError):
    """Manifests were refused; what is wrong with each has been said."""


def error(text: str) -> None:
    """Says on stderr what is wrong."""
    click.echo(f"{click.style('error:', fg='red')} {text}", err=True)


def warning(text: str) -> None:
    """Says on stderr what looks wrong."""
    click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)


def run(command: Callable[[], Any]) -> int:
    """Runs a command to its exit status; an error that has a user's input or a file for its cause is one sentence."""
    try:
        status = command()
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.UsageError as usage:
        usage.show()
        return USAGE
    except click.ClickException as failure:
        error(failure.format_message())
        return FAILED
    except RefusedError:
        return FAILED
    except (StateError, OSError) as cause:
        _failed(cause, _sentence(cause))
        return FAILED
    except Exception as bug:  # noqa: BLE001 - nothing is hidden: it is told, and ends the program
        _failed(bug, f"internal error: {type(bug).__name__}: {bug}; -v shows where")
        return FAILED
    return status if isinstance(status, int) else OK


def _sentence(cause: StateError | OSError) -> str:
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"{cause.filename}: {cause.strerror}"
    return str(cause)


def _failed(cause: BaseException, sentence: str) -> None:
    """Says the sentence; the log, which -v makes visible, has the whole story."""
    import structlog  # noqa: PLC0415 - slow, and seldom needed here

    structlog.get_logger(__name__).debug("command failed", exc_info=cause)
    error(sentence)


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """Ends the program without a word when nobody reads its output any more.

    What is still to be written goes nowhere, or Python would complain at exit that it can't write it.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(BROKEN_PIPE) from None
