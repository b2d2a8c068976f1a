"""``web``: the job page."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click

from gangamon import settings
from gangamon.errors import BadInput

#: What the web extra brings.
NEEDED = ("fastapi", "jinja2", "uvicorn")


@click.command()
@click.option("--host", default=None, help="Address to listen at (settings: web.address).")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="0: any free one.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Its first line is the password; needed unless on loopback.",
)
def web(host: str | None, port: int | None, password_file: Path | None) -> None:
    """Serve the job page and its JSON API, until it is interrupted."""
    if any(find_spec(name) is None for name in NEEDED):
        raise BadInput(["needs the web extra: pip install 'gangamon[web]'"])
    # Imports that take half a second, which --help must not wait for.
    from gangamon.web import serve

    conf = settings.load()
    conf = replace(
        conf,
        web_address=conf.web_address if host is None else host,
        web_port=conf.web_port if port is None else port,
        web_password_file=password_file or conf.web_password_file,
    )
    sys.exit(serve.serve(conf, lambda url: click.echo(f"job page: {url}")))


COMMANDS = (web,)
