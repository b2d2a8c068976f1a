"""``monitor.pause`` and ``monitor.resume``: the commands, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from GangaCore.Core.exceptions import GangaException, GangaValueError

from gangamon.adapter.service.link import new_id
from gangamon.domain.command import Command, Pause, Resume
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput, StoreUnavailable
from gangamon.views.lanes import mine, named

#: Seconds to wait for the acknowledgement; and for the whole answer.
WAIT, PATIENCE = 3.0, 4.0


@dataclass(frozen=True)
class Pausing:
    lane: str
    reason: str
    done = "paused"

    def command(self, repository: str, lane: str) -> Command:
        return Pause(new_id(), repository, Lane.parse(lane), self.reason)


@dataclass(frozen=True)
class Resuming:
    lane: str
    done = "resumed"

    def command(self, repository: str, lane: str) -> Command:
        return Resume(new_id(), repository, Lane.parse(lane))


Order = Pausing | Resuming


def carry_out(
    order: Order,
    ask: Callable[..., list[str]],
    make: Callable[[], Any],
    repository: str,
    known: Collection[str],
) -> list[str]:
    """What became of it, one line for each lane. ``ask(question, seconds)``: asks the service;
    ``make``: a new client, for the spool; ``known``: lanes of this session's jobs, where the
    service does not say. GangaValueError names what is accepted."""
    if not isinstance(order.lane, str) or not order.lane:
        raise GangaValueError(f"lane: got {order.lane!r}; accepted: a backend's or a lane's name")
    try:
        return ask(lambda client: _ordered(order, client, repository), PATIENCE)
    except StoreUnavailable as error:
        away = str(error)
    if not known:
        raise GangaException(f"gangamon: the service is away ({away}), its lanes are not known")
    client, shown = make(), []
    for lane in _chosen(order, sorted(known)):
        try:
            client.submit(order.command(repository, lane))
        except BadInput as error:
            raise GangaValueError(str(error)) from None
        shown.append(f"{lane}: the service is away ({away}); {order.done} when it is back")
    return shown


def _ordered(order: Order, client: Any, repository: str) -> list[str]:
    """A question for the Asker. Raises StoreUnavailable before anything is submitted."""
    chosen = _chosen(order, mine(client))
    commands = {lane: order.command(repository, lane) for lane in chosen}
    try:
        acks = client.perform(list(commands.values()), repository, WAIT)
    except BadInput as error:
        raise GangaValueError(str(error)) from None
    shown = []
    for lane, command in commands.items():
        ack = acks.get(command.id)
        if ack is None:
            shown.append(f"{lane}: the service has not answered yet; {order.done} when it does")
        else:
            shown.append(f"{order.done}: {lane}" if ack.ok else f"{lane}: refused: {ack.reason}")
    return shown


def _chosen(order: Order, lanes: Sequence[str]) -> list[str]:
    found = named(lanes, order.lane)
    if not found:
        backends = sorted({Lane.parse(lane).backend for lane in lanes})
        accepted = ", ".join([*backends, *lanes]) or "none yet: no job was handed over"
        raise GangaValueError(f"lane: got {order.lane!r}; accepted: {accepted}")
    return found
