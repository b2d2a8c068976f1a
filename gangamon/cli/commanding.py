"""What commands that change something share: send it, wait for the answer, say why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gangamon import settings
from gangamon.domain.command import Command
from gangamon.errors import BadInput, PermanentError

if TYPE_CHECKING:
    from gangamon.client import Client

#: Seconds to wait for an acknowledgement.
WAIT = 15.0


def client() -> Client:
    # Imports redis, a third of a second that --help must not wait for.
    from gangamon.client import Client

    return Client(settings.load())


def a_repository(client: Client) -> str:
    """One that the owner has registered: in its stream the answer will come."""
    found = client.repositories()
    if not found:
        raise BadInput([f"owner: {client.owner} has no repository yet; accepted: one with jobs"])
    return found[0]


def send(client: Client, command: Command, timeout: float = WAIT) -> None:
    """Returns when the service has done it. BadInput with its reason where it refused."""
    ack = client.wait(client.submit(command), command.repository, timeout)
    if ack is None:
        raise PermanentError(
            f"not acknowledged within {timeout:.0f} s: kept, and sent with the next command; "
            "`gangamon ps` tells whether the service runs"
        )
    if not ack.ok:
        raise BadInput([ack.reason])
