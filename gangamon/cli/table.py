"""Tables, as the commands print them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gangamon.views import text


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    for line in text.lines(head, rows):
        click.echo(line)
