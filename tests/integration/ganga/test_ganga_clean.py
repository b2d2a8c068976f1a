"""``jobs.clean()`` starts Ganga's job numbers anew."""

from __future__ import annotations

from tests.integration.ganga.session import Session


def test_a_number_that_is_used_again_is_another_job(ganga: Session) -> None:
    """What the service knows of a job that was cleaned away is not shown for the next one of its
    number, in the next session."""
    first = ganga.run("""
        runMonitoring()
        j = make(["echo a", "exit 3"])
        j.submit()
        until(lambda: j.status == "failed", 120, "the first is over")
        facts["number"] = j.id
        jobs.clean(confirm=True, force=True)
    """)
    second = ganga.run("""
        runMonitoring()
        path = Path("go").absolute()
        k = make(["while [ ! -e %s ]; do sleep 0.2; done; echo b" % path] * 2)
        k.submit()
        until(lambda: states(k) == ["running"] * 2, 120, "the second runs")
        facts["number"] = k.id
        path.touch()
        until(lambda: k.status == "completed", 120, "the second is over")
        facts["states"] = states(k)
        facts["attempts"] = [s.info.submit_counter for s in k.subjobs]
    """)
    assert first.facts["number"] == second.facts["number"] == 0
    assert second.facts["states"] == ["completed"] * 2
    assert second.facts["attempts"] == [1, 1]
    assert "refused" not in second.output


def test_a_number_is_another_jobs_however_late_it_is_looked_at(ganga: Session) -> None:
    """The adapter had heard of nothing when it began to look, and finds the job submitted."""
    ganga.run("""
        runMonitoring()
        j = make(["echo a", "exit 3"])
        j.submit()
        until(lambda: j.status == "failed", 120, "the first is over")
        jobs.clean(confirm=True, force=True)
    """)
    second = ganga.run("""
        import threading
        runMonitoring()
        looks, goes_on = threading.Event(), threading.Event()
        read = component.reader.statuses

        def late():
            looks.set()
            goes_on.wait(100)
            return read()

        component.reader.statuses = late
        until(looks.is_set, 100, "the adapter looks")
        path = Path("go").absolute()
        k = make(["while [ ! -e %s ]; do sleep 0.2; done; echo b" % path] * 2)
        k.submit()
        until(lambda: states(k) == ["submitted"] * 2, 100, "it is submitted")
        goes_on.set()
        until(lambda: states(k) == ["running"] * 2, 120, "the second runs")
        path.touch()
        until(lambda: k.status == "completed", 120, "the second is over")
        facts["states"] = states(k)
    """)
    assert second.facts["states"] == ["completed"] * 2


def test_a_number_is_used_again_in_the_same_session(ganga: Session) -> None:
    """It is another job by when it was made, also where nobody was heard of."""
    session = ganga.run("""
        runMonitoring()
        j = make(["echo a", "exit 3"])
        j.submit()
        until(lambda: j.status == "failed", 120, "the first is over")
        until(lambda: 0 not in component.engine.roster, 120, "it is let go")
        jobs.clean(confirm=True, force=True)
        component.engine.roster.heard = lambda master: None
        path = Path("go").absolute()
        k = make(["while [ ! -e %s ]; do sleep 0.2; done; echo b" % path] * 2)
        facts["number"] = k.id
        k.submit()
        until(lambda: states(k) == ["running"] * 2, 120, "the second runs")
        path.touch()
        until(lambda: k.status == "completed", 120, "the second is over")
        facts["states"] = states(k)
        facts["attempts"] = [s.info.submit_counter for s in k.subjobs]
    """)
    assert session.facts["number"] == 0
    assert session.facts["states"] == ["completed"] * 2
    assert session.facts["attempts"] == [1, 1]
    assert "refused" not in session.output


