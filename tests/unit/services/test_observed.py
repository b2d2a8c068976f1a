"""Jobs that are only observed: they end when the backend says so, and nothing else is done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.command import MergerSpec, Withdraw
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import from_wire, to_wire
from gangamon.services import mode
from tests.support.backend import DONE, FAILED
from tests.support.commands import OWNER, enqueue, register, the_master, withdraw
from tests.support.rig import CHECK, FETCH, MERGE, NOTIFY, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A notify command that would leave a file."""
    return Rig(tmp_path, notify=f"touch {tmp_path}/told")


def _observed(rig: Rig, **given: object) -> None:
    """Two jobs, one of them failed, with a merger that must not run."""
    rig.store.register(OWNER, register(str(rig.folder)))
    mergers = (MergerSpec("TextMerger", ("stdout",)),)
    command = enqueue(2, mergers=mergers, workspace=f"{rig.folder}/7")
    assert not rig.store.enqueue(OWNER, "", replace(command, observe=True, **given))


@pytest.mark.parametrize("flag", mode.MODES)
def test_they_end_with_the_backends_word_whoever_has_the_jobs(rig: Rig, flag: str) -> None:
    """No fetcher, merger or notification; the workspace is not even made. The repository's flag,
    which says that Ganga has the jobs, holds nothing up."""
    mode.write(rig.folder / mode.FOLDER, flag, "a test")
    _observed(rig)
    rig.backend.answers = [{"7.0": DONE, "7.1": FAILED}]
    rig.ask()
    assert rig.fetch.run(rig.claim(FETCH).token, "w1") == 2
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        assert stage.run(rig.claim(queue).token, "w1") == 1
    master = the_master(rig.store)
    assert (master.phase, master.status) == ("done", JobStatus.FAILED)
    assert master.counts == {JobStatus.COMPLETED: 1, JobStatus.FAILED: 1} | {
        status: 0 for status, n in master.counts.items() if not n
    }
    assert (rig.fetcher.orders, rig.merger.orders) == ([], [])
    assert not (rig.folder / "7").exists()
    assert not (rig.folder / "told").exists()


@pytest.mark.parametrize("observe", [True, False])
def test_a_master_is_one_or_the_other_until_it_is_withdrawn(rig: Rig, observe: bool) -> None:
    """The line says what it is."""
    rig.store.register(OWNER, register(str(rig.folder)))
    first = replace(enqueue(2, workspace=f"{rig.folder}/7"), observe=observe)
    other = replace(first, id="e2", observe=not observe)
    assert not rig.store.enqueue(OWNER, "", first)
    (fault,) = rig.store.enqueue(OWNER, "", other)
    assert f"observe: got {str(not observe).lower()}" in fault
    assert the_master(rig.store).observe is observe
    rig.store.withdraw(OWNER, "", withdraw())
    assert not rig.store.enqueue(OWNER, "", replace(other, id="e3"))
    assert the_master(rig.store).observe is not observe


@pytest.mark.parametrize("observe", [True, False])
@pytest.mark.parametrize("subs", [(), (0,)])
def test_what_is_not_observed_is_not_withdrawn_as_observed(
    rig: Rig, observe: bool, subs: tuple[int, ...]
) -> None:
    """Another session may have handed the job over for good meanwhile."""
    rig.store.register(OWNER, register(str(rig.folder)))
    command = replace(enqueue(2, workspace=f"{rig.folder}/7"), observe=observe)
    rig.store.enqueue(OWNER, "", command)
    rig.send(replace(withdraw(subs=subs), observed=True))
    assert rig.intake.run() == 1
    master = rig.store.master(OWNER, command.repository, 7)
    taken = master is None or master.counts.get(JobStatus.KILLED, 0) == 1
    assert taken is observe


def test_the_journal_gives_them_back_as_they_were(rig: Rig) -> None:
    """After the store was lost they are observed still."""
    rig.send(register(str(rig.folder)))
    rig.send(replace(enqueue(1, workspace=f"{rig.folder}/7"), observe=True))
    rig.intake.run()
    rig.redis.flushall()
    rig.intake.rebuild()
    assert the_master(rig.store).observe


def test_a_service_of_the_version_before_understands_all_else() -> None:
    """The fields are only there where they say something."""
    assert "observe" not in to_wire(enqueue(1))
    assert "observed" not in to_wire(withdraw())
    observed = replace(enqueue(1), observe=True)
    assert from_wire(_read(to_wire(observed))) == observed
    taken = replace(withdraw(), observed=True)
    again = from_wire(_read(to_wire(taken)))
    assert isinstance(again, Withdraw)
    assert again == taken


def _read(body: object) -> object:
    return json.loads(json.dumps(body))
