"""``gangamon simulate``: a scenario's jobs through the service that runs, and what came of it.

The jobs are one master job in a repository and a directory of their own; both are taken back.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from gangamon import settings
from gangamon.client import Client, Follower
from gangamon.domain.command import BATCH_SIZE, Command, Enqueue, JobSpec, Register, Withdraw
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, GangamonError, PermanentError, StoreUnavailable
from gangamon.testing.simulator import audit, record
from gangamon.testing.simulator.figures import Report, Tally, percentiles
from gangamon.testing.simulator.process import Simulator
from gangamon.testing.simulator.scenario import Scenario, load
from gangamon.testing.simulator.timeline import Phase, arrival

MASTER = 1
#: Seconds for an acknowledgement.
WAIT = 60.0
#: Seconds that a scenario without an end is followed for.
A_WHILE = 60.0


class Drive:
    """One run. ``folder``: for its outputs, its spool, and the simulator's socket and record."""

    def __init__(
        self, client: Client, scenario: Scenario, simulator: Simulator, folder: Path
    ) -> None:
        self._client = client
        self._scenario = scenario
        self._simulator = simulator
        self._folder = folder
        self._repository = Client.new_id()

    def run(self, seconds: float | None) -> Report:
        """Enqueue, follow to the end (or for so many seconds), and judge. Raises BadInput if
        the service refuses the jobs, PermanentError if it does not answer."""
        begun = time.monotonic()
        if seconds is None and self._scenario.jobs.ends == "never":
            seconds = A_WHILE
        deadline = begun + seconds if seconds is not None else float("inf")
        self._send(Register(Client.new_id(), self._repository, (str(self._folder),)))
        follower = self._client.follow(self._repository)
        tally = Tally()
        try:
            waiting = list(self._batches())
            if not self._scenario.jobs.arrival_rate:
                self._enqueue(waiting, follower, tally)
                waiting = []
            t0 = self._simulator.call("start")["t0"]
            while tally.final is None and time.monotonic() < deadline:
                now = (time.time() - t0) * self._scenario.time_scale
                there = [batch for batch in waiting if _arrived(self._scenario, batch) <= now]
                self._enqueue(there, follower, tally)
                waiting = waiting[len(there) :]
                self._follow(follower, tally)
                _progress(tally, self._scenario)
            return self._report(tally, time.monotonic() - begun)
        finally:
            reason = "the simulation is over"
            end = Withdraw(Client.new_id(), self._repository, MASTER, (), JobStatus.KILLED, reason)
            with suppress(StoreUnavailable, PermanentError):
                self._send(end)

    # --- commands ---------------------------------------------------------------------------

    def _batches(self) -> Iterator[Enqueue]:
        endpoint = self._simulator.endpoint
        for begin in range(0, self._scenario.count, BATCH_SIZE):
            numbers = range(begin, min(begin + BATCH_SIZE, self._scenario.count))
            specs = (
                JobSpec(n, 1, JobStatus.SUBMITTED, str(n), {"endpoint": endpoint}) for n in numbers
            )
            yield Enqueue(
                id=Client.new_id(),
                repository=self._repository,
                master=MASTER,
                total=self._scenario.count,
                name=f"simulate {self._scenario.name}"[:200],
                lane=self._simulator.lane,
                workspace=str(self._folder / str(MASTER)),
                mergers=(),
                jobs=tuple(specs),
            )

    def _enqueue(self, batches: list[Enqueue], follower: Follower, tally: Tally) -> None:
        """Send and wait for the acknowledgements, while the updates are followed."""
        open_ids = {self._client.submit(batch) for batch in batches}
        deadline = time.monotonic() + WAIT
        while open_ids:
            self._client.flush()
            before = len(open_ids)
            open_ids -= self._follow(follower, tally)
            if len(open_ids) < before:
                deadline = time.monotonic() + WAIT
            elif time.monotonic() > deadline:
                raise _unanswered()

    def _send(self, command: Command) -> None:
        ack = self._client.wait(self._client.submit(command), self._repository, WAIT)
        if ack is None:
            raise _unanswered()
        if not ack.ok:
            raise BadInput([ack.reason])

    def _follow(self, follower: Follower, tally: Tally) -> set[str]:
        """Take the next updates in; the ids of commands that they acknowledge."""
        done = set()
        for update in follower.read(block=0.5, count=1000):
            if update.ack is not None:
                if not update.ack.ok:
                    raise BadInput([update.ack.reason])
                done.add(update.ack.command_id)
            elif update.master == MASTER:
                tally.add(update)
        return done

    # --- what came of it --------------------------------------------------------------------

    def _report(self, tally: Tally, seconds: float) -> Report:
        stats = self._simulator.call("stats")
        truth = {row[0]: _phase(row) for row in self._simulator.call("truth")["jobs"]}
        store, owner = self._client.store, self._client.owner
        master = store.master(owner, self._repository, MASTER)
        jobs = store.jobs(master, None) if master is not None else {}
        by_name = {str(sub): job for sub, job in jobs.items()}
        queries = sum(n for source, n in stats["queries"].items() if source != "download")
        lags = percentiles(tally.lags)
        said = record.sequence(self._simulator.record)
        return Report(
            scenario=self._scenario.name,
            jobs=self._scenario.count,
            ended=tally.ended(),
            status=str(tally.final or ""),
            seconds=seconds,
            lags={str(self._simulator.lane): lags} if lags else {},
            queries=queries,
            queries_per_minute=queries * 60 / seconds,
            concurrent_max=stats["concurrent_max"],
            downloads=stats["downloads"],
            downloading_max=stats["downloading_max"],
            bytes=stats["bytes"],
            transitions=tally.transitions,
            faults=stats["faults"],
            untruths=audit.untruths(by_name, set(said), truth),
            untold=audit.untold(by_name, said) if tally.final is not None else [],
        )


