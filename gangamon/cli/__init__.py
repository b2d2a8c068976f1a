"""``gangamon``: the command line. One file per group of commands; it prints, and decides nothing.

Exit codes: 0 well; 1 it did not work; 2 the input, the settings or the way to Redis are wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

import click

from gangamon import __version__
from gangamon.errors import BadInput, GangamonError, StoreUnavailable

#: Modules of this package; each has its commands in COMMANDS. They are loaded in this order until
#: a command is found: those that take long (redis) come last.
GROUPS = (
    "service",
    "simulate",
    "jobs",
    "lanes",
    "reports",
    "dead",
    "metrics",
    "top",
    "ganga",
    "shadow",
    "doctor",
)


def fail(error: GangamonError) -> NoReturn:
    """One line for each fault, and the exit code."""
    for fault in error.faults if isinstance(error, BadInput) else (str(error),):
        click.echo(f"gangamon: {fault}", err=True)
    sys.exit(2 if isinstance(error, (BadInput, StoreUnavailable)) else 1)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GangamonError as error:
            fail(error)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [str(command.name) for command in _commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return next((command for command in _commands() if command.name == cmd_name), None)


def _commands() -> Iterator[click.Command]:
    for name in GROUPS:
        yield from import_module(f"gangamon.cli.{name}").COMMANDS


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gangamon")
def main() -> None:
    """Ganga's job monitoring, outside the Ganga session."""
