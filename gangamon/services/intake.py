"""Takes commands in: check, journal (fsync), apply, acknowledge. In this order, nothing is lost."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gangamon.domain.command import (
    BATCH_SIZE,
    Command,
    Enqueue,
    Pause,
    Reconcile,
    Refresh,
    Register,
    Resume,
    Retry,
    Withdraw,
)
from gangamon.domain.observation import Withdrawn
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.domain.wire import Faults, from_wire, to_wire
from gangamon.errors import TransientError
from gangamon.protocols import Change, Clock, JobStore, Journal, Master

log = logging.getLogger(__name__)

#: Commands taken in by one pass: 20,000 jobs.
LIMIT = 200


class Intake:
    """One pass takes in what the inboxes hold. Passes may overlap: each command applies once."""

    def __init__(
        self,
        store: JobStore,
        journal: Journal,
        backends: Callable[[], Collection[str]],
        mergers: Callable[[], Collection[str]],
        checkers: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._journal = journal
        self._backends = backends
        self._mergers = mergers
        self._checkers = checkers
        self._clock = clock

    def run(self) -> int:
        """Take in up to LIMIT commands of each owner; how many there were."""
        entries = self._store.inbox(LIMIT)
        good: list[tuple[str, str, Command, Mapping[str, Any]]] = []
        for owner, entry, fields in entries:
            raw: object = None
            try:
                raw = json.loads(fields.get("c", ""))
                good.append((owner, entry, from_wire(raw), raw))  # type: ignore[arg-type]
            except (ValueError, RecursionError) as error:
                self._refuse(owner, entry, raw, str(error))
        # What is only about the journal itself is none of it.
        records = [(o, raw) for o, _, command, raw in good if not isinstance(command, Reconcile)]
        self._journal.append(records)
        mark = self._journal.tail()
        for owner, entry, command, raw in good:
            try:
                self.apply(owner, entry, command)
            except TransientError:
                raise
            except Exception as error:  # one command must not hold up those of all owners
                log.exception("command %s of %s", command.id, owner)
                self._refuse(owner, entry, raw, f"{type(error).__name__}: {error}")
        if good:
            self._store.note_journaled(self._journal.identity(), mark)
        return len(entries)

    def behind(self) -> bool:
        """Whether the store lacks what the journal holds: it was emptied, or a power cut or a
        fail-over took its last seconds. True at times while another pass is under way, too."""
        return self._store.journaled(self._journal.identity()) != self._journal.tail()

    def rebuild(self, only: str = "") -> int:
        """Give the store back what it lost of what the journal holds, of one owner or of all; how
        many commands.

        Each command applies once in a life of the store, so what is not lost stays as it is.
        """
        mark = self._journal.tail()
        count = 0
        for owner, raw in self._journal.replay():
            if only not in ("", owner):
                continue
            try:
                self.apply(owner, "", from_wire(raw))
                count += 1
            except TransientError:
                raise
            except Faults as error:
                log.warning("journal: %s", error)
            except Exception:
                log.exception("journal: a command of %s was passed over", owner)
        if not only:
            self._store.note_journaled(self._journal.identity(), mark)
        return count

    def forget(self, owner: str, repository: str, master: int, older: float) -> bool:
        """Forget a master that ended more than ``older`` seconds ago, in the store and for every
        rebuild; False if it did not."""
        if not self._store.prune(owner, repository, master, older):
            return False
        why = f"ended more than {older / 86400:.0f} days ago"
        command_id = f"prune.{uuid.uuid4().hex}"
        record = Withdraw(command_id, repository, master, (), JobStatus.KILLED, why)
        self._journal.append([(owner, to_wire(record))])
        self._store.note_journaled(self._journal.identity(), self._journal.tail())
        return True

    def apply(self, owner: str, entry: str, command: Command) -> None:
        """Apply one command and acknowledge it; ``entry`` empty: from the journal.

        One that comes again, resent or read by another pass too, is only acknowledged: what it
        was about may have been submitted anew since. The store's enqueue looks by itself.
        """
        if not isinstance(command, Enqueue) and self._store.taken(owner, command.id):
            self._store.acknowledge(owner, entry, command.id, command.repository)
            return
        why = "; ".join(self._faults(owner, command))
        if why:
            log.warning("refused %s of %s: %s", command.id, owner, why)
        elif isinstance(command, Register):
            self._store.register(owner, command)
        elif isinstance(command, Enqueue):
            faults = self._store.enqueue(owner, entry, command)
            if not faults:
                return  # acknowledged by the same verb
            why = "; ".join(faults)
        elif isinstance(command, Withdraw):
            if command.observed and not self._observed(owner, command):
                pass
            elif not command.subs:
                self._store.withdraw(owner, entry, command)
                return
            else:
                self._end(owner, command)
        elif isinstance(command, Refresh):
            self._store.refresh(owner, command.repository, command.master)
        elif isinstance(command, Retry):
            self._retry(owner, command)
        elif isinstance(command, Pause):
            lane = str(command.lane)
            shared = len(self._store.owners(lane)) > 1  # then it must say who
            reason = f"{owner}: {command.reason}" if shared else command.reason
            self._store.pause(lane, reason, None)
            log.warning("lane %s is paused by %s: %s", lane, owner, command.reason)
        elif isinstance(command, Resume):
            self._store.resume(str(command.lane))
            log.warning("lane %s is resumed by %s", command.lane, owner)
        elif isinstance(command, Reconcile) and entry:  # never from the journal: it would not end
            log.warning("reconcile: %d commands of %s", self.rebuild(owner), owner)
        self._store.acknowledge(owner, entry, command.id, command.repository, why)

    def _faults(self, owner: str, command: Command) -> list[str]:
        if isinstance(command, (Pause, Resume)):
            if owner in self._store.owners(str(command.lane)):
                return []
            return [f"lane: got {str(command.lane)!r}; accepted: a lane that {owner} has jobs in"]
        if not isinstance(command, Enqueue):
            return []
        faults = []
        if command.lane.backend not in (known := self._backends()):
            faults.append(
                f"lane: unknown backend {command.lane.backend!r}; "
                f"accepted: {', '.join(sorted(known))}"
            )
        for index, merger in enumerate(command.mergers):
            if merger.kind not in (kinds := self._mergers()):
                faults.append(
                    f"mergers[{index}].kind: got {merger.kind!r}; "
                    f"accepted: {', '.join(sorted(kinds))}"
                )
        for index, checker in enumerate(command.checkers):
            if checker.kind not in (kinds := self._checkers()):
                faults.append(
                    f"checkers[{index}].kind: got {checker.kind!r}; "
                    f"accepted: {', '.join(sorted(kinds))}"
                )
        roots = self._store.roots(owner, command.repository)
        if roots is None:
            return [
                *faults,
                f"repository: {command.repository} is not registered; register it first",
            ]
        if not under(command.workspace, roots):
            faults.append(
                f"workspace: {command.workspace!r} lies outside the registered roots; "
                f"accepted: below {', '.join(roots)}"
            )
        return faults

    def _retry(self, owner: str, command: Retry) -> None:
        prefix = f"{owner}:{command.repository}:{command.master}"
        for letter in self._store.dead(owner):
            name, _, rest = letter.name.rpartition(":")
            master = letter.name.rpartition("@")[0] == prefix  # a stage of the master itself
            job = name == prefix and (
                not command.subs or int(rest.partition("@")[0]) in command.subs
            )
            if job or (master and not command.subs):
                self._store.retry(letter)

    def _observed(self, owner: str, command: Withdraw) -> bool:
        master = self._store.master(owner, command.repository, command.master)
        return master is not None and master.observe

    def _end(self, owner: str, command: Withdraw) -> None:
        """Subjobs that Ganga has ended: their final status is Ganga's."""
        master = self._store.master(owner, command.repository, command.master)
        if master is None:
            return
        observation = Withdrawn(command.status, command.reason or "ended in Ganga")
        # In slices: no script may hold Redis for long, however many a user kills at once.
        for first in range(0, len(command.subs), BATCH_SIZE):
            self._end_some(
                command.id, master, command.subs[first : first + BATCH_SIZE], observation
            )

    def _end_some(
        self, command_id: str, master: Master, subs: Sequence[int], observation: Withdrawn
    ) -> None:
        attempts: dict[int, int] = {}
        for _ in range(3):  # a commit may come between; a final status stops it
            now = self._clock.now()
            jobs = self._store.jobs(master, subs)
            attempts = attempts or {sub: job.attempt for sub, job in jobs.items()}
            jobs = {sub: job for sub, job in jobs.items() if job.attempt == attempts.get(sub)}
            steps = {s: advance(job, observation, AbsencePolicy(), now) for s, job in jobs.items()}
            changes = [Change(s, jobs[s], step) for s, step in steps.items() if step.moved(jobs[s])]
            if not changes or not self._store.commit("", command_id, master, changes, None).refused:
                return

    def _refuse(self, owner: str, entry: str, raw: object, why: str) -> None:
        body = raw if isinstance(raw, dict) else {}
        log.warning("refused an entry of %s: %s", owner, why)
        self._store.acknowledge(
            owner, entry, _echo(body.get("id")), _echo(body.get("repository")), _echo(why)
        )


def _echo(value: object) -> str:
    """A text that was not checked, so that it can be sent back."""
    return value[:2000].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def under(path: str, roots: Collection[str]) -> bool:
    """Whether ``path`` resolves (links followed) to a place strictly below one of ``roots``."""
    real = os.path.realpath(path)
    return any(
        os.path.commonpath([real, base]) == base and real != base
        for base in map(os.path.realpath, roots)
    )
