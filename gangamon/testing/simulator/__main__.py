"""``python -m gangamon.testing.simulator SCENARIO``: serve a scenario.

Says ``{"endpoint": ...}`` in one line when it listens. SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys

import click

from gangamon.errors import BadInput
from gangamon.testing.simulator.scenario import load
from gangamon.testing.simulator.server import Address, Server


@click.command()
@click.argument("scenario")
@click.option("--socket", help="Listen on a unix socket of this path.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Listen on 127.0.0.1.")
@click.option("--record", help="Append the answers given to this file.")
@click.option("--start", is_flag=True, help="Let the scenario's time run at once.")
def main(scenario: str, socket: str | None, port: int, record: str | None, start: bool) -> None:
    """Serve SCENARIO, a TOML file or the name of a shipped one, until SIGTERM."""
    try:
        asyncio.run(_run(scenario, Address(socket, port), record, start))
    except BadInput as error:
        for fault in error.faults:
            click.echo(f"simulator: {fault}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"simulator: {socket or port}: {error.strerror or error}", err=True)
        sys.exit(2)


async def _run(scenario: str, address: Address, record: str | None, start: bool) -> None:
    server = Server(load(scenario), record)

    def ready(endpoint: str) -> None:
        if start:
            server.world.start()
        click.echo(json.dumps({"endpoint": endpoint}))

    await server.run(address, ready)


if __name__ == "__main__":
    main(prog_name="python -m gangamon.testing.simulator")
