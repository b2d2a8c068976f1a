"""The mail of a Notifier, over a real SMTP server on loopback."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator

import pytest

from gangamon.domain.command import NotifierSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import TransientError
from gangamon.postprocess import mail
from gangamon.protocols import Event
from tests.support.smtp import Mailbox, mailbox
from tests.support.waiting import until

S = JobStatus


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    monkeypatch.setattr(mail, "_resting", {})
    with mailbox() as found:
        yield found


def spec(server: str, **options: str | bool) -> NotifierSpec:
    return NotifierSpec("Notifier", {"address": "me@example.org", "smtp": server, **options})


def event(fqid: str = "42", status: JobStatus = S.COMPLETED, name: str = "my job") -> Event:
    counts = {S.COMPLETED: 3, S.FAILED: 0, S.KILLED: 1} if "." not in fqid else {}
    return Event(f"repo:{fqid}@1", fqid, name, status, counts, "a reason")


def test_a_mail_says_what_ended_and_how(box: Mailbox) -> None:
    """Ganga's subject and sender, so that filters go on working; the same end, the same id."""
    for _ in range(2):
        mail.Notifier().tell(spec(box.server), event(name="Grüße\nfrom"))
    mail.Notifier().tell(spec(box.server), event("42.7", S.FAILED))
    until(lambda: len(box.mail) == 3, 60, "all mail is there")
    first, again, other = box.mail
    assert first["To"] == "me@example.org" and first["From"] == mail.SENDER
    text = first.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert "Job 42 (Grüße from)" in text and "3 completed, 1 killed" in text
    assert "a reason" in text and "0 failed" not in text
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    wanted = f"Ganga Notification: Job(42.7): my job has failed. (user: {getpass.getuser()})"
    assert box.subjects[2] == wanted


@pytest.mark.parametrize(
    ("fqid", "status", "options", "wanted"),
    [
        ("42", S.COMPLETED, {}, True),
        ("42", S.FAILED, {"resubmit": True}, True),
        ("42", S.KILLED, {}, True),
        ("42.1", S.COMPLETED, {}, False),
        ("42.1", S.COMPLETED, {"verbose": True}, True),
        ("42.1", S.KILLED, {}, False),
        ("42.1", S.FAILED, {}, True),
        ("42.1", S.FAILED, {"resubmit": True, "verbose": True}, False),
    ],
)
def test_who_is_told_of_what(
    fqid: str, status: JobStatus, options: dict[str, bool], wanted: bool
) -> None:
    """As Ganga's Notifier.execute decides."""
    assert mail.Notifier().wanted(spec("none", **options), event(fqid, status)) is wanted


def test_a_refused_recipient_is_an_error_and_the_server_is_asked_again(box: Mailbox) -> None:
    """The server is well; the next mail may be for another."""
    box.refuse = "550 nobody here"
    with pytest.raises(TransientError, match="nobody here"):
        mail.Notifier().tell(spec(box.server), event())
    box.refuse = ""
    mail.Notifier().tell(spec(box.server), event())
    until(lambda: len(box.mail) == 1, 60, "it is there")


def test_an_address_that_is_none_is_an_error(box: Mailbox) -> None:
    """Nothing gets into the mail's head by it, and the server is not to blame."""
    with pytest.raises(TransientError, match="address"):
        mail.Notifier().tell(spec(box.server, address="me@example.org\nBcc: you"), event())
    mail.Notifier().tell(spec(box.server), event())
    until(lambda: len(box.mail) == 1, 60, "it is there")


def test_a_server_that_is_away_is_left_alone_for_a_while(box: Mailbox) -> None:
    """Thousands of subjobs that end do not wait for it; another server is not meant."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        away = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(TransientError, match="refused"):
        mail.Notifier().tell(spec(away), event())
    with pytest.raises(TransientError, match="not asked for another"):
        mail.Notifier().tell(spec(away), event())
    mail.Notifier().tell(spec(box.server), event())
    until(lambda: len(box.mail) == 1, 60, "it is there")
