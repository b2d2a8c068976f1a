"""What the adapter makes durable: what Ganga would write, without the prompt standing still."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.integration.ganga.scripted import COUNTED, SCRIPTED
from tests.integration.ganga.session import Result, Session


def stock(session: Session, script: str) -> Result:
    """A session without gangamon: a RUNTIME_PATH on the command line would only be added."""
    text = session.gangarc.read_text()
    lines = text.splitlines(keepends=True)
    session.gangarc.write_text("".join(x for x in lines if not x.startswith("RUNTIME_PATH")))
    try:
        return session.run("facts['monitoring'] = type(component).__module__\n" + script)
    finally:
        session.gangarc.write_text(text)


def test_a_flush_writes_what_gangas_own_writes(alone: Session) -> None:
    """A job of this session, and one that was loaded again in part: each file of the repository
    is the same, byte for byte, when Ganga's own flush has written it; and stock Ganga reads it."""
    write = """
    def compare(j):
        raw = stripProxy(j)
        registry = raw._getRegistry()
        assert type(registry)._flush is not Registry._flush
        registry._flush([raw])
        assert not raw._dirty
        ours = files(j)
        for sub in raw.subjobs:
            stripProxy(sub)._setDirty()
        os.remove(registry.repository.get_idxfn(raw.id))  # Ganga writes it only if it is missing
        Registry._flush(registry, [raw])
        theirs = files(j)
        assert ours.keys() == theirs.keys(), (ours.keys(), theirs.keys())
        assert ours == theirs, [(k, ours[k], theirs[k]) for k in ours if ours[k] != theirs[k]]
        return sorted(ours)
    """
    first = alone.run(f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    {write}
    j = submitted(7, name="one")
    followed(j)
    say(j, S.RUNNING, range(5))
    say(j, S.COMPLETED, range(2))
    until(lambda: states(j)[:3] == ["completed", "completed", "running"], 60, "they follow")
    j.comment = "it's <mine> & \\u00e9"
    j.subjobs(6).comment = "and this"
    facts["files"] = compare(j)
    """)
    assert first.facts["files"] == [
        *(f"{i}/data" for i in range(7)),
        "data",
        "index",
        "subjobs.idx",
    ]
    second = alone.run(f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    {write}
    j = jobs(0)
    stripProxy(j).name = "two"
    stripProxy(stripProxy(j).subjobs[4]).comment = "changed"
    compare(j)
    """)
    assert "ERROR" not in second.output
    third = stock(
        alone,
        """
j = jobs(0)
facts["job"] = [j.status, j.name, j.comment]
facts["subjobs"] = [[s.status, s.comment] for s in j.subjobs]
    """,
    )
    done, run = ["completed", ""], ["running", ""]
    assert third.facts == {
        "monitoring": "GangaCore.Core.MonitoringComponent.MonitoringService",
        "job": ["submitted", "two", "it's <mine> & é"],
        "subjobs": [
            *(done, done, run, run, ["running", "changed"]),
            *(["submitted", ""], ["submitted", "and this"]),
        ],
    }


def test_each_patch_can_be_left_out(alone: Session) -> None:
    """By its option; and by itself, where this Ganga is not the one it was written for."""
    found = alone.run(
        """
        from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList
        from GangaCore.GPIDev.Lib.Registry.JobRegistry import JobRegistry
        from gangamon.adapter import patches
        import GangaCore.Lib.Condor
        condor = sys.modules["GangaCore.Lib.Condor.Condor"]
        def modules():
            methods = (JobRegistry._flush, JobRegistry.getIndexCache, SubJobXMLList._getItem)
            bindings = type(vars(condor).get("htcondor"))
            return [found.__module__.split(".")[0] for found in (*methods, bindings)]
        def patched():
            return [patches.patch_flush(), patches.patch_index_cache(),
                    patches.patch_subjob_load(), patches.patch_condor()]
        facts["class"] = type(component).__module__
        facts["off"] = modules()
        known, patches.TESTED = patches.TESTED, ("8.7.11",)
        facts["unknown"] = [patched(), modules()]
        patches.TESTED = known
        facts["known"] = [patched(), modules()]
        """,
        "-o[Gangamon]PatchFlush=False",
        "-o[Gangamon]PatchIndexCache=False",
        "-o[Gangamon]PatchSubjobLoad=False",
        "-o[Gangamon]PatchCondor=False",
    ).facts
    assert found == {
        "class": "gangamon.adapter.component",
        "off": [*["GangaCore"] * 3, "builtins"],
        "unknown": [[False] * 4, [*["GangaCore"] * 3, "builtins"]],
        "known": [[True] * 4, ["gangamon"] * 4],
    }


