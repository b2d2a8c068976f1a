"""An SMTP server on loopback that keeps its mail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.smtp import SMTP


class Mailbox:
    """``mail``: what was taken. ``refuse``: an answer to each recipient instead."""

    def __init__(self) -> None:
        self.mail: list[Message] = []
        self.refuse = ""
        self.port = 0

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def subjects(self) -> list[str]:
        """Unfolded."""
        return [" ".join(str(message["Subject"]).split()) for message in list(self.mail)]

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mail.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A server on a free port, for as long as the ``with``."""
    found = Mailbox()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(found, hostname="test", loop=loop), "127.0.0.1", 0)
    )
    found.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
