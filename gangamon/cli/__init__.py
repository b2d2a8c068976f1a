"""``gangamon``: the command line. One file per group of commands; it prints, and decides nothing.

Exit codes: 0 well; 1 it did not work; 2 the input, the settings or the way to Redis are wrong.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from gangamon import __version__
from gangamon.errors import BadInput, GangamonError, StoreUnavailable

#: Modules of this package; each has its commands in COMMANDS. None imports at its top what takes
#: long: celery, redis, psutil, supervisor.
GROUPS = ("service", "doctor")


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


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gangamon")
def main() -> None:
    """Ganga's job monitoring, outside the Ganga session."""


for _name in GROUPS:
    for _command in import_module(f"gangamon.cli.{_name}").COMMANDS:
        main.add_command(_command)
