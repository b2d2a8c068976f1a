"""What the page shows, as plain values: put together from the client and the views. What is dear is
made once in some seconds for all who look."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from threading import Lock
from typing import Any

from gangamon import instance
from gangamon.client import Client
from gangamon.domain.job import Job
from gangamon.domain.status import JobStatus
from gangamon.protocols import Lease, Master
from gangamon.views import dead as letters
from gangamon.views import jobs, lanes
from gangamon.views.asked import asked_of
from gangamon.views.subjobs import Wanted, reason_of
from gangamon.web.live import Live

#: Claims and dead letters shown.
LEASES, LETTERS = 200, 500

#: Subjobs whose sites are counted, the open and the newest masters' first.
COUNTED = 300_000


class Board:
    """Every call raises StoreUnavailable while the store is away."""

    def __init__(self, client: Client, live: Live) -> None:
        self.client, self.live = client, live
        self._lock = Lock()
        self._kept: dict[str, tuple[float, Any]] = {}
        self._making: dict[str, Lock] = defaultdict(Lock)

    def overview(self) -> dict[str, Any]:
        rows = self.live.rows()
        return {
            "owner": self.client.owner,
            "sums": self.live.sums(),
            "jobs": len(rows),
            "open": sum(not row["ended"] for row in rows),
            "tick_age": self._once_in(1.0, "tick", self.client.tick_age),
            "dead": len(self._letters()),
            "flower": self.flower(),
            "away": self.live.away,
        }

    def flower(self) -> str:
        """Flower's address, '' if there is none."""
        settings = self.client.settings
        if settings.web_flower_url:
            return settings.web_flower_url.rstrip("/")
        running = self._once_in(5.0, "flower", lambda: instance.read(settings.instance_file))
        return running.flower_url if running else ""

    def jobs(
        self, status: str, text: str, repository: str, first: int, size: int
    ) -> dict[str, Any]:
        """``status``: one of a job's, ``open``, or ''; ``text``: in its number, name or lane."""
        rows = self.live.rows()
        text = text.lower()
        found = [
            row
            for row in rows
            if (not repository or row["repository"] == repository)
            and (not status or row["status"] == status or (status == "open" and not row["ended"]))
            and (not text or text in f"{row['job']} {row['name']} {row['lane']}".lower())
        ]
        return {"total": len(found), "rows": found[first : first + size]}

    def job(self, repository: str, number: int) -> dict[str, Any] | None:
        found = jobs.look(self.client, repository, number, -1)
        if found is None:
            return None
        return {**self._job(found.master), "why": jobs.why(self.client, found)}

    def job_page(
        self, repository: str, number: int, wanted: Wanted, first: int, size: int
    ) -> dict[str, Any] | None:
        """A job and a page of its subjobs, by one look at its record."""
        master = self.client.master(repository, number)
        if master is None:
            return None
        return {**self._job(master), "subjobs": self._page(master, wanted, first, size)}

    def subjobs(
        self, repository: str, number: int, wanted: Wanted, first: int, size: int
    ) -> dict[str, Any] | None:
        master = self.client.master(repository, number)
        return None if master is None else self._page(master, wanted, first, size)

    def _job(self, master: Master) -> dict[str, Any]:
        row = jobs.as_dict(master)
        results = row.pop("results")
        lane = str(master.lane)
        state = self._once_in(1.0, f"lane {lane}", lambda: lanes.state_of(self.client, lane))
        row["done"] = jobs.over(master)
        return {"row": row, "results": results, "lane_state": state}

    def _page(self, master: Master, wanted: Wanted, first: int, size: int) -> dict[str, Any]:
        held = self.live.subjobs_of(master)
        # What was made before the last change was told is old.
        key = f"page {self.live.told} {master.repository} {master.id} {first} {size} {wanted!r}"

        def make() -> dict[str, Any]:
            total, found, natives = held.page(wanted, first, size)
            rows = [_subjob(sub, job, natives.get(sub, "")) for sub, job in found.items()]
            return {"total": total, "first": first, "rows": rows}

        found: dict[str, Any] = self._once_in(0.5, key, make)
        return found

    def story(self, repository: str, number: int, sub: int) -> dict[str, Any] | None:
        found = jobs.look(self.client, repository, number, sub)
        if found is None or found.job is None:
            return None
        story = jobs.story(found.job)
        story["native_id"] = self.client.native_ids(found.master, [sub]).get(sub, "")
        story["attributes"] = dict(found.job.attributes)
        return {**story, "why": jobs.why(self.client, found)}

    def causes(self, repository: str, number: int) -> list[dict[str, Any]] | None:
        held = self.live.subjobs(repository, number)
        if held is None:
            return None
        return self._once_in(2.0, f"causes {repository} {number}", held.causes)

    def sites(self, repository: str = "", number: int = -1) -> dict[str, Any]:
        """Of one master, or of all."""
        key = f"sites {repository} {number}"
        seconds = 2.0 if repository else 10.0
        return self._once_in(seconds, key, lambda: self._sites(repository, number))

    def _sites(self, repository: str, number: int) -> dict[str, Any]:
        rows = self.live.rows()
        if repository:
            rows = [row for row in rows if (row["repository"], row["job"]) == (repository, number)]
        rows.sort(key=lambda row: (row["ended"], -row["job"]))
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        counted = subjobs = 0
        for row in rows:
            if counted and subjobs + row["total"] > COUNTED:
                break
            held = self.live.subjobs(row["repository"], row["job"])
            if held is None:
                continue
            counted, subjobs = counted + 1, subjobs + row["total"]
            for site, statuses in held.sites().items():
                sums[site].update(statuses)
        found = [
            {"site": site, "statuses": dict(counts), "total": sum(counts.values())}
            for site, counts in sums.items()
        ]
        found.sort(key=lambda one: (-int(one["total"]), one["site"]))  # type: ignore[call-overload]
        return {"rows": found, "counted": counted, "masters": len(rows)}

    def lanes(self) -> list[dict[str, Any]]:
        return self._once_in(3.0, "lanes", self._lanes)

    def _lanes(self) -> list[dict[str, Any]]:
        mine = set(lanes.mine(self.client))
        return [
            {
                **vars(lanes.view_of(self.client, name, record)),
                "mine": name in mine,
                "asked": vars(asked_of(self.client, name)),
                "calls": [
                    [minute, count, round(took, 3)]
                    for minute, (count, took) in self.client.calls(name).items()
                ],
            }
            for name, record in self.client.lanes().items()
        ]

    def queues(self) -> dict[str, Any]:
        return self._once_in(1.0, "queues", self._queues)

    def _queues(self) -> dict[str, Any]:
        """Of polls, which all share, and of the owner's own stages."""
        own = f".{self.client.owner}"
        names = [q for q in self.client.queues() if q.startswith("poll.") or q.endswith(own)]
        found = []
        for name in names:
            waiting, claims = self.client.depth(name)
            found.append({"queue": name, "waiting": waiting, "claims": claims})
        now = self.client.clock()
        shown = {entry["queue"] for entry in found}
        leases = [_lease(one, now) for one in self.client.leases(LEASES) if one.queue in shown]
        return {"queues": found, "leases": leases}

    def dead(self) -> dict[str, Any]:
        found = self._letters()
        return {
            "total": len(found),
            "causes": letters.causes(found),
            "letters": [letters.as_dict(letter) for letter in found[-LETTERS:][::-1]],
        }

    def _letters(self) -> list[letters.Letter]:
        return self._once_in(
            1.0, "dead", lambda: [letters.parse(letter) for letter in self.client.dead()]
        )

    def _once_in(self, seconds: float, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, not older than so; made by one while the others wait for it."""
        with self._lock:
            making = self._making[key]
        with making:
            now = time.monotonic()
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] < seconds:
                return kept[1]
            made = make()
            with self._lock:
                self._kept[key] = (time.monotonic(), made)
                for old in [k for k, (at, _) in self._kept.items() if now - at > 60.0]:
                    del self._kept[old]
                    self._making.pop(old, None)
            return made

    def forget(self) -> None:
        """What was kept is old: something was done."""
        with self._lock:
            self._kept.clear()


def _subjob(sub: int, job: Job, native_id: str) -> dict[str, Any]:
    evidence = job.evidence
    return {
        "sub": sub,
        "job": job.fqid,
        "status": job.status.value,
        "attempt": job.attempt,
        "restart": job.restart,
        "native_id": native_id,
        "native_status": job.native_status,
        "unmapped": job.unmapped,
        "stale": job.stale,
        "site": job.site,
        "exit_code": evidence.exit_code if evidence else None,
        "reason": reason_of(job),
        "since": job.history[-1].at or None if job.history else None,
        "started_at": evidence.started_at if evidence else None,
        "ended_at": evidence.ended_at if evidence else None,
    }


def _lease(lease: Lease, now: float) -> dict[str, Any]:
    """``by`` is NODE:TASK PROCESS (workers.tasks)."""
    node, _, task = lease.by.partition(" ")[0].rpartition(":")
    return {
        "queue": lease.queue,
        "worker": node,
        "task": task,
        "members": lease.members,
        "jobs": lease.jobs,
        "expires_in": max(0.0, lease.expires - now),
    }


def statuses(text: str) -> frozenset[JobStatus]:
    """Of a list with commas; ValueError: not a status."""
    return frozenset(JobStatus(part) for part in text.split(",") if part)
