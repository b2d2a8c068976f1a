"""What Ganga's own monitoring did beside asking backends. See docs/ganga.md for the table."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gangamon.cli.ganga import package
from tests.integration.ganga.scripted import SCRIPTED
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until

#: Jobs of a backend of their own, and what the adapter said of them.
GRID = (
    SCRIPTED
    + """
from ganga_grid.backend import gates, torn
from gangamon.domain.command import Enqueue, Refresh
client._backends = ("Local", "Grid")

def grid(n, **given):
    j = Job(application=Executable(exe="/bin/true"), backend=Grid(**given))
    if n:
        j.splitter = ArgSplitter(args=[[str(i)] for i in range(n)])
    return j

def sent_of(j, kind):
    return [c for c in client.commands if isinstance(c, kind) and c.master == j.id]

def over(j, attempt=1):
    subs = range(len(j.subjobs)) or [-1]
    jobs = [JobUpdate(sub, attempt, 0, S.COMPLETED) for sub in subs]
    client.say(j.id, jobs, MasterFinal(1, S.COMPLETED, {"merge": []}))
"""
)


@pytest.fixture
def alone(tmp_path: Path) -> Session:
    """A user without a service, who has the backend Grid."""
    session = Session(tmp_path, {**os.environ, "GANGAMON_STATE_DIR": str(tmp_path / "state")})
    text = session.gangarc.read_text()
    grid = Path(__file__).with_name("ganga_grid")
    session.gangarc.write_text(text.replace(package(), f"{package()}:{grid}"))
    return session


def test_what_is_followed(alone: Session) -> None:
    """runMonitoring of a job, an id, a slice, a list: only these change, the service is to look at
    them at once, and when they are over monitoring is off again. enableMonitoring,
    disableMonitoring, disableServices and reactivate do as in Ganga."""
    result = alone.run(
        GRID
        + """
from GangaCore.Core.exceptions import GangaException, GangaTypeError
from gangamon.adapter.watch.following import Following, masters
# The adapter finds that all are over, and the user names another just then: that stands.
following = Following()
following.these([1])
seen = following.chosen
following.these([2])
following.over(seen)
facts["meanwhile"] = [2 in following]
following.over(following.chosen)
facts["meanwhile"].append(bool(following))
a, b = grid(2), grid(2)
a.submit(); b.submit()
until(lambda: len(client.known.get(1, ())) == 2, 60, "handed over without monitoring")
facts["forms"] = [sorted(masters(form)) for form in (
    a, a.subjobs(1), 1, jobs, jobs.select(1, 1), b.subjobs, [a, 1], jobs.select(status="failed"))]
try:
    runMonitoring(jobs="all")
except GangaTypeError as error:
    facts["bad"] = str(error)
facts["none"] = [runMonitoring(jobs=[]), component.enabled]
facts["one"] = [runMonitoring(jobs=a), component.enabled]
until(lambda: sent_of(a, Refresh), 60, "the service is to look at it")
say(b, S.RUNNING, [0, 1])
say(a, S.RUNNING, [0, 1])
until(lambda: a.status == "running", 60, "it is followed")
facts["others"] = [b.status, *states(b), len(sent_of(b, Refresh))]
over(a)
until(lambda: not component.enabled, 60, "all that was followed is over")
facts["end"] = [a.status, b.status]
runMonitoring(jobs=jobs.select(b.id, b.id))
until(lambda: states(b) == ["running"] * 2, 60, "what was missed is caught up with")
enableMonitoring()
runMonitoring(jobs=[b.id])
facts["all stays"] = component.following.chosen is None
disableMonitoring()
facts["off"] = component.enabled
say(b, S.COMPLETED, [0])
c = grid(0)
c.submit()
until(lambda: sent_of(c, Enqueue), 60, "handed over while monitoring is off")
facts["still"] = states(b)
enableMonitoring()
until(lambda: states(b) == ["completed", "running"], 60, "caught up with")
disableServices()
facts["services"] = [component.enabled]
try:
    disableServices()
except GangaException as error:
    facts["twice"] = str(error)
reactivate()
facts["services"].append(component.enabled)
over(b); over(c)
until(lambda: b.status == c.status == "completed", 60, "the end")
component.stop()
facts["stopped"] = [enableMonitoring() or component.enabled, runMonitoring()]
"""
    )
    found = result.facts
    assert found["meanwhile"] == [True, False]
    assert found["forms"] == [[0], [0], [1], [0, 1], [1], [1], [0, 1], []]
    assert "jobs: got 'all'; accepted: a job, an id, a slice" in found["bad"]
    assert found["none"] == [True, False]
    assert found["one"] == [True, True]
    assert found["others"] == ["submitted"] * 3 + [0]
    assert found["end"] == ["completed", "submitted"]
    assert found["all stays"] is True
    assert found["off"] is False
    assert found["still"] == ["running", "running"]
    assert found["services"] == [False, True]
    assert "Cannot disable services" in found["twice"]
    assert found["stopped"] == [False, False]


def test_submission_reset_times_and_the_rest(alone: Session) -> None:
    """One session, one thing after the other; see the asserts."""
    result = alone.run(
        GRID
        + """
