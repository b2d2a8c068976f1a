"""Updates of subjobs that are not in memory: shown at once, applied when the subjob is loaded.

To load a subjob from its XML takes 2 to 3 ms, and 10,000 of them half a minute. So an update is
kept beside the list, and what Ganga shows of a subjob that is not loaded, the entry of the index,
is changed. Whoever has the subjob loaded finds the update applied. The rest is loaded in the
background, in slices: hooks must run, and the XML must be written.

Only the subjobs are kept so of whose end nothing else can be made: those with output files,
postprocessors or an application with a hook are loaded, for Ganga may fail them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from GangaCore.Core.GangaRepository.Registry import RegistryLockError
from GangaCore.GPIDev.Adapters.IApplication import IApplication
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.Utility.logging import getLogger
from GangaCore.Utility.Plugin import PluginManagerError, allPlugins

from gangamon.adapter.repository.peek import Peek, peek
from gangamon.adapter.repository.records import Records
from gangamon.adapter.watch.watched import POLLED

logger = getLogger("gangamon")

#: What of an index entry tells the status.
_SHOWN = ("status", "display:status")

#: Subjobs verified between two rests, and seconds of a rest.
_SLICE, _REST = 200, 0.001

#: Seconds for which a reader waits for an update that another thread is applying: it may hold what
#: that thread wants.
PATIENCE = 0.2

_HOOKS = ("postprocess", "postprocess_failed", "transition_update")


@dataclass
class _List:
    """One master's. ``waiting``: sub -> its newest update. ``durable``: sub -> its index entry as
    it was, and as it stays on disk until the subjob is written."""

    master: Any
    subjobs: Any
    waiting: dict[int, Any] = field(default_factory=dict)
    durable: dict[int, dict[str, Any]] = field(default_factory=dict)
    recorded: bool = False


@dataclass(frozen=True)
class _Applying:
    thread: int
    over: threading.Event = field(default_factory=threading.Event)


class Backlog:
    """``transition(job, update)`` applies an update to a loaded subjob, ``noted(job, update)`` the
    attributes of one that has not moved; ``shown(update)`` is the status to show. Any thread may
    load a subjob; all else is called by the adapter's."""

    def __init__(
        self,
        transition: Callable[[Any, Any], None],
        shown: Callable[[Any], str],
        noted: Callable[[Any, Any], None],
    ) -> None:
        self._transition, self._shown, self._noted = transition, shown, noted
        #: Master -> its list, and sub -> what was told of it since it was loaded last.
        self._notes: dict[int, tuple[Any, dict[int, Any]]] = {}
        #: Where it is kept from one session to the next.
        self.records: Records | None = None
        self._lists: dict[int, _List] = {}
        self._applying: dict[tuple[int, int], _Applying] = {}
        self._lock = threading.Lock()
        current.backlog = self

    def __len__(self) -> int:
        """Subjobs that wait to be loaded."""
        return sum(len(found.waiting) for found in list(self._lists.values()))

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not self._lists

    # --- what is not loaded -----------------------------------------------------------------

    def look(self, master: Any, sub: int) -> Peek | None:
        """The subjob's status and attempt as the updates have made them; None: load it."""
        subjobs = stripProxy(master.subjobs)
        if not current.patched or sub not in subjobs._subjobIndexData:
            return None
        found = self._look_on_disk(subjobs, sub)
        if found is None or not found.plain or not _idle(found.application):
            return None
        kept = self._lists.get(master.id)
        update = kept.waiting.get(sub) if kept is not None and kept.subjobs is subjobs else None
        if update is None:
            return found
        return Peek(self._shown(update), update.attempt, found.application, True)

    def put(self, master: Any, update: Any) -> None:
        """Keep an update of a subjob that ``look`` found."""
        subjobs = stripProxy(master.subjobs)
        kept = self._list(master, subjobs)
        with self._lock:
            if subjobs.isLoaded(update.sub):
                loaded = True
            else:
                loaded = False
                kept.waiting[update.sub] = update
                self._forget_note(subjobs, update.sub)  # it has all attributes
                entry = subjobs._subjobIndexData[update.sub]
                kept.durable.setdefault(update.sub, entry)
                subjobs._subjobIndexData[update.sub] = _with(entry, self._shown(update))
        if loaded:  # by somebody, since it was looked at
            self._transition(stripProxy(subjobs[update.sub]), update)

    def note(self, master: Any, update: Any) -> None:
        """Attributes of a subjob that has not moved: they wait until somebody has it loaded, for
        which they are no reason."""
        subjobs, sub = stripProxy(master.subjobs), update.sub
        with self._lock:
            loaded = subjobs.isLoaded(sub)
            kept = self._lists.get(master.id)
            if loaded:
                pass
            elif kept is not None and kept.subjobs is subjobs and sub in kept.waiting:
                kept.waiting[sub] = _with_attributes(kept.waiting[sub], update)
            else:
                found, notes = self._notes.get(master.id, (None, {}))
                if found is not subjobs:
                    found, notes = self._notes[master.id] = (subjobs, {})
                notes[sub] = _with_attributes(notes[sub], update) if sub in notes else update
        if loaded:
            self._noted(stripProxy(subjobs[sub]), update)

    def _forget_note(self, subjobs: Any, sub: int) -> Any:
        for found, notes in list(self._notes.values()):
            if found is subjobs:
                return notes.pop(sub, None)
        return None

    def _list(self, master: Any, subjobs: Any) -> _List:
        kept = self._lists.get(master.id)
        if kept is None or kept.subjobs is not subjobs:
            kept = self._lists[master.id] = _List(master, subjobs)
        return kept

    def _look_on_disk(self, subjobs: Any, sub: int) -> Peek | None:
        try:
            with open(_path(subjobs, sub), encoding="utf-8") as file:
                return peek(file.read())
        except (OSError, UnicodeDecodeError):
            return None  # Ganga knows what to do

    def verify(self, subjobs: Any) -> None:
        """Correct index entries that are older than their subjobs' XML: Ganga was killed between
        the two. Does nothing for a list that was seen before."""
        if getattr(subjobs, "_gangamon_verified", False):
            return
        subjobs._gangamon_verified = True
        for n, (sub, entry) in enumerate(list(subjobs._subjobIndexData.items())):
            if n % _SLICE == _SLICE - 1:
                time.sleep(_REST)
            written = _written_at(subjobs, sub)
            if written is not None and written == entry.get("modified"):
                continue
            found = self._look_on_disk(subjobs, sub)
            if found is None:
                subjobs[sub]
            else:
                new = {**_with(entry, found.status), "modified": written}
                subjobs._subjobIndexData[sub] = new
                subjobs._dirty = True  # so that the index is written with the next change

    # --- loading ----------------------------------------------------------------------------

    def loaded(self, subjobs: Any, sub: int, job: Any) -> None:
        """Somebody has this subjob from its list: apply what waits for it, once. What another
        thread is applying is waited for, lest the reader sees what the file said."""
        if self._notes:
            with self._lock:
                note = self._forget_note(subjobs, sub)
            if note is not None:
                self._noted(job, note)
        for kept in list(self._lists.values()):
            if kept.subjobs is subjobs:
                self._settle(kept, sub, job)
                return

    def _settle(self, kept: _List, sub: int, job: Any) -> None:
        key, mine = (id(kept), sub), threading.get_ident()
        with self._lock:
            update = kept.waiting.pop(sub, None)
            if update is not None:
                self._applying[key] = _Applying(mine)
            applying = self._applying.get(key)
        if update is not None and applying is not None:
            try:
                self._apply(job, update)
            finally:
                del self._applying[key]
                applying.over.set()
        elif applying is not None and applying.thread != mine:
            applying.over.wait(PATIENCE)

    def _apply(self, job: Any, update: Any) -> None:
        if int(job.info.submit_counter) != update.attempt:
            return
        try:
            self._transition(job, update)
        except Exception as error:  # noqa: BLE001 - user code runs in Ganga's transitions
            logger.error("job %s: %s", job.getFQID("."), error)

    def durable(self, subjobs: Any, sub: int) -> dict[str, Any] | None:
        """The index entry of a subjob that is not written as it is shown; None: it is."""
        for kept in list(self._lists.values()):
            if kept.subjobs is subjobs:
                return kept.durable.get(sub)
        return None

    def drain(self, seconds: float, rest: float = 0.002) -> None:
        """Load and apply for so long."""
        until = time.monotonic() + seconds
        for number, kept in list(self._lists.items()):
            if not self._ours(number, kept):
                continue
            for sub in list(kept.waiting):
                if time.monotonic() >= until:
                    return
                try:
                    kept.subjobs[sub]
                except Exception as error:  # noqa: BLE001 - of no one subjob must the others know
                    logger.error("job %s.%s: %s", number, sub, error)
                    kept.waiting.pop(sub, None)
                time.sleep(rest)
            if not kept.waiting:
                self._written(number, kept)

    def _ours(self, number: int, kept: _List) -> bool:
        """Whether the list is still the job's, and the job still this session's; what is not is
        let go, and its record stays for the session that has it."""
        if kept.master._getRegistry() is None:  # removed
            if self.records is not None:
                self.records.remove(number)
        elif stripProxy(kept.master.subjobs) is kept.subjobs:
            try:
                kept.master._getSessionLock()
                return True
            except RegistryLockError as error:
                logger.debug("job %s: what waits for its subjobs is left: %s", number, error)
        del self._lists[number]
        return False

    def _written(self, number: int, kept: _List) -> None:
        """Everything was applied; the record of it goes when Ganga's flush has made it durable."""
        if kept.recorded and self.records is not None:
            with kept.master._getRegistry()._flush_lock:
                cached = list(kept.subjobs._cachedJobs.values())
                if kept.master._dirty or any(job._dirty for job in cached):
                    return
            self.records.remove(number)
        del self._lists[number]

    # --- from one session to the next -------------------------------------------------------

    def keep(self, master: Any) -> None:
        """Note on disk what waits: the master ends, and nobody will ask the service again."""
        self._notes.pop(master.id, None)
        kept = self._lists.get(master.id)
        if kept is not None and kept.waiting and self.records is not None:
            self.records.write(master.id, _made(master), list(kept.waiting.values()))
            kept.recorded = True

    def restore(self, load: Callable[[int], Any]) -> None:
        """Take up what an earlier session left. ``load(master)``: the job, or None if it is gone.
        Where it raises, another session has the job, and the record stays for later."""
        if self.records is None:
            return
        for number, made, updates in self.records.read():
            try:
                master = load(number)
            except Exception as error:  # noqa: BLE001 - of no one job must the others know
                logger.debug("job %s: what waits for its subjobs is left: %s", number, error)
                continue
            if master is None or made not in (None, _made(master)):
                self.records.remove(number)  # gone, or its number is another job's now
                continue
            subjobs = stripProxy(master.subjobs)
            kept = self._list(master, subjobs)
            kept.recorded = True
            for update in updates:
                found = self.look(master, update.sub)
                if found is None or (found.attempt == update.attempt and found.status in POLLED):
                    self.put(master, update)