def test_a_number_is_used_again_before_the_adapter_looks(ganga: Session) -> None:
    """The table holds the job that is gone: it is taken back, and the other handed over."""
    session = ganga.run("""
        import threading
        runMonitoring()
        j = make([HELD] * 2)
        j.submit()
        until(lambda: states(j) == ["running"] * 2 and sent(0), 120, "the first runs")
        looks, goes_on = threading.Event(), threading.Event()
        read = component.reader.statuses

        def late():
            looks.set()
            goes_on.wait(100)
            return read()

        component.reader.statuses = late
        until(looks.is_set, 100, "the adapter looks")
        jobs.clean(confirm=True, force=True)
        k = make(["exit 3"])
        facts["number"] = k.id
        k.submit()
        until(lambda: states(k) == ["submitted"], 100, "it is submitted")
        goes_on.set()
        until(lambda: k.status == "failed", 120, "the second is over")
        facts["states"] = states(k)
        facts["codes"] = [s.backend.exitcode for s in k.subjobs]
        GATE.touch()
    """)
    assert session.facts["number"] == 0
    assert session.facts["states"] == ["failed"]
    assert session.facts["codes"] == [3]
    assert "refused" not in session.output


def test_what_is_said_of_the_other_job_meanwhile(ganga: Session) -> None:
    """Until the service has forgotten it, and if another session seems to hold the new one."""
    ganga.run("""
        runMonitoring()
        j = make(["echo a", "exit 3"])
        j.submit()
        until(lambda: j.status == "failed", 120, "the first is over")
        jobs.clean(confirm=True, force=True)
    """)
    second = ganga.run("""
        from gangamon.adapter.show.applier import made
        from gangamon.adapter.watch.reader import Locked
        from gangamon.client.updates import MasterFinal, Update
        from gangamon.domain.status import JobStatus
        runMonitoring()
        master, read, told, refused = component.reader.master, component.link.read, [], []

        def locked(number):
            if not refused:
                refused.append(number)
                raise Locked("job 0 is another session's")
            return master(number)

        def also_of_the_first(block):
            watched = component.engine.roster.get(0)
            if told or watched is None or not watched.awaited:
                return read(block)
            told.append(watched.awaited)
            old = [made(s, sub=n, attempt=1, restart=0, attributes={})
                   for n, s in enumerate(("completed", "failed"))]
            final = MasterFinal(1, JobStatus.FAILED, {})
            epoch, now = component.link.epoch, time.time()
            return [Update(epoch, now, 0, jobs=tuple(old)),
                    Update(epoch, now, 0, noted=tuple(old)),
                    Update(epoch, now, 0, final=final)]

        component.reader.master, component.link.read = locked, also_of_the_first
        path = Path("go").absolute()
        k = make(["while [ ! -e %s ]; do sleep 0.2; done; echo b" % path] * 2)
        k.submit()
        until(lambda: states(k) == ["running"] * 2, 120, "the second runs")
        facts["told"], facts["refused"] = len(told), refused
        path.touch()
        until(lambda: k.status == "completed", 120, "the second is over")
        facts["states"] = states(k)
    """)
    assert second.facts["told"] == 1
    assert second.facts["refused"] == [0]
    assert second.facts["states"] == ["completed"] * 2
    assert "refused a command" not in second.output


def test_what_another_job_has_left(ganga: Session) -> None:
    """Its status file is not the next one's, however late the processes of that begin; and those of
    jobs that are submitted again stay as Ganga leaves them."""
    session = ganga.run("""
        from GangaCore.Lib.Localhost.Localhost import Localhost
        runMonitoring()
        before = [make(["echo a", "exit 3"]), single("exit 4")]
        for j in before:
            j.submit()
        until(lambda: [j.status for j in before] == ["failed"] * 2, 120, "the first are over")
        until(lambda: not list(component.engine.roster), 120, "they are let go")
        output = Path(before[0].subjobs[0].outputdir)
        facts["left"] = sorted(p.name for p in output.iterdir() if "stat" in p.name)
        jobs.clean(confirm=True, force=True)

        later, run = [], Localhost.run
        Localhost.run = lambda self, script: later.append((self, script)) or 1
        after = [make([HELD] * 2), single(HELD)]
        for j in after:
            j.submit()
        Localhost.run = run
        facts["there"] = sorted(p.name for p in output.iterdir() if "stat" in p.name)
        for backend, script in later:
            run(backend, script)
        running = [["running"] * 2, "running"]
        until(lambda: [states(after[0]), after[1].status] == running, 120, "they run")
        facts["numbers"] = [j.id for j in before + after]
        GATE.touch()
        until(lambda: [j.status for j in after] == ["completed"] * 2, 120, "they are over")
    """)
    assert session.facts["left"] == ["__jobstatus__"]
    assert session.facts["there"] == []
    assert session.facts["numbers"] == [0, 1, 0, 1]
