"""The notify stage: tell whoever asked to be told that a master job has ended."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gangamon.domain.command import UNSPLIT
from gangamon.domain.effect import Stage
from gangamon.domain.observation import Check
from gangamon.domain.status import JobStatus
from gangamon.protocols import JobStore, Master, Notifier
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.stages import MasterStage, verdict
from gangamon.services.tell import decided, master_event, tell

log = logging.getLogger(__name__)

TIMEOUT = 30.0

#: Seconds for each step of a webhook's conversation.
WEBHOOK_TIMEOUT = 10.0


class Notify(MasterStage):
    """Runs the job's notifiers, ``notify.command`` with the event as json on its standard input,
    and posts the same to ``notify.webhook``.

    At least once: the event's ``id`` is the same if a crash makes it run again. One that fails is
    logged and does not hold the job up: the sessions are told by the update stream. ``problems``:
    why the job's notifiers could not tell; missing: they are the session's.
    """

    stage = Stage.NOTIFY

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        command: str,
        webhook: str = "",
        notifier: Callable[[str], Notifier] | None = None,
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._command = command
        self._webhook = webhook
        self._notifier = notifier

    def work(self, master: Master, token: str, member: str) -> Mapping[str, Any]:
        result: dict[str, Any] = {"ok": True, "told": False}
        status = verdict(master, master.results)
        if self._notifier is not None and master.notifiers and _decided(master):
            result["problems"] = tell(self._notifier, master, master_event(master, status))
        event = {
            "id": f"{master.repository}:{master.id}@{master.attempt}",
            "job": str(master.id),
            "name": master.name,
            "status": status.value,
            "subjobs": {status.value: n for status, n in master.counts.items() if n},
        }
        reasons = []
        for given, post in ((self._command, _run), (self._webhook, _post)):
            if not given:
                continue
            try:
                post(given, event)
                result["told"] = True
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                reasons.append(_reason(error))
                log.warning("job %s: %s: %s", master.id, post.__doc__, reasons[-1])
        if reasons:
            result.update(told=False, reason="; ".join(reasons)[:500])
        return result


def _decided(master: Master) -> bool:
    """Whether nothing of it was left to the session, which might decide otherwise."""
    merged = master.results.get("merge", {}).get("mergers", [])
    if any(result.get("left") for result in merged):
        return False
    others = {stage: result for stage, result in master.results.items() if stage != "check"}
    if verdict(master, others) is not JobStatus.COMPLETED:
        return True  # no checker is asked
    found = master.results.get("check", {})
    said = [Check(**check) for check in found.get("checks", ())]
    wanted = [spec for spec in master.checkers if spec.wanted(UNSPLIT)]
    return bool(found.get("problems")) or decided(wanted, said)


def _run(command: str, event: Mapping[str, Any]) -> None:
    """notify.command"""
    subprocess.run(
        shlex.split(command),
        input=json.dumps(event).encode(),
        timeout=TIMEOUT,
        check=True,
        capture_output=True,
    )


def _post(address: str, event: Mapping[str, Any]) -> None:
    """notify.webhook"""
    name = f" {event['name']}" if event["name"] else ""
    counts = ", ".join(f"{n} {status}" for status, n in event["subjobs"].items())
    text = f"Ganga job {event['job']}{name} has {event['status']} ({counts})"
    request = urllib.request.Request(
        address,
        data=json.dumps({"text": text, **event}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": event["id"]},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{_host(address)}: answered {error.code}") from None
    except (OSError, ValueError) as error:
        # The address is a secret with many a chat: only its host is told.
        why = getattr(error, "reason", error)
        raise OSError(f"{_host(address)}: {type(why).__name__}") from None


def _host(address: str) -> str:
    return urlsplit(address).hostname or "notify.webhook"


def _reason(error: Exception) -> str:
    return str(error)[:400]
