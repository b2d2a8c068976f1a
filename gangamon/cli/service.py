"""``gangamon up``, ``down``, ``ps``, ``restart``: handed to ``workers.supervisor``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

import click

from gangamon.errors import BadInput
from gangamon.instance import environment

#: What the server extra brings, of which the commands here have need.
NEEDED = ("celery", "flower", "psutil", "supervisor")


def supervisor(*arguments: str) -> list[str]:
    """The command that does it. BadInput if the server extra is not installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise BadInput(["needs the server extra: pip install 'gangamon[server]'"])
    return [sys.executable, "-m", "workers.supervisor", *arguments]


def _become(*arguments: str) -> NoReturn:
    """In the place of this process, so that signals and the exit code are its own."""
    command = supervisor(*arguments)
    given = environment(os.environ)
    # `python -m` looks for modules in the current directory first: not in the user's.
    os.chdir("/")
    sys.stdout.flush()
    os.execve(command[0], command, given)


@click.command()
@click.option("--foreground", is_flag=True, help="Stay, and end everything when ended.")
@click.option("--no-flower", is_flag=True, help="Without Flower.")
@click.option("--no-web", is_flag=True, help="Without the job page.")
@click.option("--take-over", is_flag=True, help="The host that ran it is gone for good.")
@click.option("--json", "as_json", is_flag=True, help="Say where it runs in JSON.")
def up(foreground: bool, no_flower: bool, no_web: bool, take_over: bool, as_json: bool) -> None:
    """Start Redis, beat, the workers, Flower and the job page, and return when they run."""
    options = {
        "--foreground": foreground,
        "--no-flower": no_flower,
        "--no-web": no_web,
        "--take-over": take_over,
        "--json": as_json,
    }
    _become("up", *(name for name, given in options.items() if given))


@click.command()
def down() -> None:
    """End everything that `up` started on this host."""
    _become("down")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="In JSON.")
def ps(as_json: bool) -> None:
    """What runs, and where. Exit code: 0 all runs, 1 some does not, 2 another host, 3 nothing."""
    _become("ps", *(["--json"] if as_json else []))


@click.command()
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
def restart(names: tuple[str, ...]) -> None:
    """Start programs again; by default all but Redis."""
    _become("restart", "--", *names)


COMMANDS = (up, down, ps, restart)
