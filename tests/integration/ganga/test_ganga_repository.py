"""What the adapter makes durable: what Ganga would write, without the prompt standing still."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.ganga.session import Session

#: Jobs without processes, and a service inside the session that says what it is told.
SCRIPTED = """
from collections import Counter
import pickle
from GangaCore.Core.GangaRepository.Registry import Registry
from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList
from GangaCore.Lib.Localhost.Localhost import Localhost
from gangamon.client import JobUpdate, MasterFinal
from gangamon.domain.status import JobStatus as S
from gangamon.testing.scripted import ScriptedClient, use

client = ScriptedClient()
up = use(component, client)

def submitted(n, **given):
    j = Job(application=Executable(exe="/bin/true"), backend=Local(), **given)
    j.splitter = ArgSplitter(args=[[str(i)] for i in range(n)])
    stock = Localhost.run
    Localhost.run = lambda self, script: setattr(self, "wrapper_pid", [4194000]) or 1
    j.submit()
    Localhost.run = stock
    return j

def followed(j):
    runMonitoring()
    raw = stripProxy(j)
    until(lambda: len(client.known.get(raw.id, ())) == len(raw.subjobs), 100, "handed over")

def say(j, status, subs, attempt=1):
    client.say(j.id, [JobUpdate(sub, attempt, 0, status) for sub in subs])

def files(j):
    # Contents by name, index files as what they mean.
    raw = stripProxy(j)
    repository = raw._getRegistry().repository
    folder = Path(repository.get_fn(raw.id)).parent
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("data")}
    index = pickle.loads((folder / "subjobs.idx").read_bytes())
    found["subjobs.idx"] = {k: {**v, "modified": 0} for k, v in index.items()}
    for sub, entry in index.items():
        assert entry["modified"] == (folder / str(sub) / "data").stat().st_ctime
    found["index"] = pickle.loads(Path(repository.get_idxfn(raw.id)).read_bytes())
    return found

def disk(j):
    raw = stripProxy(j)
    folder = Path(raw._getRegistry().repository.get_fn(raw.id)).parent
    return lambda sub, word: word in (folder / str(sub) / "data").read_text()
"""

#: Ganga without gangamon.
STOCK = "-o[Configuration]RUNTIME_PATH="


@pytest.fixture
def alone(tmp_path: Path) -> Session:
    """A user without a service."""
    return Session(tmp_path, {**os.environ, "GANGAMON_STATE_DIR": str(tmp_path / "none")})


def test_a_flush_writes_what_gangas_own_writes(alone: Session) -> None:
    """A job of this session, and one that was loaded again in part: each file of the repository
    is the same, byte for byte, when Ganga's own flush has written it; and stock Ganga reads it."""
    write = """
    def compare(j):
        raw = stripProxy(j)
        registry = raw._getRegistry()
        assert type(registry)._flush is not Registry._flush
        registry._flush([raw])
        assert not raw._dirty
        ours = files(j)
        for sub in raw.subjobs:
            stripProxy(sub)._setDirty()
        os.remove(registry.repository.get_idxfn(raw.id))  # Ganga writes it only if it is missing
        Registry._flush(registry, [raw])
        theirs = files(j)
        assert ours.keys() == theirs.keys(), (ours.keys(), theirs.keys())
        assert ours == theirs, [(k, ours[k], theirs[k]) for k in ours if ours[k] != theirs[k]]
        return sorted(ours)
    """
    first = alone.run(f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    {write}
    j = submitted(7, name="one")
    followed(j)
    say(j, S.RUNNING, range(5))
    say(j, S.COMPLETED, range(2))
    until(lambda: states(j)[:3] == ["completed", "completed", "running"], 60, "they follow")
    j.comment = "it's <mine> & \\u00e9"
    j.subjobs(6).comment = "and this"
    facts["files"] = compare(j)
    """)
    assert first.facts["files"] == [
        *(f"{i}/data" for i in range(7)),
        "data",
        "index",
        "subjobs.idx",
    ]
    second = alone.run(f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    {write}
    j = jobs(0)
    stripProxy(j).name = "two"
    stripProxy(stripProxy(j).subjobs[4]).comment = "changed"
    compare(j)
    """)
    assert "ERROR" not in second.output
    third = alone.run(
        """
    j = jobs(0)
    facts["monitoring"] = type(component).__module__.split(".")[0]
    facts["job"] = [j.status, j.name, j.comment]
    facts["subjobs"] = [[s.status, s.comment] for s in j.subjobs]
    """,
        STOCK,
    )
    done, run = ["completed", ""], ["running", ""]
    assert third.facts == {
        "monitoring": "GangaCore",
        "job": ["submitted", "two", "it's <mine> & é"],
        "subjobs": [
            *(done, done, run, run, ["running", "changed"]),
            *(["submitted", ""], ["submitted", "and this"]),
        ],
    }


