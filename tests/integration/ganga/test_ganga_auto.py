"""What Ganga has options for and nothing that calls it: auto-resubmit, auto-kill, disk space."""

from __future__ import annotations

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until

#: A command that fails the first time it runs, and notes each run.
ONCE = "echo run >> {home}/runs{n}; test $(wc -l < {home}/runs{n}) -gt 1"


def _fails_once(ganga: Session, name: str) -> str:
    return ONCE.format(home=ganga.gangadir.parent, n=name)


def _runs(ganga: Session, name: str) -> int:
    return len((ganga.gangadir.parent / f"runs{name}").read_text().split())


def test_failed_subjobs_are_resubmitted_once_each(ganga: Session) -> None:
    """Two of nine subjobs fail once, and so does a job that is not split: each is submitted again
    once, and all end well, and are merged once. One that always fails is given up by
    MaxNumResubmits; without do_auto_resubmit nothing is done."""
    once = [_fails_once(ganga, name) for name in "ab"]
    found = ganga.run(
        f"""
        runMonitoring()
        j = make({once!r} + ["echo good"] * 7, do_auto_resubmit=True)
        k = single({_fails_once(ganga, "c")!r}, do_auto_resubmit=True)
        bad = make(["false"] + ["true"] * 5, files=(), do_auto_resubmit=True)
        plain = make(["false"] + ["true"] * 5, files=())
        for each in (j, k, bad, plain):
            each.submit()
        over = lambda: all(x.status in ("completed", "failed") for x in (j, k, bad, plain))
        until(over, 110, "all are over")
        facts.update(j=j.status, k=k.status, bad=bad.status, plain=plain.status, states=states(j))
        facts["times"] = [s.info.submit_counter for x in (j, bad, plain) for s in x.subjobs]
        facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
        """,
        "-o[PollThread]MaxNumResubmits=2",
        within=140,
    )
    facts = found.facts
    assert (facts["j"], facts["k"], facts["bad"], facts["plain"]) == (
        "completed",
        "completed",
        "failed",
        "failed",
    )
    assert facts["states"] == ["completed"] * 9
    assert facts["times"] == [2, 2] + [1] * 7 + [3, 1, 1, 1, 1, 1] + [1] * 6
    assert [_runs(ganga, name) for name in "abc"] == [2, 2, 2]
    assert facts["merged"] == 9
    assert found.output.count("gangamon: auto-resubmit of job 0") in (1, 2)
    assert "gangamon: auto-resubmit of job 3" not in found.output


def test_failures_that_came_meanwhile_are_resubmitted(ganga: Session, service: Service) -> None:
    """The job failed while no session was open: the next one resubmits it before anything else."""
    ganga.run(
        f"""
        j = make([{_fails_once(ganga, "a")!r}] + ["echo good"] * 4, do_auto_resubmit=True)
        k = single({_fails_once(ganga, "b")!r}, do_auto_resubmit=True)
        j.submit()
        k.submit()
        """
    )
    client = service.client()

    def over(master: int) -> bool:
        view = client.snapshot(ganga.repository, master)
        return view is not None and all(u.status.value in _ENDED for u in view.jobs.values())

    until(lambda: over(0) and over(1), 60, "all have ended without a session")
    assert [client.snapshot(ganga.repository, m).final for m in (0, 1)] == [None, None]
    found = ganga.run("""
        seen = set()
        runMonitoring()
        j, k = jobs(0), jobs(1)
        def well():
            seen.update((j.status, k.status))
            return j.status == k.status == "completed"
        until(well, 90, "both are over")
        facts.update(seen=sorted(seen), states=states(j))
        facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
    """).facts
    assert "failed" not in found["seen"]
    assert found["states"] == ["completed"] * 5
    assert found["merged"] == 5
    assert [_runs(ganga, name) for name in "ab"] == [2, 2]


def test_a_backend_that_cannot_resubmit_leaves_the_jobs_failed(ganga: Session) -> None:
    """Nothing stays 'submitting'; it is tried three times in a row, and the jobs end."""
    found = ganga.run("""
        from gangamon.adapter.auto import automatic
        from GangaCore.Core.exceptions import BackendError
        from GangaCore.Lib.Localhost.Localhost import Localhost
        automatic.RETRY, tries = 0.5, []
        def broken(self, rjobs):
            tries.append(self.getJobObject().id)
            for each in rjobs:
                each.updateStatus("submitting")
            raise BackendError("Local", "no more")
        Localhost.master_auto_resubmit = broken
        runMonitoring()
        j = make(["false"] + ["true"] * 5, files=(), do_auto_resubmit=True)
        k = single("false", do_auto_resubmit=True)
        j.submit()
        k.submit()
        until(lambda: j.status == k.status == "failed", 100, "both are over")
        facts.update(states=states(j), tries=sorted(tries))
    """).facts
    assert found["states"] == ["failed"] + ["completed"] * 5
    assert found["tries"] == [0, 0, 0, 1]


_ENDED = ("completed", "failed", "killed")


def test_a_hopeless_job_is_killed_and_a_full_disk_stops_the_services(ganga: Session) -> None:
    """Three failures and no success kill what still runs; a DiskSpaceChecker that says False
    disables Ganga's services until reactivate()."""
    full = ganga.gangadir.parent / "full"
    with ganga.gangarc.open("a") as gangarc:
        gangarc.write(
            "[PollThread]\nautoKillThreshold = 3\ndiskspace_poll_rate = 1\n"
            f"DiskSpaceChecker = import os\n    return not os.path.exists({str(full)!r})\n"
        )
    found = ganga.run(
        f"""
        from GangaCore.Core.InternalServices import Coordinator
        runMonitoring()
        j = make(["false"] * 3 + ["sleep 600"], files=())
        j.backend.batchsize = 4
        j.submit()
        until(lambda: j.status == "failed", 60, "the job was given up")
        facts.update(states=states(j))
        open({str(full)!r}, "w").close()
        until(lambda: not Coordinator.servicesEnabled, 60, "services are disabled")
        facts["enabled"] = component.enabled
        os.remove({str(full)!r})
        reactivate()
        facts["again"] = [component.enabled, Coordinator.servicesEnabled]
        """
    )
    assert found.facts["states"] == ["failed"] * 3 + ["killed"]
    assert found.facts["enabled"] is False
    assert found.facts["again"] == [True, True]
    assert found.output.count("gangamon: killing job 0") == 1
    assert found.output.count("You are running out of disk space") == 1
