"""Jobs of a real Ganga session, monitored by real workers."""

from __future__ import annotations

import pytest

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until

FIVE = '["echo out %d" % i for i in range(5)]'


def test_a_split_job_is_merged_once_and_by_the_service(ganga: Session) -> None:
    """Subjobs and master complete, gangamon's merged file is the only merge, and Ganga's checker
    runs after it."""
    found = ganga.run(f"""
        from GangaCore.GPIDev.Adapters.IMerger import IMerger
        merges, stock = [], IMerger.merge
        IMerger.merge = lambda self, *a, **k: (merges.append(1), stock(self, *a, **k))[1]
        j = make({FIVE})
        j.postprocessors.append(FileChecker(files=["stdout"], searchStrings=["out 4"],
                                            failIfFound=False, checkSubjobs=False))
        runMonitoring()
        j.submit()
        until(lambda: j.status in ("completed", "failed"), 120, "the job is over")
        facts.update(status=j.status, states=states(j), merges=merges, lags=list(component.lags))
        facts["merged"] = open(j.outputdir + "stdout").read()
        facts["summary"] = open(j.outputdir + "stdout.merge_summary").read()
        facts["inputs"] = [s.outputdir + "stdout" for s in j.subjobs]
        facts["exitcodes"] = [s.backend.exitcode for s in j.subjobs]
        facts["pids"] = [stripProxy(s).backend.wrapper_pid for s in j.subjobs]
        facts["times"] = sorted(j.subjobs(0).time.timestamps)
    """).facts
    assert found["status"] == "completed"
    assert found["states"] == ["completed"] * 5
    assert found["merges"] == []
    assert [line for line in found["merged"].splitlines() if line.startswith("out")] == [
        f"out {i}" for i in range(5)
    ]
    assert [line for line in found["summary"].splitlines() if line in found["inputs"]] == (
        found["inputs"]
    )
    assert found["exitcodes"] == [0] * 5
    assert all(isinstance(pid, int) and pid > 1 for pid in found["pids"])
    assert {"submitted", "backend_running", "backend_final", "final"} <= set(found["times"])
    assert len(found["lags"]) == 5
    assert max(found["lags"]) < 60


@pytest.mark.parametrize("on_subjobs", [True, False])
def test_a_checker_that_fails_fails_the_job(ganga: Session, on_subjobs: bool) -> None:
    """Ganga's own checkers have the last word, for a subjob and for the master."""
    found = ganga.run(f"""
        j = make({FIVE})
        j.postprocessors.append(FileChecker(files=["stdout"], searchStrings=["out 4"],
                                            checkSubjobs={on_subjobs}))
        runMonitoring()
        j.submit()
        until(lambda: j.status in ("completed", "failed"), 120, "the job is over")
        facts.update(status=j.status, states=states(j))
    """).facts
    assert found["status"] == "failed"
    assert found["states"] == ["completed"] * 4 + ["failed" if on_subjobs else "completed"]


def test_a_failed_subjob_fails_the_master_and_resubmit_mends_it(ganga: Session) -> None:
    """One subjob fails the first time; the merge fails with Ganga's text; after a resubmission of
    what failed, all is completed and merged."""
    result = ganga.run("""
        flag = os.path.join(os.environ["HOME"], "second-time")
        j = make(["echo one", f"test -e {flag} && echo two", "echo three"])
        runMonitoring()
        j.submit()
        until(lambda: j.status in ("completed", "failed"), 120, "the job is over")
        facts["first"] = [j.status, *states(j)]
        facts["exitcode"] = j.subjobs(1).backend.exitcode
        open(flag, "w").close()
        j.resubmit()
        facts["resubmitted"] = j.status
        until(lambda: j.status in ("completed", "failed"), 120, "the job is over again")
        facts["second"] = [j.status, *states(j)]
        facts["attempts"] = [s.info.submit_counter for s in j.subjobs]
        facts["merged"] = open(j.outputdir + "stdout").read()
    """)
    found = result.facts
    assert found["first"] == ["failed", "completed", "failed", "completed"]
    assert found["exitcode"] == 1
    assert "Job 0.1 has status failed and so the merge can not continue." in result.output
    assert found["resubmitted"] in ("submitted", "submitting")
    assert found["second"] == ["completed"] * 4
    assert found["attempts"] == [1, 2, 1]
    assert [w for w in found["merged"].split() if w in ("one", "two", "three")] == [
        "one", "two", "three",
    ]  # fmt: skip


def test_resubmitting_one_subjob_by_itself(ganga: Session) -> None:
    """A subjob that the user resubmits alone runs again, and its master ends again."""
    found = ganga.run("""
        flag = os.path.join(os.environ["HOME"], "second-time")
        j = make(["echo one", f"test -e {flag}"], files=())
        runMonitoring()
        j.submit()
        until(lambda: j.status in ("completed", "failed"), 120, "the job is over")
        open(flag, "w").close()
        j.subjobs(1).resubmit()
        until(lambda: j.status == "completed", 120, "the job is over again")
        facts["states"] = states(j)
    """).facts
    assert found["states"] == ["completed", "completed"]


