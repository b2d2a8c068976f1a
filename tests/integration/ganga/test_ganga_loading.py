"""A session that is opened again loads its jobs, and writes what has changed, beside the prompt."""

from __future__ import annotations

from pathlib import Path

from tests.integration.ganga.scripted import COUNTED, SCRIPTED
from tests.integration.ganga.session import Session

#: While the adapter's thread parses a job, another thread looks which of Ganga's locks are free.
WATCHED = """
from gangamon.adapter.repository import loading
from gangamon.adapter.repository.streamer import xml
raw = stripProxy(jobs(0))
registry = raw._getRegistry()
locks = {"job": raw._lock, "flush": registry._flush_lock, "read": registry._read_lock}
stock_parse, free = loading._Breathing.parse, []
meanwhile = lambda: None

def parse(self, text):
    def look():
        for name, lock in locks.items():
            if lock.acquire(blocking=False):
                lock.release()
                free.append(name)
        meanwhile()
    looker = threading.Thread(target=look)
    looker.start()
    looker.join()
    return stock_parse(self, text)

loading._Breathing.parse = parse

def loaded():
    return registry.repository.isObjectLoaded(raw)
"""


def test_a_job_is_parsed_while_no_lock_is_held(alone: Session) -> None:
    """Also for the first question of all, which backend it has. What is loaded is what Ganga
    would have loaded: written again it is the same, and nothing of it is taken for changed."""
    alone.run(f"{SCRIPTED}\nsubmitted(12, name='one', comment='a <b> & \\u00e9')")
    found = alone.run(f"""{SCRIPTED}{WATCHED}
runMonitoring()
until(loaded, 60, "the adapter has loaded it")
until(lambda: 0 in component.engine.roster, 60, "it is watched")
facts["free"] = free
facts["dirty"] = raw._dirty
facts["ours"] = xml(raw, "subjobs").decode()
facts["parents"] = all(value._getParent() is raw for name, value in raw._data.items()
                       if hasattr(value, "_getParent") and name != "master")
last = jobs(0).subjobs(11)
facts["seen"] = [len(jobs(0).subjobs), str(last.application.args[0]), jobs(0).comment]
facts["index"] = registry.getIndexCache(raw)["subjobs:status"]
registry.repository.load([0])
facts["theirs"] = xml(raw, "subjobs").decode()
raw.comment = "two"
registry._flush([raw])
    """).facts
    assert found.pop("ours") == found.pop("theirs")
    assert found == {
        "free": ["job", "flush", "read"],
        "dirty": False,
        "parents": True,
        "seen": [12, "11", "a <b> & \u00e9"],
        "index": ["submitted"] * 12,
    }
    assert alone.run('facts["comment"] = jobs(0).comment').facts == {"comment": "two"}


def test_what_the_user_has_loaded_meanwhile_stays(alone: Session) -> None:
    alone.run(f"{SCRIPTED}\nsubmitted(3)")
    found = alone.run(f"""{SCRIPTED}{WATCHED}
def meanwhile():
    raw.comment = "the user's"
    facts["subjobs"] = id(raw.subjobs)

runMonitoring()
until(lambda: 0 in component.engine.roster and client.known.get(0), 60, "it is handed over")
facts["same"] = id(raw.subjobs) == facts.pop("subjobs")
facts["comment"], facts["dirty"] = raw.comment, raw._dirty
    """).facts
    assert found == {"same": True, "comment": "the user's", "dirty": True}


def test_a_torn_file_is_left_to_ganga(alone: Session) -> None:
    """Ganga takes its backup, says so, and writes the job anew."""
    path = alone.run(f"""{SCRIPTED}
j = submitted(3, comment="kept")
raw = stripProxy(j)
raw._getRegistry()._flush([raw])
raw._setDirty()
raw.comment = "lost"
raw._getRegistry()._flush([raw])
facts["path"] = raw._getRegistry().repository.get_fn(0)
    """).facts["path"]
    data = Path(path)
    assert Path(f"{data}~").exists()
    data.write_text(data.read_text().replace("</class>", "</torn>"))
    result = alone.run(f"""{SCRIPTED}{WATCHED}
runMonitoring()
until(loaded, 60, "the adapter has had it loaded")
facts["comment"] = raw.comment
    """)
    assert result.facts["comment"] == "kept"
    assert "loaded from backup" in result.output


