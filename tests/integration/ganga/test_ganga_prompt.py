"""``monitor`` at Ganga's prompt, and the lines that are logged there."""

from __future__ import annotations

from tests.integration.ganga.scripted import SCRIPTED
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session

#: What the user reads, and how he interrupts what he typed.
READING = """
import contextlib, io
from GangaCore.Core.exceptions import GangaException
from gangamon.adapter.prompt import bar, lanes, watching

# A machine that is busy has more time than a user has patience.
monitor._patience = lanes.WAIT = lanes.PATIENCE = 60

class Out(io.StringIO):
    then = None

    def write(self, text):
        if self.then is not None and text.startswith("job "):
            threading.Timer(0.2, self.then).start()
            self.then = None
        return super().write(text)

def read(typed, then=None):
    # (what it returned, what it printed); then() is called when the bar is there.
    out = Out()
    out.then = then
    with contextlib.redirect_stdout(out):
        found = typed()
    return found, out.getvalue()

def refused(typed):
    try:
        typed()
    except GangaException as error:
        return f"{type(error).__name__}: {error}"
    return "it was taken"
"""


def test_the_prompt_with_a_service(ganga: Session, service: Service) -> None:
    """Lanes, queues and progress; why; a lane that is paused and resumed; a bar to the end of the
    job. The next session shows the same of what it has not loaded."""
    found = ganga.run(
        READING
        + """
from IPython.lib.pretty import pretty
j = make([HELD] * 2)
facts["before"] = repr(monitor)
facts["new"] = [str(monitor.why(j)), refused(lambda: monitor.watch(j))]
runMonitoring()
j.submit()
k = single(HELD)
k.submit()
until(lambda: j.status == k.status == "running" and sent(0, 1), 100, "they run")
def all_run():
    found = monitor.progress(j)
    return found["counts"] == {"running": 2} == (found["service"] or {}).get("counts")
until(all_run, 60, "and both sides know it")
facts["shown"] = repr(monitor)
facts["pretty"] = pretty(monitor).splitlines()[0]
facts["whys"] = [str(monitor.why(x)) for x in (j, k, j.subjobs(1), "0.1", j.subjobs, [0, 1])]
facts["progress"] = [monitor.progress(j), monitor.progress("0.1"), monitor.progress(1)]
facts["refused"] = [refused(lambda: t()) for t in (
    lambda: monitor.why(99), lambda: monitor.why("0.7"), lambda: monitor.why("k.1"),
    lambda: monitor.why(1.5), lambda: monitor.watch(jobs), lambda: monitor.watch(j, timeout=-1),
    lambda: monitor.pause("Slurm"), lambda: monitor.pause(7), lambda: monitor.resume(""),
    lambda: monitor.pause("Local", reason="x" * 300))]
facts["paused"] = monitor.pause("Local", reason="the disks move")
facts["while paused"] = [repr(monitor), str(monitor.why(0))]
facts["lane"] = lane = component.engine.roster.get(0).lane
client = component.link.client()
until(lambda: client.depth(f"poll.{lane}")[1] == 0, 60, "what was under way has ended")
GATE.touch()
facts["short"] = read(lambda: monitor.watch(j, timeout=2.5))
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
facts["cut"] = read(lambda: monitor.watch(j), lambda: os.kill(os.getpid(), signal.SIGINT))
facts["lives"] = component.is_alive() and component.link.up
facts["refreshed"] = monitor.refresh()
facts["resumed"] = [monitor.resume(lane), monitor.resume("Local")]
facts["whole"] = read(lambda: monitor.watch(j, timeout=120))
until(lambda: k.status == "completed", 100, "it is over")
facts["after"] = [monitor.refresh(j), str(monitor.why(j)), repr(monitor)]
""",
    )
    said = found.facts
    assert "no lanes yet" in said["before"] or "Local|" in said["before"]
    assert "statuses stand still: enableMonitoring()" in said["before"]
    assert "0 jobs watched" in said["before"]
    assert said["new"][0] == "job 0 is new: it was not submitted"
    assert "job 0 is new; accepted: a submitted one" in said["new"][1]
    shown = said["shown"].splitlines()
    assert shown[0] == said["pretty"] == "gangamon follows the jobs; the service answers"
    lane = next(line for line in shown if line.startswith(said["lane"]))
    assert lane.endswith("asked")
    assert "% used" in lane
    assert any(line.startswith("queues: ") for line in shown)
    assert any(line.startswith("job 0 [") and "0/2; 2 running" in line for line in shown)
    assert any(line.startswith("job 1 [") and "0/1; 1 running" in line for line in shown)
    assert shown[-1].startswith("this session: 2 jobs watched, ")
    split, unsplit, sub, text, subs, both = said["whys"]
    assert split.startswith("job 0 [") and "in this session: running (2 running)" in split
    assert unsplit.startswith("job 1 is running\n")
    assert sub == text and sub.startswith("job 0.1 is running\n")
    assert [f"job 0.{n} is running" in subs for n in range(4)] == [True] * 2 + [False] * 2
    assert "job 0 [" in both and "job 1 is running" in both
    whole, one, single = said["progress"]
    figures = {"job": "0", "status": "running", "total": 2, "done": 0, "counts": {"running": 2}}
    assert whole == {**figures, "service": {**figures, "phase": "open"}}
    assert one["service"] == {"job": "0.1", "status": "running"}
    assert (one["total"], single["counts"]) == (1, {"running": 1})
    for error, words in zip(
        said["refused"],
        (
            "got 99; accepted: one that `jobs` lists",
            "got 0.7; accepted: 0.0 to 0.1",
            "why: jobs: got 'k.1'; accepted: a job, an id",
            "why: jobs: got 1.5; accepted: a job, an id",
            "watch: job: got 2 jobs; accepted: one",
            "watch: timeout: got -1; accepted: seconds, or None",
            "lane: got 'Slurm'; accepted: Local, Local|",
            "lane: got 7; accepted: a backend's or a lane's name",
            "lane: got ''; accepted: a backend's or a lane's name",
            "reason: got 'xxx",
        ),
        strict=True,
    ):
        assert words in error
    assert f"paused: {said['lane']}" in said["paused"].splitlines()
    assert "paused, until resumed: the disks move" in said["while paused"][0]
    assert "paused, until resumed: the disks move" in said["while paused"][1]
    assert said["short"][0] is said["cut"][0] is False
    assert "job 0 [" in said["short"][1] and "job 0 [" in said["cut"][1]
    assert said["lives"] is True
    assert said["resumed"][0] == f"resumed: {said['lane']}"
    assert f"resumed: {said['lane']}" in said["resumed"][1].splitlines()
    assert "2 jobs asked about as soon as the lane allows" in said["refreshed"]
    assert said["whole"][0] is True
    assert said["whole"][1].endswith("2/2; 2 completed; completed\n")
    refreshed, why, last = said["after"]
    assert "job 0 is not asked about: it is over" in refreshed
    assert "completed" in why
    assert "0 jobs watched" in last
    again = ganga.run("""
        facts["at once"] = [monitor.progress(0)["counts"], "completed" in str(monitor.why("0.1"))]
        facts["watch"] = monitor.watch(0)
    """)
    assert again.facts == {"at once": [{"completed": 2}, True], "watch": True}


