"""Prometheus metrics of one cell. State lies in Redis, so one exporter tells of all hosts.

One call is the whole interface, for any web server (docs/metrics.md has the table)::

    from gangamon.metrics import exposition
    found = exposition(client, request.headers.get("Accept", ""))
    respond(found.body, headers={"Content-Type": found.content_type})

It reads the store when it is called (some milliseconds, by lanes and owners, not by jobs) and never
raises because the store is away: ``gangamon_up`` is 0 then. It needs the extra ``metrics``. It says
who has how many jobs where, so it belongs on loopback or behind a login.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gangamon.client import Client
from gangamon.metrics.collector import CellCollector

__all__ = ["CellCollector", "Exposition", "exposition", "registry"]


class Exposition(NamedTuple):
    body: bytes
    content_type: str


def registry(client: Client) -> CollectorRegistry:
    """With the collector of this client's cell, and nothing of this process."""
    found = CollectorRegistry()
    found.register(CellCollector(client))
    return found


def exposition(client: Client, accept: str = "") -> Exposition:
    """All metrics now. ``accept``: the request's header, by which the format is chosen (text, or
    OpenMetrics); '' is text."""
    encode, content_type = choose_encoder(accept)
    return Exposition(encode(registry(client)), content_type)
