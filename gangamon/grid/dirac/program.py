"""Asks DIRAC, within DIRAC's environment: one JSON object a line on stdin, its answer on stdout.

    program.py PROXY MOST      ``X509_USER_PROXY``, '-': as the environment says; bytes of a file

Run by DIRAC's own Python, another interpreter (3.6 or later) in which nothing of ours is installed:
it imports the standard library and DIRAC, and every call is a function below. An answer is what the
function gives, or ``{"error": KIND, "text": ...}``; KIND: ``credential``, ``unreachable``,
``refused`` (the service is there, and has its reasons). It ends with its stdin, also in the middle
of a call, or when nothing was asked for ten minutes.

Facts: DIRAC 9.1.22, WorkloadManagementSystem/Client and Interfaces/API/Dirac.py.
"""

import ast
import calendar
import contextlib
import errno
import importlib
import json
import os
import queue
import resource
import shutil
import sys
import tempfile
import threading
import time

IDLE = 600.0

#: Errors of DIRAC that a new proxy may cure (DErrno.py): X509, proxy and certificate files,
#: ENOGROUP, ENOAUTH, EVOMS.
CREDENTIAL = frozenset([*range(1100, 1109), 1111, 1121])

#: What the first bytes of a sandbox say that DiracX has stored.
ZSTD = b"\x28\xb5\x2f\xfd"

TOO_LARGE = "the output sandbox is larger than what is fetched"

CPU = "NormCPUTime(s)"
ENDED = ("Done", "Failed", "Killed", "Deleted")


class Failed(Exception):
    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


def states(ids):
    """Of each job that DIRAC knows: its attributes, times in seconds since the epoch."""
    summary = good(monitoring().getJobsSummary(ids))
    if isinstance(summary, str):  # before DIRAC 8
        summary = ast.literal_eval(summary)
    jobs = {}
    for number, found in summary.items():
        jobs[str(number)] = {
            "status": found["Status"],
            "minor": text(found.get("MinorStatus")),
            "application": text(found.get("ApplicationStatus")),
            "site": text(found.get("Site")),
            "owner": text(found.get("Owner")),
            "restarts": int(found.get("RescheduleCounter") or 0),
            "started": seconds(found.get("StartExecTime")),
            "ended": seconds(found.get("EndExecTime")),
        }
    over = [int(number) for number, job in jobs.items() if job["status"] in ENDED]
    for number, value in parameters(over, CPU).items():
        jobs[number]["cpu"] = value
    return {"jobs": jobs, "user": user()}


def stories(ids):
    """Of each job: what JobLoggingDB has of it, [status, minor, application, time] by time; empty:
    nothing. ``untold``: of each that could not be asked about, why."""
    found, untold, client, answer = {}, {}, monitoring(), {"OK": True}
    for number in ids:
        answer = client.getJobLoggingInfo(int(number))
        if not answer["OK"] and "No Logging information" not in answer["Message"]:
            untold[str(number)] = text(answer["Message"])
            continue
        records = answer["Value"] if answer["OK"] else []
        found[str(number)] = [[text(r[0]), text(r[1]), text(r[2]), seconds(r[3])] for r in records]
    if not found:
        good(answer)
    return {"stories": found, "untold": untold}


def sandbox(job, folder, skip):
    """The output sandbox as archives in this folder, and what else tells about its end. ``skip``:
    statuses of jobs whose sandbox is not wanted.

    ``status``, ``started``, ``changed`` (seconds since the epoch): of the job. ``lfn``: where it
    was too large for the store and lies on the grid. ``missing``: why there is none."""
    clean()
    known = good(monitoring().getJobsSummary([job]))
    known = ast.literal_eval(known) if isinstance(known, str) else known
    facts = known.get(job) or known.get(str(job)) or {}
    answer = {
        "status": text(facts.get("Status")),
        "started": seconds(facts.get("StartExecTime")),
        "changed": seconds(facts.get("LastUpdateTime")),
        "archives": [],
        "lfn": "",
        "missing": "",
    }
    if answer["status"] in skip:
        return answer
    try:
        bring(job, folder, answer)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        answer["missing"] = TOO_LARGE
    return answer


def bring(job, folder, answer):
    if assigned(job):
        store = of("WorkloadManagementSystem.Client.SandboxStoreClient", "SandboxStoreClient")()
        found = store.downloadSandboxForJob(job, "Output", folder, inMemory=False, unpack=False)
        if not found["OK"]:
            assigned(job)  # whether the service is there at all
            raise Failed("refused", text(found["Message"]))
        answer["archives"] = [plain(path, folder) for path in found["Value"]]
        return
    # JobWrapper puts one that is too large on the grid, and its name into the parameters.
    lfn = parameters([job], "OutputSandboxLFN", strict=True).get(str(job), "")
    if not lfn:
        answer["missing"] = f"DIRAC has no output sandbox of job {job}"
        return
    got = dirac().getFile(lfn, destDir=folder)
    if not got["OK"] and os.strerror(errno.EFBIG) in got["Message"]:
        answer["missing"] = TOO_LARGE
        return
    answer["archives"] = [plain(path, folder) for path in good(got)["Successful"].values()]
    answer["lfn"] = lfn
    if not answer["archives"]:
        raise Failed("unreachable", f"{lfn}: {got['Value']['Failed']}")