def test_log_lines_and_a_service_that_is_ahead(alone: Session) -> None:
    """Each status of a job is logged once, as by Ganga, also of one that was not split; of subjobs
    none is. The bar says what the service knows first, and ends when the job is taken away. What
    was missed while monitoring was off is not judged without its completed subjobs (auto-kill)."""
    result = alone.run(
        SCRIPTED
        + READING
        + """
from gangamon.domain.command import Refresh
j = submitted(200)
k = single("echo")
Localhost.master_submit = at_once
k.submit()
followed(j)
until(lambda: sent(1), 60, "handed over")
say(j, S.RUNNING, range(200))
client.say(1, [JobUpdate(-1, 1, 0, S.RUNNING)])
until(lambda: j.status == k.status == "running", 60, "they run")
def refreshed():
    return sorted(c.master for c in client.commands if isinstance(c, Refresh))
before = refreshed()
facts["refresh"] = monitor.refresh([j.subjobs(3), 1])
until(lambda: all(refreshed().count(m) > before.count(m) for m in (0, 1)), 60, "asked for")
disableMonitoring()
say(j, S.COMPLETED, range(120))
def ahead():
    seen = read(lambda: monitor.watch(0, timeout=1))[1]
    return "120 ended" in seen and seen.startswith("monitoring is off")
facts["off"] = [repr(monitor), str(monitor.refresh())]
watching.ASK, bar.SELDOM = 0.1, 0.0
until(ahead, 60, "the bar says so")
facts["shown"] = repr(monitor)
entered, stock = threading.Event(), client.read
def meanwhile(block):
    entered.set()
    found = stock(block)
    if found:
        component.enable()
        client.read = stock
    return found
client.read = meanwhile
entered.wait(60)
say(j, S.FAILED, range(120, 200))
client.say(0, [], MasterFinal(1, S.FAILED, {"merge": []}))
facts["over"] = read(lambda: monitor.watch(j))
facts["gone"] = read(lambda: monitor.watch(1, timeout=60), lambda: k.remove(True))
facts["applied"] = component.engine.applier.applied
import pydoc
facts["help"] = pydoc.render_doc(monitor, renderer=pydoc.plaintext)
facts["index"] = __import__("GangaCore.Runtime.gangadoc").Runtime.gangadoc.makedocindex()
"""
    )
    said, output = result.facts, result.output
    assert said["refresh"] == "2 jobs asked about as soon as the lane allows"
    for shown in said["off"]:
        assert "monitoring is off in this session" in shown
    assert "job 0 [" in said["shown"] and "the service: 120 ended" in said["shown"]
    assert said["over"][0] is True
    assert said["over"][1].endswith("200/200; 120 completed, 80 failed; failed\n")
    assert said["gone"][0] is False
    assert said["gone"][1].endswith("the job is gone\n")
    assert said["applied"] == 401
    for job, statuses in (("0", ("submitted", "running", "failed")), ("1", ("running",))):
        for status in statuses:
            line = f'job {job} status changed to "{status}"'
            assert output.count(line) == 1, (line, output)
            assert next(o for o in output.splitlines() if line in o).find("INFO") >= 0
    assert "job 0." not in output
    for word in ("why", "watch", "progress", "refresh", "pause", "resume"):
        assert f"monitor.{word}(" in said["help"]
    assert "How gangamon follows your jobs" in said["index"]


