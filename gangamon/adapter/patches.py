"""The places where Ganga itself must behave differently, and the conditions for it.

Each patch is small, named in docs/adapter.md, switched off by an option of [Gangamon], and left
out with a warning if Ganga's method is not the one it was written for.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from gangamon.adapter.show.verdicts import Verdict, takers, verdicts
from gangamon.domain.rollup import rollup
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import CheckImpossible

#: Versions of Ganga whose methods were read, and with which the tests were run: the newest on PyPI
#: and the two before it.
TESTED = ("8.7.8", "8.7.9", "8.7.12")


class Watch(Protocol):
    """What the patches ask of the running component."""

    def watches(self, master: int) -> bool: ...

    def mine(self) -> bool:
        """Whether the adapter's own thread is calling."""
        ...

    def notice(self, master: int) -> None:
        """This master needs a look."""
        ...


class _Current:
    """The component that runs; None before it is made, and the patches then change nothing."""

    watch: Watch | None = None


current = _Current()


def version() -> str:
    """That of this Ganga."""
    from GangaCore import _gangaVersion

    return str(_gangaVersion)


def fits(method: Any, parameters: tuple[str, ...]) -> bool:
    """Whether Ganga's method still is the one a patch was written for."""
    try:
        found = tuple(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return False
    return version() in TESTED and found == parameters


def patch_mergers() -> bool:
    """``IMerger.execute`` takes the service's verdict instead of merging again, but only while the
    adapter applies that job's final status. False: not the method this was written for."""
    from GangaCore.GPIDev.Adapters import IMerger

    stock = IMerger.IMerger.execute
    if not fits(stock, ("self", "job", "newstatus")):
        return False

    def execute(self: Any, job: Any, newstatus: Any) -> Any:
        verdict = verdicts.take(self)
        if verdict is None:
            return stock(self, job, newstatus)
        if not verdict.ok:
            IMerger.logger.error("%s", verdict.reason)
        return self.success if verdict.ok else self.failure

    IMerger.IMerger.execute = execute
    takers.add("IMerger")
    return True


def patch_checkers() -> bool:
    """``IChecker.execute`` takes the service's verdict instead of checking again, likewise. False:
    not the method this was written for."""
    from GangaCore.GPIDev.Adapters.IChecker import IChecker

    stock = IChecker.execute
    if not fits(stock, ("self", "job", "newstatus")):
        return False

    def execute(self: Any, job: Any, newstatus: Any) -> Any:
        verdict = verdicts.take(self)
        return stock(self if verdict is None else _Said(self, verdict), job, newstatus)

    IChecker.execute = execute
    takers.add("IChecker")
    return True


class _Said:
    """A checker whose ``check`` says what the service has said: Ganga's own ``execute`` makes the
    same of it, its note in the debug directory too."""

    def __init__(self, checker: Any, verdict: Verdict) -> None:
        self._checker, self._verdict = checker, verdict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checker, name)

    def check(self, job: Any) -> Any:
        from GangaCore.Utility.logging import getLogger

        if self._verdict.error:
            raise CheckImpossible(self._verdict.error)
        if not self._verdict.ok:
            getLogger("gangamon").info("%s", self._verdict.reason)
        return self._checker.success if self._verdict.ok else self._checker.failure


def patch_notifier() -> bool:
    """``Notifier.execute`` tells nobody of an end that the service has told of, likewise. False:
    not the method this was written for."""
    from GangaCore.Lib.Notifier.Notifier import Notifier

    stock = Notifier.execute
    if not fits(stock, ("self", "job", "newstatus")):
        return False

    def execute(self: Any, job: Any, newstatus: Any) -> Any:
        verdict = verdicts.take(self)
        if verdict is None or verdict.told != newstatus:
            return stock(self, job, newstatus)
        return True

    Notifier.execute = execute
    takers.add("Notifier")
    return True


def patch_puts() -> bool:
    """``MassStorageFile.put`` takes over where the service has put the file, likewise. False: not
    the methods this was written for."""
    from GangaCore.GPIDev.Lib.File.MassStorageFile import MassStorageFile, SharedFile
    from GangaCore.GPIDev.Lib.Job.Job import Job

    stock = MassStorageFile.put
    if (
        not fits(stock, ("self",))
        or SharedFile.put is not stock
        or not fits(Job.postprocessoutput, ("self", "outputfiles", "outputdir"))
    ):
        return False
    from gangamon.adapter.show import placed

    def put(self: Any) -> Any:
        verdict = verdicts.take(self)
        if verdict is None:
            return stock(self)
        placed.show(self, verdict.put)
        return None

    MassStorageFile.put = put
    takers.add("put")
    return True


