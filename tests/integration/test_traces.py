"""Traces of real workers, sent to a receiver of OTLP: what each step took, and of which job."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon import settings
from gangamon.services import trail
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import ROOT, LocalMaster
from tests.support.otlp import Receiver, Span
from tests.support.waiting import until
from tests.support.worker import OWNER, WORKERS, Service
from workers import tracing

JOBS = 5


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Service]:
    more = {"GANGAMON_TRACES_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    found = Service(tmp_path, more=more)
    try:
        found.redis.start()
        found.start(*WORKERS)
        yield found
    finally:
        found.close()


def run(service: Service, watch: Watch, number: int) -> None:
    """A master from its commands to its end."""
    master = LocalMaster(service.data, number, JOBS)
    master.run(0.0, 0.0)
    assert master.driver is not None
    assert master.driver.wait(120) == 0
    master.submit(watch.client, REPOSITORY)
    watch.client.flush()
    service.tick()
    watch.until(lambda: watch.finals(number), 120, "the master ends")
    check_end(watch, service.store(), OWNER, master)


def test_a_job_is_traced_through_the_workers(service: Service, receiver: Receiver) -> None:
    """Poll, query, commit; the fetch of each job; each stage of the master, from a child of the
    merge worker's pool too. Then the receiver goes away: the next job ends as if nothing were."""
    watch = Watch(service.client(), REPOSITORY)
    run(service, watch, 1)
    wanted = ("query", "commit", "fetch", "merge", "check", "notify")
    until(lambda: all(map(receiver.named, wanted)), 120, "all are told", lambda: receiver.spans)
    until(lambda: len(receiver.named("fetch")) == JOBS, 120, "every fetch is told")
    assert receiver.kinds == {"/v1/traces application/x-protobuf"}

    def task_of(span: Span, name: str) -> Span:
        found = until(
            lambda: [one for one in receiver.named(name) if one.id == span.parent], 120, name
        )
        assert (found[0].trace, found[0].parent) == (span.trace, "")
        return found[0]

    assert {span.attributes["gangamon.job"] for span in receiver.named("fetch")} == {
        f"1.{sub}" for sub in range(JOBS)
    }
    for name, task in (("fetch", "gangamon.fetch"), ("merge", "gangamon.merge")):
        for span in receiver.named(name):
            above = task_of(span, task)
            assert span.attributes["gangamon.repository"] == REPOSITORY
            for field in ("gangamon.claim", "gangamon.task"):
                assert span.attributes[field] == above.attributes[field] != ""
            assert 0 < span.took <= above.took
            assert not span.failed
    for name in ("query", "commit"):
        (span,) = [one for one in receiver.named(name) if one.attributes["gangamon.jobs"] == JOBS]
        above = task_of(span, "gangamon.poll")
        assert str(span.attributes["gangamon.lane"]).startswith("Local|")
        assert span.attributes["gangamon.queue"] == f"poll.{span.attributes['gangamon.lane']}"
    assert receiver.named("merge")[0].attributes["gangamon.job"] == "1"
    assert {(s.resource["service.name"], s.resource["gangamon.cell"]) for s in receiver.spans} == {
        ("gangamon", "gm")
    }
    receiver.close()
    run(service, watch, 2)


def test_a_failed_query_is_told_as_one(receiver: Receiver) -> None:
    """With what it failed of; its ids are those that the log lines have."""
    conf = settings.load({"GANGAMON_TRACES_ENDPOINT": receiver.url})
    tracing.begin(conf)
    try:
        with pytest.raises(OSError, match="no route"), trail.step("query", lane="Slurm|c|-"):
            about = dict(trail.trail())
            raise OSError("no route")
    finally:
        tracing.end()
        trail.trace_with(None)
    (span,) = receiver.named("query")
    assert span.failed
    assert (about["trace"], about["span"]) == (span.trace, span.id)
    assert trail.trail() == {}


def test_a_receiver_that_never_answers_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """More spans than are kept; the end waits for so long and no longer, and it is told once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        endpoint = f"http://127.0.0.1:{port}/v1/traces"
        tracing.begin(settings.load({"GANGAMON_TRACES_ENDPOINT": endpoint}))
        try:
            for number in range(3000):
                with trail.step("query", jobs=number):
                    pass
            until(lambda: "are dropped" in caplog.text, 120, "it is told")
        finally:
            begun = time.monotonic()
            tracing.end()
            took = time.monotonic() - begun
            trail.trace_with(None)
    assert took < 4 * tracing.PATIENCE  # 25 s where each batch is waited for
    assert caplog.text.count("traces.endpoint") == 1
    assert "opentelemetry" not in caplog.text


def test_without_the_setting_nothing_of_it_is_loaded() -> None:
    """By a worker that begins; and a step costs no more than a question."""
    code = (
        "import sys; from celery import signals; import workers.app; "
        "signals.worker_init.send(None); "
        # The redis client loads more of it by itself, where it is installed.
        "sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0
    assert trail.step("query", lane="x") is trail.step("fetch")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the worker works on."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.ERROR):
        tracing.begin(settings.load({"GANGAMON_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}))
    assert "pip install 'gangamon[otel]'" in caplog.text
    assert trail.step("query") is trail.step("fetch")
