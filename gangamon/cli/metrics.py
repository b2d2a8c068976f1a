"""``metrics``: what Prometheus scrapes of the whole cell."""

from __future__ import annotations

import ipaddress
import threading

import click

from gangamon.cli import commanding
from gangamon.errors import BadInput

#: In config/prometheus/prometheus.yml, too.
PORT = 9108


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this host.")
@click.option("--port", default=PORT, show_default=True, help="0: any free one.")
@click.option("--once", is_flag=True, help="Print them once, and serve nothing.")
def metrics(host: str, port: int, once: bool) -> None:
    """Serve /metrics for Prometheus. One exporter is enough for all hosts of a cell."""
    try:
        from prometheus_client import start_http_server

        from gangamon.metrics import exposition, registry
    except ImportError as error:
        fix = "accepted: an installation with it: pip install 'gangamon[metrics]'"
        raise BadInput([f"metrics: {error}; {fix}"]) from error
    client = commanding.client()
    if once:
        click.echo(exposition(client).body.decode(), nl=False)
        return
    try:
        server, thread = start_http_server(port, host, registry(client))
    except (OSError, OverflowError) as error:
        raise BadInput(
            [f"--host, --port: got {host}, {port}: {error}; accepted: a free port of this host"]
        ) from error
    if not _loopback(host):
        click.echo(f"gangamon: {host} is not loopback, and /metrics asks for no login", err=True)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"http://{shown}:{server.server_port}/metrics")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.shutdown()
        thread.join()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


COMMANDS = (metrics,)
