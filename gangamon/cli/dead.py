"""``dead list``, ``dead show``, ``dead retry``: jobs and stages that were set aside."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import click

from gangamon.cli import commanding
from gangamon.cli.table import table
from gangamon.domain.command import Retry
from gangamon.errors import BadInput
from gangamon.views.dead import EXAMPLES, Letter, as_dict, causes, order, parse
from gangamon.views.text import moment, plain

JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
REPOSITORY = click.option("--repository", help="Only those of this repository id.")


@click.group()
def dead() -> None:
    """Jobs and stages that were set aside, because they break the query or kill their worker."""


@dead.command("list")
@JSON
def list_(as_json: bool) -> None:
    """What was set aside, by cause."""
    found = causes(_letters(None))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("nothing is set aside")
        return
    rows = [
        (c["stage"], c["count"], moment(c["first"]), moment(c["last"]),
         ", ".join(c["examples"]) + (" ..." if c["count"] > EXAMPLES else ""), c["cause"])
        for c in found
    ]  # fmt: skip
    table(("stage", "count", "first", "last", "jobs", "cause"), rows)


@dead.command()
@click.argument("job")
@REPOSITORY
@JSON
def show(job: str, repository: str | None, as_json: bool) -> None:
    """Why a JOB (42 or 42.7) was set aside, word for word."""
    found = _of(_letters(repository), job)
    if as_json:
        click.echo(json.dumps([as_dict(letter) for letter in found]))
        return
    for letter in found:
        click.echo(f"job {letter.fqid} ({letter.stage}), {moment(letter.at)}")
        for line in letter.reason.splitlines():
            click.echo(f"  {plain(line)}")


@dead.command()
@click.argument("job", required=False)
@click.option("--all", "everything", is_flag=True, help="Whatever is set aside.")
@click.option("--cause", help="Those whose cause or reason has this text.")
@REPOSITORY
@JSON
def retry(
    job: str | None, everything: bool, cause: str | None, repository: str | None, as_json: bool
) -> None:
    """Take back JOB (42: with all its subjobs; 42.7), --all, or those of one --cause.

    A stage of a master job itself is taken back together with all else of that master.
    """
    if sum((job is not None, everything, cause is not None)) != 1:
        raise BadInput(["retry: accepted: one of JOB, --all, --cause TEXT"])
    found = _letters(repository)
    if job is not None:
        found = _of(found, job)
    elif cause is not None:
        found = [one for one in found if cause in one.reason or cause in one.cause]
        if not found:
            raise BadInput([f"--cause: got {cause!r}; accepted: text of what `dead list` shows"])
    client = commanding.client()
    for (where, master), subs in order(found).items():
        commanding.send(client, Retry(client.new_id(), where, master, subs))
    left = {letter.name for letter in client.dead()}
    back = [letter for letter in found if letter.name not in left]
    if as_json:
        click.echo(json.dumps([as_dict(letter) for letter in back]))
    else:
        click.echo(f"{len(back)} taken back")


COMMANDS = (dead,)


def _letters(repository: str | None) -> list[Letter]:
    found = [parse(letter) for letter in commanding.client().dead()]
    return [letter for letter in found if repository in (None, letter.repository)]


def _of(letters: Sequence[Letter], job: str) -> list[Letter]:
    if not re.fullmatch(r"\d+(\.\d+)?", job):
        raise BadInput([f"job: got {job!r}; accepted: 42 or 42.7"])
    found = [letter for letter in letters if job in (letter.fqid, str(letter.master))]
    if not found:
        raise BadInput([f"job: got {job}; accepted: one that `gangamon dead list` shows"])
    return found