def assigned(job):
    client = of("Core.Base.Client", "Client")(url="WorkloadManagement/SandboxStore")
    return "Output" in good(client.getSandboxesAssignedToEntity(f"Job:{job}"))


def data(job):
    """Of each file that the job uploaded: name, LFN, storage elements, GUID; '' where unknown."""
    uploaded = parameters([job], "UploadedOutputData", strict=True).get(str(job), "")
    oversized = parameters([job], "OutputSandboxLFN", strict=True).get(str(job), "")
    lfns = [lfn.strip() for lfn in uploaded.split(",") if lfn.strip() not in ("", oversized)]
    if not lfns:
        return {"files": []}
    about = good(dirac().getLfnMetadata(lfns))
    where = good(dirac().getReplicas(lfns))["Successful"]
    files = []
    for lfn in lfns:
        guid = about["Successful"].get(lfn, {}).get("GUID", "")
        failed = text(about["Failed"].get(lfn, ""))
        files.append([os.path.basename(lfn), lfn, sorted(where.get(lfn, ())), text(guid), failed])
    return {"files": files}


def remove(lfn):
    """Delete an oversized sandbox from the grid, as Ganga does when it has it."""
    good(dirac().removeFile(lfn))
    return {}


def hello():
    """``dirac``: its version. ``user``: whom the proxy is of, '' if DIRAC does not know."""
    return {"dirac": text(getattr(importlib.import_module("DIRAC"), "version", "")), "user": user()}


# --- DIRAC ------------------------------------------------------------------------------------


def of(module, name):
    return getattr(importlib.import_module("DIRAC." + module), name)


def monitoring():
    return of("WorkloadManagementSystem.Client.JobMonitoringClient", "JobMonitoringClient")()


def dirac():
    return of("Interfaces.API.Dirac", "Dirac")()


def user():
    found = of("Core.Security.ProxyInfo", "getProxyInfo")(disableVOMS=True)
    return text(found["Value"].get("username")) if found["OK"] else ""


def parameters(ids, name, strict=False):
    """This parameter of those jobs that have it. They are a database of their own, in DIRAC 9
    OpenSearch: unless ``strict``, what it does not tell is left out."""
    if not ids:
        return {}
    answer = monitoring().getJobParameters(ids, name)
    if strict:
        good(answer)
    if not answer["OK"]:
        return {}
    found = {str(number): values.get(name) for number, values in answer["Value"].items()}
    return {number: text(value) for number, value in found.items() if value not in (None, "")}


def good(result):
    if result["OK"]:
        return result.get("Value")
    kind = "credential" if result.get("Errno") in CREDENTIAL else "unreachable"
    raise Failed(kind, text(result["Message"]))


def text(value):
    return "" if value is None else str(value)


def seconds(value):
    """Since the epoch; None for what is no time. DIRAC's are UTC."""
    with contextlib.suppress(ValueError, AttributeError):
        if isinstance(value, str):
            return float(calendar.timegm(time.strptime(value[:19], "%Y-%m-%d %H:%M:%S")))
        return float(calendar.timegm(value.timetuple()))
    return None


def plain(path, folder):
    """An archive moved into the folder, unpacked where our own Python could not (zstandard)."""
    target = os.path.join(folder, os.path.basename(path))
    with open(path, "rb") as file:
        packed = file.read(4) == ZSTD
    if packed:
        target += ".tar"
        with open(path, "rb") as source, open(target, "wb") as file:
            zstandard = importlib.import_module("zstandard")
            zstandard.ZstdDecompressor().copy_stream(source, file)
    elif os.path.abspath(path) != os.path.abspath(target):
        shutil.move(path, target)
    return target


def clean():
    """DIRAC leaves folders behind where a download fails."""
    place = tempfile.gettempdir()
    for name in os.listdir(place):
        if name.startswith("TMSB."):
            shutil.rmtree(os.path.join(place, name), ignore_errors=True)


# --- the loop ---------------------------------------------------------------------------------

CALLS = {f.__name__: f for f in (hello, states, stories, sandbox, data, remove)}


def answer_to(line):
    try:
        request = json.loads(line)
        return CALLS[request.pop("do")](**request)
    except Failed as error:
        return {"error": error.kind, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - DIRAC may raise anything; it is told
        return {"error": "unreachable", "text": f"{type(error).__name__}: {error}"}


def listen(lines, requests):
    for line in lines:
        requests.put(line)
    leave()


LEAVING = threading.Lock()


def leave():
    """Now, whatever is under way: the one who asked is gone."""
    LEAVING.acquire()  # for good: whoever is second must not end this before the folder is gone
    place = os.environ.get("TMPDIR", "")
    if os.path.basename(place).startswith("gangamon-dirac-"):
        shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


def main():
    proxy, most = sys.argv[1], int(sys.argv[2])
    if proxy != "-":
        os.environ["X509_USER_PROXY"] = proxy
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # DIRAC logs to stdout
    requests: queue.Queue = queue.Queue()
    threading.Thread(target=listen, args=(os.fdopen(os.dup(0)), requests), daemon=True).start()
    sys.argv[1:] = []
    of("Core.Base.Script", "parseCommandLine")()
    while True:
        try:
            line = requests.get(timeout=IDLE)
        except queue.Empty:
            leave()
        try:
            out.write(json.dumps(answer_to(line)) + "\n")
            out.flush()
        except OSError:  # nobody reads it
            leave()


if __name__ == "__main__":
    main()