def test_a_job_that_is_not_split(ganga: Session) -> None:
    """It goes from submitted to running to completed, or failed with its exit code; two jobs at
    the same time do not disturb each other."""
    found = ganga.run("""
        good, bad = single(f"echo good; {HELD}"), single("exit 3")
        runMonitoring()
        good.submit(); bad.submit()
        seen = set()
        def over():
            seen.add(good.status)  # 'submitted' may be over before the first look
            if good.status == "running":
                GATE.touch()
            return good.status == "completed" and bad.status == "failed"
        until(over, 120, "both are over")
        facts.update(seen=sorted(seen - {"submitted"}))
        facts["exitcodes"] = [x.backend.exitcode for x in (good, bad)]
        facts["stdout"] = open(good.outputdir + "stdout").read()
    """).facts
    assert found == {
        "seen": ["completed", "running"],
        "exitcodes": [0, 3],
        "stdout": "good\n",
    }


@pytest.mark.parametrize("split", [True, False])
def test_kill(ganga: Session, service: Service, split: bool) -> None:
    """A killed job is killed in Ganga, its processes end, and the service forgets it."""
    job = 'make(["sleep 300", "sleep 300"], files=())' if split else 'single("sleep 300")'
    found = ganga.run(f"""
        j = {job}
        runMonitoring()
        j.submit()
        parts = list(j.subjobs) or [j]
        until(lambda: all(p.status == "running" for p in parts), 120, "it runs")
        pids = [p.backend.id for p in parts]
        facts["lived"] = all(map(lives, pids))
        j.kill()
        facts["killed"] = [j.status, *states(j)]
        for p in pids:  # Ganga kills the wrapper's process group, of which the application is
            until(lambda: not lives(p), 120, "the process ends")
        until(lambda: component.link.settled, 120, "the service has taken it in")
        facts["after"] = [j.status, *states(j)]
    """).facts
    assert found["lived"]
    assert found["killed"] == found["after"] == ["killed"] * (3 if split else 1)
    assert service.client().snapshot(ganga.repository, 0) is None


def test_kill_of_one_subjob_ends_the_master_with_the_others(ganga: Session) -> None:
    """The killed subjob stays killed, the others go on, and the master fails as in stock Ganga,
    when all of them are over."""
    found = ganga.run("""
        j = make(["sleep 300", HELD], files=())
        j.backend.batchsize = 2
        runMonitoring()
        j.submit()
        until(lambda: states(j) == ["running", "running"], 120, "both run")
        j.subjobs(0).kill()
        facts["master"] = j.status
        GATE.touch()
        until(lambda: j.status not in ("submitted", "running"), 120, "the job is over")
        facts["end"] = [j.status, *states(j)]
    """).facts
    assert found == {"master": "running", "end": ["killed", "killed", "completed"]}


def test_force_status_ends_it_for_the_service_too(ganga: Session, service: Service) -> None:
    """What the user forces stands, and the service forgets the job."""
    found = ganga.run("""
        j = single("sleep 300")
        runMonitoring()
        j.submit()
        until(lambda: j.status == "running", 120, "it runs")
        j.force_status("failed")
        facts["status"] = j.status
        until(lambda: 0 not in component.engine.roster, 120, "it is let go")
        until(lambda: component.link.settled, 120, "the service has taken it in")
    """).facts
    assert found["status"] == "failed"
    assert service.client().snapshot(ganga.repository, 0) is None


def test_remove_and_copy(ganga: Session, service: Service) -> None:
    """A running job that is removed is forgotten; its copy is a job of its own and completes."""
    found = ganga.run("""
        go = os.path.join(os.environ["HOME"], "go")
        j = make([f"test -e {go} || sleep 300", "echo b"])
        runMonitoring()
        j.submit()
        until(lambda: j.status == "running" and j.subjobs(1).status == "completed", 120, "runs")
        k = j.copy()
        facts["copy"] = [k.status, *states(k)]
        j.remove()
        open(go, "w").close()
        k.submit()
        until(lambda: k.status == "completed", 120, "the copy is over")
        facts["end"] = [k.id, k.status, *states(k)]
        facts["left"] = [x.id for x in jobs]
        until(lambda: component.link.settled, 120, "the service has taken it in")
    """).facts
    assert found["copy"] == ["new"]
    assert found["end"] == [1, "completed", "completed", "completed"]
    assert found["left"] == [1]
    client = service.client()
    until(lambda: client.snapshot(ganga.repository, 0) is None, 120, "the service forgets it")


def test_a_backend_that_neither_knows_is_left_alone(ganga: Session) -> None:
    """gangamon has no plugin, Ganga no class: its job keeps its status, others are monitored."""
    result = ganga.run("""
        j, k, other = single("echo"), single("echo"), single("echo")
        import gangamon.adapter.watch.reader as reader
        stock = reader.Reader.backend
        reader.Reader.backend = lambda self, i: "Panda" if i < 2 else stock(self, i)
        runMonitoring()
        for x in (j, k, other):
            x.submit()
        until(lambda: other.status == "completed", 120, "the other is over")
        facts["states"] = [j.status, k.status]
    """)
    assert result.facts["states"] == ["submitted", "submitted"]
    assert result.output.count("no plugin for the backend Panda") == 1
