"""What is left when a session ends, begins again, or runs without the service."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until


def test_quit_and_reopen(ganga: Session, service: Service) -> None:
    """A session with unfinished jobs ends at once; the service goes on; the next session shows
    what happened within 5 s of its prompt."""
    first = ganga.run("""
        j = make(["echo %d; sleep 3" % i for i in range(4)])
        k = single("sleep 2")
        runMonitoring()
        j.submit(); k.submit()
        until(lambda: component.link.settled and len(component.engine.roster) == 2, 20, "sent")
        facts["states"] = states(j)
    """)
    assert first.exit < 10
    assert "completed" not in first.facts["states"]
    client = service.client()

    def ended(master: int) -> bool:
        view = client.snapshot(ganga.repository, master)
        return view is not None and view.final is not None

    until(lambda: ended(0) and ended(1), 60, "the service has merged without a session")
    second = ganga.run("""
        j, k = jobs(0), jobs(1)
        facts["before"] = [j.status, k.status]
        runMonitoring()
        until(lambda: j.status == k.status == "completed", 30, "both are over")
        facts["seconds"] = time.monotonic() - PROMPT
        facts["states"] = states(j)
        facts["merged"] = open(j.outputdir + "stdout").read()
    """)
    assert second.facts["seconds"] < 5
    assert second.facts["states"] == ["completed"] * 4
    assert "Ganga Merge Ended Successfully" in second.facts["merged"]


def test_a_script_without_monitoring_hands_its_jobs_over(ganga: Session, service: Service) -> None:
    """A script that submits and ends, with monitoring off as is the default there, leaves its job
    with the service, and changes no status."""
    first = ganga.run("""
        j = make(["echo a", "echo b"])
        j.submit()
    """)
    assert first.exit < 10
    second = ganga.run("""
        j = jobs(0)
        facts["before"] = [j.status, *states(j)]
        runMonitoring()
        until(lambda: j.status == "completed", 40, "it is over")
    """)
    assert second.facts["before"] == ["submitted"] * 3


def test_without_the_service_commands_are_kept_and_calls_are_fast(
    own_service: Service, ganga_of: Callable[[Service], Session]
) -> None:
    """The service is down: the session does not notice, but for one line; what it submits lies in
    the spool; when the service comes, all catches up."""
    ganga = ganga_of(own_service)
    first = ganga.run("""
        runMonitoring()
        j = make(["echo a", "echo b"])
        begun = time.monotonic()
        j.submit()
        facts["submit"] = time.monotonic() - begun
        until(lambda: "enqueue" in spooled(), 10, "it lies in the spool")
        slowest = 0.0
        def away():
            global slowest
            begun = time.monotonic()
            j.status, len(jobs), str(jobs)
            slowest = max(slowest, time.monotonic() - begun)
            return component.link._told_away
        until(away, 20, "the prompt has said so")
        facts.update(slowest=slowest, states=states(j), spooled=spooled())
    """)
    assert first.facts["submit"] < 3
    assert first.facts["slowest"] < 0.5
    assert first.facts["states"] == ["submitted", "submitted"]
    assert first.facts["spooled"] == ["register", "enqueue"]
    assert first.output.count("the service does not answer") == 1
    assert first.exit < 10
    own_service.up()
    second = ganga.run("""
        runMonitoring()
        j = jobs(0)
        until(lambda: j.status == "completed", 40, "it is over")
        until(lambda: component.link.settled and not spooled(), 20, "the spool is empty")
        facts["states"] = states(j)
    """)
    assert second.facts["states"] == ["completed", "completed"]


def test_the_service_goes_away_and_comes_back(
    own_service: Service, ganga_of: Callable[[Service], Session]
) -> None:
    """One line when it is away, one when it is back; a job submitted meanwhile completes, and one
    that ran before does too."""
    ganga = ganga_of(own_service)
    own_service.up()
    environment = {"STATE": str(own_service.state)}
    ganga.environ.update(environment)
    result = ganga.run(
        """
        import subprocess
        def gangamon(*words):
            subprocess.run([os.environ["PYTHON"], "-m", "gangamon", *words], check=True,
                           stdout=subprocess.DEVNULL)
        runMonitoring()
        j = single("sleep 8")
        j.submit()
        until(lambda: j.status == "running", 30, "it runs")
        gangamon("down")
        until(lambda: component.link._told_away, 20, "the prompt has said so")
        k = make(["echo a", "echo b"])
        k.submit()
        gangamon("up", "--no-flower")
        until(lambda: j.status == k.status == "completed", 60, "both are over")
    """.replace('os.environ["PYTHON"]', repr(__import__("sys").executable)),
        within=170,
    )
    assert result.output.count("the service does not answer") == 1
    assert result.output.count("the service is back") == 1
