"""A Ganga session with ARC jobs, of a class of the user's own, to the merged output; the proxy ends
meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gangamon.cli.ganga import package
from gangamon.domain.lane import Lane
from tests.integration.backends.arc import Arc
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.beside import beside
from tests.support.waiting import until


@pytest.fixture(scope="module")
def service(arc_ce: Arc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks ARC every second or two."""
    config = tmp_path_factory.mktemp("service") / "gangamon.toml"
    config.write_text("[backends.ARC]\nfloor = 1\ncap = 2\nrate = 5\n")
    found = Service()
    found.environ["GANGAMON_CONFIG"] = str(config)
    found.environ["X509_CERT_DIR"] = str(arc_ce.authority.directory)
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def ganga(service: Service, tmp_path: Path) -> Session:
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")
    session = Session(tmp_path, service.environ)
    text = session.gangarc.read_text()
    ours = Path(__file__).with_name("ganga_arc")
    session.gangarc.write_text(text.replace(package(), f"{package()}:{ours}"))
    session.environ["X509_USER_PROXY"] = str(tmp_path / "proxy")
    return session


def test_a_session_with_arc_jobs(
    service: Service, arc_ce: Arc, ganga: Session, tmp_path: Path
) -> None:
    """Two subjobs complete and are merged, a job fails. The proxy is missing when they are handed
    over: the lane is paused with that reason, the jobs stay as they are, and once there is one all
    goes on by itself."""
    proxy, lane = tmp_path / "proxy", Lane("ARC", arc_ce.url, str(tmp_path / "proxy"))
    submitted = tmp_path / "submitted"
    well = [arc_ce.submit(f"echo out {n}") for n in range(2)]
    bad = arc_ce.submit("echo alas >&2; exit 3")

    names = ("0.0", "0.1", "1")
    ids = {fqid: arc_ce.url_of(job) for fqid, job in zip(names, (*well, bad), strict=True)}

    def paused() -> bool:
        described = [d for name, d in _lanes(service).items() if name == lane]
        return any("No such file" in str(found) for found in described)

    def live() -> None:
        until(submitted.exists, 240, "the jobs are submitted")
        until(paused, 240, "the lane waits for a proxy", lambda: _lanes(service))
        for job in (*well, bad):
            arc_ce.over(job)
            arc_ce.documented(job)
        arc_ce.authority.proxy(proxy, "user")

    with beside(live):
        found = ganga.run(
            f"""
from ganga_arc.backend import IDS
IDS.update({ids!r})
def on_arc(**given):
    return Job(application=Executable(exe="/bin/true"), backend=ARC(CE={arc_ce.url!r}), **given)
j = on_arc(splitter=ArgSplitter(args=[[str(i)] for i in range(2)]))
j.postprocessors.append(TextMerger(files=["out"]))
bad = on_arc()
runMonitoring()
j.submit(); bad.submit()
until(lambda: sent(j.id, bad.id), 120, "both are handed over")
open({str(submitted)!r}, "w").close()
over = ("completed", "failed", "killed")
until(lambda: j.status in over and bad.status in over, 400, "the jobs are over")
facts.update(status=j.status, states=states(j), bad=bad.status)
facts["merged"] = open(j.outputdir + "out").read()
facts["err"] = open(bad.outputdir + "err").read()
facts["fields"] = [
    [b.id, b.status, b.actualCE, b.exitcode_arc, b.reason.split(":")[0]]
    for b in (stripProxy(x).backend for x in (*j.subjobs, bad))
]
""",
            within=700,
        ).facts
    assert (found["status"], found["states"]) == ("completed", ["completed"] * 2)
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == ["out 0", "out 1"]
    assert (found["bad"], found["err"]) == ("failed", "alas\n")
    assert found["fields"] == [
        *([arc_ce.url_of(job), "FINISHED", "localhost", 0, ""] for job in well),
        [arc_ce.url_of(bad), "FAILED", "localhost", 3, "the job failed (FAILED)"],
    ]


def _lanes(service: Service) -> dict[Lane, object]:
    return {Lane.parse(str(lane)): told for lane, told in service.client().lanes().items()}