from datetime import datetime, timezone
from GangaCore.GPIDev.Credentials import get_needed_credentials
from ganga_grid.backend import VomsProxy
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
runMonitoring()

# Subjobs are handed over while the master is still 'submitting'.
def gate(job, number):
    if number == 3:
        until(lambda: len(client.known.get(job.master.id, ())) > 0, 60, "handed over early")
        facts["early"] = [job.master.status, sorted(client.known[job.master.id])]
gates.append(gate)
from GangaCore.GPIDev.Adapters.IMerger import IMerger
asked = Counter()
def count(kind):
    def execute(self, job, newstatus):
        asked.update([f"{kind} {job.getFQID('.')}"])
        return True
    return execute
for kind, made_ in (("checker", FileChecker()), ("notifier", Notifier())):
    type(stripProxy(made_)).execute = count(kind)
IMerger.execute = count("merger")
j = grid(5)
j.postprocessors = [CustomMerger(files=["stdout"], module=File(__file__)),
                    FileChecker(files=["stdout"], searchStrings=["x"]), Notifier(address="a@b.c")]
j.submit()
gates.clear()
until(lambda: len(client.known[j.id]) == 5, 60, "all of them")
facts["batches"] = [c.total for c in sent_of(j, Enqueue)]

# Each end is shown once, with its hooks, however often it is said; times are the backend's.
ran = Counter()
stock = RawJob.postprocessoutput
RawJob.postprocessoutput = lambda self, *a: (ran.update([self.getFQID(".")]), stock(self, *a))[1]
began, ended = 1_700_000_000.0, 1_700_000_100.0
for _ in range(2):
    say(j, S.RUNNING, range(5))
    client.say(j.id, [JobUpdate(s, 1, 0, S.COMPLETED, {}, ended + s, began + s) for s in range(5)])
client.say(j.id, [], MasterFinal(1, S.COMPLETED, {"merge": []}))
until(lambda: j.status == "completed", 60, "it is over")
client.say(j.id, [JobUpdate(s, 1, 0, S.COMPLETED, {}, ended, began) for s in range(5)])
facts["ran"], facts["asked"] = dict(ran), dict(asked)
stamps = j.subjobs(2).time.timestamps
facts["times"] = [stamps[k].replace(tzinfo=timezone.utc).timestamp()
                  for k in ("backend_running", "backend_final")]
facts["master times"] = [j.time.timestamps[k].replace(tzinfo=timezone.utc).timestamp()
                         for k in ("backend_running", "backend_final")]

# Where the backend's class reads the times itself, as Local and Batch do, it has the last word.
k = submitted(1)
followed(k)
Path(stripProxy(k.subjobs(0)).getOutputWorkspace().getPath(), "__jobstatus__").write_text(
    "START: Mon Nov 23 06:00:00 2026\\nSTOP: Mon Nov 23 06:01:00 2026\\n")
say(k, S.RUNNING, [0])
until(lambda: k.status == "running", 60, "it runs")
client.say(k.id, [JobUpdate(0, 1, 0, S.COMPLETED, {}, ended, began)],
           MasterFinal(1, S.COMPLETED, {"merge": []}))
until(lambda: k.status == "completed", 60, "it is over")
stamps = k.subjobs(0).time.timestamps
facts["file"] = [str(stamps[n]) for n in ("backend_running", "backend_final")]

# The last job of the backend is over: its class frees what it has.
until(lambda: torn, 60, "torn down")
facts["torn"] = list(torn)

# A frozen job is left alone.
j.freeze()
facts["frozen"] = [j.status]
j.unfreeze()
facts["frozen"].append(j.status)

# reset(): a subjob of a job that is over, and one that was not split, are watched again.
j.subjobs(1).backend.reset()
until(lambda: client.known[j.id][1].attempt == 2, 60, "a new attempt")
facts["reset"] = [j.status, *states(j)]
say(j, S.RUNNING, [1], attempt=2)
until(lambda: j.subjobs(1).status == "running", 60, "it is followed")
client.say(j.id, [JobUpdate(1, 2, 0, S.COMPLETED)], MasterFinal(2, S.COMPLETED, {"merge": []}))
until(lambda: j.status == "completed", 60, "it is over again")
facts["reset ran"] = dict(ran)
single_ = grid(0)
single_.submit()
until(lambda: sent_of(single_, Enqueue), 60, "handed over")
over(single_)
until(lambda: single_.status == "completed", 60, "it is over")
single_.backend.reset()
until(lambda: client.known[single_.id][-1].attempt == 2, 60, "a new attempt")
facts["single"] = single_.status
client.say(single_.id, [JobUpdate(-1, 2, 0, S.FAILED)], MasterFinal(2, S.FAILED, {"merge": []}))
until(lambda: single_.status == "failed", 60, "it is over again")

