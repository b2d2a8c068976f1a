"""What shadow mode keeps in the gangadir, and what the report makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli import main
from gangamon.domain.shadow import GANGA, GANGAMON, Comparison, Finding
from gangamon.domain.status import JobStatus as S
from gangamon.errors import DiskFull
from gangamon.services import mode, shadow


def _found(fqid: str, ganga: S, gangamon: S, lead: float = 2.0) -> Finding:
    both = Comparison(1.0)
    both.begin(fqid, 1, S.RUNNING, 0.0)
    both.hear(GANGAMON, fqid, 1, gangamon, 10.0)
    finding = both.hear(GANGA, fqid, 1, ganga, 10.0 + lead)
    assert finding is not None
    return finding


def _late(fqid: str) -> Finding:
    both = Comparison(1.0)
    both.begin(fqid, 1, S.RUNNING, 0.0)
    both.hear(GANGAMON, fqid, 1, S.COMPLETED, 10.0)
    (finding,) = both.overdue(20.0)
    return finding


def _line(finding: Finding, **more: object) -> dict[str, object]:
    return {**shadow.line(finding, finding.kind.value), **more}


def test_the_report_sums_up_all_sessions(tmp_path: Path) -> None:
    """Two sessions: who was late and has caught up is late no more; leads have their spread."""
    place = tmp_path / mode.FOLDER
    one, other = shadow.Record(place, "node1"), shadow.Record(place, "node2")
    one.write([_line(_late("7.0")), _line(_late("7.1"))])
    agreed = [_line(_found(f"7.{n}", S.COMPLETED, S.COMPLETED, float(n))) for n in range(1, 101)]
    one.write([*agreed, _line(_found("8", S.KILLED, S.RUNNING))])
    evidence = {"source": "status file", "exit_code": 0, "reason": ""}
    other.write([_line(_found("9.3", S.FAILED, S.COMPLETED), evidence=evidence)])
    found = shadow.summary(shadow.files(place))
    assert (found.sessions, found.jobs, found.agreed, found.taken_back) == (2, 102, 100, 1)
    assert [body["job"] for body in found.behind] == ["7.0"]
    assert found.leads == {"end": shadow.Spread(101, 50.0, 95.0)}
    text = "\n".join(shadow.text(found))
    assert "102 jobs compared in 2 sessions: 100 agreed, 1 contradictions" in text
    assert "contradiction: job 9.3: Ganga says failed" in text
    assert "source=status file, exit_code=0" in text
    assert "ganga is late: job 7.0" in text


def test_a_line_that_is_none_of_ours_is_counted(tmp_path: Path) -> None:
    """Half a line, as a session that was killed may leave it."""
    record = shadow.Record(tmp_path, "node1")
    record.write([_line(_found("7", S.COMPLETED, S.COMPLETED))])
    with record.path.open("a") as file:
        file.write('{"kind": "agreed", "jo\n[]\n{"kind": "other", "job": "1", "attempt": 1}\n')
    found = shadow.summary([record.path])
    assert (found.jobs, found.unread) == (1, 3)


def test_of_many_only_some_are_named(tmp_path: Path) -> None:
    """A text for the prompt; the json has all."""
    record = shadow.Record(tmp_path, "node1")
    record.write([_line(_found(f"7.{n}", S.FAILED, S.COMPLETED)) for n in range(30)])
    found = shadow.summary([record.path])
    assert sum("job 7." in line for line in shadow.text(found)) == shadow.NAMED
    assert "contradictions: 20 more" in shadow.text(found)
    assert len(found.as_json()["contradictions"]) == 30


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / shadow.FOLDER).write_text("in the way")
    with pytest.raises(DiskFull, match=shadow.FOLDER):
        shadow.Record(tmp_path, "node1").write([_line(_late("7"))])


def test_the_command(tmp_path: Path) -> None:
    """Exit code 0: nothing contradicts; 1: something does; 2: there is nothing to report."""
    run = ["shadow", "report", "--gangadir", str(tmp_path)]
    nothing = CliRunner().invoke(main, run)
    assert nothing.exit_code == 2
    assert f"--gangadir: got {tmp_path}" in nothing.output
    record = shadow.Record(tmp_path / mode.FOLDER, "node1")
    record.write([_line(_found("7", S.COMPLETED, S.COMPLETED))])
    good = CliRunner().invoke(main, run)
    assert (good.exit_code, good.output.splitlines()[0][:15]) == (0, "1 jobs compared")
    record.write([_line(_found("8", S.FAILED, S.COMPLETED))])
    bad = CliRunner().invoke(main, [*run, "--json"])
    assert bad.exit_code == 1
    assert [body["job"] for body in json.loads(bad.output)["contradictions"]] == ["8"]
