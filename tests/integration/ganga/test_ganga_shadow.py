"""Shadow mode: Ganga's own monitoring does everything, and is compared with what gangamon says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from gangamon.fetchers import manifest
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import METHODS, Session
from tests.support.waiting import until

SHADOW = "-o[Gangamon]mode=shadow"


def _report(session: Session, code: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "gangamon", "shadow", "report", "--json", "--gangadir"]
    done = subprocess.run(
        [*command, str(session.gangadir)],
        env=session.environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _fetched(session: Session) -> list[str]:
    """Jobs whose outputs the service has brought."""
    found = session.gangadir.rglob(manifest.NAME)
    return sorted(str(path.relative_to(session.gangadir)) for path in found)


def test_it_runs_beside_gangas_own_monitoring(ganga: Session, service: Service) -> None:
    """Ganga's loop completes and merges, nothing of it is patched; the service knows every end by
    itself, writes nothing, and is told to forget the jobs at the end of the session."""
    found = ganga.run(
        f"""
        {METHODS}
        runMonitoring()
        j = make(["echo a", "echo b; exit 3", "echo c"], name="split")
        j.postprocessors[0].ignorefailed = True
        j.submit()
        k = single("echo single")
        k.submit()
        until(lambda: j.status == "failed" and k.status == "completed", 200, "Ganga ends them")
        facts["stock"] = type(component.switch.stock).__name__
        facts["states"] = states(j)
        facts["merged"] = Path(j.outputdir, "stdout").exists()
        onlooker = component.switch.onlooker
        until(lambda: onlooker.summary().jobs == 4, 200, "all are compared")
        gangamon_shadow()
        facts["monitor"] = repr(monitor).splitlines()[0][:11]
        import pickle
        from gangamon.adapter.shadow.jobs import held_elsewhere
        lock = stripProxy(k)._getRegistry().repository.sessionlock
        facts["own"] = k.id in pickle.loads(Path(lock.fn).read_bytes())
        other = Path(lock.sdir, f"another.{{lock.name}}.locks")
        other.write_bytes(pickle.dumps({{7}}))
        facts["held elsewhere"] = sorted(held_elsewhere(component.engine._reader))
        other.unlink()
        """,
        SHADOW,
        "-o[PollThread]Local=2",
    )
    assert found.facts == {
        "methods": ["GangaCore"],
        "hook": False,
        "stock": "AsyncMonitoringService",
        "states": ["completed", "failed", "completed"],
        "merged": True,
        "monitor": "shadow mode",
        "own": True,
        "held elsewhere": [7],
    }
    # Once by the command, and once at the end of the session.
    assert found.output.count("4 jobs compared in 1 sessions: 4 agreed, 0 contradictions") == 2
    assert "Traceback" not in found.output
    summary = _report(ganga, 0)
    assert summary["agreed"] == summary["jobs"] == 4 == summary["leads"]["end"]["jobs"]
    assert _fetched(ganga) == []
    client = service.client()
    until(lambda: not client.masters(ganga.repository), 120, "the service has forgotten them")


def test_a_disagreement_is_told_once_with_its_evidence(ganga: Session) -> None:
    """Ganga fails what has completed: it was late first, then contradicts. What its own checkers
    may have failed is unclear, and what the user kills is no disagreement."""
    found = ganga.run(
        """
        from GangaCore.Lib.Localhost.Localhost import Localhost
        Localhost.updateMonitoringInformation = staticmethod(lambda jobs: None)
        runMonitoring()
        plain = single("echo plain")
        checked = single("echo checked")
        checked.postprocessors.append(FileChecker(files=["stdout"], searchStrings=["no"]))
        held = single(HELD)
        for j in (plain, checked, held):
            j.submit()
        onlooker = component.switch.onlooker
        def late():
            return {b["job"] for b in onlooker.summary().behind if b["what"] == "end"}
        until(lambda: late() == {"0", "1"}, 200, "Ganga is late for two")
        stripProxy(plain).updateStatus("failed")
        stripProxy(checked).updateStatus("failed")
        held.kill()
        until(lambda: onlooker.summary().jobs == 3, 200, "all are compared")
        """,
        SHADOW,
        "-o[Gangamon]ShadowBound=1",
        "-o[Gangamon]ScanInterval=0.5",
    )
    summary = _report(ganga, 1)
    (contradiction,) = summary["contradictions"]
    assert (contradiction["ganga"], contradiction["gangamon"]) == ("failed", "completed")
    assert contradiction["evidence"]["exit_code"] == 0
    assert contradiction["leads"]["end"] > 0
    assert [body["job"] for body in summary["unclear"]] == ["1"]
    assert (summary["taken_back"], summary["behind"]) == (1, [])
    assert found.output.count("gangamon shadow: contradiction: job 0") == 1
    assert found.output.count("gangamon shadow: ganga is late: job 0") == 1


def test_to_gangamon_and_back(ganga: Session, service: Service) -> None:
    """A session in shadow mode that leaves its job with the service, one with gangamon, one in
    shadow mode again: each job is ended once, and its outputs are brought and merged by who has it
    then."""
    ganga.run(
        """
        runMonitoring()
        j = make([f"{HELD}; echo {n}" for n in range(2)])
        j.submit()
        onlooker = component.switch.onlooker
        until(lambda: 0 in onlooker._handed and component.link.settled, 200, "it is observed")
        onlooker._handed.clear()  # so does one that is killed leave it
        """,
        SHADOW,
    )
    (master,) = service.client().masters(ganga.repository)
    assert master.observe
    second = ganga.run("""
        from GangaCore.GPIDev.Adapters.IMerger import IMerger
        merges, stock = [], IMerger.merge
        IMerger.merge = lambda self, *a, **k: (merges.append(1), stock(self, *a, **k))[1]
        runMonitoring()
        until(lambda: sent(0), 200, "gangamon has it")
        GATE.touch()
        j = jobs(0)
        until(lambda: j.status == "completed", 200, "gangamon ends it")
        facts["merged"] = Path(j.outputdir, "stdout").read_text()
        facts["merges"] = len(merges)
        GATE.unlink()
        k = make([f"{HELD}; echo {n}" for n in range(2)])
        k.submit()
        until(lambda: sent(1), 200, "gangamon has the next")
    """)
    assert second.facts["merges"] == 0
    assert [line[-1] for line in second.facts["merged"].splitlines() if line.isdigit()] == [
        "0",
        "1",
    ]
    fetched = _fetched(ganga)
    assert len(fetched) >= 2
    third = ganga.run(
        """
        runMonitoring()
        until(lambda: component.switch.stock is not None, 200, "Ganga has the jobs")
        GATE.touch()
        k = jobs(1)
        until(lambda: k.status == "completed", 200, "Ganga ends it")
        facts["states"] = states(k), states(jobs(0))
        onlooker = component.switch.onlooker
        until(lambda: onlooker.summary().jobs == 2, 200, "it is compared")
        """,
        SHADOW,
        "-o[PollThread]Local=2",
    )
    assert third.facts["states"] == [["completed"] * 2, ["completed"] * 2]
    assert _fetched(ganga) == fetched
    assert _report(ganga, 0)["agreed"] == 2
