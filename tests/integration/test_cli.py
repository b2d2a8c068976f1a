"""The command line against a running service: what users type, and what they get wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangamon.settings import hostname
from tests.integration.ganga.service import Service
from tests.support.waiting import until

REPOSITORY = "c" * 32


class Shell:
    """``gangamon ...`` in a service's environment, with ``roots`` at the test's folder."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.folder = folder
        self.environ = {**service.environ, "GANGAMON_ROOTS": str(folder)}

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gangamon", *arguments],
            env={**self.environ, **variables},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def batch(self, **changes: Any) -> dict[str, Any]:
        """A batch file of two Local jobs whose output directories exist."""
        master = changes.get("master", 1)
        workspace = self.folder / str(master)
        for sub in ("", "0/", "1/"):
            (workspace / f"{sub}output").mkdir(parents=True, exist_ok=True)
        body = {
            "repository": REPOSITORY,
            "master": master,
            "total": 2,
            "name": "cli",
            "lane": f"Local|{hostname()}|-",
            "workspace": str(workspace),
            "mergers": [{"kind": "TextMerger", "files": ["out.txt"]}],
            "jobs": [
                [0, 1, "submitted", "", {"wrapper_pid": os.getpid()}],
                [1, 1, "submitted", "", {"wrapper_pid": os.getpid()}],
            ],
        }
        body.update(changes)
        return {key: value for key, value in body.items() if value is not None}

    def enqueue(self, body: object, *options: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "batch.json"
        file.write_text(body if isinstance(body, str) else json.dumps(body))
        return self("enqueue", str(file), *options)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    found = Service()
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def gangamon(service: Service, tmp_path: Path) -> Shell:
    return Shell(service, tmp_path)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line for each fault, exit code 2, no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert all(line.startswith("gangamon: ") for line in lines), done.stderr
    for word in words:
        assert any(word in line for line in lines), done.stderr


def end(folder: Path, code: int = 0) -> None:
    (folder / "out.txt").write_text("a line\n")
    (folder / "__jobstatus__").write_text(
        f"START: Mon Nov 23 01:02:03 2026\nWRAPPER: {os.getpid()}\nPID: {os.getpid()}\n"
        f"EXITCODE: {code}\nSTOP: Mon Nov 23 01:02:04 2026\n"
    )


BAD = {
    "unknown backend": ({"lane": "Slurmy|host|-"}, ("lane", "'Slurmy'", "accepted: ", "Local")),
    "missing field": ({"workspace": None}, ("workspace: missing", "accepted")),
    "outside the roots": ({"workspace": "/etc/1"}, ("workspace: got '/etc/1'", "roots")),
    "dots in a path": ({"workspace": "/tmp/../etc"}, ("workspace: got '/tmp/../etc'",)),
    "wrong type": ({"total": "two"}, ("total: got 'two'", "whole number")),
    "unknown merger": (
        {"mergers": [{"kind": "Stapler", "files": ["x"]}]},
        ("mergers[0].kind: got 'Stapler'", "TextMerger"),
    ),
    "file outside": (
        {"mergers": [{"kind": "TextMerger", "files": ["../x"]}]},
        ("mergers[0].files", "relative"),
    ),
    "bad job": ({"jobs": [[0, 1, "done", "", {}]]}, ("jobs[0].status: got 'done'", "running")),
    "no jobs": ({"jobs": []}, ("jobs: got []", "1 to 100")),
    "a job twice": (
        {"jobs": [[0, 1, "running", "", {}], [0, 1, "running", "", {}]]},
        ("jobs: a sub id stands twice",),
    ),
    "unknown field": ({"colour": "red"}, ("colour: unknown field",)),
    "not a lane": ({"lane": "Local"}, ("lane: got 'Local'", "BACKEND|ENDPOINT|CREDENTIAL")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_batches_are_refused_whole(gangamon: Shell, case: str) -> None:
    """One clear line naming field, value and what is accepted; nothing reaches the service."""
    changes, words = BAD[case]
    body = gangamon.batch(master=90, **changes)
    refused(gangamon.enqueue(body), *words)
    listed = json.loads(gangamon("status", "--json").stdout)
    assert not [master for master in listed if master["job"] == 90]


def test_all_faults_are_told_at_once(gangamon: Shell) -> None:
    """Three faults, three lines."""
    done = gangamon.enqueue(gangamon.batch(total=0, lane="x", jobs=None))
    refused(done, "total: got 0", "lane: got 'x'", "jobs: missing")
    assert len(done.stderr.strip().splitlines()) == 3


def test_what_is_not_json_and_what_is_not_there(gangamon: Shell) -> None:
    """The file is named in the line."""
    refused(gangamon.enqueue("{"), "not json")
    refused(gangamon("enqueue", str(gangamon.folder / "none.json")), "none.json: No such file")
    refused(gangamon.enqueue("[]"), "command: got list")


def test_a_job_enqueued_twice_with_other_content(gangamon: Shell) -> None:
    """The second is refused with both contents named; the first stays as it was."""
    body = gangamon.batch(master=2)
    assert gangamon.enqueue(body).returncode == 0
    assert gangamon.enqueue(body).returncode == 0, "the same content is fine"
    body["jobs"][1][3] = "other"
    refused(gangamon.enqueue(body), "2.1 attempt 1 is enqueued already", "other")
    (master,) = [m for m in json.loads(gangamon("status", "--json").stdout) if m["job"] == 2]
    assert master["subjobs"]["submitted"] == 2


def test_bad_settings(gangamon: Shell) -> None:
    """A bad key, a bad value: one line each with the key and what is accepted."""
    config = gangamon.folder / "gangamon.toml"
    config.write_text("[flower]\nport = 99999\n[colour]\nred = 1\n[backends.Local]\nfloor = -1\n")
    refused(
        gangamon("status", GANGAMON_CONFIG=str(config)),
        "flower.port: got 99999; accepted: 0 (any free port) to 65535",
        "colour.red: unknown key",
        "backends.Local.floor: got -1; accepted: a number above 0",
    )
    refused(gangamon("ps", GANGAMON_TYPO="1"), "GANGAMON_TYPO: unknown")


def test_redis_not_reachable(gangamon: Shell, tmp_path: Path) -> None:
    """Where Redis should be is named; nothing stays in the spool."""
    body = gangamon.batch()
    file = gangamon.folder / "batch.json"
    file.write_text(json.dumps(body))
    away = {"GANGAMON_REDIS_URL": "redis://127.0.0.1:1/0", "GANGAMON_STATE_DIR": str(tmp_path)}
    for command in (("status",), ("watch", "1"), ("why", "1.0"), ("enqueue", str(file))):
        refused(gangamon(*command, **away), "Redis at redis://127.0.0.1:1/0")
    refused(gangamon("status", GANGAMON_STATE_DIR=str(tmp_path)), "`gangamon up`")
    assert not (tmp_path / "spool").exists()


def test_jobs_that_are_not_there(gangamon: Shell) -> None:
    """What is accepted is said."""
    refused(gangamon("why", "forty"), "job: got 'forty'; accepted: 42 or 42.7")
    refused(gangamon("watch", "4711"), "job: got 4711; accepted: a job that `gangamon status`")


def test_from_enqueue_to_why(gangamon: Shell) -> None:
    """enqueue, watch to the end, why with the evidence, status for programs."""
    assert gangamon.enqueue(gangamon.batch(master=3), "--json").returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "gangamon", "watch", "3", "--timeout", "150"],
        env=gangamon.environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        end(gangamon.folder / "3" / "0" / "output")
        end(gangamon.folder / "3" / "1" / "output")
        text, _ = watching.communicate(timeout=180)
    assert watching.returncode == 0
    assert "2/2 2 completed: completed" in text.splitlines()[-1]
    why = json.loads(gangamon("why", "3.1", "--json").stdout)
    assert why["evidence"]["exit_code"] == 0
    assert [step["status"] for step in why["history"]][-2:] == ["completing", "completed"]
    assert "evidence: __jobstatus__: done, exit code 0" in gangamon("why", "3.1").stdout
    merged = (gangamon.folder / "3" / "output" / "out.txt").read_text()
    assert merged.count("# Start of file") == 2


def test_a_failed_job_says_why(gangamon: Shell) -> None:
    """Exit code 1 of watch, and the reason of the merge that could not be."""
    assert gangamon.enqueue(gangamon.batch(master=4)).returncode == 0
    end(gangamon.folder / "4" / "0" / "output")
    end(gangamon.folder / "4" / "1" / "output", code=3)
    done = gangamon("watch", "4", "--timeout", "150")
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert "exit code 3" in gangamon("why", "4.1").stdout
    assert (
        "Job 4.1 has status failed and so the merge can not continue" in gangamon("why", "4").stdout
    )


def test_the_check_option_does_nothing(gangamon: Shell) -> None:
    """A file is checked without a service and without a trace."""
    done = gangamon.enqueue(gangamon.batch(master=5), "--check")
    assert done.returncode == 0
    assert "2 jobs of job 5: well formed" in done.stdout
    status = until(lambda: gangamon("status", "--json").stdout, 120, "status answers")
    assert not [m for m in json.loads(status) if m["job"] == 5]
