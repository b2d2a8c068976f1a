"""``monitor`` itself: what is typed at the prompt, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from GangaCore.Core.exceptions import GangaException, GangaValueError

from gangamon.adapter.prompt import lanes, survey, watching
from gangamon.adapter.prompt.asker import Asker
from gangamon.adapter.prompt.bar import text
from gangamon.adapter.prompt.figures import Figures, Rate
from gangamon.adapter.prompt.session import Session
from gangamon.adapter.prompt.told import Told
from gangamon.adapter.watch.naming import named
from gangamon.domain.command import UNSPLIT
from gangamon.errors import GangamonError, StoreUnavailable
from gangamon.protocols import Master
from gangamon.views import jobs as views
from gangamon.views.text import count

T = TypeVar("T")

#: Seconds that the prompt waits for the service's data.
PATIENCE = 1.0

#: Jobs that are told in one answer.
MOST = 20

#: Characters of a line that is not cut.
WIDE = 1000

SUMMARY = "How gangamon follows your jobs: lanes, queues, progress; monitor.why(j), watch(j), ..."


class Monitor:
    """How gangamon follows your jobs.

    Type ``monitor`` to see the lanes (one for each backend, endpoint and credential: when it was
    asked, how late ends are noticed, how much of its budget is used, whether it is paused), the
    queues, and how far the jobs of this session are. Without the service it shows, after a second
    at most, what the session knows by itself.

    monitor.why(j)            why a job has the status it has
    monitor.watch(j)          a progress bar until the job is over; Ctrl-C ends only the bar
    monitor.progress(j)       the same figures, as a dict
    monitor.refresh(j)        the service asks about the job now; without j about all
    monitor.pause("Slurm")    nothing is asked in the lanes of a backend, or in one lane
    monitor.resume("Slurm")   it is asked again, at once

    A job is a job or subjob, its id (42), or a text ("42", "42.7").
    """

    def __init__(self, component: Any) -> None:
        self._component = component
        self._session = Session(component)
        self._asker, self._patience = Asker(component.link.client), PATIENCE

    def __repr__(self) -> str:
        if given_back := self._session.given_back:
            return "\n".join([given_back, self._session.told()])
        try:
            found: survey.Survey | None = self._ask(
                lambda client: survey.take(client, self._component.repository)
            )
            shown = ["gangamon follows the jobs; the service answers"]
        except (StoreUnavailable, GangaException) as error:
            found = None
            shown = [
                f"the service is away ({error}): statuses stand still until it is back; what you "
                "submit is kept"
            ]
        if off := self._session.monitoring():
            shown.append(off)
        if found is not None:
            shown += survey.told(found)
        watched = self._session.watched
        for one in watched[:MOST]:
            master = found.masters.get(one.id) if found is not None else None
            shown.append(self._line(one.id, master))
        if len(watched) > MOST:
            shown.append(f"... and {len(watched) - MOST} more")
        return "\n".join([*shown, self._session.told()])

    # --- one job ------------------------------------------------------------------------------

    def why(self, jobs: Any) -> Told:
        """Why jobs have the status they have: what their backend said, the evidence of their end,
        how they got there, and whether their lane is asked.

        jobs: a job or subjob, an id, "42.7", a slice, or a list of these. The first 20 are told.
        """
        chosen = named(jobs, "why")
        for master, sub in chosen[:MOST]:
            self._session.figures(master, sub, load=sub is not None)  # it is there
        try:
            known = self._ask(lambda client: self._reasons(client, chosen[:MOST]))
            shown = []
        except StoreUnavailable as error:
            known, shown = {}, [f"the service is away ({error}); this session knows:"]
        for key in chosen[:MOST]:
            shown += self._why(*key, known.get(key))
        if len(chosen) > MOST:
            shown.append(f"... and {len(chosen) - MOST} more: name fewer to see them")
        return Told.of(shown)

    def watch(self, job: Any, timeout: float | None = None) -> bool:
        """Show a job's progress in one line until it is over; whether it is.

        Statuses are those that this session shows; where the service is ahead, that is said. On a
        terminal the line is redrawn, elsewhere one is printed every 30 s. Ctrl-C ends the bar and
        nothing else. timeout: seconds after which it ends by itself; None: never.
        """
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0
        ):
            raise GangaValueError(f"watch: timeout: got {timeout!r}; accepted: seconds, or None")
        master, sub = self._one(job, "watch")
        status = self._session.status(master)
        if status in ("new", "template"):
            raise GangaValueError(f"watch: job {master} is {status}; accepted: a submitted one")
        record = self._record(master)
        return watching.watch(
            lambda: self._session.figures(master, sub, load=True),
            lambda: self._asker.begin(record) if sub is None else None,
            "" if self._session.given_back else self._session.monitoring(),
            timeout,
        )

    def progress(self, job: Any) -> dict[str, Any]:
        """A job's figures, as this session shows them, in a dict:

        job ("42" or "42.7"), status, total, done (how many have ended), counts (status -> number
        of subjobs), service: what the service has of the same, None if it is away or does not know
        the job: job, status, and but for a subjob phase, total, done, counts.
        """
        master, sub = self._one(job, "progress")
        figures = self._session.figures(master, sub, load=True)
        number = UNSPLIT if sub is None else sub
        try:
            found = self._ask(
                lambda client: views.look(client, self._component.repository, master, number)
            )
        except StoreUnavailable:
            found = None
        return {**_figures(figures), "service": _of_service(found, sub) if found else None}

    # --- the service --------------------------------------------------------------------------

    def refresh(self, jobs: Any = None) -> Told:
        """The service is to ask about these jobs now, as far as the budget of their lanes allows;
        without jobs about all that this session watches. Returns at once.

        jobs: a job, an id, "42.7", a slice, or a list of these; subjobs stand for their master.
        """
        if given_back := self._session.given_back:
            return Told(given_back)
        masters = None if jobs is None else {master for master, _ in named(jobs, "refresh")}
        watched = {one.id for one in self._session.watched}
        chosen = watched if masters is None else masters & watched
        shown = [
            f"job {master} is not asked about: {self._session.why_unknown(master)}"
            for master in sorted((masters or set()) - watched)[:MOST]
        ]
        self._component.refresh(masters)
        if chosen:
            shown.append(f"{count(len(chosen), 'job')} asked about as soon as the lane allows")
        if off := self._session.monitoring():
            shown.append(off)
        return Told.of(shown or ["there is nothing to ask about"])

    def pause(self, lane: str, reason: str = "by its owner") -> Told:
        """Nothing is asked in a lane until it is resumed; its jobs keep their status.

        lane: the name of a backend ("Slurm": all of its lanes), or of one lane, or its beginning.
        reason: shown with the lane.
        """
        return self._order(lanes.Pausing(lane, reason))

    def resume(self, lane: str) -> Told:
        """It is asked in a lane again, at once: the end of a pause, and of a rest after failures.

        lane: the name of a backend ("Slurm": all of its lanes), or of one lane, or its beginning.
        """
        return self._order(lanes.Resuming(lane))

    # ------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Any], T], within: float | None = None) -> T:
        """Raises StoreUnavailable; what else is wrong with the service as Ganga's exception."""
        try:
            return self._asker.ask(question, self._patience if within is None else within)
        except StoreUnavailable:
            raise
        except GangaException as error:  # Python's own prompt prints a traceback: a short one
            raise error.with_traceback(None) from None
        except GangamonError as error:
            raise GangaException(f"gangamon: {error}") from None

    def _order(self, order: lanes.Order) -> Told:
        component = self._component
        known = {one.lane for one in self._session.watched if one.lane}
        make, repository = component.link.client, component.repository
        try:
            return Told.of(lanes.carry_out(order, self._ask, make, repository, known))
        finally:
            component.heard.put(("spool", None))

    def _one(self, job: Any, asked: str) -> tuple[int, int | None]:
        found = named(job, asked)
        if len(found) != 1:
            raise GangaValueError(f"{asked}: job: got {len(found)} jobs; accepted: one")
        return found[0]

    def _line(self, number: int, master: Master | None) -> str:
        try:
            figures = self._session.figures(number)
        except GangaException:  # removed just now
            return f"job {number} is gone"
        if not figures.total:
            return f"job {number} {figures.status}, not loaded yet"
        return text(figures, Rate(), survey.ahead(figures, master), WIDE)

    def _why(self, master: int, sub: int | None, known: list[str] | None) -> list[str]:
        figures = self._session.figures(master, sub)
        if known is not None:
            split = f" ({figures.told()})" if figures.total > 1 else ""
            return [*known, f"  in this session: {figures.status}{split}"]
        return [f"job {figures.job} is {figures.status}: {self._session.why_unknown(master)}"]

    def _reasons(
        self, client: Any, chosen: list[tuple[int, int | None]]
    ) -> dict[tuple[int, int | None], list[str]]:
        known = {}
        for master, sub in chosen:
            number = UNSPLIT if sub is None else sub
            found = views.look(client, self._component.repository, master, number)
            if found is not None:
                known[master, sub] = views.why(client, found)
        return known

    def _record(self, master: int) -> Callable[[Any], Master | None]:
        repository = self._component.repository
        return lambda client: client.master(repository, master)


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "job": figures.job,
        "status": figures.status,
        "total": figures.total,
        "done": figures.done,
        "counts": figures.by_status(),
    }


def _of_service(found: views.Found, sub: int | None) -> dict[str, Any]:
    if sub is not None and found.job is not None:
        return {"job": found.job.fqid, "status": found.job.status.value}
    told = views.as_dict(found.master)
    return {
        **{name: told[name] for name in ("status", "phase", "total")},
        **({"fetched": told["fetched"]} if found.master.brought.jobs else {}),
        **({"merging": told["merging"]} if found.master.merging.bytes else {}),
        "job": str(told["job"]),
        "done": views.over(found.master),
        "counts": {status: count for status, count in told["subjobs"].items() if count},
    }
