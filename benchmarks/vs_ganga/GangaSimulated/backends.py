"""``Simulated``: a backend whose jobs are those of a simulated server (``docs/simulate.md``).

Submission is bookkeeping, whoever monitors. The monitoring is that of a DIRAC backend: the order
of queries, transitions, roll-ups and downloads is the one of ``DiracBase`` of Ganga 8.7.12
(``updateMonitoringInformation``, ``monitor_dirac_running_jobs``, ``requeue_dirac_finished_jobs``,
``job_finalisation``, ``complete_dirac_job``). Where it differs, it is to stock Ganga's advantage:

- commands run in a thread pool of this process, of default size as in ``DiracProcess``; no process,
  queue or shared dictionary lies between;
- the two or three more commands that ``_getStateTime`` sends for each job are left out, and so is
  the check of the disk, the grouping by credential, and the retries, for nothing fails here.
"""

# mypy: ignore-errors

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from GangaCore.GPIDev.Adapters.ApplicationRuntimeHandlers import allHandlers
from GangaCore.GPIDev.Adapters.IBackend import IBackend
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.GPIDev.Schema import Schema, SimpleItem, Version
from GangaCore.Lib.Executable.Executable import RTHandler

from gangamon.testing.simulator.wire import Link

#: [DIRAC]numParallelJobs, and the seconds between two looks of AsyncDiracManager for a result.
CHUNK, LOOK = 1000, 0.3

#: Seconds for one command: none is cut off.
PATIENCE = 600.0

#: [DIRAC]statusmapping and finalised_statuses, as far as this scenario goes.
STATUS = {"Waiting": "submitted", "Running": "running", "Done": "completed", "Failed": "failed"}
FINALISED = {"Done": "completed", "Failed": "failed"}
GONE = ("removed", "killed")

_pool = None


async def execute(command, *arguments):
    """As ``AsyncDiracManager.execute`` waits for the process that speaks to DIRAC."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor()
    future = _pool.submit(command, *arguments)
    while not future.done():
        await asyncio.sleep(LOOK)
    return future.result()


def dirac_status(endpoint, ids):
    """[minor status, status, CE, Ganga's status, application status] for each id, in order."""
    with Link(endpoint, PATIENCE) as link:
        rows = {row[0]: row for row in link.call("list", ids=ids)["jobs"]}
    return [["", rows[i][1], rows[i][3], STATUS[rows[i][1]], ""] for i in ids]


def finished_job(endpoint, native_id, folder):
    """Downloads the outputs of one job."""
    with Link(endpoint, PATIENCE) as link:
        link.call("download", id=native_id)
        content = link.body()
    with open(os.path.join(folder, "stdout"), "wb") as file:
        file.write(content)
    return "1", ""


def _text(doc):
    return SimpleItem(defvalue="", protected=1, copyable=0, typelist=[str], doc=doc)


class Simulated(IBackend):
    """``endpoint``: the address of the server, which is also the lane's (``docs/adapter.md``)."""

    _schema = Schema(
        Version(1, 0),
        {
            "endpoint": SimpleItem(defvalue="", typelist=[str], doc="unix:/PATH or HOST:PORT"),
            "id": _text("native id: 0 to N - 1"),
            "status": _text("native status"),
            "actualCE": _text("where it runs"),
            "normCPUTime": _text("as Dirac's"),
            "statusInfo": _text("as Dirac's"),
            "extraInfo": _text("as Dirac's"),
        },
    )
    _category = "backends"
    _name = "Simulated"

    def master_submit(
        self, rjobs, subjobconfigs, masterjobconfig, keep_going=False, parallel_submit=False
    ):
        """Ids and statuses. The master's status is Ganga's to set afterwards."""
        jobs = [stripProxy(job) for job in rjobs]
        for job in jobs:
            job.updateStatus("submitting", update_master=False)
        for number, job in enumerate(jobs):
            job.backend.id = str(number)
            job.updateStatus("submitted", update_master=False)
            job.info.increment()
        return 1

    def kill(self):
        return 1

    @staticmethod
    def tear_down_monitoring():
        pass

    @staticmethod
    async def updateMonitoringInformation(jobs):  # noqa: N802 (Ganga's name)
        interesting = [job for job in map(stripProxy, jobs) if not job.been_queued]
        monitor = [job for job in interesting if job.backend.status not in FINALISED]
        _requeue([job for job in interesting if job.backend.status in FINALISED])
        for begin in range(0, len(monitor), CHUNK):
            await _monitor(monitor[begin : begin + CHUNK])


async def _monitor(jobs):
    ids = [job.backend.id for job in jobs]
    result = await execute(dirac_status, jobs[0].backend.endpoint, ids)
    requeue, updates, masters = [], {}, []
    for job, state in zip(jobs, result, strict=True):
        if _component().should_stop():
            break
        if job.been_queued:
            continue
        job.backend.statusInfo = state[0]
        job.backend.status = state[1]
        job.backend.actualCE = state[2]
        job.backend.extraInfo = state[4]
        if job.status in ("completing", "completed", *GONE) or _master_gone(job):
            continue
        if job.backend.status in FINALISED:
            # One that is running already is finalised at the next poll, as by DiracBase.
            if job.status == "running":
                continue
            status = "running"
            requeue.append(job)
        elif job.status != state[3]:
            status = state[3]
        else:
            continue
        updates.setdefault(status, []).append(job)
        if job.master and job.master not in masters:
            masters.append(job.master)
    for status, changed in updates.items():
        for job in changed:
            job.updateStatus(status, update_master=False)
    for master in masters:
        master.updateMasterJobStatus()
    _requeue(requeue)


def _requeue(jobs):
    for job in jobs:
        if job.been_queued:
            continue
        if _component().should_stop():
            break
        job.been_queued = True
        _component().loop.create_task(_finalise(job, FINALISED[job.backend.status]))


async def _finalise(job, status):
    if job.status != "running" and job.status not in ("completed", *GONE):
        job.updateStatus("submitted")
        job.updateStatus("running")
    if job.status not in ("completed", *GONE):
        job.been_queued = True
        await _component().loop.create_task(_complete(job) if status == "completed" else _fail(job))
    job.been_queued = False


async def _fail(job):
    if job.status in GONE or _master_gone(job):
        return
    job.updateStatus("failed")
    if job.master:
        job.master.updateMasterJobStatus()


async def _complete(job):
    if job.status in GONE or _master_gone(job):
        return
    job.updateStatus("completing")
    if job.master:
        job.master.updateMasterJobStatus()
    folder = job.getOutputWorkspace().getPath()
    result = await execute(finished_job, job.backend.endpoint, job.backend.id, folder)
    job.backend.normCPUTime, job.backend.extraInfo = result
    locations = os.path.join(folder, "__postprocesslocations__")
    if not os.path.isfile(locations):
        with open(locations, "w"):
            pass
    if job.status in GONE or _master_gone(job):
        return
    job.updateStatus("completed")
    if job.master:
        job.master.updateMasterJobStatus()


def _master_gone(job):
    return job.master and job.master.status in GONE


def _component():
    from GangaCore.Core import monitoring_component

    return monitoring_component


allHandlers.add("Executable", "Simulated", RTHandler)