def _made(master: Any) -> str:
    return str(master.time.timestamps.get("new"))


def _path(subjobs: Any, sub: int) -> str:
    return os.path.join(subjobs._jobDirectory, str(sub), subjobs._dataFileName)


def _with_attributes(before: Any, update: Any) -> Any:
    """The update before, with what is told now; of another attempt: this one."""
    if before.attempt != update.attempt:
        return before if before.attempt > update.attempt else update
    return replace(before, attributes={**before.attributes, **update.attributes})


def _written_at(subjobs: Any, sub: int) -> float | None:
    """As an index entry's ``modified`` (SubJobXMLList.py:200, 8.7.12)."""
    try:
        return os.stat(_path(subjobs, sub)).st_ctime
    except OSError:
        return None


def _with(entry: dict[str, Any], status: str) -> dict[str, Any]:
    return {**entry, **{name: status for name in _SHOWN if name in entry}}


@lru_cache
def _idle(application: str) -> bool:
    """Whether its hooks are those of Ganga's base class, which do nothing."""
    try:
        cls = allPlugins.find("applications", application)
    except PluginManagerError:
        return False
    return all(getattr(cls, name) is getattr(IApplication, name) for name in _HOOKS)


class _Current:
    """The backlog of this session, None before it is made. ``patched``: whether it is told when a
    subjob is loaded; without that everything is loaded at once."""

    backlog: Backlog | None = None
    patched = False


current = _Current()