@click.command()
@click.argument("scenario")
@click.option("--seconds", type=float, default=None, help="Follow for so long at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def main(scenario: str, seconds: float | None, as_json: bool) -> None:
    """Exit code 0 if it came to its end, or had none, without an untruth."""
    folder = Path(tempfile.mkdtemp(prefix="gangamon-simulate-"))
    try:
        plan = load(scenario)
        if plan.count == 0:
            raise BadInput([f"jobs.count: got {plan.jobs.count!r}; accepted: a number from 1"])
        with Simulator(scenario, folder) as simulator:
            client = Client(settings.load(), folder / "spool")
            if not _runs(client):
                _serve(simulator, as_json)
                return
            report = Drive(client, plan, simulator, folder).run(seconds)
        click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
        sys.exit(bool(report.untruths) or (not report.status and plan.jobs.ends != "never"))
    except GangamonError as error:
        for fault in error.faults if isinstance(error, BadInput) else (str(error),):
            click.echo(f"gangamon: {fault}", err=True)
        sys.exit(2 if isinstance(error, (BadInput, StoreUnavailable)) else 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs(client: Client) -> bool:
    try:
        return client.tick_age() is not None
    except StoreUnavailable:
        return False


def _serve(simulator: Simulator, as_json: bool) -> None:
    """No service runs: let others ask, until this is interrupted or the server ends."""
    simulator.call("start")
    told = {"endpoint": simulator.endpoint, "lane": str(simulator.lane)}
    text = f"no service runs; serving at {simulator.endpoint} (Ctrl-C ends it)"
    click.echo(json.dumps(told) if as_json else text)
    assert simulator.process is not None
    with suppress(KeyboardInterrupt):
        simulator.process.wait()


def _arrived(scenario: Scenario, batch: Enqueue) -> float:
    return arrival(scenario, batch.jobs[-1].sub)


def _phase(row: list[object]) -> Phase:
    return Phase(str(row[0]), 0.0, str(row[1]), int(str(row[2])))


def _progress(tally: Tally, scenario: Scenario) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{tally.ended()}/{scenario.count} jobs ended", nl=False, err=True)


def _unanswered() -> PermanentError:
    return PermanentError(
        f"not acknowledged within {WAIT:.0f} s: `gangamon ps` tells whether the service runs"
    )


if __name__ == "__main__":
    main(prog_name="gangamon simulate")
