"""``gangamon redis-acl``: the users of a Redis that several people or hosts share."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import click

from gangamon import settings
from gangamon.client import Client
from gangamon.errors import BadInput


@click.command("redis-acl")
@click.option("--owner", "owners", multiple=True, metavar="NAME", help="Whose jobs it holds.")
@click.option(
    "--secrets",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make a password for each user, in a file of its name in this directory.",
)
def redis_acl(owners: tuple[str, ...], folder: Path | None) -> None:
    """Print Redis's ACL file: one user for each role, and two for each owner.

    Without --secrets each user is off. A password that is there already is kept. Who each user is
    for is said on standard error.
    """
    found = Client.redis_acl(settings.load().redis_prefix, owners)
    for rule in found:
        password = _password(folder, rule.user) if folder and rule.login else ""
        click.echo(rule.line(hashlib.sha256(password.encode()).hexdigest() if password else ""))
        click.echo(f"{rule.user}: {rule.what}", err=True)


def _password(folder: Path, user: str) -> str:
    """BadInput: the directory cannot be written, or the file holds no password."""
    path = folder / user
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if password := path.read_text(encoding="utf-8").strip():
                return password
            raise BadInput(
                [f"--secrets: {path} is empty; accepted: a password, or no file"]
            ) from None
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(password := secrets.token_urlsafe(32))
        return password
    except OSError as error:
        raise BadInput([f"--secrets: {path}: {error.strerror}"]) from error


COMMANDS = (redis_acl,)