def test_an_index_that_ganga_was_killed_before_writing_is_put_right(alone: Session) -> None:
    """What `jobs` shows of a job that is not loaded is its index; the XML is the newer of both."""
    place = alone.run(f"""{SCRIPTED}
j = submitted(3)
raw = stripProxy(j)
registry = raw._getRegistry()
registry._flush([raw])
index = Path(registry.repository.get_idxfn(0))
old = index.read_bytes()
j.comment = "newer"
registry._flush([raw])
facts["index"] = str(index)
index.with_name("old").write_bytes(old)
    """).facts["index"]
    Path(place).with_name("old").replace(place)
    found = alone.run(f"""{SCRIPTED}{WATCHED}
facts["shown"] = raw._index_cache_dict.get("comment")
runMonitoring()
until(loaded, 60, "the adapter has loaded it")
until(lambda: raw._dirty, 60, "its index is to be written")
    """).facts
    assert found["shown"] == ""
    found = alone.run("""facts["shown"] = stripProxy(jobs(0))._index_cache_dict.get("comment")""")
    assert found.facts["shown"] == "newer"


def test_what_the_updates_change_is_written_without_gangas_flush(alone: Session) -> None:
    """Each subjob and the index soon after the change, the master when it has ended."""
    found = alone.run(
        f"""{SCRIPTED}
j = submitted(30)
followed(j)
on_disk = disk(j)
repository = stripProxy(j)._getRegistry().repository
index = Path(repository.get_fn(0)).parent / "subjobs.idx"
say(j, S.RUNNING, range(30))
until(lambda: all(on_disk(sub, "'running'") for sub in range(30)), 60, "running is written")
shown = lambda: Counter(entry["status"] for entry in pickle.loads(index.read_bytes()).values())
until(lambda: shown() == {{"running": 30}}, 60, "the index is")
client.say(0, [JobUpdate(sub, 1, 0, S.COMPLETED) for sub in range(30)],
           MasterFinal(1, S.COMPLETED, {{"merge": []}}))
until(lambda: j.status == "completed", 60, "it is over")
until(lambda: all(on_disk(sub, "'completed'") for sub in range(30)), 60, "the ends are written")
master = Path(repository.get_idxfn(0))
ended = lambda: pickle.loads(master.read_bytes())[2]["status"] == "completed"
until(ended, 60, "the master's end is written")
facts["index"] = files(j)["subjobs.idx"][7]["status"]
facts["xml"] = "'completed'" in Path(repository.get_fn(0)).read_text()
    """,
        "-o[Registry]AutoFlusherWaitTime=3600",
    ).facts
    assert found == {"index": "completed", "xml": True}


def test_a_master_changes_without_its_subjobs_being_loaded(alone: Session) -> None:
    """One of them is in memory, so Ganga would load all of them for the master's times. They are
    there all the same: of the others by what their backend said."""
    alone.run(f"{SCRIPTED}\nsubmitted(30)")
    found = alone.run(f"""{SCRIPTED}{COUNTED}
backlog.drain = lambda *_: None  # the background does not come to it in this session
client.say(0, [JobUpdate(sub, 1, 0, S.SUBMITTED) for sub in range(30)])
facts["before"] = jobs("0.3").status
runMonitoring()
raw = stripProxy(jobs(0))
say(raw, S.RUNNING, range(30))
until(lambda: raw.status == "running", 60, "it runs")
client.say(0, [JobUpdate(sub, 1, 0, S.COMPLETED, {{}}, 2000.0 + sub, 1000.0 + sub)
               for sub in range(30)], MasterFinal(1, S.COMPLETED, {{"merge": []}}))
until(lambda: raw.status == "completed", 60, "the master has ended")
times = raw.time.timestamps
facts["times"] = [times[name].timestamp() for name in ("backend_running", "backend_final")]
facts["ordered"] = times["new"] <= times["running"] <= times["final"]
facts["loads"] = loads[0]
    """)
    assert found.facts["times"] == [1000.0, 2029.0]
    assert found.facts["ordered"]
    assert found.facts["loads"] == 1
