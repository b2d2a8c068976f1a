"""Notifier: a mail to the user when a job has ended.

To whom, of what, and from which server as Ganga 8.7.12 does (Lib/Notifier/Notifier.py): of a
master, or a job that was not split, always; of a subjob if it failed and is not resubmitted by
itself, or, with ``verbose``, if it did not fail. Each end has its own Message-ID, by which a mail
that a crash made go out twice is known to be one.
"""

from __future__ import annotations

import getpass
import hashlib
import smtplib
import time
from email.message import EmailMessage
from email.utils import formatdate

from gangamon.domain.command import NotifierSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import TransientError
from gangamon.protocols import Event

#: As Ganga writes it; servers and filters of users know it.
SENDER = "project-ganga-developers@cern.ch"

#: Seconds for each step of a conversation with the server; and for which a server that failed is
#: not asked again: thousands of subjobs that end must not wait for it one by one.
TIMEOUT, REST = 10.0, 60.0

#: A server that is well does not want this mail.
_REFUSALS = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError)

#: When a server may be asked again, by its name.
_resting: dict[str, float] = {}


class Notifier:
    """Ganga's Notifier. ``options``: address; verbose; smtp, HOST or HOST:PORT; resubmit, whether
    failed subjobs are resubmitted by themselves."""

    kind = "Notifier"

    def wanted(self, spec: NotifierSpec, event: Event) -> bool:
        """See Notifier."""
        if "." not in event.fqid:
            return True
        if event.status is JobStatus.FAILED:
            return not spec.options.get("resubmit")
        return bool(spec.options.get("verbose"))

    def tell(self, spec: NotifierSpec, event: Event) -> None:
        """See Notifier."""
        server = str(spec.options.get("smtp") or "localhost")
        left = _resting.get(server, 0.0) - time.monotonic()
        if left > 0:
            raise TransientError(f"{server}: failed before, not asked for another {left:.0f} s")
        try:
            message = written(str(spec.options.get("address", "")), event)
        except ValueError as error:
            raise TransientError(f"address: {error}") from error
        try:
            with smtplib.SMTP(server, timeout=TIMEOUT) as smtp:
                smtp.send_message(message)
        except _REFUSALS as error:
            raise TransientError(f"{server}: {type(error).__name__}: {error}") from error
        except OSError as error:  # SMTPException is one
            _resting[server] = time.monotonic() + REST
            raise TransientError(f"{server}: {type(error).__name__}: {error}") from error


def written(address: str, event: Event) -> EmailMessage:
    """The mail. ValueError if the address is none."""
    user = getpass.getuser()
    message = EmailMessage()
    name = " ".join(event.name.split())
    message["Subject"] = (
        f"Ganga Notification: Job({event.fqid}): {name} has {event.status}. (user: {user})"
    )
    message["From"] = SENDER
    message["To"] = address
    message["Date"] = formatdate()
    digest = hashlib.blake2b(event.id.encode(), digest_size=16).hexdigest()
    message["Message-ID"] = f"<{digest}@gangamon>"
    counts = ", ".join(f"{n} {status}" for status, n in event.subjobs.items() if n)
    lines = [
        f"Job {event.fqid}{f' ({name})' if name else ''} of {user} has {event.status}.",
        *([f"Subjobs: {counts}."] if counts else []),
        *([event.reason] if event.reason else []),
        "",
        f"`gangamon why {event.fqid}` tells more. You get this because the job has a Notifier.",
    ]
    message.set_content("\n".join(lines) + "\n")
    return message
