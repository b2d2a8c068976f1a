"""Reading Ganga's objects without loading what need not be loaded, and without its slow paths.

Numbers behind the choices: a subjob costs 2 to 3 ms to load from XML; every attribute read takes
the root lock of the master; a loaded master's ``_index_cache`` is O(subjobs) per access.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from GangaCore.Core.GangaRepository.Registry import (
    IncompleteObject,
    RegistryKeyError,
    RegistryLockError,
)
from GangaCore.GPIDev.Base.Proxy import getName, stripProxy
from GangaCore.GPIDev.Lib.Job.utils import lazyLoadJobStatus
from GangaCore.Utility.Plugin import PluginManagerError, allPlugins

from gangamon.adapter.repository import backlog, loading
from gangamon.domain.command import UNSPLIT


class Locked(Exception):
    """Another session owns the job."""


class Gone(Exception):
    """The job is no longer in the repository, or cannot be loaded."""


class Reader:
    """The jobs registry of this session."""

    def __init__(self, registry_slice: Any) -> None:
        self._registry = stripProxy(registry_slice).objects

    @property
    def repository(self) -> Any:
        return self._registry.repository

    def statuses(self) -> dict[int, str]:
        """Every job's status by id, from memory or the index: no lock, no XML."""
        return {id_: _peek(job) for id_, job in self._registry.items()}

    def status(self, master: int) -> str:
        """One job's status, likewise. Raises Gone."""
        return _peek(self._job(master))

    def made(self, master: int) -> datetime | None:
        """When a job was made, which tells it from another of its number (``jobs.clean()`` gives
        numbers anew): UTC without a time zone, as Ganga's; None if that is not in memory. No lock,
        no XML. Raises Gone."""
        times = (getattr(self._job(master), "_data", None) or {}).get("time")
        stamps = (getattr(stripProxy(times), "_data", None) or {}).get("timestamps") or {}
        found = stamps.get("new")
        return found if isinstance(found, datetime) else None

    def backend(self, master: int) -> str:
        """The name of a job's backend, by the index if the job is not loaded. Raises Gone."""
        job = self._job(master)
        shown = (getattr(job, "_index_cache_dict", None) or {}).get("display:backend")
        if "backend" not in (getattr(job, "_data", None) or {}):
            if _known(shown):
                return str(shown)
            self._load(job)
        return str(getName(job.backend))

    def master(self, master: int) -> Any:
        """The job, loaded and owned by this session. Raises Gone, Locked."""
        job = self._job(master)
        try:
            job._getSessionLock()
        except RegistryLockError as error:
            raise Locked(str(error)) from error
        except RegistryKeyError as error:
            raise Gone(str(error)) from error
        self._load(job)
        return job

    def reload(self, master: int) -> None:
        """Read a job anew, which another session may have written. Raises Gone, Locked."""
        self._load(self.master(master), again=True)

    def loaded(self, master: int) -> Any:
        """The job, loaded, whoever owns it. Raises Gone."""
        job = self._job(master)
        try:
            self._load(job)
        except Locked as error:
            raise Gone(str(error)) from error
        return job

    def plain(self, master: int) -> Any:
        """The job as it is: neither loaded nor owned. Raises Gone."""
        return self._job(master)

    def _job(self, master: int) -> Any:
        try:
            job = stripProxy(self._registry[master])
        except RegistryKeyError as error:
            raise Gone(str(error)) from error
        if isinstance(job, IncompleteObject):
            raise Gone(f"job {master} cannot be loaded")
        return job

    def _load(self, job: Any, again: bool = False) -> None:
        try:
            loading.load(self._registry, job, again)
        except RegistryLockError as error:
            raise Locked(str(error)) from error
        except RegistryKeyError as error:
            raise Gone(str(error)) from error


class Subjobs:
    """A master's subjobs: a GangaList after submission, a lazy SubJobXMLList after a restart."""

    def __init__(self, master: Any) -> None:
        self._list = stripProxy(master.subjobs)
        self._lazy = hasattr(self._list, "isLoaded")

    def __len__(self) -> int:
        return len(self._list)

    def statuses(self) -> list[str]:
        if self._lazy and backlog.current.backlog is not None:
            backlog.current.backlog.verify(self._list)
        if self._lazy:
            return list(self._list.getAllSJStatus())
        return [stripProxy(sub).status for sub in self._list]

    def loaded(self, sub: int) -> bool:
        return not self._lazy or bool(self._list.isLoaded(sub))

    def __getitem__(self, sub: int) -> Any:
        return stripProxy(self._list[sub])


def peeked(job: Any) -> dict[int, str] | None:
    """The statuses of a job's subjobs by their ids, or its own under UNSPLIT; None: the job is not
    in memory. Nothing is loaded and no lock taken, unless Ganga's index of the subjobs is not
    whole."""
    data = getattr(job, "_data", None) or {}
    if "subjobs" not in data:
        return None
    subjobs = stripProxy(data["subjobs"])
    if hasattr(subjobs, "isLoaded"):
        index = list(getattr(subjobs, "_subjobIndexData", {}).items())
        found = {sub: str(entry["status"]) for sub, entry in index if entry and "status" in entry}
        found.update((sub, _peek(one)) for sub, one in list(subjobs._cachedJobs.items()))
        if len(found) != len(subjobs):
            found = dict(enumerate(subjobs.getAllSJStatus()))
    else:
        known = list(subjobs._data["_list"])
        found = {sub: _peek(stripProxy(one)) for sub, one in enumerate(known)}
    return found or {UNSPLIT: _peek(job)}


def workspace(master: Any) -> str:
    """The directory D such that outputs lie in D/SUB/output, or D/output if not split."""
    path = master.getOutputWorkspace(create=False).getPath()
    return os.path.dirname(path.rstrip(os.sep))


def postprocessors(job: Any) -> Sequence[Any]:
    """The postprocessors of a job, in the order in which Ganga runs them."""
    processors = stripProxy(job.postprocessors)
    return [stripProxy(p) for p in getattr(processors, "process_objects", ())]


def _known(backend: Any) -> bool:
    """Whether a column of the index says the name of a class, as by default."""
    try:
        return bool(backend) and allPlugins.find("backends", str(backend)) is not None
    except PluginManagerError:
        return False


def _peek(job: Any) -> str:
    """As ``lazyLoadJobStatus``, whose search for the job in the registry is O(jobs)."""
    data = getattr(job, "_data", None) or {}
    if "status" in data:
        return str(data["status"])
    index = getattr(job, "_index_cache_dict", None) or {}
    if "status" in index:
        return str(index["status"])
    return str(lazyLoadJobStatus(job))
