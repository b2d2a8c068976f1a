"""A session that finds no service; jobs that go back to Ganga's own monitoring, and on again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until

#: Python imports it first of all: this host by another name.
OTHER_HOST = "import socket\nsocket.gethostname = lambda: 'node-b'\n"


#: Notes each transition to an end.
ENDS = """
            from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
            ends, stock = [], RawJob.updateStatus
            def noting(self, status, *given, **named):
                if status in ("completed", "failed", "killed"):
                    ends.append(self.getFQID("."))
                return stock(self, status, *given, **named)
            RawJob.updateStatus = noting
"""


def _gangamon(session: Session, *words: str) -> str:
    command = [sys.executable, "-m", "gangamon", *words]
    done = subprocess.run(
        command, env=session.environ, capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout


def test_two_sessions_start_one_service_that_outlives_them(
    own_service: Service, tmp_path: Path
) -> None:
    """Both submit at once, one starts the service, both jobs end, and it runs on; after `gangamon
    down` the next session starts none and says why."""
    own_service.environ["GANGAMON_FLOWER_ENABLED"] = "false"
    script = """
        runMonitoring()
        j = single("echo")
        j.submit()
        until(lambda: j.status == "completed", 100, "it is over")
    """
    option = "-o[Gangamon]Autostart=True"
    sessions = [Session(tmp_path / name, own_service.environ) for name in "ab"]
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(s.run, script, option, within=160) for s in sessions]
        outputs = [run.result().output for run in runs]
    assert sum(output.count("one is started on") for output in outputs) == 1
    assert not any("stand still" in output for output in outputs if "one is started" in output)
    assert '"running": true' in _gangamon(sessions[0], "ps", "--json")
    own_service.down()
    result = sessions[0].run(
        """
        runMonitoring()
        j = single("echo")
        j.submit()
        until(lambda: component.link._told_away, 60, "the prompt has said so")
        facts["spooled"] = spooled()
        """,
        option,
    )
    assert "enqueue" in result.facts["spooled"]
    assert result.output.count("'gangamon down' ended it") == 1
    assert "one is started" not in result.output


def test_back_to_ganga_and_on_again(ganga: Session, service: Service) -> None:
    """In a running session Ganga's own monitoring takes the jobs over and back; each is merged
    once, by whoever has them at its end, and at no time do both have them."""
    found = ganga.run("""
        from GangaCore.GPIDev.Adapters.IMerger import IMerger
        merges, stock = [], IMerger.merge
        IMerger.merge = lambda self, *a, **k: (merges.append(1), stock(self, *a, **k))[1]
        def gate(name):
            return f"while ! test -e {Path.home()}/{name}; do sleep 0.2; done; echo {name}"
        def opened(name):
            (Path.home() / name).touch()
        runMonitoring()
        j = make(["echo first", gate("one")])
        k = make(["echo first", gate("two")])
        for each in (j, k):
            each.backend.batchsize = 2
            each.submit()
        half = lambda x: sorted(states(x)) == ["completed", "running"]
        until(lambda: half(j) and half(k) and component.link.settled, 60, "half of each is over")
        facts["modes"] = [gangamon_mode(), gangamon_mode("ganga")]
        until(lambda: component.switch.stock is not None, 60, "Ganga has them")
        facts["held"] = component.link.unfinished()
        facts["roster"] = [w.id for w in component.engine.roster]
        opened("one")
        until(lambda: j.status == "completed", 60, "Ganga has ended the first")
        facts["by ganga"] = len(merges)
        facts["modes"] += [gangamon_mode(), gangamon_mode("gangamon")]
        until(lambda: component.switch.stock is None and sent(1), 60, "gangamon has the second")
        facts["jobs"] = component.link.unfinished()
        facts["ended"] = [t.name for t in threading.enumerate()]
        opened("two")
        until(lambda: k.status == "completed", 60, "gangamon has ended the second")
        facts["by both"] = len(merges)
        facts["merged"] = [open(x.outputdir + "stdout").read().count("Start of") for x in (j, k)]
        facts["states"] = states(j) + states(k)
    """).facts
    assert found["modes"] == ["gangamon", "ganga", "ganga", "gangamon"]
    assert (found["held"], found["roster"]) == ([], [])
    assert (found["by ganga"], found["by both"]) == (1, 1)
    assert found["jobs"] == [1]
    assert not [name for name in found["ended"] if "AsyncMonitoring" in name]
    assert found["merged"] == [2, 2]
    assert found["states"] == ["completed"] * 4


def test_the_flag_binds_the_service_and_later_sessions(ganga: Session, service: Service) -> None:
    """`gangamon mode ganga` without a session: the service does nothing more for the jobs, the
    next session has Ganga's own monitoring; Enabled=False is for its session only."""
    ganga.run("""
        make([f"while ! test -e {Path.home()}/go; do sleep 0.2; done; echo a"] * 2).submit()
    """)
    client = service.client()
    until(lambda: client.masters(ganga.repository), 60, "the service has the job")
    told = _gangamon(ganga, "mode", "ganga", "--gangadir", str(ganga.gangadir))
    assert "1 unfinished jobs: taken back from the service" in told
    assert not client.masters(ganga.repository)
    (ganga.gangadir.parent / "go").touch()
    second = ganga.run("""
        runMonitoring()
        j = jobs(0)
        until(lambda: j.status == "completed", 60, "Ganga has ended it")
        facts.update(stock=component.switch.stock is not None, states=states(j))
        facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
        single("sleep 2").submit()
    """)
    assert (second.facts["stock"], second.facts["merged"]) == (True, 2)
    assert second.facts["states"] == ["completed"] * 2
    assert not client.masters(ganga.repository)
    told = _gangamon(ganga, "mode", "gangamon", "--gangadir", str(ganga.gangadir))
    assert "gangamon mode" in told
    third = ganga.run(
        """
        until(lambda: component.switch.stock is not None, 60, "Ganga has them")
        facts["mode"] = gangamon_mode()
        """,
        "-o[Gangamon]Enabled=False",
    )
    assert third.facts["mode"] == "ganga"
    fourth = ganga.run("""
        runMonitoring()
        until(lambda: jobs(1).status == "completed", 60, "gangamon has ended it")
        facts.update(mode=gangamon_mode(), stock=component.switch.stock is not None)
    """)
    assert (fourth.facts["mode"], fourth.facts["stock"]) == ("gangamon", False)