def test_what_the_user_changes_is_written_by_the_automatic_flush(alone: Session) -> None:
    """Of a split job and of its subjob; and once nothing changes, nothing is written."""
    alone.run(
        f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    j = submitted(3)
    j.comment = "of the master"
    j.subjobs(1).comment = "of the subjob"
    on_disk = disk(j)
    until(lambda: on_disk(".", "of the master") and on_disk(1, "of the subjob"), 100, "written")
    until(lambda: not stripProxy(j)._dirty, 60, "clean")
    """,
        "-o[Registry]AutoFlusherWaitTime=1",
    )
    found = stock(alone, 'facts["c"] = [jobs(0).comment, jobs("0.1").comment]').facts
    assert found["c"] == ["of the master", "of the subjob"]


def test_a_full_disk_leaves_it_for_the_next_flush(alone: Session) -> None:
    """The automatic flush says so and goes on; an explicit one raises; the session lives, and when
    there is room again, all is written."""
    result = alone.run(
        f"""{SCRIPTED}
import gangamon.adapter.repository.flush as flush
stock, full = flush.replace, threading.Event()

def replace(path, *args, **kwargs):
    if full.is_set():
        tried.set()
        raise OSError(28, "No space left on device", path)
    stock(path, *args, **kwargs)

flush.replace, tried = replace, threading.Event()
j = submitted(3)
raw, on_disk = stripProxy(j), disk(j)
full.set()
raw.subjobs[1].comment = "kept"
until(tried.is_set, 100, "the automatic flush has tried")
try:
    raw._getRegistry()._flush([raw])
except OSError as error:
    facts["error"] = str(error)
facts["written"] = on_disk(1, "kept")
full.clear()
until(lambda: on_disk(1, "kept"), 100, "it is written")
    """,
        "-o[Registry]AutoFlusherWaitTime=1",
    )
    assert "job 0 is not written, its changes are in memory" in result.output
    assert "No space left on device" in result.facts["error"]
    assert result.facts["written"] is False


#: How long a reader of the master's status waits while a flush of all subjobs is under way.
READER = """
def slowest(flush):
    worst, over = [0.0], threading.Event()
    def read():
        while not over.is_set():
            begun = time.perf_counter()
            jobs(0).status
            worst[0] = max(worst[0], time.perf_counter() - begun)
            time.sleep(0.002)
    for sub in raw.subjobs:
        stripProxy(sub)._setDirty()
    reader = threading.Thread(target=read)
    reader.start()
    begun = time.perf_counter()
    flush()
    taken = time.perf_counter() - begun
    over.set()
    reader.join()
    return worst[0], taken
"""


def test_a_flush_does_not_hold_up_who_reads(alone: Session) -> None:
    """The slowest read while 300 subjobs are written, beside that under Ganga's own flush in the
    same session: at most a quarter of it. (The ratio is about 1:100 on an idle machine.)"""
    found = alone.run(f"""
    {(SCRIPTED + READER).replace(chr(10), chr(10) + "    ")}
    j = submitted(300)
    raw = stripProxy(j)
    registry = raw._getRegistry()
    registry._flush([raw])
    pairs = []
    for _ in range(3):
        theirs, _ = slowest(lambda: Registry._flush(registry, [raw]))
        ours, _ = slowest(lambda: registry._flush([raw]))
        pairs.append((ours, theirs))
    facts["ours"], facts["theirs"] = min(o for o, _ in pairs), min(t for _, t in pairs)
    """).facts
    assert found["ours"] < found["theirs"] / 4, found


def test_a_session_opened_again_is_right_before_it_has_loaded(alone: Session) -> None:
    """200 subjobs have ended while no session was open: the master ends, and what is shown is
    right, when next to nothing is loaded; a subjob that is looked at is right. The session ends
    with the rest to do; the next one does it. Each hook runs once. Stock Ganga finds it all."""
    alone.run(f"{SCRIPTED}\nsubmitted(200)")
    first = alone.run(f"""{SCRIPTED}{COUNTED}
ends = [S.FAILED if sub % 10 == 0 else S.COMPLETED for sub in range(200)]
client.say(0, [JobUpdate(sub, 1, 0, end) for sub, end in enumerate(ends)])
client.finals[0] = MasterFinal(1, S.FAILED, {{}})
backlog.drain = lambda *_: None  # the background does not come to it in this session
runMonitoring()
raw = stripProxy(jobs(0))
until(lambda: raw.status == "failed", 60, "the master has ended")
facts["summary"] = raw.returnSubjobStatuses()
facts["shown"] = Counter(entry["display:status"] for entry in raw.subjobs.getAllCachedData())
facts["seen"] = [jobs("0.5").status, jobs("0.10").status, jobs("0.5").status]
facts["loads"], facts["hooks"], facts["waiting"] = loads[0], hooks, len(backlog)
facts["pending"] = [path.name for path in pending.iterdir()]
    """)
    hooks = first.facts.pop("hooks")
    assert first.facts.pop("loads at the end") <= 5
    loads = first.facts.pop("loads")
    assert loads <= 7
    assert first.facts == {
        "summary": "0/20/0/180",
        "shown": {"failed": 20, "completed": 180},
        "seen": ["completed", "failed", "completed"],
        "waiting": 200 - loads,
        "pending": ["0.json"],
    }
    second = alone.run(
        f"""{SCRIPTED}{COUNTED}
runMonitoring()
until(lambda: loads[0] > 0 and backlog.over, 80, "the rest is loaded")
facts["hooks"], facts["loads"], facts["pending"] = hooks, loads[0], os.listdir(pending)
    """,
        "-o[Registry]AutoFlusherWaitTime=1",
    )
    assert second.facts["pending"] == []
    assert second.facts["loads"] == 200 - loads
    both = Counter(hooks) + Counter(second.facts["hooks"])
    assert both == {str(sub): 1 for sub in range(200) if sub % 10}
    found = stock(alone, 'facts["states"] = states(jobs(0))').facts["states"]
    assert found == ["completed" if sub % 10 else "failed" for sub in range(200)]


def test_what_an_earlier_session_left_is_not_taken_for_another_job(alone: Session) -> None:
    """It was killed before it had applied all; without gangamon the user cleaned the job away, and
    submitted one that has its number."""
    alone.run(f"{SCRIPTED}\nsubmitted(5)")
    first = alone.run(f"""{SCRIPTED}{COUNTED}
client.say(0, [JobUpdate(sub, 1, 0, S.COMPLETED) for sub in range(5)])
client.finals[0] = MasterFinal(1, S.COMPLETED, {{}})
backlog.drain = lambda *_: None  # the background does not come to it in this session
runMonitoring()
until(lambda: stripProxy(jobs(0)).status == "completed", 60, "the master has ended")
facts["pending"] = os.listdir(pending)
    """)
    assert first.facts["pending"] == ["0.json"]
    again = stock(
        alone,
        f"""{SCRIPTED.replace("up = use(component, client)", "")}
jobs.clean(confirm=True, force=True)
facts["number"] = submitted(5).id
    """,
    )
    assert again.facts["number"] == 0
    second = alone.run(f"""{SCRIPTED}{COUNTED}
runMonitoring()
until(lambda: not os.listdir(pending), 60, "the record is gone")
followed(jobs(0))
say(jobs(0), S.RUNNING, [4])
until(lambda: states(jobs(0))[4] == "running", 60, "what the service says is shown")
facts["states"], facts["waiting"] = states(jobs(0)), len(backlog)
    """)
    assert second.facts == {"states": ["submitted"] * 4 + ["running"], "waiting": 0}


def test_a_subjob_that_is_being_loaded_does_not_step_back(alone: Session) -> None:
    """The adapter's thread has loaded it and is about to apply its update: whoever reads it then
    sees the update; one whose update takes too long is not waited for."""
    alone.run(f"{SCRIPTED}\nsubmitted(2)")
    found = alone.run(f"""{SCRIPTED}{COUNTED}
from gangamon.adapter.repository import backlog as module
held, go, stock_apply = threading.Event(), threading.Event(), backlog._apply
def slow(job, update):
    held.set()
    go.wait(100)
    return stock_apply(job, update)
backlog._apply = slow
client.say(0, [JobUpdate(0, 1, 0, S.COMPLETED), JobUpdate(1, 1, 0, S.COMPLETED)])
client.finals[0] = MasterFinal(1, S.COMPLETED, {{}})
runMonitoring()
assert held.wait(60)
sub = next(iter(stripProxy(stripProxy(jobs(0)).subjobs)._cachedJobs))
facts["late"] = jobs(0).subjobs[sub].status
module.PATIENCE = 100.0
seen = []
reader = threading.Thread(target=lambda: seen.append(jobs(0).subjobs[sub].status))
reader.start()
reader.join(1)
facts["waits"] = reader.is_alive()
go.set()
reader.join(60)
facts["seen"] = seen
until(lambda: backlog.over and jobs(0).status == "completed", 60, "all is applied")
facts["hooks"] = hooks
    """).facts
    assert found == {
        "late": "submitted",
        "waits": True,
        "seen": ["completed"],
        "hooks": {"0": 1, "1": 1},
    }


def test_a_subjob_that_ganga_may_fail_is_not_shown_before_ganga_has_said(alone: Session) -> None:
    """Its output files are missing: Ganga fails it, and its master, though its backend completed
    it. Such a subjob does not wait unloaded, for what Ganga says of it is not known."""
    alone.run(f"{SCRIPTED}\nsubmitted(3, outputfiles=[LocalFile('missing')])")
    found = alone.run(f"""{SCRIPTED}{COUNTED}
client.say(0, [JobUpdate(sub, 1, 0, S.COMPLETED) for sub in range(3)])
client.finals[0] = MasterFinal(1, S.COMPLETED, {{}})
raw = stripProxy(jobs(0))
raw._loadObject()
facts["look"] = [backlog.look(raw, sub) for sub in range(3)]
runMonitoring()
until(lambda: raw.status == "failed", 60, "the master has ended")
facts["states"], facts["waiting"] = states(jobs(0)), len(backlog)
    """).facts
    assert found["look"] == [None] * 3
    assert found["states"] == ["failed"] * 3
    assert found["loads at the end"] == 3
    assert found["waiting"] == 0


def test_an_index_older_than_the_subjobs_is_put_right(alone: Session) -> None:
    """As a kill between the two leaves it: the adapter finds what each subjob's XML says, of those
    that differ only, and loads none; a subjob without XML is read from Ganga's backup."""
    found = alone.run(f"""{SCRIPTED}
j = submitted(20)
followed(j)
raw = stripProxy(j)
raw._getRegistry()._flush([raw])
folder = Path(raw._getRegistry().repository.get_fn(0)).parent
old = (folder / "subjobs.idx").read_bytes()
say(j, S.RUNNING, range(4))
until(lambda: states(j)[:4] == ["running"] * 4, 60, "they follow")
raw._getRegistry()._flush([raw])
facts["folder"] = str(folder)
(folder / "old.idx").write_bytes(old)
    """).facts
    folder = Path(found["folder"])
    (folder / "old.idx").replace(folder / "subjobs.idx")
    (folder / "3" / "data").rename(folder / "3" / "data~")
    found = alone.run(f"""{SCRIPTED}{COUNTED}
from gangamon.adapter.watch.reader import Subjobs
raw = stripProxy(jobs(0))
raw._loadObject()
facts["index"] = raw.subjobs.getAllSJStatus()[:5]
facts["right"] = Subjobs(raw).statuses()[:5]
facts["loads"] = loads[0]
    """).facts
    assert found["index"] == ["submitted"] * 5
    assert found["right"] == ["running"] * 4 + ["submitted"]
    assert found["loads"] <= 2