# A subjob is frozen while the others run: the master ends with them.
m = grid(2)
m.submit()
until(lambda: len(client.known.get(m.id, ())) == 2, 60, "handed over")
say(m, S.COMPLETED, [0])
until(lambda: m.subjobs(0).status == "completed", 60, "one is over")
m.subjobs(0).freeze()
client.say(m.id, [JobUpdate(1, 1, 0, S.COMPLETED)], MasterFinal(1, S.COMPLETED, {"merge": []}))
until(lambda: m.status == "completed", 60, "all are over")
facts["with frozen"] = states(m)

# A credential that is missing is in Ganga's list; a lane that is paused for it is told once.
needy = grid(1, credential_requirements=VomsProxy())
needy.submit()
until(lambda: [c for c in get_needed_credentials() if c == VomsProxy()], 60, "listed")
lane = str(sent_of(needy, Enqueue)[0].lane)
client.paused[lane] = "credential: the proxy has expired"
told = component.engine._credentials._told
until(lambda: told, 60, "told")
client.paused[lane] = "by its owner"
until(lambda: not told, 60, "told that it is back")

# Submission by Ganga's queues; a task that is made in the user's thread for the asyncio loop.
q = grid(2)
queues.add(q.submit)
until(lambda: len(client.known.get(q.id, ())) == 2, 60, "handed over")
done_ = []
async def finalise():
    done_.append(threading.current_thread().name)
async def fails(jobs):
    raise ValueError("a backend's fault")
component.loop.create_task(finalise())
until(lambda: done_, 60, "the loop has run it")
component.run_monitoring_task(fails, [])
component.loop.create_task(finalise())
until(lambda: len(done_) == 2, 60, "the loop lives on")
""",
        "-o[PollThread]creds_poll_rate=1",
        within=170,
    )
    found = result.facts
    assert found["early"][0] == "submitting"
    assert {*found["early"][1]} <= {0, 1, 2}
    assert set(found["batches"]) == {5}
    assert found["ran"] == {"0": 1, **{f"0.{s}": 1 for s in range(5)}}
    assert found["asked"] == {
        f"{kind} {job}": 1 for kind in ("merger", "checker", "notifier") for job in found["ran"]
    }
    assert found["times"] == [1_700_000_002, 1_700_000_102]
    assert found["master times"] == [1_700_000_000, 1_700_000_104]
    assert found["file"] == ["2026-11-23 06:00:00", "2026-11-23 06:01:00"]
    assert found["torn"] == ["Grid"]
    assert found["frozen"] == ["completed_frozen", "completed"]
    assert found["reset"] == ["submitted", "completed", "submitted"] + ["completed"] * 3
    assert found["reset ran"] == found["ran"] | {"0": 2, "0.1": 2, "1": 1, "1.0": 1}
    assert found["single"] == "submitted"
    assert found["with frozen"] == ["completed_frozen", "completed"]
    assert result.output.count("its jobs keep their status until the credential is") == 1
    assert result.output.count("the proxy has expired") == 1
    assert result.output.count("is asked again: its credential is back") == 1
    assert "a backend's fault" in result.output


def test_a_backend_without_a_plugin_is_asked_by_ganga(alone: Session) -> None:
    """Its jobs end by Ganga's own monitoring, in this session, while those that gangamon watches
    wait for the service; one line says so."""
    result = alone.run(
        GRID
        + """
client._backends = ("Grid",)
component.link._backends = None
runMonitoring()
j, k, other = make(["echo a", "echo b"]), single("exit 3"), grid(1)
for x in (j, k, other):
    x.submit()
until(lambda: j.status == "completed" and k.status == "failed", 110, "Ganga has seen their end")
facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
facts["sent"] = sorted({c.master for c in client.commands if isinstance(c, Enqueue)})
facts["other"] = other.status
""",
        "-o[PollThread]Local=1",
        within=150,
    )
    assert result.facts == {"merged": 2, "sent": [2], "other": "submitted"}
    assert result.output.count("no plugin for the backend Local") == 1


def test_what_ganga_left_completing_runs_again(alone: Session) -> None:
    """Ganga's own monitoring was cut off while it fetched a subjob's outputs: it is running again,
    and handed over with the others; its outputs stay until the service brings others."""
    alone.run(
        SCRIPTED
        + """
