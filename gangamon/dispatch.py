"""The TaskQueue over Celery, by task name. Nothing is imported from the workers."""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError

from gangamon.errors import StoreUnavailable
from gangamon.protocols import Claim

#: The version of the messages below; consumers accept this and the one before.
VERSION = 1


def route(claim: Claim) -> tuple[str, str, str]:
    """(task name, Celery queue, what it is about) of a claim."""
    kind, _, rest = claim.queue.partition(".")
    if kind == "poll":
        return "gangamon.poll", f"poll.{rest.partition('|')[0]}", rest
    pool = "transfer" if kind == "fetch" else "merge"
    return f"gangamon.{kind}", f"{pool}.{rest}", ", ".join(_masters(claim))


def _masters(claim: Claim) -> list[str]:
    """The ids of the master jobs that a stage's members (O:R:M...@ATTEMPT) belong to."""
    parts = (member.rsplit("@", 1)[0].split(":") for member in claim.members)
    return [f"job {master}" for master in dict.fromkeys(part[2] for part in parts)]


class CeleryQueue:
    """Sends one message for each claim: ``gangamon.poll('Local|node1|-', jobs=300, ...)``,
    ``gangamon.merge('job 42', ...)``.

    The message carries what a reader of Flower wants to see and the claim's name; what to do is
    read from the store.
    """

    def __init__(self, app: Celery, expires: float) -> None:
        self._app = app
        self._expires = expires

    def send(self, claim: Claim) -> None:
        task, queue, subject = route(claim)
        try:
            self._app.send_task(
                task,
                args=(subject,),
                kwargs={"jobs": claim.jobs, "claim": claim.token, "v": VERSION},
                queue=queue,
                expires=self._expires,
                ignore_result=True,
                retry=False,
            )
        except OperationalError as error:
            # The claim's lease runs out and the tick sends it again.
            raise StoreUnavailable(f"broker: {error}") from error