def patch_master_status() -> bool:
    """``Job.updateMasterJobStatus`` leaves a watched master's end to the adapter, for its outputs
    are merged first. False: not the method this was written for."""
    from GangaCore.GPIDev.Lib.Job.Job import Job

    stock = Job.updateMasterJobStatus
    if not fits(stock, ("self",)):
        return False

    def update_master_job_status(self: Any) -> None:
        watch = current.watch
        if watch is None or self.master is not None or not watch.watches(self.id):
            return stock(self)
        watch.notice(self.id)
        if watch.mine():
            return None  # it counts the subjobs itself, once per batch
        status = rollup({JobStatus(s): 1 for s in self.getSubJobStatuses() if s in _KNOWN})
        if status is None:
            return stock(self)
        if status not in FINAL and status.value != self.status:
            self.updateStatus(status.value)
        return None

    Job.updateMasterJobStatus = update_master_job_status
    return True


_KNOWN = frozenset(status.value for status in JobStatus)


def patch_flush() -> bool:
    """``JobRegistry._flush`` writes split jobs piece by piece. False: not the methods this was
    written for, or not the repository."""
    from GangaCore.Core.GangaRepository import GangaRepositoryXML
    from GangaCore.Core.GangaRepository.Registry import Registry
    from GangaCore.GPIDev.Base.Proxy import isType
    from GangaCore.GPIDev.Lib.GangaList.GangaList import GangaList
    from GangaCore.GPIDev.Lib.Registry.JobRegistry import JobRegistry
    from GangaCore.Utility.Config import getConfig

    stock = JobRegistry._flush
    if (
        not fits(stock, ("self", "objs"))
        or stock is not Registry._flush
        or not fits(GangaRepositoryXML.GangaRepositoryLocal._safe_flush_xml, ("self", "this_id"))
        or getConfig("Configuration")["repositorytype"] != "LocalXML"
    ):
        return False
    from gangamon.adapter.repository import flush as own

    def flush(self: Any, objs: Any) -> None:
        objects = list(objs) if isType(objs, (list, tuple, GangaList)) else [objs]
        rest = []
        for job in objects:
            if not (self.hasStarted() and job._dirty and _split(self, job)):
                rest.append(job)
            elif self.has_loaded(job):
                own.flusher(self).flush(job)
        if rest:
            stock(self, rest)

    JobRegistry._flush = flush
    own.patch.applied = True
    return True


def _split(registry: Any, job: Any) -> bool:
    """Whether this is a job with subjobs in the registry of jobs."""
    data = getattr(job, "_data", None) or {}
    return bool(
        registry.name == "jobs"
        and getattr(job, "_name", "") == "Job"
        and job.master is None
        and data.get("subjobs")
    )


def patch_index_cache() -> bool:
    """``JobRegistry.getIndexCache`` makes its table of columns once, not for each job, and asks a
    subjob only for its status. False: not the method this was written for."""
    from GangaCore.GPIDev.Lib.Registry.JobRegistry import JobRegistry

    if not fits(JobRegistry.getIndexCache, ("self", "obj")):
        return False
    from gangamon.adapter.repository.entry import index_entry

    JobRegistry.getIndexCache = lambda self, obj: index_entry(obj)
    return True


def patch_subjob_load() -> bool:
    """``SubJobXMLList._getItem`` applies what waited for a subjob when it has loaded it. False: not
    the method this was written for; updates then load their subjobs."""
    from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList

    stock = SubJobXMLList._getItem
    if not fits(stock, ("self", "index")):
        return False
    from gangamon.adapter.repository import backlog

    def get_item(self: Any, index: Any) -> Any:
        job = stock(self, index)
        if backlog.current.backlog is not None:
            backlog.current.backlog.loaded(self, index, job)
        return job

    SubJobXMLList._getItem = get_item
    backlog.current.patched = True
    return True


def patch_condor() -> bool:
    """Ganga's ``Condor`` uses the bindings of version 2 where those of version 1, which it imports,
    are not there. False: not the class this was written for."""
    module = import_module("GangaCore.Lib.Condor.Condor")  # its package has a class of that name
    if hasattr(module, "htcondor") or not find_spec("htcondor2"):
        return True  # it needs nothing, or there is nothing
    submit = ("self", "rjobs", "subjobconfigs", "masterjobconfig", "keep_going", "parallel_submit")
    if not (fits(module.Condor.master_submit, submit) and fits(module.Condor.kill, ("self",))):
        return False
    from gangamon.adapter.condor_bindings import Bindings, ClassAds

    vars(module).update(htcondor=Bindings(), classad=ClassAds())
    return True