def test_the_option_leaves_gangas_flush_alone(alone: Session) -> None:
    found = alone.run(
        """
        from GangaCore.Core.GangaRepository.Registry import Registry
        from GangaCore.GPIDev.Lib.Registry.JobRegistry import JobRegistry
        facts["class"] = type(component).__module__
        facts["stock"] = JobRegistry._flush is Registry._flush
        facts["index"] = JobRegistry.getIndexCache.__module__
        """,
        "-o[Gangamon]PatchFlush=False",
        "-o[Gangamon]PatchIndexCache=False",
    ).facts
    assert found == {
        "class": "gangamon.adapter.component",
        "stock": True,
        "index": "GangaCore.GPIDev.Lib.Registry.JobRegistry",
    }


def test_what_the_user_changes_is_written_by_the_automatic_flush(alone: Session) -> None:
    """Of a split job and of its subjob; and once nothing changes, nothing is written."""
    alone.run(
        f"""
    {SCRIPTED.replace(chr(10), chr(10) + "    ")}
    j = submitted(3)
    j.comment = "of the master"
    j.subjobs(1).comment = "of the subjob"
    on_disk = disk(j)
    until(lambda: on_disk(".", "of the master") and on_disk(1, "of the subjob"), 100, "written")
    until(lambda: not stripProxy(j)._dirty, 60, "clean")
    """,
        "-o[Registry]AutoFlusherWaitTime=1",
    )
    found = alone.run('facts["c"] = [jobs(0).comment, jobs("0.1").comment]', STOCK).facts
    assert found["c"] == ["of the master", "of the subjob"]


#: How long a reader of the master's status waits while a flush of all subjobs is under way.
READER = """
def slowest(flush):
    worst, over = [0.0], threading.Event()
    def read():
        while not over.is_set():
            begun = time.perf_counter()
            jobs(0).status
            worst[0] = max(worst[0], time.perf_counter() - begun)
            time.sleep(0.002)
    for sub in raw.subjobs:
        stripProxy(sub)._setDirty()
    reader = threading.Thread(target=read)
    reader.start()
    begun = time.perf_counter()
    flush()
    taken = time.perf_counter() - begun
    over.set()
    reader.join()
    return worst[0], taken
"""


def test_a_flush_does_not_hold_up_who_reads(alone: Session) -> None:
    """The slowest read while 300 subjobs are written, beside that under Ganga's own flush in the
    same session: at most a quarter of it. (The ratio is about 1:100 on an idle machine.)"""
    found = alone.run(f"""
    {(SCRIPTED + READER).replace(chr(10), chr(10) + "    ")}
    j = submitted(300)
    raw = stripProxy(j)
    registry = raw._getRegistry()
    registry._flush([raw])
    pairs = []
    for _ in range(3):
        theirs, _ = slowest(lambda: Registry._flush(registry, [raw]))
        ours, _ = slowest(lambda: registry._flush([raw]))
        pairs.append((ours, theirs))
    facts["ours"], facts["theirs"] = min(o for o, _ in pairs), min(t for _, t in pairs)
    """).facts
    assert found["ours"] < found["theirs"] / 4, found
