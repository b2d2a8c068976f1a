"""What DIRAC's JobManager, pilots and agents do to jobs, by order: JSON lines on stdin and stdout.

``["insert", 3]``; run by the Python of DIRAC's environment. Jobs come by the API of JobDB, for
JobManager is not run; what happens to them comes by the services, as from a pilot: statuses by
JobStateUpdate, outputs by SandboxStore.
"""

import json
import os
import tempfile

ORDERS = os.fdopen(os.dup(0))
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # DIRAC logs to stdout


def proxy(path, seconds, group, cert, key):
    """A proxy of the user in this group, for so many seconds."""
    from DIRAC.Core.Security.X509Chain import X509Chain

    chain = X509Chain()
    good(chain.loadChainFromFile(cert))
    good(chain.loadKeyFromFile(key))
    good(chain.generateProxyToFile(path, seconds, diracGroup=group, strength=2048))


def insert(count, name="gangamon", owner="tester"):
    """Ids of new jobs, Received."""
    ids = []
    for _ in range(count):
        jdl = f'[Executable="/bin/true";JobName="{name}";]'
        made = DB.insertNewJobIntoDB(jdl, owner, "gm_user", vo="gm")
        good(made)
        ids.append(int(made["JobID"]))
        good(LOG.addLoggingRecord(ids[-1], "Received", "Job accepted", source="JobManager"))
    return ids


def status(ids, major, minor="", application="", site=""):
    """As from a pilot, or by force where DIRAC would not let it. The status is the last: whoever
    sees it sees the rest."""
    for job in ids:
        if site:
            good(UPDATE.setJobSite(job, site))
        if application:
            good(UPDATE.setJobApplicationStatus(job, application, "gangamon"))
        good(UPDATE.setJobStatus(job, major, minor, "gangamon", None, True))


def parameter(job, name, value):
    good(UPDATE.setJobParameter(job, name, value))


def reschedule(job):
    """What a rescheduling leaves in the database: the counter grows, the job waits."""
    counter = good(DB.getJobAttribute(job, "RescheduleCounter"))
    good(DB.setJobAttribute(job, "RescheduleCounter", int(counter) + 1))
    status([job], "Rescheduled", "Job Rescheduled")


def sandbox(job, files):
    """Upload these (name -> text) as the job's output sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            with open(path, "w") as file:
                file.write(text)
        good(STORE.uploadFilesAsSandbox(paths, assignTo={f"Job:{job}": "Output"}))


def archive(job, path):
    """Upload this tar archive as it is."""
    import hashlib

    from DIRAC.Core.Tornado.Client.ClientSelector import TransferClientSelector

    with open(path, "rb") as file:
        name = hashlib.md5(file.read()).hexdigest() + ".tar.bz2"
    client = TransferClientSelector("WorkloadManagement/SandboxStore")
    good(client.sendFile(path, [name, {f"Job:{job}": "Output"}]))


def remove(ids):
    """As JobCleaningAgent does with deleted jobs."""
    good(DB.removeJobFromDB(ids))
    good(LOG.deleteJob(ids))


def forget(ids):
    """JobDB has lost them, their story is still there."""
    good(DB.removeJobFromDB(ids))


def good(result):
    if not result["OK"]:
        raise RuntimeError(result["Message"])
    return result.get("Value")


def begin():
    global DB, LOG, UPDATE, STORE
    from DIRAC.Core.Base.Script import Script

    Script.parseCommandLine()
    from DIRAC.ResourceStatusSystem.Client.ResourceStatusClient import ResourceStatusClient
    from DIRAC.WorkloadManagementSystem.Client.JobStateUpdateClient import JobStateUpdateClient
    from DIRAC.WorkloadManagementSystem.Client.SandboxStoreClient import SandboxStoreClient
    from DIRAC.WorkloadManagementSystem.DB.JobDB import JobDB
    from DIRAC.WorkloadManagementSystem.DB.JobLoggingDB import JobLoggingDB

    DB, LOG = JobDB(), JobLoggingDB()
    active = ("Resource", "Status", "SandboxSE", "ReadAccess", "Active", "StorageElement", "test")
    for kind in ("ReadAccess", "WriteAccess", "CheckAccess", "RemoveAccess"):
        words = [kind if word == "ReadAccess" else word for word in active]
        good(ResourceStatusClient().addOrModifyStatusElement(*words))
    UPDATE = JobStateUpdateClient(useCertificates=True)
    STORE = SandboxStoreClient()


for line in ORDERS:
    name, *words = json.loads(line)
    try:
        answer = {"value": globals()[name](*words)}
    except Exception as error:  # noqa: BLE001 - DIRAC may raise anything; the test is told
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=ANSWERS)
