"""``gangamon shadow report``: what sessions in shadow mode have found."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gangamon.cli.ganga import gangadir_of
from gangamon.errors import BadInput
from gangamon.services import mode, shadow
from gangamon.views.text import plain


@click.group("shadow")
def shadow_group() -> None:
    """gangamon beside Ganga's own monitoring ([Gangamon] mode = shadow)."""


@shadow_group.command("report")
@click.option("--json", "as_json", is_flag=True, help="For programs: all findings.")
@click.option(
    "--gangadir", type=click.Path(file_okay=False, path_type=Path), help="The repository."
)
def report(as_json: bool, gangadir: Path | None) -> None:
    """Where gangamon and Ganga's own monitoring disagree, and who knew earlier.

    Exit code 1 if they contradict each other.
    """
    place = (gangadir or gangadir_of(Path("~/.gangarc").expanduser())).absolute() / mode.FOLDER
    paths = shadow.files(place)
    if not paths:
        raise BadInput(
            [f"--gangadir: got {place.parent}; accepted: one that was used in shadow mode"]
        )
    try:
        found = shadow.summary(paths)
    except OSError as error:
        raise BadInput([f"{error.filename}: {error.strerror}"]) from error
    click.echo(
        json.dumps(found.as_json()) if as_json else "\n".join(map(plain, shadow.text(found)))
    )
    if found.contradictions:
        raise SystemExit(1)


COMMANDS = (shadow_group,)
