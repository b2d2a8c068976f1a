"""What is left when a session ends, begins again, or runs without the service."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from getpass import getuser

from gangamon.domain.command import Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.settings import hostname
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until


def test_quit_and_reopen(ganga: Session, service: Service) -> None:
    """A session with unfinished jobs ends at once; the service goes on; the next session shows
    what happened within 5 s of its prompt."""
    first = ganga.run("""
        j = make([f"{HELD}; echo {i}" for i in range(4)])
        k = single(HELD)
        runMonitoring()
        j.submit(); k.submit()
        until(lambda: sent(0, 1), 120, "the service has taken them in")
        facts["states"] = states(j)
    """)
    assert first.exit < 10 + 2 * first.start
    assert "completed" not in first.facts["states"]
    (ganga.gangadir.parent / "gate").touch()
    client = service.client()

    def ended(master: int) -> bool:
        view = client.snapshot(ganga.repository, master)
        return view is not None and view.final is not None

    until(lambda: ended(0) and ended(1), 120, "the service has merged without a session")
    second = ganga.run("""
        j, k = jobs(0), jobs(1)
        facts["before"] = [j.status, k.status]
        runMonitoring()
        until(lambda: j.status == k.status == "completed", 120, "both are over")
        facts["seconds"] = time.monotonic() - PROMPT
        facts["states"] = states(j)
        facts["merged"] = open(j.outputdir + "stdout").read()
    """)
    assert second.facts["seconds"] < 5 + 2 * second.start
    assert second.facts["states"] == ["completed"] * 4
    assert "Ganga Merge Ended Successfully" in second.facts["merged"]


def test_a_script_without_monitoring_hands_its_jobs_over(ganga: Session, service: Service) -> None:
    """A script that submits and ends, with monitoring off as is the default there, leaves its job
    with the service, and changes no status."""
    first = ganga.run("""
        j = make(["echo a", "echo b"])
        j.submit()
    """)
    assert first.exit < 10 + 2 * first.start
    second = ganga.run("""
        j = jobs(0)
        facts["before"] = [j.status, *states(j)]
        runMonitoring()
        until(lambda: j.status == "completed", 120, "it is over")
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
        until(lambda: "enqueue" in spooled(), 120, "it lies in the spool")
        took = []
        def away():
            begun = time.monotonic()
            j.status, len(jobs), str(jobs)
            took.append(time.monotonic() - begun)
            return component.link._told_away
        until(away, 120, "the prompt has said so")
        facts.update(took=sorted(took), states=states(j), spooled=spooled())
    """)
    assert first.facts["submit"] < 3 + first.start
    # Nine of ten, and not all: the machine may stand still during one.
    assert first.facts["took"][len(first.facts["took"]) * 9 // 10] < 0.5
    assert first.facts["states"] == ["submitted", "submitted"]
    assert first.facts["spooled"] == ["register", "withdraw", "enqueue"]
    assert first.output.count("the service does not answer") == 1
    assert first.exit < 10 + 2 * first.start
    own_service.up()
    second = ganga.run("""
        runMonitoring()
        j = jobs(0)
        until(lambda: j.status == "completed", 120, "it is over")
        until(lambda: component.link.settled and not spooled(), 120, "the spool is empty")
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
    result = ganga.run(
        f"""
        import subprocess
        def gangamon(*words):
            subprocess.run([{sys.executable!r}, "-m", "gangamon", *words], check=True,
                           stdout=subprocess.DEVNULL)
        runMonitoring()
        j = single(HELD)
        j.submit()
        until(lambda: j.status == "running", 120, "it runs")
        gangamon("down")
        until(lambda: component.link._told_away, 120, "the prompt has said so")
        GATE.touch()
        k = make(["echo a", "echo b"])
        k.submit()
        gangamon("up", "--no-flower", "--no-web")
        until(lambda: j.status == k.status == "completed", 120, "both are over")
    """
    )
    assert result.output.count("the service does not answer") == 1
    assert result.output.count("the service is back") == 1


def test_a_server_that_hangs_does_not_hold_up_the_end(
    own_service: Service, ganga_of: Callable[[Service], Session]
) -> None:
    """Redis takes connections and never answers: calls stay fast, and the session ends in time."""
    folder = own_service.state
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folder / "deaf.sock"))
        deaf.listen(100)
        own_service.environ["GANGAMON_REDIS_URL"] = f"unix://{folder}/deaf.sock"
        ganga = ganga_of(own_service)
        result = ganga.run("""
            runMonitoring()
            j = make(["echo a", "echo b"])
            begun = time.monotonic()
            j.submit()
            facts["submit"] = time.monotonic() - begun
            until(lambda: "enqueue" in spooled(), 120, "it lies in the spool")
        """)
    assert result.facts["submit"] < 3 + result.start
    assert result.exit < 10 + 2 * result.start