def test_two_nodes_of_a_shared_home(ganga: Session, tmp_path: Path) -> None:
    """A session on another node leaves the first one's job alone and says so; what it submits
    itself goes through the same spool, and nothing of either is lost or applied twice."""
    (tmp_path / "node-b").mkdir()
    (tmp_path / "node-b" / "sitecustomize.py").write_text(OTHER_HOST)
    home = ganga.gangadir.parent
    ganga.run("""
        make([f"while ! test -e {Path.home()}/seen; do sleep 0.1; done; echo a"] * 2).submit()
    """)
    here = dict(ganga.environ)
    path = os.pathsep.join(filter(None, [str(tmp_path / "node-b"), here.get("PYTHONPATH")]))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(
            ganga.run,
            ENDS
            + """
            runMonitoring()
            j = jobs(0)
            until(lambda: j.status == "running", 60, "it runs")
            k = single("echo k")
            k.submit()
            (Path.home() / "held").touch()
            until(lambda: j.status == k.status == "completed", 100, "both are over")
            facts["ends"] = sorted(ends)
            """,
            within=150,
        )
        until((home / "held").exists, 100, "the first session holds the job")
        ganga.environ = {**here, "PYTHONPATH": path}
        second = ganga.run(
            ENDS
            + """
            import socket
            facts["host"] = socket.gethostname()
            runMonitoring()
            m = single("echo m")
            m.submit()
            def locked():
                watched = component.engine.roster.get(0)
                return watched is not None and watched.left
            until(locked, 60, "it has found that the job is not its own")
            (Path.home() / "seen").touch()
            until(lambda: m.status == "completed", 60, "its own is over")
            until(lambda: component.link.settled, 60, "the spool is empty")
            facts["ends"] = sorted(ends)
            """
        )
        ganga.environ = here
        assert first.result().facts["ends"] == ["0", "0.0", "0.1", "1"]
    assert second.facts["host"] == "node-b"
    assert second.facts["ends"] == ["2"]
    assert second.output.count("its status is changed there") == 1
    assert not list((ganga.gangadir / "gangamon" / "spool").glob("*.json"))


Factory = Callable[[Service], Session]


def test_given_back_while_the_service_is_away(own_service: Service, ganga_of: Factory) -> None:
    """The command to forget the job lies in the spool; the service that comes back acts on
    nothing meanwhile, and has forgotten it soon."""
    ganga = ganga_of(own_service)
    own_service.up()
    found = ganga.run(
        f"""
        import subprocess
        def gangamon(*words):
            subprocess.run([{sys.executable!r}, "-m", "gangamon", *words], check=True,
                           stdout=subprocess.DEVNULL)
        runMonitoring()
        j = make([f"while ! test -e {{Path.home()}}/go; do sleep 0.2; done; echo a"] * 2)
        j.submit()
        until(lambda: "running" in states(j) and component.link.settled, 60, "it runs")
        gangamon("down")
        until(lambda: not component.link.up, 60, "the service is away")
        gangamon_mode("ganga")
        until(lambda: component.switch.stock is not None, 60, "Ganga has it")
        facts["spooled"] = spooled()
        (Path.home() / "go").touch()
        gangamon("up", "--no-flower", "--no-web")
        until(lambda: j.status == "completed", 60, "Ganga has ended it")
        until(lambda: component.link.up and component.link.settled, 60, "the spool is empty")
        until(lambda: component.link.unfinished() == [], 60, "the service has forgotten it")
        facts["merged"] = open(j.outputdir + "stdout").read().count("Start of file")
        """,
        within=150,
    ).facts
    assert found["spooled"] == ["withdraw"]
    assert found["merged"] == 2
