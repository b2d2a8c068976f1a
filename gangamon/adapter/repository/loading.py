"""Loading a job from its XML while the prompt reads on.

Ganga parses it with the registry's locks held (Registry.py:545, 8.7.12), and where the reading of
an attribute is what loads it, with the job's lock, too (Objects.py:369): for a master whose
splitter has an element for each of 10,000 subjobs that is a second in which the user's
``jobs(i).status`` and ``len(jobs)`` wait. Here the file is parsed without any lock, by Ganga's own
parser, and what it says is handed to the job with the locks held for a moment.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList
from GangaCore.Core.GangaRepository.VStreamer import Loader
from GangaCore.GPIDev.Lib.GangaList.GangaList import GangaList
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.repository.flush import SUBJOBS

logger = getLogger("gangamon")

#: Values parsed between two rests, and seconds of a rest; of the wait for a lock that is taken.
VALUES, REST, WAIT = 100, 0.0005, 0.001


class _Breathing(Loader):
    """Gives up the GIL now and then: a parse is Python that nothing else interrupts for 5 ms."""

    _text: str | None = None
    _values = 0

    @property
    def value_construct(self) -> str | None:
        return self._text

    @value_construct.setter
    def value_construct(self, text: str | None) -> None:
        """Ganga's parser sets it at the begin and the end of each value (VStreamer.py:327-403)."""
        self._text = text
        self._values += 1
        if self._values % VALUES == 0:
            time.sleep(REST)


@dataclass(frozen=True)
class _Read:
    """``data``: the job's attributes; ``changed``: the file's time (``st_ctime``)."""

    data: dict[str, Any]
    subjobs: Any
    changed: float


def load(registry: Any, job: Any, again: bool = False) -> None:
    """Load a job of the registry; ``again``: also if it is loaded, as it is on disk now.

    Raises what Ganga raises for a job that cannot be loaded: whatever is not as it should be (a
    file that must be restored from its backup, another kind of repository) is left to Ganga.
    """
    repository = registry.repository
    if again or not repository.isObjectLoaded(job):
        number = registry.find(job)
        read = _read(registry, number, job)
        if read is not None and _adopt(registry, number, job, read, again):
            return
        if again:
            with job.const_lock:
                repository.load([number])
                job._stored_subjobs_proxy = None
    job._loadObject()


def _read(registry: Any, number: int, job: Any) -> _Read | None:
    """What is on disk; None: Ganga must see to it."""
    repository = registry.repository
    if number in repository.incomplete_objects or not hasattr(repository, "_load_timestamp"):
        return None
    try:
        path = repository.get_fn(number)
        with open(path) as file:
            changed = os.fstat(file.fileno()).st_ctime
            found, errors = _Breathing().parse(file.read())
        if errors or type(found) is not type(job):
            return None
        found._setFlushed()
        data = dict(found._data)
        for name, _ in job._schema.allItems():
            if name not in data:
                data[name] = job._schema.getDefaultValue(name)
        return _Read(data, _subjobs(registry, os.path.dirname(path), job), changed)
    except Exception as error:  # noqa: BLE001 - Ganga loads it, and says what is wrong
        logger.debug("gangamon: job %s is left to Ganga to load: %s", number, error)
        return None


def _subjobs(registry: Any, folder: str, job: Any) -> Any:
    name = registry.repository.dataFileName
    if not SubJobXMLList.checkJobHasChildren(folder, name):
        return GangaList()
    return SubJobXMLList(folder, registry, name, False, job)


def _adopt(registry: Any, number: int, job: Any, read: _Read, again: bool) -> bool:
    """Whether the job is loaded now, by us or meanwhile by another thread."""
    known = dict(job._index_cache_dict or {})
    while True:
        # In the order in which Ganga's own loading takes them (Objects.py:262, Registry.py:205).
        with job.const_lock:
            if registry._flush_lock.acquire(blocking=False):
                try:
                    if registry._read_lock.acquire(blocking=False):
                        try:
                            done = _set(registry, number, job, read, again)
                            break
                        finally:
                            registry._read_lock.release()
                finally:
                    registry._flush_lock.release()
        time.sleep(WAIT)  # whoever has them may want the job's
    if done and known and not job._dirty and registry.getIndexCache(job) != known:
        job._setDirty()  # Ganga was killed before it had written the job's index
    return done


def _set(registry: Any, number: int, job: Any, read: _Read, again: bool) -> bool:
    repository = registry.repository
    if not again and repository.isObjectLoaded(job):
        return True
    if registry._objects.get(number) is not job:
        return False
    try:
        if os.stat(repository.get_fn(number)).st_ctime != read.changed:
            return False
    except OSError:
        return False
    for name, value in read.data.items():
        job.setSchemaAttribute(name, value)
    job.setSchemaAttribute(SUBJOBS, read.subjobs)
    job._stored_subjobs_proxy = None  # of the subjobs as they were (Job.py:2702, 8.7.12)
    job._index_cache_dict = {}
    job._should_load = False
    job._dirty = False
    if read.subjobs._dirty:
        read.subjobs._setDirty()  # their index is to be written
    repository._load_timestamp[number] = read.changed
    repository._fully_loaded[number] = job
    return True