j = submitted(2)
raw = stripProxy(j)
raw.subjobs[0].status = "completing"
Path(raw.subjobs[0].getOutputWorkspace().getPath(), "part").write_text("half of it")
raw.subjobs[1].status = raw.status = "running"
"""
    )
    found = alone.run(
        SCRIPTED
        + """
j = jobs(0)
facts["before"] = [j.status, *states(j)]
followed(j)
until(lambda: states(j) == ["running"] * 2, 60, "back to running")
facts["kept"] = Path(j.subjobs(0).outputdir, "part").exists()
client.say(0, [JobUpdate(s, 1, 0, S.COMPLETED) for s in (0, 1)],
           MasterFinal(1, S.COMPLETED, {"merge": []}))
until(lambda: j.status == "completed", 60, "it is over")
"""
    ).facts
    assert found == {"before": ["running", "completing", "running"], "kept": True}


@pytest.mark.parametrize("swan", [False, True], ids=["locks", "swan"])
def test_a_second_session_takes_over(alone: Session, swan: bool) -> None:
    """Two sessions on one repository, also where Ganga lets them share their jobs: the second
    leaves the job to the first, and takes it over when that has closed, with what it wrote: what
    the first has ended is not ended again."""
    if swan:
        alone.environ["GANGA_SWAN_INTEGRATION"] = "1"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(
            alone.run,
            SCRIPTED
            + """
j = submitted(2)
followed(j)
say(j, S.RUNNING, [0, 1])
until(lambda: j.status == "running", 60, "it runs")
stripProxy(j)._getRegistry().flush_all()
(Path.home() / "held").touch()
until((Path.home() / "seen").exists, 100, "the second session has seen it")
say(j, S.COMPLETED, [0])
until(lambda: j.subjobs(0).status == "completed", 60, "one is over")
""",
            within=170,
        )
        until((alone.gangadir.parent / "held").exists, 100, "the first session holds the job")
        second = alone.run(
            SCRIPTED
            + """
import gangamon.adapter.guard as guard
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
guard.RETRY = 0.5
ran, stock = Counter(), RawJob.postprocess_hook
RawJob.postprocess_hook = lambda self: (ran.update([self.getFQID(".")]), stock(self))[1]
stripProxy(jobs).objects.repository.update_index(True, True)
j = jobs(0)
facts["before"] = [j.status, *states(j), j.subjobs(0).backend.workdir]
client.say(0, [JobUpdate(s, 1, 0, S.COMPLETED) for s in (0, 1)],
           MasterFinal(1, S.COMPLETED, {"merge": []}))
runMonitoring()
until(lambda: getattr(component.engine.roster.get(0), "left", False), 60, "it is not its own")
facts["left"] = [j.status, *states(j)]
(Path.home() / "seen").touch()
until(lambda: j.status == "completed", 100, "taken over")
facts["after"] = states(j)
facts["ran"] = dict(ran)
""",
            within=170,
        ).facts
        first.result()
    assert second["before"] == ["running"] * 3 + ["/nowhere"]
    assert second["left"] == ["running"] * 3
    assert second["after"] == ["completed"] * 2
    assert second["ran"] == {"0": 1, "0.1": 1}


def test_rates_and_tasks(ganga: Session, service: Service) -> None:
    """Poll rates that the user has set reach the service, as a wish for this repository's jobs;
    Ganga's own default does not. A task of Ganga's runs to its end with the adapter."""
    found = ganga.run(
        """
        from gangamon.adapter.handover.rates import wishes
        facts["wishes"] = wishes(["Local", "Slurm", "LSF"])
        facts["scan"] = component.engine._scan_interval
        t = CoreTask()
        trf = CoreTransform()
        trf.application = Executable(exe="/bin/echo", args=["unit"])
        trf.backend = Local()
        trf.unit_splitter = GenericSplitter()
        trf.unit_splitter.attribute = "application.args"
        trf.unit_splitter.values = [["a"], ["b"], ["c"]]
        t.appendTransform(trf)
        t.float = 3
        runMonitoring()
        t.run()
        def watched():
            view = component.link._client.snapshot(component.repository, 0)
            return view is not None and view.record.wish == 7.0
        until(watched, 100, "the wish is there")
        until(lambda: t.status == "completed", 150, "the task is over")
        facts["units"] = [u.status for u in trf.units] or [
            u.status for u in t.transforms[0].units]
        facts["states"] = [x.status for x in jobs]
        """,
        "-o[Tasks]TaskLoopFrequency=1.0",
        "-o[PollThread]Local=7",
        "-o[PollThread]default_backend_poll_rate=90",
        "-o[PollThread]base_poll_rate=3",
        within=230,
    ).facts
    assert found["wishes"] == {"Local": 7, "Slurm": 90}
    assert found["scan"] == 3
    assert found["units"] == ["completed"] * 3
    assert found["states"] == ["completed"] * 3
