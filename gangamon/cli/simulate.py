"""``gangamon simulate``: handed to ``gangamon.testing.simulator.drive``."""

from __future__ import annotations

import os
import sys

import click

from gangamon.instance import environment


@click.command()
@click.argument("scenario")
@click.option("--seconds", type=float, default=None, help="Follow for so long at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def simulate(scenario: str, seconds: float | None, as_json: bool) -> None:
    """Watch the jobs of a simulated backend: how late, how often asked, and whether it is true.

    SCENARIO: a TOML file (docs/simulate.md), or dirac, hostile or quiet. Without a service that
    runs it only serves. Exit code 1 if a status was not true, or the end was not reached.
    """
    path = os.path.abspath(scenario) if os.path.exists(scenario) else scenario
    command = [sys.executable, "-m", "gangamon.testing.simulator.drive", path]
    command += ["--seconds", str(seconds)] if seconds is not None else []
    command += ["--json"] if as_json else []
    given = environment(os.environ)
    # `python -m` looks for modules in the current directory first: not in the user's.
    os.chdir("/")
    sys.stdout.flush()
    os.execve(command[0], command, given)


COMMANDS = (simulate,)
