"""Checkers in a real Ganga: the service checks, and the session takes its word."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session

#: Ganga's own FileChecker looks for its files by this method; gangamon's word needs no files.
COUNTED = """
        from GangaCore.GPIDev.Adapters.IChecker import IFileChecker
        stock, looked = IFileChecker.findFiles, []
        def find(self, job):
            looked.append(job.fqid)
            return stock(self, job)
        IFileChecker.findFiles = find

        def noted(j):
            path = os.path.join(stripProxy(j).getDebugWorkspace().getPath(), "checker_errors.txt")
            return open(path).read() if os.path.exists(path) else ""

        def ended(*all):
            until(lambda: all_over(all), 120, "the jobs are over")

        def all_over(all):
            return {j.status for j in all} <= {"completed", "failed"}
"""


def test_the_service_checks_and_ganga_takes_its_word(ganga: Session, service: Service) -> None:
    """Subjobs, their master and a job that is not split end as by Ganga's own checkers, with its
    notes in the debug directory, and Ganga's own look at no file."""
    result = ganga.run(f"""{COUNTED}
        bad = FileChecker(files=["stdout"], searchStrings=["bad"])
        merged = FileChecker(files=["stdout"], searchStrings=["good(?s:.*)", "End"],
                             checkSubjobs=False)
        idle = FileChecker(files=["stdout"])
        a = make(["echo good", "echo bad"])
        a.postprocessors.append(bad)
        b = make(["echo good", "echo good"])
        b.postprocessors.append(merged)
        c = make(["echo good"])
        c.postprocessors.append(idle)
        c.postprocessors.append(bad)
        d = single("echo bad")
        d.postprocessors.append(bad)
        e = single("echo good")
        e.postprocessors.append(bad)
        runMonitoring()
        for j in (a, b, c, d, e):
            j.submit()
        ended(a, b, c, d, e)
        facts["ends"] = [[j.status, *states(j)] for j in (a, b, c, d, e)]
        facts["merged"] = [os.path.exists(j.outputdir + "stdout") for j in (a, b, c)]
        facts["noted"] = [noted(c), noted(c.subjobs(0)), noted(a.subjobs(1))]
        facts["looked"] = looked
    """)
    found = result.facts
    assert found["ends"] == [
        ["failed", "completed", "failed"],
        ["failed", "completed", "completed"],
        ["completed", "completed"],
        ["failed"],
        ["completed"],
    ]
    # With a failed subjob Ganga does not merge; a master that a checker fails is merged before.
    assert found["merged"] == [False, True, True]
    said = (
        "\n Checker has failed with the following error: \nPostProcessException: No searchStrings "
        "specified, FileChecker will do nothing!"
    )
    assert found["noted"] == [said, said, ""]
    assert found["looked"] == []
    why = subprocess.run(
        [sys.executable, "-m", "gangamon", "why", "0.1", "--repository", ganga.repository],
        env=service.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert "The string bad has been found in file" in why
    assert "FileChecker will fail job(0.1)" in why


def test_what_gangamon_cannot_run_stays_gangas_and_so_does_what_follows(ganga: Session) -> None:
    """A checker of the user's code, and a FileChecker after it, run in the session, in order; a
    checker that was changed after it was sent is asked anew."""
    result = ganga.run(f"""{COUNTED}
        module = os.path.join(os.environ["HOME"], "mine.py")
        with open(module, "w") as file:
            file.write("def check(j):\\n    open(j.outputdir + 'stdout', 'a').write('bad')\\n"
                       "    return True\\n")
        bad = FileChecker(files=["stdout"], searchStrings=["bad"])
        a = single("echo good")
        a.postprocessors.append(FileChecker(files=["stdout"], searchStrings=["worse"]))
        a.postprocessors.append(CustomChecker(module=module))
        a.postprocessors.append(bad)
        b = single(f"{{HELD}}; echo good")
        b.postprocessors.append(bad)
        runMonitoring()
        a.submit()
        b.submit()
        until(lambda: sent(b.id), 120, "it is handed over")
        stripProxy(b).postprocessors.process_objects[0].searchStrings = ["good"]
        GATE.touch()
        ended(a, b)
        facts["ends"] = [a.status, b.status]
        facts["looked"] = looked
    """)
    assert result.facts["ends"] == ["failed", "failed"]
    assert sorted(result.facts["looked"]) == ["0", "1"]
