"""From a Ganga session to its merged output, by Ganga's own PBS and LSF classes, over stand-ins for
their commands: no server can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.standin import StandIn


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a host with both families' commands, which asks them every second or two."""
    folder = tmp_path_factory.mktemp("standins")
    config = folder / "gangamon.toml"
    fast = "floor = 1\ncap = 2\nrate = 5\n"
    config.write_text(f"[backends.PBS]\n{fast}[backends.LSF]\n{fast}")
    places = {family: folder / family for family in ("PBS", "LSF")}
    standins = [StandIn(family, place) for family, place in places.items()]
    (places["LSF"] / "lsf.cluster.c1").touch()
    found = Service()
    found.environ.update(
        PATH=os.pathsep.join((*map(str, places.values()), os.environ["PATH"])),
        PBS_DEFAULT="pbs",
        LSF_ENVDIR=str(places["LSF"]),
        GANGAMON_CONFIG=str(config),
    )
    try:
        found.up()
        yield found
    finally:
        found.close()
        for standin in standins:
            standin.close()


@pytest.mark.parametrize(
    ("family", "lane", "done", "queue"),
    [("PBS", "pbs", "F", "workq"), ("LSF", "c1", "DONE", "normal")],
)
def test_a_session(
    service: Service, tmp_path: Path, family: str, lane: str, done: str, queue: str
) -> None:
    """Four subjobs complete and are merged; another job fails, one is killed by the batch system's
    own command; what Ganga's own monitoring would fill in is there, and the ids stay."""
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")
    session = Session(tmp_path, service.environ)
    with session.gangarc.open("a") as file:
        # The wrapper looks that often for the end of the application.
        file.write(f"[{family}]\nheartbeat_frequency = 0.2\n")
    found = session.run(f"""
        def one(command):
            app = Executable(exe="/bin/sh", args=["-c", command])
            return Job(application=app, backend={family}())
        j = Job(application=Executable(exe="/bin/sh"), backend={family}(), name="four")
        j.splitter = ArgSplitter(args=[["-c", "echo out %d" % i] for i in range(4)])
        j.postprocessors.append(TextMerger(files=["stdout"]))
        begun = Path.home() / "begun"
        bad, shot = one("echo bad; exit 7"), one("touch %s; %s" % (begun, HELD))
        runMonitoring()
        for job in (j, bad, shot):
            job.submit()
        ids = [s.backend.id for s in j.subjobs]
        # Not by its status: Job.submit may set that back to submitted once more.
        until(begun.exists, 240, "it runs")
        os.system("{"qdel" if family == "PBS" else "bkill"} %s" % shot.backend.id)
        over = ("completed", "failed", "killed")
        until(lambda: all(job.status in over for job in (j, bad, shot)), 240, "the jobs are over")
        facts.update(states=states(j), rest=[job.status for job in (j, bad, shot)])
        facts["ids"] = ids == [s.backend.id for s in j.subjobs] and len(set(ids)) == 4
        facts["merged"] = open(j.outputdir + "stdout").read()
        facts["fields"] = [
            [b.exitcode, b.actualqueue, b.actualCE, b.status]
            for b in (stripProxy(x).backend for x in (*j.subjobs, bad))
        ]
    """).facts
    assert found["states"] == ["completed"] * 4
    assert found["rest"] == ["completed", "failed", "killed"]
    assert found["ids"]
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(4)]
    *well, bad = found["fields"]
    assert well == [[0, queue, "n1", done]] * 4
    assert bad == [7, queue, "n1", "F" if family == "PBS" else "EXIT"]
    lanes = [str(known) for known in service.client().lanes() if str(known).startswith(family)]
    assert lanes == [f"{family}|{lane}|-"]