def test_without_a_service_and_with_gangas_own_monitoring(alone: Session) -> None:
    """It says so, shows what the session knows, and waits for nothing."""
    said = alone.run(
        READING
        + """
runMonitoring()
j = make(["sleep 1"] * 2)
j.submit()
until(lambda: "enqueue" in spooled(), 60, "it is in the spool")
facts["away"] = repr(monitor)
facts["why"] = str(monitor.why(j))
facts["pause"] = monitor.pause("Local")
until(lambda: "pause" in spooled(), 60, "it is in the spool, too")
facts["unknown"] = refused(lambda: monitor.resume("Slurm"))
facts["progress"] = monitor.progress(j)["service"]
facts["watch"] = read(lambda: monitor.watch(j, timeout=0.2))
gangamon_mode("ganga")
until(lambda: component.switch.stock is not None, 60, "Ganga has them")
facts["ganga"] = [repr(monitor), str(monitor.refresh(j)), str(monitor.why(j))]
facts["whole"] = read(lambda: monitor.watch(j, timeout=100))
"""
    ).facts
    first, *_, last = said["away"].splitlines()
    assert first.startswith("the service is away (no gangamon runs for state_dir ")
    assert "job 0 [" in said["away"]
    assert last.startswith("this session: 1 job watched, ") and " in the spool" in last
    assert "job 0 is submitted: it was handed over; " in said["why"]
    assert "Local|" in said["pause"] and "paused when it is back" in said["pause"]
    assert "lane: got 'Slurm'; accepted: Local, Local|" in said["unknown"]
    assert said["progress"] is None
    assert said["watch"][0] is False and "0/2; 2 submitted" in said["watch"][1]
    for shown in said["ganga"]:
        assert "Ganga's own monitoring has this repository's jobs" in shown
    assert said["whole"][0] is True
    assert said["whole"][1].endswith("2/2; 2 completed; completed\n")
