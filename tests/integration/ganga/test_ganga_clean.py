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