def test_many_subjobs_are_right_soon_after_the_prompt(ganga: Session, service: Service) -> None:
    """300 subjobs that ended while no session was open are shown within 5 s of the prompt, and the
    prompt stays fast meanwhile."""
    ganga.run("""
        ended_at_once(make(["true"] * 300))
    """)
    client = service.client()

    def over() -> bool:
        view = client.snapshot(ganga.repository, 0)
        return view is not None and view.final is not None

    until(over, 120, "the service has merged without a session")
    found = ganga.run("""
        runMonitoring()
        j = jobs(0)
        took = []
        def right():
            begun = time.monotonic()
            status = j.status
            took.append(time.monotonic() - begun)
            return status == "completed"
        until(right, 120, "it is over")
        facts.update(seconds=time.monotonic() - PROMPT, took=sorted(took), states=states(j))
    """)
    assert found.facts["seconds"] < 5 + 2 * found.start
    assert found.facts["took"][len(found.facts["took"]) * 9 // 10] < 1 + found.start
    assert found.facts["states"] == ["completed"] * 300


def test_an_emptied_store_is_filled_again(
    own_service: Service, ganga_of: Callable[[Service], Session]
) -> None:
    """All of Redis is lost while jobs run: what the journal and the session know brings every job
    to its end, and the job that had ended already is merged with the others."""
    ganga = ganga_of(own_service)
    own_service.up()
    ganga.run(
        """
        import redis
        from gangamon import instance, settings
        runMonitoring()
        j = make(["echo a", f"{HELD}; echo b"])
        j.backend.batchsize = 2
        j.submit()
        k = single(HELD)
        k.submit()
        running = ["completed", "running", "running"]
        until(lambda: [*states(j), k.status] == running, 120, "they run")
        epoch = component.link.epoch
        redis.Redis.from_url(instance.redis_url(settings.load())).flushall()
        GATE.touch()
        until(lambda: j.status == k.status == "completed", 120, "both are over")
        facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
        assert component.link.epoch != epoch
    """
    )


def test_another_sessions_jobs_are_left_to_it(ganga: Session) -> None:
    """A second session does not touch what the first holds, and ends in time; the first goes on."""
    ganga.run("""
        make([f"while ! test -e {Path.home()}/seen; do sleep 0.1; done"] * 2).submit()
    """)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(
            ganga.run,
            """
            runMonitoring()
            j = jobs(0)
            until(lambda: j.status == "running", 120, "it runs")
            (Path.home() / "held").touch()
            until(lambda: j.status == "completed", 120, "it is over")
        """,
        )
        until((ganga.gangadir.parent / "held").exists, 120, "the first session holds the job")
        second = ganga.run("""
            runMonitoring()
            def locked():
                watched = component.engine.roster.get(0)
                return watched is not None and watched.resolve_at > 0
            until(locked, 120, "it has found that the job is not its own")
            facts["status"] = jobs(0).status
            (Path.home() / "seen").touch()
        """)
        first.result()
    assert second.facts["status"] in ("submitted", "running")
    assert second.exit < 10 + 2 * second.start


def test_a_refused_command_is_compared_and_made_good(ganga: Session, service: Service) -> None:
    """The service knows a subjob of the same attempt with other content: it refuses the batch, the
    prompt says so, and both subjobs are watched to their end."""
    ganga.run("pass")
    client = service.client()
    repository, workspace = ganga.repository, f"{ganga.gangadir}/workspace/{getuser()}/LocalXML/0"
    known = JobSpec(0, 1, JobStatus.SUBMITTED, "other", {})
    lane = Lane("Local", hostname())
    client.submit(Register(client.new_id(), repository, (str(ganga.gangadir),)))
    command = client.submit(
        Enqueue(client.new_id(), repository, 0, 2, "", lane, workspace, (), (known,))
    )
    ack = client.wait(command, repository, 30)
    assert ack is not None
    assert ack.ok
    result = ganga.run("""
        from gangamon.adapter.handover.enqueuer import Enqueuer
        Enqueuer._withdraw = lambda *_: None  # else the service is told first that this is another
        runMonitoring()
        j = make(["echo a", "echo b"])
        j.submit()
        until(lambda: j.status == "completed", 120, "the job is over")
        facts["states"] = states(j)
    """)
    assert result.facts["states"] == ["completed", "completed"]
    assert result.output.count("gangamon refused a command") == 1
